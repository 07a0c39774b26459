"""Invocations that nobody waits for: kept on disk, tried again, and what is told of their end."""
import base64
import contextlib
import json
import pathlib
import signal
import sqlite3
import time

import pytest
from execgate import Gateway, run_cli, wait_for
from puppet import SCRIPT, environment
from queues import Puppet, deaths, rows, stats, store_file, wait_deaths, wait_empty, wait_stats
from test_admin import ask

EVENT = {"X-Amz-Invocation-Type": "Event"}
QUEUE = "async/puppet"
BLUEPRINT = """blueprint: 1
name: shop
handlers:
  puppet:
    command: ./puppet.sh
    timeout: 1m
    processes: {min: 1, max: 1, startTimeout: 1m, stopTimeout: 200ms}
"""
ASYNC = "    async: {maxAttempts: 3, retry: {base: 1ms, max: 20ms}%s}\n"
QUEUES = "queues: {done: {}, failed: {}}\n"


def served(folder, more=ASYNC % "", **kw):
    return Gateway(folder, BLUEPRINT + more, files={"puppet.sh": SCRIPT}, args=["--admin", "127.0.0.1:0"], **kw)


def event(g, payload, handler="puppet", **headers):
    """The id that its sender is told."""
    g.admin = int(g.ready["admin"].rsplit(":", 1)[1])
    answer = ask(g, "POST", f"/2015-03-31/functions/{handler}/invocations", payload, EVENT | headers)
    assert answer.status == 202, answer
    return answer["x-amzn-RequestId"]


def taken(p):
    answer = p.next()
    return answer["Lambda-Runtime-Aws-Request-Id"], answer


def records(folder, queue):
    return [json.loads(r["body"]) for r in rows(folder, "SELECT body FROM message m JOIN queue q ON q.id = m.queue WHERE q.name = ?", queue)]


def hasten(folder):
    """Nobody waits for the visibility timeout of thirty seconds."""
    with contextlib.closing(sqlite3.connect(store_file(folder), timeout=30)) as db, db:
        db.execute("UPDATE message SET visible_at = due_at")


@pytest.mark.parametrize("more", ["", ASYNC % ""])
def test_an_event_outlives_a_gateway_that_is_killed(tmp_path, more):
    with served(tmp_path, more) as g:
        id = event(g, b'{"n": 1}', **{"X-Amz-Client-Context": base64.b64encode(b'{"who": "me"}').decode()})
        env = environment(tmp_path)
        assert taken(Puppet(env))[0] == id
        g.stop(signal.SIGKILL)
        g.reader.join(10)
        wait_for(lambda: not pathlib.Path(f"/proc/{env['PUPPET_PID']}").exists(), 30, "the puppet's end")
        assert stats(tmp_path, QUEUE)["messages"] == 1
        hasten(tmp_path)
        g.start()
        p = Puppet(environment(tmp_path, env["PUPPET_PID"]))
        again, answer = taken(p)
        assert again == id and answer.json() == {"n": 1}
        assert json.loads(answer["Lambda-Runtime-Client-Context"]) == {"who": "me"}
        p.respond(id, "done")
        wait_stats(tmp_path, QUEUE, messages=0, acknowledged=1)


def test_a_failed_event_is_tried_again_with_the_same_id_and_then_kept_aside(tmp_path):
    with served(tmp_path) as g:
        id = event(g, b'"x"')
        p = Puppet(environment(tmp_path))
        for _ in range(3):
            again, _ = taken(p)
            assert again == id
            p.error(id, {"errorMessage": "no", "errorType": "Test.Failure"})
        dead, = wait_deaths(tmp_path, 1, QUEUE + "/failed")
        assert dead["id"] == id and dead["error"] == "Test.Failure: no" and dead["attempts"] == 3
        g.wait_log("invocation given up", handler="puppet", request_id=id)


def test_destinations_are_told_of_successes_and_failures(tmp_path):
    with served(tmp_path, ASYNC % ", onSuccess: {queue: done}, onFailure: {queue: failed}" + QUEUES) as g:
        p = Puppet(environment(tmp_path))
        good = event(g, b'{"n": 1}')
        p.respond(taken(p)[0], {"answer": 42})
        wait_stats(tmp_path, "done", messages=1)
        bad = event(g, b"not JSON")
        for _ in range(3):
            p.error(taken(p)[0], {"errorMessage": "broken", "errorType": "Test.Failure"})
        wait_stats(tmp_path, "failed", messages=1)
        refused = event(g, b"{}")
        p.error(taken(p)[0], {"errorMessage": "never", "errorType": "Test.Failure", "retry": False})
        wait_stats(tmp_path, "failed", messages=2)
        wait_empty(tmp_path, QUEUE)
        done, = records(tmp_path, "done")
        assert done["requestContext"] == {"requestId": good, "handler": "puppet", "condition": "Success", "approximateInvokeCount": 1}
        assert done["requestPayload"] == {"n": 1} and done["responsePayload"] == {"answer": 42} and done["version"] == "1.0"
        first, second = records(tmp_path, "failed")
        assert first["requestContext"] == {"requestId": bad, "handler": "puppet", "condition": "RetriesExhausted", "approximateInvokeCount": 3}
        assert first["requestPayload"] == "not JSON"
        assert first["responsePayload"] == {"errorType": "Test.Failure", "errorMessage": "Test.Failure: broken"}
        assert second["requestContext"]["condition"] == "RetryRefused" and second["requestContext"]["requestId"] == refused


