"""The admin listener: state, and handlers invoked by name as AWS clients do it."""
import base64
import contextlib
import http.client
import io
import json
import os
import signal
import socket
import struct
import subprocess
import threading
import zlib

import pytest
from execgate import Answer, Gateway, run_cli, wait_for
from puppet import Api, SCRIPT, blueprint, environment, id_of

INVOKE = "/2015-03-31/functions/puppet/invocations"
STREAM = "/2021-11-15/functions/puppet/response-streaming-invocations"
JSON = {"Content-Type": "application/json"}


@contextlib.contextmanager
def served(folder, more="", script=SCRIPT, **kw):
    with Gateway(folder, blueprint(more), files={"puppet.sh": script}, args=["--admin", "127.0.0.1:0"], **kw) as g:
        g.admin = int(g.ready["admin"].rsplit(":", 1)[1])
        yield g


def ask(g, method, path, body=None, headers=None):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", g.admin, timeout=60)) as c:
        c.request(method, path, body, headers or {})
        r = c.getresponse()
        return Answer(r.status, r.getheaders(), r.read())


class Ask(threading.Thread):
    """A request to the admin listener that runs beside the test."""

    def __init__(self, *words):
        super().__init__(daemon=True)
        self.words, self.result = words, None
        self.start()

    def run(self):
        self.result = ask(*self.words)

    def answer(self):
        self.join(60)
        assert self.result is not None, "the request hangs"
        return self.result


def messages_of(stream):
    """Takes an event stream apart by its format; every checksum has to be right."""
    found = []
    while stream:
        total, headers_size, crc = struct.unpack(">III", stream[:12])
        assert crc == zlib.crc32(stream[:8]) and struct.unpack(">I", stream[total - 4:total])[0] == zlib.crc32(stream[:total - 4])
        head, payload = stream[12:12 + headers_size], stream[12 + headers_size:total - 4]
        headers = {}
        while head:
            n = head[0]
            name, kind, size = head[1:1 + n].decode(), head[1 + n], struct.unpack(">H", head[2 + n:4 + n])[0]
            assert kind == 7
            headers[name] = head[4 + n:4 + n + size].decode()
            head = head[4 + n + size:]
        assert headers[":message-type"] == "event"
        found.append((headers[":event-type"], headers[":content-type"], payload))
        stream = stream[total:]
    return found


def test_bytes_pass_untouched(tmp_path):
    with served(tmp_path) as g:
        payload = b'{"n": 1.0, "t": "\\u00e9"}  '
        r = Ask(g, "POST", INVOKE, payload, JSON)
        api = Api(environment(tmp_path))
        event = api.next()
        assert event.body == payload
        api.respond(id_of(event), b' [1,  2]')
        answer = r.answer()
        assert answer.status == 200 and answer.body == b' [1,  2]'
        assert answer["X-Amz-Executed-Version"] == "$LATEST" and answer["x-amzn-RequestId"] == id_of(event)
        assert answer["X-Amz-Function-Error"] is None and answer["X-Amz-Log-Result"] is None


def test_nothing_is_the_empty_object(tmp_path):
    with served(tmp_path) as g:
        r = Ask(g, "POST", INVOKE)
        api = Api(environment(tmp_path))
        event = api.next()
        assert event.body == b"{}"
        api.respond(id_of(event), b"null")
        assert r.answer().body == b"null"


@pytest.mark.parametrize("name", ["puppet", "puppet:$LATEST", "123456789012:function:puppet", "arn:aws:lambda:eu-west-1:123456789012:function:puppet",
                                  "arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Apuppet%3A%24LATEST"])
def test_names(tmp_path, name):
    with served(tmp_path) as g:
        assert ask(g, "POST", f"/2015-03-31/functions/{name}/invocations", b"{}", {"X-Amz-Invocation-Type": "DryRun"}).status == 204


