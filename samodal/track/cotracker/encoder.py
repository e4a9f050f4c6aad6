"""The image encoder that all versions of CoTracker share: one frame in, one vector of 128 for every 4 x 4 pixels.

CoTracker (arXiv 2307.07635), section 3.1: "image features"; CoTracker3 (arXiv 2410.11831) keeps it unchanged.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDE = 4  # pixels of the image for one of the feature map
CHANNELS = 128
LEVELS = 4  # of the pyramid, each half the size of the one before


class Encoder(nn.Module):
    """A residual network whose four stages are all brought to a quarter of the image's size and mixed."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3)
        self.layer1 = _stage(64, 64, stride=1)
        self.layer2 = _stage(64, 96, stride=2)
        self.layer3 = _stage(96, 128, stride=2)
        self.layer4 = _stage(128, 128, stride=2)
        self.conv2 = nn.Conv2d(64 + 96 + 128 + 128, 2 * CHANNELS, 3, padding=1)
        self.conv3 = nn.Conv2d(2 * CHANNELS, CHANNELS, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Encode images (B, 3, H, W), RGB from 0 to 255, to (B, 128, H/4, W/4) in the dtype of the weights."""
        size = images.shape[-2] // STRIDE, images.shape[-1] // STRIDE
        x = (2 * (images / 255) - 1).to(self.conv1.weight.dtype)
        x = F.relu(F.instance_norm(self.conv1(x)))
        stages = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            stages.append(F.interpolate(x, size, mode="bilinear", align_corners=True))
        return self.conv3(F.relu(F.instance_norm(self.conv2(torch.cat(stages, dim=1)))))


class _ResidualBlock(nn.Module):
    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.downsample = nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride)) if stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(F.instance_norm(self.conv1(x)))
        y = F.relu(F.instance_norm(self.conv2(y)))
        shortcut = x if self.downsample is None else F.instance_norm(self.downsample(x))
        return F.relu(shortcut + y)


def _stage(channels_in: int, channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(_ResidualBlock(channels_in, channels, stride), _ResidualBlock(channels, channels, 1))


def pyramid(features: Tensor) -> list[Tensor]:
    """Average-pool (B, C, h, w) to four levels, channels last: (B, h, w, C), (B, h/2, w/2, C), ..."""
    levels = [features]
    for _ in range(LEVELS - 1):
        levels.append(F.avg_pool2d(levels[-1], 2))
    return [level.permute(0, 2, 3, 1).contiguous() for level in levels]
