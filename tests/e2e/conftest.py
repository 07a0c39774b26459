import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from execgate import BINARY, Gateway  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def binary():
    assert BINARY.exists(), f"{BINARY} is missing: run `make` first"
    return BINARY


@pytest.fixture
def gateway(tmp_path):
    """gateway(blueprint, files={...}, args=[...]) -> a Gateway to be used in a with statement."""
    return lambda blueprint, **kw: Gateway(tmp_path, blueprint, **kw)
