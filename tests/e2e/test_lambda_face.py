"""The Lambda face, call by call, as the official clients use it."""
import base64
import http.client
import json
import os
import re
import signal
import socket
import time

import pytest
from execgate import wait_for
from puppet import Api, Request, environment, id_of, puppet

OK = {"statusCode": 200, "body": "done"}


def test_next_carries_what_clients_need(tmp_path):
    with puppet(tmp_path) as (g, env):
        api = Api(env)
        r = Request(g, "GET", "/p")
        event = api.next()
        assert event.status == 200 and event["Content-Type"] == "application/json"
        assert int(event["Content-Length"]) == len(event.body)
        assert re.fullmatch(r"[0-9a-f-]{36}", id_of(event)) and event["Lambda-Runtime-Invocation-Id"]
        assert 0 < int(event["Lambda-Runtime-Deadline-Ms"]) - time.time() * 1000 < 31_000
        assert event["Lambda-Runtime-Invoked-Function-Arn"].endswith(":function:puppet")
        assert event["Lambda-Runtime-Invoked-Function-Arn"].startswith("arn:aws:lambda:")
        assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=[01]", event["Lambda-Runtime-Trace-Id"])
        assert event["Lambda-Runtime-Client-Context"] is None and event["Lambda-Runtime-Cognito-Identity"] is None
        accepted = api.respond(id_of(event), OK)
        assert accepted.status == 202 and accepted.json() == {"status": "OK"}
        assert r.answer().status == 200 and r.answer().text == "done"


