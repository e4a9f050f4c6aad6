"""What a check finds: in plain words, how often, and where first."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]
FIRST_PLACES = 3


@dataclass(frozen=True)
class Finding:
    """One kind of fault.

    Attributes:
        severity: `error`: wrong, scores or training would be too; `warning`: allowed, but rarely meant.
        what: the fault in plain words.
        count: how often it was found.
        places: where, the first few.
    """

    severity: Severity
    what: str
    count: int = 1
    places: tuple[str, ...] = ()

    def __str__(self) -> str:
        times = f" ({self.count} times)" if self.count > 1 else ""
        more = ", ..." if len(self.places) < self.count else ""
        return f"{self.severity}: {self.what}{times}" + (
            f": {', '.join(self.places)}{more}" if self.places else ""
        )


class Findings:
    """Gathers faults and puts those of one kind together: iterating gives the findings, errors first."""

    def __init__(self) -> None:
        self._places: dict[tuple[Severity, str], list[str]] = {}
        self._counts: dict[tuple[Severity, str], int] = {}

    def error(self, what: str, place: str = "", count: int = 1) -> None:
        """Note something that is wrong."""
        self._add("error", what, place, count)

    def warning(self, what: str, place: str = "", count: int = 1) -> None:
        """Note something that is suspicious."""
        self._add("warning", what, place, count)

    def extend(self, findings: Iterable[Finding], where: str = "") -> None:
        """Note what another check found; `where` is put before its places."""
        for finding in findings:
            key = finding.severity, finding.what
            self._counts[key] = self._counts.get(key, 0) + finding.count
            places = self._places.setdefault(key, [])
            for place in finding.places or ("",):
                named = f"{where} {place}".strip()
                if named and len(places) < FIRST_PLACES:
                    places.append(named)

    def _add(self, severity: Severity, what: str, place: str, count: int) -> None:
        if count:
            self.extend([Finding(severity, what, count, (place,) if place else ())])

    def __iter__(self) -> Iterator[Finding]:
        for key in sorted(self._counts, key=lambda key: key[0] != "error"):
            yield Finding(*key, self._counts[key], tuple(self._places[key]))
