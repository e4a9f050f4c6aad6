import numpy as np
import pytest
from visible_files import SIZE

from samodal.video import Video


@pytest.fixture
def video():
    """A video file of three frames."""
    return Video.from_frames([np.zeros((*SIZE, 3), np.uint8)] * 3, name="clip")


@pytest.fixture
def numbered():
    """A folder of frames with the numbers 4 to 6."""
    frames = Video.from_frames([np.zeros((*SIZE, 3), np.uint8)] * 3, name="folder")
    frames.frame_names = ["000004", "000005", "000006"]
    return frames
