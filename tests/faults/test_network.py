"""The short form of the cluster's network test; `make faults` runs it in full."""
import os
import pathlib
import subprocess
import sys

NETWORK = pathlib.Path(__file__).with_name("network.py")


def test_no_message_comes_twice_and_none_is_lost(tmp_path):
    command = [sys.executable, str(NETWORK), "--rounds", "3", "--seed", str(os.getpid()), "--keep", str(tmp_path / "network")]
    test = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert test.returncode == 0, test.stdout + test.stderr
