"""Every fault is named, counted and placed; sound files pass in silence."""

import copy
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import tiny_sam, toy_clip

from samodal import masks
from samodal.check import check_paths, verdict
from samodal.check.findings import Finding, Findings
from samodal.check.images import check_results as check_image_results
from samodal.check.images import check_truth as check_image_truth
from samodal.check.match import check_leakage, check_match
from samodal.check.videos import check_results, check_truth
from samodal.cli import run
from samodal.convert import convert
from samodal.data.labelled import LabelledClips
from samodal.data.write import asd
from samodal.errors import InputError

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
SIZE = (12, 16)


def rle(left: int, size: tuple[int, int] = SIZE) -> masks.Rle:
    mask = np.zeros(size, bool)
    mask[3:8, left : left + 4] = True
    return masks.encode(mask)


def truth() -> dict[str, Any]:
    def annotation(number: int, video: int, left: int) -> dict[str, Any]:
        return {
            "id": number,
            "video_id": video,
            "category_id": 26,
            "iscrowd": 0,
            "segmentations": [rle(left), None, rle(left)],
            "visible_segmentations": [rle(left), None, None],
            "occlude_rate": [0.0, None, 1.0],
        }

    video = {"height": 12, "width": 16, "length": 3}
    return {
        "videos": [{"id": 1, "name": "a", **video}, {"id": 2, "name": "b", **video}],
        "categories": [{"id": 26, "name": "car"}],
        "annotations": [annotation(1, 1, 0), annotation(2, 1, 6), annotation(3, 2, 0)],
    }


def results() -> list[dict[str, Any]]:
    return [
        {"video_id": video, "category_id": 26, "score": score, "segmentations": [rle(left), None, rle(left)]}
        for video, score, left in ((1, 0.9, 0), (1, 0.8, 6), (2, 0.7, 0))
    ]


def images() -> dict[str, Any]:
    shape = {"segmentation": rle(0), "amodal_segm": rle(0), "visible_segm": rle(0), "occlude_rate": 0.0}
    return {
        "images": [{"id": n, "file_name": f"{n}.png", "height": 12, "width": 16} for n in (1, 2)],
        "categories": [{"id": 4, "name": "car"}],
        "annotations": [{"id": n, "image_id": n, "category_id": 4, "iscrowd": 0, **shape} for n in (1, 2)],
    }


def image_results() -> list[dict[str, Any]]:
    return [{"image_id": n, "category_id": 4, "score": n / 4, "segmentation": rle(n)} for n in (1, 2)]


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, [str(finding) for finding in findings]
    return findings[0]


def test_sound_files_pass_in_silence() -> None:
    assert check_truth(truth()) == check_results(results()) == check_match(truth(), results()) == []
    assert check_image_truth(images()) == check_image_results(image_results()) == []
    assert check_match(images(), image_results()) == []


def change(value: Any, path: str, new: Any) -> Any:
    """The value with what is at `path` ("annotations 0 id") set to `new`, or removed (None stands for itself)."""
    value = copy.deepcopy(value)
    *parents, last = [int(key) if key.isdigit() else key for key in path.split()]
    place = value
    for key in parents:
        place = place[key]
    if new is REMOVED:
        del place[last]
    else:
        place[last] = new
    return value


REMOVED = object()
BAD = {"size": [12, 16], "counts": "0o"}


