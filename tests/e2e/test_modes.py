"""Handlers that know nothing of the runtime API: `mode: once`, a process per event, and `mode: server`, an HTTP server behind the gateway."""
import contextlib
import hashlib
import http.client
import json
import os
import re
import signal
import socket
import threading
import time

import pytest
from execgate import ROOT, SLOW, Gateway, alive, children, read_all, read_answer, run_cli, wait_for
from native import standstill
from puppet import Request

HANDLERS = ROOT / "tests/e2e/handlers"
ROOM = 10_000 if SLOW == 1 else 300_000  # KiB by which the gateway may grow; a sanitizer holds back what was freed
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def resident(g):
    """KiB"""
    with open(f"/proc/{g.pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])


def read_whole(s):
    return b"".join(iter(lambda: s.recv(1 << 20), b""))


def is_failure(answer, status, slug):
    return answer.status == status and answer["Content-Type"] == "application/problem+json" and answer.json()["type"].endswith(slug)


def head_of(f, status=200):
    """Reads a head off a client's stream."""
    line = f.readline()
    assert line.startswith(b"HTTP/1.1 %d" % status), line
    return b"".join(iter(f.readline, b"\r\n"))


# --- once ---
ONCE = f"""
blueprint: 1
name: modes
limits: {{maxBody: 16MiB, maxAnswer: 1MiB}}
handlers:
  cgi:
    command: [{HANDLERS}/once.py, --first, "two words"]
    mode: once
    environment: {{COLOUR: red, http_proxy: "http://fine.example"}}
    triggers:
      - http: ANY /cgi/{{orders+}}
      - http: ANY /fixed/{{id}}/{{more-of-it}}
  slow:
    command: {HANDLERS}/once.py
    mode: once
    timeout: 2s
    processes: {{stopTimeout: 300ms}}
    triggers: [{{http: 'ANY /slow/{{orders+}}'}}]
  few:
    command: {HANDLERS}/once.py
    mode: once
    processes: {{max: 2}}
    triggers: [{{http: 'ANY /few/{{orders+}}'}}]
  missing:
    command: ./missing.sh
    mode: once
    triggers: [{{http: GET /missing}}]
  filter:
    command: [tr, a-z, A-Z]
    mode: once
    triggers: [{{http: POST /upper}}]
"""


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    with Gateway(tmp_path_factory.mktemp("once"), ONCE, files={"missing.sh": "#!/bin/sh\n"}) as g:
        yield g
        wait_for(lambda: children(g.pid) == [], 10, "the end of every process, without a zombie")


def raw_output(g, output, *rest, method="GET", prefix="/cgi"):
    output = output.encode("latin-1") if isinstance(output, str) else output
    return g.request(method, "/".join([prefix, "raw", output.hex(), *rest]))


def test_meta_variables(once):
    with once.connect() as s:
        s.sendall(b"POST /cgi/env/a%2Fb/%C3%A9%20x?q=1&r=%20 HTTP/1.1\r\nHost: Shop.Example:8080\r\nContent-Type: text/x\r\nContent-Length: 4\r\n"
                  b"X-Twice: 1\r\nCookie: a=1\r\nx-twice: 2\r\nCookie: b=2\r\nX_Under: smuggled\r\nX-Request-Id: rid-1\r\nAuthorization: Basic Zm9v\r\n"
                  b"Connection: X-Hop, close\r\nX-Hop: 1\r\nKeep-Alive: 1\r\nProxy: http://evil.example\r\nExecgate-Claims: forged\r\n\r\nbody")
        answer = read_answer(s.makefile("rb"))
        port = s.getsockname()[1]
    seen = answer.json()
    env = seen["env"]
    expected = {
        "GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "POST", "SCRIPT_NAME": "/cgi", "PATH_INFO": "/env/a/b/é x",
        "QUERY_STRING": "q=1&r=%20", "REQUEST_URI": "/cgi/env/a%2Fb/%C3%A9%20x?q=1&r=%20", "SERVER_PROTOCOL": "HTTP/1.1", "SERVER_NAME": "Shop.Example",
        "SERVER_PORT": "8080", "REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": str(port), "CONTENT_LENGTH": "4", "CONTENT_TYPE": "text/x", "REQUEST_SCHEME": "http",
        "HTTP_HOST": "Shop.Example:8080", "HTTP_X_TWICE": "1, 2", "HTTP_COOKIE": "a=1; b=2", "HTTP_X_REQUEST_ID": "rid-1",
        "EXECGATE_APPLICATION": "modes", "EXECGATE_HANDLER": "cgi", "EXECGATE_TRIGGER": "http", "EXECGATE_ROUTE": "ANY /cgi/{orders+}",
        "EXECGATE_REQUEST_ID": "rid-1", "EXECGATE_PARAMETER_ORDERS": "env/a/b/é x", "COLOUR": "red",
    }
    assert {k: env.get(k) for k in expected} == expected
    assert env["SERVER_SOFTWARE"].startswith("execgate/") and re.fullmatch(UUID, env["EXECGATE_INVOCATION_ID"])
    assert 0 < int(env["EXECGATE_DEADLINE"]) - time.time() * 1000 < 31_000
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]", env["TRACEPARENT"])
    for name in ("HTTP_X_UNDER", "HTTP_X_HOP", "HTTP_CONNECTION", "HTTP_KEEP_ALIVE", "HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH", "HTTP_EXECGATE_CLAIMS",
                 "AWS_LAMBDA_RUNTIME_API", "EXECGATE_RUNTIME_SOCKET", "LISTEN_FDS", "PORT"):
        assert name not in env, name
    assert env["http_proxy"] == "http://fine.example" and "HTTP_PROXY" not in env, "what programs take for their proxy is never the client's (httpoxy)"
    assert seen["argv"] == ["--first", "two words"] and seen["cwd"] == str(once.folder) and seen["body"] == "body"


