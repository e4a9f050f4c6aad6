"""What can be done in the app, without a page."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from toys import tiny_sam, toy_clip

from samodal import masks
from samodal.app import session as work
from samodal.app.drawing import WIDTH, describe, draw, enlarged, in_frame
from samodal.app.session import Click, Session
from samodal.demo import only_visible
from samodal.errors import InputError
from samodal.frames import write_video
from samodal.pipeline import AmodalVideoSegmenter
from samodal.video import VideoTracks

FRAMES, SIZE = 4, (48, 64)
CLIP = toy_clip(frames=FRAMES)


class Counting:
    """A segmenter that says how often its model encoded and decoded."""

    def __init__(self) -> None:
        self.segmenter = AmodalVideoSegmenter(tiny_sam())
        self.counts = {"encode": 0, "decode": 0}
        for name in self.counts:
            setattr(self.segmenter.model, name, self._counted(name, getattr(self.segmenter.model, name)))

    def _counted(self, name, method):
        def counted(*args, **more):
            self.counts[name] += 1
            return method(*args, **more)

        return counted

    def since(self) -> tuple[int, int]:
        found = self.counts["encode"], self.counts["decode"]
        self.counts.update(encode=0, decode=0)
        return found


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """clip.mp4, frames as 000.png ..., maps of their ids in maps/, results.json; as after an upload."""
    folder = tmp_path_factory.mktemp("uploads")
    (folder / "maps").mkdir()
    write_video(folder / "clip.mp4", CLIP.video, fps=10)
    visible = only_visible(CLIP.truth)
    for index, frame in enumerate(CLIP.video):
        cv2.imwrite(str(folder / f"{index:03d}.png"), frame[..., ::-1])
        ids = np.zeros(SIZE, np.uint8)
        for track in visible:
            if track.visible[index]:
                ids[masks.decode(track.visible[index])] = track.track_id
        cv2.imwrite(str(folder / "maps" / f"{index:03d}.png"), ids)
    entries = [
        {"video_id": 1, "category_id": t.category_id, "score": 0.9, "segmentations": t.visible}
        for t in visible
    ]
    (folder / "results.json").write_text(json.dumps(entries))
    return folder


def toy() -> Session:
    return Session(CLIP.video, visible=only_visible(CLIP.truth))


def test_a_video_an_image_and_the_images_of_a_clip_are_opened(uploads: Path) -> None:
    video = work.open_clip([str(uploads / "clip.mp4")]).video
    assert (len(video), video.size, video.name) == (FRAMES, SIZE, "clip")
    assert len(work.open_clip([str(uploads / "002.png")]).video) == 1
    names = [str(uploads / f"{i:03d}.png") for i in (2, 0, 3, 1)]
    images = work.open_clip(names).video
    assert all((images[i] == CLIP.video[i]).all() for i in range(FRAMES))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["results.json"], "results.json: "),
        (["clip.mp4", "000.png"], "clip.mp4: one video is expected"),
        (["000.png", "002.png", "003.png"], "images: frame 001 is missing"),
        (["broken.png"], "broken.png: broken image"),
        (["broken.mp4"], "broken.mp4: "),
    ],
)
def test_what_is_no_clip_is_said_by_its_own_name(
    uploads: Path, tmp_path: Path, names: list[str], said: str
) -> None:
    shutil.copytree(uploads, tmp_path, dirs_exist_ok=True)
    (tmp_path / "broken.png").write_bytes((uploads / "000.png").read_bytes()[:50])
    (tmp_path / "broken.mp4").write_bytes((uploads / "clip.mp4").read_bytes()[:500])
    with pytest.raises(InputError) as error:
        work.open_clip([str(tmp_path / name) for name in names])
    assert str(error.value).startswith(said)
    assert str(tmp_path) not in str(error.value)


def test_visible_masks_come_from_a_file_or_from_maps(uploads: Path) -> None:
    session = Session(CLIP.video)
    from_file = work.load_visible(session, [str(uploads / "results.json")])
    maps = [str(uploads / "maps" / f"{i:03d}.png") for i in (1, 0, 3, 2)]
    from_maps = work.load_visible(session, maps)
    assert [t.visible for t in from_maps.visible] == [t.visible for t in only_visible(CLIP.truth)]
    assert [t.visible for t in from_file.visible] == [t.visible for t in from_maps.visible]
    image = work.open_clip([str(uploads / "001.png")])
    assert len(work.load_visible(image, [str(uploads / "maps" / "001.png")]).visible) == 2


def test_masks_that_do_not_fit_are_said(uploads: Path) -> None:
    session = Session(CLIP.video)
    for names, said in (
        (["clip.mp4"], "clip.mp4: unknown format"),
        (["results.json", "maps/000.png"], "results.json: one file"),
        (["maps/000.png"], "masks: 1 masks for the 4 frames"),
    ):
        with pytest.raises(InputError) as error:
            work.load_visible(session, [str(uploads / name) for name in names])
        assert str(error.value).startswith(said)
        assert str(uploads) not in str(error.value)


def test_clicks_become_points_and_boxes() -> None:
    clicks = [Click(5, 6, "keep"), Click(30, 8, "box"), Click(9, 9, "not"), Click(10, 20, "box")]
    assert work.prompt_of(clicks) == ([(5, 6), (9, 9)], [1, 0], (10, 8, 30, 20))
    assert work.prompt_of([*clicks, Click(1, 1, "box")])[2] == (10, 8, 30, 20), "one corner changes nothing"
    assert work.prompt_of([*clicks, Click(1, 1, "box"), Click(2, 3, "box")])[2] == (1, 1, 2, 3)
    assert work.prompt_of(clicks[1:2]) == ([], [], None)


def test_a_click_is_answered_as_the_model_does_and_costs_one_decode(counting: Counting) -> None:
    segmenter = counting.segmenter
    session = work.look(Session(CLIP.video), segmenter)
    assert counting.since() == (0, 0), "nothing was asked"
    assert (draw(session) == CLIP.video[0]).all()
    session = work.look(work.click(session, 30, 20, "keep"), segmenter)
    assert counting.since() == (1, 1)
    wanted = segmenter.model.decode(segmenter.model.encode(CLIP.video[0]), [[(30, 20)]], [[1]])
    assert (session.seen.answer.amodal == wanted.masks[0].numpy()).all()
    assert session.seen.answer.score == pytest.approx(float(wanted.scores[0, 0].clamp(0, 1)))
    assert "| clicked |" in describe(session)
    counting.since()
    session = work.look(work.click(session, 5, 40, "not"), segmenter)
    assert counting.since() == (0, 1)
    for x, y in ((20, 10), (45, 35)):
        session = work.look(work.click(session, x, y, "box"), segmenter)
    wanted = segmenter.model.decode(
        segmenter.model.encode(CLIP.video[0]), [[(30, 20), (5, 40)]], [[1, 0]], [(20, 10, 45, 35)]
    )
    assert (session.seen.answer.amodal == wanted.masks[0].numpy()).all()


def test_clicks_stay_with_their_frame(counting: Counting) -> None:
    session = work.look(work.click(Session(CLIP.video), 30, 20, "keep"), counting.segmenter)
    there = work.look(work.go_to(session, 2), counting.segmenter)
    assert there.seen.answer is None
    back = work.look(work.go_to(there, 0), counting.segmenter)
    assert (back.seen.answer.amodal == session.seen.answer.amodal).all()
    assert work.look(work.undo(back), counting.segmenter).seen.answer is None
    assert work.clear(work.click(back, 1, 1, "not")).clicks[0] == ()
    assert work.go_to(session, 99).frame == FRAMES - 1
    assert work.click(session, 999, -5, "keep").clicks[0][-1] == Click(SIZE[1] - 1, 0, "keep")
    assert session.clicks[0] == (Click(30, 20, "keep"),), "sessions are not changed, but made anew"


@pytest.mark.parametrize("width", [64, 640, 1920])
def test_a_click_on_the_enlarged_picture_is_a_pixel_of_the_frame(width: int) -> None:
    frame = np.zeros((40, width, 3), np.uint8)
    frame[30, width - 7] = 255
    picture = enlarged(frame)
    assert picture.shape[1] == max(width, WIDTH)
    y, x = np.unravel_index(picture[..., 0].argmax(), picture.shape[:2])
    assert in_frame((x, y), frame.shape[:2]) == (width - 7, 30)


def test_what_does_not_belong_is_not_enough(counting: Counting) -> None:
    session = work.look(work.click(Session(CLIP.video), 30, 20, "not"), counting.segmenter)
    assert counting.since() == (0, 0)
    assert session.seen.answer is None
    assert "click what to keep" in describe(session)
    assert (draw(session) != CLIP.video[0]).any()


def test_visible_masks_are_answered_as_in_a_run(counting: Counting) -> None:
    segmenter = counting.segmenter
    session = toy()
    looked = segmenter.look(session.video, session.visible)
    for frame in (0, 3):
        counting.since()
        session = work.look(work.go_to(session, frame), segmenter)
        assert counting.since() == (1, 1)
        for track in session.seen.instances:
            wanted = next(t for t in looked.tracks if t.track_id == track.track_id)
            assert track.amodal[0] == wanted.amodal[frame]
            assert track.scores[0] == wanted.scores[frame]
    assert "| 1 | visible |" in describe(session)
    clicked = work.look(work.click(session, 30, 20, "keep"), segmenter)
    assert counting.since() == (0, 1)
    assert clicked.seen.instances is session.seen.instances


def test_a_run_writes_what_predict_writes(counting: Counting, tmp_path: Path) -> None:
    done = []
    session = work.run_clip(
        toy(), counting.segmenter, tmp_path / "out", {"model": "toy"}, lambda *pair: done.append(pair)
    )
    assert done == [(n, FRAMES) for n in range(1, FRAMES + 1)]
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(work.RESULT_FILES)
    wanted = counting.segmenter(CLIP.video, only_visible(CLIP.truth))
    assert [t.amodal for t in session.result] == [t.amodal for t in wanted]
    assert [t.amodal for t in VideoTracks.read(tmp_path / "out" / "amodal.json")] == [
        t.amodal for t in wanted
    ]
    counting.since()
    session = work.look(work.go_to(session, 2), counting.segmenter)
    assert counting.since() == (0, 0), "the run knows"
    assert (draw(session) != CLIP.video[2]).any()
    with pytest.raises(InputError, match="load them first"):
        work.run_clip(Session(CLIP.video), counting.segmenter, tmp_path / "none", {})
    assert not (tmp_path / "none").exists()
    again = work.look(Session(CLIP.video, visible=session.visible), counting.segmenter)
    assert again.result is None


def test_the_demo_has_masks() -> None:
    session = work.open_demo(frames=2, size=(90, 160))
    assert len(session.video) == 2
    assert any(t.visible[0] for t in session.visible)


def test_an_image_is_run_as_a_clip_of_one_frame(counting: Counting, uploads: Path, tmp_path: Path) -> None:
    image = work.open_clip([str(uploads / "001.png")])
    image = work.load_visible(image, [str(uploads / "maps" / "001.png")])
    image = work.look(work.run_clip(image, counting.segmenter, tmp_path, {}), counting.segmenter)
    assert describe(image).startswith("**Image**")
    assert [len(track) for track in image.result] == [1, 1]