@pytest.mark.parametrize("path,status,kind", [
    ("/2015-03-31/functions/nobody/invocations", 404, "ResourceNotFoundException"),
    ("/2015-03-31/functions/puppet:7/invocations", 404, "ResourceNotFoundException"),
    ("/2015-03-31/functions/puppet/invocations?Qualifier=prod", 404, "ResourceNotFoundException"),
    ("/2015-03-31/functions/a:b:c/invocations", 400, "InvalidParameterValueException"),
])
def test_who_is_not_there(tmp_path, path, status, kind):
    with served(tmp_path) as g:
        answer = ask(g, "POST", path, b"{}")
        assert answer.status == status and answer["x-amzn-ErrorType"] == kind
        assert answer.json()["Type"] == "User" and answer.json()["Message"]


@pytest.mark.parametrize("body,headers,kind", [
    (b"{", JSON, "InvalidRequestContentException"),
    (b"{}", {"X-Amz-Client-Context": "no base64"}, "InvalidRequestContentException"),
    (b"{}", {"X-Amz-Client-Context": base64.b64encode(b"[1]").decode()}, "InvalidRequestContentException"),
    (b"{}", {"X-Amz-Client-Context": base64.b64encode(b'{"a":"' + b"x" * 3600 + b'"}').decode()}, "InvalidRequestContentException"),
    (b"{}", {"X-Amz-Invocation-Type": "Later"}, "InvalidParameterValueException"),
])
def test_bad_calls(tmp_path, body, headers, kind):
    with served(tmp_path) as g:
        answer = ask(g, "POST", INVOKE, body, headers)
        assert answer.status == 400 and answer["x-amzn-ErrorType"] == kind, answer


def test_client_context_reaches_the_handler(tmp_path):
    with served(tmp_path) as g:
        context = {"client": {"app_title": "shop"}, "custom": {"a": "é"}}
        r = Ask(g, "POST", INVOKE, b"{}", {"X-Amz-Client-Context": base64.b64encode(json.dumps(context).encode()).decode()})
        api = Api(environment(tmp_path))
        event = api.next()
        assert json.loads(event["Lambda-Runtime-Client-Context"]) == context
        api.respond(id_of(event), b"1")
        assert r.answer().status == 200


def test_an_error_is_told_in_the_handler_s_words(tmp_path):
    with served(tmp_path) as g:
        r = Ask(g, "POST", INVOKE, b"{}")
        api = Api(environment(tmp_path))
        said = {"errorType": "OutOfStock", "errorMessage": "no shoes", "stackTrace": ["a", "b"], "cause": {"n": 1}}
        api.error(id_of(api.next()), said, {"Lambda-Runtime-Function-Error-Type": "OutOfStock"})
        answer = r.answer()
        assert answer.status == 200 and answer["X-Amz-Function-Error"] == "Unhandled"
        assert answer.json() == said


def test_a_handler_that_takes_too_long(tmp_path):
    with served(tmp_path, more="    timeout: 300ms\n") as g:
        r = Ask(g, "POST", INVOKE, b"{}")
        Api(environment(tmp_path)).next()
        answer = r.answer()
        assert answer.status == 200 and answer["X-Amz-Function-Error"] == "Unhandled"
        assert answer.json()["errorType"] == "Sandbox.Timedout" and answer["x-amzn-RequestId"] in answer.json()["errorMessage"]


def test_a_handler_that_dies(tmp_path):
    dies = "#!/bin/sh\nenv > env.tmp && mv env.tmp env.$$\nwhile [ ! -e die ]; do sleep 0.05; done\nexit 3\n"
    with served(tmp_path, script=dies) as g:
        r = Ask(g, "POST", INVOKE, b"{}")
        Api(environment(tmp_path)).next()
        (tmp_path / "die").touch()
        answer = r.answer()
        assert answer.status == 200 and answer["X-Amz-Function-Error"] == "Unhandled"
        assert answer.json()["errorType"] == "Runtime.ExitError" and "exited with status 3" in answer.json()["errorMessage"]