@pytest.mark.parametrize(
    ("path", "new", "severity", "what"),
    [
        ("annotations 1 id", 1, "error", "duplicate annotation id: 1"),
        ("annotations 0 id", 0, "warning", "annotation id 0"),
        (
            "annotations 0 id",
            7.0,
            "warning",
            "'id' is written as float instead of a whole number: annotation 1",
        ),
        ("annotations 0 video_id", 9, "error", "a video that is not listed: annotation 1 .video 9"),
        ("annotations 2 category_id", 21, "error", "categories that are not listed.*: annotation 3 .21"),
        ("annotations 0 category_id", REMOVED, "error", "no 'category_id': annotation 1"),
        ("annotations 0 segmentations", [None] * 2, "error", "'segmentations' of another length.*2, not 3"),
        ("annotations 0 segmentations 0", BAD, "error", "broken masks: annotation 1 frame 0"),
        ("annotations 0 segmentations 0", rle(0, (16, 12)), "error", "another size.*16 x 12, not 12 x 16"),
        ("annotations 0 segmentations 1", masks.empty(SIZE), "warning", "empty masks that are not null"),
        (
            "annotations 0 visible_segmentations 0",
            rle(1),
            "warning",
            r"outside the amodal mask: .*\(5 pixels\)",
        ),
        ("annotations 0 visible_segmentations 1", rle(0), "warning", "visible masks without an amodal mask"),
        ("annotations 0 occlude_rate", [2, None, 0], "error", "'occlude_rate' outside"),
        (
            "annotations 0 occlude_rate",
            REMOVED,
            "warning",
            "no 'occlude_rate', which protocol reference needs",
        ),
        ("videos 1 id", 1, "error", "duplicate video id: 1"),
        ("videos 1 height", 10**9, "error", "size that no image has"),
        ("categories", [], "error", "no 'categories' are listed"),
    ],
)
def test_faults_of_truth(path: str, new: Any, severity: str, what: str) -> None:
    found = check_truth(change(truth(), path, new))
    assert any(finding.severity == severity and matches(what, finding) for finding in found), list(
        map(str, found)
    )


@pytest.mark.parametrize(
    ("path", "new", "severity", "what"),
    [
        ("0 score", 1.5, "error", r"scores outside \[0, 1\]: entry 1 \(1.5\)"),
        ("0 score", float("nan"), "error", "scores that are no numbers"),
        ("0 score", REMOVED, "error", "no 'score': entry 1"),
        ("0 video_id", -1, "error", "'video_id' is negative"),
        ("0 video_id", "1", "warning", "'video_id' is written as str"),
        (
            "1 segmentations",
            [rle(2), None, None],
            "warning",
            r"overlapping masks.*video 1 frame 0 \(10 pixels\)",
        ),
        ("1 segmentations", [None] * 4, "error", "another length"),
        ("2 segmentations", [None] * 3, "warning", "tracks without a mask: entry 3"),
    ],
)
def test_faults_of_results(path: str, new: Any, severity: str, what: str) -> None:
    found = check_results(change(results(), path, new))
    assert any(finding.severity == severity and matches(what, finding) for finding in found), list(
        map(str, found)
    )


def matches(what: str, finding: Finding) -> bool:
    return re.search(what, str(finding)) is not None


def test_equal_scores_and_too_many() -> None:
    many = [{**results()[2], "score": 1.0, "segmentations": [None, None, rle(0)]} for _ in range(101)]
    found = [str(finding) for finding in check_results(many)]
    assert any("all scores are equal (1)" in text for text in found)
    assert any("more than 100 results in a video" in text for text in found)


def test_faults_of_images() -> None:
    assert only(check_image_truth(change(images(), "annotations 1 image_id", 9))).severity == "error"
    found = only(check_image_truth(change(images(), "images 0 height", 13)))
    assert "another size than the video or image (3 times): annotation 1 segmentation" in str(found)
    assert "duplicate image id" in str(check_image_truth(change(images(), "images 1 id", 1))[0])
    assert "outside the amodal" in str(
        only(check_image_truth(change(images(), "annotations 0 visible_segm", rle(2))))
    )
    assert "no 'segmentation'" in str(
        check_image_results(change(image_results(), "0 segmentation", REMOVED))[0]
    )
    twice = [{**entry, "image_id": 1, "track_id": 5} for entry in image_results()]
    assert "duplicate track id in an image" in str(only(check_image_results(twice)))


def test_results_that_do_not_fit_their_truth() -> None:
    shifted = [{**entry, "video_id": entry["video_id"] - 1} for entry in results()]
    text = "\n".join(map(str, check_match(truth(), shifted)))
    assert "videos that are not in the truth (2 times): entry 1 (video 0)" in text
    assert "count from 0" in text
    assert "videos of the truth without any result: video 2" in text
    alone = [{**entry, "video_id": 0} for entry in results()]
    assert "count from 0" in "\n".join(map(str, check_match(truth(), alone)))
    strangers = [{**entry, "video_id": entry["video_id"] + 70} for entry in results()]
    assert "truth 1 to 2, results 71 to 72" in "\n".join(map(str, check_match(truth(), strangers)))
    genvis = [{**entry, "category_id": 3} for entry in results()]
    assert "--from genvis" in "\n".join(map(str, check_match(truth(), genvis)))
    short = [{**entry, "segmentations": entry["segmentations"][:2]} for entry in results()]
    assert "another length than the video (3 times): entry 1 (2, not 3)" in str(
        only(check_match(truth(), short))
    )
    assert "results of another kind" in str(only(check_match(truth(), image_results())))
    assert "results of another kind" in str(only(check_match(images(), results())))
    small = [{**entry, "segmentation": rle(0, (9, 16))} for entry in image_results()]
    assert "9 x 16, not 12 x 16" in str(only(check_match(images(), small)))


