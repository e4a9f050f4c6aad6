"""Rows of scores as tables: on the terminal, as JSON with all that made them, as CSV, as LaTeX."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from samodal import files
from samodal.errors import InputError
from samodal.score.gaps import AGES
from samodal.score.protocols import STRICT
from samodal.score.video_scores import SUBSETS, Row

SPREAD = "_std"
"""Ending of the name of a standard deviation over seeds."""


@dataclass(frozen=True)
class Grid:
    """A table as text: a title, the headings of the columns (with line breaks), one line a method."""

    title: str
    head: list[str]
    lines: list[list[str]]


def write_scores(
    path: str | Path, rows: Sequence[Row], protocol: str, command: str, versions: dict[str, str], **more: Any
) -> None:
    """Write rows of scores, in the format that the ending of `path` names.

    Args:
        path: .json: the rows with the protocol, the exact command, the versions that made them, and `more`; .csv: one
            line a row; .tex: the tables of `print_table`; both after a comment with protocol, command and versions.
        rows: as `score_videos` and the others give them.
        protocol: its name.
        command: the command line.
        versions: package -> version.
        more: further facts for the JSON, such as seeds.

    Raises:
        InputError: another ending.
    """
    path = Path(path)
    if path.suffix == ".json":
        content = {"protocol": protocol, "command": command, "versions": versions, **more, "rows": list(rows)}
        files.write_json(path, content, indent=1)
    elif path.suffix == ".csv":
        files.write_text(path, as_csv(rows, _made_by(protocol, command, versions)))
    elif path.suffix == ".tex":
        files.write_text(path, as_latex(rows, protocol, _made_by(protocol, command, versions)))
    else:
        raise InputError(f"{path}: scores are written as .json, .csv or .tex")


def spread(repeats: Sequence[Sequence[Row]]) -> list[Row]:
    """The rows of several seeds as one: every number is the mean, `<name>_std` the standard deviation beside it.

    A row or a number that only some of the seeds have (a bin of scores) is the mean over these.

    Args:
        repeats: the rows of each seed.

    Raises:
        InputError: they differ in methods.
    """
    if len({frozenset(row["method"] for row in rows) for rows in repeats}) != 1:
        raise InputError("the repeats do not have the same methods; score the same ones with every seed")
    keys = dict.fromkeys((row["method"], row["subset"]) for rows in repeats for row in rows)
    return [
        _spread([row for rows in repeats for row in rows if (row["method"], row["subset"]) == key])
        for key in keys
    ]


def _spread(same: Sequence[Row]) -> Row:
    result: Row = {}
    for name in dict.fromkeys(name for row in same for name in row):
        values = [row[name] for row in same if row.get(name) is not None]
        if not values or len(set(values)) == 1:
            result[name] = values[0] if values else None
        else:
            result[name] = fmean(values)
            result[name + SPREAD] = stdev(values)
    return result


def print_table(rows: Sequence[Row], protocol: str = STRICT.name, console: Console | None = None) -> None:
    """Print the rows of several methods, 80 columns wide: one table for each kind of rows that is there.

    Args:
        rows: as `score_videos`, `score_gaps` and `score_identity` give them, of all methods, in any order.
        protocol: the name that stands in the title.
        console: where to print; the terminal if None.
    """
    console = console or Console()
    for grid in grids(rows, protocol):
        table = Table(title=grid.title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for number, heading in enumerate(grid.head):
            table.add_column(heading, no_wrap=number == 0, justify="right" if number else "left")
        for line in grid.lines:
            table.add_row(*line)
        console.print(table)


def grids(rows: Sequence[Row], protocol: str) -> list[Grid]:
    """The tables of `print_table` as text; empty ones are left out."""
    by_method = {
        method: {row["subset"]: row for row in rows if row["method"] == method}
        for method in dict.fromkeys(row["method"] for row in rows)
    }
    result = []
    for title, cells in (
        (f"Image scores (protocol: {protocol})", IMAGES),
        _overall(rows, protocol),
        ("IoU by occlusion: whole mask/hidden part", _by_occlusion(rows)),
        ("Gaps by frames since last seen: IoU/centre error in sizes", _by_age(rows)),
        ("Gaps: identity kept, masks where nothing is, score against IoU", IN_GAPS),
        ("Identity of amodal masks (TrackEval)", IDENTITY),
    ):
        lines = [
            [method, *(cell(subsets) for cell in cells.values())] for method, subsets in by_method.items()
        ]
        lines = [line for line in lines if any(text != MISSING for text in line[1:])]
        if lines:
            result.append(Grid(title, ["method", *cells], lines))
    return result


def _overall(rows: Sequence[Row], protocol: str) -> tuple[str, "Cells"]:
    if any("image_ap" in row for row in rows) and not any("video_ap" in row for row in rows):
        return "IoU of all masks", {name: cell for name, cell in OVERALL.items() if name in OF_IMAGES}
    return f"Video scores (protocol: {protocol}); AP before and after gaps are filled", OVERALL


MISSING = "-"
Cells = dict[str, Callable[[dict[str, Row]], str]]
"""Heading -> the text below it, from the rows of a method by subset."""


def _number(subset: str, name: str) -> Callable[[dict[str, Row]], str]:
    return lambda subsets: _text(subsets.get(subset, {}), name)


OVERALL: Cells = {
    "IoU\nfull": _number("all", "iou_full"),
    "IoU\nhidden": _number("all", "iou_hidden"),
    "IoU\ngaps": _number("all", "gap_iou"),
    "that\nend": _number("all", "between_iou"),
    "AP\nbefore": _number("all", "video_ap_before"),
    "AP\nafter": _number("all", "video_ap"),
    "AP50\nafter": _number("all", "video_ap50"),
    "\nghosts": _number("all", "ghosts"),
}
OF_IMAGES = ("IoU\nfull", "IoU\nhidden")
"""Those of `OVERALL` that single images have, too."""
IMAGES: Cells = {
    "AP": _number("all", "image_ap"),
    "AP50": _number("all", "image_ap50"),
    "AP75": _number("all", "image_ap75"),
    "AP50\npartial": _number("all", "image_ap50_partial"),
    "AP50\nmedium": _number("all", "image_ap50_medium"),
    "AP50\nheavy": _number("all", "image_ap50_heavy"),
    "AR": _number("all", "image_ar100"),
    "pooled\nIoU": _number("all", "pooled_iou"),
}
IN_GAPS: Cells = {
    "found": _number("gaps", "found"),
    "centre\nerror": _number("gaps", "center_error"),
    "identity\nkept": _number("gaps", "survival"),
    "ghost\nshare": _number("gaps", "ghost_share"),
    "|score\n- IoU|": _number("gaps", "score_error"),
    "calibration\nerror": _number("gaps", "calibration_error"),
}
IDENTITY: Cells = {
    name: _number("identity", name.lower()) for name in ("HOTA", "DetA", "AssA", "IDF1", "IDP", "IDR")
}


def _by_occlusion(rows: Sequence[Row]) -> Cells:
    def pair(subset: str) -> Callable[[dict[str, Row]], str]:
        # Of a completely hidden instance, the hidden part is the whole.
        names = ("iou_full",) if subset == "hidden" else ("iou_full", "iou_hidden")
        return lambda subsets: _pair(subsets.get(subset, {}), names)

    return {
        f"{subset}\nn = {_count(rows, subset)}": pair(subset)
        for subset in SUBSETS[SUBSETS.index("partial") :]
    }


def _by_age(rows: Sequence[Row]) -> Cells:
    def pair(subset: str) -> Callable[[dict[str, Row]], str]:
        return lambda subsets: _pair(subsets.get(subset, {}), ("iou", "center_error"))

    return {f"{age.removeprefix('gap ')}\nn = {_count(rows, age)}": pair(age) for age in AGES}


def _count(rows: Sequence[Row], subset: str) -> int:
    return next((row["n"] for row in rows if row["subset"] == subset), 0)


def _pair(row: Row, names: Sequence[str]) -> str:
    texts = [_text(row, name, digits=2) for name in names]
    return MISSING if set(texts) == {MISSING} else "/".join(texts)


def _text(row: Row, name: str, digits: int = 3) -> str:
    value = row.get(name)
    if value is None:
        return MISSING
    text = str(value) if isinstance(value, int) else f"{value:.{digits}f}"
    return f"{text} ±{row[name + SPREAD]:.{digits}f}" if name + SPREAD in row else text


def _made_by(protocol: str, command: str, versions: dict[str, str]) -> str:
    text = f"protocol {protocol}; {command}; " + ", ".join(f"{name} {v}" for name, v in versions.items())
    return " ".join(text.splitlines())  # it is a comment of one line


def as_csv(rows: Sequence[Row], made_by: str) -> str:
    """A comment line, then one line a row, all numbers in full; what a row does not have stays empty."""
    text = io.StringIO()
    text.write(f"# {made_by}\n")
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_latex(rows: Sequence[Row], protocol: str, made_by: str) -> str:
    """A comment line, then the tables of `print_table`, for the package booktabs."""
    parts = [f"% {made_by}"]
    for grid in grids(rows, protocol):
        head = [_latex(heading.replace("\n", " ").strip()) for heading in grid.head]
        body = [" & ".join(map(_latex, line)) + r" \\" for line in grid.lines]
        columns = "l" + "r" * (len(head) - 1)
        parts += [
            f"% {grid.title}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(head) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
        ]
    return "\n".join(parts) + "\n"


def _latex(text: str) -> str:
    for plain, escaped in (("&", r"\&"), ("%", r"\%"), ("_", r"\_"), ("±", r"$\pm$"), ("|", r"$|$")):
        text = text.replace(plain, escaped)
    return text
