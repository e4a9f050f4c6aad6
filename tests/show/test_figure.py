import numpy as np
import pytest
from PIL import Image

from samodal import masks
from samodal.cli import run
from samodal.errors import InputError
from samodal.show import figure
from samodal.show.figure import Pictures, contact_sheet, fullest, write_figure
from samodal.show.report import write_report
from samodal.video import Track, Video, VideoTracks

H, W, T = 90, 160, 12


def clip() -> tuple[Video, VideoTracks]:
    """Track 2 stands left, half hidden in frames 4 and 5, hidden in frames 6 and 7; track 9 stands right."""
    full, half, other = (np.zeros((H, W), bool) for _ in range(3))
    full[20:70, 20:60] = half[20:70, 20:40] = other[20:70, 100:140] = True
    whole, part, right = masks.encode(full), masks.encode(half), masks.encode(other)
    hiding = Track(
        2,
        1,
        0.9,
        visible=[whole] * 4 + [part] * 2 + [None] * 2 + [whole] * 4,
        amodal=[whole] * T,
        states=["visible"] * 6 + ["hidden"] * 2 + ["visible"] * 4,
        points=[np.array([[30, 30]])] * T,
    )
    frames = [np.full((H, W, 3), 100 + i, np.uint8) for i in range(T)]
    return Video.from_frames(frames, 10.0), VideoTracks(
        (H, W), T, [hiding, Track(9, 1, 1.0, [right] * T, [right] * T)]
    )


def cell(sheet: np.ndarray, row: int, column: int, columns: int) -> np.ndarray:
    """A picture of a sheet: they end at the right and lower border and are four pixels apart."""
    bottom, right = sheet.shape[0] - (2 - row) * (H + 4), sheet.shape[1] - (columns - 1 - column) * (W + 4)
    return sheet[bottom - H : bottom, right - W : right].astype(int)


def changed(sheet: np.ndarray, row: int, frame: int, column: int, columns: int) -> np.ndarray:
    return (np.abs(cell(sheet, row, column, columns) - (100 + frame)) > 10).any(2)


def test_a_sheet_shows_frame_visible_and_amodal_masks():
    video, tracks = clip()
    sheet = contact_sheet(Pictures.of_video(video), tracks, [0, 5, 6])
    assert (sheet[0, 0] == 255).all()
    for column, frame in enumerate((0, 5, 6)):
        assert not changed(sheet, 0, frame, column, 3).any(), "the frame as it is"
        assert changed(sheet, 1, frame, column, 3)[25:65, 105:135].all()
    left, hidden = np.s_[30:65, 24:36], np.s_[30:65, 46:56]
    assert changed(sheet, 1, 0, 0, 3)[hidden].all()
    assert changed(sheet, 1, 5, 1, 3)[left].all()
    assert not changed(sheet, 1, 5, 1, 3)[hidden].any()
    assert 0.15 < changed(sheet, 2, 5, 1, 3)[hidden].mean() < 0.7
    assert not changed(sheet, 1, 6, 2, 3)[:, :80].any()
    assert 0.15 < changed(sheet, 2, 6, 2, 3)[left].mean() < 0.7


def test_the_frames_in_which_most_is_hidden_are_chosen():
    _, tracks = clip()
    assert 6 in fullest(tracks, range(T))
    assert len(fullest(tracks, range(T))) == figure.COLUMNS
    assert fullest(VideoTracks((H, W), T), [0, 5]) == [0, 5]
    assert set(fullest(tracks, [1, 3, 5, 9, 11])) <= {1, 3, 5, 9, 11}


def test_large_videos_are_drawn_at_the_size_of_a_cell(monkeypatch):
    monkeypatch.setattr(figure, "CELL", 80)
    video, tracks = clip()
    sheet = contact_sheet(Pictures.of_video(video), tracks, [5])
    assert sheet.shape[1] < W
    assert np.abs(sheet[-30:-10, -28:-12].astype(int) - 105).max() > 10, "track 9 is there"