def test_leakage() -> None:
    assert check_leakage({"train": ["a", "b"], "val": ["c"]}) == []
    assert "in train and in val: b" in str(
        only(check_leakage({"train": ["a", "b"], "val": ["b"], "test": []}))
    )
    drives = {"train": ["2011_09_26_drive_0005_sync/1.png"], "val": ["2011_09_26_drive_0005_extract"]}
    assert "2011_09_26_drive_0005" in str(only(check_leakage(drives)))


def test_findings_of_one_kind_come_together_errors_first() -> None:
    findings = Findings()
    findings.warning("odd", "x")
    for place in "abcd":
        findings.error("bad", place)
    assert [str(finding) for finding in findings] == ["error: bad (4 times): a, b, c, ...", "warning: odd: x"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "video_id", "image_id", "score", "size", "counts", "segmentations", "segmentation"]
            ),
            inner,
        )
    ),
    max_leaves=8,
)


@given(st.lists(json_values, max_size=3), json_values)
def test_no_content_is_too_strange(entries: list[Any], value: Any) -> None:
    for check in (check_results, check_image_results):
        check(entries)
    for check in (check_truth, check_image_truth):
        check({"videos": entries, "images": entries, "annotations": entries, "categories": value})
    check_match({"videos": entries, "annotations": value, "categories": entries}, entries)


# ---- files and folders -----------------------------------------------------------------------------------


def test_amodalsynthdrive_with_the_faults_of_the_published_files() -> None:
    found = check_paths([GOLDEN / "10_datasets" / "asd_sample"])
    text = "\n".join(map(str, next(iter(found.values()))))
    assert verdict(found)[0] == 0
    assert "known to be wrong in the published files; the reader mends them (9 times)" in text
    assert "instances without any pixel (2 times)" in text


