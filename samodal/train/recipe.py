"""Recipes: the options of a training as a TOML file, shipped (`samodal/train/recipes`) or a user's own."""

import difflib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from samodal.errors import InputError
from samodal.train.options import ModelOptions, TrainOptions

FOLDER = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Recipe:
    """What a recipe file says; what it leaves unsaid has the default."""

    start: ModelOptions
    train: TrainOptions


def read_recipe(name: str, without: tuple[str, ...] = ()) -> Recipe:
    """The recipe of that name in `samodal/train/recipes`, or in the file of that path.

    Args:
        name: "default", "reference", or the path of a TOML file.
        without: keys to overlook, because the command line says something else instead.

    Raises:
        InputError: no such recipe, or an unknown key, or a value that cannot be.
    """
    path = FOLDER / f"{name}.toml" if name in recipe_names() else Path(name)
    if not path.is_file():
        raise InputError(f"recipe {name}: neither a file nor one of the recipes {', '.join(recipe_names())}")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: cannot be read as TOML ({error})") from None
    kinds = get_type_hints(ModelOptions) | get_type_hints(TrainOptions)
    for key in values:
        if key not in kinds:
            near = difflib.get_close_matches(key, kinds, 1)
            meant = f"; is {near[0]} meant?" if near else ""
            raise InputError(f"{path}: {key} is not an option of samodal train{meant}")
    if {"steps", "epochs"} <= values.keys():
        raise InputError(f"{path}: says both steps and epochs; one of them is the length of the run")
    said = {
        key: _fitting(value, kinds[key], f"{path}: {key}")
        for key, value in values.items()
        if key not in without
    }
    of_start = {key: said.pop(key) for key in get_type_hints(ModelOptions) if key in said}
    try:
        return Recipe(ModelOptions(**of_start), TrainOptions(**said))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def recipe_names() -> list[str]:
    """The recipes that are shipped."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def _fitting(value: object, kind: Any, what: str) -> Any:
    """`value` from a TOML file as an option of this type."""
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise InputError(f"{what} = {value!r}: choose one of {', '.join(map(str, get_args(kind)))}")
        return value
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise InputError(f"{what} = {value!r}: a list is expected")
        return tuple(_fitting(one, get_args(kind)[0], what) for one in value)
    kinds = [each for each in get_args(kind) or [kind] if each is not NoneType]
    if type(value) in kinds:
        return value
    if float in kinds and type(value) is int:
        return float(value)
    raise InputError(f"{what} = {value!r}: {kinds[0].__name__} is expected")
