"""The amodal SAM: model, adapters, checkpoints."""

from samodal.sam.answers import Decoded, FrameEmbedding
from samodal.sam.config import AmodalSamConfig, nano_config, vit_config
from samodal.sam.model import AmodalSam

__all__ = ["AmodalSam", "AmodalSamConfig", "Decoded", "FrameEmbedding", "nano_config", "vit_config"]
