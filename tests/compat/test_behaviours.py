"""What an official client's user relies on, seen from both ends: the HTTP client's and the log's."""
import contextlib
import http.client
import json
import sys
import uuid

import pytest
from conftest import HERE, serve
from execgate import read_answer, wait_for
from lossy import LOST

TEXT = {"Content-Type": "text/plain"}


def only(condition):
    """Keeps a test to the clients for which it means something."""
    def mark(test):
        test.only = condition
        return test
    return mark


@pytest.fixture(scope="session")
def gateways(tmp_path_factory):
    """gateways(client, kind) -> one gateway for all tests of a client; it is stopped when the next client's is asked for."""
    running = {}
    with contextlib.ExitStack() as current:
        def get(client, kind="whole"):
            if any(name != client.name for name, _ in running):
                current.close()
                running.clear()
            if (client.name, kind) not in running:
                running[client.name, kind] = current.enter_context(serve(tmp_path_factory.mktemp("gateway"), client, kind, hasty=True))
            return running[client.name, kind]
        yield get


def echo(g):
    """The handler answers, and what it answers is ours; after crashes in a row its next process may have to wait."""
    nonce = str(uuid.uuid4())

    def answered():
        answer = g.request("POST", "/app/echo", nonce, TEXT)
        assert answer.status == 503 or (answer.status, answer.text) == (200, nonce), answer
        return answer.status == 200
    wait_for(answered, 30, "an answer of the handler")


def test_echo(client, gateways, kind):
    g = gateways(client, kind)
    nonce = str(uuid.uuid4())
    text = "grüße, \"quoted\" \\ and\nlines 😀 " + nonce
    answer = g.request("POST", "/app/echo", text.encode(), {**TEXT, "X-Note": nonce})
    assert (answer.status, answer.text, answer["Content-Type"]) == (200, text, "text/plain")
    entry = g.wait_output(nonce)
    # Output that is read after the answer belongs to no invocation any more.
    assert entry["handler"] == "app" and entry.get("invocation") in (answer["X-Request-Id"], None)


def test_http_api(client, gateways, kind):
    body = json.dumps({"item": "teapot"})
    headers = {"Content-Type": "application/json", "Cookie": "a=1; b=two", "X-Color": "blue"}
    answer = gateways(client, kind).request("POST", "/app/api?q=1&e=a%20b", body, headers)
    assert answer.status == 201 and answer["Content-Type"] == "application/json" and answer["X-Answer"] == "made by a handler"
    assert answer.all("Set-Cookie") == ["first=1; Path=/", "second=2"]
    seen = answer.json()
    assert seen.pop("parameters", {"what": "api"}) == {"what": "api"}
    assert seen == {"method": "POST", "path": "/app/api", "query": seen["query"], "cookies": ["a=1", "b=two"], "color": "blue", "body": body}
    assert seen["query"].replace("+", "%20") == "q=1&e=a%20b"


def test_binary_body(client, gateways, kind):
    data = bytes(range(256)) * 40 + b"end"
    answer = gateways(client, kind).request("POST", "/app/binary", data, {"Content-Type": "application/octet-stream"})
    assert answer.status == 200 and answer["Content-Type"] == "application/octet-stream"
    assert answer.body in (data, data[::-1]), "neither what was sent nor its reverse"


@only(lambda client: client.error or client.error_status != 502)
def test_returned_error(client, gateways):
    g = gateways(client)
    answer = g.request("POST", "/app/error", "x", TEXT)
    assert answer.status == client.error_status
    if client.error_status != 502:
        assert answer.text == "refused by the handler"
        return
    kind, message = client.error
    problem = answer.json()
    assert problem["type"].endswith("handler-error") and kind in problem["detail"] and message not in answer.text
    entry = g.wait_log("handler reported an error", invocation=answer["X-Request-Id"])
    assert entry["error_type"] == kind and message in entry["error"]
    pid = entry["pid"]
    echo(g)
    assert not g.logs("handler exited", pid=pid), "an error that was returned ended the process"


def test_panic(client, gateways):
    g = gateways(client)
    started = len(g.logs("handler started", handler="app"))
    nonce = str(uuid.uuid4())
    headers = {**TEXT, "X-Note": nonce}
    if client.panic_status:
        assert g.request("POST", "/app/panic", "x", headers).status == client.panic_status
    else:  # while it panics the client ends an answer that it has begun, or does not get that far
        with contextlib.suppress(http.client.IncompleteRead):
            answer = g.request("POST", "/app/panic", "x", headers)
            assert answer.status == 502 or (answer.status, answer.body) == (200, b"")
    g.wait_output(nonce)
    wait_for(lambda: any("broken in the handler" in str(e) for e in g.lines), what="the panic in the log")
    echo(g)
    if not client.survives_panic:
        wait_for(lambda: len(g.logs("handler started", handler="app")) > started, what="a new process")


