"""The faults: each begins, lasts for a while beside everything else, and ends."""
import contextlib
import os
import random
import resource
import signal
import sqlite3
import threading

from stand import store_file


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


class Reloaded(Fault):
    """The blueprint is read again, twice at once."""
    name = "reloads"

    def begin(self):
        if not self.gateway.running:
            return False
        for _ in range(2):
            self.gateway.process.send_signal(signal.SIGHUP)
        return True


def empty_log(gateway):
    """So that the next transactions must make the write-ahead log longer, instead of writing over what it has."""
    if store_file(gateway.data).exists():
        with contextlib.closing(sqlite3.connect(store_file(gateway.data), timeout=5)) as db, contextlib.suppress(sqlite3.Error):
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


class DiskFull(Fault):
    name = "disk full"

    def begin(self):
        if not self.store.is_small:
            return False
        empty_log(self.gateway)
        left = self.rng.choice([0, 0, 4096, 65536])
        with contextlib.suppress(OSError), open(self.store.disk / "ballast", "wb", buffering=0) as f:
            while f.write(bytes(65536)):
                pass
        size = os.path.getsize(self.store.disk / "ballast")
        os.truncate(self.store.disk / "ballast", max(0, size - left))
        return True

    def end(self):
        (self.store.disk / "ballast").unlink(missing_ok=True)


def set_limit(gateway, kind, soft):
    """False when there is nobody to limit. None = as high as it may be."""
    if not gateway.running:
        return False
    with contextlib.suppress(ProcessLookupError):
        _, hard = resource.prlimit(gateway.process.pid, kind)
        resource.prlimit(gateway.process.pid, kind, (hard if soft is None else soft, hard))
    return True


class WriteErrors(Fault):
    """Files of the gateway may not be written to beyond a size."""
    name = "write errors"

    def begin(self):
        empty_log(self.gateway)
        return set_limit(self.gateway, resource.RLIMIT_FSIZE, self.rng.choice([0, 0, 4096, 65536]))

    def end(self):
        set_limit(self.gateway, resource.RLIMIT_FSIZE, None)


class NoDescriptors(Fault):
    """The gateway may open no more files, take no connections and start no handlers."""
    name = "no descriptors left"

    def begin(self):
        return set_limit(self.gateway, resource.RLIMIT_NOFILE, self.rng.randrange(3, 40))

    def end(self):
        set_limit(self.gateway, resource.RLIMIT_NOFILE, None)


class Locked(Fault):
    """Another process has the file for itself."""
    name = "database locked"

    def begin(self):
        if not store_file(self.gateway.data).exists():
            return False
        self.stop, self.held = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.hold, daemon=True)
        self.thread.start()
        return self.held.wait(30)

    def hold(self):
        with contextlib.closing(sqlite3.connect(store_file(self.gateway.data), timeout=25, isolation_level=None)) as db:
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


class RedisCut(Fault):
    """All connections break, again and again, and the scripts are gone."""
    name = "redis connections cut"

    def begin(self):
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.cut, daemon=True)
        self.thread.start()
        return True

    def cut(self):
        while not self.stop.is_set():
            self.store.server.call("SCRIPT", "FLUSH")
            self.store.server.call("CLIENT", "KILL", "TYPE", "normal")
            self.stop.wait(0.1)

    def end(self):
        self.stop.set()
        self.thread.join()


class RedisFull(Fault):
    name = "redis out of memory"

    def begin(self):
        self.store.server.call("CONFIG", "SET", "maxmemory", "1")
        return True

    def end(self):
        self.store.server.call("CONFIG", "SET", "maxmemory", "0")


ANYWHERE = [HandlersKilled, HandlersStopped, NoDescriptors, Reloaded]
FAULTS = {"sqlite": [*ANYWHERE, DiskFull, WriteErrors, Locked],
          "redis": [*ANYWHERE, RedisKilled, RedisStopped, RedisCut, RedisFull]}
