"""Pickles read without running anything in them: plain values and numpy arrays of numbers, or one clear error."""

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np

from samodal.errors import InputError


def read_pickle(path: str | Path) -> Any:
    """Read a pickle of dicts, lists, tuples, sets, numbers, text, bytes and numpy numbers, text and arrays.

    Nothing that the file names is imported or called. What numpy itself would do to rebuild an array is not
    called either, since it believes whatever shape, type and flags the file says.

    Raises:
        InputError: the file is not there, is cut off, or holds anything else.
    """
    try:
        with Path(path).open("rb") as file:
            return _PlainUnpickler(file).load()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except Exception as error:  # a broken pickle can raise anything
        raise InputError(
            f"{path}: not a pickle of plain values and arrays ({type(error).__name__}: {error!s:.150}); "
            "nothing in it was run"
        ) from None


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        known = KNOWN.get((re.sub(r"^numpy\._core\b", "numpy.core", module), name))
        if known is None:
            raise pickle.UnpicklingError(f"asks for {module}.{name}")
        return known


class _Type:
    """Stands for a numpy dtype; only numbers, truth values and text."""

    def __init__(self, code: Any) -> None:
        if not isinstance(code, str) or not re.fullmatch(r"(b1|[iuf][1248]|[US][0-9]{1,9})", code):
            raise pickle.UnpicklingError(f"array of type {code!r}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array(np.ndarray):
    """An array that is filled from bytes which fit its shape exactly."""

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, data = state
        filled = _from_bytes(data, kind, shape, "F" if fortran else "C")
        state = (1, filled.shape, filled.dtype, bool(fortran), filled.tobytes("A"))
        super().__setstate__(state)


def _from_bytes(data: Any, kind: Any, shape: Any, order: str = "C") -> np.ndarray:
    if not isinstance(kind, _Type) or not isinstance(data, bytes | bytearray | str):
        raise pickle.UnpicklingError("array without plain type and bytes")
    raw = data.encode("latin-1") if isinstance(data, str) else bytes(data)  # text: written by Python 2
    return np.frombuffer(raw, kind.dtype).reshape(shape, order="F" if order == "F" else "C")


def _type(code: Any, *_: Any) -> _Type:
    return _Type(code)


def _new_array(*_: Any) -> np.ndarray:
    return np.zeros(0, np.uint8).view(_Array)


def _scalar(kind: Any, data: Any) -> Any:
    return _from_bytes(data, kind, (1,))[0]


def _bytes(value: Any, encoding: Any) -> bytes:
    """How protocol 2 spells bytes."""
    if not isinstance(value, str) or encoding != "latin1":
        raise pickle.UnpicklingError("bytes in an unknown spelling")
    return value.encode("latin-1")


def _no_bytes() -> bytes:
    """How protocol 2 spells no bytes."""
    return b""


def _array_class(*_: Any) -> None:
    raise pickle.UnpicklingError("array that is made in an unknown way")


KNOWN = {
    ("numpy", "dtype"): _type,
    ("numpy", "ndarray"): _array_class,  # only ever an argument
    ("numpy.core.multiarray", "_reconstruct"): _new_array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _from_bytes,
    ("_codecs", "encode"): _bytes,
    ("__builtin__", "bytes"): _no_bytes,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,  # as Python 2 called it
    ("builtins", "frozenset"): frozenset,
    ("__builtin__", "frozenset"): frozenset,
}
