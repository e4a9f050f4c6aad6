import tomllib
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from samodal import cli
from samodal.errors import InputError
from samodal.train.options import ModelOptions, TrainOptions
from samodal.train.recipe import FOLDER, Recipe, read_recipe, recipe_names

TRAIN = ["train", "asd", "--root", "data", "--model", "samodal-nano"]


def parsed(*flags: str) -> cli.Train:
    command = cli._parse([*TRAIN, *flags])
    assert isinstance(command, cli.Train)
    return command


def test_the_default_recipe_says_what_the_defaults_are() -> None:
    assert read_recipe("default") == Recipe(ModelOptions(), TrainOptions())
    said = tomllib.loads((FOLDER / "default.toml").read_text())
    defaults = asdict(TrainOptions())
    assert {name for name, value in defaults.items() if value is not None} <= said.keys()
    assert recipe_names() == ["default", "reference"]


def test_the_reference_recipe_is_the_command_of_the_readme() -> None:
    start, options = read_recipe("reference").start, read_recipe("reference").train
    assert start.adapter == "sam-adapter"
    assert (options.train, options.optimiser, options.lr, options.batch) == ("decoder", "adamw", 1e-5, 1)
    assert (options.epochs, options.warmup, options.schedule) == (10, 200, "reference")
    assert (options.weight_decay, options.decay, options.clip_norm) == (5e-4, "all", 0)
    assert (options.loss, options.loss_size, options.focal_weight) == ("reference", "frame", 20)


def test_flags_win_over_the_recipe() -> None:
    command = parsed("--recipe", "reference", "--lr", "1e-3", "--adapter", "none")
    assert (command.options.lr, command.options.warmup, command.start.adapter) == (1e-3, 200, "none")
    assert command.options.epochs == 10
    steps = parsed("--steps", "7", "--recipe=reference").options
    assert steps == replace(read_recipe("reference").train, epochs=None, steps=7)
    assert parsed("--epochs", "3").options.epochs == 3
    with pytest.raises(InputError, match="--steps and --epochs"):
        parsed("--epochs", "3", "--steps=5")


def test_help_shows_the_values_of_the_recipe(capsys: pytest.CaptureFixture) -> None:
    assert cli.run(["train", "--recipe", "reference", "--help"]) == 0
    reference = capsys.readouterr().out
    assert "1e-05" in reference
    assert "0.0003" not in reference
    assert cli.run(["train", "--help"]) == 0
    assert "0.0003" in capsys.readouterr().out


def test_a_recipe_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'adapter = "lora"\nadapter_dim = 4\nlr = 1\nprompt_kinds = ["points", "mask"]\nsteps = 3\n'
    )
    recipe = read_recipe(str(path))
    assert recipe.start == ModelOptions("lora", 4, prompt_kinds=("points", "mask"))
    assert recipe.train == TrainOptions(lr=1.0, steps=3)
    assert parsed("--recipe", str(path), "--epochs", "2").options == TrainOptions(lr=1.0, epochs=2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rate = 1", "learning_rate is not an option"),
        ("optimizer = 'adam'", "optimizer is not an option .* is optimiser meant"),
        ("optimiser = 'sgd'", "optimiser = 'sgd': choose one of adamw"),
        ("lr = 'high'", "lr = 'high': float is expected"),
        ("batch = 1.5", "batch = 1.5: int is expected"),
        ("augment = 1", "augment = 1: bool is expected"),
        ("prompt_kinds = 'points'", "a list is expected"),
        ("lr = -1", "lr -1.0: must be above 0"),
        ("steps = 1\nepochs = 1", "both steps and epochs"),
        ("lr = ", "cannot be read as TOML"),
    ],
)
def test_what_a_recipe_cannot_say(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=f"mine.toml.*{message}"):
        read_recipe(str(path))


def test_no_such_recipe(capsys: pytest.CaptureFixture) -> None:
    assert cli.run([*TRAIN, "--recipe", "best"]) == 2
    assert "recipe best: neither a file nor one of the recipes default, reference" in capsys.readouterr().err
