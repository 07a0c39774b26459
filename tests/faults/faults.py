"""The faults: each begins, lasts for a while beside everything else, and ends."""
import contextlib
import os
import random
import resource
import signal
import sqlite3
import threading


class Fault:
    name = ""

    def __init__(self, gateway, store, rng: random.Random):
        self.gateway, self.store, self.rng = gateway, store, rng

    def begin(self):
        """False when it cannot be done now."""

    def end(self):
        pass

    def seconds(self):
        return self.rng.uniform(0.1, 1.2)


class Nothing(Fault):
    name = "nothing else"


class HandlersKilled(Fault):
    name = "handlers killed"

    def begin(self):
        pids = self.gateway.wait_handlers()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return bool(pids)


class HandlersStopped(Fault):
    """They hang for longer than the visibility timeout."""
    name = "handlers stopped"

    def begin(self):
        self.pids = self.gateway.wait_handlers()
        self.signal(signal.SIGSTOP)
        return bool(self.pids)

    def signal(self, number):
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def end(self):
        self.signal(signal.SIGCONT)

    def seconds(self):
        return self.rng.choice([0.3, 3])


class DiskFull(Fault):
    name = "disk full"

    def begin(self):
        if not self.store.is_small:
            return False
        left = self.rng.choice([0, 0, 4096, 65536])
        with contextlib.suppress(OSError), open(self.store.disk / "ballast", "wb", buffering=0) as f:
            while f.write(bytes(65536)):
                pass
        size = os.path.getsize(self.store.disk / "ballast")
        os.truncate(self.store.disk / "ballast", max(0, size - left))
        return True

    def end(self):
        (self.store.disk / "ballast").unlink(missing_ok=True)


class WriteErrors(Fault):
    """Files of the gateway may not grow beyond what they are, or not at all."""
    name = "write errors"

    def begin(self):
        wal = self.store.file.with_name("queues.db-wal")
        now = wal.stat().st_size if wal.exists() else 0
        return self.limit(self.rng.choice([0, now, now + 5000]))

    def limit(self, size):
        if not self.gateway.running:
            return False
        with contextlib.suppress(ProcessLookupError):
            _, hard = resource.prlimit(self.gateway.process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(self.gateway.process.pid, resource.RLIMIT_FSIZE, (size, hard))
        return True

    def end(self):
        self.limit(resource.RLIM_INFINITY)


class Locked(Fault):
    """Another process has the file for itself."""
    name = "database locked"

    def begin(self):
        if not self.store.file.exists():
            return False
        self.stop, self.held = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.hold, daemon=True)
        self.thread.start()
        return self.held.wait(30)

    def hold(self):
        with contextlib.closing(sqlite3.connect(self.store.file, timeout=25, isolation_level=None)) as db:
            with contextlib.suppress(sqlite3.Error):
                db.execute("BEGIN IMMEDIATE")
            self.held.set()
            self.stop.wait(60)

    def end(self):
        self.stop.set()
        self.thread.join()

    def seconds(self):
        return self.rng.choice([0.2, 1, 1, 7])  # the last is longer than the gateway waits for a lock


class RedisKilled(Fault):
    name = "redis killed"

    def begin(self):
        self.store.server.kill()
        return True

    def end(self):
        self.store.server.start()


class RedisStopped(Fault):
    name = "redis stopped"

    def begin(self):
        self.store.server.process.send_signal(signal.SIGSTOP)
        return True

    def end(self):
        self.store.server.process.send_signal(signal.SIGCONT)

    def seconds(self):
        return self.rng.choice([0.2, 1, 4])


class RedisFull(Fault):
    name = "redis out of memory"

    def begin(self):
        self.store.server.call("CONFIG", "SET", "maxmemory", "1")
        return True

    def end(self):
        self.store.server.call("CONFIG", "SET", "maxmemory", "0")


FAULTS = {"sqlite": [HandlersKilled, HandlersStopped, DiskFull, WriteErrors, Locked],
          "redis": [HandlersKilled, HandlersStopped, RedisKilled, RedisStopped, RedisFull]}