@pytest.mark.parametrize("mode,name", [("once", "PATH_INFO"), ("once", "HTTP_PROXY"), ("once", "EXECGATE_INVOCATION_ID"), ("server", "PORT"), ("server", "LISTEN_FDS")])
def test_what_the_gateway_says_cannot_be_set(tmp_path, mode, name):
    file = tmp_path / "blueprint.yaml"
    file.write_text(f"blueprint: 1\nname: set\nhandlers:\n  set: {{command: cat, mode: {mode}, environment: {{{name}: x}}, triggers: [{{http: GET /}}]}}\n")
    r = run_cli("check", file)
    assert r.returncode == 1 and f"{name} may not be set here" in r.stderr + r.stdout


def test_a_fixed_path_is_the_path_info(once):
    with once.connect() as s:
        s.sendall(b"GET /fixed/1/env HTTP/1.0\r\n\r\n")  # the last segment is no order here: PATH_INFO begins with "fixed"
        assert b" 502 " in read_all(s).split(b"\r\n")[0]
    entry = once.wait_output("fixed", handler="cgi", stream="stderr")
    assert "KeyError" in entry["line"] or "fixed" in entry["line"]


def test_no_body_is_an_empty_stdin(once):
    seen = once.get("/cgi/env").json()
    assert seen["body"] == "" and "CONTENT_LENGTH" not in seen["env"] and "CONTENT_TYPE" not in seen["env"] and seen["env"]["QUERY_STRING"] == ""
    assert seen["env"]["SERVER_NAME"] == "127.0.0.1" and seen["env"]["SERVER_PORT"] == str(once.port)


def test_a_filter_needs_to_know_nothing(once):
    a = once.request("POST", "/upper", "make me loud")
    assert a.status == 200 and a.text == "MAKE ME LOUD" and a["Content-Type"] == "text/plain; charset=utf-8" and a["Content-Length"] == "12"


# output, status, body, fields; None = not checked
OUTPUTS = [
    ("document", "Content-Type: text/html\r\n\r\n<p>", 200, b"<p>", {"Content-Type": ["text/html"]}),
    ("LF alone", "Content-Type: text/html\nX-A: 1\n\n<p>\n", 200, b"<p>\n", {"Content-Type": ["text/html"], "X-A": ["1"]}),
    ("Status", "Status: 404 Not Found\nContent-Type: text/plain\n\nno", 404, b"no", {"Status": [], "Content-Type": ["text/plain"]}),
    ("Status without a reason", "status: 201\n\nmade", 201, b"made", {}),
    ("Location", "Location: /else?a=b\n\n", 302, b"", {"Location": ["/else?a=b"]}),
    ("Location and Status", "Status: 303 See\nLocation: https://a.example/\n\n", 303, b"", {"Location": ["https://a.example/"]}),
    ("repeated fields", "Set-Cookie: a=1\nSet-Cookie: b=2\n\n", 200, b"", {"Set-Cookie": ["a=1", "b=2"]}),
    ("hop-by-hop", "Content-Type: a/b\nConnection: X-Hop\nX-Hop: 1\nKeep-Alive: 5\nUpgrade: x\nExecgate-Secret: 1\n\nbody", 200, b"body",
     {"X-Hop": [], "Keep-Alive": [], "Upgrade": [], "Execgate-Secret": []}),
    ("an exact length", "Content-Length: 4\nContent-Type: a/b\n\nbody", 200, b"body", {"Content-Length": ["4"]}),
    ("a length that is too small", "Content-Length: 4\nContent-Type: a/b\n\nbody and more", 200, b"body", {"Content-Length": ["4"]}),
    ("binary document", b"Content-Type: a/b\n\n\0\xff\r\n\r\n", 200, b"\0\xff\r\n\r\n", {}),
    ("no content", "Status: 204\n\nignored", 204, b"", {}),
    ("plain", "Hello, world!\n", 200, b"Hello, world!\n", {"Content-Type": ["text/plain; charset=utf-8"]}),
    ("plain with blank lines", "one\n\nContent-Type: text/html\n\n", 200, b"one\n\nContent-Type: text/html\n\n", {"Content-Type": ["text/plain; charset=utf-8"]}),
    ("plain with a colon", "note to self: buy milk\n", 200, b"note to self: buy milk\n", {}),
    ("JSON", '{"a": [1, 2]}\n', 200, b'{"a": [1, 2]}\n', {"Content-Type": ["application/json"]}),
    ("a list", '["a:b"]', 200, b'["a:b"]', {"Content-Type": ["application/json"]}),
    ("almost JSON", "{a: b}", 200, b"{a: b}", {"Content-Type": ["text/plain; charset=utf-8"]}),
    ("binary", b"\x89PNG\r\n\xff\0", 200, b"\x89PNG\r\n\xff\0", {"Content-Type": ["application/octet-stream"]}),
    ("nothing", "", 200, b"", {"Content-Type": []}),
    # no answer
    ("bad Status", "Status: fine\nContent-Type: a/b\n\nx", 502, None, {}),
    ("Status out of range", "Status: 999\n\nx", 502, None, {}),
    ("Status 1xx", "Status: 101 Switch\n\nx", 502, None, {}),
    ("Status 2000", "Status: 2000\n\nx", 502, None, {}),
    ("no blank line", "Content-Type: text/html\n", 502, None, {}), ("a line without a colon", "Content-Type: a/b\nnonsense\n\nx", 502, None, {}),
    ("a blank in a name", "Content-Type: a/b\nBad Name: 1\n\nx", 502, None, {}), ("a control in a value", "Content-Type: a/b\nX-A: 1\x01\n\nx", 502, None, {}),
    ("bare CR", "Content-Type: a/b\nX-A: 1\rX-Injected: 1\n\nx", 502, None, {}), ("NUL", "Content-Type: a/b\nX-A: \0\n\nx", 502, None, {}),
    ("chunked", "Content-Type: a/b\nTransfer-Encoding: chunked\n\n1\r\nx\r\n0\r\n\r\n", 502, None, {}),
    ("two lengths", "Content-Type: a/b\nContent-Length: 1\nContent-Length: 2\n\nxx", 502, None, {}),
    ("bad length", "Content-Type: a/b\nContent-Length: +1\n\nx", 502, None, {}),
]


