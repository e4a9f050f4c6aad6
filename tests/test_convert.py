"""Round trips through every format: what can be held comes back, what cannot is refused or counted."""

import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toys import toy_clip

from samodal import masks
from samodal.cli import run
from samodal.convert import convert, parse_classes
from samodal.data import open_dataset
from samodal.data.labelled import LabelledClips, LabelledVideo, unseen
from samodal.data.labelled_files import read_labelled
from samodal.data.write import asd, youtube_vis
from samodal.errors import InputError
from samodal.score import video_ap
from samodal.video import Track, VideoTracks

SHARED = Path(__file__).parents[2] / "shared" / "real_data"
GOLDEN = Path(__file__).parent / "data" / "golden"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the folder ../shared with real masks")

SIZE = (6, 8)
few = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def video_of(name: str, number: int, ids: list[int], maps: np.ndarray, hidden: np.ndarray) -> LabelledVideo:
    """Visible masks from id maps (T, H, W), amodal masks with the hidden pixels (T, H, W) around as well."""
    tracks = []
    for place, track_id in enumerate(ids, 1):
        visible = [masks.encode(frame) if frame.any() else None for frame in maps == place]
        full = [masks.encode(frame) if frame.any() else None for frame in (maps == place) | (hidden == place)]
        states = [
            "visible" if seen else "hidden" if all_ else "absent"
            for seen, all_ in zip(visible, full, strict=True)
        ]
        tracks.append(Track(track_id, 1 + place % 2, 1.0, visible, full, states))
    stems = [f"{frame:05d}" for frame in range(len(maps))]
    return LabelledVideo(
        name,
        unseen(name, stems, SIZE),
        VideoTracks(SIZE, len(maps), tracks, number),
        [f"{name}/{stem}.png" for stem in stems],
    )


@st.composite
def labelled_videos(draw: st.DrawFn) -> list[LabelledVideo]:
    videos = []
    for place in range(draw(st.integers(1, 2))):
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        ids = draw(st.lists(st.integers(1, 5000), min_size=0, max_size=3, unique=True))
        shape = draw(st.integers(1, 4)), *SIZE
        maps, hidden = rng.integers(0, 5, shape), rng.integers(0, 7, shape)
        maps[:, 0, 0] = 1  # so that every file tells the size of its video
        videos.append(video_of(f"clip{place}", 3 * place + 2, ids or [7], maps, hidden))
    return videos


def content(path: Path, form: str) -> dict[tuple[int, int], tuple]:
    """All masks of a file by video id and track id."""
    return {
        (video.tracks.video_id, track.track_id): (track.category_id, track.visible, track.amodal)
        for video in read_labelled(path, form).videos
        for track in video.tracks
        if any(track.visible) or any(track.amodal)
    }


def shapes(path: Path, form: str) -> list[tuple[str, int, list]]:
    """All visible masks of a file by the name of the video, without ids."""
    return sorted(
        (
            video.name,
            len(video.video),
            sorted((track.visible for track in video.tracks if any(track.visible)), key=str),
        )
        for video in read_labelled(path, form).videos
    )


# ---- round trips -----------------------------------------------------------------------------------------


@few
@given(videos=labelled_videos())
def test_formats_with_both_masks_lose_nothing(tmp_path_factory: pytest.TempPathFactory, videos: list) -> None:
    folder = tmp_path_factory.mktemp("both")
    truth = folder / "truth.json"
    youtube_vis.write_truth(truth, videos, {1: "car", 2: "person"}, Counter())
    for form in ("youtube-vis", "youtube-vis-results", "coco", "coco-results"):
        there, back = folder / f"{form}.json", folder / f"{form}-back.json"
        convert(truth, there, "youtube-vis", form)
        like = folder / "coco.json" if form == "coco-results" else None
        done = convert(there, back, form, "youtube-vis", like=like)
        assert content(back, "youtube-vis") == content(truth, "youtube-vis")
        if form in ("youtube-vis", "coco"):
            assert not +done.left_out
            every = all(any(track.amodal) for video in videos for track in video.tracks)
            assert not every or back.read_text() == truth.read_text()