def test_payload_2_0(tmp_path):
    with puppet(tmp_path) as (g, env):
        api = Api(env)
        r = Request(g, "POST", "/p/a%2Fb/x/y%20z?q=1&q=2&e=%C3%A9&flag", b'{"a":1}',
                    {"Content-Type": "application/json", "Cookie": "a=1; b=2", "X-Many": "one", "User-Agent": "me", "X-Request-Id": "rid"})
        e = api.next().json()
        assert e["version"] == "2.0" and e["routeKey"] == "ANY /p/{id}/{rest+}"
        assert e["rawPath"] == "/p/a%2Fb/x/y%20z" and e["rawQueryString"] == "q=1&q=2&e=%C3%A9&flag"
        assert e["queryStringParameters"] == {"q": "1,2", "e": "é", "flag": ""}
        assert e["pathParameters"] == {"id": "a/b", "rest": "x/y z"}
        assert e["cookies"] == ["a=1", "b=2"] and "cookie" not in e["headers"]
        assert e["headers"]["x-many"] == "one" and e["headers"]["content-type"] == "application/json"
        http = e["requestContext"]["http"]
        assert http["method"] == "POST" and http["path"] == e["rawPath"] and http["protocol"] == "HTTP/1.1"
        assert http["sourceIp"] == "127.0.0.1" and http["userAgent"] == "me"
        context = e["requestContext"]
        assert context["stage"] == "$default" and context["requestId"] == "rid" and context["routeKey"] == e["routeKey"]
        assert re.fullmatch(r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000", context["time"])
        assert abs(context["timeEpoch"] - time.time() * 1000) < 30_000
        assert e["body"] == '{"a":1}' and e["isBase64Encoded"] is False
        assert "null" not in json.dumps(e) and "authorizer" not in context
        assert api.respond(last_id(api), OK).status == 202
        assert r.answer().status == 200


def last_id(api):
    """The id of the event in hand: asking again while it runs gives the same event."""
    return id_of(api.next())


def test_absent_members_are_absent(tmp_path):
    with puppet(tmp_path) as (g, env):
        api = Api(env)
        r = Request(g)
        event = api.next()
        e = event.json()
        for name in ("cookies", "queryStringParameters", "pathParameters", "stageVariables", "body"):
            assert name not in e, name
        assert e["rawQueryString"] == "" and e["isBase64Encoded"] is False
        api.respond(id_of(event), OK)
        assert r.answer().status == 200


def test_binary_bodies_travel_as_base64(tmp_path):
    data = bytes(range(256))
    with puppet(tmp_path) as (g, env):
        api = Api(env)
        r = Request(g, "POST", "/p", data, {"Content-Type": "application/octet-stream"})
        event = api.next()
        assert event.json()["isBase64Encoded"] is True and base64.b64decode(event.json()["body"]) == data
        api.respond(id_of(event), {"statusCode": 200, "isBase64Encoded": True, "body": base64.b64encode(data[::-1]).decode()})
        assert r.answer().body == data[::-1]


# what the handler answers -> status, body, header checks
ANSWERS = [
    ("full", {"statusCode": 201, "headers": {"X-A": "b", "content-type": "text/plain"}, "cookies": ["a=1", "b=2"], "body": "hé"}, 201, "hé",
     {"X-A": ["b"], "Content-Type": ["text/plain"], "Set-Cookie": ["a=1", "b=2"]}),
    ("nulls", {"statusCode": 200, "headers": None, "cookies": None, "body": None, "isBase64Encoded": None}, 200, "", {}),
    ("no status", {"hello": "world"}, 200, '{"hello": "world"}', {"Content-Type": ["application/json"]}),
    ("a string", b'"just text"', 200, '"just text"', {"Content-Type": ["application/json"]}),
    ("a number", b"42", 200, "42", {"Content-Type": ["application/json"]}),
    ("null", b"null", 200, "null", {}),
    ("no content type", {"statusCode": 200, "body": "x"}, 200, "x", {"Content-Type": ["application/json"]}),
    ("many values", {"statusCode": 200, "multiValueHeaders": {"X-M": ["1", "2"]}, "body": ""}, 200, "", {"X-M": ["1", "2"]}),
    ("numbers as values", {"statusCode": "204", "headers": {"X-N": 5, "X-B": True}}, 204, "", {"X-N": ["5"], "X-B": ["true"]}),
    ("hop-by-hop", {"statusCode": 200, "headers": {"Transfer-Encoding": "chunked", "Connection": "x-a", "X-A": "1", "Content-Length": "99", "Keep-Alive": "1"}, "body": "ok"},
     200, "ok", {"Transfer-Encoding": [], "Keep-Alive": []}),
    ("header injection", {"statusCode": 200, "headers": {"X-Bad": "a\r\nX-Injected: 1", "Bad Name": "x", "X-Good": "g"}, "body": "ok"}, 200, "ok",
     {"X-Injected": [], "X-Bad": [], "X-Good": ["g"]}),
    ("escapes", b'{"statusCode":200,"body":"\\u00e9\\ud83d\\ude00\\n\\"\\\\"}', 200, 'é😀\n"\\', {}),
    # not valid: 502
    ("not JSON", b"<html>", 502, None, {}), ("half JSON", b'{"statusCode":200,', 502, None, {}), ("trailing", b"{} x", 502, None, {}),
    ("empty object", b"{}", 200, "{}", {}),
    ("status out of range", {"statusCode": 99}, 502, None, {}), ("status 1xx", {"statusCode": 101}, 502, None, {}),
    ("status no number", {"statusCode": "abc"}, 502, None, {}), ("body no text", {"statusCode": 200, "body": {"a": 1}}, 502, None, {}),
    ("bad base64", {"statusCode": 200, "body": "###", "isBase64Encoded": True}, 502, None, {}), ("headers no object", {"statusCode": 200, "headers": "x"}, 502, None, {}),
    ("invalid UTF-8", b'{"statusCode":200,"body":"\xff"}', 502, None, {}), ("lone surrogate", b'{"statusCode":200,"body":"\\ud800"}', 502, None, {}),
]


def test_answers(tmp_path):
    with puppet(tmp_path) as (g, env):
        api = Api(env)
        for name, answer, status, body, headers in ANSWERS:
            r = Request(g)
            event = api.next()
            assert api.respond(id_of(event), answer).status == 202, name
            a = r.answer()
            assert a.status == status, (name, a)
            if body is not None and status != 204:
                assert a.text == body, name
            if status == 502:
                assert a["Content-Type"] == "application/problem+json" and a.json()["type"].endswith("handler-answer-invalid"), name
            for key, values in headers.items():
                assert a.all(key) == values, (name, key, a.headers)


def test_handler_error_is_a_502_and_hides_the_message(tmp_path):
    with puppet(tmp_path) as (g, env):
        api = Api(env)
        r = Request(g)
        event = api.next()
        reply = api.error(id_of(event), {"errorType": "Function.Oops", "errorMessage": "database password is tiger", "stackTrace": ["a:1"]},
                          {"Lambda-Runtime-Function-Error-Type": "Function.Oops"})
        assert reply.status == 202
        a = r.answer()
        assert a.status == 502 and a.json()["type"].endswith("handler-error") and "tiger" not in a.text
        entry = wait_for(lambda: next((e for e in g.logs() if "database password is tiger" in str(e)), None), what="the log of the error")
        assert "Function.Oops" in str(entry) and id_of(event) in str(entry)


def test_wrong_answers_are_refused(tmp_path):
    with puppet(tmp_path) as (g, env):
        api = Api(env)
        unknown = "00000000-0000-4000-8000-000000000000"
        a = api.respond(unknown, OK)
        assert a.status in (400, 403) and a["Content-Type"] == "application/json" and a.json()["errorType"]
        r = Request(g)
        event = api.next()
        assert api.respond(unknown, OK).status == 400 and api.respond("no-uuid", OK).json()["errorType"] == "InvalidRequestID"
        assert api.respond(id_of(event), OK, {"Lambda-Runtime-Invocation-Id": unknown}).status == 400, "a stale attempt"
        assert api.respond(id_of(event), OK, {"Lambda-Runtime-Function-Response-Mode": "wild"}).json()["errorType"] == "InvalidFunctionResponseMode"
        assert api.respond(id_of(event), OK, {"Lambda-Runtime-Invocation-Id": event["Lambda-Runtime-Invocation-Id"]}).status == 202
        assert r.answer().text == "done"
        assert api.respond(id_of(event), {"statusCode": 500}).status in (400, 403), "a second answer"
        assert api.call("GET", "/2018-06-01/nowhere").status == 404
        assert api.call("DELETE", "/2018-06-01/runtime/invocation/next").status in (404, 405)
        assert api.call("GET", "/2018-06-01/ping").text == "pong"


def test_init_error_is_told(tmp_path):
    with puppet(tmp_path, "    timeout: 2s\n") as (g, env):
        api = Api(env)
        r = Request(g)
        a = api.call("POST", "/2018-06-01/runtime/init/error", json.dumps({"errorType": "Init.NoDatabase", "errorMessage": "no database"}))
        assert a.status == 202
        assert wait_for(lambda: any("no database" in str(e) for e in g.logs()))
        assert r.answer().status == 503


def test_init_error_after_next_is_403(tmp_path):
    with puppet(tmp_path) as (g, env):
        api = Api(env)
        r = Request(g)
        event = api.next()
        a = api.call("POST", "/2018-06-01/runtime/init/error", "{}")
        assert a.status == 403 and a.json()["errorType"] == "InvalidStateTransition"
        api.respond(id_of(event), OK)
        assert r.answer().status == 200


def test_a_lost_connection_gets_the_same_event_again(tmp_path):
    with puppet(tmp_path) as (g, env):
        first = Api(env)
        r = Request(g)
        event = first.next()
        first.close()
        second = Api(env)
        again = second.next()
        assert id_of(again) == id_of(event) and again.body == event.body
        second.respond(id_of(again), OK)
        assert r.answer().status == 200


def test_a_waiting_next_that_goes_away_loses_nothing(tmp_path):
    with puppet(tmp_path) as (g, env):
        for _ in range(5):
            gone = Api(env)
            gone.send("GET", "/2018-06-01/runtime/invocation/next")
            time.sleep(0.02)
            gone.close()
        time.sleep(0.3)
        api = Api(env)
        r = Request(g)
        event = api.next()
        api.respond(id_of(event), OK)
        assert r.answer().status == 200


def test_late_answer_never_reaches_the_next_request(tmp_path):
    with puppet(tmp_path, "    timeout: 300ms\n") as (g, env):
        api = Api(env)
        r = Request(g)
        event = api.next()
        assert r.answer().status == 504
        try:
            assert api.respond(id_of(event), {"statusCode": 200, "body": "late"}).status in (400, 403, 410)
        except (OSError, AttributeError):
            pass  # its process is being stopped, so the connection may be gone
        env = environment(tmp_path, not_pid=env["PUPPET_PID"])
        r = Request(g)
        api = Api(env)
        event = api.next()
        api.respond(id_of(event), OK)
        assert r.answer().text == "done"


def test_answer_size_limit(tmp_path):
    limit = 6 * 1024 * 1024 + 100
    frame = len(json.dumps({"statusCode": 200, "body": ""}))
    with puppet(tmp_path) as (g, env):
        api = Api(env)
        r = Request(g)
        assert api.respond(id_of(api.next()), {"statusCode": 200, "body": "x" * (limit - frame)}).status == 202
        assert len(r.answer().body) == limit - frame
        r = Request(g)
        too_large = api.respond(id_of(api.next()), {"statusCode": 200, "body": "x" * (limit - frame + 1)})
        assert too_large.status == 413 and too_large.json()["errorType"] == "RequestEntityTooLarge"
        assert r.answer().status == 502 and r.answer().json()["type"].endswith("handler-answer-too-large")
        api = Api(env)
        r = Request(g)
        api.respond(id_of(api.next()), OK)
        assert r.answer().status == 200


def test_concurrency(tmp_path):
    with puppet(tmp_path, concurrency=4) as (g, env):
        assert env["AWS_LAMBDA_MAX_CONCURRENCY"] == "4"
        apis = [Api(env) for _ in range(4)]
        requests = [Request(g, "GET", f"/p/{i}/x") for i in range(4)]
        events = [a.next() for a in apis]
        assert len({id_of(e) for e in events}) == 4
        for api, event in reversed(list(zip(apis, events))):
            name = event.json()["pathParameters"]["id"]
            assert api.respond(id_of(event), {"statusCode": 200, "body": name}).status == 202
        assert [r.answer().text for r in requests] == ["0", "1", "2", "3"]


def test_an_answer_on_another_connection(tmp_path):
    with puppet(tmp_path) as (g, env):
        poll, post = Api(env), Api(env, unix=True)
        r = Request(g)
        assert post.respond(id_of(poll.next()), OK).status == 202
        assert r.answer().status == 200


PRELUDE = json.dumps({"statusCode": 201, "headers": {"Content-Type": "text/plain", "X-Streamed": "yes"}, "cookies": ["c=1"]}).encode()
STREAM = {"Transfer-Encoding": "chunked", "Content-Type": "application/vnd.awslambda.http-integration-response",
          "Trailer": "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"}


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def start_stream(g, env, headers=STREAM):
    api = Api(env)
    r = Request(g)
    id = id_of(api.next())
    api.send("POST", f"/2018-06-01/runtime/invocation/{id}/response", b"", headers)
    return api, r


@pytest.mark.parametrize("extra", [{}, {"Lambda-Runtime-Function-Response-Mode": "streaming"}])
def test_streamed_answer(tmp_path, extra):
    with puppet(tmp_path) as (g, env):
        api, r = start_stream(g, env, {**STREAM, **extra})
        whole = PRELUDE + b"\0" * 8 + b"hello stream"
        for i in range(len(whole)):  # the prelude split at every byte
            api.socket.sendall(chunk(whole[i:i + 1]))
        api.socket.sendall(b"0\r\n\r\n")
        assert api.read().status == 202
        a = r.answer()
        assert a.status == 201 and a.text == "hello stream" and a["X-Streamed"] == "yes" and a.all("Set-Cookie") == ["c=1"]


def test_stream_reaches_the_client_before_it_ends(tmp_path):
    with puppet(tmp_path) as (g, env), g.connect() as s:
        s.sendall(b"GET /p HTTP/1.1\r\nHost: a\r\n\r\n")
        api = Api(env)
        id = id_of(api.next())
        api.send("POST", f"/2018-06-01/runtime/invocation/{id}/response", b"", STREAM)
        api.socket.sendall(chunk(PRELUDE + b"\0" * 8 + b"early"))
        f = s.makefile("rb")
        assert f.readline().startswith(b"HTTP/1.1 201")
        while f.readline() != b"\r\n":
            pass
        assert f.readline() == b"5\r\n" and f.readline() == b"early\r\n"
        api.socket.sendall(chunk(b"late") + b"0\r\n\r\n")
        assert f.readline() == b"4\r\n" and f.readline() == b"late\r\n" and f.readline() == b"0\r\n"
        assert api.read().status == 202


def test_stream_of_small_pieces_is_not_held_up(tmp_path):
    """Rust's client leaves Nagle's algorithm on: a piece is sent when the one before was acknowledged. An acknowledgement that is put off
    costs every answer 40 ms, so one answer that is quicker shows that none is; a busy machine only needs more tries."""
    with puppet(tmp_path) as (g, env):
        api = Api(env)
        api.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)

        def answered_quickly():
            r = Request(g)
            id = id_of(api.next())
            start = time.monotonic()
            api.send("POST", f"/2018-06-01/runtime/invocation/{id}/response", b"", STREAM)
            for piece in (PRELUDE, b"\0" * 8, b"one", b"two"):
                api.socket.sendall(chunk(piece))
            api.socket.sendall(b"0\r\n\r\n")
            assert api.read().status == 202
            seconds = time.monotonic() - start
            assert r.answer().text == "onetwo"
            return seconds < 0.03
        wait_for(answered_quickly, 30, "a streamed answer within 30 ms")


