#!/usr/bin/env python3
"""install.py FOLDER: boto3 as the requirements pin it, in a virtual environment of its own; nothing is done when it is there already."""
import hashlib
import pathlib
import subprocess
import sys

REQUIREMENTS = pathlib.Path(__file__).resolve().parent / "requirements.txt"
SECONDS = 600


def install(folder):
    """The environment's Python. Raises RuntimeError with what the tools said."""
    folder = pathlib.Path(folder).resolve()
    python, stamp = folder / "bin/python", folder / "stamp"
    made_of = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == made_of:
        return python
    run(sys.executable, "-m", "venv", "--clear", folder)
    run(python, "-m", "pip", "install", "--quiet", "--no-input", "--require-hashes", "--only-binary", ":all:", "-r", REQUIREMENTS)
    stamp.write_text(made_of)
    return python


def run(*words):
    done = subprocess.run([str(w) for w in words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          timeout=SECONDS, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout[-4000:]}")


if __name__ == "__main__":
    print(install(sys.argv[1]))
