"""From the names of classes to ids."""

from collections.abc import Iterable

from samodal.data.asd import CATEGORIES

OTHERS_FROM = 101


def category_ids(names: Iterable[str]) -> dict[str, int]:
    """Name -> id: those of Cityscapes, as AmodalSynthDrive has them; other classes count from 101, in their order."""
    known = {name: number for number, name in CATEGORIES.items()}
    ids: dict[str, int] = {}
    for name in dict.fromkeys(names):
        ids[name] = known.get(name, OTHERS_FROM + sum(given >= OTHERS_FROM for given in ids.values()))
    return ids
