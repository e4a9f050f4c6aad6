import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from samodal import masks
from samodal.show.report import page, report_data, write_report
from samodal.video import Track, Video, VideoTracks

H, W, T = 48, 64, 12
RUN = {"command": "samodal predict 'a </script><b>.mp4'", "seed": 0, "versions": {"samodal": "0.1"}}
SCORES = {
    "protocol": "strict",
    "command": "samodal score videos",
    "versions": {},
    "rows": [
        {"method": "samodal", "subset": "all", "iou_full": 0.8, "gap_iou": float("nan")},
        {"method": "<i>visible</i>", "subset": "all", "iou_full": 0.7, "gap_iou": 0.1},
    ],
}


class Page(HTMLParser):
    """What a browser would see: tags with attributes, and the text in each element (by id or tag)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.text: dict[str, str] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "input", "img", "br"):
            self.open.append(dict(attrs).get("id") or tag)

    def handle_endtag(self, tag):
        self.open.pop()

    def handle_data(self, data):
        if self.open:
            self.text[self.open[-1]] = self.text.get(self.open[-1], "") + data

    @property
    def data(self) -> dict:
        return json.loads(self.text["data"])


def clip() -> tuple[Video, VideoTracks]:
    """One track: 4 frames visible, 2 half hidden, 3 hidden, 1 visible, 2 gone."""
    rng = np.random.default_rng(0)
    video = Video.from_frames(
        list(rng.integers(0, 256, (T, H, W, 3), dtype=np.uint8)), 10.0, "a <b>clip</b> & {{data}}"
    )
    full, half = np.zeros((H, W), bool), np.zeros((H, W), bool)
    full[10:30, 20:40] = half[10:30, 20:30] = True
    whole, part = masks.encode(full), masks.encode(half)
    track = Track(
        7,
        1,
        0.9,
        visible=[whole] * 4 + [part] * 2 + [None] * 3 + [whole] + [None] * 2,
        amodal=[whole] * 10 + [None] * 2,
        states=["visible"] * 6 + ["hidden"] * 3 + ["visible"] + ["gone"] * 2,
        scores=[0.9] * 10 + [None] * 2,
        reasons=[None] * 6 + ["behind </script>"] * 3 + [None] + ["left the frame"] * 2,
    )
    return video, VideoTracks((H, W), T, [track])


def written(path, *args, **kwargs) -> tuple[str, Page]:
    write_report(path, *args, **kwargs)
    text = path.read_text(encoding="utf-8")
    return text, Page(text)


def test_numbers_of_a_small_clip():
    data = report_data(*clip(), RUN, SCORES)
    assert data["summary"] == {
        "tracks": 1,
        "frames": T,
        "gaps": 1,
        "longest gap": 3,
        "masks recovered": 3,
        "mean occlusion": 0.4,
    }
    spans = data["tracks"][0]["spans"]
    assert [(look, length) for look, _, length in spans] == [
        ("visible", 4),
        ("partly", 2),
        ("hidden", 3),
        ("visible", 1),
        ("gone", 2),
    ]
    assert spans[2][1] == "behind </script>"
    assert data["tracks"][0]["occlusion"] == [0] * 4 + [0.5] * 2 + [1] * 3 + [0] + [None] * 2
    assert 6 in [picture["frame"] for picture in data["pictures"]], "the frame with most hidden is pictured"


def test_times_start_at_zero():
    video, tracks = clip()
    video.times = video.times + 100
    assert report_data(video, tracks, {})["video"]["times"][:2] == [0.0, 0.1]


def test_the_page_is_whole_and_the_data_survives(tmp_path):
    video, tracks = clip()
    _, parsed = written(tmp_path / "report.html", video, tracks, RUN, SCORES)
    assert parsed.open == [], "every tag is closed"
    expected = json.loads(json.dumps(report_data(video, tracks, RUN, SCORES)))
    expected["video"]["overlay"] = "overlay.mp4"
    assert parsed.data == expected
    assert parsed.data["scores"]["rows"][0]["gap_iou"] is None
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_names_cannot_become_markup(tmp_path):
    text, parsed = written(tmp_path / "report.html", *clip(), RUN, SCORES)
    assert parsed.text["title"] == parsed.text["h1"] == "samodal: a <b>clip</b> & {{data}}"
    assert {"b", "i"}.isdisjoint(tag for tag, _ in parsed.tags)
    assert text.count("</script>") == 2, "only the two scripts end"
    assert "<i>visible" not in text
    assert page("t", {"x": "<!--<script>\u2028"}).count("<!--") == 0


def test_nothing_is_loaded_from_elsewhere(tmp_path):
    text, parsed = written(tmp_path / "report.html", *clip(), RUN, SCORES)
    assert not re.search(r"(?:https?|ftp|file):|//cdn|@import|url\(", text)
    for tag, attributes in parsed.tags:
        for name in ("src", "href", "data", "action"):
            assert attributes.get(name, "data:").startswith("data:"), (tag, attributes)
    assert all(picture["src"].startswith("data:image/jpeg;base64,") for picture in parsed.data["pictures"])


def test_the_overlay_name_is_an_address(tmp_path):
    _, parsed = written(tmp_path / "report.html", *clip(), {}, overlay_name="a b#1.mp4")
    assert parsed.data["video"]["overlay"] == "a%20b%231.mp4"


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_no_tracks_and_no_scores(tmp_path, frames):
    video = Video.from_frames([np.zeros((31, 33, 3), np.uint8)] * frames)
    _, parsed = written(tmp_path / "report.html", video, VideoTracks((31, 33), frames), {})
    assert parsed.data["tracks"] == []
    assert parsed.data["scores"] is None
    assert parsed.data["summary"]["mean occlusion"] is None
    assert 1 <= len(parsed.data["pictures"]) <= frames


def test_the_same_twice(tmp_path):
    first, second = (written(tmp_path / name, *clip(), RUN, SCORES)[0] for name in ("a.html", "b.html"))
    assert first == second
