"""Requests that two parsers could read differently, or that are simply wrong, get their refusal and reach no handler."""
import json
import re

import pytest
from execgate import read_all

BLUEPRINT = """
blueprint: 1
name: malformed
limits: {headerTimeout: 2s, idleTimeout: 2s, bodyTimeout: 2s}
handlers:
  echo:
    command: %s
    triggers:
      - http: ANY /
      - http: ANY /{path+}
"""

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"

# name, bytes, accepted statuses; None = closed without an answer is fine as well
CASES = [
    ("length and chunked", POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    ("two lengths", POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", {400}),
    ("two equal lengths", POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", {400}),
    ("gzip, chunked", POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", {501}),
    ("unknown coding", POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", {501}),
    ("two codings", POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", {400, 501}),
    ("blank before the colon", POST + b"Transfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n", {400}),
    ("signed length", POST + b"Content-Length: +5\r\n\r\nhello", {400}),
    ("list of lengths", POST + b"Content-Length: 5, 5\r\n\r\nhello", {400}),
    ("negative length", POST + b"Content-Length: -1\r\n\r\n", {400}),
    ("huge length", POST + b"Content-Length: 99999999999999999999999\r\n\r\n", {400, 413}),
    ("hex length", POST + b"Content-Length: 0x5\r\n\r\nhello", {400}),
    ("no host", b"GET / HTTP/1.1\r\n\r\n", {400}),
    ("two hosts", GET + b"Host: b\r\n\r\n", {400}),
    ("bad host", b"GET / HTTP/1.1\r\nHost: a/b@c\r\n\r\n", {400}),
    ("blank in the target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", {400, None}),
    ("HTTP/1.9", b"GET / HTTP/1.9\r\nHost: a\r\n\r\n", {400, 505}),
    ("HTTP/2.0", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", {505}),
    ("h2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {505}),
    ("CONNECT", b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", {405, 501}),
    ("TRACE", b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", {405, 501}),
    ("method is no token", b"GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", {400, 501}),
    ("unknown expectation", POST + b"Expect: 200-ok\r\nContent-Length: 0\r\n\r\n", {417}),
    ("fragment", b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
    ("bad escape", b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
    ("cut escape", b"GET /%a HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
    ("NUL escape", b"GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
    ("dot segment", b"GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
    ("escaped dot segment", b"GET /a/%2e%2E/b HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
    ("a target's host that is none", b"GET http://a:b:80/ HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
    ("dot segment by an escaped slash", b"GET /a/..%2Fb HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
    ("single dot", b"GET /./b HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
    ("byte over 127", b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", {400, None}),
    ("target without slash", b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", {400, None}),
    ("star with GET", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
    ("absolute, foreign scheme", b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
    ("name is no token", GET + b"Bad(Name: x\r\n\r\n", {400}),
    ("control in a value", GET + b"X: a\x01b\r\n\r\n", {400}),
    ("bare CR in a value", GET + b"X: a\rb\r\n\r\n", {400}),
    ("bad chunk size", POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n", {400}),
    ("chunked in HTTP/1.0", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    ("200 fields", GET + b"".join(b"X-%d: y\r\n" % i for i in range(200)) + b"\r\n", {431}),
    ("a long field", GET + b"X: " + b"y" * 40_000 + b"\r\n\r\n", {431}),
    ("a long target", b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", {414}),
    ("no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200, {400, None}),
    ("half a head", b"GET / HTT", {400, 408, None}),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    from execgate import EXAMPLES, Gateway
    with Gateway(tmp_path_factory.mktemp("malformed"), BLUEPRINT % (EXAMPLES / "echo")) as g:
        yield g


def statuses(data):
    return [int(s) for s in re.findall(rb"(?:^|\r\n|\})HTTP/1\.[01] (\d{3})", data)]


@pytest.mark.parametrize("name,data,accepted", CASES, ids=[c[0] for c in CASES])
def test_refused(server, name, data, accepted):
    served = len(server.logs("request", status=200))
    answer = server.raw(data)
    if not answer:
        assert None in accepted, "closed without an answer"
    else:
        found = statuses(answer)
        assert found and found[0] in accepted, answer[:500]
        assert not any(200 <= s < 300 for s in found), "the handler answered a malformed request"
    assert server.get("/after", headers={"X-Request-Id": f"after-{served}"}).status == 200, "the gateway is gone"
    server.wait_log("request", request_id=f"after-{served}")
    assert len(server.logs("request", status=200)) == served + 1, "a handler saw the malformed request"


@pytest.mark.parametrize("data", [c[1] for c in CASES if c[0] in ("two lengths", "two hosts", "dot segment", "unknown coding")])
def test_refusals_are_problems(server, data):
    head, _, body = server.raw(data).partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    problem = json.loads(body)
    assert problem["status"] in (400, 501) and problem["requestId"] and problem["title"] and problem["detail"]
    assert re.search(rb"(?i)x-request-id: " + problem["requestId"].encode(), head)


@pytest.mark.parametrize("data,status", [
    (b"GET http://a/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200),
    (b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 204),
    (b"GET /x HTTP/1.0\r\n\r\n", 200),
    (b"GET /%7Euser HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200),
    (b"GET /x?a=%zz&b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200),
    (b"\r\nGET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200),
])
def test_unusual_but_right(server, data, status):
    assert statuses(server.raw(data))[0] == status


def test_a_refused_request_ends_the_connection(server):
    """What follows a request whose framing is in doubt is never read as a request."""
    data = POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    assert statuses(server.raw(data)) == [400]
    assert not server.logs("request", path="/smuggled")


def test_slow_header_is_cut(server):
    with server.connect() as s:
        import threading
        stop = threading.Event()

        def drip():
            try:
                for b in b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: " + b"y" * 200:
                    if stop.wait(0.2):
                        return
                    s.sendall(bytes([b]))
            except OSError:
                pass
        t = threading.Thread(target=drip)
        t.start()
        data = read_all(s)
        stop.set()
        t.join()
    assert not any(x == 200 for x in statuses(data))


def test_slow_body_is_cut(server):
    with server.connect() as s:
        s.sendall(POST + b"Content-Length: 100\r\n\r\nabc")
        assert statuses(read_all(s)) in ([], [408])


def test_idle_connection_is_closed(server):
    with server.connect() as s:
        s.sendall(GET + b"\r\n")
        data = read_all(s)
    assert statuses(data) == [200]