def test_a_data_set_with_new_faults(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for split, seed in (("train", 1), ("val", 2)):
        asd.write(tmp_path, LabelledClips([toy_clip(seed, frames=3)]), Counter(), split, "front")
    frame = next((tmp_path / "val").rglob("*0001_aminseg.json"))
    entries = json.loads(frame.read_text())
    entries["26000"]["category_id"] = 99
    entries["27000"]["track_id"] = entries["26000"]["track_id"]
    frame.write_text(json.dumps(entries))
    next((tmp_path / "train").rglob("*0002_rgb.png")).unlink()
    assert run(["check", str(tmp_path)]) == 2
    said = capsys.readouterr()
    for text in (
        "error: categories that are not known: toy front_full_0001: instance 26000 (99)",
        "error: duplicate track id in a frame",
        "error: annotations without an image: toy front_full_0002",
        "error: sequences that are in train and in val: toy",
        "warning: tracks whose category changes",
    ):
        assert text in said.out
    assert said.err.splitlines()[-1].startswith("samodal: check: ")


def test_two_cameras_may_share_a_folder(tmp_path: Path) -> None:
    asd.write(tmp_path, LabelledClips([toy_clip(1, frames=3)]), Counter(), "val", "front")
    for path in list(tmp_path.rglob("front_full_*")):
        path.with_name(path.name.replace("front", "left")).write_bytes(path.read_bytes())
    assert check_paths([tmp_path]) == {str(tmp_path): []}


def test_splits_as_truth_files(tmp_path: Path) -> None:
    for name in ("train.json", "val.json"):
        (tmp_path / name).write_text(json.dumps(truth()))
    found = check_paths([tmp_path / "train.json", tmp_path / "val.json"])
    assert verdict(found) == (1, 0)


def test_folders_of_masks(tmp_path: Path) -> None:
    (tmp_path / "truth.json").write_text(json.dumps(truth()))
    for form in ("mots", "davis"):
        convert(
            tmp_path / "truth.json", tmp_path / form, "youtube-vis", form, masks="visible", classes={26: 1}
        )
        assert check_paths([tmp_path / form]) == {str(tmp_path / form): []}
    with (tmp_path / "mots" / "a.txt").open("a") as file:
        file.write(f"0 1007 1 12 16 {rle(1)['counts']}\n")
    assert "overlapping visible masks: a frame 0 (15 pixels)" in str(
        only(check_paths([tmp_path / "mots" / "a.txt"]).popitem()[1])
    )


def test_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt").write_bytes(b"")
    assert "an ending that is not known; .pth" in str(
        only(check_paths([tmp_path / "model.ckpt"]).popitem()[1])
    )
    tiny_sam("none").save_pretrained(tmp_path / "sam")
    model = tiny_sam("sam-adapter")
    torch.save(model.to_original(), tmp_path / "adapted.pth")
    found = check_paths([tmp_path / "sam", tmp_path / "adapted.pth"])
    assert verdict(found)[0] == 0
    assert "prompt generator" in str(found[str(tmp_path / "adapted.pth")][0])
    state = tiny_sam("none").to_original()
    state["image_encoder.neck.0.weight"][0] = torch.nan
    torch.save(state, tmp_path / "nan.pth")
    assert "that are not finite: image_encoder.neck.0.weight" in str(
        check_paths([tmp_path / "nan.pth"]).popitem()[1][0]
    )
    state["image_encoder.neck.0.weight"] = state["image_encoder.neck.0.weight"][:, :-1]
    state |= {f"more.{place}": torch.zeros(1) for place in range(5)}
    torch.save({"model": state}, tmp_path / "odd.pth")
    text = "\n".join(map(str, check_paths([tmp_path / "odd.pth"])[str(tmp_path / "odd.pth")]))
    assert "weights unexpected (5 times): more.0, more.1, more.2, ..." in text
    assert "weights of another shape: image_encoder.neck.0.weight" in text


def test_what_cannot_be_read_does_not_keep_the_others_from_being_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "broken.json").write_text("[{")
    (tmp_path / "results.json").write_text(json.dumps(change(results(), "0 score", 1.5)))
    paths = [tmp_path / name for name in ("nowhere", "broken.json", "results.json")]
    found = check_paths(paths)
    assert list(found) == list(map(str, paths))
    assert str(only(found[str(paths[0])])) == "error: no such file or folder"
    assert "error: not valid JSON" in str(only(found[str(paths[1])]))
    assert "scores outside [0, 1]" in str(only(found[str(paths[2])]))
    assert run(["check", *map(str, paths)]) == 2
    assert "check: 3 kinds of errors" in capsys.readouterr().err
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        check_paths(paths[:1])


@pytest.mark.parametrize("whole", [False, True])
def test_labels_of_bdd100k_are_told_by_what_they_hold(tmp_path: Path, whole: bool) -> None:
    label = {"id": "7", "category": "car", "rle": rle(0)}
    frames = [
        {"name": f"v-{n}.jpg", "videoName": "v", "frameIndex": n, "labels": [label, {**label, "id": "8"}]}
        for n in range(2)
    ]
    (tmp_path / "labels.json").write_text(json.dumps({"frames": frames} if whole else frames))
    found = only(check_paths([tmp_path / "labels.json"]).popitem()[1])
    assert "overlapping visible masks (2 times): v frame 0" in str(found)


def test_other_texts_beside_the_folder_of_kitti_mots_are_none_of_it(tmp_path: Path) -> None:
    (tmp_path / "truth.json").write_text(json.dumps(truth()))
    root = tmp_path / "kitti"
    words = {"masks": "visible", "classes": {26: 1}}
    convert(tmp_path / "truth.json", root / "instances_txt", "youtube-vis", "mots", **words)
    (root / "calib_0001.txt").write_text("P0: 7.2e+02 0.0\n")
    assert check_paths([root]) == {str(root): []}
    assert convert(root, tmp_path / "back.json", "mots", "youtube-vis").videos == 2


def test_every_format_is_named_once(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for form in (None, "unheard-of"):
        with pytest.raises(InputError) as caught:
            check_paths([tmp_path / "folder"], form)
        assert str(caught.value).count("youtube-vis,") == 1
        assert str(caught.value).count(" davis,") == 1
