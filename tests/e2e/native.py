"""The native face from a process's side: messages are written and taken apart by hand here, and nothing is forgiven."""
import contextlib
import fcntl
import select
import signal
import struct
import termios
import time

from execgate import Gateway, wait_for
from puppet import Api, blueprint, environment

NAMELESS = "00000000-0000-4000-8000-000000000000"
# A process that a SIGTERM does not end, so that a test can still speak for it afterwards.
DEAF = "#!/bin/sh\ntrap '' TERM\nenv > env.tmp && mv env.tmp env.$$\nwhile :; do sleep 1000; done\n"


class Event:
    """One request message of a pipeline."""

    def __init__(self, start, fields, body):
        self.start, self.fields, self.body = start, fields, body
        self.method, self.target, version = start.split(" ")
        assert version == "HTTP/1.1"

    def __getitem__(self, name):
        values = self.all(name)
        return values[0] if values else None

    def all(self, name):
        return [v for k, v in self.fields if k.lower() == name.lower()]

    @property
    def id(self):
        return self["Execgate-Invocation-Id"]

    def __repr__(self):
        return f"<{self.start} {self.fields} {self.body[:200]!r}>"


def events_of(pipeline):
    """All messages of a pipeline, which must end with the last of them."""
    events = []
    while pipeline:
        head, blank, rest = pipeline.partition(b"\r\n\r\n")
        assert blank, f"a message without the end of its head: {head[:300]!r}"
        start, *lines = head.decode("latin-1").split("\r\n")
        assert not any(c in head.replace(b"\r\n", b"") for c in b"\r\n\0"), "a bare line end inside a head"
        fields = [tuple(line.split(": ", 1)) for line in lines]
        lengths = [v for k, v in fields if k.lower() == "content-length"]
        assert len(lengths) == 1 and lengths[0].isdigit(), f"Content-Length of an event: {lengths}"
        size = int(lengths[0])
        assert len(rest) >= size, "an event that is cut off"
        events.append(Event(start, fields, rest[:size]))
        pipeline = rest[size:]
    return events


def message(id, body=b"", status=200, fields=(), length=True, start=None):
    """An answer. `length`: True = exact, False = none, anything else = written as it is."""
    body = body.encode() if isinstance(body, str) else body
    lines = [start or f"HTTP/1.1 {status} Answer"]
    if id is not None:
        lines.append(f"Execgate-Invocation-Id: {id}")
    lines += [f"{k}: {v}" for k, v in fields]
    if length is not False:
        lines.append(f"Content-Length: {len(body) if length is True else length}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class Native(Api):
    def send_exchange(self, answers=b"", max=None):
        query = "" if max is None else f"?max={max}"
        self.send("POST", "/v1/exchange" + query, answers, {"Content-Type": "application/http"})

    def read_exchange(self):
        """The reply, with its .events."""
        reply = self.read()
        assert reply is not None, "the connection was closed instead of a reply"
        assert reply.status == 200, reply
        assert reply["Content-Length"] == str(len(reply.body))
        assert reply["Content-Type"] == "application/http"
        reply.events = events_of(reply.body)
        return reply

    def exchange(self, answers=b"", max=None):
        self.send_exchange(answers, max)
        return self.read_exchange()

    def event(self):
        """The one event that there is."""
        events = self.exchange(max=1).events
        assert len(events) == 1
        return events[0]

    def answer(self, *answers):
        """Delivers messages without asking for events."""
        reply = self.exchange(b"".join(answers), max=0)
        assert reply.body == b""
        return reply

    def is_waiting(self):
        """True while nothing has come back."""
        return not select.select([self.socket], [], [], 0)[0]

    def send_and_drain(self, data):
        """Sends over the Unix socket and waits until the gateway has read all of it."""
        self.socket.sendall(data)
        wait_for(lambda: unread(self.socket) == 0, what="the gateway's reading")


def unread(sock):
    return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0" * 4))[0]


def settle(api):
    """A round trip: what other connections sent before is with the gateway now."""
    for _ in range(2):
        assert api.call("GET", "/v1/config").status == 200


def status(g, message, handler):
    """What the gateway says about a pool or its worker when it is asked by SIGUSR1."""
    seen = len(g.logs(message, handler=handler))
    g.process.send_signal(signal.SIGUSR1)
    return wait_for(lambda: g.logs(message, handler=handler)[seen:], what="the status")[0]


def wait_queued(g, count, handler="puppet"):
    """Until so many requests wait in the pool, and nothing else is on its way."""
    wait_for(lambda: status(g, "pool status", handler)["queued"] == count, what=f"{count} queued requests")


def wait_wants(g, count, handler="puppet"):
    """Until the process is known to ask for so many events."""
    wait_for(lambda: status(g, "worker status", handler)["wants"] == count, what=f"a process that asks for {count} events")


def standstill(value, seconds=0.4):
    """A growing value once it has stopped growing for a while."""
    last, since = value(), time.monotonic()
    end = since + 30
    while time.monotonic() - since < seconds or not last:
        assert time.monotonic() < end, f"no standstill: {last}"
        time.sleep(0.01)
        if value() != last:
            last, since = value(), time.monotonic()
    return last


@contextlib.contextmanager
def deaf_puppet(folder, more="", concurrency=1, top=""):
    """As puppet(), but it has to be killed: for what may be said between SIGTERM and the end."""
    text = blueprint(more, concurrency, top).replace("stopTimeout: 200ms", "stopTimeout: 1s")
    with Gateway(folder, text, files={"puppet.sh": DEAF}) as g:
        yield g, environment(folder)
