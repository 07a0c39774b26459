"""The HTTP ingress as clients meet it."""
import contextlib
import json
import re
import socket
import threading
import time

import pytest
from execgate import EXAMPLES, ROOT, Gateway, read_all, read_answer, wait_for

HANDLERS = ROOT / "tests/e2e/handlers"
BLUEPRINT = f"""
blueprint: 1
name: http
limits: {{maxBody: 1MiB, inFlight: 50}}
handlers:
  probe:
    command: {HANDLERS}/probe.py
    timeout: 20s
    processes: {{min: 1, max: 4}}
    triggers:
      - http: ANY /probe/{{orders+}}
      - http: POST /small/body
        maxBody: 10B
  echo:
    command: {EXAMPLES}/echo
    triggers:
      - http: GET /echo
      - http: GET /only/get
      - http: POST /only/post
      - http: ANY /any
  stream:
    command: {HANDLERS}/stream_server.py
    mode: server
    triggers:
      - http: ANY /stream/{{what+}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Gateway(tmp_path_factory.mktemp("http"), BLUEPRINT) as g:
        yield g


def test_get_and_head(server):
    get, head = server.get("/echo"), server.request("HEAD", "/echo")
    assert get.status == head.status == 200
    assert get.body and head.body == b""
    assert head["Content-Length"] == get["Content-Length"] == str(len(get.body))


def test_unknown_path_is_a_problem(server):
    a = server.get("/nowhere")
    assert a.status == 404 and a["Content-Type"] == "application/problem+json"
    assert a.json()["requestId"] == a["X-Request-Id"]


def test_wrong_method_tells_the_right_ones(server):
    a = server.request("DELETE", "/only/get")
    assert a.status == 405 and sorted(a["Allow"].split(", ")) == ["GET", "HEAD"]
    assert server.request("GET", "/only/post").status == 405
    assert server.request("DELETE", "/any").status == 200


def test_request_id_is_taken_if_sane(server):
    assert server.get("/echo", headers={"X-Request-Id": "order-42.a:b"})["X-Request-Id"] == "order-42.a:b"
    for bad in ("with blank", "x" * 300, "a<b>", ""):
        made = server.get("/echo", headers={"X-Request-Id": bad})["X-Request-Id"]
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", made), (bad, made)
    assert len({server.get("/echo")["X-Request-Id"] for _ in range(5)}) == 5


def test_declared_body_over_the_limit_is_refused_before_it_is_sent(server):
    with server.connect() as s:
        s.sendall(b"POST /probe/body HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\nExpect: 100-continue\r\n\r\n")
        answer = read_answer(s.makefile("rb"))
    assert answer.status == 413 and answer.json()["status"] == 413


def test_chunked_body_over_the_limit_is_refused(server):
    with server.connect() as s:
        s.sendall(b"POST /probe/body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(32):
                s.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        answer = read_answer(s.makefile("rb"))
    assert answer.status == 413 and answer["Connection"] == "close"
    assert server.get("/echo").status == 200


def test_route_has_its_own_limit(server):
    assert server.request("POST", "/small/body", b"0123456789").status == 200
    assert server.request("POST", "/small/body", b"0123456789x").status == 413


@pytest.mark.parametrize("size", [0, 1, 1000, 65536, 1024 * 1024])
def test_bodies_arrive_whole(server, size):
    data = bytes(i * 7 % 251 for i in range(size))
    a = server.request("POST", "/probe/body", data)
    assert a.status == 200 and a.body == data


def test_chunked_body_arrives_whole(server):
    data = [bytes([i]) * (i * 37 + 1) for i in range(100)]
    with contextlib.closing(server.client()) as c:
        c.request("POST", "/probe/body", iter(data), {"Transfer-Encoding": "chunked"}, encode_chunked=True)
        r = c.getresponse()
        assert r.status == 200 and r.read() == b"".join(data)


def test_continue_is_held_until_the_request_is_admitted(server):
    with server.connect() as s:
        f = s.makefile("rb")
        s.sendall(b"POST /probe/body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert read_answer(f).status == 100
        s.sendall(b"hello")
        final = read_answer(f)
        assert final.status == 200 and final.body == b"hello"
        s.sendall(b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert read_answer(f).status == 404, "a refused request is not told to go on"


def test_pipelined_requests_are_answered_in_order(server):
    with server.connect() as s:
        f = s.makefile("rb")
        s.sendall(b"".join(b"GET %s HTTP/1.1\r\nHost: a\r\nX-Request-Id: n%d\r\n\r\n" % (p, i)
                           for i, p in enumerate([b"/probe/sleep/0.3", b"/echo", b"/nowhere", b"/probe/pid", b"/echo"])))
        answers = [read_answer(f) for _ in range(5)]
    assert [a.status for a in answers] == [200, 200, 404, 200, 200]
    assert [a["X-Request-Id"] for a in answers] == [f"n{i}" for i in range(5)]


def test_keep_alive_and_close(server):
    with server.connect() as s:
        f = s.makefile("rb")
        for _ in range(3):
            s.sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
            assert read_answer(f).status == 200
        s.sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert read_answer(f).status == 200
        assert f.read() == b""


def test_http_1_0(server):
    data = server.raw(b"GET /echo HTTP/1.0\r\n\r\n")
    assert data.startswith(b"HTTP/1.") and b" 200 " in data.split(b"\r\n")[0]
    assert b"Transfer-Encoding" not in data


def test_client_that_leaves_while_waiting_is_noticed(server):
    with server.connect() as s:
        s.sendall(b"GET /probe/sleep/2 HTTP/1.1\r\nHost: a\r\nX-Request-Id: leaver\r\n\r\n")
        time.sleep(0.05)
    wait_for(lambda: server.logs("request", status=499), 5, "a 499 in the access log")
    assert server.get("/probe/pid").status == 200


def test_bounded_in_flight(server):
    """limits.inFlight is 50: more waiting requests than that are refused at once, and the rest is served."""
    results = []

    def one():
        results.append(server.get("/probe/sleep/0.5").status)
    threads = [threading.Thread(target=one) for _ in range(70)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results.count(503) >= 10 and results.count(200) >= 40 and set(results) == {200, 503}


def test_streamed_answer_arrives_as_it_is_made(server):
    with server.connect() as s:
        f = s.makefile("rb")
        s.sendall(b"GET /stream/ticks/3 HTTP/1.1\r\nHost: a\r\n\r\n")
        while f.readline() != b"\r\n":
            pass
        stamps = []
        for _ in range(3):
            size = int(f.readline(), 16)
            stamps.append((time.monotonic(), f.read(size)))
            f.readline()
        assert f.readline() == b"0\r\n"
    assert [d for _, d in stamps] == [b"tick 0\n", b"tick 1\n", b"tick 2\n"]
    assert stamps[2][0] - stamps[0][0] > 0.2, "the ticks were held back"


def test_streamed_answer_over_http_1_0_ends_with_the_connection(server):
    data = server.raw(b"GET /stream/ticks/2 HTTP/1.0\r\n\r\n")
    assert data.endswith(b"\r\n\r\ntick 0\ntick 1\n") and b"chunked" not in data.lower()


def test_head_of_a_streamed_answer_leaves_the_connection_clean(server):
    with server.connect() as s:
        f = s.makefile("rb")
        s.sendall(b"HEAD /stream/ticks/2 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_answer(f, "HEAD").status == 200
        s.sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
        rest = f.read(9)
        assert rest in (b"HTTP/1.1 ", b""), rest


def test_a_slow_reader_holds_back_a_streaming_handler(server):
    """64 MB are on offer; the gateway must not gather them for a client that does not read."""
    def resident():
        return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{server.pid}/status").read())[1])
    before = resident()
    with server.connect() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        s.sendall(b"GET /stream/bytes/67108864 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        f = s.makefile("rb")
        while f.readline() != b"\r\n":
            pass
        time.sleep(0.5)
        assert resident() - before < 20_000, "the answer is piling up in the gateway"
        total = sum(len(c) for c in iter(lambda: f.read(1 << 20), b""))
    assert total >= 67108864


def test_a_large_upload_streams_through(server):
    def resident():
        return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{server.pid}/status").read())[1])
    before = resident()
    body = b"z" * (1024 * 1024)
    a = server.request("POST", "/stream/count", body)
    assert a.status == 200 and a.json() == {"bytes": len(body)}
    assert resident() - before < 20_000


def test_slow_handler_does_not_hold_up_others(server):
    slow = threading.Thread(target=lambda: server.get("/probe/sleep/1"))
    slow.start()
    began = time.monotonic()
    assert server.get("/echo").status == 200
    assert time.monotonic() - began < 0.8
    slow.join()


def test_unix_socket_listener(tmp_path):
    blueprint = BLUEPRINT.replace("limits:", "listen: [{http: 'unix:web.sock'}]\nlimits:")
    g = Gateway(tmp_path, blueprint)
    g.start(listen=None)
    try:
        assert g.addresses == [f"unix:{tmp_path}/web.sock"]
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(tmp_path / "web.sock"))
            s.sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert read_all(s).startswith(b"HTTP/1.1 200")
    finally:
        assert g.stop() == 0
    assert not (tmp_path / "web.sock").exists()


def test_access_log_has_one_line_per_request(server):
    server.get("/echo", headers={"X-Request-Id": "logged-once"})
    entry = server.wait_log("request", request_id="logged-once")
    assert len(server.logs("request", request_id="logged-once")) == 1
    assert entry["method"] == "GET" and entry["path"] == "/echo" and entry["status"] == 200 and entry["handler"] == "echo"
    assert json.dumps(entry)
