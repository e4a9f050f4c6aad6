"""Numbers recorded from the original: small copies beside the tests, and all of them where ../shared is there."""

from pathlib import Path

COPIES = Path(__file__).parent / "data" / "golden"
SHARED = Path(__file__).parents[2] / "shared" / "golden"


def golden_cases(part: str, file: str) -> dict[str, Path]:
    """Name -> folder of every case of `part` that holds `file`, whatever their names are."""
    found = [path.parent for folder in (COPIES, SHARED) for path in sorted((folder / part).glob(f"*/{file}"))]
    return {path.name: path for path in found}