def test_log_tail(tmp_path):
    talks = "#!/bin/sh\nenv > env.tmp && mv env.tmp env.$$\nwhile [ ! -e talk ]; do sleep 0.05; done\necho said so >&2\ntouch talked\nexec sleep 1000\n"
    with served(tmp_path, script=talks) as g:
        r = Ask(g, "POST", INVOKE, b"{}", {"X-Amz-Log-Type": "Tail"})
        api = Api(environment(tmp_path))
        event = api.next()
        (tmp_path / "talk").touch()
        g.wait_output("said so")
        api.respond(id_of(event), b"1")
        log = base64.b64decode(r.answer()["X-Amz-Log-Result"]).decode()
        lines = log.splitlines()
        assert lines[0] == f"START RequestId: {id_of(event)} Version: $LATEST"
        assert "said so" in lines and lines[-1].startswith(f"REPORT RequestId: {id_of(event)}\tDuration: ")


def test_an_event_is_not_waited_for(tmp_path):
    with served(tmp_path) as g:
        answer = ask(g, "POST", INVOKE, b'{"later":true}', {"X-Amz-Invocation-Type": "Event"})
        assert answer.status == 202 and answer.body == b""
        api = Api(environment(tmp_path))
        event = api.next()
        assert event.json() == {"later": True} and answer["x-amzn-RequestId"] == id_of(event)
        assert api.respond(id_of(event), b"1").status == 202
        g.wait_log("request", path="/invoke", status=200)


def test_a_full_pool_is_busy(tmp_path):
    with served(tmp_path, more="    queueLimit: 1\n") as g:
        waiting = [Ask(g, "POST", INVOKE, b"{}")]
        api = Api(environment(tmp_path))
        first = api.next()
        waiting.append(Ask(g, "POST", INVOKE, b"{}"))
        wait_for(lambda: ask(g, "GET", "/status").json()["handlers"][0]["queued"] == 1, what="the second in the queue")
        answer = ask(g, "POST", INVOKE, b"{}", {"X-Amz-Invocation-Type": "RequestResponse"})
        assert answer.status == 429 and answer["x-amzn-ErrorType"] == "TooManyRequestsException" and answer["Retry-After"]
        answer = ask(g, "POST", INVOKE, b"[]", {"X-Amz-Invocation-Type": "Event"})  # waits on disk
        assert answer.status == 202
        for n in (1, 2, 3):
            event = first if n == 1 else api.next()
            api.respond(id_of(event), str(n).encode())
        assert {w.answer().body for w in waiting} == {b"1", b"2"}
        assert event.json() == []


def test_a_stream(tmp_path):
    with served(tmp_path) as g:
        with contextlib.closing(socket.create_connection(("127.0.0.1", g.admin), 60)) as s:
            s.sendall(f"POST {STREAM} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nX-Amz-Log-Type: Tail\r\n\r\n{{}}".encode())
            api = Api(environment(tmp_path))
            event = api.next()
            api.send("POST", f"/2018-06-01/runtime/invocation/{id_of(event)}/response", b"5\r\nfirst\r\n",
                     {"Transfer-Encoding": "chunked", "Lambda-Runtime-Function-Response-Mode": "streaming", "Content-Type": "text/plain"})
            seen = b""
            while b"first" not in seen:  # before the handler has said the rest
                seen += s.recv(65536)
            api.socket.sendall(b"6\r\nsecond\r\n0\r\n\r\n")
            assert api.read().status == 202
            file = s.makefile("rb")
            response = http.client.HTTPResponse(_Replay(seen, file))
            response.begin()
            body = response.read()
        assert response.status == 200 and response.getheader("Content-Type") == "application/vnd.amazon.eventstream"
        *chunks, (kind, content, end) = messages_of(body)
        assert b"".join(p for _, _, p in chunks) == b"firstsecond" and {k for k, _, _ in chunks} == {"PayloadChunk"}
        assert (kind, content) == ("InvokeComplete", "application/json")
        assert "ErrorCode" not in json.loads(end) and b"START" in base64.b64decode(json.loads(end)["LogResult"])


