"""The native face as docs/runtime-api.md tells it: exchanges of request and response messages, and what must never get through."""
import contextlib
import hashlib
import http.client
import json
import os
import re
import select
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.parse

import pytest
from execgate import EXAMPLES, Gateway, alive, read_all, read_answer, wait_for
from native import NAMELESS, Native, deaf_puppet, events_of, message, settle, standstill, wait_queued, wait_wants
from puppet import Request, environment, puppet

BOTH = pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


# --- events ---
@BOTH
def test_an_event_is_the_clients_request(tmp_path, unix):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with puppet(tmp_path) as (g, env), g.connect() as s:
        s.sendall(b"POST /p/a%2Fb/x/y%20z?q=1&q=%C3%A9&flag HTTP/1.1\r\n"
                  b"X-One: 1\r\nHost: Shop.Example:8080\r\nx-TWO:  a  b \t\r\nX-Request-Id: order-7\r\n"
                  b"Connection: keep-alive, X-Hop\r\nX-Hop: named\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\nUpgrade: h2c\r\n"
                  b"Proxy-Authorization: Basic Zm9v\r\nProxy-Connection: close\r\n"
                  b"Execgate-Invocation-Id: forged\r\nEXECGATE-ROUTE: forged\r\nexecgate-claims: {}\r\n"
                  b"X-ONE: 2\r\nCookie: a=1\r\nCookie: b=2\r\nEmpty:\r\nOdd: \xc3\xa9\x80\xff \"\\\"\r\nContent-Length: 5\r\n"
                  b"traceparent: " + trace.encode() + b"\r\nX-One: 3\r\n\r\nhe\0lo")
        api = Native(env, unix)
        reply = api.exchange()
        head, _, body = reply.body.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        assert lines[0] == b"POST /p/a%2Fb/x/y%20z?q=1&q=%C3%A9&flag HTTP/1.1"
        own = dict(line.decode().split(": ", 1) for line in lines[1:10])
        assert list(own) == ["Execgate-Invocation-Id", "Execgate-Trigger", "Execgate-Route", "Execgate-Parameters", "Execgate-Deadline",
                             "Execgate-Client-Address", "Execgate-Request-Id", "traceparent", "Host"]
        assert re.fullmatch(UUID, own["Execgate-Invocation-Id"]) and own["Execgate-Trigger"] == "http"
        assert own["Execgate-Route"] == "ANY /p/{id}/{rest+}" and own["Execgate-Client-Address"] == "127.0.0.1"
        assert own["Execgate-Parameters"].startswith("id=a%2Fb&rest=x%2Fy") and "/" not in own["Execgate-Parameters"]
        assert urllib.parse.parse_qsl(own["Execgate-Parameters"], strict_parsing=True) == [("id", "a/b"), ("rest", "x/y z")]
        assert 0 < int(own["Execgate-Deadline"]) - time.time() * 1000 < 31_000
        assert own["Execgate-Request-Id"] == "order-7" and own["Host"] == "Shop.Example:8080"
        assert re.fullmatch(r"00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01", own["traceparent"])
        assert lines[10:] == [b"X-One: 1", b"x-TWO: a  b", b"X-Request-Id: order-7", b"X-ONE: 2", b"Cookie: a=1", b"Cookie: b=2", b"Empty: ",
                              b"Odd: \xc3\xa9\x80\xff \"\\\"", b"X-One: 3", b"Content-Length: 5"]
        assert body == b"he\0lo"
        api.answer(message(own["Execgate-Invocation-Id"], b"thanks"))
        answer = read_answer(s.makefile("rb"))
        assert answer.status == 200 and answer.body == b"thanks" and answer["X-Request-Id"] == "order-7"


def test_an_event_without_anything(tmp_path):
    with puppet(tmp_path) as (g, env), g.connect() as s:
        s.sendall(b"DELETE /p HTTP/1.0\r\n\r\n")
        api = Native(env)
        reply = api.exchange(max=1)
        event, = reply.events
        assert (event.method, event.target, event.body) == ("DELETE", "/p", b"") and event.all("Content-Length") == ["0"]
        assert event["Execgate-Parameters"] is None and event["Host"] is None and event["Execgate-Route"] == "ANY /p"
        assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]", event["traceparent"])
        assert re.fullmatch(UUID, event["Execgate-Request-Id"])
        api.answer(message(event.id))
        assert read_all(s).startswith(b"HTTP/1.")


def test_an_absolute_target_becomes_path_and_host(tmp_path):
    with puppet(tmp_path) as (g, env), g.connect() as s:
        s.sendall(b"GET http://real.example/p?x HTTP/1.1\r\nHost: other.example\r\n\r\n")
        api = Native(env)
        event = api.event()
        assert event.target == "/p?x" and event.all("Host") == ["real.example"]
        api.answer(message(event.id))


@BOTH
def test_a_chunked_upload_becomes_a_known_length(tmp_path, unix):
    with puppet(tmp_path) as (g, env), g.connect() as s:
        s.sendall(b"PUT /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Late\r\n\r\n")
        api = Native(env, unix)
        api.send_exchange()
        for part in (b"4\r\nwiki\r\n", b"5;ext=1\r\npedia\r\n", b"E\r\n in\r\n\r\nchunks.\r\n", b"0\r\nX-Late: 1\r\n\r\n"):
            assert api.is_waiting(), "the event came before its body was complete"
            s.sendall(part)
        event, = api.read_exchange().events
        assert event.body == b"wikipedia in\r\n\r\nchunks." and event["Transfer-Encoding"] is None
        assert event["Trailer"] is None and event["X-Late"] is None
        api.answer(message(event.id))
        assert read_answer(s.makefile("rb")).status == 200


@BOTH
def test_binary_bodies_travel_as_they_are(tmp_path, unix):
    data = bytes(range(256)) * 9
    with puppet(tmp_path) as (g, env):
        api = Native(env, unix)
        r = Request(g, "POST", "/p", data)
        event = api.event()
        assert event.body == data
        api.answer(message(event.id, data[::-1], fields=[("Content-Type", "application/x-thing")]))
        a = r.answer()
        assert a.body == data[::-1] and a["Content-Type"] == "application/x-thing" and a["Content-Length"] == str(len(data))


def spill_files(pid):
    """Descriptors of files that have no name any more. Some other descriptor may be closed between listing and reading it."""
    found = []
    for f in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            if "deleted" in os.readlink(f"/proc/{pid}/fd/{f}"):
                found.append(f)
    return found


