"""Optimisers, over the weights that learn."""

from typing import Any

import torch
from torch import nn

from samodal.errors import missing_extra
from samodal.train.options import TrainOptions


def make_optimiser(model: nn.Module, options: TrainOptions) -> torch.optim.Optimizer:
    """The optimiser that `options` name, over the weights with `requires_grad`.

    Its state holds tensors and numbers only, so that it can be read back with `weights_only`.

    Raises:
        InputError: it needs a package that is not installed.
    """
    common: dict[str, Any] = {"lr": options.lr, "betas": (options.beta1, options.beta2)}
    if options.optimiser == "galore":
        return galore(_low_rank_groups(model, options), **common)
    kind = torch.optim.AdamW if options.optimiser == "adamw" else torch.optim.Adam
    return kind(_groups(_learning(model), options), **common)


def galore(groups: list[dict[str, Any]], **options: Any) -> torch.optim.Optimizer:
    """GaLore (Zhao et al. 2024, AdamW on gradients that are projected to a few directions) of pytorch-optimizer.

    Its projections become plain tensors in `state_dict` and projections again in `load_state_dict`.
    """
    try:
        from pytorch_optimizer import GaLore
        from pytorch_optimizer.optimizer.utils.galore import GaLoreProjector
    except ImportError:
        raise missing_extra("pytorch-optimizer", "galore", "optimiser galore") from None

    class SavableGaLore(GaLore):
        def state_dict(self) -> dict[str, Any]:
            saved = super().state_dict()
            return {**saved, "state": {key: _plain(values) for key, values in saved["state"].items()}}

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            super().load_state_dict(state_dict)
            for group in self.param_groups:
                for weight in group["params"]:
                    state = self.state.get(weight, {})
                    if "projector" in state:
                        state["projector"] = restored(state["projector"], group)

    def restored(plain: dict[str, Any], group: dict[str, Any]) -> GaLoreProjector:
        projector = GaLoreProjector(**{name: group[name] for name in PROJECTION})
        projector.ortho_matrix, projector.last_svd_step = plain["matrix"], plain["step"]
        return projector

    return SavableGaLore(groups, **options)


PROJECTION = ("rank", "update_proj_gap", "scale", "projection_type")


def _plain(state: dict[str, Any]) -> dict[str, Any]:
    if "projector" not in state:
        return state
    projector = state["projector"]
    return {**state, "projector": {"matrix": projector.ortho_matrix, "step": projector.last_svd_step}}


def _learning(model: nn.Module) -> list[nn.Parameter]:
    return [weight for weight in model.parameters() if weight.requires_grad]


def _groups(weights: list[nn.Parameter], options: TrainOptions) -> list[dict[str, Any]]:
    """With and without weight decay: norms and biases are not pulled to zero, unless all are to be."""
    if options.decay == "all":
        return [{"params": weights, "weight_decay": options.weight_decay}]
    return [
        {"params": [w for w in weights if w.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [w for w in weights if w.ndim <= 1], "weight_decay": 0.0},
    ]


def _low_rank_groups(model: nn.Module, options: TrainOptions) -> list[dict[str, Any]]:
    """The matrices of linear layers, whose gradients are projected, and all else."""
    matrices = {id(part.weight) for part in model.modules() if isinstance(part, nn.Linear)}
    learning = _learning(model)
    projected = {
        "params": [weight for weight in learning if id(weight) in matrices],
        "weight_decay": options.weight_decay,
        "rank": options.galore_rank,
        "update_proj_gap": options.galore_every,
        "scale": options.galore_scale,
        "projection_type": "std",
    }
    return [projected, *_groups([weight for weight in learning if id(weight) not in matrices], options)]
