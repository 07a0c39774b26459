"""Server-sent events: streams that handlers write, and streams that the gateway holds (docs/server-sent-events.md)."""
import contextlib
import http.client
import itertools
import json
import os
import resource
import select
import signal

import pytest
from events import Stream, trusting
from execgate import SLOW, Gateway, alive, read_all, read_answer, wait_for
from native import Native, message
from puppet import SCRIPT, Api, environment, id_of
from test_tls import certify
from websocket import TEXT, Socket

PUPPET = """
blueprint: 1
name: events
limits: {%(limits)s}
%(top)s
handlers:
  puppet:
    command: ./puppet.sh
    timeout: 3s
    processes: {min: 1, max: 1, concurrency: 400, startTimeout: 1m, stopTimeout: 200ms}
    triggers:
      - {http: ANY /events%(trigger)s}
      - {websocket: /ws}
"""
KEPT_APART = "connections: 2000"


@contextlib.contextmanager
def puppet(folder, top="", trigger="", limits=KEPT_APART, **kw):
    text = PUPPET % {"top": top, "trigger": trigger, "limits": limits}
    with Gateway(folder, text, files={"puppet.sh": SCRIPT}, **kw) as g:
        yield g, environment(folder)


def chunk(data):
    data = data.encode() if isinstance(data, str) else data
    return b"%x\r\n%s\r\n" % (len(data), data)


HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


def event_for(api):
    """The next event; replies that only tell of cancellations are passed over."""
    while not (events := api.exchange(max=1).events):
        pass
    return events[0]


