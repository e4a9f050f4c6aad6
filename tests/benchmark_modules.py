"""The scripts in benchmarks/ as modules, for tests of them."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def load_benchmark(name: str) -> ModuleType:
    """The script of that name; without the folder, the tests of the module that asks for it are skipped."""
    if not BENCHMARKS.is_dir():
        pytest.skip("benchmarks/ is only in the repository", allow_module_level=True)
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
