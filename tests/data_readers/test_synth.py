import numpy as np
import pytest

from samodal.data import open_dataset, synth
from samodal.data.synth import write_synthetic
from samodal.data.synthetic import make_clip
from samodal.errors import InputError

SIZE = (72, 128)
SETTINGS = {"frames": 2, "size": SIZE, "preset": "easy"}


def files(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_round_trip(tmp_path):
    steps = []
    write_synthetic(tmp_path, {"train": [3], "val": [5]}, **SETTINGS, progress=lambda: steps.append(1))
    assert len(steps) == 2
    train, val = open_dataset("asd", tmp_path, "train"), open_dataset("asd", tmp_path, "val")
    assert [clip.name[:15] for clip in train] == ["00000000000003_"]
    assert all(clip.name.endswith("_Synthetic") for clip in train)
    (back,) = val
    made = make_clip(5, 2, SIZE, SETTINGS["preset"])
    assert back.extra["seed"] == 5
    for frame in range(2):
        assert back.instances(frame) == made.instances(frame)
        assert np.abs(back.video[frame].astype(int) - made.video[frame]).mean() < 4  # JPEG
    assert back.truth == made.truth


def test_a_restart_does_only_what_is_missing(tmp_path, monkeypatch):
    write_synthetic(tmp_path, {"val": [1]}, **SETTINGS)
    before = files(tmp_path)
    written = []
    write = synth.write_sequence
    monkeypatch.setattr(synth, "write_sequence", lambda *job: (written.append(job[3][:14]), write(*job)))
    write_synthetic(tmp_path, {"val": [1, 2]}, **SETTINGS)
    assert written == ["00000000000002"]
    assert before.items() <= files(tmp_path).items()
    with pytest.raises(InputError, match="made with other settings"):
        write_synthetic(tmp_path, {"val": [1]}, **SETTINGS | {"frames": 4})


def test_workers_write_the_same_files(tmp_path):
    write_synthetic(tmp_path / "one", {"val": [1, 2]}, **SETTINGS)
    write_synthetic(tmp_path / "two", {"val": [1, 2]}, **SETTINGS, workers=2)
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_places_that_cannot_be_written_to_are_refused_first(tmp_path):
    with pytest.raises(InputError, match=r"--split: '\.\./x' cannot name a file"):
        write_synthetic(tmp_path / "data", {"../x": [1]}, **SETTINGS)
    (tmp_path / "file").write_text("")
    steps = []
    with pytest.raises(InputError, match="file/val: cannot be written to"):
        write_synthetic(tmp_path / "file", {"val": [1]}, **SETTINGS, progress=lambda: steps.append(1))
    assert steps == []
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
