"""SAM 3 on a video: finds every instance of classes that are given as words, and follows it."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer, Sam3VideoInferenceSession, Sam3VideoModel

from samodal import masks
from samodal.backends.exported import fingerprint
from samodal.data.asd import CATEGORIES
from samodal.errors import InputError
from samodal.frame_log import FrameLog
from samodal.video import Video, VideoTracks
from samodal.vis.followed import Followed, Pixels, begin_session, end_frame, to_image, to_tracks
from samodal.vis.hub import load_weights
from samodal.vis.interface import no_progress

ROAD_USERS = tuple(name for name in CATEGORIES.values() if name != "rider")  # whom SAM 3 calls a person, too
WORDS = 32
"""Length of a text, in tokens."""


class Sam3:
    """A `VisibleMasks`.

    Args:
        name: a Hugging Face id or folder, such as facebook/sam3.
        classes: what to look for, in words ("car", "yellow school bus"); empty: road users.
        threshold: the least score of a detection. A new track begins with those of a higher one that the checkpoint
            says (0.7).
        device: where it runs.

    Raises:
        InputError: no such model, not all of its weights, or no tokenizer beside it.

    Source: Carion et al., SAM 3: Segment Anything with Concepts, 2025.
    """

    def __init__(self, name: str, classes: Sequence[str], threshold: float, device: torch.device) -> None:
        self.model = load_weights(_Sam3Model, name, device)
        self.model.score_threshold_detection = threshold
        self.classes, self.device = tuple(classes) or ROAD_USERS, device
        self.pixels = Pixels(name, self.model.config.image_size, [0.5] * 3, [0.5] * 3)
        self.identity = {"weights": fingerprint(self.model), "device": device.type}
        self.texts = [_words(name, text) for text in self.classes]

    @torch.inference_mode()
    def __call__(
        self, video: Video, progress: Callable[[], None] = no_progress, log: FrameLog | None = None
    ) -> VideoTracks:
        """See `VisibleMasks`. It remembers what it has seen, and therefore cannot go on from a log."""
        session = begin_session(Sam3VideoInferenceSession, video, self.device)
        for text, words in zip(self.classes, self.texts, strict=True):
            number = session.add_prompt(text)
            session.prompt_input_ids[number] = words["input_ids"].to(self.device)
            session.prompt_attention_masks[number] = words["attention_mask"].to(self.device)
        followed: dict[int, Followed] = {}
        for index in range(len(video)):
            session.add_new_frame(self.pixels(video[index], self.device), index)
            answer = self.model(inference_session=session, frame_idx=index)
            hidden = answer.suppressed_obj_ids | answer.removed_obj_ids
            shown = {number: mask for number, mask in answer.obj_id_to_mask.items() if number not in hidden}
            for number, mask in shown.items():
                array = to_image(mask, video.size)[0]
                if array.any():
                    category = session.prompts[session.obj_id_to_prompt_id[number]]
                    score = float(answer.obj_id_to_score[number])
                    one = followed.setdefault(number, Followed(category, score))
                    one.masks[index] = masks.encode(array)
            # Taken back within its first frames: it was none.
            for number in answer.removed_obj_ids:
                followed.pop(number, None)
            end_frame(session, index, self.model.config.tracker_config)
            progress()
        return to_tracks(list(followed.values()), video, self.classes)


def _words(name: str, text: str) -> Any:
    """A text as SAM 3 reads it: input_ids and attention_mask, (1, WORDS) each."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError, ImportError) as error:
        raise InputError(f"--vis.model {name}: no usable tokenizer beside the weights ({error})") from error
    words = tokenizer(text, return_tensors="pt", padding="max_length", truncation=True, max_length=WORDS)
    # Without its files, transformers makes a tokenizer that knows nothing.
    if not set(words["input_ids"].flatten().tolist()) - set(tokenizer.all_special_ids):
        raise InputError(
            f"--vis.model {name}: its tokenizer knows no word of {text!r}; is tokenizer.json beside the weights?"
        )
    return words


class _Sam3Model(Sam3VideoModel):
    """Without doubles among the detections of a text, which `transformers` leaves in without the package `kernels`."""

    def run_detection(self, *arguments: Any, **named: Any) -> dict[int, dict[str, Tensor]]:
        """See `Sam3VideoModel`."""
        found = super().run_detection(*arguments, **named)
        return {
            number: {key: value[kept] for key, value in detections.items()}
            for number, detections in found.items()
            for kept in [_first_of_doubles(detections["mask"] > 0, detections["scores"], self.det_nms_thresh)]
        }


def _first_of_doubles(found: Tensor, scores: Tensor, most: float) -> Tensor:
    """Numbers of the masks (bool (N, h, w)) whose IoU with all better ones that are kept is at most `most`."""
    flat = found.flatten(1).float()
    shared = flat @ flat.T
    areas = flat.sum(1)
    iou = (shared / (areas[:, None] + areas - shared).clamp(min=1)).cpu()
    kept: list[int] = []
    for n in scores.argsort(descending=True).tolist():
        if not kept or float(iou[n, kept].max()) <= most:
            kept.append(n)
    return torch.tensor(sorted(kept), dtype=torch.long, device=found.device)
