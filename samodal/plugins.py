"""Functions of the user's own, named on the command line as `package.module:function`."""

import os
import sys
from collections.abc import Callable
from importlib import import_module
from operator import attrgetter
from typing import Any

from samodal.errors import InputError


def load_function(name: str, what: str) -> Callable[..., Any]:
    """The function that `name` names.

    Args:
        name: "package.module:function"; the function may be an attribute of an object, "module:model.run". Modules are
            looked for where Python looks, and then in the current folder.
        what: the function is to be, for messages.

    Raises:
        InputError: no such module or function, or the module cannot be imported.
    """
    module_name, _, function = name.partition(":")
    if not module_name or not function:
        raise InputError(f"{what} {name!r}: package.module:function is expected")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        module = import_module(module_name)
    except Exception as error:  # the module is somebody else's: anything can happen in it
        missing = isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}.")
        plain = f"; without .py: {module_name[:-3]}:{function}" if module_name.endswith(".py") else ""
        reason = (
            f"no module {error.name!r}; install it, or start samodal in its folder{plain}"  # type: ignore[attr-defined]
            if missing
            else f"importing {module_name} fails: {type(error).__name__}: {error}"
        )
        raise InputError(f"{what} {name}: {reason}") from error
    try:
        found = attrgetter(function)(module)
    except AttributeError as error:
        raise InputError(f"{what} {name}: {module_name} has no {function!r}") from error
    if not callable(found):
        raise InputError(f"{what} {name}: {function!r} is a {type(found).__name__}, not a function")
    return found
