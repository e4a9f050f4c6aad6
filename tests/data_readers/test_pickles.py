import collections
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from samodal.data.pickles import read_pickle
from samodal.errors import InputError

PLAIN = {
    "text": "ä", "bytes": b"\x00\xff", "none": b"", "set": {1, 2}, "frozen": frozenset([3]), 3: (1, 2.5, None, True),
    "rows": np.arange(6).reshape(2, 3), "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "swapped": np.arange(4, dtype=">f4"), "names": np.array(["ab", "c"]), "nothing": np.zeros((0, 3)),
    "scalar": np.array(5), "number": np.float32(3.5), "truth": np.bool_(True), "list": [[1], {"a": [2]}],
}  # fmt: skip


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_and_arrays(tmp_path, protocol):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(PLAIN, protocol))
    found = read_pickle(path)
    assert found.keys() == PLAIN.keys()
    for key, value in PLAIN.items():
        if isinstance(value, np.ndarray):
            assert np.array_equal(found[key], value), key
            assert found[key].shape == value.shape
        else:
            assert (found[key], type(found[key])) == (value, type(value))


class Runs:
    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


class Array:
    def __init__(self, state):
        self.state = state

    def __reduce__(self):
        return np.zeros(1).__reduce__()[0], (np.ndarray, (0,), b"b"), self.state


EVIL = {
    "system": Runs(os.system, "touch mark"),
    "eval": Runs(eval, "open('mark', 'w')"),
    "getattr": Runs(getattr, "text", "upper"),
    "in a key": {("a", Runs(os.system, "touch mark")): 1},
    "in an array": np.array([Runs(os.system, "touch mark")], object),
    "path": Path("a"),
    "counter": collections.Counter("ab"),
    "structured": np.array([(1, 2)], dtype=[("a", "i4"), ("b", "i4")]),
    "time": np.array(["2020-01-01"], "datetime64[D]"),
    "shape beyond its bytes": Array((1, (10**15,), np.dtype("u1"), False, b"abc")),
    "negative shape": Array((1, (-3, -1), np.dtype("u1"), False, b"abc")),
    "pointers": Array((1, (1,), np.dtype("O"), False, b"12345678")),
    "many bytes": Runs(bytes, 10**6),
}


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_nothing_is_run(tmp_path, monkeypatch, name, protocol):
    monkeypatch.chdir(tmp_path)
    Path("evil.pkl").write_bytes(pickle.dumps(EVIL[name], protocol))
    with pytest.raises(InputError, match=r"evil\.pkl: not a pickle of plain values") as error:
        read_pickle("evil.pkl")
    assert "\n" not in str(error.value)
    assert os.listdir() == ["evil.pkl"]


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x04", pickle.dumps([1, 2])[:-2], b"cos\nsystem\n(S'x'\ntR.", b"{]}"]
)
def test_broken_files(tmp_path, content):
    path = tmp_path / "a.pkl"
    path.write_bytes(content)
    with pytest.raises(InputError, match="nothing in it was run"):
        read_pickle(path)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_pickle(tmp_path / "a.pkl")