def test_stream_without_prelude(tmp_path):
    with puppet(tmp_path) as (g, env):
        api, r = start_stream(g, env, {"Transfer-Encoding": "chunked", "Lambda-Runtime-Function-Response-Mode": "streaming"})
        api.socket.sendall(chunk(b"raw ") + chunk(b"bytes") + b"0\r\n\r\n")
        assert api.read().status == 202 and r.answer().body == b"raw bytes"


def cut_answer(r):
    with pytest.raises((http.client.HTTPException, OSError)):
        r.answer()


def test_stream_that_fails_in_its_trailers_breaks_the_client_off(tmp_path):
    with puppet(tmp_path) as (g, env):
        api, r = start_stream(g, env)
        error = base64.b64encode(json.dumps({"errorType": "X", "errorMessage": "broke in the middle"}).encode()).decode()
        api.socket.sendall(chunk(PRELUDE + b"\0" * 8 + b"half") + b"0\r\nLambda-Runtime-Function-Error-Type: Function.Broke\r\n"
                           b"Lambda-Runtime-Function-Error-Body: " + error.encode() + b"\r\n\r\n")
        api.read()
        cut_answer(r)
        wait_for(lambda: any("broke in the middle" in str(e) for e in g.logs()), what="the log of the failure")


def test_stream_whose_trailers_are_in_its_body(tmp_path):
    """Rust's lambda_runtime 1.5 sends the trailers that it announces as the last chunk."""
    with puppet(tmp_path) as (g, env):
        api, r = start_stream(g, env)
        error = base64.b64encode(b"broke in the middle")
        api.socket.sendall(chunk(PRELUDE + b"\0" * 8 + b"half") + chunk(
            b"Lambda-Runtime-Function-Error-Type: Runtime.StreamError\r\nLambda-Runtime-Function-Error-Body: " + error + b"\r\n") + b"0\r\n\r\n")
        assert api.read().status == 202
        cut_answer(r)
        entry = g.wait_log("handler broke its answer off")
        assert entry["error_type"] == "Runtime.StreamError" and entry["error"] == "broke in the middle"


