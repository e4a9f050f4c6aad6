import gc
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says more of the machine, and of what else runs on it, than of the code.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the commands that tests start, as `one_thread`
sys.path.insert(0, str(Path(__file__).parent))  # for `toys` and other shared modules


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Several test processes share the cores; a thread pool in each would only make them wait for each other."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="module")
def new_objects_of_a_module() -> None:
    """The garbage collector need not look at half a million objects of torch and others time and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def new_objects(new_objects_of_a_module: None) -> None:
    """It sees what this test makes alone."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def undamaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every format, for the tests that damage a copy."""
    from damage import write_undamaged

    folder = tmp_path_factory.mktemp("undamaged")
    write_undamaged(folder)
    return folder


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that `samodal predict` needs."""
    from predicting import write_case

    folder = tmp_path_factory.mktemp("case")
    write_case(folder)
    return folder
