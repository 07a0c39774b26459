"""Drives the real binary: writes a blueprint and its handlers into a folder, serves it on a free port, reads its log."""
import contextlib
import http.client
import json
import os
import pathlib
import queue
import select
import signal
import socket
import subprocess
import textwrap
import threading
import time

BUILD = pathlib.Path(os.environ.get("EXECGATE_BUILD", "build")).resolve()
BINARY = BUILD / "execgate"
EXAMPLES = BUILD / "examples"
ROOT = pathlib.Path(__file__).resolve().parents[2]
SLOW = 4 if "asan" in str(BUILD) else 1  # sanitized runs get more time before a wait gives up


def wait_for(condition, seconds=30, what="the condition"):
    """The condition's first true value; fails after a bound."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come true within {seconds * SLOW} s")
        time.sleep(0.005)


def run_cli(*words, cwd=None, env=None, stdin=None, timeout=60):
    return subprocess.run([str(BINARY), *map(str, words)], cwd=cwd, env=env, input=stdin, capture_output=True, text=True, timeout=timeout)


def read_soon(fd):
    """What a terminal shows within a moment; nothing is fine."""
    return os.read(fd, 65536) if select.select([fd], [], [], 0.05)[0] else b""


class Answer:
    """A parsed HTTP response."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def __getitem__(self, name):
        return next((v for k, v in self.headers if k.lower() == name.lower()), None)

    def all(self, name):
        return [v for k, v in self.headers if k.lower() == name.lower()]

    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode()

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:300]!r}>"


def alive(pid):
    """True while the process runs; a zombie does not count."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid):
    """Direct children of a process, zombies included."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as f:
            return [int(p) for p in f.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


class Gateway:
    """A running `execgate run`; use as a context manager."""

    def __init__(self, folder, blueprint, files=None, args=(), env=None):
        self.folder = pathlib.Path(folder)
        for name, text in (files or {}).items():
            self.write(name, text)
        self.file = self.folder / "blueprint.yaml"
        self.file.write_text(textwrap.dedent(blueprint))
        self.args, self.env = list(args), env
        self.prefix = []  # what starts it, in a place of its own
        self.lines, self.log_queue = [], queue.Queue()
        self.process = None
        self.ready = None

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, bytes):
            path.write_bytes(text)
        else:
            path.write_text(textwrap.dedent(text).lstrip("\n"))
        path.chmod(0o755)
        return path

    def __enter__(self):
        self.start()
        return self

    def start(self, listen="127.0.0.1:0"):
        words = [*self.prefix, str(BINARY), "run", str(self.file), "--json", *self.args]
        if listen:
            words += ["--listen", listen]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env)
        self.reader = threading.Thread(target=self._read_log, daemon=True)
        self.reader.start()
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(10)
            self.reader.join(10)
            raise AssertionError(f"execgate did not start ({self.process.returncode}): {self.stderr_text()}")
        self.ready = json.loads(line)
        assert "listeners" in self.ready, f"execgate did not start: {self.ready}"
        self.addresses = self.ready["listeners"]
        first = next((a for a in self.addresses if a.startswith("http://")), None)
        self.unix = next((a.removeprefix("unix:") for a in self.addresses if a.startswith("unix:")), None)
        self.port = int(first.rsplit(":", 1)[1]) if first else None

    def _read_log(self):
        for raw in self.process.stderr:
            try:
                entry = json.loads(raw)
            except ValueError:
                entry = {"raw": raw.decode(errors="replace")}
            self.lines.append(entry)

    def stderr_text(self):
        return "\n".join(str(e.get("raw", e)) for e in self.lines)

    def logs(self, message=None, **fields):
        """Log entries so far whose message contains the text and whose fields are equal."""
        return [e for e in list(self.lines)
                if (message is None or message in e.get("message", "")) and all(e.get(k) == v for k, v in fields.items())]

    def wait_log(self, message=None, seconds=30, **fields):
        return wait_for(lambda: self.logs(message, **fields), seconds, f"a log entry {message!r} {fields}")[0]

    def wait_output(self, text, seconds=30, **fields):
        """The first line a handler wrote that contains the text."""
        return wait_for(lambda: [e for e in self.logs("output", **fields) if text in e.get("line", "")], seconds, f"the output {text!r}")[0]

    def __exit__(self, kind, value, trace):
        if self.process.poll() is None:
            self.stop(signal.SIGTERM if kind is None else signal.SIGKILL)
        self.reader.join(10)
        if kind is not None:
            print("--- gateway log ---\n" + self.stderr_text()[-6000:])
            return
        assert self.process.returncode >= 0, f"execgate was killed by signal {-self.process.returncode}: {self.stderr_text()[-4000:]}"
        bad = [e for e in self.lines if "raw" in e]
        assert not bad, f"lines on stderr that are no log entries: {bad[:20]}"

    def stop(self, sig=signal.SIGTERM, seconds=20):
        self.process.send_signal(sig)
        return self.process.wait(seconds * SLOW)

    @property
    def pid(self):
        return self.process.pid

    def handler_pids(self):
        return [p for p in children(self.pid) if alive(p)]

    # --- requests ---
    def connect(self, timeout=20):
        s = socket.create_connection(("127.0.0.1", self.port), timeout * SLOW)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def client(self, timeout=30):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout * SLOW)

    def request(self, method, path, body=None, headers=None, timeout=30):
        with contextlib.closing(self.client(timeout)) as c:
            c.request(method, path, body, headers or {})
            r = c.getresponse()
            return Answer(r.status, r.getheaders(), r.read())

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def raw(self, data, timeout=20):
        """Sends bytes as they are; everything that comes back until the gateway closes or falls silent for good."""
        with self.connect(timeout) as s:
            s.sendall(data)
            return read_all(s)


def read_all(s):
    pieces = []
    with contextlib.suppress(ConnectionResetError):
        while chunk := s.recv(65536):
            pieces.append(chunk)
    return b"".join(pieces)


def read_answer(stream, method="GET"):
    """One response from a socket's makefile('rb'); 1xx responses are returned as well."""
    line = stream.readline()
    if not line:
        return None
    status = int(line.split()[1])
    headers = []
    while (line := stream.readline().rstrip(b"\r\n")):
        name, _, value = line.partition(b":")
        headers.append((name.decode("latin-1"), value.strip().decode("latin-1")))
    answer = Answer(status, headers, b"")
    if status >= 200 and status not in (204, 304) and method != "HEAD":
        answer.body = _read_body(stream, answer)
    return answer


def _read_body(stream, answer):
    if answer["Transfer-Encoding"]:
        pieces = []
        while size := int(stream.readline().split(b";")[0], 16):
            pieces.append(stream.read(size))
            stream.readline()
        stream.readline()
        return b"".join(pieces)
    if answer["Content-Length"] is not None:
        return stream.read(int(answer["Content-Length"]))
    return stream.read()
