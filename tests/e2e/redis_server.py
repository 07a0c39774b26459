"""A Redis server of the test's own: on a free port of the loopback, in a folder of the test. What it has said is on the disk."""
import os
import random
import signal
import socket
import subprocess
import time


def free_port():
    """Not one that the system gives to whoever asks for any: a server that is killed and started again must find its own still free."""
    while True:
        port = random.randrange(10000, 20000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class RedisServer:
    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self.process = None

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def __enter__(self):
        self.folder.mkdir(exist_ok=True)
        self.start()
        return self

    def start(self, seconds=30):
        self.process = subprocess.Popen(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", "",
                                         "--appendonly", "yes", "--appendfsync", "always"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        end = time.monotonic() + seconds
        while not self.answers():
            assert self.process.poll() is None, "redis-server ended"
            assert time.monotonic() < end, "redis-server does not answer"
            time.sleep(0.02)

    def answers(self):
        try:
            return self.call("PING") == "PONG"
        except (OSError, RuntimeError):
            return False

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def __exit__(self, *_):
        self.kill()

    def call(self, *words):
        """One command; errors of Redis' are RuntimeErrors."""
        parts = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as s:
            s.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
            return self._read(s.makefile("rb"))

    def _read(self, stream):
        line = stream.readline()
        kind, rest = line[:1], line[1:].strip()
        if not line:
            raise OSError("redis-server closed the connection")
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else stream.read(int(rest) + 2)[:-2]
        return None if rest == b"-1" else [self._read(stream) for _ in range(int(rest))]

    def counts(self, name="shop", queue="orders"):
        """What has become of a queue's messages."""
        flat = self.call("HGETALL", f"execgate:{{{name}}}:stats:{queue}")
        found = {k.decode(): int(v) for k, v in zip(flat[::2], flat[1::2])}
        return found | {"messages": self.call("XLEN", f"execgate:{{{name}}}:stream:{queue}")}