def test_the_report_holds_the_pictures(tmp_path):
    video, tracks = clip()
    write_report(tmp_path / "report.html", video, tracks, {})
    pictures = Pictures.of_report(tmp_path / "report.html")
    assert pictures.frames == list(range(T))
    assert pictures.size == (H, W)
    assert np.abs(pictures.get(7).astype(int) - 107).max() <= 3
    assert np.allclose(pictures.times, video.times)


def test_an_animation_runs_at_the_speed_of_the_video(tmp_path):
    video, tracks = clip()
    write_figure(tmp_path / "a.gif", Pictures.of_video(video), tracks)
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames == T
        assert image.size == (W, H)
        assert image.info["duration"] == 100


def test_an_animation_is_bounded(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    video = Video.from_frames(list(rng.integers(0, 256, (40, 90, 160, 3), dtype=np.uint8)))
    monkeypatch.setattr(figure, "GIF_BYTES", 60_000)
    monkeypatch.setattr(figure, "GIF_SIZES", ((160, 40), (80, 40), (80, 10)))
    write_figure(tmp_path / "a.gif", Pictures.of_video(video), VideoTracks((90, 160), 40))
    assert (tmp_path / "a.gif").stat().st_size <= 60_000
    with Image.open(tmp_path / "a.gif") as image:
        total = 0
        for i in range(image.n_frames):
            image.seek(i)
            total += image.info["duration"]
    assert total == pytest.approx(4000, rel=0.06), "as long as the video, whatever was left out"


def test_only_the_chosen_instances_are_drawn(tmp_path):
    video, tracks = clip()
    write_figure(tmp_path / "a.png", Pictures.of_video(video), tracks, [0], [9])
    sheet = np.asarray(Image.open(tmp_path / "a.png"))
    assert not changed(sheet, 2, 0, 0, 1)[:, :80].any()
    assert changed(sheet, 2, 0, 0, 1)[25:65, 105:135].all()


@pytest.mark.parametrize(
    ("name", "frames", "ids", "message"),
    [
        ("a.jpg", [], [], "a contact sheet is a .png"),
        ("a.png", [99], [], "no frame 99; there are 0, 1, 2"),
        ("a.gif", [-1], [], "no frame -1"),
        ("a.png", [], [4], "no track 4; there are 2, 9"),
    ],
)
def test_what_is_not_there_is_said(tmp_path, name, frames, ids, message):
    video, tracks = clip()
    with pytest.raises(InputError, match=message):
        write_figure(tmp_path / name, Pictures.of_video(video), tracks, frames, ids)
    assert list(tmp_path.iterdir()) == []


def test_tracks_of_another_video_are_refused(tmp_path):
    video, tracks = clip()
    with pytest.raises(InputError, match="another video"):
        write_figure(
            tmp_path / "a.png",
            Pictures.of_video(Video(video.frames[:5], video.times[:5], (H, W), "v")),
            tracks,
        )


@pytest.mark.parametrize(
    "text", ["<html></html>", '<script type="application/json" id="data">{"video": {}}</script>']
)
def test_a_page_without_frames_is_refused(tmp_path, text):
    (tmp_path / "report.html").write_text(text)
    with pytest.raises(InputError, match="--video"):
        Pictures.of_report(tmp_path / "report.html")


def test_the_command_writes_a_figure(tmp_path, capsys):
    video, tracks = clip()
    tracks.write(tmp_path / "amodal.json")
    write_report(tmp_path / "report.html", video, tracks, {})
    command = ["show", str(tmp_path), "--figure", str(tmp_path / "a.png")]
    assert run([*command, "--frames", "4", "6", "--tracks", "2"]) == 0
    assert capsys.readouterr().out.strip().endswith("a.png")
    assert run([*command, "--frames", "77"]) == 2
    assert "no frame 77" in capsys.readouterr().err
