"""The short form of the crash test; `make faults` runs it in full."""
import os
import pathlib
import subprocess
import sys

import pytest

CRASH = pathlib.Path(__file__).with_name("crash.py")
SECONDS = 20  # of faults; what is queued then is handled


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_nothing_that_was_accepted_is_lost(tmp_path, store):
    command = [sys.executable, str(CRASH), "--store", store, "--kills", "15", "--seconds", str(SECONDS), "--seed", str(os.getpid()), "--keep", str(tmp_path / "crash")]
    test = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
    assert test.returncode == 0, test.stdout + test.stderr
