"""The two protocols of scoring, as data: what each does, and the classes of size and occlusion it reports.

`reference` gives the numbers of the original S-AModal evaluation, quirks included, for comparison with
published tables. `strict` does the same sums without the quirks, and with classes that neither overlap nor
leave anything out.
"""

import math
from dataclasses import dataclass

from samodal.errors import InputError

Range = tuple[float, float]
"""Lowest and highest value that belong to a class, both included."""

EVERYTHING: Range = (-math.inf, math.inf)
UNKNOWN_OCCLUSION = -1.0
"""Occlusion score of a truth track without `occlude_rate`: in no class but 'all'."""


@dataclass(frozen=True)
class Protocol:
    """What a protocol does. Every switch is a quirk of the original.

    Attributes:
        name: as in the output.
        areas: class -> range of the mask area in pixels (videos: mean over the frames with a mask; images: as the
            truth file says).
        areas_of_file: (videos only) the areas of truth are those that the file says, where it says some, not those
            of its masks.
        occlusions: class -> range of the occlusion rate in [0, 1].
        zero_id_is_no_match: a match of the first prediction (which the original numbers 0 in videos, 1 in images) is
            not remembered, so that another one may match the same truth; a match with truth of id 0 counts as no match.
        stops_at_shorter: (videos only) frames beyond the shorter of two tracks do not count in their IoU.
        listed_categories_only: what is of a category that the truth file does not list is left out in
            silence.
        crowd_by_union: (videos only) the IoU with a crowd region is over the union, not over the prediction's own area.
        only_crowd_is_ignored: `ignore` of the truth file is overwritten by `iscrowd`.
        keeps_empty_truth: a truth track without a single mask counts (nothing can match it).
    """

    name: str
    areas: dict[str, Range]
    occlusions: dict[str, Range]
    areas_of_file: bool = False
    zero_id_is_no_match: bool = False
    stops_at_shorter: bool = False
    listed_categories_only: bool = False
    crowd_by_union: bool = False
    only_crowd_is_ignored: bool = False
    keeps_empty_truth: bool = False


def _above(value: float) -> float:
    """The next float: makes the lower end of a range exclusive."""
    return math.nextafter(value, math.inf)


REFERENCE = Protocol(
    name="reference",
    # Borders belong to both neighbours; 'heavy' contains 'medium'; 'all' ends at 0.75 (reference_defects
    # B31).
    areas={"all": (0.0, 1e10), "small": (0.0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)},
    occlusions={"all": (0.0, 0.75), "partial": (0.0, 0.25), "medium": (0.25, 0.5), "heavy": (0.25, 0.75)},
    areas_of_file=True,
    zero_id_is_no_match=True,
    stops_at_shorter=True,
    listed_categories_only=True,
    crowd_by_union=True,
    only_crowd_is_ignored=True,
    keeps_empty_truth=True,
)

STRICT = Protocol(
    name="strict",
    areas={
        "all": EVERYTHING,
        "small": (0.0, 32**2),
        "medium": (_above(32**2), 96**2),
        "large": (_above(96**2), math.inf),
    },
    occlusions={
        "all": EVERYTHING,
        "partial": (_above(0.0), 0.25),
        "medium": (_above(0.25), 0.5),
        "heavy": (_above(0.5), 0.75),
        "unoccluded": (0.0, 0.0),
        "extreme": (_above(0.75), 1.0),
    },
)


def get_protocol(name: str) -> Protocol:
    """The protocol called `name`.

    Raises:
        InputError: no such protocol.
    """
    for protocol in (REFERENCE, STRICT):
        if protocol.name == name:
            return protocol
    raise InputError(f"protocol {name!r}: there are 'reference' and 'strict'")
