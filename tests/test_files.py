import pytest

from samodal.errors import InputError
from samodal.files import read_json, replacing, write_json


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