@BOTH
def test_large_bodies_both_ways(tmp_path, unix):
    """8 MiB in, which waits in a file on its way, and 5 MiB out."""
    data = hashlib.shake_128(b"in").digest(8 << 20)
    out = hashlib.shake_128(b"out").digest(5 << 20)
    with puppet(tmp_path) as (g, env):
        api = Native(env, unix)
        r = Request(g, "POST", "/p", data)
        event = api.event()
        assert len(event.body) == len(data) and event.body == data
        api.answer(message(event.id, out))
        assert r.answer().body == out
        assert not spill_files(g.pid), "a spill file is left open"


# --- answers ---
def test_an_answer_reaches_the_client_filtered(tmp_path):
    with puppet(tmp_path) as (g, env):
        api = Native(env)
        r = Request(g)
        event = api.event()
        api.answer(message(event.id, "body", 203, [
            ("Content-Type", "text/plain"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Mixed-Case", "Ok"), ("Empty", ""),
            ("Connection", "X-Hop, close"), ("X-Hop", "gone"), ("Keep-Alive", "1"), ("Upgrade", "h2c"), ("Proxy-Authenticate", "x"), ("Trailer", "X"), ("TE", "x"),
            ("Execgate-Secret", "inner")]))
        a = r.answer()
        assert a.status == 203 and a.body == b"body"
        assert a.all("Set-Cookie") == ["a=1", "b=2"] and a["X-Mixed-Case"] == "Ok" and a["Content-Type"] == "text/plain"
        assert a["Empty"] in ("", None)  # libmicrohttpd has no fields without a value
        assert a.all("Content-Length") == ["4"]
        for name in ("X-Hop", "Keep-Alive", "Upgrade", "Proxy-Authenticate", "Trailer", "TE", "Execgate-Secret", "Execgate-Invocation-Id"):
            assert a[name] is None, name


@pytest.mark.parametrize("start", ["HTTP/1.1 201 Created", "HTTP/1.1 201", "HTTP/1.1 201 ", "HTTP/1.0 201 \x80\xff"])
def test_status_lines(tmp_path, start):
    with puppet(tmp_path) as (g, env):
        api = Native(env)
        r = Request(g)
        assert api.answer(message(api.event().id, b"x", start=start))["Execgate-Refused"] is None
        assert r.answer().status == 201


def test_statuses_without_a_body(tmp_path):
    with puppet(tmp_path) as (g, env), g.connect() as s:
        api, f = Native(env), s.makefile("rb")
        for status, method in ((204, "GET"), (304, "GET"), (200, "HEAD"), (404, "HEAD")):
            s.sendall(f"{method} /p HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            api.answer(message(api.event().id, b"not for the client", status))
            assert read_answer(f, method).status == status
        s.sendall(b"GET /p HTTP/1.1\r\nHost: a\r\n\r\n")
        api.answer(message(api.event().id, b"in step"))
        assert read_answer(f).body == b"in step"


# --- batches ---
@BOTH
def test_waiting_requests_come_in_one_reply(tmp_path, unix):
    with puppet(tmp_path, concurrency=8) as (g, env):
        api = Native(env, unix)
        requests = [Request(g, "POST", f"/p/{i}/x", f"body {i}") for i in range(10)]
        wait_queued(g, 10)
        first = api.exchange(max=3).events
        assert len(first) == 3
        second = api.exchange(max=16).events
        assert len(second) == 5, "8 places less 3 that are held"
        answers = b"".join(message(e.id, e["Execgate-Parameters"].encode() + b" " + e.body) for e in first[::-1] + second[1:])
        third = api.exchange(answers, max=16)
        assert len(third.events) == 2 and third["Execgate-Refused"] is None
        left = second[:1] + third.events
        api.answer(*(message(e.id, e["Execgate-Parameters"].encode() + b" " + e.body) for e in left))
        assert [r.answer().text for r in requests] == [f"id={i}&rest=x body {i}" for i in range(10)]


def test_max_is_one_when_absent_and_has_a_range(tmp_path):
    with puppet(tmp_path, concurrency=4) as (g, env):
        api = Native(env)
        requests = [Request(g) for _ in range(3)]
        wait_queued(g, 3)
        events = api.exchange().events
        assert len(events) == 1
        for bad in ("-1", "x", "", "1x", "99999999999999999999"):
            reply = api.call("POST", f"/v1/exchange?max={bad}")
            assert reply.status == 400 and reply["Content-Type"] == "application/problem+json", bad
        events += api.exchange(max=2).events
        api.answer(*(message(e.id) for e in events))
        assert [r.answer().status for r in requests] == [200] * 3


@BOTH
def test_max_0_returns_at_once(tmp_path, unix):
    with puppet(tmp_path) as (g, env):
        api = Native(env, unix)
        r = Request(g)
        event = api.event()
        assert api.exchange(max=0).events == []
        Request(g)
        wait_queued(g, 1)
        assert api.answer(message(event.id, b"now")).events == []
        assert r.answer().text == "now"
        assert api.exchange(max=0).events == [], "the next event waits for a real exchange"
        api.answer(message(api.event().id))


def test_no_place_is_free_until_an_answer_came(tmp_path):
    with puppet(tmp_path, concurrency=2) as (g, env):
        api, other = Native(env), Native(env)
        requests = [Request(g, "GET", f"/p/{i}/x") for i in range(3)]
        wait_queued(g, 3)
        held = api.exchange(max=9).events
        assert len(held) == 2
        api.send_exchange(max=9)
        settle(other)
        assert api.is_waiting(), "more events than places"
        other.answer(message(held[1].id, b"second"))
        third, = api.read_exchange().events
        other.answer(message(third.id, b"third"), message(held[0].id, b"first"))
        assert sorted(r.answer().text for r in requests) == ["first", "second", "third"]


def test_two_exchanges_are_served_in_their_order(tmp_path):
    with puppet(tmp_path, concurrency=2) as (g, env):
        first, second, third = Native(env), Native(env, unix=True), Native(env)
        first.send_exchange()
        settle(third)
        second.send_exchange()
        settle(third)
        r1 = Request(g, "GET", "/p/1/x")
        e1, = first.read_exchange().events
        assert second.is_waiting()
        r2 = Request(g, "GET", "/p/2/x")
        e2, = second.read_exchange().events
        # an answer goes while another exchange waits
        first.send_exchange(message(e2.id, b"two"))
        assert r2.answer().text == "two"
        assert first.is_waiting()
        second.answer(message(e1.id, b"one"))
        assert r1.answer().text == "one"
        r3 = Request(g)
        third.answer(message(first.read_exchange().events[0].id, b"three"))
        assert r3.answer().text == "three"


class Pair:
    """Two clients, whose requests are answered together."""

    def __init__(self, g, env):
        self.api = Native(env)
        self.clients = [g.connect() for _ in range(2)]
        self.files = [c.makefile("rb") for c in self.clients]

    def answers(self):
        """A pipeline for two new requests, with line ends in the bodies."""
        events = []
        for c in self.clients:
            c.sendall(b"GET /p HTTP/1.1\r\nHost: a\r\n\r\n")
            events.append(self.api.event())
        return b"".join(message(e.id, b"\r\n%d\r\n" % i, 200 + i) for i, e in enumerate(events))

    def check(self, reply, what):
        assert reply["Execgate-Refused"] is None, what
        assert [(a.status, a.body) for a in map(read_answer, self.files)] == [(200, b"\r\n0\r\n"), (201, b"\r\n1\r\n")], what

    def close(self):
        for c in self.clients:
            c.close()


def test_an_exchange_in_two_pieces(tmp_path):
    """Two answers, split at every byte: the gateway has read the first part before the second is sent."""
    with puppet(tmp_path, concurrency=2) as (g, env), contextlib.closing(Pair(g, env)) as pair:
        api = Native(env, unix=True)
        at, size = 0, 1
        while at < size:
            pipeline = pair.answers()
            size = len(pipeline)
            api.send_and_drain(b"POST /v1/exchange?max=0 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + pipeline[:at])
            api.send_and_drain(pipeline[at:])
            pair.check(api.read_exchange(), at)
            at += 1


def test_an_exchange_byte_by_byte(tmp_path):
    with puppet(tmp_path, concurrency=2) as (g, env), contextlib.closing(Pair(g, env)) as pair:
        api = Native(env, unix=True)
        pipeline = pair.answers()
        for byte in b"POST /v1/exchange?max=0 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(pipeline) + pipeline:
            api.send_and_drain(bytes([byte]))
        pair.check(api.read_exchange(), "byte by byte")


def test_an_exchange_in_chunks(tmp_path):
    """Of the transfer coding: no length is known beforehand, and the cuts fall anywhere."""
    with puppet(tmp_path, concurrency=2) as (g, env), contextlib.closing(Pair(g, env)) as pair:
        api = Native(env)
        for step in (1, 2, 3, 7, 50, 1000):
            pipeline = pair.answers()
            api.socket.sendall(b"POST /v1/exchange?max=0 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" +
                               b"".join(chunk(pipeline[i:i + step]) for i in range(0, len(pipeline), step)) + b"0\r\n\r\n")
            pair.check(api.read_exchange(), step)


# --- what must not get through ---
def test_a_clients_body_cannot_become_a_message(tmp_path):
    """Bodies that look like messages, events, answers and chunk ends, several in one reply."""
    bodies = [b"HTTP/1.1 200 OK\r\nExecgate-Invocation-Id: x\r\nContent-Length: 0\r\n\r\n",
              b"\r\n\r\nGET /p/evil/x HTTP/1.1\r\nExecgate-Invocation-Id: evil\r\nContent-Length: 0\r\n\r\n",
              b"0\r\n\r\nPOST /v1/exchange?max=9 HTTP/1.1\r\n\r\n", b"\r\n", b"\0" * 5]
    with puppet(tmp_path, concurrency=8) as (g, env):
        api = Native(env)
        requests = [Request(g, "POST", f"/p/{i}/x", b) for i, b in enumerate(bodies)]
        wait_queued(g, len(bodies))
        events = api.exchange(max=8).events
        assert sorted((e["Execgate-Parameters"], e.body) for e in events) == [(f"id={i}&rest=x", b) for i, b in enumerate(bodies)]
        # and back: an answer's body is only a body
        api.answer(*(message(e.id, e.body) for e in events))
        assert [r.answer().body for r in requests] == bodies


@pytest.mark.parametrize("field", [b"X-Odd: a\rExecgate-Invocation-Id: forged", b"X-Odd: a\nExecgate-Invocation-Id: forged", b"X-Odd: a\0b", b"X-Odd\0: a",
                                   b"X-Odd : a", b" folded: a", b"X-Odd: a\r\n\tExecgate-Deadline: 0", b"Execgate-Deadline : 0", b"Execgate_Deadline: 0",
                                   b"X-Odd: \x7f", b"\xc3\xa9: a", b"execgate-DEADLINE: 0"])
def test_a_clients_field_cannot_become_another(tmp_path, field):
    """Refused, or delivered as one field that says what the client said."""
    with puppet(tmp_path) as (g, env), g.connect() as s:
        api = Native(env)
        api.send_exchange()
        s.sendall(b"GET /p HTTP/1.1\r\nHost: a\r\n" + field + b"\r\nX-Last: 1\r\n\r\n")
        select.select([s, api.socket], [], [], 20)
        if api.is_waiting():
            assert read_answer(s.makefile("rb")).status == 400
            return
        event, = api.read_exchange().events
        assert [k for k, _ in event.fields if k.lower().startswith("execgate-")] == \
            ["Execgate-Invocation-Id", "Execgate-Trigger", "Execgate-Route", "Execgate-Deadline", "Execgate-Client-Address", "Execgate-Request-Id"]
        assert event["X-Last"] == "1" and int(event["Execgate-Deadline"]) > 0
        api.answer(message(event.id))


# name, the second of two answers; the first one is good
FLAWS = [
    ("no status line", lambda id: b"GET /p HTTP/1.1\r\nExecgate-Invocation-Id: " + id + b"\r\nContent-Length: 0\r\n\r\n"),
    ("no message", lambda id: b"hello"),
    ("a blank line first", lambda id: b"\r\n" + message(id.decode(), b"x")),
    ("LF alone", lambda id: message(id.decode(), b"x").replace(b"\r\n", b"\n")),
    ("LF in the middle", lambda id: message(id.decode(), b"x", fields=[("X-A", "1\nX-Injected: 1")])),
    ("CR alone", lambda id: message(id.decode(), b"x", fields=[("X-A", "1\rX-Injected: 1")])),
    ("NUL in a value", lambda id: message(id.decode(), b"x", fields=[("X-A", "1\0")])),
    ("control in a value", lambda id: message(id.decode(), b"x", fields=[("X-A", "1\x01")])),
    ("blank before the colon", lambda id: message(id.decode(), b"x", fields=[("X-A ", "1")])),
    ("folded line", lambda id: message(id.decode(), b"x", fields=[("X-A", "1\r\n folded")])),
    ("line without a colon", lambda id: message(id.decode(), b"x", fields=[("X-A", "1\r\nnothing")])),
    ("name is no token", lambda id: message(id.decode(), b"x", fields=[("X(A)", "1")])),
    ("empty name", lambda id: message(id.decode(), b"x", fields=[("", "1")])),
    ("chunked", lambda id: message(id.decode(), b"1\r\nx\r\n0\r\n\r\n", length=False, fields=[("Transfer-Encoding", "chunked")])),
    ("chunked and a length", lambda id: message(id.decode(), b"x", fields=[("Transfer-Encoding", "chunked")])),
    ("two lengths", lambda id: message(id.decode(), b"x", fields=[("Content-Length", "1")])),
    ("two different lengths", lambda id: message(id.decode(), b"x", fields=[("Content-Length", "3")])),
    ("signed length", lambda id: message(id.decode(), b"x", length="+1")),
    ("negative length", lambda id: message(id.decode(), b"x", length="-1")),
    ("hex length", lambda id: message(id.decode(), b"x", length="0x1")),
    ("list of lengths", lambda id: message(id.decode(), b"x", length="1, 1")),
    ("endless length", lambda id: message(id.decode(), b"x", length="99999999999999999999999")),
    ("status of two digits", lambda id: message(id.decode(), b"x", start="HTTP/1.1 20 OK")),
    ("status of four digits", lambda id: message(id.decode(), b"x", start="HTTP/1.1 2000 OK")),
    ("status is a word", lambda id: message(id.decode(), b"x", start="HTTP/1.1 OK")),
    ("HTTP/2", lambda id: message(id.decode(), b"x", start="HTTP/2 200 OK")),
    ("no id", lambda id: message(None, b"x")),
    ("a head without an end", lambda id: message(id.decode(), b"x", fields=[("X-A", "y" * 70_000)])[:66_000]),
    ("cut in the head", lambda id: message(id.decode(), b"x")[:30]),
    ("cut in the body", lambda id: message(id.decode(), b"hello")[:-1]),
    ("too many fields", lambda id: message(id.decode(), b"x", fields=[(f"X-{i}", "1") for i in range(300)])),
]


@pytest.mark.parametrize("flaw", [f[1] for f in FLAWS], ids=[f[0] for f in FLAWS])
def test_a_malformed_pipeline_is_a_400_and_what_came_before_counts(tmp_path, flaw, request):
    with puppet(tmp_path, concurrency=2) as (g, env):
        api = Native(env)
        clients = [g.connect() for _ in range(2)]
        events = []
        for c in clients:
            c.sendall(b"GET /p HTTP/1.1\r\nHost: a\r\n\r\n")
            events.append(api.event())
        tail = b"" if "cut" in request.node.callspec.id else message(events[1].id, b"smuggled behind the flaw")
        reply = api.call("POST", "/v1/exchange?max=2", message(events[0].id, b"the good one") + flaw(events[1].id.encode()) + tail)
        assert reply.status == 400 and reply["Content-Type"] == "application/problem+json" and reply.json()["status"] == 400
        assert read_answer(clients[0].makefile("rb")).body == b"the good one"
        again = Native(env)
        again.answer(message(events[1].id, b"second try"))
        second = read_answer(clients[1].makefile("rb"))
        assert second["X-Injected"] is None and b"smuggled" not in second.body
        if second.status != 502:  # it may as well have been taken for what it is, an invalid answer
            assert (second.status, second.body) == (200, b"second try")
        for c in clients:
            c.close()
        r = Request(g)
        again.answer(message(again.event().id, b"still there"))
        assert r.answer().text == "still there"


def test_more_body_than_its_length_says(tmp_path):
    with puppet(tmp_path) as (g, env):
        api = Native(env)
        r = Request(g)
        event = api.event()
        reply = api.call("POST", "/v1/exchange?max=0", message(event.id, b"hello world", length=5))
        assert reply.status == 400
        assert r.answer().body == b"hello", "the answer is what its length says"


def test_an_injected_message_is_only_an_unknown_answer(tmp_path):
    """A handler that copies a client's text unescaped into a header does harm to nobody else's request."""
    with puppet(tmp_path, concurrency=2) as (g, env):
        api = Native(env)
        victim = Request(g, "GET", "/p/victim/x")
        held = api.event()
        r = Request(g)
        event = api.event()
        evil = "a\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nExecgate-Invocation-Id: " + NAMELESS + "\r\nX: "
        reply = api.call("POST", "/v1/exchange?max=0", message(event.id, b"", fields=[("Location", evil)]))
        assert reply.status == 200 and reply["Execgate-Refused"] == NAMELESS + " unknown"
        a = r.answer()
        assert a["Location"] == "a" and a.body == b""
        api.answer(message(held.id, b"untouched"))
        assert victim.answer().text == "untouched"


# --- refused ---
def refused(reply):
    """{id: reason}"""
    return dict(pair.split(" ") for pair in reply["Execgate-Refused"].split(", "))


def test_refused_answers_are_told_with_their_reason(tmp_path):
    with puppet(tmp_path, concurrency=4, top="limits: {maxAnswer: 10KiB}") as (g, env):
        api = Native(env)
        names = ["good", "large", "exact", "invalid"]
        requests, events = {}, {}
        for name in names:
            requests[name] = Request(g, "GET", f"/p/{name}/x")
            events[name] = api.event()
        reply = api.answer(message(NAMELESS, b"?"), message(events["large"].id, b"x" * 10_241), message("no-uuid, forged", b"?"),
                           message(events["invalid"].id, b"x", 101), message(events["exact"].id, b"y" * 10_240),
                           message(events["good"].id, b"fine"), message(events["good"].id, b"twice"))
        told = refused(reply)
        assert told[NAMELESS] == "unknown" and "no-uuid" not in str(told), "only what can be an id is repeated"
        assert told[events["large"].id] == "too-large" and told[events["invalid"].id] == "invalid"
        assert told[events["good"].id] in ("unknown", "late") and events["exact"].id not in told
        assert requests["good"].answer().text == "fine" and requests["exact"].answer().body == b"y" * 10_240
        large, invalid = requests["large"].answer(), requests["invalid"].answer()
        assert large.status == 502 and large.json()["type"].endswith("handler-answer-too-large")
        assert invalid.status == 502 and invalid.json()["type"].endswith("handler-answer-invalid")


@pytest.mark.parametrize("status", [0, 99, 100, 101, 199, 600, 999])
def test_statuses_that_no_answer_may_have(tmp_path, status):
    with puppet(tmp_path) as (g, env):
        api = Native(env)
        r = Request(g)
        event = api.event()
        assert refused(api.answer(message(event.id, b"x", f"{status:03}"))) == {event.id: "invalid"}
        assert r.answer().status == 502 and r.answer().json()["type"].endswith("handler-answer-invalid")


@BOTH
def test_an_answer_after_the_deadline_is_late(tmp_path, unix):
    with deaf_puppet(tmp_path, "    timeout: 300ms\n", concurrency=2) as (g, env):
        api, watch = Native(env, unix), Native(env)
        r = Request(g)
        event = api.event()
        watch.send("GET", f"/v1/invocations/{event.id}/cancelled")
        assert r.answer().status == 504
        told = watch.read()
        assert told.status == 200 and told.json() == {"reason": "deadline"}
        reply = api.answer(message(event.id, b"late"))
        assert refused(reply) == {event.id: "late"}


# --- cancellation ---
@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_client_that_leaves_is_told_to_a_waiting_exchange(tmp_path, concurrency):
    with puppet(tmp_path, concurrency=concurrency) as (g, env):
        api, waiting, watch, other = (Native(env, unix=bool(i % 2)) for i in range(4))
        with g.connect() as s:
            s.sendall(b"GET /p HTTP/1.1\r\nHost: a\r\n\r\n")
            event = api.event()
            waiting.send_exchange()
            watch.send("GET", f"/v1/invocations/{event.id}/cancelled")
            settle(other)
            assert waiting.is_waiting() and watch.is_waiting()
        reply = waiting.read_exchange()
        assert reply["Execgate-Cancelled"] == event.id and reply.events == []
        told = watch.read()
        assert told.status == 200 and told.json() == {"reason": "client-gone"}
        again = api.exchange(message(event.id, b"for nobody"), max=0)  # which gives its place back
        assert refused(again) == {event.id: "late"} and again["Execgate-Cancelled"] is None, "told once"
        wait_for(lambda: g.logs("request", status=499), what="the access log")
        r = Request(g)
        api.answer(message(api.event().id, b"next"))
        assert r.answer().text == "next"


def test_cancellations_are_told_in_the_next_exchange(tmp_path):
    with puppet(tmp_path, concurrency=3) as (g, env):
        api = Native(env)
        leavers = [g.connect() for _ in range(2)]
        events = []
        for s in leavers:
            s.sendall(b"GET /p HTTP/1.1\r\nHost: a\r\n\r\n")
            events.append(api.event())
        watches = [Native(env) for _ in events]
        for watch, event in zip(watches, events):
            watch.send("GET", f"/v1/invocations/{event.id}/cancelled")
        for s in leavers:
            s.close()
        assert [w.read().json() for w in watches] == [{"reason": "client-gone"}] * 2
        reply = api.exchange(max=0)
        assert sorted(reply["Execgate-Cancelled"].split(", ")) == sorted(e.id for e in events)
        assert api.answer(*(message(e.id) for e in events))["Execgate-Cancelled"] is None


def test_a_cancelled_event_in_the_queue_is_never_delivered(tmp_path):
    with puppet(tmp_path) as (g, env):
        with g.connect() as s:
            s.sendall(b"GET /p/gone/x HTTP/1.1\r\nHost: a\r\n\r\n")
            wait_queued(g, 1)
        wait_queued(g, 0)
        api = Native(env)
        r = Request(g, "GET", "/p/here/x")
        event = api.event()
        assert event["Execgate-Parameters"] == "id=here&rest=x"
        assert api.answer(message(event.id, b"ok"))["Execgate-Cancelled"] is None
        assert r.answer().text == "ok"


def test_cancelled_is_204_when_it_ended_well(tmp_path):
    with puppet(tmp_path) as (g, env):
        api, watch = Native(env), Native(env, unix=True)
        r = Request(g)
        event = api.event()
        watch.send("GET", f"/v1/invocations/{event.id}/cancelled")
        settle(api)
        assert watch.is_waiting()
        api.answer(message(event.id))
        assert watch.read().status == 204 and r.answer().status == 200
        assert watch.call("GET", f"/v1/invocations/{event.id}/cancelled").status == 204, "it is over"


def test_cancelled_by_the_shutdown(tmp_path):
    with puppet(tmp_path, top="limits: {shutdownTimeout: 300ms}") as (g, env):
        api = Native(env)
        r = Request(g)
        event = api.event()
        api.send("GET", f"/v1/invocations/{event.id}/cancelled")
        assert g.stop() == 4
        assert r.answer().status == 503
        told = api.read()
        assert told is not None and told.status == 200 and told.json() == {"reason": "shutdown"}


# --- one at a time ---
@BOTH
def test_next_response_and_error(tmp_path, unix):
    with puppet(tmp_path) as (g, env):
        api = Native(env, unix)
        r = Request(g, "POST", "/p/1/x", b"\0body")
        reply = api.call("GET", "/v1/next")
        assert reply.status == 200 and reply["Content-Type"] == "application/http" and reply["Content-Length"] == str(len(reply.body))
        event, = events_of(reply.body)
        assert event.body == b"\0body" and event["Execgate-Parameters"] == "id=1&rest=x"
        # the id in the message may be left out
        accepted = api.call("POST", f"/v1/invocations/{event.id}/response", message(None, b"\0back", 201, [("X-A", "b")]))
        assert accepted.status == 202
        a = r.answer()
        assert (a.status, a.body, a["X-A"]) == (201, b"\0back", "b")

        r = Request(g)
        event, = events_of(api.call("GET", "/v1/next").body)
        assert api.call("POST", f"/v1/invocations/{event.id}/response", message(event.id, b"with id")).status == 202
        assert r.answer().text == "with id"

        r = Request(g)
        event, = events_of(api.call("GET", "/v1/next").body)
        error = {"type": "Database.Gone", "message": "password is tiger", "stack": ["a:1", "b:2"], "retry": False}
        assert api.call("POST", f"/v1/invocations/{event.id}/error", json.dumps(error)).status == 202
        a = r.answer()
        assert a.status == 502 and a.json()["type"].endswith("handler-error") and "tiger" not in a.text
        entry = wait_for(lambda: [e for e in g.logs() if "password is tiger" in str(e)], what="the log of the error")[0]
        assert "Database.Gone" in str(entry) and event.id in str(entry)


def test_error_in_an_exchange(tmp_path):
    with puppet(tmp_path) as (g, env):
        api = Native(env)
        r = Request(g)
        event = api.event()
        reply = api.answer(message(event.id, "password is tiger", 500, [("Execgate-Error", "Database.Gone")]))
        assert reply["Execgate-Refused"] is None
        a = r.answer()
        assert a.status == 502 and a["Content-Type"] == "application/problem+json" and a.json()["type"].endswith("handler-error")
        assert "tiger" not in a.text and a["Execgate-Error"] is None
        entry = wait_for(lambda: [e for e in g.logs() if "password is tiger" in str(e)], what="the log of the error")[0]
        assert "Database.Gone" in str(entry) and event.id in str(entry)


def is_problem(reply, *statuses):
    return reply.status in statuses and reply["Content-Type"] == "application/problem+json" and reply.json()["status"] == reply.status


def test_calls_about_an_invocation_that_is_not_held(tmp_path):
    with puppet(tmp_path, concurrency=2) as (g, env):
        api = Native(env)
        r, other = Request(g), None
        event = api.event()
        for id in (NAMELESS, "no-uuid", "%2e%2e"):
            assert is_problem(api.call("POST", f"/v1/invocations/{id}/response", message(None, b"x")), 400, 404, 409, 410), id
            assert is_problem(api.call("POST", f"/v1/invocations/{id}/error", "{}"), 400, 404, 409, 410), id
        other = Request(g)
        second = api.event()
        reply = api.call("POST", f"/v1/invocations/{event.id}/response", message(second.id, b"mixed up"))
        assert is_problem(reply, 400, 409), "the message is for another invocation than the path"
        api.answer(message(event.id, b"first"), message(second.id, b"second"))
        assert (r.answer().text, other.answer().text) == ("first", "second")
        assert is_problem(api.call("POST", f"/v1/invocations/{event.id}/response", message(None, b"again")), 400, 404, 409, 410)


@pytest.mark.parametrize("body", [b"", b"hello", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\nX: 1\n\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                                  b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello!",
                                  b"HTTP/1.1 101 Switching\r\n\r\n", b"HTTP/1.1 200 OK\r\nBad Name: 1\r\n\r\n"])
def test_a_response_that_is_none(tmp_path, body):
    with puppet(tmp_path) as (g, env):
        api = Native(env)
        r = Request(g)
        event = api.event()
        assert is_problem(api.call("POST", f"/v1/invocations/{event.id}/response", body), 400)
        again = Native(env)
        again.answer(message(event.id, b"second try"))
        a = r.answer()
        assert a.status == 502 or (a.status, a.body) == (200, b"second try"), a
        r = Request(g)
        again.answer(message(again.event().id, b"goes on"))
        assert r.answer().text == "goes on"


@pytest.mark.parametrize("method,path,status", [("GET", "/v1/exchange", 405), ("POST", "/v1/next", 405), ("GET", "/v1/nowhere", 404), ("POST", "/v1/", 404),
                                                ("DELETE", "/v1/config", 405), ("GET", "/v1/invocations//cancelled", 404), ("GET", "/v1/exchange/x", 404)])
def test_unknown_calls(tmp_path, method, path, status):
    with puppet(tmp_path) as (g, env):
        assert is_problem(Native(env).call(method, path), status)


def test_config(tmp_path):
    with puppet(tmp_path, "    timeout: 7s\n", concurrency=3) as (g, env):
        reply = Native(env).call("GET", "/v1/config")
        assert reply.status == 200 and reply["Content-Type"] == "application/json"
        config = reply.json()
        text = json.dumps(config)
        assert env["EXECGATE_APPLICATION"] == "puppet" == env["EXECGATE_HANDLER"] and env["EXECGATE_CONCURRENCY"] == "3"
        assert "puppet" in text and config["concurrency"] == 3
        assert "ANY /p/{id}/{rest+}" in text, "what the process serves"


# --- streams ---
STREAM_HEAD = b"HTTP/1.1 201 Created\r\nContent-Type: text/plain\r\nX-Streamed: yes\r\nExecgate-Hidden: 1\r\nConnection: X-Gone\r\nX-Gone: 1\r\n\r\n"


def begin_stream(api, id):
    api.socket.sendall(f"POST /v1/invocations/{id}/response HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode())


@BOTH
def test_a_stream_reaches_the_client_while_it_is_made(tmp_path, unix):
    with puppet(tmp_path) as (g, env), g.connect() as s:
        api, f = Native(env, unix), s.makefile("rb")
        s.sendall(b"GET /p HTTP/1.1\r\nHost: a\r\n\r\n")
        begin_stream(api, api.event().id)
        api.socket.sendall(chunk(STREAM_HEAD + b"early"))
        assert f.readline().startswith(b"HTTP/1.1 201 ")
        head = b"".join(iter(f.readline, b"\r\n"))
        assert b"X-Streamed: yes\r\n" in head and b"Execgate-Hidden" not in head and b"X-Gone" not in head
        assert f.readline() == b"5\r\n" and f.readline() == b"early\r\n"
        api.socket.sendall(chunk(b"HTTP/1.1 200 OK\r\n\r\n"))
        assert f.readline() == b"13\r\n" and f.read(21) == b"HTTP/1.1 200 OK\r\n\r\n\r\n"
        assert api.is_waiting()
        api.socket.sendall(b"0\r\n\r\n")
        assert f.readline() == b"0\r\n" and f.readline() == b"\r\n"
        assert api.read().status == 202
        # both connections go on
        s.sendall(b"GET /p HTTP/1.1\r\nHost: a\r\n\r\n")
        api.answer(message(api.event().id, b"next"))
        assert read_answer(f).body == b"next"


def test_a_stream_split_at_every_byte(tmp_path):
    with puppet(tmp_path) as (g, env):
        api = Native(env)
        whole = STREAM_HEAD + b"\r\nthe body\r\n"
        for step in (1, 2, 13, 1000):
            r = Request(g)
            begin_stream(api, api.event().id)
            api.socket.sendall(b"".join(chunk(whole[i:i + step]) for i in range(0, len(whole), step)) + b"0\r\n\r\n")
            assert api.read().status == 202
            a = r.answer()
            assert a.status == 201 and a.body == b"\r\nthe body\r\n" and a["X-Streamed"] == "yes"


def test_a_stream_of_known_size(tmp_path):
    """Without a length in the message its body ends with the request's."""
    with puppet(tmp_path) as (g, env):
        api = Native(env)
        for method in ("GET", "HEAD"):
            r = Request(g, method)
            id = api.event().id
            assert api.call("POST", f"/v1/invocations/{id}/response", STREAM_HEAD + b"all of it").status == 202
            a = r.answer()
            assert a.status == 201 and a.body == (b"all of it" if method == "GET" else b"")
        r = Request(g)
        begin_stream(api, api.event().id)
        api.socket.sendall(chunk(message(None, b"told length", 200)) + b"0\r\n\r\n")
        assert api.read().status == 202
        a = r.answer()
        assert a.body == b"told length" and a["Content-Length"] == "11"


def test_a_stream_that_breaks_off_breaks_the_client_off(tmp_path):
    with puppet(tmp_path) as (g, env), g.connect() as s:
        api, f = Native(env), s.makefile("rb")
        s.sendall(b"GET /p HTTP/1.1\r\nHost: a\r\n\r\n")
        begin_stream(api, api.event().id)
        api.socket.sendall(chunk(STREAM_HEAD + b"half"))
        assert b"".join(iter(f.readline, b"\r\n")) and f.readline() == b"4\r\n" and f.readline() == b"half\r\n"
        api.close()
        assert read_all(s) == b"", "an end that looks like one"
        api = Native(env)
        r = Request(g)
        api.answer(message(api.event().id, b"goes on"))
        assert r.answer().text == "goes on"


def test_a_process_that_dies_in_a_stream(tmp_path):
    with puppet(tmp_path) as (g, env), g.connect() as s:
        api, f = Native(env), s.makefile("rb")
        s.sendall(b"GET /p HTTP/1.1\r\nHost: a\r\n\r\n")
        begin_stream(api, api.event().id)
        api.socket.sendall(chunk(STREAM_HEAD + b"half"))
        assert b"".join(iter(f.readline, b"\r\n")) and f.readline() == b"4\r\n" and f.readline() == b"half\r\n"
        os.kill(int(env["PUPPET_PID"]), signal.SIGKILL)
        assert read_all(s) == b""


def test_a_slow_client_holds_a_stream_back(tmp_path):
    with puppet(tmp_path) as (g, env), socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        s.connect(("127.0.0.1", g.port))
        s.sendall(b"GET /p HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        api, total = Native(env, unix=True), 512
        begin_stream(api, api.event().id)
        written = [0]

        def write():
            api.socket.sendall(chunk(STREAM_HEAD))
            for _ in range(total):
                api.socket.sendall(chunk(b"s" * 65536))
                written[0] += 1
            api.socket.sendall(b"0\r\n\r\n")
        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        stalled = standstill(lambda: written[0])
        assert stalled < total // 2, f"{stalled} of {total} blocks of 64 KiB were taken from a client that reads nothing"
        data = b"".join(iter(lambda: s.recv(1 << 20), b""))
        assert data.partition(b"\r\n\r\n")[2].count(b"s") == total * 65536 and data.endswith(b"\r\n0\r\n\r\n")
        assert api.read().status == 202
        writer.join(20)


def test_a_client_that_leaves_a_stream_ends_it(tmp_path):
    with puppet(tmp_path) as (g, env):
        api, other = Native(env), Native(env)
        with g.connect() as s:
            s.sendall(b"GET /p HTTP/1.1\r\nHost: a\r\n\r\n")
            id = api.event().id
            begin_stream(api, id)
            api.socket.sendall(chunk(STREAM_HEAD + b"half"))
            assert s.recv(12) == b"HTTP/1.1 201"
        with pytest.raises(OSError):  # the connection that carries the stream is broken off, so that the process notices
            for _ in range(400):
                api.socket.sendall(chunk(b"x" * 65536))
        r = Request(g)
        while not (reply := other.exchange(max=1)).events:
            assert reply["Execgate-Cancelled"] == id
        other.answer(message(reply.events[0].id, b"goes on"))
        assert r.answer().text == "goes on"


# --- the end ---
def test_drain_on_sigterm(tmp_path):
    with puppet(tmp_path, concurrency=3) as (g, env):
        api, first, second = Native(env), Native(env, unix=True), Native(env)
        r = Request(g)
        event = api.event()
        first.send_exchange(max=2)
        second.send_exchange()
        settle(api)
        g.process.send_signal(signal.SIGTERM)
        g.wait_log("stopping")
        assert alive(int(env["PUPPET_PID"]))
        api.send_exchange(message(event.id, b"the last"), max=0)
        assert r.answer().text == "the last"
        assert api.read_exchange()["Execgate-Refused"] is None
        for waiting in (first, second):
            reply = waiting.read_exchange()
            assert reply["Execgate-Drain"] == "true" and reply.body == b""
        assert g.process.wait(20) == 0
        assert not alive(int(env["PUPPET_PID"]))


def test_drain_of_a_recycled_process(tmp_path):
    with puppet(tmp_path, concurrency=1, more="    timeout: 5s\n") as (g, env):
        assert g.stop() == 0
    text = (tmp_path / "blueprint.yaml").read_text().replace("stopTimeout", "maxInvocations: 2, stopTimeout")
    for f in tmp_path.glob("env.*"):
        f.unlink()
    with Gateway(tmp_path, text) as g:
        env = environment(tmp_path)
        api = Native(env)
        for _ in range(2):
            r = Request(g)
            event = api.event()
            assert api.answer(message(event.id, b"ok"))["Execgate-Drain"] in (None, "true")
            assert r.answer().text == "ok"
        wait_for(lambda: not alive(int(env["PUPPET_PID"])), what="the end of a process that has served its number")
        r = Request(g)
        api = Native(environment(tmp_path, not_pid=env["PUPPET_PID"]))
        api.answer(message(api.event().id, b"from the next"))
        assert r.answer().text == "from the next"


def test_an_exchange_of_a_stopping_process_is_told_to_drain(tmp_path):
    with deaf_puppet(tmp_path, "    timeout: 300ms\n", concurrency=2) as (g, env):
        api = Native(env)
        r = Request(g)
        api.event()
        assert r.answer().status == 504
        reply = api.exchange(max=1)
        assert reply["Execgate-Drain"] == "true" and reply.body == b"", "its process is being stopped for the timeout"


def test_an_example_drains_and_exits_by_itself(tmp_path):
    text = f"blueprint: 1\nname: echo\nhandlers:\n  echo:\n    command: {EXAMPLES}/echo\n    processes: {{min: 2, max: 2, concurrency: 4, stopTimeout: 1m}}\n" \
           "    triggers: [{http: ANY /echo}]\n"
    with Gateway(tmp_path, text) as g:
        assert g.request("POST", "/echo", b"x").body == b"x"
        pids = g.handler_pids()
        began = time.monotonic()
        assert g.stop() == 0
        assert time.monotonic() - began < 20 and not any(alive(p) for p in pids)


# --- who may speak ---
STRANGER = """
import socket, sys
def ask(s, address):
    s.settimeout(20)
    try:
        s.connect(address)
        s.sendall(b"POST /v1/exchange?max=1 HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 0\\r\\n\\r\\n")
        return "answered " + repr(s.recv(100)) if s.recv(1) else "closed"
    except ConnectionError:
        return "closed"
    except PermissionError:
        return "forbidden"
host, port = sys.argv[1].split(":")
print(ask(socket.socket(), (host, int(port))), ask(socket.socket(socket.AF_UNIX), sys.argv[2]), sep="|")
"""


def stranger_says(env, user):
    words = [sys.executable, "-S", "-c", STRANGER, env["AWS_LAMBDA_RUNTIME_API"], env["EXECGATE_RUNTIME_SOCKET"]]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=True, user=user, cwd="/").stdout.strip().split("|")


def test_only_the_handlers_user_may_speak(tmp_path):
    with puppet(tmp_path) as (g, env):
        path = env["EXECGATE_RUNTIME_SOCKET"]
        folder = os.path.dirname(path)
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700 and os.stat(folder).st_uid == os.geteuid()
        assert stat.S_ISSOCK(os.stat(path).st_mode)
        owners = set()
        with open("/proc/net/tcp", encoding="ascii") as f:
            port = int(env["AWS_LAMBDA_RUNTIME_API"].split(":")[1])
            owners = {line.split()[1] for line in f if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"}
        assert owners == {f"0100007F:{port:04X}"}, "it listens on the loopback address alone"
        if os.geteuid() == 0:
            assert stranger_says(env, 65534) == ["closed", "forbidden"]
            os.chmod(folder, 0o755)  # the folder is one wall, the check of the peer another
            os.chmod(path, 0o777)
            assert stranger_says(env, 65534) == ["closed", "closed"]
            wait_for(lambda: len(g.logs("another user's process")) == 3, what="a word about each of them")
        # its own user is heard, and the stranger has taken nothing
        r = Request(g)
        api = Native(env, unix=True)
        api.answer(message(api.event().id, b"mine"))
        assert r.answer().text == "mine"


def test_no_endpoint_knows_anothers_invocations(tmp_path):
    text = "blueprint: 1\nname: two\nhandlers:\n" + "".join(
        f"  {name}:\n    command: ./{name}.sh\n    processes: {{min: 1, max: 1, startTimeout: 1m, stopTimeout: 200ms}}\n    triggers: [{{http: GET /{name}}}]\n"
        for name in ("one", "two"))
    script = "#!/bin/sh\nenv > tmp.NAME && mv tmp.NAME said.NAME\nexec sleep 1000\n"
    with Gateway(tmp_path, text, files={f"{n}.sh": script.replace("NAME", n) for n in ("one", "two")}) as g:
        def said(name):
            file = wait_for(lambda: (tmp_path / f"said.{name}").exists() and tmp_path / f"said.{name}")
            return dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)
        one, two = Native(said("one")), Native(said("two"))
        r = Request(g, "GET", "/one")
        event = one.event()
        assert refused(two.answer(message(event.id, b"forged"))) == {event.id: "unknown"}
        assert is_problem(two.call("POST", f"/v1/invocations/{event.id}/response", message(None, b"forged")), 400, 404, 409, 410)
        assert is_problem(two.call("POST", f"/v1/invocations/{event.id}/error", "{}"), 400, 404, 409, 410)
        one.answer(message(event.id, b"true"))
        assert r.answer().text == "true"


def test_a_process_that_dies_with_events_in_hand(tmp_path):
    with puppet(tmp_path, concurrency=3) as (g, env):
        api = Native(env)
        requests = [Request(g) for _ in range(3)]
        wait_queued(g, 3)
        events = api.exchange(max=3).events
        assert len(events) == 3
        api.answer(message(events[1].id, b"answered in time"))
        os.kill(int(env["PUPPET_PID"]), signal.SIGKILL)
        answers = [r.answer() for r in requests]
        assert sorted(a.status for a in answers) == [200, 502, 502]
        assert all("SIGKILL" in a.text for a in answers if a.status == 502)


def test_a_lost_connection_loses_no_event(tmp_path):
    """An exchange that goes away while it waits is forgotten; the next one gets the event."""
    with puppet(tmp_path) as (g, env):
        for unix in (False, True) * 5:
            gone = Native(env, unix)
            gone.send_exchange()
            gone.close()
        wait_wants(g, 0)
        api = Native(env)
        r = Request(g)
        api.answer(message(api.event().id, b"here"))
        assert r.answer().text == "here"


def test_keep_alive_clients_and_the_api_agree_over_many_rounds(tmp_path):
    """500 requests over one client connection, each answered with its own number, in batches of what is there."""
    with puppet(tmp_path, concurrency=16) as (g, env), g.connect() as s:
        api = Native(env, unix=True)
        count = 500
        s.sendall(b"".join(b"GET /p/%d/x HTTP/1.1\r\nHost: a\r\n\r\n" % i for i in range(count)))
        f, answers = s.makefile("rb"), b""
        for i in range(count):
            reply = api.exchange(answers, max=16)
            answers = b"".join(message(e.id, e["Execgate-Parameters"]) for e in reply.events)
        api.answer(answers)
        assert [read_answer(f).text for _ in range(count)] == [f"id={i}&rest=x" for i in range(count)]


def test_http_client_library_reads_the_replies(tmp_path):
    """What the replies look like to a client that was not written for them."""
    with puppet(tmp_path) as (g, env):
        connection = http.client.HTTPConnection(env["AWS_LAMBDA_RUNTIME_API"], timeout=40)
        r = Request(g)
        connection.request("POST", "/v1/exchange?max=1", b"")
        event, = events_of(connection.getresponse().read())
        connection.request("POST", "/v1/exchange?max=0", message(event.id, b"hi"))
        reply = connection.getresponse()
        assert reply.status == 200 and reply.read() == b"" and r.answer().text == "hi"
        connection.close()