class Writer:
    """A handler that writes a stream on the native face."""

    def __init__(self, env, fields=""):
        self.api = Native(env)
        self.event = event_for(self.api)
        self.api.socket.sendall(f"POST /v1/invocations/{self.event.id}/response HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        self.say(HEAD + fields + "\r\n")

    def say(self, text):
        self.api.socket.sendall(chunk(text))

    def end(self):
        self.api.socket.sendall(b"0\r\n\r\n")
        assert self.api.read().status == 202


def hold(env, stream, groups="room", body="", fields=()):
    """Answers the request of `stream` with groups; the connection's id."""
    api = Native(env)
    event = event_for(api)
    fields = [("Content-Type", "text/event-stream"), ("Execgate-Groups", groups), *fields]
    api.answer(message(event.id, body, fields=fields))
    api.close()
    stream.open()
    return event.id.replace("-", "")


def broadcast(env, text, query="", group="room", **kw):
    api = Api(env)
    answer = api.call("POST", f"/v1/groups/{group}/messages{query}", text, **kw)
    api.close()
    assert answer.status == 200, answer
    return answer.json()["sent"]


def in_group(env, count, group="room"):
    api = Api(env)
    wait_for(lambda: api.call("GET", f"/v1/groups/{group}").json() == {"connections": count}, what=f"{count} in {group}")
    api.close()


# --- streams of handlers ---
def test_pieces_leave_at_once(tmp_path):
    with puppet(tmp_path) as (g, env), Stream(g) as s:
        w = Writer(env)
        s.open()  # before there is an event
        assert s.head.status == 200 and s.head["Content-Type"] == "text/event-stream" and s.head["Transfer-Encoding"] == "chunked"
        assert s.head["Cache-Control"] == "no-cache" and s.head["X-Accel-Buffering"] == "no"
        for piece in ("data: one\n\n", "da", "ta: t", "wo\n", "\n", "data: three\r\n\r\n"):
            w.say(piece)
            s.expect(piece)
        w.end()
        assert s.rest() == ""


def test_a_handler_s_own_fields_stay(tmp_path):
    with puppet(tmp_path) as (g, env), Stream(g) as s:
        w = Writer(env, "Cache-Control: no-store\r\nX-Accel-Buffering: yes\r\n")
        s.open()
        assert s.head.all("Cache-Control") == ["no-store"] and s.head.all("X-Accel-Buffering") == ["yes"]
        w.end()


def test_the_lambda_face(tmp_path):
    with puppet(tmp_path) as (g, env), Stream(g, headers={"Last-Event-ID": "41"}) as s:
        api = Api(env)
        event = api.next()
        assert event.json()["headers"]["last-event-id"] == "41"
        stream = {"Transfer-Encoding": "chunked", "Content-Type": "application/vnd.awslambda.http-integration-response"}
        api.send("POST", f"/2018-06-01/runtime/invocation/{id_of(event)}/response", b"", stream)
        api.socket.sendall(chunk(json.dumps({"statusCode": 200, "headers": {"Content-Type": "text/event-stream"}}).encode() + b"\0" * 8))
        s.open()
        assert s.head["X-Accel-Buffering"] == "no"
        for piece in ("data: one\n\n", "data: two\n\n"):
            api.socket.sendall(chunk(piece))
            s.expect(piece)


ONCE = """#!/usr/bin/python3
import os, sys, time
print("Status: 200\\nContent-Type: text/event-stream\\n")
print("data: " + os.environ.get("HTTP_LAST_EVENT_ID", "none") + "\\n", flush=True)
while not os.path.exists("go"): time.sleep(0.01)
print("data: two\\n", flush=True)
"""
SERVER = """#!/usr/bin/python3
import http.server, os, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.say("data: " + self.headers.get("Last-Event-ID", "none") + "\\n\\n")
        while not os.path.exists("go"): time.sleep(0.01)
        self.say("data: two\\n\\n")
        self.wfile.write(b"0\\r\\n\\r\\n")
    def say(self, text):
        self.wfile.write(b"%x\\r\\n%s\\r\\n" % (len(text), text.encode()))
        self.wfile.flush()
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.mark.parametrize("mode, script", [("once", ONCE), ("server", SERVER)])
def test_the_other_modes(gateway, tmp_path, mode, script):
    text = f"""
        blueprint: 1
        name: events
        handlers:
          h: {{command: ./h.py, mode: {mode}, processes: {{startTimeout: 1m}}, triggers: [{{http: GET /events}}]}}
    """
    with gateway(text, files={"h.py": script}) as g, Stream(g, headers={"Last-Event-ID": "41"}) as s:
        assert s.open().head["X-Accel-Buffering"] == "no"
        s.expect("data: 41\n\n")
        (tmp_path / "go").touch()
        s.expect("data: two\n\n")
        assert s.rest() == ""


def test_http_1_0_and_head(tmp_path):
    with puppet(tmp_path) as (g, env):
        with Stream(g, version="1.0") as s:
            w = Writer(env)
            w.say("data: one\n\n")
            assert s.open().head["Transfer-Encoding"] is None
            s.expect("data: one\n\n")
            w.end()
            assert s.rest() == ""
        with Stream(g, method="HEAD") as s:
            Writer(env).end()
            assert s.open().head["Content-Type"] == "text/event-stream"
            assert s.file.read() == b""


def test_never_compressed(tmp_path):
    with puppet(tmp_path, top="compress: {minSize: 0B}") as (g, env), Stream(g, headers={"Accept-Encoding": "gzip, br, zstd"}) as s:
        w = Writer(env)
        w.say("data: one\n\n")
        assert s.open().head["Content-Encoding"] is None
        s.expect("data: one\n\n")
        w.end()


# --- heartbeats ---
def test_heartbeats_between_events_only(tmp_path):
    """The half event stays whole while streams that are as silent get their comments."""
    with puppet(tmp_path, top="eventStream: {heartbeat: 20ms}") as (g, env), Stream(g) as half:
        w = Writer(env)
        w.say("data: ha")
        half.open().expect("data: ha")
        with Stream(g) as other:
            beside = Writer(env)
            beside.say(": whole\n\n")
            other.open().expect(": whole\n\n")
            for _ in range(5):
                other.expect(":\n\n")
            beside.end()
        w.say("lf\n")
        half.expect("lf\n")
        with Stream(g) as other:
            beside = Writer(env)
            other.open()
            for _ in range(5):
                other.expect(":\n\n")
            beside.end()
        w.say("data: more\n\n")
        half.expect("data: more\n\n").expect(":\n\n")
        w.end()


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_heartbeats_with_every_line_end(tmp_path, end):
    with puppet(tmp_path, trigger=", eventStream: {heartbeat: 20ms}") as (g, env), Stream(g) as s:
        w = Writer(env)
        w.say(f"data: one{end}")
        s.open().expect(f"data: one{end}")
        w.say(end)
        s.expect(end).expect(":\n\n")
        w.end()


def test_no_heartbeat_when_it_is_off(tmp_path):
    with puppet(tmp_path, top="eventStream: {heartbeat: 20ms}", trigger=", eventStream: {heartbeat: 0s}") as (g, env), Stream(g) as s:
        w = Writer(env)
        w.say("data: one\n\n")
        s.open().expect("data: one\n\n")
        for i in range(200):
            w.say(f"data: {i}\n\n")
            settle = Api(env)
            settle.call("GET", "/v1/config")
            settle.close()
        w.end()
        assert ":\n\n" not in s.rest()


# --- time ---
def test_a_stream_outlives_the_handler_s_timeout(tmp_path):
    """timeout: 3s; the gateway's own clock says when they have passed: another invocation runs into its timeout meanwhile."""
    with puppet(tmp_path, trigger=", eventStream: {heartbeat: 1s}") as (g, env), Stream(g) as s:
        w = Writer(env)
        w.say("data: one\n\n")
        s.open().expect("data: one\n\n")
        for _ in range(5):
            s.expect(":\n\n")
        w.say("data: two\n\n")
        s.expect("data: two\n\n")
        w.end()


def test_max_duration(tmp_path):
    with puppet(tmp_path, trigger=", eventStream: {maxDuration: 300ms}") as (g, env):
        with Stream(g) as s:
            w = Writer(env)
            w.say("data: one\n\n")
            s.open().expect("data: one\n\n")
            assert s.rest() == ""
            assert w.api.socket.recv(1) == b"", "the handler is told"
        with Stream(g) as s:
            hold(env, s)
            assert s.rest() == ""
        g.wait_log("event stream closed", reason="it has lasted as long as it may")


# --- ends ---
def test_the_handler_is_told_of_a_client_that_has_left(tmp_path):
    with puppet(tmp_path) as (g, env):
        with Stream(g) as s:
            w = Writer(env)
            w.say("data: one\n\n")
            s.open().expect("data: one\n\n")
            asking, polling = Api(env), Native(env)
            asking.send("GET", f"/v1/invocations/{w.event.id}/cancelled")
            polling.send_exchange(max=1)
        assert asking.read().json() == {"reason": "client-gone"}
        assert polling.read_exchange()["Execgate-Cancelled"] == w.event.id
        assert w.api.socket.recv(1) == b""


def test_cancelled_is_204_when_a_stream_ends_well(tmp_path):
    with puppet(tmp_path) as (g, env), Stream(g) as s:
        w = Writer(env)
        s.open()
        asking = Api(env)
        asking.send("GET", f"/v1/invocations/{w.event.id}/cancelled")
        w.end()
        assert asking.read().status == 204


def test_a_lambda_handler_that_goes_on_for_nobody_is_stopped(tmp_path):
    with puppet(tmp_path) as (g, env):
        with Stream(g) as s:
            api = Api(env)
            id = id_of(api.next())
            stream = {"Transfer-Encoding": "chunked", "Content-Type": "application/vnd.awslambda.http-integration-response"}
            api.send("POST", f"/2018-06-01/runtime/invocation/{id}/response", b"", stream)
            api.socket.sendall(chunk(json.dumps({"statusCode": 200, "headers": {"Content-Type": "text/event-stream"}}).encode() + b"\0" * 8))
            s.open()
        assert Api(env).call("GET", f"/v1/invocations/{id}/cancelled").json() == {"reason": "client-gone"}
        wait_for(lambda: not alive(int(env["PUPPET_PID"])), what="the end of the process")


def test_a_handler_that_dies_breaks_the_stream_off(tmp_path):
    with puppet(tmp_path) as (g, env), Stream(g) as s:
        w = Writer(env)
        w.say("data: one\n\n")
        s.open().expect("data: one\n\n")
        os.kill(int(env["PUPPET_PID"]), signal.SIGKILL)
        assert read_all(s.socket) == b"", "an end that looks like one"


def test_shutdown_ends_streams_between_events(tmp_path):
    with puppet(tmp_path) as (g, env), Stream(g) as whole, Stream(g) as held:
        w = Writer(env)
        beside = Native(env)
        event = event_for(beside)
        beside.answer(message(event.id, "id: 7\n\n", fields=[("Content-Type", "text/event-stream"), ("Execgate-Groups", "room")]))
        by_handler, by_gateway = sorted((whole, held), key=lambda s: not s.open().chunked)
        w.say("data: on")
        by_handler.expect("data: on")
        by_gateway.expect("id: 7\n\n")
        g.process.send_signal(signal.SIGTERM)
        g.wait_log("stopping")
        retry_of(by_gateway.rest())
        w.say("e\n\n")
        by_handler.expect("e\n\n")
        retry_of(by_handler.rest())
        assert w.api.socket.recv(1) == b"", "the handler is told"
        assert g.process.wait(30) == 0


def retry_of(text):
    assert text.startswith("retry: ") and text.endswith("\n\n"), text
    assert 100 <= int(text[7:].strip()) < 5100, text


# --- held streams ---
def test_a_held_stream_gets_what_is_sent_to_its_groups(tmp_path):
    with puppet(tmp_path) as (g, env), Stream(g, headers={"Last-Event-ID": "6", "User-Agent": "seven"}) as s:
        api = Native(env)
        event = event_for(api)
        assert event["Last-Event-ID"] == "6"
        fields = [("Content-Type", "text/event-stream"), ("Execgate-Groups", "room, caf%C3%A9"), ("X-More", "1")]
        api.answer(message(event.id, "retry: 1000\nid: 7\ndata: missed\n\n", fields=fields))
        s.open()
        assert s.head.status == 200 and s.head["X-More"] == "1" and s.head["Execgate-Groups"] is None
        assert s.head["Cache-Control"] == "no-cache" and s.head["Content-Length"] is None
        s.expect("retry: 1000\nid: 7\ndata: missed\n\n")
        in_group(env, 1)
        in_group(env, 1, "caf%C3%A9")
        assert broadcast(env, "hello") == 1
        assert broadcast(env, "two\nlines", "?event=news&id=8") == 1
        assert broadcast(env, "a\r\nb\rc\n", group="caf%C3%A9") == 1
        assert broadcast(env, b"\0\xff", headers={"Content-Type": "application/octet-stream"}) == 1
        assert broadcast(env, "", "?event=ping") == 1
        s.expect("data: hello\n\nevent: news\nid: 8\ndata: two\ndata: lines\n\ndata: a\ndata: b\ndata: c\ndata: \n\n")
        s.expect("data: AP8=\n\nevent: ping\ndata: \n\n")
        # no process is occupied
        with Stream(g) as other:
            Writer(env).end()
            assert other.open().rest() == ""
        id = event.id.replace("-", "")
        seen = api.call("GET", f"/v1/connections/{id}").json()
        assert seen["kind"] == "sse" and seen["path"] == "/events" and sorted(seen["groups"]) == ["caf\u00e9", "room"]
        assert seen["identity"]["userAgent"] == "seven" and seen["connectionId"] == id
        assert [c["connectionId"] for c in api.call("GET", "/v1/connections").json()["connections"]] == [id]
        assert api.call("POST", f"/v1/connections/{id}", "only you").status == 200
        s.expect("data: only you\n\n")
        assert api.call("DELETE", f"/v1/connections/{id}/groups/room").status == 204
        assert broadcast(env, "not for you") == 0
        assert api.call("PUT", f"/v1/connections/{id}/groups/room").status == 204
        assert broadcast(env, "again", f"?except={id}") == 0
        assert api.call("DELETE", f"/v1/connections/{id}").status == 204
        assert s.rest() == ""
        assert api.call("POST", f"/v1/connections/{id}", "gone").status == 410
        g.wait_log("event stream closed", connection=id, reason="it was closed")
        in_group(env, 0)


@pytest.mark.parametrize("query", ["?event=a%0Ab", "?id=a%0Db", "?id=%00", "?event=%FF"])
def test_bad_names_and_ids(tmp_path, query):
    with puppet(tmp_path) as (g, env):
        answer = Api(env).call("POST", f"/v1/groups/room/messages{query}", "x")
        assert answer.status == 400 and "event, id" in answer.json()["detail"]


def test_held_by_a_lambda_handler(tmp_path):
    with puppet(tmp_path) as (g, env), Stream(g) as s:
        api = Api(env)
        headers = {"Content-Type": "text/event-stream; charset=utf-8", "Execgate-Groups": "room"}
        assert api.respond(id_of(api.next()), {"statusCode": 200, "headers": headers, "body": "retry: 5\n\n"}).status == 202
        s.open().expect("retry: 5\n\n")
        in_group(env, 1)
        assert broadcast(env, "hello") == 1
        s.expect("data: hello\n\n")


HELD_ONCE = """#!/bin/sh
printf 'Status: 200\\nContent-Type: text/event-stream\\nExecgate-Groups: room\\n\\nretry: 5\\n\\n'
"""
HELD_SERVER = """#!/usr/bin/python3
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Execgate-Groups", "room")
        self.send_header("Content-Length", "10")
        self.end_headers()
        self.wfile.write(b"retry: 5\\n\\n")
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.mark.parametrize("mode, script", [("once", HELD_ONCE), ("server", HELD_SERVER)])
def test_held_in_the_other_modes(gateway, mode, script):
    text = f"""
        blueprint: 1
        name: events
        admin: 127.0.0.1:0
        handlers:
          h: {{command: ./h, mode: {mode}, processes: {{startTimeout: 1m}}, triggers: [{{http: ANY /events}}]}}
    """
    with gateway(text, files={"h": script}) as g, Stream(g) as s:
        s.open().expect("retry: 5\n\n")
        admin = int(g.ready["admin"].rsplit(":", 1)[1])
        def ask(method, path, body=None):
            c = http.client.HTTPConnection("127.0.0.1", admin, timeout=30)
            c.request(method, path, body)
            r = c.getresponse()
            return json.loads(r.read() or b"null")
        wait_for(lambda: ask("GET", "/v1/groups/room") == {"connections": 1})
        assert ask("POST", "/v1/groups/room/messages", "hello") == {"sent": 1}
        s.expect("data: hello\n\n")
        assert ask("GET", "/v1/connections")["connections"][0]["kind"] == "sse"


def test_what_is_sent_while_the_answer_is_written_follows_it(tmp_path):
    with puppet(tmp_path) as (g, env), Stream(g) as s:
        w = Writer(env, "Execgate-Groups: room\r\n")
        s.open()
        in_group(env, 1)
        w.say("data: first")
        s.expect("data: first")
        assert broadcast(env, "later") == 1
        w.say(" half\n\ndata: second")
        s.expect(" half\n\ndata: second")
        w.end()  # an event that was not ended is ended
        s.expect("\n\ndata: later\n\n")


def test_a_held_stream_whose_answer_breaks_off(tmp_path):
    with puppet(tmp_path) as (g, env), Stream(g) as s:
        w = Writer(env, "Execgate-Groups: room\r\n")
        w.say("data: first")
        s.open().expect("data: first")
        w.api.close()
        assert read_all(s.socket) == b""
        g.wait_log("event stream closed", reason="the handler broke its answer off")


def test_held_heartbeats_and_a_client_that_leaves(tmp_path):
    with puppet(tmp_path, top="eventStream: {heartbeat: 20ms}") as (g, env):
        with Stream(g) as s:
            hold(env, s)
            for _ in range(3):
                s.expect(":\n\n")
            in_group(env, 1)
        in_group(env, 0)
        g.wait_log("event stream closed", reason="the client left")


def test_held_over_http_1_0_and_not_for_head(tmp_path):
    with puppet(tmp_path) as (g, env):
        with Stream(g, version="1.0") as s:
            hold(env, s)
            in_group(env, 1)
            broadcast(env, "hello")
            s.expect("data: hello\n\n")
        in_group(env, 0)
        with Stream(g, method="HEAD") as s:
            hold(env, s)
            assert s.head.status == 200
            in_group(env, 0)


def test_over_tls(tmp_path):
    certify(tmp_path, "shop", ["localhost"])
    top = "listen: [{https: 127.0.0.1:0, certificate: shop.pem, key: shop.key}]"
    g = Gateway(tmp_path, PUPPET % {"top": top, "trigger": "", "limits": KEPT_APART}, files={"puppet.sh": SCRIPT})
    g.start(listen=None)
    with contextlib.ExitStack() as stack:
        stack.callback(g.__exit__, None, None, None)
        env, port = environment(tmp_path), int(g.addresses[0].rsplit(":", 1)[1])
        with Stream(g, port=port, tls=trusting()) as s:
            hold(env, s, body="data: one\n\n")
            s.expect("data: one\n\n")
            in_group(env, 1)
            large = "x" * 200000
            assert broadcast(env, large) == 1
            s.expect(f"data: {large}\n\n")
        in_group(env, 0)
        with Stream(g, port=port, tls=trusting()) as s:
            w = Writer(env)
            s.open()
            for piece in ("data: one\n\n", "data: two\n\n"):
                w.say(piece)
                s.expect(piece)
            w.end()
            assert s.rest() == ""


def test_connections_leave_the_http_server_whole(tmp_path):
    """Ones that were used before, ones with a body, ones with more behind the request: no descriptor is left of them."""
    with puppet(tmp_path) as (g, env):
        def open_files():
            return len(os.listdir(f"/proc/{g.pid}/fd"))
        with Stream(g) as s:
            hold(env, s)
        in_group(env, 0)
        before = open_files()
        for i in range(20):
            with g.connect() as s, s.makefile("rb") as f:
                s.sendall(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
                assert read_answer(f).status == 404
                s.sendall(b"POST /events HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n" * (i % 2))
                api = Native(env)
                event = event_for(api)
                assert event.body == b"hello"
                api.answer(message(event.id, ": held\n\n", fields=[("Content-Type", "text/event-stream"), ("Execgate-Groups", "room")]))
                api.close()
                assert f.readline() == b"HTTP/1.1 200 OK\r\n"
                assert b"Connection: close\r\n" in list(iter(f.readline, b"\r\n"))
                assert f.readline() == b": held\n"
        in_group(env, 0)
        wait_for(lambda: open_files() <= before, what=f"{before} open files")


def test_without_a_descriptor_the_client_is_refused(tmp_path):
    with puppet(tmp_path) as (g, env), Stream(g) as s, Stream(g) as first:
        apis = [Native(env) for _ in range(2)]
        events = [event_for(api) for api in apis]
        fields = [("Content-Type", "text/event-stream"), ("Execgate-Groups", "room")]
        used = {int(fd) for fd in os.listdir(f"/proc/{g.pid}/fd")}
        free = next(fd for fd in itertools.count() if fd not in used)
        limits = resource.prlimit(g.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(g.pid, resource.RLIMIT_NOFILE, (free, limits[1]))
        apis[0].answer(message(events[0].id, "", fields=fields))
        refused, other = (s, first) if select.select([s.socket, first.socket], [], [], 30)[0] == [s.socket] else (first, s)
        assert refused.open().head.status == 503
        resource.prlimit(g.pid, resource.RLIMIT_NOFILE, limits)
        assert g.wait_log("a connection cannot be kept; raise the limit of open files (ulimit -n)")
        apis[1].answer(message(events[1].id, "", fields=fields))
        assert other.open().head.status == 200
        in_group(env, 1)


@pytest.mark.parametrize("fields, why", [
    ([("Content-Type", "text/plain")], "Content-Type"),
    ([("Content-Type", "text/event-stream"), ("Execgate-Groups", "a%00b")], "control characters"),
    ([("Content-Type", "text/event-stream"), ("Execgate-Groups", ",".join("abcdefgh"))], "maxGroups")])
def test_answers_that_cannot_be_held(tmp_path, fields, why):
    with puppet(tmp_path, top="eventStream: {maxGroups: 4}") as (g, env), Stream(g) as s:
        api = Native(env)
        api.answer(message(event_for(api).id, "x", fields=[*fields, ("Execgate-Groups", "room")]))
        assert s.open().head.status == 502
        assert why in g.wait_log("request", status=502)["detail"]


@pytest.mark.parametrize("key, status", [("maxPerClient", 429), ("maxConnections", 503)])
def test_limits(tmp_path, key, status):
    with puppet(tmp_path, trigger=f", eventStream: {{{key}: 2}}") as (g, env), contextlib.ExitStack() as stack:
        streams = [stack.enter_context(Stream(g)) for _ in range(2)]
        for s in streams:
            hold(env, s)
            assert s.head.status == 200
        in_group(env, 2)
        with Stream(g) as third:
            hold(env, third)
            assert third.head.status == status
        streams[0].close()
        in_group(env, 1)
        with Stream(g) as third:
            hold(env, third)
            assert third.head.status == 200


def test_a_client_that_does_not_read_is_dropped_and_nobody_waits(tmp_path):
    with puppet(tmp_path, top="eventStream: {maxOutbound: 64KiB}") as (g, env), Stream(g, rcvbuf=4096) as slow:
        hold(env, slow)
        with Stream(g) as quick:
            hold(env, quick)
            in_group(env, 2)
            block, sent = "y" * 65536, 2
            for _ in range(400):
                sent = broadcast(env, block)
                assert quick.event() == {"data": block}
                if sent == 1:
                    break
            assert sent == 1, "the slow client was never dropped"
            g.wait_log("event stream closed", reason="events are not taken fast enough")


def test_kept_over_reloads(tmp_path):
    with puppet(tmp_path) as (g, env), Stream(g) as s, Stream(g) as written:
        hold(env, s)
        in_group(env, 1)
        w = Writer(env)
        w.say("data: one\n\n")
        written.open().expect("data: one\n\n")
        for seconds in range(3):
            g.file.write_text(g.file.read_text() + f"# {seconds}\n")
            g.process.send_signal(signal.SIGHUP)
            wait_for(lambda: len(g.logs("reloaded")) == seconds + 1)
        assert broadcast(env, "afterwards") == 1
        s.expect("data: afterwards\n\n")
        w.say("data: two\n\n")
        written.expect("data: two\n\n")
        w.end()


def test_streams_outlive_a_reload_that_replaces_their_handler(tmp_path):
    with puppet(tmp_path) as (g, env), Stream(g) as s:
        w = Writer(env)
        w.say("data: one\n\n")
        s.open().expect("data: one\n\n")
        g.file.write_text(g.file.read_text().replace("timeout: 3s", "timeout: 4s"))
        g.process.send_signal(signal.SIGHUP)
        new = Native(environment(tmp_path, env["PUPPET_PID"]))
        new.send_exchange(max=1)
        g.wait_log("reloaded")
        with Stream(g) as other:
            event = new.read_exchange().events[0]
            new.answer(message(event.id, "data: new\n\n", fields=[("Content-Type", "text/event-stream")]))
            assert other.open().head["Content-Length"] == "11"
        w.say("data: two\n\n")
        s.expect("data: two\n\n")
        w.end()
        assert s.rest() == ""
        wait_for(lambda: not alive(int(env["PUPPET_PID"])), what="the end of the old process")


def test_guards_and_claims_hold(tmp_path):
    top = """
auth:
  guards:
    key: {type: apiKey, keys: {alice: "${env.ALICE}"}}
"""
    with puppet(tmp_path, top=top, trigger=", guard: key, eventStream: {maxPerClient: 1}", env={**os.environ, "ALICE": "0123456789abcdef0123456789abcdef"}) as (g, env):
        with Stream(g) as s:
            assert s.open().head.status == 401
        alice = {"X-Api-Key": "0123456789abcdef0123456789abcdef"}
        with Stream(g, headers=alice) as s, Stream(g, headers=alice) as second:
            api = Native(env)
            events = [event_for(api), event_for(api)]
            for event in events:
                assert "alice" in event["Execgate-Claims"]
                api.answer(message(event.id, "", fields=[("Content-Type", "text/event-stream"), ("Execgate-Groups", "room")]))
            assert sorted(x.open().head.status for x in (s, second)) == [200, 429]
            seen = api.call("GET", "/v1/connections").json()["connections"]
            assert len(seen) == 1 and "alice" in json.dumps(seen[0]["claims"])


def test_a_process_for_each_event_is_stopped_when_its_client_leaves(gateway, tmp_path):
    text = """
        blueprint: 1
        name: events
        handlers:
          h: {command: ./h.py, mode: once, triggers: [{http: GET /events}]}
    """
    with gateway(text, files={"h.py": ONCE}) as g:
        with Stream(g) as s:
            s.open().expect("data: none\n\n")
            assert len(g.handler_pids()) == 1
        wait_for(lambda: not g.handler_pids(), what="the end of the process")


def resident_kb(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))


def test_what_a_held_stream_costs(tmp_path):
    with puppet(tmp_path) as (g, env), contextlib.ExitStack() as stack:
        def some(count):
            for _ in range(count):
                hold(env, stack.enter_context(Stream(g)))
        some(100)
        before, count = resident_kb(g.pid), 400
        some(count)
        in_group(env, 100 + count)
        each = (resident_kb(g.pid) - before) / count
        assert each < 4 * SLOW ** 2, f"{each} kB"


def test_two_hundred_of_each_kind(tmp_path):
    with puppet(tmp_path) as (g, env), contextlib.ExitStack() as stack:
        api, count = Api(env), 200
        streams = []
        for _ in range(count):
            s = stack.enter_context(Stream(g))
            hold(env, s)
            streams.append(s)
        sockets = [stack.enter_context(Socket(g)) for _ in range(count)]
        ids = [c["connectionId"] for c in api.call("GET", "/v1/connections").json()["connections"] if c["kind"] == "websocket"]
        assert len(ids) == count
        for id in ids:
            assert api.call("PUT", f"/v1/connections/{id}/groups/room").status == 204
        in_group(env, 2 * count)
        for text in ("hello", "z" * 10000):
            assert broadcast(env, text) == 2 * count
            for s in streams:
                s.expect(f"data: {text}\n\n")
            for ws in sockets:
                assert ws.recv() == (TEXT, text.encode())
