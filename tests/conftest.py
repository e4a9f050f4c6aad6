import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `toys`


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Several test processes share the cores; a thread pool in each would only make them wait for each other."""
    import torch

    torch.set_num_threads(1)
