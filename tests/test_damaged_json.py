"""Damaged YouTube-VIS and COCO files, converted."""

import copy
from pathlib import Path

import numpy as np
import pytest
from damage import Cases, Spoil, assert_one_line_and_nothing_left

from samodal import masks

CASES = Cases()
TRUTH = "convert youtube-vis.json out --from youtube-vis --to coco"
RESULTS = "convert youtube-vis-results.json out --from youtube-vis --to youtube-vis-results"
COCO = "convert coco.json out --from coco --to youtube-vis"


@CASES.damage(TRUTH, says="youtube-vis.json: not valid JSON", name="JSON that is cut off")
def _(folder: Path) -> None:
    text = (folder / "youtube-vis.json").read_text()
    (folder / "youtube-vis.json").write_text(text[: len(text) // 2])


@CASES.damage(TRUTH, says="not valid JSON", name="JSON nested without end")
def _(folder: Path) -> None:
    (folder / "youtube-vis.json").write_text("[" * 100_000)


@CASES.damage(TRUTH, says="cannot be read as text", name="bytes instead of text")
def _(folder: Path) -> None:
    (folder / "youtube-vis.json").write_bytes(bytes(range(256)))


@CASES.damage(TRUTH, says="unknown format", name="JSON of something else")
def _(folder: Path) -> None:
    (folder / "youtube-vis.json").write_text('{"images": 5}')


@CASES.json_damage("youtube-vis.json", TRUTH, says="mask of size", name="RLE of another size")
def _(truth: dict) -> None:
    truth["annotations"][0]["segmentations"][0] = masks.encode(np.ones((4, 4), bool))


@CASES.json_damage("youtube-vis.json", TRUTH, says="broken RLE", name="RLE that is cut off")
def _(truth: dict) -> None:
    rle = truth["annotations"][0]["segmentations"][0]
    rle["counts"] = rle["counts"][:-2]


@CASES.json_damage("youtube-vis.json", TRUTH, says="broken RLE", name="run lengths beyond all numbers")
def _(truth: dict) -> None:
    truth["annotations"][0]["segmentations"][0]["counts"] = [10**30, 5]


@CASES.json_damage("youtube-vis.json", TRUTH, says="broken RLE", name="negative run lengths")
def _(truth: dict) -> None:
    truth["annotations"][0]["segmentations"][0]["counts"] = [-5, 5 + 48 * 64]


@CASES.json_damage("youtube-vis.json", TRUTH, says="broken polygon", name="polygons of two corners")
def _(truth: dict) -> None:
    truth["annotations"][0]["segmentations"][0] = [[1, 1, 5, 5]]


@CASES.json_damage("youtube-vis.json", TRUTH, says="'video_id' is None", name="a missing key")
def _(truth: dict) -> None:
    del truth["annotations"][1]["video_id"]


@CASES.json_damage("youtube-vis.json", TRUTH, says="'category_id' is 'car'", name="a class in words")
def _(truth: dict) -> None:
    truth["annotations"][1]["category_id"] = "car"


@CASES.json_damage("youtube-vis.json", TRUTH, says="no list 'segmentations'", name="masks that are no list")
def _(truth: dict) -> None:
    truth["annotations"][0]["segmentations"] = {"0": None}


@CASES.json_damage(
    "youtube-vis.json", TRUTH, says="2 values, but toy has 3 frames", name="masks of another length"
)
def _(truth: dict) -> None:
    truth["annotations"][0]["segmentations"].pop()


@CASES.json_damage(
    "youtube-vis.json", TRUTH, says="'length' 1000000000000", name="a length beyond all memory"
)
def _(truth: dict) -> None:
    truth["videos"][0].update(length=10**12, file_names=[])


@CASES.json_damage("youtube-vis.json", TRUTH, says="is no (height, width)", name="a size beyond all memory")
def _(truth: dict) -> None:
    truth["videos"][0].update(height=10**9, width=10**9)


@CASES.json_damage(
    "youtube-vis.json", TRUTH, says="two entries for video 1; ids must differ", name="a video twice"
)
def _(truth: dict) -> None:
    truth["videos"].append(copy.deepcopy(truth["videos"][0]))


@CASES.json_damage("youtube-vis.json", TRUTH, says="track id 1 occurs twice", name="a track twice")
def _(truth: dict) -> None:
    truth["annotations"].append(copy.deepcopy(truth["annotations"][0]))


@CASES.json_damage("youtube-vis.json", TRUTH, says="which is not in 'videos'", name="a track of no video")
def _(truth: dict) -> None:
    truth["annotations"][0]["video_id"] = 77


@CASES.json_damage("youtube-vis.json", TRUTH, says="'video_id' is -77", name="a negative id of a video")
def _(truth: dict) -> None:
    truth["annotations"][0]["video_id"] = -77


@CASES.json_damage("youtube-vis.json", TRUTH, says="'occlude_rate' is", name="occlusion rates in words")
def _(truth: dict) -> None:
    del truth["annotations"][0]["visible_segmentations"]
    truth["annotations"][0]["occlude_rate"] = ["much", None, 0.5]


@CASES.json_damage(
    "youtube-vis-results.json", RESULTS, says="'score' is nan", name="scores that are no numbers"
)
def _(results: list) -> None:
    results[0]["score"] = float("nan")


@CASES.json_damage("youtube-vis-results.json", RESULTS, says="'states' can be", name="states that are none")
def _(results: list) -> None:
    results[0]["states"] = ["asleep"] * 3


@CASES.json_damage("coco.json", COCO, says="not in 'images'", name="an annotation of no image")
def _(truth: dict) -> None:
    truth["annotations"][0]["image_id"] = 99


@CASES.json_damage("coco.json", COCO, says="image id 1 occurs twice", name="an image twice")
def _(truth: dict) -> None:
    truth["images"][1]["id"] = truth["images"][0]["id"]


@CASES.json_damage("coco.json", COCO, says="'score' is inf", name="an infinite score")
def _(truth: dict) -> None:
    truth["annotations"][0]["score"] = float("inf")


for place, trick in enumerate(
    ("../../evil", "/tmp/evil", "a/../../evil", "..", ".hidden", "a\\evil", "e\0", "x" * 999)
):
    for target in ("mots", "davis") if place < 2 else ("mots",):

        def spoil(truth: dict, trick: str = trick) -> None:
            truth["videos"][0]["name"] = trick

        CASES.json_damage(
            "youtube-vis.json",
            f"convert youtube-vis.json out --from youtube-vis --to {target} --masks visible",
            says="cannot name a file",
            name=f"path trick {trick[:12]!a} to {target}",
        )(spoil)


@pytest.mark.parametrize(("spoil", "command", "says"), CASES)
def test_damaged_json_gives_one_line_and_leaves_nothing(
    undamaged: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    spoil: Spoil,
    command: str,
    says: str,
) -> None:
    assert_one_line_and_nothing_left(undamaged, tmp_path, monkeypatch, capsys, (spoil, command, says))
