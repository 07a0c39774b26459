"""What the crash test stands on: the gateway that is killed, and the stores behind it."""
import contextlib
import os
import pathlib
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from execgate import BINARY, SLOW, children, wait_for  # noqa: E402
from redis_server import RedisServer  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
WORK = ("orders", "ordered", "onward", "held", "poison", "dead", "lost")
BLUEPRINT = """blueprint: 1
name: crash
dataDirectory: {data}
queues:
  orders: {{{store}{common}, send: [{{http: POST /orders}}]}}
  ordered: {{{store}{common}, fifo: true, send: [{{http: POST /ordered}}]}}
  onward: {{{store}{common}}}
  held: {{{store}{common}}}
  poison: {{{store}visibilityTimeout: 2s, maxAttempts: 3, retry: {{base: 1ms, max: 50ms}}, deadLetter: dead, send: [{{http: POST /poison}}]}}
  dead: {{{store}visibilityTimeout: 2s, retry: {{base: 1ms, max: 50ms}}}}
  lost: {{{store}visibilityTimeout: 2s, retry: {{base: 1ms, max: 50ms}}}}
handlers:
  worker:
    command: ./handler.py
    timeout: 20s
    processes: {{min: 2, max: 4, startTimeout: 1m, stopTimeout: 2s}}
    triggers:
      - {{queue: orders, batch: 5, reportFailures: true}}
      - {{queue: ordered, batch: 5, reportFailures: true}}
      - {{queue: onward, batch: 10, reportFailures: true}}
      - {{queue: held, batch: 10, reportFailures: true}}
      - {{queue: poison, batch: 1}}
      - {{queue: dead, reportFailures: true}}
      - {{queue: lost, reportFailures: true}}
  later:
    command: ./handler.py
    timeout: 20s
    async: {{maxAttempts: 1000, retry: {{base: 1ms, max: 50ms}}, onFailure: {{queue: lost}}}}
    processes: {{min: 1, max: 2, startTimeout: 1m, stopTimeout: 2s}}
"""
COMMON = "visibilityTimeout: 2s, maxAttempts: 1000, retry: {base: 1ms, max: 50ms}, deadLetter: lost"


def make_gateways(folder, store):
    (folder / "handler.py").write_bytes((HERE / "handler.py").read_bytes())
    (folder / "handler.py").chmod(0o755)
    return [Gateway(folder, store, i) for i in range(1, store.gateways + 1)]


def free_port():
    """Below those that the system hands out, so that no other program gets it while the gateway is dead."""
    while True:
        port = random.randrange(10000, 20000)
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port


class Gateway:
    """One of those that take from the store."""

    def __init__(self, folder, store, number):
        self.folder = folder
        self.data = store.disk / str(number)  # what it keeps itself
        self.port = free_port()
        self.log_path = folder / f"gateway{number}.log"
        self.blueprint = folder / f"blueprint{number}.yaml"
        self.process = None
        self.asked = None  # the signal that we sent
        self.deaths = []   # those that nobody asked for
        self.troubled = False  # a fault is on: it may refuse to start
        self.data.mkdir()
        self.blueprint.write_text(BLUEPRINT.format(store=store.words, common=COMMON, data=self.data))

    def start(self):
        self.asked = None
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([str(BINARY), "run", self.blueprint.name, "--json", "--listen", f"127.0.0.1:{self.port}"], cwd=self.folder,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def answers(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
            return True
        return False

    def wait_ready(self, seconds=60):
        """False when it ended instead."""
        wait_for(lambda: not self.running or self.answers(), seconds, "a gateway that is up")
        return self.running

    def kill(self, sig=signal.SIGKILL):
        """Returns once it is gone."""
        if not self.running:
            self.note_end()
            return
        self.asked = sig
        self.process.send_signal(sig)
        try:
            self.process.wait(60 * SLOW)
        except subprocess.TimeoutExpired:
            self.deaths.append(f"did not end within a minute of {sig.name}")
            self.process.kill()
            self.process.wait()
        self.note_end()

    def note_end(self):
        """Ends that nobody asked for are findings, but for a refusal to start while a fault is on."""
        code = self.process.poll() if self.process else None
        if code is None or code == -(self.asked or 0) or (self.asked == signal.SIGTERM and code == 0):
            return
        if not (self.troubled and code > 0):
            self.deaths.append(f"ended with {code} by itself")
        self.asked = signal.Signals(-code) if code < 0 else signal.SIGTERM

    def wait_handlers(self):
        """Processes of its handlers; none when it ended instead."""
        wait_for(lambda: not self.running or children(self.process.pid), 60, "handlers that run")
        return children(self.process.pid)


def store_file(data):
    return data / ".execgate" / "crash" / "queues.db"


def file_messages(disk):
    found = {}
    for data in disk.iterdir():
        with contextlib.closing(sqlite3.connect(f"file:{store_file(data)}?mode=ro", uri=True, timeout=30)) as db:
            found |= {f"{data.name}/{name}": count for name, count in db.execute("SELECT name, messages FROM queue")}
    return found


class SqliteStore:
    """On a small disk of its own, where it may be mounted."""
    name, words, gateways = "sqlite", "", 1
    DISK_BYTES = 96 << 20

    def __init__(self, folder):
        self.disk = folder / "disk"
        self.is_small = False

    def __enter__(self):
        self.disk.mkdir()
        mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.DISK_BYTES},mode=0700", "crash-test", str(self.disk)], capture_output=True, check=False)
        self.is_small = mount.returncode == 0
        return self

    def __exit__(self, *_):
        if self.is_small:
            subprocess.run(["umount", "-l", str(self.disk)], check=True)

    def messages(self):
        """How many each queue has."""
        return file_messages(self.disk)


class RedisStore:
    """Shared by two gateways. What is asynchronous, each keeps itself."""
    name, gateways = "redis", 2

    def __init__(self, folder):
        self.disk = folder / "disk"
        self.server = RedisServer(folder / "redis")
        self.words = f'store: redis, url: "{self.server.url}", '

    def __enter__(self):
        self.disk.mkdir()
        self.server.__enter__()
        return self

    def __exit__(self, *_):
        self.server.kill()

    def messages(self):
        return {q: self.server.counts("crash", q)["messages"] for q in WORK} | file_messages(self.disk)


STORES = {"sqlite": SqliteStore, "redis": RedisStore}


def wait_drained(store, ledger, seconds=90):
    """Until no queue has a message; gives up when nothing moves any more."""
    last, end = None, 0
    while any(count := store.messages().values()):
        now = (tuple(count), ledger.size())
        if now != last:
            last, end = now, time.monotonic() + seconds * SLOW
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def in_own_mounts():
    """Runs the program again where its mounts are its own; without the right to that, as it is."""
    if os.environ.get("CRASH_TEST_MOUNTS"):
        return
    words = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "-m"]
    may = subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0
    os.environ["CRASH_TEST_MOUNTS"] = "1"
    command = [sys.executable, *sys.argv]
    os.execvp((words if may else command)[0], [*(words if may else []), *command])
