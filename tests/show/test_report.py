import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from samodal import masks
from samodal.show import report
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
    assert data["video"]["kept"] == list(range(T))
    assert len(data["video"]["pictures"]) == T


def test_times_start_at_zero():
    video, tracks = clip()
    video.times = video.times + 100
    assert report_data(video, tracks, {})["video"]["times"][:2] == [0.0, 0.1]


def test_the_page_is_whole_and_the_data_survives(tmp_path):
    video, tracks = clip()
    _, parsed = written(tmp_path / "report.html", video, tracks, RUN, SCORES)
    assert parsed.open == [], "every tag is closed"
    expected = json.loads(json.dumps(report_data(video, tracks, RUN, SCORES)))
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
    assert all(src.startswith("data:image/jpeg;base64,") for src in parsed.data["video"]["pictures"])


def test_masks_travel_as_they_are():
    video, tracks = clip()
    data = report_data(video, tracks, {})["tracks"][0]
    for name in ("visible", "amodal"):
        rles = getattr(tracks.tracks[0], name)
        assert data[name] == [None if rle is None else rle["counts"] for rle in rles]


def test_truth_and_tracked_points_belong_to_their_tracks():
    video, tracks = clip()
    half = tracks.tracks[0].visible[4]
    truth = VideoTracks((H, W), T, [Track(7, 1, 1.0, [half] * T, [half] * T), Track(8, 1, 1.0, [half] * T)])
    tracked = {7: [np.array([[1.26, 2.0]])] + [None] * (T - 1)}
    data = report_data(video, tracks, {}, truth=truth, tracked=tracked)
    assert data["tracks"][0]["iou"] == [0.5] * 10 + [0.0] * 2
    assert data["tracks"][0]["tracked"][:2] == [[[1.3, 2.0]], None]
    assert [entry["id"] for entry in data["truth"]] == [7, 8]
    assert "iou" not in report_data(video, tracks, {})["tracks"][0]


def test_what_is_known_of_each_frame():
    video, tracks = clip()
    (track,) = tracks
    track.occluders[4:9] = [2] * 5
    track.depths[:9] = [1] * 9
    track.points[:2] = [np.array([[25, 20]])] * 2
    track.points[6:8] = [np.array([[25.26, 20.0]])] * 2
    track.reasons[6:9] = [f"not seen for {age} frames" for age in (1, 2, 3)]
    (data,) = report_data(video, tracks, {})["tracks"]
    assert data["ages"] == [0] * 6 + [1, 2, 3, 0, 1, 2]
    assert data["occluders"] == [None] * 4 + [2] * 5 + [None] * 3
    assert data["depths"] == [1] * 9 + [None] * 3
    assert data["spans"][2] == ["hidden", None, 3], "one stretch, though the words count its frames"
    assert data["points"] == [[[25, 20]]] * 2 + [None] * 10
    assert data["tracked"] == [None] * 6 + [[[25.3, 20.0]]] * 2 + [None] * 4


def test_pictures_become_smaller_and_then_fewer(monkeypatch):
    rng = np.random.default_rng(0)
    noise = Video.from_frames(list(rng.integers(0, 256, (30, 90, 1300, 3), dtype=np.uint8)))
    tracks = VideoTracks((90, 1300), 30)

    def stored(budget: int) -> tuple[int, list[int], int]:
        monkeypatch.setattr(report, "BUDGET", budget)
        video = report_data(noise, tracks, {})["video"]
        return video["pictureWidth"], video["kept"], sum(len(src) for src in video["pictures"])

    width, kept, largest = stored(10**9)
    assert (width, kept) == (1280, list(range(30)))
    for share in (0.8, 0.3, 0.05):
        budget = int(share * largest)
        width, kept, size = stored(budget)
        assert width < 1280
        assert size < 1.1 * budget
        assert kept == list(range(0, 30, kept[1] if len(kept) > 1 else 30))
    assert len(kept) < 30


def test_masks_count_as_well(monkeypatch):
    rng = np.random.default_rng(0)
    rles = [masks.encode(noise) for noise in rng.random((T, H, W)) < 0.5]
    tracks = VideoTracks((H, W), T, [Track(i, 1, 1.0, rles, rles) for i in range(9)])
    monkeypatch.setattr(report, "BUDGET", 100_000)
    data = report_data(clip()[0], tracks, {})
    assert len(data["video"]["kept"]) < T
    assert len(json.dumps(data["tracks"])) < 125_000
    assert sum(n for _, _, n in data["tracks"][0]["spans"]) == T, "the states are those of all frames"


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_no_tracks_and_no_scores(tmp_path, frames):
    video = Video.from_frames([np.zeros((31, 33, 3), np.uint8)] * frames)
    _, parsed = written(tmp_path / "report.html", video, VideoTracks((31, 33), frames), {})
    assert parsed.data["tracks"] == []
    assert parsed.data["scores"] is None
    assert parsed.data["summary"]["mean occlusion"] is None
    assert len(parsed.data["video"]["pictures"]) == frames


def test_the_same_twice(tmp_path):
    first, second = (written(tmp_path / name, *clip(), RUN, SCORES)[0] for name in ("a.html", "b.html"))
    assert first == second
