"""`samodal train` by its words, on small data sets of several kinds."""

import json
import shutil
from pathlib import Path

import cv2
import pytest
from toys import tiny_sam

from samodal.cli import run
from samodal.train.options import TrainOptions
from samodal.train.recipe import read_recipe
from samodal.train.schedules import learning_rate

SAMPLES = Path(__file__).parents[1] / "data" / "golden" / "10_datasets"
SHORT = ("--workers", "0", "--validation-frames", "2", "--batch", "1", "--log-every", "1")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    tiny_sam("none").save_pretrained(folder)
    return str(folder)


def kins(root: Path, test_images_differ: bool = True) -> Path:
    """The sample of KINS as training and test set: as in KINS, images of both are numbered from 0."""
    for split, folder in (("train", "training"), ("test", "testing")):
        shutil.copytree(SAMPLES / "kins_sample/image_2", root / folder / "image_2")
        shutil.copy(SAMPLES / "kins_sample/update_train_2020.json", root / f"update_{split}_2020.json")
    if test_images_differ:
        for path in (root / "testing/image_2").iterdir():
            cv2.imwrite(str(path), 255 - cv2.imread(str(path)))
    return root


def train(dataset: str, root: Path, model: str, out: Path, *words: str) -> int:
    return run(["train", dataset, "--root", str(root), "--model", model, "--out", str(out), *SHORT, *words])


def test_kins_although_images_of_both_splits_have_the_same_numbers(model: str, tmp_path: Path) -> None:
    assert (
        train("kins", kins(tmp_path / "kins"), model, tmp_path / "out", "--steps", "2", "--warmup", "1") == 0
    )
    assert (tmp_path / "out/best/README.md").exists()


def test_the_same_images_to_learn_from_and_to_validate_on(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert train("kins", kins(tmp_path / "kins", False), model, tmp_path / "out") == 2
    assert "is in both train and val" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_recipe_of_the_original_on_amodalsynthdrive(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Plan, cache and log; the learning rates of golden 05 are tested for the schedule alone."""
    root = tmp_path / "data"
    for split in ("train", "val"):
        for kind in ("images", "amodal_instance_seg"):
            source = sorted((SAMPLES / "asd_sample/val" / kind / "front").iterdir())[split == "val"]
            shutil.copytree(source, root / split / kind / "front" / source.name)
    words = ("--recipe", "reference", "--epochs", "1", "--warmup", "3", "--cache", str(tmp_path / "cache"))
    assert train("asd", root, model, tmp_path / "out", *words, "--no-check") == 0
    printed = capsys.readouterr().out
    for part in (
        "  image encoder: 0 of",
        "  adapter: 0 of",
        "schedule reference, 3 steps of warm-up",
        "embeddings of the frozen encoder are kept in",
    ):
        assert part in printed
    log = [json.loads(line) for line in (tmp_path / "out/log.jsonl").read_text().splitlines()]
    rates = [line["lr"] for line in log if "lr" in line]
    said = json.loads((tmp_path / "out/options.json").read_text())
    assert len(rates) == said["steps"] == said["epoch_steps"]
    options = TrainOptions(
        **{name: said[name] for name in ("steps", "epoch_steps", "lr", "schedule", "warmup")},
        drop_every=read_recipe("reference").train.drop_every,
    )
    assert rates == pytest.approx([learning_rate(step, options) for step in range(len(rates))], rel=1e-6)
    assert rates[0] == 1e-5  # the whole rate before any warm-up
    assert len(list((tmp_path / "cache").glob("*/??/*.embedding"))) == 3  # a frame each


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--adapter", "lora", "--adapter-dim", "0"), "adapter_dim 0"),
        (("--adapter-dim", "4"), "has no adapter"),
        (("--adapter", "lora", "--lora-alpha", "nan"), "lora_alpha nan"),
        (("--lr", "inf"), "lr inf"),
        (("--steps", "3", "--epochs", "2"), "--steps and --epochs"),
        (("--recipe", "refrence"), "default, reference"),
        (("--log-every", "0"), "log_every 0"),
    ],
)
def test_words_that_cannot_be(
    words: tuple[str, ...], message: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert train("kins", kins(tmp_path / "kins"), model, tmp_path / "out", *words) == 2
    said = capsys.readouterr().err
    assert message in said
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
