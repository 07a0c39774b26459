"""Compressed answers, read back by curl; security headers and request hygiene on the way."""
import gzip
import subprocess
import time
import zlib

import pytest
from execgate import ROOT, SLOW, Gateway, read_all

HANDLERS = ROOT / "tests/e2e/handlers"
BLUEPRINT = f"""
blueprint: 1
name: compress
headers: {{strip: [x-debug], set: {{x-team: shop}}}}
compress: {{types: ["text/*", application/json, application/octet-stream]}}
handlers:
  probe:
    command: {HANDLERS}/probe.py
    processes: {{min: 1}}
    triggers:
      - http: ANY /probe/{{orders+}}
      - http: GET /plain/{{orders+}}
        compress: off
  stream:
    command: {HANDLERS}/stream_server.py
    mode: server
    triggers:
      - http: ANY /stream/{{what+}}
"""
TEXT = bytes(i % 7 + 97 for i in range(100_000))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Gateway(tmp_path_factory.mktemp("compress"), BLUEPRINT) as g:
        yield g


def curl(server, path, data, *words):
    """Posts data; the answer as curl decodes it, and its headers."""
    done = subprocess.run(["curl", "-sS", "--compressed", "-D", "/dev/stderr", "--data-binary", "@-", *words, f"http://127.0.0.1:{server.port}{path}"],
                          input=data, capture_output=True, timeout=30 * SLOW)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.decode().split("\r\n")[1:]
    return done.stdout, {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines if line)}


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
@pytest.mark.parametrize("size", [1024, 50_000, 100_000, 1_000_000])
def test_each_coding_comes_back_whole(server, coding, size):
    data = (TEXT * 10)[:size]
    body, headers = curl(server, "/probe/body", data, "-H", f"Accept-Encoding: {coding}", "-H", "Expect:")
    assert body == data and headers["content-encoding"] == coding and headers["vary"] == "Accept-Encoding"
    assert ("content-length" in headers) == (size <= 65536), "a larger one is encoded on its way"


def test_the_clients_weights_count(server):
    def coding(accept):
        return server.request("POST", "/probe/body", TEXT, {"Accept-Encoding": accept})["Content-Encoding"]
    assert coding("gzip;q=1, br;q=0.5") == "gzip"
    assert coding("gzip, br, zstd") == "br"
    assert coding("identity, gzip;q=0.5") is None
    assert coding("gzip;q=0") is None
    assert coding("*") == "br"


def test_what_is_left_alone(server):
    accept = {"Accept-Encoding": "gzip"}
    small = server.request("POST", "/probe/body", b"small", accept)
    assert small.body == b"small" and small["Content-Encoding"] is None and small["Vary"] == "Accept-Encoding"
    off = server.get("/plain/size/5000", headers=accept)
    assert off["Content-Encoding"] is None and off["Vary"] is None
    untyped = server.get("/stream/bytes/5000", headers=accept)
    assert untyped["Content-Encoding"] is None and len(untyped.body) == 5000


def test_head_tells_what_get_would(server):
    accept = {"Accept-Encoding": "gzip"}
    get, head = (server.request(m, "/probe/event", headers={**accept, "X-Long": "y" * 2000}) for m in ("GET", "HEAD"))
    assert head.status == 200 and head.body == b"" and head["Content-Encoding"] == get["Content-Encoding"] == "gzip"
    assert head["Vary"] == get["Vary"] == "Accept-Encoding" and head["Content-Length"]
    assert gzip.decompress(get.body).startswith(b"{")


def test_a_slow_stream_is_readable_as_it_comes(server):
    with server.connect() as s:
        s.sendall(b"GET /stream/ticks/5 HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n")
        f, headers = s.makefile("rb"), b""
        while (line := f.readline()) != b"\r\n":
            headers += line.lower()
        assert b"content-encoding: gzip" in headers and b"transfer-encoding: chunked" in headers
        decoder, ticks, seen = zlib.decompressobj(31), b"", []
        while size := int(f.readline(), 16):
            ticks += decoder.decompress(f.read(size))
            f.readline()
            if ticks.count(b"\n") > len(seen):
                seen += [time.monotonic()] * (ticks.count(b"\n") - len(seen))
    assert ticks == b"".join(b"tick %d\n" % i for i in range(5)) and decoder.eof
    assert seen[-1] - seen[0] > 0.3, "the ticks came one by one"


def test_a_client_that_leaves_a_compressed_stream_does_no_harm(server):
    for _ in range(3):
        with server.connect() as s:
            s.sendall(b"GET /stream/ticks/40 HTTP/1.1\r\nHost: a\r\nAccept-Encoding: br\r\n\r\n")
            assert s.recv(10)
    assert server.request("POST", "/probe/body", TEXT, {"Accept-Encoding": "gzip"}).status == 200


def test_a_cut_stream_does_not_look_whole(server):
    with server.connect() as s:
        s.sendall(b"GET /stream/cut HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n")
        data = read_all(s)
    # Cut before its first byte was passed on, it is a failure; afterwards it must not look whole.
    assert data.startswith(b"HTTP/1.1 502 ") or not data.endswith(b"\r\n0\r\n\r\n")


def test_security_headers_are_on_every_answer(server):
    for path, status in (("/probe/pid", 200), ("/nowhere", 404), ("/probe/error", 502)):
        a = server.get(path)
        assert a.status == status and a["X-Content-Type-Options"] == "nosniff" and a["X-Frame-Options"] == "DENY"
        assert a["Referrer-Policy"] == "no-referrer" and a["X-Team"] == "shop" and a["Strict-Transport-Security"] is None
    assert server.get("/stream/sleep/0")["Server"] is None


def test_requests_arrive_clean(server):
    headers = {"X-Debug": "1", "Execgate-Claims": "{}", "Proxy": "p", "X-Kept": "k", "Connection": "X-Named", "X-Named": "n"}
    seen = server.get("/probe/event", headers=headers).json()["event"]["headers"]
    assert seen["x-kept"] == "k" and not {"x-debug", "execgate-claims", "proxy", "connection", "x-named"} & set(seen)
