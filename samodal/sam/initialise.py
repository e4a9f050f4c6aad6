"""First weights."""

import torch
from torch import nn
from transformers.models.sam.modeling_sam import SamPositionalEmbedding

from samodal.sam.adapters import Bottleneck, PromptGenerator
from samodal.sam.encoder import ImageEncoder
from samodal.sam.lora import initialise_lora


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draw new weights for `module` and all in it. Adapters start so that they change nothing."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(part.weight, generator=generator)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Embedding):
            nn.init.normal_(part.weight, generator=generator)
        elif isinstance(part, SamPositionalEmbedding):
            # transformers draws it with a deviation of half the encoder's width: frequencies far too high to
            # learn from; segment-anything's is 1.
            nn.init.normal_(part.positional_embedding, generator=generator)
        elif isinstance(part, ImageEncoder) and part.pos_embed is not None:
            nn.init.trunc_normal_(part.pos_embed, std=0.02, generator=generator)
    for part in module.modules():
        if isinstance(part, PromptGenerator | Bottleneck):
            for layer in part.last_layers:
                nn.init.zeros_(layer.weight)
    initialise_lora(module, generator)


def initialise_adapters(model: nn.Module, seed: int) -> None:
    """Draw new weights for the adapters of a model, and for nothing else."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, PromptGenerator | Bottleneck):
            initialise(module, generator)
    initialise_lora(model, generator)
