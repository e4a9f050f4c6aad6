"""The training of the original's code, step for step (../shared/golden/README.md, 04 and 05)."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toys import golden_weight

from samodal.sam import AmodalSam, AmodalSamConfig
from samodal.sam.images import resized_size, scale_points, to_pixels
from samodal.train.loop import choose_trainable
from samodal.train.losses import batch_loss, mask_loss
from samodal.train.optimisers import make_optimiser
from samodal.train.options import TrainOptions
from samodal.train.recipe import read_recipe
from samodal.train.schedules import learning_rate

GOLDEN = Path(__file__).parents[1] / "data/golden"
ADAPTERS = {"normal": "none", "samadpt": "sam-adapter", "adapt": "medical-adapter"}
RUNS = json.loads((GOLDEN / "05_training/runs.json").read_text())
"""A few numbers of each recorded run."""


def reference(**changes) -> TrainOptions:
    return replace(read_recipe("reference").train, **changes)


@pytest.mark.parametrize(
    "case", json.loads((GOLDEN / "04_losses/losses.json").read_text())["cases"], ids=lambda c: c["name"]
)
def test_loss_and_gradient_are_those_of_the_original(case: dict) -> None:
    arrays = np.load(GOLDEN / "04_losses/losses.npz")
    logits = torch.from_numpy(arrays[f"{case['name']}__logits"]).requires_grad_()
    target = torch.from_numpy(arrays[f"{case['name']}__target"]).float()
    options = reference()
    valid, iou = torch.ones(target.shape[:2], dtype=torch.bool), torch.zeros(target.shape[:2])
    parts = mask_loss(
        logits, iou, target, target, valid,
        options.focal_weight, options.hidden_weight, options.iou_weight, options.loss,
    )  # fmt: skip
    for name, value in (("focal", case["focal"]), ("dice", case["dice"]), ("loss", case["total"])):
        assert parts[name].item() == pytest.approx(value, rel=1e-5, abs=1e-9), name
    parts["loss"].backward()
    expected = torch.from_numpy(arrays[f"{case['name']}__grad"])
    torch.testing.assert_close(logits.grad, expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("trace", json.loads((GOLDEN / "05_training/lr_traces.json").read_text()).values())
def test_learning_rates_are_those_of_the_original(trace: dict) -> None:
    options = reference(
        epochs=trace["epochs"],
        epoch_steps=trace["iters_per_epoch"],
        warmup=trace["warmup_period"] if trace["if_warmup"] else 0,
        lr=trace["base_lr"],
    ).in_steps(0)
    rates = [learning_rate(step, options) for step in range(options.steps + 1)]
    expected = [*trace["lr_used_per_step"], trace["lr_after_last_scheduler_step"]]
    assert rates == pytest.approx(expected, rel=1e-12)


def first_model(mode: str, config: dict, scale: float) -> AmodalSam:
    """The model that the recorded runs begin with."""
    ours = AmodalSamConfig(
        vision_config={
            "image_size": config["img_size"],
            "hidden_size": config["embed_dim"],
            "num_hidden_layers": config["depth"],
            "num_attention_heads": config["num_heads"],
            "window_size": config["window_size"],
            "global_attn_indexes": config["global_attn_indexes"],
            "output_channels": config["out_chans"],
            "num_pos_feats": config["out_chans"] // 2,
        },
        prompt_encoder_config={
            "image_size": config["img_size"],
            "hidden_size": config["out_chans"],
            "mask_input_channels": config["mask_in_chans"],
        },
        mask_decoder_config={
            "hidden_size": config["out_chans"],
            "mlp_dim": config["dec_mlp_dim"],
            "num_attention_heads": config["dec_heads"],
            "iou_head_hidden_dim": config["iou_hidden"],
        },
        adapter=ADAPTERS[mode],
        pad_before_norm=True,  # of the original's adapter block only
        mixed_embedding=True,
    )
    if mode != "adapt":
        ours.pad_before_norm = False
    names = {name: value.shape for name, value in AmodalSam(ours).to_original().items()}
    state = {name: golden_weight(name, shape, scale) for name, shape in names.items()}
    return AmodalSam.from_original(state, ADAPTERS[mode], ours).train()


def batches(samples: dict[str, np.ndarray], size: int, image_size: int) -> list[dict[str, torch.Tensor]]:
    """The recorded samples in their order, in the form of `FrameSamples`."""
    made = []
    for first in range(0, len(samples["masks"]), size):
        part = slice(first, first + size)
        target = torch.from_numpy(samples["masks"][part]).float()[:, None]
        original = tuple(target.shape[-2:])
        points = torch.from_numpy(samples["points_orig_xy"][part]).float()[:, None]
        made.append(
            {
                "pixels": torch.stack(
                    [to_pixels(image, image_size) for image in samples["images_resized"][part]]
                ),
                "points": scale_points(points, original, resized_size(original, image_size)),
                "target": target,
                "visible": torch.zeros_like(target),
                "valid": torch.ones(target.shape[:2], dtype=torch.bool),
            }
        )
    return made


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS.keys())
def test_a_run_goes_as_the_original_went(run: dict) -> None:
    facts = json.loads((GOLDEN / "05_training/config.json").read_text())
    samples = dict(np.load(GOLDEN / "05_training/samples.npz"))
    meta = run["meta"]
    model = first_model(meta["mode"], facts["config"], facts["weight_scale_s"])
    options = reference(
        lr=facts["lr"],
        epochs=facts["epochs"],
        batch=meta["batch_size"],
        optimiser={"aw": "adamw", "adam": "adam"}[meta["optimizer"]],
        warmup=facts["warmup_period"] if meta["warmup"] else 0,
        train="adapter" if meta["all_params_given_to_optimizer"] else "decoder",
    ).in_steps(facts["n_samples"])
    before = model.to_original()
    choose_trainable(model, options)
    optimiser = make_optimiser(model, options)
    losses, rates = [], []
    for step in range(options.steps):
        epoch = batches(samples, options.batch, model.image_size)
        batch = epoch[step % len(epoch)]
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, options)
        labels = torch.ones_like(batch["points"][..., 0], dtype=torch.long)
        logits, iou = model(batch["pixels"], batch["points"], labels)
        loss = batch_loss(logits[:, :, 0], iou[:, :, 0], batch, model.image_size, options)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        rates.append(optimiser.param_groups[0]["lr"])
    assert losses[:2] == pytest.approx(run["loss"][:2], rel=1e-5)
    assert losses == pytest.approx(run["loss"], rel=2e-4)
    assert rates == pytest.approx(run["lr_used"], rel=1e-12)
    after = model.to_original()
    np.testing.assert_allclose(
        after["mask_decoder.mask_tokens.weight"][0], run["final_mask_token0"], atol=2e-4
    )
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    # The bias of a key shifts all scores of a query alike: its true gradient is 0, it moves by noise only.
    assert without_keys(changed) == without_keys(run["changed"])


def without_keys(names: list[str] | set[str]) -> set[str]:
    return {name for name in names if not name.endswith("k_proj.bias")}
