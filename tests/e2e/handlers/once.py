#!/usr/bin/python3 -S
"""A CGI program that does what the last segments of its path say. For `mode: once`."""
import hashlib
import json
import os
import signal
import sys
import time

out = sys.stdout.buffer


def document(*lines, body=b""):
    out.write("".join(line + "\r\n" for line in lines).encode("latin-1") + b"\r\n" + body)
    out.flush()


def reply(value):
    document("Content-Type: application/json", body=json.dumps(value).encode())


def env(rest):
    reply({"env": dict(os.environ), "argv": sys.argv[1:], "cwd": os.getcwd(), "body": sys.stdin.buffer.read().decode("latin-1")})


def raw(rest):
    """The rest, in hexadecimal, is the whole output; `/N` behind it the exit status."""
    out.write(bytes.fromhex(rest[0] if rest else ""))
    out.flush()
    os._exit(int(rest[1]) if len(rest) > 1 else 0)


def kill(rest):
    """`/after` a document has begun."""
    if len(rest) > 1:
        document("Content-Type: text/plain", body=b"the beginning")
    else:
        out.write(b"plain output")
        out.flush()
    os.kill(os.getpid(), getattr(signal, rest[0]))


def hang(rest):
    """`/deaf` to SIGTERM; `/after` a document has begun."""
    if "deaf" in rest:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "after" in rest:
        document("Content-Type: text/plain", body=b"the beginning")
    print(f"hanging {os.getpid()}", file=sys.stderr, flush=True)
    while True:
        time.sleep(3600)


def count(rest):
    """Size and hash of what comes on stdin."""
    size, digest = 0, hashlib.sha256()
    while data := sys.stdin.buffer.read(65536):
        size += len(data)
        digest.update(data)
    reply({"size": size, "sha256": digest.hexdigest(), "length": os.environ.get("CONTENT_LENGTH")})


def unread(rest):
    document("Content-Type: text/plain", body=b"not interested")


def big(rest):
    """So many blocks of 64 KiB; how many have been taken is told in the file `written`."""
    document("Content-Type: application/octet-stream")
    for i in range(int(rest[0])):
        out.write(b"b" * 65536)
        out.flush()
        with open("written.tmp", "w", encoding="ascii") as f:
            f.write(str(i + 1))
        os.rename("written.tmp", "written")


def ticks(rest):
    """A line now, the next when the file `go` is there."""
    document("Content-Type: text/plain", body=b"early\n")
    while not os.path.exists("go"):
        time.sleep(0.005)
    out.write(b"late\n")


def complain(rest):
    """Lines on stderr, the last one without an end."""
    print("first complaint", file=sys.stderr)
    sys.stderr.write("second complaint")
    sys.stderr.flush()
    reply({"id": os.environ["EXECGATE_INVOCATION_ID"], "pid": os.getpid()})


def together(rest):
    """How many of these run at once, as far as this one sees."""
    mine = f"running.{os.getpid()}"
    with open(mine, "w", encoding="ascii"):
        pass
    most, end = 0, time.monotonic() + 0.15
    while time.monotonic() < end:
        most = max(most, len([f for f in os.listdir() if f.startswith("running.")]))
        time.sleep(0.01)
    os.unlink(mine)
    reply(most)


def linger(rest):
    """Leaves a child behind that holds stdout open."""
    document("Content-Type: text/plain", body=b"from the parent")
    if os.fork() == 0:
        time.sleep(3600)
    os._exit(0)


def main():
    order, *rest = os.environ["PATH_INFO"].strip("/").split("/")
    globals()[order](rest)


main()