@few
@given(
    videos=labelled_videos(), form=st.sampled_from(["mots", "motschallenge", "davis", "youtube-vis", "coco"])
)
def test_visible_masks_go_through_every_format(
    tmp_path_factory: pytest.TempPathFactory, videos: list, form: str
) -> None:
    folder = tmp_path_factory.mktemp("visible")
    truth = folder / "truth.json"
    youtube_vis.write_truth(truth, videos, {}, Counter())
    convert(truth, folder / "there", "youtube-vis", form, masks="visible")
    convert(folder / "there", folder / "back.json", form, "youtube-vis")
    assert shapes(folder / "back.json", "youtube-vis") == shapes(truth, "youtube-vis")
    assert not any(entry["amodal"] for entry in tracks_of(folder / "back.json"))


@few
@given(videos=labelled_videos())
def test_amodal_masks_alone_keep_their_occlusion_rates(
    tmp_path_factory: pytest.TempPathFactory, videos: list
) -> None:
    folder = tmp_path_factory.mktemp("amodal")
    youtube_vis.write_truth(folder / "both.json", videos, {}, Counter())
    for form in ("youtube-vis", "coco"):
        convert(folder / "both.json", folder / "there", "youtube-vis", form, masks="amodal")
        convert(folder / "there", folder / "back.json", form, "youtube-vis")
        wanted, found = (json.loads((folder / name).read_text()) for name in ("both.json", "back.json"))
        assert "visible_segmentations" not in json.dumps(found)
        rates = {(a["video_id"], a["track_id"]): a.get("occlude_rate") for a in wanted["annotations"]}
        for entry in found["annotations"]:
            assert entry["occlude_rate"] == rates[entry["video_id"], entry["track_id"]]


def tracks_of(path: Path) -> list[dict]:
    return [
        {"amodal": any(track.amodal), "id": track.track_id}
        for video in read_labelled(path, "youtube-vis").videos
        for track in video.tracks
    ]


def test_amodalsynthdrive_there_and_back(tmp_path: Path) -> None:
    clips = [toy_clip(seed, frames=5, hidden=True, name=f"toy{seed}") for seed in (1, 2)]
    left_out = Counter()
    asd.write(tmp_path / "asd", LabelledClips(clips), left_out, "val", "front")
    back = open_dataset("asd", tmp_path / "asd")
    for clip, other in zip(clips, back, strict=True):
        assert other.truth.tracks == clip.truth.tracks
        assert all(np.array_equal(a, b) for a, b in zip(clip.video, other.video, strict=True))
    convert(tmp_path / "asd", tmp_path / "a.json", "asd", "youtube-vis")
    frames = tmp_path / "asd" / "val" / "images" / "front"
    convert(tmp_path / "a.json", tmp_path / "again", "youtube-vis", "asd", frames=frames)
    assert [clip.truth.tracks for clip in open_dataset("asd", tmp_path / "again")] == [
        c.truth.tracks for c in clips
    ]


def test_the_truth_file_is_what_the_scores_read(tmp_path: Path) -> None:
    convert(GOLDEN / "10_datasets" / "asd_sample", tmp_path / "truth.json", "asd", "youtube-vis")
    convert(GOLDEN / "10_datasets" / "asd_sample", tmp_path / "results.json", "asd", "youtube-vis-results")
    truth = json.loads((tmp_path / "truth.json").read_text())
    assert [annotation["id"] for annotation in truth["annotations"]] == list(range(1, 11))
    assert {"id": 26, "name": "car"} in truth["categories"]
    for protocol in ("reference", "strict"):
        scores = video_ap(truth, json.loads((tmp_path / "results.json").read_text()), protocol)
        assert scores["ap50"] == 1.0 or protocol == "reference"
    assert all(len(a["occlude_rate"]) == len(a["segmentations"]) == 3 for a in truth["annotations"])


def test_our_own_file_keeps_all_it_has(tmp_path: Path) -> None:
    rle = masks.encode(np.ones(SIZE, bool))
    track = Track(-3, 26, 1 / 3, [rle, None, None], [rle, rle, None], ["visible", "hidden", "gone"])
    track.scores, track.reasons = [0.9, 1 / 7, None], [None, "in a gap", "left"]
    track.points = [np.array([[1, 2]]), np.array([[3.75, 6.25]]), None]
    track.occluders, track.depths = [None, -4, None], [0, 1, None]
    VideoTracks(SIZE, 3, [track], video_id=4).write(tmp_path / "amodal.json")
    convert(tmp_path / "amodal.json", tmp_path / "b.json", "youtube-vis", "youtube-vis-results")
    a, b = (VideoTracks.read(tmp_path / name) for name in ("amodal.json", "b.json"))
    assert (a.video_id, a.num_frames, a.size) == (b.video_id, b.num_frames, b.size)
    assert {**vars(a.tracks[0]), "points": None} == {**vars(b.tracks[0]), "points": None}
    assert [xy if xy is None else xy.tolist() for xy in b.tracks[0].points] == [
        [[1, 2]],
        [[3.75, 6.25]],
        None,
    ]


