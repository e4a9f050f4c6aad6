"""RAFT (arXiv 2003.12039), the optical flow of torchvision, as a point tracker."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samodal.errors import missing_extra
from samodal.sam.checkpoints import check_fit, read_original
from samodal.track.chained_flow import ChainedFlow

LICENCE = "BSD 3-Clause"
LEAST, MOST = (
    128,
    960,
)  # pixels of a side: what the network needs, and what memory bears (it grows with area squared)


def open_raft(weights: str | Path, device: str | None = None, updates: int = 12) -> ChainedFlow:
    """RAFT with weights of torchvision, large or small: the names in the file say which.

    Args:
        weights: a .pth or .safetensors file, such as raft_large_C_T_SKHT_V2-ff5fadd5.pth.
        device: None: CPU.
        updates: iterations of the network.

    Raises:
        InputError: torchvision is not there, or the weights do not fit.
    """
    models = _torchvision_models()
    state, name, _ = read_original(weights)
    is_large = any(key.startswith("mask_predictor.") for key in state)
    network = models.raft_large(weights=None) if is_large else models.raft_small(weights=None)
    check_fit(network.state_dict(), state, name)
    network.load_state_dict(state)
    return ChainedFlow(RaftFlow(network.to(device), updates), needs_weights=True, licence=LICENCE)


class RaftFlow:
    """The flow of RAFT; see `samodal.track.chained_flow.Flow`.

    Args:
        network: RAFT, as torchvision makes it: two batches of images (B, 3, H, W) from -1 to 1, H and W multiples
            of 8, give a list of flows (B, 2, H, W), the best one last.
        updates: iterations.
    """

    def __init__(self, network: nn.Module, updates: int = 12) -> None:
        self.network, self.updates = network.eval().requires_grad_(False), updates

    @torch.inference_mode()
    def __call__(self, image: np.ndarray, next_image: np.ndarray) -> np.ndarray:
        """The flow from one image to the next."""
        device = next(self.network.parameters()).device
        height, width = image.shape[:2]
        size = network_size(height, width)
        both = torch.from_numpy(np.stack([image, next_image])).to(device).permute(0, 3, 1, 2) / 127.5 - 1
        first, second = F.interpolate(both, size, mode="bilinear", antialias=True).split(1)
        flows: list[Tensor] = self.network(first, second, num_flow_updates=self.updates)
        flow = F.interpolate(flows[-1], (height, width), mode="bilinear")[0].permute(1, 2, 0)
        return (flow * flow.new_tensor([width / size[1], height / size[0]])).cpu().numpy()


def network_size(height: int, width: int) -> tuple[int, int]:
    """The size that the network sees: multiples of 8, at least 128, and where that can be, at most 960."""
    scale = max(min(1.0, MOST / max(height, width)), LEAST / min(height, width))
    return round(scale * height / 8) * 8, round(scale * width / 8) * 8


def _torchvision_models() -> Any:
    try:
        from torchvision.models import optical_flow
    except ImportError:
        raise missing_extra("torchvision", "raft", "the tracker raft") from None
    return optical_flow
