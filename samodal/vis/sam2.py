"""SAM 2 on a video: follows instances that a detector shows it, in the first frame and, as they come, in later ones."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from transformers import Sam2VideoInferenceSession, Sam2VideoModel

from samodal import masks
from samodal.backends.exported import fingerprint
from samodal.files import read_json
from samodal.frame_log import FrameLog
from samodal.video import Video, VideoTracks
from samodal.vis.boxes import Box, read_boxes
from samodal.vis.by_image import OWN, FrameByFrame
from samodal.vis.followed import Followed, Pixels, begin_session, end_frame, to_image, to_tracks
from samodal.vis.hub import load_weights
from samodal.vis.interface import Found, no_progress

EVERY = 5
"""Frames from one look of the detector to the next."""
IMAGENET = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


class Sam2:
    """A `VisibleMasks`.

    Args:
        name: a Hugging Face id or folder, such as facebook/sam2.1-hiera-tiny.
        detector: finds the instances; its sure ones that SAM 2 does not follow yet are followed from there on.
        boxes: a file with instances that are followed from where they are, see `read_boxes`.
        classes: names in the order in which they get their ids.
        device: where it runs.

    Raises:
        InputError: no such model, or not all of its weights.

    Source: Ravi et al., SAM 2: Segment Anything in Images and Videos, 2024.
    """

    def __init__(
        self,
        name: str,
        detector: FrameByFrame | None,
        boxes: Path | None,
        classes: Sequence[str],
        device: torch.device,
    ) -> None:
        self.model = load_weights(Sam2VideoModel, name, device)
        self.detector, self.boxes, self.classes, self.device = detector, boxes, classes, device
        self.pixels = Pixels(name, self.model.config.image_size, *IMAGENET)
        self.identity = {
            "weights": fingerprint(self.model),
            "device": device.type,
            "detector": detector and detector.identity,
            "boxes": boxes and read_json(boxes),
        }

    @torch.inference_mode()
    def __call__(
        self, video: Video, progress: Callable[[], None] = no_progress, log: FrameLog | None = None
    ) -> VideoTracks:
        """See `VisibleMasks`. It remembers what it has seen, and therefore cannot go on from a log."""
        boxes = {} if self.boxes is None else read_boxes(self.boxes, video)
        session = begin_session(Sam2VideoInferenceSession, video, self.device)
        followed: list[Followed] = []
        for index in range(len(video)):
            image = video[index]
            session.add_new_frame(self.pixels(image, self.device), index)
            seen = self._follow(session, index, video.size)
            found = self._new(image, seen) if index % EVERY == 0 else []
            new: list[Found | Box] = [*boxes.get(index, []), *found]
            if new:
                for number, one in enumerate(new, len(followed)):
                    self._show(session, index, number, one, video.size)
                    followed.append(Followed(one.category, one.score))
                seen = self._follow(session, index, video.size)
            for number, array in enumerate(seen):
                if array.any():
                    followed[number].masks[index] = masks.encode(array)
            end_frame(session, index, self.model.config)
            progress()
        return to_tracks(followed, video, self.classes)

    def _follow(self, session: Any, index: int, size: tuple[int, int]) -> np.ndarray:
        """The masks of all that is followed, bool (N, H, W); empty where SAM 2 says that it is not there."""
        if not session.obj_ids:
            return np.zeros((0, *size), bool)
        answer = self.model(inference_session=session, frame_idx=index)
        shown = (answer.object_score_logits.flatten() > 0).cpu().numpy()
        return to_image(answer.pred_masks[:, 0], size) & shown[:, None, None]

    def _new(self, image: np.ndarray, seen: np.ndarray) -> list[Found]:
        """What the detector is sure of and nobody follows."""
        if self.detector is None:
            return []
        known = seen.any(0) if len(seen) else np.zeros(image.shape[:2], bool)
        sure = [one for one in self.detector.look(image) if one.score >= self.detector.threshold]
        return [
            one for one in sure if not (masks.decode(one.mask) & known).sum() > OWN * masks.area(one.mask)
        ]

    def _show(self, session: Any, index: int, number: int, one: Found | Box, size: tuple[int, int]) -> None:
        """Tell the session of a new instance by its mask or box, squeezed as the image is to a square."""
        place, side = session.obj_id_to_idx(number), self.pixels.side
        if isinstance(one, Box):
            height, width = size
            corners = torch.tensor(one.corners).view(1, 1, 2, 2) * torch.tensor([side / width, side / height])
            # What SAM calls the first and the second corner of a box.
            session.add_point_inputs(
                place, index, {"point_coords": corners, "point_labels": torch.tensor([[[2, 3]]])}
            )
        else:
            array = torch.from_numpy(masks.decode(one.mask)).to(self.device).float()[None, None]
            square = F.interpolate(array, (side, side), mode="bilinear", antialias=True) >= 0.5
            session.add_mask_inputs(place, index, square)
        session.obj_with_new_inputs.append(number)