def test_error_of_the_language_is_named(tmp_path):
    """Java's client says Runtime.UserException of every exception in the header, and which it was in the body."""
    with puppet(tmp_path) as (g, env):
        api = Api(env)
        r = Request(g)
        api.error(id_of(api.next()), {"errorType": "java.lang.IllegalStateException", "errorMessage": "no"},
                  {"Lambda-Runtime-Function-Error-Type": "Runtime.UserException"})
        assert "java.lang.IllegalStateException" in r.answer().json()["detail"]
        assert g.wait_log("handler reported an error")["error_type"] == "java.lang.IllegalStateException"


def test_stream_whose_connection_is_lost(tmp_path):
    with puppet(tmp_path) as (g, env):
        api, r = start_stream(g, env)
        api.socket.sendall(chunk(PRELUDE + b"\0" * 8 + b"half"))
        time.sleep(0.2)
        api.close()
        cut_answer(r)


@pytest.mark.parametrize("data", [b"not json" + b"\0" * 8 + b"x", b'{"statusCode":9999}' + b"\0" * 8 + b"x", PRELUDE])
def test_stream_with_a_bad_prelude_is_a_502(tmp_path, data):
    with puppet(tmp_path) as (g, env):
        api, r = start_stream(g, env)
        api.socket.sendall(chunk(data) + b"0\r\n\r\n")
        assert r.answer().status == 502
        api2 = Api(env)
        r2 = Request(g)
        api2.respond(id_of(api2.next()), OK)
        assert r2.answer().status == 200


