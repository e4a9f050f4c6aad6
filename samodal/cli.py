"""The command line: from words to a command of `samodal.commands`, and from what it raises to an exit code."""

import contextlib
import io
import os
import re
import sys
from itertools import pairwise
from typing import Annotated, Any, get_args

import tyro

from samodal.commands import (
    App,
    Check,
    Command,
    Convert,
    Demo,
    Download,
    Export,
    Predict,
    Score,
    Show,
    Synth,
    Train,
)
from samodal.errors import InputError, StoppedError
from samodal.train.recipe import read_recipe


def run(arguments: list[str]) -> int:
    """Parse and run one command. Returns the exit code: 0 done, 2 bad usage or input, 1 anything else.

    A training that is told to stop by a signal saves its state and exits with 128 + the number of the signal.
    """
    if arguments in (["--version"], ["-V"]):
        from samodal import __version__

        print(f"samodal {__version__}")
        return 0
    try:
        command = _parse(arguments)
        if isinstance(command, int):
            return command
        command.run()
    except InputError as error:
        print(f"samodal: {error}", file=sys.stderr)
        return 2
    except StoppedError as stop:
        print(f"samodal: {stop}", file=sys.stderr)
        return stop.exit_code
    except KeyboardInterrupt:
        print("samodal: interrupted; nothing half-written was left", file=sys.stderr)
        return 1
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        # Whoever imports transformers meets a torchvision that was built for another torch, used or not.
        print(
            f"samodal: torchvision does not fit torch ({error}): install both anew from one index, or uninstall it",
            file=sys.stderr,
        )
        return 1
    except OSError as error:
        print(f"samodal: {error.filename or 'system'}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def _parse(arguments: list[str]) -> Command | int:
    """The command that the words say, or the exit code where they ask for help.

    Raises:
        InputError: the words do not fit.
    """
    usage = io.StringIO()
    try:
        with contextlib.redirect_stderr(usage):
            return tyro.cli(
                _commands(arguments),
                prog="samodal",
                args=arguments,
                description="Amodal video instance segmentation: visible masks in, full shapes out.",
            )
    except SystemExit as stop:
        if not stop.code:
            return 0
        # tyro draws a box of several lines; the text in it, without title, frame and hints, is one.
        parts = re.split("[─-]{9,}", usage.getvalue().partition("\n")[2])
        texts = (" ".join(re.sub("[\u2500-\u257f]", " ", part).split()) for part in parts)
        text = next(filter(None, texts), "wrong usage")
        many = [
            word for before, word in pairwise(arguments) if os.path.isfile(before) and os.path.isfile(word)
        ]
        if many and text.startswith("Unrecognized options"):  # the shell has put them in place of a pattern
            text = f"{many[0]}: one file too many; put a pattern in quotes, or give the folder"
        commands = [command.__name__.lower() for command in get_args(Command)]
        command = next((f" {word}" for word in arguments[:1] if word in commands), "")
        raise InputError(f"{text}; see samodal{command} --help") from None


def _commands(arguments: list[str]) -> Any:
    """The commands as tyro takes them; what the recipe says are the defaults of `train`."""
    return (
        Annotated[Demo, tyro.conf.subcommand("demo")]
        | Annotated[Predict, tyro.conf.subcommand("predict")]
        | Annotated[Train, tyro.conf.subcommand("train", default=_train_defaults(arguments))]
        | Annotated[Synth, tyro.conf.subcommand("synth")]
        | Annotated[Score, tyro.conf.subcommand("score")]
        | Annotated[Convert, tyro.conf.subcommand("convert")]
        | Annotated[Check, tyro.conf.subcommand("check")]
        | Annotated[Download, tyro.conf.subcommand("download")]
        | Annotated[Export, tyro.conf.subcommand("export")]
        | Annotated[Show, tyro.conf.subcommand("show")]
        | Annotated[App, tyro.conf.subcommand("app")]
    )


def _train_defaults(arguments: list[str]) -> Train:
    """`train` as its recipe says, so that flags win over it and --help shows it.

    Raises:
        InputError: no such recipe, or not a right one; or steps and epochs are both said.
    """
    said = dict(zip(arguments, [*arguments[1:], ""], strict=True)) if arguments[:1] == ["train"] else {}
    said |= dict(word.split("=", 1) for word in said if word.startswith("--") and "=" in word)
    if {"--steps", "--epochs"} <= said.keys():
        raise InputError("--steps and --epochs: one of them is the length of the run")
    length = {"--steps": "epochs", "--epochs": "steps"}  # which of the recipe's is overruled
    recipe = said.get("--recipe", "default")
    values = read_recipe(recipe, without=tuple(name for flag, name in length.items() if flag in said))
    missing: Any = tyro.MISSING
    return Train(missing, missing, missing, recipe=recipe, start=values.start, options=values.train)
