import io
import sys
from dataclasses import replace

import pytest
import torch
from toys import tiny_sam

from samodal.errors import InputError
from samodal.sam import AmodalSam
from samodal.train.loop import choose_trainable
from samodal.train.optimisers import make_optimiser
from samodal.train.options import TrainOptions

OPTIONS = TrainOptions(lr=1e-2, galore_rank=3, galore_every=2, mask_prompt=0.0, box_prompt=0.0)


def run(model: AmodalSam, optimiser: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        points = torch.rand(1, 2, 1, 2, generator=generator) * 64
        logits, iou = model(
            torch.randn(1, 3, 64, 64, generator=generator), points, torch.ones(1, 2, 1).long()
        )
        (logits.square().mean() + iou.square().mean()).backward()
        optimiser.step()
        optimiser.zero_grad()


@pytest.mark.parametrize("name", ["adamw", "adam", "galore"])
def test_a_restored_optimiser_goes_on_exactly(name: str) -> None:
    options = replace(OPTIONS, optimiser=name)

    def start() -> tuple[AmodalSam, torch.optim.Optimizer]:
        model = tiny_sam()
        choose_trainable(model, options)
        return model, make_optimiser(model, options)

    whole, optimiser = start()
    before = {key: value.clone() for key, value in whole.state_dict().items()}
    run(whole, optimiser, range(5))

    first, optimiser = start()
    run(first, optimiser, range(3))  # in between two choices of GaLore's directions
    file = io.BytesIO()
    torch.save({"model": first.state_dict(), "optimiser": optimiser.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    second, optimiser = start()
    second.load_state_dict(saved["model"])
    optimiser.load_state_dict(saved["optimiser"])
    run(second, optimiser, range(3, 5))
    learning = {key for key, weight in whole.named_parameters() if weight.requires_grad}
    for key, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[key]), key
        assert key in learning or torch.equal(value, before[key]), key


def test_galore_keeps_its_state_small() -> None:
    def numbers(name: str) -> int:
        model, options = tiny_sam(), replace(OPTIONS, optimiser=name)
        choose_trainable(model, options)
        optimiser = make_optimiser(model, options)
        run(model, optimiser, range(1))
        values = [value for state in optimiser.state_dict()["state"].values() for value in state.values()]
        values += [value["matrix"] for value in values if isinstance(value, dict)]
        return sum(value.numel() for value in values if isinstance(value, torch.Tensor))

    assert numbers("galore") < 0.6 * numbers("adamw")


def test_what_decays() -> None:
    model = tiny_sam()
    choose_trainable(model, OPTIONS)
    learning = sum(weight.requires_grad for weight in model.parameters())
    for name in ("adamw", "galore"):
        for decay in ("matrices", "all"):
            options = replace(OPTIONS, optimiser=name, decay=decay, weight_decay=0.1)
            groups = make_optimiser(model, options).param_groups
            assert sum(len(group["params"]) for group in groups) == learning
            for group in groups:
                for weight in group["params"]:
                    assert group["weight_decay"] == (0.1 if decay == "all" or weight.ndim > 1 else 0)


def test_without_the_package_galore_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)
    with pytest.raises(InputError, match=r"samodal\[galore\]"):
        make_optimiser(tiny_sam(), replace(OPTIONS, optimiser="galore"))