def test_genvis_counts_classes_from_one(tmp_path: Path) -> None:
    genvis = GOLDEN / "11_genvis_inference" / "genvis_results.json"
    convert(genvis, tmp_path / "a.json", "genvis", "youtube-vis-results")
    convert(tmp_path / "a.json", tmp_path / "b.json", "youtube-vis-results", "genvis")
    classes = [
        [entry["category_id"] for entry in json.loads(path.read_text())]
        for path in (genvis, tmp_path / "b.json")
    ]
    assert classes[0] == classes[1]
    assert {entry["category_id"] for entry in json.loads((tmp_path / "a.json").read_text())} <= {
        24,
        25,
        26,
        27,
        28,
        32,
        33,
    }


def test_ids_like_those_of_a_truth_file(tmp_path: Path) -> None:
    """Two videos of which a method found something in the second only keep their numbers."""
    maps = np.ones((2, *SIZE), int)
    both = [video_of(name, number, [1], maps, maps) for name, number in (("a", 11), ("b", 5))]
    youtube_vis.write_truth(tmp_path / "truth.json", both, {}, Counter())
    convert(tmp_path / "truth.json", tmp_path / "coco.json", "youtube-vis", "coco")
    convert(tmp_path / "truth.json", tmp_path / "mots", "youtube-vis", "mots", masks="visible")
    (tmp_path / "mots" / "a.txt").unlink()
    convert(
        tmp_path / "mots", tmp_path / "r.json", "mots", "youtube-vis-results", like=tmp_path / "truth.json"
    )
    assert [entry["video_id"] for entry in json.loads((tmp_path / "r.json").read_text())] == [5]
    convert(tmp_path / "mots", tmp_path / "c.json", "mots", "coco-results", like=tmp_path / "coco.json")
    assert [entry["image_id"] for entry in json.loads((tmp_path / "c.json").read_text())] == [3, 4]
    (tmp_path / "mots" / "b.txt").rename(tmp_path / "mots" / "c.txt")
    with pytest.raises(InputError, match="has no video 'c'; it has a, b"):
        convert(
            tmp_path / "mots",
            tmp_path / "r.json",
            "mots",
            "youtube-vis-results",
            like=tmp_path / "truth.json",
        )


# ---- real masks ------------------------------------------------------------------------------------------


@needs_shared
@pytest.mark.parametrize(
    ("path", "form"), [("kitti_mots/instances_txt", "mots"), ("davis", "davis"), ("birdcage/masks", "davis")]
)
def test_real_masks_there_and_back(tmp_path: Path, path: str, form: str) -> None:
    convert(SHARED / path, tmp_path / "a.json", form, "youtube-vis")
    convert(tmp_path / "a.json", tmp_path / "back", "youtube-vis", form)
    assert shapes(tmp_path / "back", form) == shapes(SHARED / path, form)
    for text in (SHARED / path).glob("*.txt"):  # ids, classes and ignored regions as well
        back = (tmp_path / "back" / text.name).read_text().splitlines()
        assert sorted(back) == sorted(text.read_text().splitlines())


@needs_shared
def test_real_bdd100k_masks_there_and_back(tmp_path: Path) -> None:
    path = SHARED / "bdd100k" / "seg_track_sample.json"
    convert(path, tmp_path / "a.json", "bdd100k", "youtube-vis")
    assert shapes(tmp_path / "a.json", "youtube-vis") == shapes(path, "bdd100k")
    convert(tmp_path / "a.json", tmp_path / "mots", "youtube-vis", "mots")
    assert shapes(tmp_path / "mots", "mots") == shapes(path, "bdd100k")


# ---- what is said ----------------------------------------------------------------------------------------


