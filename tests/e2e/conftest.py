import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from execgate import BINARY, Gateway  # noqa: E402

# In the background of a shell, or under nohup, tests begin with signals ignored, and so would every process that they start.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def binary():
    assert BINARY.exists(), f"{BINARY} is missing: run `make` first"
    return BINARY


@pytest.fixture
def gateway(tmp_path):
    """gateway(blueprint, files={...}, args=[...]) -> a Gateway to be used in a with statement."""
    return lambda blueprint, **kw: Gateway(tmp_path, blueprint, **kw)
