"""Rows of scores as a table on the terminal and as `scores.json`."""

from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from samodal import files
from samodal.score.protocols import STRICT
from samodal.score.video_scores import SUBSETS, Row


def write_scores(
    path: str | Path, rows: Sequence[Row], protocol: str, command: str, versions: dict[str, str]
) -> None:
    """Write `scores.json`: the rows with the protocol, the exact command and the versions that made them."""
    content = {"protocol": protocol, "command": command, "versions": versions, "rows": list(rows)}
    files.write_json(path, content, indent=1)


def print_table(rows: Sequence[Row], protocol: str = STRICT.name, console: Console | None = None) -> None:
    """Print the rows of several methods, 80 columns wide: everything together, then IoU by occlusion.

    Args:
        rows: as `score_videos` gives them, of all methods, in any order.
        protocol: the name that stands in the title.
        console: where to print; the terminal if None.
    """
    console = console or Console()
    console.print(_overall(rows, protocol))
    console.print(_by_occlusion(rows))


def _overall(rows: Sequence[Row], protocol: str) -> Table:
    columns = {
        "IoU\nfull": "iou_full",
        "IoU\nhidden": "iou_hidden",
        "IoU\ngaps": "gap_iou",
        "that\nend": "between_iou",
        "AP\nbefore": "video_ap_before",
        "AP\nafter": "video_ap",
        "AP50\nafter": "video_ap50",
        "\nghosts": "ghosts",
    }
    table = _table(f"Video scores (protocol: {protocol}); AP before and after gaps are filled")
    for title in columns:
        table.add_column(title, justify="right")
    for row in rows:
        if row["subset"] == "all":
            table.add_row(row["method"], *(_text(row.get(key), digits=3) for key in columns.values()))
    return table


def _by_occlusion(rows: Sequence[Row]) -> Table:
    subsets = SUBSETS[SUBSETS.index("partial") :]
    table = _table("IoU by occlusion: whole mask / hidden part")
    for subset in subsets:
        count = next((row["n"] for row in rows if row["subset"] == subset), 0)
        table.add_column(f"{subset}\nn = {count}", justify="right")
    for method in dict.fromkeys(row["method"] for row in rows):
        by_subset = {row["subset"]: row for row in rows if row["method"] == method}
        table.add_row(method, *(_pair(by_subset.get(subset, {}), subset) for subset in subsets))
    return table


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("method", no_wrap=True)
    return table


def _pair(row: Row, subset: str) -> str:
    full = _text(row.get("iou_full"), digits=2)
    # Of a completely hidden instance, the hidden part is the whole.
    return full if subset == "hidden" else f"{full} / {_text(row.get('iou_hidden'), digits=2)}"


def _text(value: float | None, digits: int) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.{digits}f}"
