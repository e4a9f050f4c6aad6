"""Every frame is encoded once, and only so many are kept."""

import numpy as np
import pytest
import torch

from samodal.errors import InputError
from samodal.track.cotracker.features import FeatureStore


class Means(torch.nn.Module):
    """'Features' that are the colours of the resized image."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def describe(self, images):
        return [images.permute(0, 2, 3, 1), images.mean((2, 3))[:, None, None]]


@pytest.fixture
def video():
    return [np.full((6, 8, 3), number, np.uint8) for number in range(40)]


def values(store, video, wanted):
    slots = store.slots(video, wanted)
    assert slots.tolist() == [slots.tolist()[wanted.index(frame)] for frame in wanted]
    return store.levels[1][slots, 0, 0, 0].tolist()


def test_frames_are_encoded_once(video):
    store = FeatureStore(Means(), (32, 36), align_corners=False, capacity=8)
    assert values(store, video, [2, 5, 5, 3]) == [2, 5, 5, 3]
    assert values(store, video, [5, 2, 7]) == [5, 2, 7]
    assert store.encoded == 4
    assert store.levels[0].shape[1:] == (32, 36, 3)


def test_frames_used_longest_ago_are_forgotten_first(video):
    store = FeatureStore(Means(), (32, 36), align_corners=False, capacity=4)
    for frame in range(30):
        assert values(store, video, [frame, 0]) == [frame, 0]  # 0 is used all the time
    assert store.encoded == 30
    assert len(store.levels[0]) == 4
    assert values(store, video, [1, 28, 29, 0]) == [1, 28, 29, 0]
    assert store.encoded == 31


def test_one_call_may_need_more_than_are_kept(video):
    store = FeatureStore(Means(), (32, 36), align_corners=False, capacity=2)
    values(store, video, [30, 31])
    assert values(store, video, list(range(20))) == list(range(20))
    assert store.encoded == 22
    assert values(store, video, [21, 3]) == [21, 3]


def test_another_video_is_another_video(video):
    store = FeatureStore(Means(), (32, 36), align_corners=False)
    assert values(store, video, [1, 2]) == [1, 2]
    assert values(store, video[10:], [1, 2]) == [11, 12]
    assert store.encoded == 4


def test_what_is_no_frame_is_refused(video):
    store = FeatureStore(Means(), (32, 36), align_corners=False)
    for frame in (video[0][..., 0], video[0].astype(float), video[0][..., :1]):
        with pytest.raises(InputError, match=r"frame 1: .*uint8 \(H, W, 3\) is expected"):
            store.slots([video[0], frame], [0, 1])
    with pytest.raises(InputError, match="frame 1: of size"):
        store.slots([video[0], video[1][:4]], [0, 1])
    assert values(store, video, [3]) == [3]


def test_pixels_are_scaled_by_borders_or_by_corners(video):
    for align, expected in ((False, [36 / 8, 32 / 6]), (True, [35 / 7, 31 / 5])):
        store = FeatureStore(Means(), (32, 36), align_corners=align)
        assert store.scale(video, 4).tolist() == expected
        store.slots(video, [4])
        assert store.encoded == 1
