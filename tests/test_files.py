import errno
import os
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from samodal.errors import InputError
from samodal.files import filling, read_json, replacing, try_folder, write_json


def test_replacing_leaves_nothing_on_error(tmp_path):
    target = tmp_path / "result.json"
    target.write_text("old")

    def fails():
        with replacing(target) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_replacing_makes_folders_and_keeps_the_suffix(tmp_path):
    target = tmp_path / "new" / "clip.mp4"
    with replacing(target) as temporary:
        assert temporary.suffix == ".mp4"
        assert temporary.parent == target.parent
        temporary.write_bytes(b"all of it")
    assert target.read_bytes() == b"all of it"
    assert list(target.parent.iterdir()) == [target]


def test_json_round_trip(tmp_path):
    value = {"a": [1, 2.5, None], "é": "ü"}
    write_json(tmp_path / "value.json", value)
    assert read_json(tmp_path / "value.json") == value


def test_json_that_is_not_json_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "value.json", float("nan"))
    with pytest.raises(TypeError):
        write_json(tmp_path / "value.json", object())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"), [(b'[{"a": 1}, {"b"', "cut off"), (b"\xff\xfe\x00", "as text")]
)
def test_broken_json_names_the_file(tmp_path, content, message):
    path = tmp_path / "results.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"results\.json.*{message}"):
        read_json(path)


def test_missing_json(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_json(tmp_path / "nothing.json")


@pytest.mark.parametrize("way", [replacing, filling])
@pytest.mark.parametrize("place", ["file/x.json", "file/folder/x.json", "x" * 300 + ".json"])
def test_a_place_that_cannot_be_written_to_is_bad_usage(tmp_path, way, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"x\.json: cannot be written to \(.*\); choose another place$"):
        enter(way(tmp_path / place))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_is_no_folder_and_a_folder_no_file(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"file: cannot be written to \(Not a directory\)"):
        enter(filling(tmp_path / "file"))
    with pytest.raises(InputError, match=r"folder: cannot be written to \(Is a directory\)"):
        enter(replacing(tmp_path / "folder"))
    with pytest.raises(InputError, match="file/new: cannot be written to"):
        try_folder(tmp_path / "file" / "new")


def test_a_file_in_the_way_of_a_folder_is_kept(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_text("kept")

    def fill():
        with filling(tmp_path / "out") as temporary:
            write_json(temporary / "a" / "b.json", 1)

    with pytest.raises(InputError, match=r"b\.json: cannot be written to"):
        fill()
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "a"]
    assert (tmp_path / "out" / "a").read_text() == "kept"


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_what_the_system_forbids_is_bad_usage(tmp_path, monkeypatch, code):
    break_temporary_files(monkeypatch, code)
    for way in (replacing, filling):
        with pytest.raises(InputError, match=os.strerror(code)):
            enter(way(tmp_path / "x"))


def test_a_full_disk_is_not(tmp_path, monkeypatch):
    break_temporary_files(monkeypatch, errno.ENOSPC)
    for way in (replacing, filling):
        with pytest.raises(OSError, match="No space left") as caught:
            enter(way(tmp_path / "x"))
        assert not isinstance(caught.value, InputError)


def test_trying_a_folder_leaves_nothing(tmp_path):
    try_folder(tmp_path / "a" / "b")
    try_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []


def break_temporary_files(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    for name in ("mkstemp", "mkdtemp", "TemporaryFile"):
        monkeypatch.setattr(tempfile, name, fails)


def enter(way: AbstractContextManager[Path]) -> None:
    with way:
        pass