@pytest.mark.parametrize("output,status,body,fields", [o[1:] for o in OUTPUTS], ids=[o[0] for o in OUTPUTS])
def test_output(once, output, status, body, fields):
    a = raw_output(once, output)
    assert a.status == status, a
    if status == 502:
        assert is_failure(a, 502, "handler-answer-invalid") and a["X-Injected"] is None
    else:
        assert a.body == body
    for name, values in fields.items():
        assert a.all(name) == values, (name, a)


def test_a_header_block_is_bounded(once):
    script = "#!/bin/sh\necho 'Content-Type: text/plain'\nyes 'X-Filler: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy' | head -c 2000000\n"
    text = "blueprint: 1\nname: block\nhandlers:\n  block: {command: ./block.sh, mode: once, triggers: [{http: GET /}]}\n"
    folder = once.folder / "block"
    folder.mkdir()
    with Gateway(folder, text, files={"block.sh": script}) as g:
        a = g.get("/")
        assert a.status == 502 and a["X-Filler"] is None


def test_head_and_the_next_request_on_the_connection(once):
    with once.connect() as s:
        f = s.makefile("rb")
        for method, path, status, body in (("HEAD", "/cgi/raw/" + b"plain".hex(), 200, b""), ("GET", "/cgi/unread", 200, b"not interested"),
                                           ("GET", "/cgi/raw/" + b"Status: 204\n\nx".hex(), 204, b""), ("GET", "/cgi/raw/" + b"Status: 304\n\nx".hex(), 304, b""),
                                           ("GET", "/cgi/unread", 200, b"not interested")):
            s.sendall(f"{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            a = read_answer(f, method)
            assert (a.status, a.body) == (status, body)


def test_head_of_a_document_without_a_length(once):
    with once.connect() as s:
        s.sendall(b"HEAD /cgi/unread HTTP/1.1\r\nHost: a\r\n\r\nGET /cgi/unread HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        data = read_all(s)
    first, _, rest = data.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200") and (rest == b"" or rest.startswith(b"HTTP/1.1 200")), "a body in the answer to a HEAD"


@pytest.mark.parametrize("status", [1, 3, 255])
def test_plain_output_of_a_failed_process_is_a_502(once, status):
    a = raw_output(once, "half of a secret", str(status))
    assert is_failure(a, 502, "handler-error") and f"exit status {status}" in a.text and "secret" not in a.text
    assert raw_output(once, "", str(status)).status == 502


def test_a_document_says_itself_how_it_went(once):
    a = raw_output(once, "Status: 422\nContent-Type: text/plain\n\nwhy", "1")
    assert a.status == 422 and a.text == "why"


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGTERM"])
def test_killed(once, name):
    a = once.get(f"/cgi/kill/{name}")
    assert is_failure(a, 502, "handler-died") and name in a.text and "plain output" not in a.text


def test_killed_within_a_document(once):
    """What was cut off does not look whole."""
    with once.connect() as s:
        s.sendall(b"GET /cgi/kill/SIGKILL/after HTTP/1.1\r\nHost: a\r\n\r\n")
        data = read_all(s)
    assert data.startswith(b"HTTP/1.1 200 ") and not data.endswith(b"0\r\n\r\n")


def test_a_document_that_is_shorter_than_it_says(once):
    with once.connect() as s:
        s.sendall(b"GET /cgi/raw/" + b"Content-Type: a/b\nContent-Length: 100\n\nhalf".hex().encode() + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        data = read_all(s)
    head, _, body = data.partition(b"\r\n\r\n")
    assert b" 502 " in head.split(b"\r\n")[0] or (b"Content-Length: 100" in head and body == b"half"), "the connection ends before the answer does"


def hanging_pid(g, seen, handler):
    line = wait_for(lambda: [e for e in g.logs("output", handler=handler, stream="stderr") if "hanging" in e.get("line", "")][seen:], what="the process")[0]
    assert line["pid"] == int(line["line"].split()[1])
    return line["pid"]


def count_hanging(g, handler):
    return len([e for e in g.logs("output", handler=handler, stream="stderr") if "hanging" in e.get("line", "")])


@pytest.mark.parametrize("deaf", ["", "/deaf"])
def test_timeout(once, deaf):
    seen = count_hanging(once, "slow")
    began = time.monotonic()
    a = once.get("/slow/hang" + deaf)
    assert is_failure(a, 504, "handler-timeout") and 1.5 < time.monotonic() - began
    pid = hanging_pid(once, seen, "slow")
    wait_for(lambda: not alive(pid), what="the end of the process")


def test_timeout_within_a_document(once):
    seen = count_hanging(once, "slow")
    with once.connect() as s:
        s.sendall(b"GET /slow/hang/after HTTP/1.1\r\nHost: a\r\n\r\n")
        data = read_all(s)
    assert data.startswith(b"HTTP/1.1 200 ") and b"the beginning" in data and not data.endswith(b"0\r\n\r\n")
    pid = hanging_pid(once, seen, "slow")
    wait_for(lambda: not alive(pid), what="the end of the process")


@pytest.mark.parametrize("order", ["hang", "hang/after"])
def test_a_client_that_leaves_ends_the_process(once, order):
    seen = count_hanging(once, "cgi")
    with once.connect() as s:
        s.sendall(b"GET /cgi/" + order.encode() + b" HTTP/1.1\r\nHost: a\r\nX-Request-Id: left-" + str(seen).encode() + b"\r\n\r\n")
        pid = hanging_pid(once, seen, "cgi")
        if "after" in order:
            assert s.recv(12) == b"HTTP/1.1 200"
    wait_for(lambda: not alive(pid), 10, "the end of the process")
    entry = once.wait_log("request", request_id=f"left-{seen}")
    assert entry["status"] == (200 if "after" in order else 499)


@pytest.mark.parametrize("chunked", [False, True])
def test_ten_megabytes_on_stdin(once, chunked):
    data = hashlib.shake_128(b"stdin").digest(10 << 20)
    before = resident(once)
    parts = (data[i:i + 100_000] for i in range(0, len(data), 100_000))
    with contextlib.closing(once.client()) as c:
        c.request("POST", "/cgi/count", parts if chunked else data, {"Transfer-Encoding": "chunked"} if chunked else {}, encode_chunked=chunked)
        r = c.getresponse()
        body = r.read()
        assert r.status == 200, body
    assert json.loads(body) == {"size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "length": str(len(data))}
    assert resident(once) - before < ROOM, "the body waits in a file"


def test_stdin_that_nobody_reads(once):
    for _ in range(3):
        assert once.request("POST", "/cgi/unread", b"x" * (4 << 20)).text == "not interested"


def test_a_document_is_streamed(once):
    go = once.folder / "go"
    with once.connect() as s:
        f = s.makefile("rb")
        s.sendall(b"GET /cgi/ticks HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"Transfer-Encoding: chunked" in head_of(f)
        assert f.readline() == b"6\r\n" and f.readline() == b"early\n" and f.readline() == b"\r\n"
        go.touch()
        assert f.readline() == b"5\r\n" and f.readline() == b"late\n" and f.readline() == b"\r\n" and f.readline() == b"0\r\n"
    go.unlink()


def test_a_slow_reader_holds_the_process_back(once):
    before, blocks = resident(once), 640
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        s.connect(("127.0.0.1", once.port))
        s.settimeout(30)
        s.sendall(f"GET /cgi/big/{blocks} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        written = once.folder / "written"
        wait_for(written.exists, what="the first block")
        stalled = standstill(lambda: int(written.read_text()))
        assert stalled < blocks // 2, f"{stalled} of {blocks} blocks of 64 KiB were taken from a client that reads nothing"
        assert resident(once) - before < ROOM
        data = read_whole(s)
    written.unlink()
    assert data.partition(b"\r\n\r\n")[2].count(b"b") >= blocks * 65536 and data.endswith(b"\r\n0\r\n\r\n")
    assert resident(once) - before < ROOM


def test_plain_output_is_bounded(once):
    text = "blueprint: 1\nname: yes\nlimits: {maxAnswer: 64KiB}\nhandlers:\n  endless: {command: 'yes', mode: once, triggers: [{http: GET /}]}\n"
    folder = once.folder / "yes"
    folder.mkdir()
    with Gateway(folder, text) as g:
        assert is_failure(g.get("/"), 502, "handler-answer-too-large")
        wait_for(lambda: children(g.pid) == [], 10, "the end of a process that writes without end")


def test_stderr_is_logged_with_the_invocation(once):
    seen = once.get("/cgi/complain").json()
    for text in ("first complaint", "second complaint"):
        entry = wait_for(lambda: [e for e in once.logs("output", handler="cgi", stream="stderr", pid=seen["pid"]) if e["line"] == text], what=text)[0]
        assert entry["invocation"] == seen["id"], entry


def test_never_more_processes_than_max(once):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(contextlib.closing(once.client())) for _ in range(8)]
        for c in clients:
            c.request("GET", "/few/together")
        answers = [c.getresponse() for c in clients]
        most = [int(r.read()) for r in answers]
    assert [r.status for r in answers] == [200] * 8 and max(most) == 2, most


def test_a_process_that_cannot_be_started(once):
    (once.folder / "missing.sh").unlink()  # it was there when the blueprint was checked
    a = once.get("/missing")
    assert a.status == 503 and int(a["Retry-After"]) >= 1
    wait_for(lambda: any("No such file" in str(e) for e in once.logs(handler="missing")), what="the reason in the log")


def test_a_child_that_holds_stdout_open_is_not_waited_for(once):
    began = time.monotonic()
    a = once.get("/cgi/linger")
    assert a.status == 200 and a.text == "from the parent" and time.monotonic() - began < 8 * SLOW


# --- server ---
SERVER = f"""
blueprint: 1
name: modes
limits: {{maxBody: 128MiB}}
handlers:
  web:
    command: {HANDLERS}/stream_server.py
    mode: server
    processes: {{min: 1, max: 1}}
    triggers: [{{http: 'ANY /web/{{what+}}'}}]
  crowd:
    command: {HANDLERS}/stream_server.py
    mode: server
    processes: {{max: 1}}
    triggers: [{{http: 'ANY /crowd/{{what+}}'}}]
  quick:
    command: {HANDLERS}/stream_server.py
    mode: server
    timeout: 500ms
    processes: {{max: 1, stopTimeout: 300ms}}
    triggers: [{{http: 'ANY /quick/{{what+}}'}}]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Gateway(tmp_path_factory.mktemp("server"), SERVER) as g:
        assert g.get("/web/echo").status == 200
        yield g


@pytest.fixture
def go(server):
    """The file that some of the server's paths wait for."""
    path = server.folder / "go"
    yield path
    path.unlink(missing_ok=True)


def fields_named(seen, name):
    return [v for k, v in seen["headers"] if k.lower() == name.lower()]


def test_a_request_reaches_the_server_as_it_came(server):
    with server.connect() as s:
        s.sendall(b"PATCH /web/echo/a%2Fb/%7Ex//y/?q=%20+&q=2&%zz HTTP/1.1\r\nHost: Shop.Example:8080\r\nX-Twice: 1\r\nContent-Type: text/x\r\nx-twice: 2\r\n"
                  b"Cookie: a=1\r\nCookie: b=2\r\nEmpty:\r\nX-Semi: a; b\r\nUser-Agent: me/1\r\nX-Request-Id: rid-2\r\nContent-Length: 4\r\n"
                  b"Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 1\r\nTE: trailers\r\nUpgrade: h2c\r\nProxy-Authorization: x\r\n"
                  b"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-User: root\r\nForwarded: for=6.6.6.6\r\n"
                  b"X-Real-IP: 6.6.6.6\r\nExecgate-Client-Address: 6.6.6.6\r\nExecgate-Claims: forged\r\n\r\nbody")
        a = read_answer(s.makefile("rb"))
    seen = a.json()
    assert a.status == 200 and seen["method"] == "PATCH" and seen["version"] == "HTTP/1.1" and seen["body"] == "body"
    assert seen["path"] == "/web/echo/a%2Fb/%7Ex//y/?q=%20+&q=2&%zz", "path and query are the client's bytes"
    for name, values in {"Host": ["Shop.Example:8080"], "X-Twice": ["1", "2"], "Cookie": ["a=1", "b=2"], "Empty": [""], "X-Semi": ["a; b"], "User-Agent": ["me/1"],
                         "Content-Type": ["text/x"], "Content-Length": ["4"], "X-Request-Id": ["rid-2"], "X-Forwarded-For": ["127.0.0.1"], "X-Forwarded-Proto": ["http"],
                         "X-Forwarded-Host": ["Shop.Example:8080"], "Execgate-Client-Address": ["127.0.0.1"], "Execgate-Route": ["ANY /web/{what+}"]}.items():
        assert fields_named(seen, name) == values, name
    for name in ("X-Hop", "Keep-Alive", "TE", "Upgrade", "Proxy-Authorization", "X-Forwarded-User", "Forwarded", "X-Real-IP", "Execgate-Claims", "Expect", "Accept",
                 "Transfer-Encoding"):
        assert fields_named(seen, name) == [], name
    assert re.fullmatch(UUID, fields_named(seen, "Execgate-Invocation-Id")[0]) and len(fields_named(seen, "traceparent")) == 1


@pytest.mark.parametrize("method,length", [("GET", []), ("DELETE", []), ("OPTIONS", []), ("POST", ["0"]), ("PUT", ["0"])])
def test_requests_without_a_body(server, method, length):
    seen = server.request(method, "/web/echo").json()
    assert seen["method"] == method and seen["body"] == "" and fields_named(seen, "Content-Length") == length
    assert fields_named(seen, "Transfer-Encoding") == []


def test_an_answer_reaches_the_client_filtered(server):
    for status in (200, 201, 301, 401, 404, 500, 503):
        a = server.get(f"/web/fields/{status}")
        assert a.status == status and a.json() == "fields"
        assert a.all("Set-Cookie") == ["a=1", "b=2; Path=/"] and a["X-Mixed-CASE"] == "padded" and a["Server-Timing"] == "x"
        assert a["Server"].startswith("BaseHTTP") and len(a.all("Date")) == 1 and len(a.all("Content-Length")) == 1
        for name in ("X-Hop", "Keep-Alive", "Proxy-Authenticate", "Trailer", "TE", "Upgrade", "Execgate-Secret"):
            assert a[name] is None, name


def test_answers_without_a_body(server):
    with server.connect() as s:
        f = s.makefile("rb")
        for method, path, status, length in (("HEAD", "/web/status/200/1234", 200, "1234"), ("HEAD", "/web/fields", 200, "8"), ("GET", "/web/status/204", 204, None),
                                             ("GET", "/web/status/304/99", 304, None), ("HEAD", "/web/status/404/0", 404, "0"), ("GET", "/web/status/200/0", 200, "0"),
                                             ("GET", "/web/fields", 200, "8")):
            s.sendall(f"{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            a = read_answer(f, method)
            assert a.status == status, (method, path, a)
            if length:
                assert a["Content-Length"] == length, (method, path, a)
    line = server.wait_log("request", method="HEAD", path="/web/status/200/1234")
    assert line["level"] == "info" and line["bytes"] == 0 and "cut" not in line


def test_a_chunked_upload_is_passed_on_while_it_arrives(server):
    with server.connect() as s:
        s.sendall(b"POST /web/dictation HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for word in ("first", "second", "third"):
            s.sendall(b"%x\r\n%s\r\n" % (len(word), word.encode()))
            server.wait_output(f"heard {word}", handler="web")
        s.sendall(b"0\r\n\r\n")
        a = read_answer(s.makefile("rb"))
    assert a.status == 200 and a.json() == {"heard": ["first", "second", "third"], "coding": "chunked"}


def test_an_answer_is_passed_on_while_it_is_made(server, go):
    with server.connect() as s:
        f = s.makefile("rb")
        s.sendall(b"GET /web/early HTTP/1.1\r\nHost: a\r\n\r\n")
        head_of(f)
        assert f.readline() == b"5\r\n" and f.readline() == b"early\r\n"
        go.touch()
        assert f.readline() == b"4\r\n" and f.readline() == b"late\r\n" and f.readline() == b"0\r\n"


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_537, 1 << 20])
def test_bytes_are_kept_both_ways(server, size):
    data = hashlib.shake_128(b"both").digest(size)
    a = server.request("PUT", "/web/echo", data)
    assert a.status == 200 and a.json()["body"].encode("latin-1") == data


def test_interim_answers_stay_between_the_two(server):
    a = server.get("/web/raw/" + (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").hex())
    assert a.status == 200 and a.text == "ok" and a["Link"] is None


def test_an_http_1_0_answer_ends_with_its_connection(server):
    a = server.get("/web/raw/" + b"HTTP/1.0 200 OK\r\nX-A: 1\r\n\r\nuntil the end".hex())
    assert a.status == 200 and a.text == "until the end" and a["X-A"] == "1"


def test_trailers_end_at_the_gateway(server):
    a = server.get("/web/raw/" + b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Trailer: 1\r\n\r\n".hex())
    assert a.status == 200 and a.text == "ok" and a["X-Trailer"] is None


# what the server sends, statuses that the client may see
GARBAGE = [
    ("no HTTP", b"this is no HTTP\r\n\r\n"),
    ("nothing", b""),
    ("half a head", b"HTTP/1.1 200 OK\r\nContent-Le"),
    ("status out of range", b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"),
    ("switching protocols", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), ("binary", bytes(range(256))),
    ("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"), ("bad length", b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nab"),
    ("a control in a field", b"HTTP/1.1 200 OK\r\nX-A: a\x01b\r\nContent-Length: 0\r\n\r\n"),
    ("a blank in a name", b"HTTP/1.1 200 OK\r\nBad Name: 1\r\nContent-Length: 0\r\n\r\n"),
    ("NUL in a field", b"HTTP/1.1 200 OK\r\nX-A: a\0X-Injected: 1\r\nContent-Length: 0\r\n\r\n"), ("HTTP/0.9", b"<html>hello</html>"),
    ("only an interim answer", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ("NULs in the head", b"HTTP/1.1 200 OK\r\nX-A: y\r\n" + b"\0" * 8),
]


@pytest.mark.parametrize("output", [o[1] for o in GARBAGE], ids=[o[0] for o in GARBAGE])
def test_garbage_is_a_502(server, output):
    a = server.request("POST", "/web/raw/" + output.hex())
    assert a.status == 502 and a["Content-Type"] == "application/problem+json" and a["X-Injected"] is None, a
    assert server.get("/web/echo").status == 200


def test_a_servers_head_is_bounded(server):
    a = server.get("/web/huge-head/2000")
    assert is_failure(a, 502, "handler-answer-too-large") and a["X-Filler-1"] is None
    a = server.get("/web/huge-head/90")
    assert a.status == 200 and len(a["X-Filler-89"]) == 100


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"identity", b"chunked, chunked", b"xchunked"])
def test_codings_that_nobody_understands(server, coding):
    """Passed on as a body that ends with its connection, or refused; never with framing that the client could read otherwise."""
    a = server.get("/web/raw/" + (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + coding + b"\r\n\r\n2\r\nok\r\n0\r\n\r\n").hex())
    assert a.status in (200, 502) and a["Transfer-Encoding"] in (None, "chunked")


def test_bytes_behind_an_answer_are_no_second_answer(server):
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
    with server.connect() as s:
        f = s.makefile("rb")
        for _ in range(3):
            s.sendall(b"GET /web/raw/" + evil.hex().encode() + b"/keep HTTP/1.1\r\nHost: a\r\n\r\nGET /web/fields HTTP/1.1\r\nHost: a\r\n\r\n")
            assert read_answer(f).body == b"ok"
            assert read_answer(f).json() == "fields"


STRAYS = [("HEAD", b"200 OK\r\nContent-Length: 5\r\n\r\n"), ("HEAD", b"404 No\r\nContent-Length: 0\r\n\r\n"), ("GET", b"204 No Content\r\n\r\n"),
          ("GET", b"304 Not Modified\r\nContent-Length: 5\r\n\r\n"), ("GET", b"200 OK\r\nContent-Length: 2\r\n\r\nok"), ("GET", b"200 OK\r\nContent-Length: 0\r\n\r\n"),
          ("POST", b"200 OK\r\nContent-Length: 2\r\n\r\nok"), ("GET", b"200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")]


def test_stray_bytes_are_nobodys_answer(tmp_path):
    """What is sent after an answer waits in a kept connection: it is not for the request that comes next, nor is that one's answer for the one after it."""
    with Gateway(tmp_path, SERVER) as g:
        for i, (method, answer) in enumerate(STRAYS):
            a = g.request(method, f"/web/stray/{(b'HTTP/1.1 ' + answer).hex()}/go{i}")
            assert a.status == int(answer[:3]), (method, answer)
            (tmp_path / f"go{i}").touch()
            g.wait_output(f"strayed go{i}", handler="web")
            body = bytes(str(i), "ascii") * 100_000
            assert g.request("POST", f"/web/echo/{i}", body).json()["body"].encode() == body, (method, answer)
            requests = [Request(g, "GET", f"/web/echo/{i}/{n}") for n in range(4)]
            assert [r.answer().json()["path"] for r in requests] == [f"/web/echo/{i}/{n}" for n in range(4)], (method, answer)
        assert len(g.logs("handler sends more than its answers")) == 1 and not g.logs("proxied request failed")


CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
FLOODS = {"trailers": (CHUNK + b"0\r\n", b"X-Trailer: 1\r\n"), "interim answers": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
          "chunk extensions": (CHUNK + b"1;", b"x" * 10), "fields": (b"HTTP/1.1 200 OK\r\n", b"X-Field: 1\r\n")}


@pytest.mark.parametrize("flood", FLOODS)
def test_endless_framing(tmp_path, flood):
    """It takes no memory, the loop goes on with other requests, and it ends with the handler's timeout at the latest."""
    first, block = FLOODS[flood]
    with Gateway(tmp_path, SERVER) as g:
        wait_for(lambda: g.get("/quick/echo").status == 200, what="a handler with a short timeout that is up")
        before, began, others = resident(g), time.monotonic(), 0
        r = Request(g, "GET", f"/quick/flood/{first.hex()}/{block.hex()}")
        while r.is_alive():
            assert g.get("/nothing").status == 404
            others += 1
        assert time.monotonic() - began < 5 * SLOW and resident(g) - before < ROOM
        if flood == "chunk extensions":
            assert others >= 3, "the flood lasts 500 ms, and what libcurl reads at a time about 10"
        if isinstance(r.failure, http.client.IncompleteRead):
            assert r.failure.partial == b"a" and flood in ("trailers", "chunk extensions")
        else:
            assert r.answer().status == 502 if flood != "chunk extensions" else r.answer().status in (502, 504)
        assert wait_for(lambda: g.get("/quick/echo").status == 200, 20, "the next answer")


def test_a_server_that_dies_with_the_request(server):
    pid = server.get("/web/echo").json()["pid"]
    a = server.get("/web/exit")
    assert is_failure(a, 502, "handler-died")
    wait_for(lambda: not alive(pid))
    assert wait_for(lambda: server.get("/web/echo").status == 200, 20, "the recovery")
    assert any("exit status 7" in str(e) for e in server.logs(handler="web"))


@pytest.mark.parametrize("path", ["exit-midway", "cut", "cut-chunks"])
def test_an_answer_that_breaks_off_breaks_the_client_off(server, go, path):
    wait_for(lambda: server.get("/web/echo").status == 200, 20, "the server")
    with server.connect() as s:
        f = s.makefile("rb")
        s.sendall(f"GET /web/{path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        line = f.readline()
        go.touch()
        if b" 200 " in line:
            data = f.read()
            assert not data.endswith(b"0\r\n\r\n") and (path != "cut" or b"Content-Length: 1000" in data)
        else:  # what was known to be broken in time may as well be told
            assert b" 502 " in line and path != "exit-midway"
    assert wait_for(lambda: server.get("/web/echo").status == 200, 20, "the server")


def test_a_connection_is_used_again(server):
    ports = {server.get("/web/echo").json()["port"] for _ in range(10)}
    assert len(ports) == 1, "one after the other they need one connection"


def test_concurrency_is_64(server, go):
    pid = server.get("/crowd/echo").json()["pid"]
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(contextlib.closing(server.client())) for _ in range(70)]
        for c in clients:
            c.request("GET", "/crowd/hold")
        holding = server.folder / f"holding.{pid}"
        wait_for(lambda: holding.exists() and holding.read_text() == "64", 20, "64 requests in the server")
        go.touch()
        answers = [(c.getresponse(), c) for c in clients]
        seen = [json.loads(r.read()) for r, _ in answers]
    assert all(r.status == 200 for r, _ in answers) and max(s["most"] for s in seen) == 64 and {s["pid"] for s in seen} == {pid}


@pytest.mark.parametrize("begun", ["", "/begun"])
def test_a_client_that_leaves_is_told_to_the_server(server, begun):
    def told():
        return len([e for e in server.logs("output", handler="crowd") if "has ended" in e["line"]])
    before, waiting = told(), len([e for e in server.logs("output", handler="crowd") if "waiting for" in e["line"]])
    with server.connect() as s:
        s.sendall(b"GET /crowd/leave" + begun.encode() + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: len([e for e in server.logs("output", handler="crowd") if "waiting for" in e["line"]]) > waiting, 10, "the request at the server")
        if begun:
            assert s.recv(12) == b"HTTP/1.1 200"
    wait_for(lambda: told() > before, 10, "the end of the connection to the server")


def test_timeout_of_a_server(server):
    pid = wait_for(lambda: server.get("/quick/echo").json().get("pid"), what="a handler with a short timeout that is up")
    a = server.get("/quick/sleep/60")
    assert is_failure(a, 504, "handler-timeout")
    wait_for(lambda: not alive(pid), 10, "the end of the process")
    assert wait_for(lambda: server.get("/quick/echo").status == 200, 20, "the next process")


def test_a_slow_reader_holds_the_server_back(server):
    blocks, before = 1600, resident(server)
    written = server.folder / "written"
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        s.connect(("127.0.0.1", server.port))
        s.settimeout(30)
        s.sendall(f"GET /web/progress/{blocks} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        wait_for(written.exists, what="the first block")
        stalled = standstill(lambda: int(written.read_text()))
        assert stalled < blocks // 2, f"{stalled} of {blocks} blocks of 64 KiB were taken from a client that reads nothing"
        assert resident(server) - before < ROOM
        data = read_whole(s)
    written.unlink()
    assert len(data.partition(b"\r\n\r\n")[2]) == blocks * 65536


def test_a_slow_server_holds_the_client_back(server, go):
    total, before, sent = 100 << 20, resident(server), [0]
    with server.connect() as s:
        def upload():
            s.sendall(f"POST /web/patience HTTP/1.1\r\nHost: a\r\nContent-Length: {total}\r\n\r\n".encode())
            for _ in range(total >> 16):
                s.sendall(b"u" * 65536)
                sent[0] += 65536
        t = threading.Thread(target=upload)
        t.start()
        stalled = standstill(lambda: sent[0])
        assert stalled < total // 2, f"{stalled} bytes were taken for a server that reads nothing"
        assert resident(server) - before < ROOM
        go.touch()
        t.join(30)
        a = read_answer(s.makefile("rb"))
    assert a.status == 200 and a.json() == {"bytes": total}


def test_an_answer_before_the_upload_is_complete(server):
    for framing in ("Content-Length: 60000000\r\n\r\nonly the beginning", "Transfer-Encoding: chunked\r\n\r\n4\r\nonly\r\n"):
        with server.connect(timeout=5) as s:
            s.sendall(f"POST /web/refuse HTTP/1.1\r\nHost: a\r\n{framing}".encode())
            a = read_answer(s.makefile("rb"))
        assert a.status == 403 and a.json() == "refused", framing
    assert server.request("POST", "/web/refuse", b"x" * 1_000_000).status in (403, 502)
    assert server.get("/web/echo").status == 200


def test_a_server_that_never_listens(tmp_path):
    text = "blueprint: 1\nname: deaf\nhandlers:\n  deaf:\n    command: sleep 1000\n    mode: server\n    processes: {max: 1, startTimeout: 400ms, stopTimeout: 300ms}\n" \
           "    timeout: 2s\n    triggers: [{http: GET /}]\n"
    with Gateway(tmp_path, text) as g:
        a = g.get("/")
        assert a.status == 503 and int(a["Retry-After"]) >= 1
        assert any("startTimeout" in str(e) for e in g.logs())


def test_a_server_that_cannot_bind(tmp_path):
    """It exits at once: the client is told so soon, not after the timeout."""
    text = "blueprint: 1\nname: bind\nhandlers:\n  bind:\n    command: ./bind.sh\n    mode: server\n    triggers: [{http: GET /}]\n"
    with Gateway(tmp_path, text, files={"bind.sh": "#!/bin/sh\necho 'address in use' >&2\nexit 98\n"}) as g:
        began = time.monotonic()
        a = g.get("/")
        assert a.status == 503 and "exit status 98" in a.text and time.monotonic() - began < 5 * SLOW
        g.wait_output("address in use")


INHERITED = f"""
blueprint: 1
name: inherited
handlers:
  web:
    command: {HANDLERS}/stream_server.py
    mode: server
    socket: inherited
    processes: {{min: 1, max: 2}}
    triggers: [{{http: 'ANY /web/{{what+}}'}}]
  show:
    command: ./show.sh
    mode: server
    socket: inherited
    processes: {{min: 1, max: 1, startTimeout: 1m, stopTimeout: 200ms}}
    triggers: [{{http: GET /show}}]
"""


def test_an_inherited_socket(tmp_path):
    show = "#!/bin/sh\n{ echo \"$LISTEN_FDS $LISTEN_PID $$\"; ls -l /proc/$$/fd; } > said.tmp\nmv said.tmp said\nexec sleep 1000\n"
    with Gateway(tmp_path, INHERITED, files={"show.sh": show}) as g:
        for _ in range(3):
            assert g.get("/web/echo").json()["path"] == "/web/echo"
        a = g.request("POST", "/web/count", b"x" * 100_000)
        assert a.json() == {"bytes": 100_000}
        said = wait_for(lambda: (tmp_path / "said").exists() and (tmp_path / "said").read_text(), what="what the process was given")
        fds, pid, shell = said.split("\n")[0].split()
        assert fds == "1" and pid == shell
        assert re.search(r" 3 -> socket:", said) and not re.search(r" [4-9] -> (socket|/)", said)
        # while it has no process the kernel keeps what arrives
        pids = set(g.handler_pids())
        pid = g.get("/web/echo").json()["pid"]
        assert g.get("/web/exit").status == 502
        wait_for(lambda: not alive(pid))
        assert wait_for(lambda: g.get("/web/echo").status == 200, 20, "the recovery")
        assert pid in pids


@pytest.mark.parametrize("path", ["/web/count", "/upload/count"])
def test_a_client_that_leaves_its_upload_is_noticed(tmp_path, path):
    """Soon, though its last bytes and its end may arrive together; long before the timeout of the body."""
    text = SERVER + f"  upload: {{command: {HANDLERS}/once.py, mode: once, triggers: [{{http: 'POST /upload/{{what+}}'}}]}}\n"
    with Gateway(tmp_path, text) as g:
        assert g.request("POST", "/web/count", b"x").status == 200
        for _ in range(20):
            with g.connect() as s:
                s.sendall(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nnot all".encode())
        wait_for(lambda: len(g.logs("request", status=499)) == 20, 5, "20 requests in the access log")


def test_no_descriptor_or_zombie_is_left(tmp_path):
    """After aborted, failed and complete requests of both modes the gateway holds what it held before."""
    text = SERVER + ONCE[ONCE.index("  cgi:"):]
    for old, new in (("limits: {maxBody: 128MiB}", "limits: {idleTimeout: 500ms, bodyTimeout: 2s}"), ("processes: {max: 1}", "processes: {max: 1, idleTimeout: 300ms}"),
                     ("processes: {min: 1, max: 1}", "processes: {min: 0, max: 1, idleTimeout: 300ms}")):
        assert old in text
        text = text.replace(old, new)
    with Gateway(tmp_path, text, files={"missing.sh": "#!/bin/sh\n"}) as g:
        def descriptors():
            return len(os.listdir(f"/proc/{g.pid}/fd"))
        (tmp_path / "missing.sh").unlink()
        before = descriptors()
        for path in ("/web/echo", "/web/cut", "/cgi/env", "/cgi/kill/SIGKILL/after", "/cgi/linger", "/web/garbage", "/missing", "/cgi/unread", "/slow/hang", "/web/exit"):
            with contextlib.suppress(OSError, http.client.HTTPException):
                g.request("POST", path, b"x" * 100_000)
            with g.connect() as s:
                s.sendall(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nnot all".encode())
        wait_for(lambda: children(g.pid) == [], 20, "the end of every process, without a zombie")
        wait_for(lambda: descriptors() <= before + 1, 20, f"no more than {before} descriptors, now {descriptors()}")


def test_graceful_stop_finishes_both(tmp_path):
    with Gateway(tmp_path, SERVER + ONCE[ONCE.index("  cgi:"):], files={"missing.sh": "#!/bin/sh\n"}) as g:
        g.get("/web/echo")
        requests = [Request(g, "GET", "/web/early"), Request(g, "GET", "/cgi/ticks"), Request(g, "GET", "/web/hold")]

        def taken():
            g.process.send_signal(signal.SIGUSR1)
            pools = {e["handler"]: e["submitted"] for e in g.logs("pool status")}
            return list(tmp_path.glob("holding.*")) and pools.get("web", 0) >= 3 and pools.get("cgi", 0) >= 1
        wait_for(taken, what="all three in flight")
        g.process.send_signal(15)
        g.wait_log("stopping")
        (tmp_path / "go").touch()
        assert g.process.wait(20 * SLOW) == 0
        assert requests[0].answer().text == "earlylate" and requests[1].answer().text == "early\nlate\n" and requests[2].answer().json()["most"] == 1
