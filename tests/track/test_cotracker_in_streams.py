"""Votes of CoTracker in a stream are those of a whole video, and features are computed once for all instances."""

import cotracker_golden as golden
import numpy as np
import pytest

from samodal import masks
from samodal.track.cotracker import CoTracker
from samodal.tracked import Shown, votes_of
from samodal.tracked_stream import StreamedPoints, follow_points
from samodal.video import Track, Video

LENGTH, SIZE = 16, (48, 64)
HIDDEN = {1: {2, *range(6, 16)}, 2: {4, 5, 7, 8, 9, 13}}


def masks_of(track_id: int) -> list:
    found = []
    for frame in range(LENGTH):
        mask = np.zeros(SIZE, bool)
        mask[14:34, 8 + 20 * (track_id - 1) + frame // 2 :][:, : 14 - frame % 3] = True
        found.append(None if frame in HIDDEN[track_id] else masks.encode(mask))
    return found


@pytest.mark.parametrize("look_ahead", [0, 3])
def test_votes_of_a_stream_are_those_of_a_video(shallow_v1, look_ahead, monkeypatch):
    monkeypatch.setattr("samodal.motion.votes.HIDDEN", 1.1)  # with random weights any point may have a vote
    monkeypatch.setattr("samodal.tracked.POINTS", 4)
    video = golden.make_video(5, LENGTH, *SIZE)
    tracks = [Track(k, 1, 0.9, masks_of(k), masks_of(k)) for k in HIDDEN]
    tracker = CoTracker(shallow_v1, size=(32, 48), iterations=1)
    whole = votes_of(tracks, tracker, Video.from_frames(list(video)), look_ahead > 0, seed=0)

    points = follow_points(tracker, look_ahead, seed=0)
    assert isinstance(points, StreamedPoints)
    for frame in range(LENGTH + look_ahead):
        if frame < LENGTH:
            seen = [(track.track_id, track.visible[frame]) for track in tracks]
            points.push(video[frame], {k: Shown(frame, rle, rle) for k, rle in seen if rle})
        index = frame - look_ahead
        if index >= 0:
            heard = points.at(index)
            assert set(heard) == {k for k, hidden in HIDDEN.items() if index in hidden}
            for track_id, one in heard.items():
                assert one.votes.keys() == {index} & whole[track_id].votes.keys()
                np.testing.assert_allclose(one.points[index], whole[track_id].points[index], atol=2e-3)
                for vote in one.votes.values():
                    expected = whole[track_id].votes[index]
                    np.testing.assert_allclose(vote.center, expected.center, atol=0.02)
                    np.testing.assert_allclose(vote.scale, expected.scale, rtol=1e-3)
    assert sum(len(one.votes) for one in whole.values()) >= 15
    assert points.stream.encoded == tracker.store.encoded <= LENGTH
    assert not points._heard