def test_exit(client, gateways):
    g = gateways(client)
    answer = g.request("POST", "/app/exit", "x", TEXT)
    assert answer.status == 502 and f":{client.died}" in answer.json()["type"]
    assert "last words" in g.wait_log("handler exited", exit="exit status 7")["stderr"]
    echo(g)


def answers_in_time(g):
    """A process takes longer to start than the deadline is when the machine is busy."""
    answer = g.request("POST", "/hasty/echo", "now", TEXT)
    assert answer.status in (503, 504) or answer.text == "now", answer
    return answer.status == 200


def test_timeout(client, gateways, kind):
    g = gateways(client, kind)
    wait_for(lambda: answers_in_time(g), what="a first process")
    answer = g.request("POST", "/hasty/timeout", "x", TEXT)
    assert answer.status == 504
    said = g.wait_output("left: ", handler="hasty", invocation=answer["X-Request-Id"])
    assert 0 < int(said["line"].split("left: ")[1].split()[0]) <= 1100, "the client's idea of the deadline"
    assert g.wait_log("handler stopped", pid=said["pid"])["why"] == "an invocation did not end within its timeout"
    wait_for(lambda: answers_in_time(g), what="a process after the one that was late")


@only(lambda client: client.streaming and client.streams)
def test_stream_arrives_while_it_is_made(client, gateways, tmp_path):
    g, gate = gateways(client, "streamed"), tmp_path / "gate"
    with g.connect(timeout=30) as s, s.makefile("rb") as f:
        s.sendall(f"GET /app/stream?gate={gate} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        head = [line.rstrip().decode().lower() for line in iter(f.readline, b"\r\n")]
        assert head[0].startswith("http/1.1 202") and "content-type: text/plain" in head and "set-cookie: first=1" in head
        assert f.readline() == b"6\r\n" and f.readline() == b"early\n", "the first part came before the handler was let go on"
        gate.touch()
        assert f.read(14) == b"\r\n5\r\nlate\n\r\n0\r"


@only(lambda client: client.concurrency > 1 and client.streaming and client.streams)
def test_one_process_holds_eight_at_once(client, tmp_path):
    gate = tmp_path / "gate"
    with serve(tmp_path, client, "streamed", concurrency=8) as g, contextlib.ExitStack() as opened:
        streams = [opened.enter_context(opened.enter_context(g.connect(timeout=30)).makefile("rwb")) for _ in range(8)]
        for f in streams:
            f.write(f"GET /app/stream?gate={gate} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            f.flush()
        for f in streams:
            while (line := f.readline()) != b"early\n":
                assert line, "an answer ended before it was let go on"
        gate.touch()
        assert [f.read(14) for f in streams] == [b"\r\n5\r\nlate\n\r\n0\r"] * 8
        assert len(g.logs("handler started")) == 1


@only(lambda client: client.streaming and client.breaks)
def test_stream_that_breaks_off(client, gateways, tmp_path):
    g, gate = gateways(client, "streamed"), tmp_path / "gate"
    gate.touch()
    with pytest.raises(http.client.IncompleteRead) as told:
        g.request("POST", f"/app/break?gate={gate}", "x", TEXT)
    assert told.value.partial.startswith(b"early\n")
    g.wait_log("handler broke its answer off")
    echo(g)


@only(lambda client: client.sigterm)
def test_sigterm_is_seen(client, tmp_path):
    with serve(tmp_path, client) as g:
        echo(g)
        g.stop(seconds=30)
        g.reader.join(30)
        assert [e for e in g.logs("output") if "SIGTERM seen" in e["line"]]


def test_lost_connection(client, tmp_path):
    """The event was on its way when its connection broke: either it comes again, or the process gives up and the next one serves."""
    lossy = [sys.executable, HERE / "lossy.py"]
    with serve(tmp_path, client, before=lossy) as g:
        echo(g)
        lost = LOST.decode() + str(uuid.uuid4())
        answer = g.request("POST", "/app/echo", lost, TEXT)
        assert (answer.status, answer.text) == (200, lost) or answer.status == 502, answer
        echo(g)
        echo(g)


def test_large_answer(client, gateways):
    """6 MiB with its frame are the limit; a client that is refused must go on."""
    g = gateways(client)
    text = "x" * (5 * 1024 * 1024)
    answer = g.request("POST", "/app/echo", text, TEXT)
    assert (answer.status, answer.text) == (200, text)
    echo(g)


def test_answers_keep_their_connection(client, gateways):
    g = gateways(client)
    with g.connect(timeout=30) as s, s.makefile("rb") as f:
        for i in range(20):
            body = f"{client.name} {i}".encode()
            s.sendall(b"POST /app/echo HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            assert read_answer(f).body == body