def test_a_handler_can_be_the_destination(tmp_path):
    more = ASYNC % ", onSuccess: {handler: second}" + "  second:\n    command: ./once.sh\n    mode: once\n"
    with Gateway(tmp_path, BLUEPRINT + more, args=["--admin", "127.0.0.1:0"],
                 files={"puppet.sh": SCRIPT, "once.sh": "#!/bin/sh\ncat > told.tmp && mv told.tmp told\n"}) as g:
        id = event(g, b'{"n": 1}')
        p = Puppet(environment(tmp_path))
        p.respond(taken(p)[0], "fine")
        told = wait_for(lambda: (tmp_path / "told").exists() and json.loads((tmp_path / "told").read_text()), 30, "the second handler")
        assert told["requestContext"]["requestId"] == id and told["responsePayload"] == "fine"


def test_an_event_that_has_waited_too_long_is_given_up(tmp_path):
    with served(tmp_path, ASYNC % ", maxAge: 1s, onFailure: {queue: failed}" + QUEUES) as g:
        p = Puppet(environment(tmp_path))
        event(g, b"1")
        held, _ = taken(p)
        event(g, b"2")  # waits behind it
        due, = rows(tmp_path, "SELECT due_at FROM message WHERE body = X'32'")
        wait_for(lambda: time.time() * 1000 > due["due_at"] + 1500, 30, "a second and a half")
        p.respond(held, "late, but it began in time")
        wait_stats(tmp_path, "failed", messages=1)
        told, = records(tmp_path, "failed")
        assert told["requestContext"]["condition"] == "EventAgeExceeded" and told["requestPayload"] == 2


def test_a_record_that_is_too_large_goes_without_payloads(tmp_path):
    with served(tmp_path, ASYNC % ", onSuccess: {queue: done}" + "queues: {done: {maxMessage: 1KiB}}\n") as g:
        p = Puppet(environment(tmp_path))
        event(g, json.dumps("x" * 5000).encode())
        p.respond(taken(p)[0], "fine")
        wait_stats(tmp_path, "done", messages=1)
        told, = records(tmp_path, "done")
        assert told["requestContext"]["condition"] == "Success" and "requestPayload" not in told


# --- from a handler ---

def test_a_handler_calls_another_and_waits_or_does_not(tmp_path):
    more = "  upper:\n    command: ./once.sh\n    mode: once\n"
    with Gateway(tmp_path, BLUEPRINT + more, files={"puppet.sh": SCRIPT, "once.sh": "#!/bin/sh\ntr a-z A-Z | tee -a heard\n"}):
        p = Puppet(environment(tmp_path))
        answer = p.call("POST", "/v1/handlers/upper/invocations", "hello", {"Content-Type": "text/plain"})
        assert answer.status == 200 and answer.body == b"HELLO" and answer["Execgate-Invocation-Id"]
        answer = p.call("POST", "/v1/handlers/upper/invocations?wait=false", "later")
        assert answer.status == 202 and answer.json()["invocationId"]
        wait_for(lambda: (tmp_path / "heard").read_text() == "HELLOLATER", 30, "the second invocation")
        assert p.call("POST", "/v1/handlers/nobody/invocations", "x").status == 404
        assert p.call("POST", "/v1/handlers/upper/invocations?wait=perhaps", "x").status == 400
        assert p.call("POST", "/v1/handlers/upper/invocations?wait=false", "x" * (1024 * 1024 + 1)).status == 413


def test_the_failure_of_a_handler_that_is_called_is_told(tmp_path):
    more = "  broken:\n    command: ./once.sh\n    mode: once\n"
    with Gateway(tmp_path, BLUEPRINT + more, files={"puppet.sh": SCRIPT, "once.sh": "#!/bin/sh\nexit 3\n"}):
        answer = Puppet(environment(tmp_path)).call("POST", "/v1/handlers/broken/invocations", "x")
        assert answer.status == 502 and answer["Content-Type"] == "application/problem+json"


# --- blueprints that cannot mean anything ---

@pytest.mark.parametrize("more, word", [
    (ASYNC % ", onFailure: {queue: nowhere}", 'there is no queue "nowhere"'),
    (ASYNC % ", onFailure: {handler: nobody}", 'there is no handler "nobody"'),
    (ASYNC % ", onFailure: {handler: puppet}", "lead back to puppet"),
    (ASYNC % ", onFailure: {}", "queue"),
    (ASYNC % ", onFailure: {queue: a, handler: b}", "handler"),
])
def test_problems_of_a_blueprint_are_told(tmp_path, more, word):
    (tmp_path / "blueprint.yaml").write_text(BLUEPRINT + more)
    (tmp_path / "puppet.sh").write_text(SCRIPT)
    (tmp_path / "puppet.sh").chmod(0o755)
    r = run_cli("check", tmp_path / "blueprint.yaml")
    assert r.returncode != 0 and word in r.stdout + r.stderr, r
