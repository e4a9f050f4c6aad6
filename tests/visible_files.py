"""Small files of visible masks, and how a bad one is refused."""

import json

import numpy as np
import pytest
from PIL import Image

from samodal import masks
from samodal.data.visible import read_visible
from samodal.errors import InputError

SIZE = (12, 16)


def rectangle(left, top=3, size=SIZE):
    mask = np.zeros(size, bool)
    mask[top : top + 5, left : left + 4] = True
    return mask


def rle(left, size=SIZE):
    return masks.encode(rectangle(left, size=size))


def write(tmp_path, content, name="visible.json"):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def refuse(path, video, message, **options):
    """The error names the file and is one line."""
    with pytest.raises(InputError, match=message) as error:
        read_visible(path, video, **options)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def write_maps(folder, maps, names=("000", "001", "002")):
    folder.mkdir(exist_ok=True)
    for name, ids in zip(names, maps, strict=True):
        image = ids if isinstance(ids, Image.Image) else Image.fromarray(ids)
        image.save(folder / f"{name}.png")
    return folder


def id_map(dtype=np.uint8, **lefts):
    """A map with a rectangle for every id: `_7=3` puts id 7 at column 3."""
    ids = np.zeros(SIZE, dtype)
    for name, left in lefts.items():
        ids[rectangle(left)] = int(name[1:])
    return ids
