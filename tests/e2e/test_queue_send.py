"""Sending: through http triggers of a queue, and by handlers over the native API."""
import hashlib
import json
import os
import resource
import signal

import pytest
from execgate import Gateway, run_cli
from native import message
from puppet import Request, SCRIPT, environment
from queues import LIST, Puppet, blueprint, rows, send, send_all, shop, stats, wait_empty, wait_stats

NATIVE = "/v1/queues/orders/messages"


def refusal(g, body, status, path="/send", **headers):
    answer = g.request("POST", path, body, {k.replace("_", "-"): v for k, v in headers.items()})
    assert answer.status == status, answer
    return answer.json()["detail"]


def test_a_message_is_on_disk_before_its_sender_is_told(tmp_path):
    with Gateway(tmp_path, blueprint(), files={"puppet.sh": SCRIPT}) as g:
        Puppet(environment(tmp_path))
        id = send(g, "kept")
        g.stop(signal.SIGKILL)
        g.reader.join(10)
        g.process.returncode = 0  # asked for
    assert [(r["id"], r["body"]) for r in rows(tmp_path, "SELECT id, body FROM message")] == [(id, b"kept")]


def test_a_file_that_may_not_grow_refuses_sends_and_ends_nobody(tmp_path):
    with shop(tmp_path) as (g, env):
        p = Puppet(env)
        _, hard = resource.prlimit(g.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(g.pid, resource.RLIMIT_FSIZE, (0, hard))
        refusal(g, "a", 503)
        g.wait_log("a message could not be kept")
        resource.prlimit(g.pid, resource.RLIMIT_FSIZE, (hard, hard))
        send(g, "b")
        batch = p.batch()
        assert batch.bodies == ["b"]
        p.succeed(batch)
        wait_empty(tmp_path)


def test_a_list_is_sent_whole_or_not_at_all(tmp_path):
    with shop(tmp_path, queue=", maxMessage: 1KiB") as (g, env):
        p = Puppet(env)
        good, large = {"body": "a"}, {"body": "x" * 2000}
        assert "1024" in refusal(g, json.dumps({"messages": [good, large]}), 413, Content_Type=LIST)
        assert stats(tmp_path)["sent"] == 0
        ids = send_all(g, [good, {"bodyBase64": "AAEC", "contentType": "application/x-thing", "attributes": {"a": "1"}}])
        batch = p.batch()
        assert batch.ids == ids and batch.bodies == ["a", "\0\1\2"]
        p.succeed(batch)


@pytest.mark.parametrize("body, word", [
    ("{", "no JSON"), ("[]", "object"), ("{}", "messages"), ('{"messages": []}', "none"), ('{"messages": [1]}', "object"),
    ('{"messages": [{}]}', "body"), ('{"messages": [{"body": 1}]}', "text"), ('{"messages": [{"body": "", "colour": "red"}]}', "colour"),
    ('{"messages": [{"body": "", "delay": "soon"}]}', "30s"), ('{"messages": [{"bodyBase64": "*"}]}', "base64"),
    ('{"messages": [{"body": "", "attributes": {"a": 1}}]}', "attributes"),
    ('{"messages": [{"body": "a"}, {"body": 1}]}', "messages[1]: body: must be a text"),
    ('{"messages": [{"body": "a", "bodyBase64": "AAEC"}]}', "bodyBase64: is said already"),
    ('{"messages": [{"body": "a", "delay": 5}]}', 'a text such as "30s"'), ('[{"body": "a"}]', '{"messages": [{"body": "a teapot"}]}'),
])
def test_a_list_that_makes_no_sense_is_refused(tmp_path, body, word):
    with shop(tmp_path) as (g, _):
        assert word in refusal(g, body, 400, Content_Type=LIST)


def test_single_messages_that_make_no_sense_are_refused(tmp_path):
    with shop(tmp_path) as (g, _):
        assert "30s" in refusal(g, "a", 400, Queue_Delay="soon")
        assert refusal(g, "a", 400, Queue_Delay="900d")
        assert refusal(g, "a", 400, Queue_Group_Id="g" * 300)
        assert refusal(g, "a", 400, Queue_Attributes="&".join(f"a{i}=1" for i in range(65)))
        assert refusal(g, "x" * 300000, 413)


def test_a_large_message_arrives_whole(tmp_path):
    body = bytes(range(256)) * 4 * 1024 * 3  # more than bodies are kept in memory for
    text = blueprint(queue=", maxMessage: 4MiB", trigger=", batch: 1").replace("{http: POST /send}", "{http: POST /send, maxBody: 4MiB}")
    with Gateway(tmp_path, text, files={"puppet.sh": SCRIPT}) as g:
        p = Puppet(environment(tmp_path))
        send(g, body)
        event = p.event()
        assert event.body == body
        p.answer(message(event.id))
        wait_empty(tmp_path)


def test_a_deduplication_id_sends_once(tmp_path):
    with shop(tmp_path) as (g, env):
        p = Puppet(env)
        first = g.request("POST", "/send", "a", {"Queue-Dedup-Id": "order%201"}).json()
        second = g.request("POST", "/send", "b", {"Queue-Dedup-Id": "order+1"}).json()
        assert first["duplicate"] is False and second == {"messageId": first["messageId"], "duplicate": True}
        batch = p.batch()
        assert batch.bodies == ["a"] and batch.records[0]["attributes"]["MessageDeduplicationId"] == "order 1"
        p.succeed(batch)
        wait_empty(tmp_path)


def test_a_delayed_message_comes_later(tmp_path):
    with shop(tmp_path, trigger=", batch: 1") as (g, env):
        p = Puppet(env)
        send(g, "late", Queue_Delay="1s")
        send(g, "soon")
        for body in ("soon", "late"):
            batch = p.batch()
            assert batch.bodies == [body]
            p.succeed(batch)


def test_the_queues_delay_holds_unless_the_sender_says_another(tmp_path):
    with shop(tmp_path, queue=", delay: 1h") as (g, env):
        p = Puppet(env)
        send(g, "late")
        send(g, "now", Queue_Delay="0s")
        batch = p.batch()
        assert batch.bodies == ["now"]
        p.succeed(batch)
        wait_stats(tmp_path, messages=1, received=1)


def test_guards_stand_before_a_send_as_before_any_route(tmp_path):
    key = "demo-partner-key-0001"
    text = blueprint().replace("{http: POST /send}", "{http: POST /send, guard: partner}") + f"""auth:
  guards:
    partner: {{type: apiKey, in: header:x-api-key, keys: {{acme: "sha256:{hashlib.sha256(key.encode()).hexdigest()}"}}}}
"""
    with Gateway(tmp_path, text, files={"puppet.sh": SCRIPT}) as g:
        p = Puppet(environment(tmp_path))
        assert g.request("POST", "/send", "a").status == 401
        assert stats(tmp_path)["sent"] == 0
        send(g, "a", x_api_key=key)
        p.succeed(p.batch())


def test_another_method_of_a_send_trigger_is_not_allowed(tmp_path):
    with shop(tmp_path) as (g, _):
        assert g.request("GET", "/send").status == 405


def test_send_routes_are_listed_and_no_handler_answers_them(tmp_path):
    (tmp_path / "blueprint.yaml").write_text(blueprint())
    (tmp_path / "puppet.sh").write_text(SCRIPT)
    (tmp_path / "puppet.sh").chmod(0o755)
    listed = run_cli("routes", tmp_path / "blueprint.yaml")
    assert "/send" in listed.stdout and "queue orders" in listed.stdout
    assert "1 route" in run_cli("check", tmp_path / "blueprint.yaml").stdout
    invoked = run_cli("invoke", "puppet", tmp_path / "blueprint.yaml", "--http", "POST /send")
    assert invoked.returncode == 2 and "sends to the queue orders" in invoked.stderr


# --- from a handler ---

def test_a_handler_sends_over_the_native_api(tmp_path):
    with shop(tmp_path) as (g, env):
        p, other = Puppet(env), Puppet(env)
        answer = other.call("POST", NATIVE, "by a handler", {"Content-Type": "text/plain", "Queue-Group-Id": "g"})
        assert answer.status == 202, answer
        batch = p.batch()
        assert batch.ids == [answer.json()["messageId"]] and batch.bodies == ["by a handler"]
        answer = other.call("POST", NATIVE, json.dumps({"messages": [{"body": "1"}, {"body": "2"}]}), {"Content-Type": LIST})
        assert answer.status == 202 and len(answer.json()["messages"]) == 2
        p.succeed(batch)
        batch = p.batch()
        assert batch.bodies == ["1", "2"]
        p.succeed(batch)
        wait_empty(tmp_path)


def test_what_a_handler_cannot_send_is_refused(tmp_path):
    with shop(tmp_path, queue=", maxMessage: 1KiB") as (g, env):
        p = Puppet(env)
        assert p.call("POST", "/v1/queues/nowhere/messages", "a").status == 404
        assert p.call("POST", NATIVE, "a", {"Queue-Delay": "x"}).status == 400
        assert p.call("POST", NATIVE, "x" * 5000).status == 413
        assert p.call("POST", NATIVE, "fits").status == 202


def test_without_queues_there_is_nothing_to_send_to(tmp_path):
    with Gateway(tmp_path, "blueprint: 1\nname: shop\nhandlers:\n  puppet:\n    command: ./puppet.sh\n    processes: {min: 1}\n",
                 files={"puppet.sh": SCRIPT}):
        assert Puppet(environment(tmp_path)).call("POST", NATIVE, "a").status == 404
    assert not (tmp_path / ".execgate").exists()


# --- with an answer ---

def hold(p, id, body, queue="orders", **headers):
    return p.call("POST", f"/v1/queues/{queue}/messages", body, {"Execgate-Invocation-Id": id} | headers)


@pytest.fixture
def holding(tmp_path):
    """(gateway, puppet, its environment, an http request that the puppet holds and its id)"""
    more = "      - {http: POST /order}\n"
    with shop(tmp_path, queues="  other: {}", more=more) as (g, env):
        p, waiting = Puppet(env), Request(g, "POST", "/order", "an order")
        answer = p.next()
        yield g, p, env, waiting, answer["Lambda-Runtime-Aws-Request-Id"]


def test_what_is_held_is_sent_when_the_answer_is_accepted(tmp_path, holding):
    g, p, _, waiting, id = holding
    assert hold(p, id, "first", "other").json() == {"held": 1}
    assert hold(p, id, json.dumps({"messages": [{"body": "second"}, {"body": "third"}]}), "other", **{"Content-Type": LIST}).json() == {"held": 3}
    assert rows(tmp_path, "SELECT 1 FROM message") == []
    p.respond(id, {"statusCode": 201})
    assert waiting.answer().status == 201
    assert [r["body"] for r in rows(tmp_path, "SELECT body FROM message ORDER BY seq")] == [b"first", b"second", b"third"]
    assert hold(p, id, "too late").status == 404


def test_what_is_held_is_forgotten_when_the_handler_fails(tmp_path, holding):
    g, p, _, waiting, id = holding
    assert hold(p, id, "never", "other").status == 202
    p.error(id, {"errorMessage": "no", "errorType": "Test.Failure"})
    assert waiting.answer().status == 502
    send(g, "a sign of life")
    p.succeed(p.batch())
    wait_empty(tmp_path)
    assert rows(tmp_path, "SELECT 1 FROM message") == []


def test_what_is_held_is_forgotten_when_the_process_dies(tmp_path, holding):
    g, p, env, waiting, id = holding
    assert hold(p, id, "never", "other").status == 202
    os.kill(int(env["PUPPET_PID"]), signal.SIGKILL)
    assert waiting.answer().status == 502
    assert rows(tmp_path, "SELECT 1 FROM message") == []


def test_what_cannot_be_held_is_refused(tmp_path, holding):
    g, p, _, waiting, id = holding
    assert hold(p, "00000000-0000-4000-8000-000000000000", "x").status == 404
    assert hold(p, id, "x" * 300000).status == 413
    assert hold(p, id, "x", **{"Queue-Delay": "soon"}).status == 400
    assert hold(p, id, "x", "nowhere").status == 404
    p.respond(id, {"statusCode": 200})
    assert waiting.answer().status == 200


def test_a_message_that_fails_sends_nothing_on(tmp_path):
    with shop(tmp_path, queues="  other: {}") as (g, env):
        p = Puppet(env)
        send(g, "a")
        for attempt in (1, 2):
            batch = p.batch()
            assert hold(p, batch.id, f"made in attempt {attempt}", "other").status == 202
            p.fail(batch) if attempt == 1 else p.succeed(batch)
        wait_empty(tmp_path)
        assert [r["body"] for r in rows(tmp_path, "SELECT body FROM message")] == [b"made in attempt 2"]
