"""Heads that are large, odd or past all bounds get an answer, and the gateway goes on."""
import contextlib
import os
import subprocess

import pytest
from execgate import BINARY, EXAMPLES, Gateway, read_answer, wait_for
from puppet import Api, Request, id_of, puppet

BLUEPRINT = f"""
blueprint: 1
name: bounds
handlers:
  echo:
    command: {EXAMPLES}/echo
    triggers: [{{http: ANY /echo}}]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Gateway(tmp_path_factory.mktemp("bounds"), BLUEPRINT) as g:
        yield g


@pytest.mark.parametrize("length", [2**63, 2**63 + 5, 2**64 - 1])
@pytest.mark.parametrize("path", [b"/echo", b"/nowhere"])
def test_a_length_beyond_counting(server, length, path):
    with server.connect() as s:
        s.sendall(b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\nabcd" % (path, length))
        assert read_answer(s.makefile("rb")).status == 413
    assert server.get("/echo").status == 200


def test_many_query_arguments(server):
    assert server.get("/echo?" + "a&" * 4000).status == 200
    assert server.get("/echo?" + "a=b&" * 2000).status == 200


def test_many_cookies(server):
    assert server.get("/echo", headers={"Cookie": "; ".join(f"c{i}=v{i}" for i in range(100))}).status == 200


@pytest.mark.parametrize("fields,size", [(1, 100), (60, 250), (120, 120), (1, 12000)])
@pytest.mark.parametrize("answer_head", [100, 6000, 30000, 60000])
def test_large_heads_both_ways(tmp_path_factory, fields, size, answer_head):
    with puppet(tmp_path_factory.mktemp("heads")) as (g, env):
        api = Api(env)
        r = Request(g, "GET", "/p", None, {f"X-{i}": "v" * size for i in range(fields)})
        event = api.next()
        assert len([h for h in event.json()["headers"] if h.startswith("x-")]) == fields
        api.respond(id_of(event), {"statusCode": 200, "headers": {"X-Large": "y" * answer_head}, "body": "whole"})
        a = r.answer()
        assert a.status == 200 and a.body == b"whole" and len(a["X-Large"]) == answer_head


def test_pipelined_requests_behind_a_large_answer_head(tmp_path):
    with puppet(tmp_path) as (g, env), g.connect() as s:
        api = Api(env)
        s.sendall(b"".join(b"GET /p HTTP/1.1\r\nHost: a\r\nX-Pad: %s\r\n\r\n" % (b"p" * 2000) for _ in range(7)))
        api.respond(id_of(api.next()), {"statusCode": 200, "headers": {"X-Large": "y" * 14000}, "body": "whole"})
        a = read_answer(s.makefile("rb"))
        assert a.status == 200 and a.body == b"whole"


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_missing_standard_descriptors(tmp_path, closed):
    (tmp_path / "b.yaml").write_text(BLUEPRINT)
    address = tmp_path / "web.sock"

    def close():
        for fd in closed:
            os.close(fd)
    p = subprocess.Popen([str(BINARY), "run", str(tmp_path / "b.yaml"), "--listen", f"unix:{address}"], stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=close)
    with contextlib.ExitStack() as stack:
        stack.callback(p.kill)
        wait_for(address.exists, what="the socket")
        shown = subprocess.run(["curl", "-sS", "--unix-socket", str(address), "http://a/echo"], capture_output=True, text=True, timeout=20)
        assert shown.stdout, shown
        p.terminate()
        assert p.wait(20) == 0


@pytest.mark.parametrize("limit,serves", [(40, False), (200, True)])
def test_few_descriptors(tmp_path, limit, serves):
    (tmp_path / "b.yaml").write_text(BLUEPRINT)
    command = f"ulimit -n {limit}; exec {BINARY} run {tmp_path}/b.yaml --json --listen 127.0.0.1:0"
    p = subprocess.Popen(["sh", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    line = p.stdout.readline()
    if serves:
        assert '"ready"' in line
        p.terminate()
        assert p.wait(20) == 0
    else:
        assert "ulimit -n" in line or "descriptor" in line or "open files" in line, line
        assert p.wait(20) == 3