class _Replay:
    """What http.client reads a response from: bytes that were read already, then the rest."""

    def __init__(self, seen, file):
        self.seen, self.file = seen, file

    def makefile(self, *_):
        outer = self

        class Raw(io.RawIOBase):
            def readable(self):
                return True

            def readinto(self, room):
                piece = outer.seen[:len(room)] or outer.file.read1(len(room))
                outer.seen = outer.seen[len(piece):] if outer.seen else b""
                room[:len(piece)] = piece
                return len(piece)
        return io.BufferedReader(Raw())


def test_a_stream_that_breaks_off(tmp_path):
    with served(tmp_path) as g:
        r = Ask(g, "POST", STREAM, b"{}")
        api = Api(environment(tmp_path))
        event = api.next()
        api.send("POST", f"/2018-06-01/runtime/invocation/{id_of(event)}/response", b"5\r\nfirst\r\n",
                 {"Transfer-Encoding": "chunked", "Lambda-Runtime-Function-Response-Mode": "streaming"})
        api.close()
        *chunks, (kind, _, end) = messages_of(r.answer().body)
        assert kind == "InvokeComplete" and json.loads(end)["ErrorCode"] == "Runtime.StreamError" and json.loads(end)["ErrorDetails"]


def test_a_function_error_in_place_of_a_stream(tmp_path):
    with served(tmp_path) as g:
        r = Ask(g, "POST", STREAM, b"{}")
        api = Api(environment(tmp_path))
        api.error(id_of(api.next()), {"errorType": "Bad", "errorMessage": "luck"}, {"Lambda-Runtime-Function-Error-Type": "Bad"})
        (kind, _, end), = messages_of(r.answer().body)
        assert kind == "InvokeComplete" and json.loads(end) == {"ErrorCode": "Bad", "ErrorDetails": "luck"}


def test_who_leaves_is_not_waited_for(tmp_path):
    with served(tmp_path) as g:
        with contextlib.closing(socket.create_connection(("127.0.0.1", g.admin), 60)) as s:
            s.sendall(f"POST {INVOKE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{{}}".encode())
            api = Api(environment(tmp_path))
            event = api.next()
        api.respond(id_of(event), b"1")
        assert ask(g, "GET", "/health").json() == {"status": "serving"}


def test_status(tmp_path):
    with served(tmp_path) as g:
        handler = wait_for(lambda: [h for h in ask(g, "GET", "/status").json()["handlers"] if h["workers"]], what="a process")[0]
        assert handler["handler"] == "puppet" and handler["workers"][0]["pid"] in g.handler_pids()
        assert handler["counters"]["spawned"] == 1


@pytest.mark.parametrize("method,path,status", [("GET", "/", 404), ("POST", "/health", 405), ("GET", INVOKE, 405), ("GET", "/2015-03-31/functions/puppet", 404),
                                                ("GET", "/p", 404), ("GET", "/health/", 404)])
def test_other_paths(tmp_path, method, path, status):
    with served(tmp_path) as g:
        answer = ask(g, method, path)
        assert answer.status == status and answer.json()["status"] == status
        assert status != 405 or answer["Allow"] in ("GET", "POST")
        assert answer["Content-Type"] == "application/problem+json" and "requestId" not in answer.json()


@pytest.mark.parametrize("headers", [{"Origin": "https://shop.example"}, {"Host": "shop.example"}, {"Host": "localhost.shop.example"}, {"Host": "127.0.0.1.shop.example:80"}])
def test_web_pages_are_kept_out(tmp_path, headers):
    with served(tmp_path) as g:
        assert ask(g, "POST", INVOKE, b"{}", headers).status == 403
        assert g.logs("request") == []


def test_the_host_of_the_target_counts(tmp_path):
    with served(tmp_path) as g:
        assert ask(g, "GET", "http://shop.example/health", None, {"Host": "localhost"}).status == 403
        assert ask(g, "GET", "http://localhost/health", None, {"Host": "localhost"}).status == 200


def test_bodies_are_bounded(tmp_path):
    with served(tmp_path, more="limits: {maxBody: 2MiB}\n") as g:
        assert ask(g, "POST", INVOKE, b"x" * (2 * 1024 * 1024 + 1), {}).status == 413
        answer = ask(g, "POST", INVOKE, b"x" * (1024 * 1024 + 1), {"X-Amz-Invocation-Type": "Event"})
        assert answer.status == 413 and answer["x-amzn-ErrorType"] == "RequestTooLargeException"


