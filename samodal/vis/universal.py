"""Instances in single images by Mask2Former, MaskFormer and EoMT, as `transformers` has them."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from samodal.data.asd import CATEGORIES
from samodal.errors import InputError
from samodal.vis.hub import load_weights

KINDS = ("mask2former", "maskformer", "eomt", "eomt_dinov3")
"""The model types in `config.json`."""
AT_ONCE = 16
"""Masks that are brought to the size of the image together; bounds the memory."""


class UniversalSegmenter:
    """An `InstanceSegmenter`: every query of the model is one instance or none.

    Its score is the probability of its class times how sure the model is of the pixels of its mask.

    Args:
        name: a Hugging Face id or folder, trained for instance or panoptic segmentation.
        classes: names of classes; empty: the road users that the model knows.
        least: scores below are left out.
        device: where it runs.

    Raises:
        InputError: no such model, not all of its weights, or it does not know a class.

    Source: Cheng et al., CVPR 2022 (Mask2Former), on what a score is.
    """

    def __init__(self, name: str, classes: Sequence[str], least: float, device: torch.device) -> None:
        from transformers import AutoImageProcessor, AutoModelForUniversalSegmentation

        self.model = load_weights(AutoModelForUniversalSegmentation, name, device)
        self.least, self.device = least, device
        self.names = wanted_classes(self.model.config.id2label, classes, name)
        try:
            # The other backend is torchvision, which is not asked for, and differs in the last bits.
            self.processor: Any = AutoImageProcessor.from_pretrained(name, backend="pil")
        except (OSError, ValueError, ImportError) as error:
            raise InputError(f"--vis.model {name}: no usable preprocessor_config.json ({error})") from error
        self._shown = lru_cache(maxsize=4)(self._shown_part)

    @torch.inference_mode()
    def __call__(self, image: np.ndarray) -> list[tuple[np.ndarray, str, float]]:
        """See `InstanceSegmenter`."""
        inputs = self._prepare(image).to(self.device)
        answer = self.model(**inputs)
        scores, labels = answer.class_queries_logits[0].float().softmax(-1)[:, :-1].max(-1)
        logits = answer.masks_queries_logits[0].float()
        inside = logits > 0
        scores = scores * (logits.sigmoid() * inside).sum((1, 2)) / inside.sum((1, 2)).clamp(min=1)
        known = torch.tensor(sorted(self.names), device=self.device)
        kept = torch.nonzero((scores >= self.least) & torch.isin(labels, known))[:, 0]
        found = []
        for part in kept.split(AT_ONCE):
            shapes = self._to_image(logits[part], tuple(inputs["pixel_values"].shape[-2:]), image.shape[:2])
            facts = zip(labels[part].tolist(), scores[part].tolist(), strict=True)
            for shape, (label, score) in zip((shapes > 0).cpu().numpy(), facts, strict=True):
                found.append((shape, self.names[label], min(score, 1.0)))
        return found

    def _prepare(self, image: np.ndarray, **options: Any) -> Any:
        inputs = self.processor(
            images=image, input_data_format="channels_last", return_tensors="pt", **options
        )
        return inputs.__class__({key: inputs[key] for key in ("pixel_values", "pixel_mask") if key in inputs})

    def _to_image(self, logits: Tensor, prepared: tuple[int, ...], size: tuple[int, ...]) -> Tensor:
        """Mask logits (N, h, w) as the model gives them -> (N, H, W) of the image, without what padding showed."""
        shown = self._shown(size)
        if shown != prepared:
            logits = F.interpolate(logits[:, None], prepared, mode="bilinear")[:, 0, : shown[0], : shown[1]]
        return F.interpolate(logits[:, None], size, mode="bilinear")[:, 0]

    def _shown_part(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """Height and width that an image of `size` takes in what the model is shown; padding is right and below."""
        white = np.full((*size, 3), 255, np.uint8)
        pixels = self._prepare(white, do_rescale=False, do_normalize=False)["pixel_values"][0, 0] > 0
        return int(pixels.any(1).sum()), int(pixels.any(0).sum())


def wanted_classes(labels: dict[int, str], classes: Sequence[str], name: str) -> dict[int, str]:
    """Label -> name of those labels of a model that are wanted; without `classes`, the road users.

    Raises:
        InputError: the model does not know a class, or no road users.
    """
    wanted = [one.lower() for one in classes or CATEGORIES.values()]
    found = {int(label): text.lower() for label, text in labels.items() if text.lower() in wanted}
    missing = [one for one in classes if one.lower() not in found.values()]
    if missing or not found:
        known = ", ".join(list(dict.fromkeys(labels.values()))[:40]) + (", ..." if len(labels) > 40 else "")
        what = f"does not know {', '.join(missing)}" if missing else "knows no road users"
        raise InputError(f"--vis.classes: {name} {what}; choose from: {known}")
    return found
