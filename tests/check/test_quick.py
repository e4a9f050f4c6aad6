from pathlib import Path

import pytest
from toys import toy_clip

from samodal.check.quick import quick_check
from samodal.data import open_dataset
from samodal.data.clip import Clip
from samodal.data.write.asd_sequence import write_sequence
from samodal.errors import InputError
from samodal.train.run import _refuse_faults


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for split, count in (("train", 3), ("val", 1)):
        for number in range(count):
            clip = toy_clip(number)
            frames = ((clip.video[frame], clip.instances(frame)) for frame in range(len(clip)))
            write_sequence(
                tmp_path, split, "front", f"{number + 10 * (split == 'val'):014d}_Clear_Toy", frames, {}
            )
    return tmp_path


def sets(root: Path) -> dict:
    return {split: open_dataset("asd", root, split) for split in ("train", "val")}


def test_all_is_well(root: Path, capsys: pytest.CaptureFixture) -> None:
    assert quick_check(sets(root), 60) == ([], 4, 4)
    _refuse_faults(root, sets(root))
    assert "no errors in 4 of 4 clips" in capsys.readouterr().out


def test_a_fault_is_refused(root: Path) -> None:
    found = sets(root)
    next(root.glob("val/**/*_aminseg.json")).unlink()
    with pytest.raises(InputError, match=r"images without annotations.*samodal check.*--no-check"):
        _refuse_faults(root, found)


def test_it_ends_when_the_time_is_over(root: Path, capsys: pytest.CaptureFixture) -> None:
    assert quick_check(sets(root), 0)[1:] == (1, 4)


def test_clips_that_cannot_be_read_are_faults() -> None:
    def broken(_: int) -> list:
        raise InputError("toy.json: cut off")

    clip = toy_clip()
    findings, _, _ = quick_check({"train": [Clip("broken", clip.video, broken), clip]}, 60)
    assert [str(finding) for finding in findings] == ["error: videos that cannot be read: toy.json: cut off"]