def test_a_unix_socket_and_the_blueprint_s_key(tmp_path):
    more = "admin: unix:admin.sock\n"
    with Gateway(tmp_path, blueprint(more), files={"puppet.sh": SCRIPT}) as g:
        assert g.ready["admin"] == f"unix:{tmp_path}/admin.sock"
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as s:
            s.connect(str(tmp_path / "admin.sock"))
            s.sendall(b"GET /health HTTP/1.0\r\nHost: anything\r\n\r\n")
            assert b"serving" in s.makefile("rb").read()


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "10.1.2.3:80", ":9090"])
def test_no_other_machine_may_reach_it(tmp_path, address):
    (tmp_path / "puppet.sh").write_text(SCRIPT)
    (tmp_path / "puppet.sh").chmod(0o755)
    file = tmp_path / "b.yaml"
    file.write_text(blueprint(f'admin: "{address}"\n'))
    checked = run_cli("check", file)
    assert checked.returncode == 1 and "admin: " in checked.stderr + checked.stdout and "passes all guards" in checked.stderr + checked.stdout
    file.write_text(blueprint())
    started = run_cli("run", file, "--listen", "127.0.0.1:0", "--admin", address)
    assert started.returncode == 2 and "passes all guards" in started.stderr


def test_off_unless_asked(tmp_path):
    with Gateway(tmp_path, blueprint(), files={"puppet.sh": SCRIPT}) as g:
        assert "admin" not in g.ready and len(g.addresses) == 1
        assert g.get("/status").status == 404


def test_it_follows_reloads(tmp_path):
    with served(tmp_path) as g:
        assert ask(g, "POST", "/2015-03-31/functions/other/invocations", b"{}", {"X-Amz-Invocation-Type": "DryRun"}).status == 404
        g.file.write_text(g.file.read_text().replace("  puppet:\n", "  other:\n").replace("min: 1", "min: 0"))
        g.process.send_signal(signal.SIGHUP)
        wait_for(lambda: ask(g, "POST", "/2015-03-31/functions/other/invocations", b"{}", {"X-Amz-Invocation-Type": "DryRun"}).status == 204, what="the reload")
        assert ask(g, "POST", INVOKE, b"{}").status == 404


def test_an_answer_may_take_longer_than_what_it_began_in(tmp_path):
    with served(tmp_path) as g:
        r = Ask(g, "POST", INVOKE, b"{}")
        api = Api(environment(tmp_path))
        event = api.next()
        api.send("POST", f"/2018-06-01/runtime/invocation/{id_of(event)}/response", b"5\r\nfirst\r\n",
                 {"Transfer-Encoding": "chunked", "Lambda-Runtime-Function-Response-Mode": "streaming"})
        wait_for(lambda: ask(g, "GET", "/status").json()["handlers"][0]["workers"][0]["served"] == 1, what="the beginning of the answer")
        for n in (1, 2):  # the second frees what the first has retired
            g.process.send_signal(signal.SIGHUP)
            wait_for(lambda n=n: len(g.logs("reloaded")) == n, what="the reload")
        assert ask(g, "GET", "/health").status == 200
        api.socket.sendall(b"6\r\nsecond\r\n0\r\n\r\n")
        assert r.answer().body == b"firstsecond"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of another user")
def test_no_other_user_may_reach_it(tmp_path):
    code = "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 30); s.sendall(b'GET /health HTTP/1.0\\r\\n\\r\\n'); print(s.recv(100))"
    with served(tmp_path) as g:
        words = ["/usr/bin/python3", "-c", code, str(g.admin)]
        other = subprocess.run(words, user=65534, capture_output=True, text=True, timeout=60)
        assert "HTTP" not in other.stdout, other
        g.wait_log("refused a connection to the admin listener")
        assert "HTTP" in subprocess.run(words, capture_output=True, text=True, timeout=60).stdout