def test_extensions(tmp_path):
    base = "/2020-01-01/extension"
    with puppet(tmp_path) as (g, env):
        api, ext = Api(env), Api(env)
        assert ext.call("POST", base + "/register", "{}").json()["errorType"] == "Extension.InvalidExtensionName"
        name = {"Lambda-Extension-Name": "GoLangEnableSIGTERM"}
        a = ext.call("POST", base + "/register", '{"events":[]}', name)
        assert a.status == 200 and a.json()["functionName"] == "puppet" and re.fullmatch(r"[0-9a-f-]{36}", a["Lambda-Extension-Identifier"])
        me = {"Lambda-Extension-Identifier": a["Lambda-Extension-Identifier"]}
        assert ext.call("GET", base + "/event/next").json()["errorType"] == "Extension.MissingExtensionIdentifier"
        assert ext.call("GET", base + "/event/next", headers={"Lambda-Extension-Identifier": "x"}).json()["errorType"] == "Extension.InvalidExtensionIdentifier"
        watcher = Api(env)
        b = watcher.call("POST", base + "/register", '{"events":["INVOKE","SHUTDOWN"]}', {"Lambda-Extension-Name": "watcher"})
        watcher.send("GET", base + "/event/next", headers={"Lambda-Extension-Identifier": b["Lambda-Extension-Identifier"]})
        ext.send("GET", base + "/event/next", headers=me)
        r = Request(g)
        event = api.next()
        told = watcher.read().json()
        assert told["eventType"] == "INVOKE" and told["requestId"] == id_of(event) and told["deadlineMs"] == int(event["Lambda-Runtime-Deadline-Ms"])
        api.respond(id_of(event), OK)
        assert r.answer().status == 200
        late = api.call("POST", base + "/register", '{"events":[]}', {"Lambda-Extension-Name": "late"})
        assert late.status == 200, "the web adapter registers while its runtime is at work already"
        for path in ("/2022-07-01/telemetry", "/2020-08-15/logs"):
            a = api.call("PUT", path, "{}", me)
            assert a.status == 202 and "NotSupported" in a.json()["errorType"]


def test_process_dies_with_an_event_in_hand(tmp_path):
    with puppet(tmp_path) as (g, env):
        api = Api(env)
        r = Request(g)
        api.next()
        os.kill(int(env["PUPPET_PID"]), signal.SIGKILL)
        a = r.answer()
        assert a.status == 502 and "SIGKILL" in a.text
