"""Numbers recorded from the original (../shared/golden/README.md), and the small models they belong to."""

import json
from pathlib import Path

import numpy as np
import torch
from toys import golden_weight

from samodal.sam import AmodalSam, AmodalSamConfig

TESTS = Path(__file__).parents[1]
COPIES = TESTS / "data/golden"  # a few cases, some arrays left out
SHARED = TESTS.parents[1] / "shared/golden"  # all cases, where the folder exists
ADAPTERS = {"normal": "none", "samadpt": "sam-adapter", "adapt": "medical-adapter"}


def cases(folder: str) -> list[Path]:
    """The .npz files of the cases that have a .json each."""
    files = [*(COPIES / folder).glob("*_s0.*.npz"), *(SHARED / folder).glob("*_s0.*.npz")]
    return sorted(files, key=lambda file: (file.name, str(file)))


def read(case: Path) -> tuple[dict, dict[str, np.ndarray]]:
    return json.loads(case.with_suffix(".json").read_text()), dict(np.load(case))


def weights(case: Path, scale: float) -> dict[str, torch.Tensor]:
    """The state dict of the original model of a case."""
    model = case.stem.rsplit("_s", 1)[0]
    shapes = json.loads((case.parent / f"state_dict_keys_{model}.json").read_text())
    return {name: golden_weight(name, shape, scale) for name, shape in shapes.items()}


def small_config(image: int = 128, width: int = 64, **extra) -> AmodalSamConfig:
    """The size of the goldens' whole models; `extra` are fields of AmodalSamConfig."""
    return AmodalSamConfig(
        vision_config={
            "image_size": image,
            "hidden_size": width,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "window_size": 3,
            "global_attn_indexes": [1],
            "output_channels": 32,
            "num_pos_feats": 16,
        },
        prompt_encoder_config={"image_size": image, "hidden_size": 32, "mask_input_channels": 8},
        mask_decoder_config={
            "hidden_size": 32,
            "mlp_dim": 64,
            "num_attention_heads": 4,
            "iou_head_hidden_dim": 48,
        },
        **extra,
    )


def random_model(**extra) -> AmodalSam:
    """A small model in which every weight is drawn, also those that start at zero."""
    model = AmodalSam(small_config(**extra))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.ndim > 1 and "positional" not in name:
                value.normal_(std=0.15, generator=generator)
    return model.eval()