def case(tmp_path: Path, form: str = "youtube-vis", overlap: bool = False) -> Path:
    maps = np.zeros((3, *SIZE), int)
    maps[:, :3], maps[:, 3:] = 1, 2
    hidden = np.roll(maps, 1, axis=1) if overlap else maps
    youtube_vis.write_truth(
        tmp_path / "in.json", [video_of("clip", 1, [300, 7], maps, hidden)], {}, Counter()
    )
    if form != "youtube-vis":
        convert(tmp_path / "in.json", tmp_path / "in", "youtube-vis", form)
    return tmp_path / "in.json"


def test_what_is_left_out_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    words = [
        str(case(tmp_path)),
        str(tmp_path / "out"),
        "--from",
        "youtube-vis",
        "--to",
        "davis",
        "--masks",
        "visible",
    ]
    assert run(["convert", *words, "--classes", "2:5"]) == 0
    said = capsys.readouterr().out
    for line in (
        "videos: 1, tracks: 2, masks: 6 visible",
        "6 amodal masks",
        "2 ids of tracks",
        "2 names of categories",
    ):
        assert line in said
    assert "1 categories of tracks" in said
    assert {path.name for path in tmp_path.iterdir()} == {"in.json", "out"}
    image = cv2.imread(str(tmp_path / "out" / "Annotations" / "480p" / "clip" / "00000.png"))
    assert image[0, 0].tolist() == [0, 0, 128]  # palette: id 1 is dark red
    assert image[5, 0].tolist() == [0, 128, 0]


@pytest.mark.parametrize(
    ("form", "masks_", "overlap", "message"),
    [
        ("mots", None, False, "has 6 amodal masks, but mots holds one.*--masks visible"),
        ("davis", None, False, "has 6 amodal masks, but davis holds one"),
        ("davis", "amodal", True, "frame 0: the masks of tracks 300 and 7 overlap"),
        ("asd", None, False, "frames are needed.*--frames"),
        ("asd", "visible", False, "frames are needed"),
        ("genvis", None, False, "class 2 has no number in genvis"),
        ("png", None, False, "--to png: unknown"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(
    tmp_path: Path, form: str, masks_: str | None, overlap: bool, message: str
) -> None:
    source = case(tmp_path, overlap=overlap)
    before = set(tmp_path.iterdir())
    with pytest.raises(InputError, match=message):
        convert(source, tmp_path / "out", "youtube-vis", form, masks=masks_)
    assert set(tmp_path.iterdir()) == before


def test_visible_masks_are_not_passed_off_as_amodal_ones(tmp_path: Path) -> None:
    convert(case(tmp_path), tmp_path / "v.json", "youtube-vis", "youtube-vis", masks="visible")
    with pytest.raises(InputError, match="visible masks only, but asd holds visible and amodal"):
        convert(tmp_path / "v.json", tmp_path / "asd", "youtube-vis", "asd")
    with pytest.raises(InputError, match="has no amodal masks"):
        convert(tmp_path / "v.json", tmp_path / "a.json", "youtube-vis", "youtube-vis", masks="amodal")


def test_files_that_are_there_are_kept(tmp_path: Path) -> None:
    source = case(tmp_path)
    convert(source, tmp_path / "out", "youtube-vis", "mots", masks="visible")
    before = (tmp_path / "out" / "clip.txt").read_bytes()
    with pytest.raises(InputError, match=r"clip\.txt: is there already"):
        convert(source, tmp_path / "out", "youtube-vis", "mots", masks="amodal")
    assert (tmp_path / "out" / "clip.txt").read_bytes() == before
    convert(source, tmp_path / "out", "youtube-vis", "davis", masks="visible")  # beside the others
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"clip.txt", "val.seqmap", "Annotations"}


def test_one_txt_says_what_it_cannot_keep(tmp_path: Path) -> None:
    maps = np.zeros((4, *SIZE), int)
    maps[1] = 1
    youtube_vis.write_truth(tmp_path / "in.json", [video_of("clip", 1, [7], maps, maps)], {}, Counter())
    done = convert(tmp_path / "in.json", tmp_path / "one.txt", "youtube-vis", "mots", masks="visible")
    assert done.left_out["frames after the last mask (a folder keeps their number)"] == 2
    assert [len(video.video) for video in read_labelled(tmp_path / "one.txt", "mots").videos] == [2]


def test_classes() -> None:
    assert parse_classes("1:24,2:25") == {1: 24, 2: 25}
    assert parse_classes("") == {}
    for text in ("1", "1:2:3", "a:b", "1:2,1:3"):
        with pytest.raises(InputError, match="--classes"):
            parse_classes(text)
