"""The recording for rerun, read back with rerun's own reader."""

import builtins
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_figure import H, T, W, clip

from samodal import masks
from samodal.cli import run
from samodal.errors import InputError
from samodal.show.figure import Pictures
from samodal.show.report import write_report
from samodal.show.rerun_file import write_rerun
from samodal.video import VideoTracks

rerun = pytest.importorskip("rerun", reason="needs pip install 'samodal[rerun]'")


@pytest.fixture(autouse=True)
def strict() -> None:
    rerun.set_strict_mode(True)  # else rerun only prints what it could not log


def column(path: Path, entity: str, component: str) -> dict[int, list]:
    """What was logged of a component of an entity, by frame."""
    from rerun.chunk import RrdReader

    found: dict[int, list] = {}
    for chunk in RrdReader(path).stream().to_chunks():
        batch = chunk.to_record_batch()
        if chunk.entity_path == entity and not chunk.is_static and component in batch.schema.names:
            found |= dict(zip(batch["frame"].to_pylist(), batch[component].to_pylist(), strict=True))
    return found


def classes(path: Path, entity: str, frame: int) -> np.ndarray:
    (buffer,) = column(path, entity, "SegmentationImage:buffer")[frame]
    return np.frombuffer(bytes(buffer), np.uint8).reshape(H, W)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    video, tracks = clip()
    path = tmp_path_factory.mktemp("rerun") / "clip.rrd"
    write_rerun(path, Pictures.of_video(video), tracks)
    assert [file.name for file in path.parent.iterdir()] == ["clip.rrd"]
    return path


def test_masks_of_every_frame_are_in_it(recording: Path) -> None:
    _, tracks = clip()
    first, second = tracks
    for frame in (0, 5, 6):
        visible, hidden = (classes(recording, f"/video/{name}", frame) for name in ("visible", "hidden"))
        seen = np.zeros((H, W), bool) if (rle := first.visible[frame]) is None else masks.decode(rle)
        assert ((visible == 1) == seen).all()
        assert ((hidden == 1) == masks.decode(first.amodal[frame]) & ~seen).all()
        assert ((visible == 2) == masks.decode(second.visible[frame])).all()
        assert (hidden != 2).all()


def test_outlines_points_and_pictures_lie_on_each_other(recording: Path) -> None:
    (line,) = column(recording, "/video/amodal/2", "LineStrips2D:strips")[5]
    drawn = np.zeros((H, W), np.uint8)
    cv2.fillPoly(drawn, [np.floor(line).astype(np.int32)], 1)
    _, tracks = clip()
    assert (drawn == masks.decode(tracks.tracks[0].amodal[5])).all()
    assert line[0] == line[-1]
    assert column(recording, "/video/amodal/2", "LineStrips2D:labels")[6] == ["2  hidden 1"]
    assert column(recording, "/video/points/2", "Points2D:positions")[0] == [[30.5, 30.5]]
    pictures = column(recording, "/video/frame", "EncodedImage:blob")
    assert sorted(pictures) == list(range(T))
    picture = cv2.imdecode(np.frombuffer(bytes(pictures[3][0]), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (H, W, 3)
    assert np.abs(picture.astype(int) - 103).max() <= 2


def test_numbers_and_states_over_time(recording: Path) -> None:
    rates = column(recording, "/occlusion/2", "Scalars:scalars")
    assert rates[0] == [0.0]
    assert rates[5] == [pytest.approx(0.5)]
    assert rates[6] == [1.0]
    states = column(recording, "/state/2", "TextLog:text")
    assert states == {0: ["visible"], 6: ["hidden"], 8: ["visible"]}


def test_what_is_no_more_is_cleared(tmp_path: Path) -> None:
    video, tracks = clip()
    gone = tracks.tracks[0]
    gone.amodal[9:], gone.points[9:] = [None] * (T - 9), [None] * (T - 9)
    gone.states[9:], gone.reasons[9:] = ["gone"] * (T - 9), ["left the frame"] * (T - 9)
    write_rerun(tmp_path / "a.rrd", Pictures.of_video(video), tracks)
    assert column(tmp_path / "a.rrd", "/video/amodal/2", "LineStrips2D:strips")[9] == []
    assert column(tmp_path / "a.rrd", "/video/points/2", "Points2D:positions")[9] == []
    assert column(tmp_path / "a.rrd", "/state/2", "TextLog:text")[9] == ["gone: left the frame"]


def test_show_writes_it_from_a_folder_of_results(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    video, tracks = clip()
    tracks.write(tmp_path / "amodal.json")
    write_report(tmp_path / "report.html", video, tracks, {})
    assert run(["show", str(tmp_path), "--rerun", str(tmp_path / "a.rrd")]) == 0
    assert "rerun" in capsys.readouterr().out
    assert len(column(tmp_path / "a.rrd", "/video/frame", "EncodedImage:blob")) == T


def test_what_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video, tracks = clip()
    pictures = Pictures.of_video(video)
    with pytest.raises(InputError, match=r"a\.mp4: a recording for rerun is a \.rrd"):
        write_rerun(tmp_path / "a.mp4", pictures, tracks)
    with pytest.raises(InputError, match="another video"):
        write_rerun(tmp_path / "a.rrd", pictures, VideoTracks((H, W), T + 1, tracks.tracks))
    known = builtins.__import__

    def without(name: str, *rest, **more):
        if name.partition(".")[0] == "rerun":
            raise ModuleNotFoundError(name)
        return known(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"pip install 'samodal\[rerun\]'"):
        write_rerun(tmp_path / "a.rrd", pictures, tracks)
    assert list(tmp_path.iterdir()) == []
