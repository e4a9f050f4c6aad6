"""Saliency: how much every place of an image catches the eye. One model is built in, others plug in by name."""

from typing import Protocol

import cv2
import numpy as np

from samodal.errors import InputError
from samodal.plugins import load_function


class Saliency(Protocol):
    """A saliency model: any callable like this one; docs/saliency.md shows how to plug it in."""

    def __call__(self, image: np.ndarray, /) -> np.ndarray:
        """Uint8 (H, W, 3) RGB -> (H, W) finite numbers of any scale, the higher the more salient."""
        ...


DEFAULT = "image-signature"


def image_signature(image: np.ndarray) -> np.ndarray:
    """What stands out from an image whose other parts repeat themselves; needs no weights.

    The signs alone of an image's cosine transform, transformed back, are large where something sparse stands before
    something regular.

    Args:
        image: uint8 (H, W, 3) RGB.

    Returns:
        float64 (H, W), 0 or above.

    Source: Hou, Harel, Koch: Image Signature: Highlighting Sparse Salient Regions, PAMI 2012 (Lab colours).
    """
    height, width = image.shape[:2]
    scale = min(1.0, _LONG_SIDE / max(height, width))
    # The transform needs even lengths.
    small_size = [max(2, 2 * round(side * scale / 2)) for side in (width, height)]
    small = cv2.resize(image, small_size, interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float64)
    salient = np.zeros(lab.shape[:2])
    for channel in cv2.split(lab):
        waves = cv2.dct(channel)
        waves[np.abs(waves) < _ROUNDING * np.abs(waves).max()] = 0
        salient += cv2.idct(np.sign(waves)) ** 2
    salient = cv2.GaussianBlur(salient, (0, 0), _BLUR * max(small_size))
    return np.maximum(cv2.resize(salient, (width, height), interpolation=cv2.INTER_LINEAR), 0)


_LONG_SIDE = (
    256  # pixels; the paper has 64, for gazes: an instance of a street is often smaller than such a cell
)
_BLUR = 0.02  # of the long side
_ROUNDING = 1e-9  # a coefficient below this share of the largest is a rounding error, and has no sign

MODELS: dict[str, Saliency] = {DEFAULT: image_signature}


def load_saliency(name: str) -> Saliency:
    """The saliency model of a name.

    Args:
        name: "image-signature", or "package.module:function". Modules are looked for where Python looks, and then in
            the current folder.

    Raises:
        InputError: no such model, module or function, or the module cannot be imported.
    """
    if name in MODELS:
        return MODELS[name]
    module, _, function = name.partition(":")
    if not module or not function:
        raise InputError(
            f"saliency {name!r} is not known; choose {', '.join(MODELS)}, or package.module:function"
        )
    return load_function(name, "saliency")


def saliency_map(image: np.ndarray, name: str = DEFAULT) -> np.ndarray:
    """The saliency of a frame, by the model of a name, checked.

    Args:
        image: uint8 (H, W, 3) RGB.
        name: as `load_saliency` takes it.

    Returns:
        float64 (H, W).

    Raises:
        InputError: no such model, or what it returns is no finite map of the image's height and width.
    """
    found = load_saliency(name)(image)
    try:
        values = np.asarray(found, np.float64)
    except (TypeError, ValueError) as error:  # a tensor on a GPU, a list of unequal lists
        raise InputError(f"saliency {name}: returned a {type(found).__name__}, not a numpy array") from error
    if values.shape != image.shape[:2]:
        raise InputError(
            f"saliency {name}: returned shape {values.shape} for an image of {image.shape[:2]} (height, width)"
        )
    if not np.isfinite(values).all():
        raise InputError(f"saliency {name}: returned numbers that are not finite")
    return values
