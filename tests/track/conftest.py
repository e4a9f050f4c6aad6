import cotracker_golden as golden
import pytest

from samodal.track.cotracker import load_cotracker


@pytest.fixture(scope="session")
def v1():
    """The model of the goldens."""
    return load_cotracker(golden.weights("v1"))


@pytest.fixture(scope="session")
def shallow_v1():
    """Full of logic, quick, and tame: a small change of its input changes its output little."""
    return golden.shallow(load_cotracker(golden.weights("v1")))
