"""Queue triggers: batches, settling, retries, dead letters, crashes of handlers and of the gateway."""
import contextlib
import os
import pathlib
import signal
import urllib.parse

import pytest
from execgate import EXAMPLES, Gateway, run_cli, wait_for
from native import message
from puppet import SCRIPT, environment
from queues import (Batch, Puppet, blueprint, deaths, failures, messages_of, note, rows, send, send_all, shop, stats, wait_deaths, wait_empty,
                    wait_stats)

WORKER = (pathlib.Path(__file__).parent / "handlers" / "queue_worker.py").read_text()


@contextlib.contextmanager
def opened(folder, **pieces):
    with shop(folder, **pieces) as (g, env):
        yield g, Puppet(env), env


def next_puppet(folder, env):
    """The process that takes the place of one that died."""
    fresh = environment(folder, env["PUPPET_PID"])
    return fresh, Puppet(fresh)


# --- batches ---

def test_a_message_reaches_its_handler_and_is_gone_after_its_answer(tmp_path):
    with opened(tmp_path) as (g, p, _):
        id = send(g, "hello", Content_Type="text/plain", Queue_Attributes="colour=dark+blue&n=1")
        batch = p.batch()
        record, = batch.records
        assert record["messageId"] == id and record["body"] == "hello"
        assert record["eventSource"] == "aws:sqs" and record["eventSourceARN"].endswith(":orders")
        assert record["attributes"]["ApproximateReceiveCount"] == "1"
        assert record["messageAttributes"]["colour"]["stringValue"] == "dark blue"
        assert stats(tmp_path)["messages"] == 1  # not gone while the handler has it
        p.succeed(batch)
        wait_stats(tmp_path, messages=0, acknowledged=1)


def test_messages_that_are_ready_come_in_batches_and_in_order(tmp_path):
    with opened(tmp_path, trigger=", batch: 4") as (g, p, _):
        send_all(g, [str(i) for i in range(10)])
        taken = []
        while len(taken) < 10:
            batch = p.batch()
            assert 1 <= len(batch.records) <= 4
            taken += batch.bodies
            p.succeed(batch)
        assert taken == [str(i) for i in range(10)]
        wait_stats(tmp_path, messages=0, acknowledged=10)


def test_a_window_gathers_what_comes_one_by_one(tmp_path):
    with opened(tmp_path, trigger=", batch: 3, window: 1900ms") as (g, p, _):
        for body in "abc":
            send(g, body)
        batch = p.batch()
        assert batch.bodies == ["a", "b", "c"]
        p.succeed(batch)
        send(g, "alone")  # the window's end lets it go though the batch is not full
        batch = p.batch()
        assert batch.bodies == ["alone"]
        p.succeed(batch)
        wait_empty(tmp_path)


def test_only_what_can_run_is_fetched(tmp_path):
    with opened(tmp_path, trigger=", batch: 1") as (g, p, _):
        send_all(g, ["a", "b", "c"])
        batch = p.batch()
        assert batch.bodies == ["a"]
        assert stats(tmp_path)["received"] == 1
        p.succeed(batch)
        for body in "bc":
            batch = p.batch()
            assert batch.bodies == [body]
            p.succeed(batch)


def test_the_triggers_concurrency_bounds_what_is_with_the_handler(tmp_path):
    with opened(tmp_path, trigger=", batch: 1, concurrency: 2", concurrency=4) as (g, p, env):
        send_all(g, ["a", "b", "c"])
        others = [Puppet(env) for _ in range(2)]
        first, second = p.batch(), others[0].batch()
        others[1].send("GET", "/2018-06-01/runtime/invocation/next")
        assert stats(tmp_path)["received"] == 2
        p.succeed(first)
        third = Batch(others[1].read())
        assert third.bodies == ["c"]
        assert {*first.bodies, *second.bodies} == {"a", "b"}
        p.succeed(second)
        p.succeed(third)
        wait_empty(tmp_path)


def test_nothing_is_fetched_for_a_handler_whose_processes_do_not_start(tmp_path):
    with Gateway(tmp_path, blueprint(), files={"puppet.sh": "#!/bin/sh\nexit 1\n"}) as g:
        wait_for(lambda: len(g.logs("handler exited")) > 1, 30, "a second failure")
        send(g, "a")
        wait_for(lambda: len(g.logs("handler exited")) > 2, 30, "a third failure")
        g.stop()
    received = sum(r["receive_count"] for r in rows(tmp_path, "SELECT receive_count FROM message"))
    assert received <= 1  # a start that is under way counts as a place


# --- settling ---

def test_a_failed_message_comes_again_and_then_goes_to_the_dead_letter_queue(tmp_path):
    with opened(tmp_path) as (g, p, _):
        id = send(g, "bad")
        for attempt in (1, 2, 3):
            batch = p.batch()
            assert batch.counts() == [attempt]
            p.fail(batch, "out of paper")
        dead, = wait_deaths(tmp_path, 1)
        assert (dead["id"], dead["queue"], dead["attempts"]) == (id, "orders", 3)
        assert dead["reason"] == "attempts used up" and dead["error"] == "Test.Failure: out of paper"
        wait_empty(tmp_path)
        g.wait_log("dead letter", queue="orders", message_id=id)


def test_a_handler_of_dead_letters_is_told_why_they_died(tmp_path):
    """On either face."""
    with opened(tmp_path, more="      - {queue: dead}\n", queue=", fifo: true") as (g, p, _):
        id = send(g, "bad", Queue_Group_Id="a group")
        for count in range(1, 4):
            p.fail(p.batch(), "out of paper & ink")
        batch = p.batch()
        known = batch.records[0]["attributes"]
        assert batch.ids == [id] and known["DeadLetterQueueSourceArn"].endswith(":orders")
        assert (known["DeadLetterReason"], known["DeadLetterAttempts"]) == ("attempts used up", "3")
        assert known["DeadLetterError"] == "Test.Failure: out of paper & ink"
        p.fail(batch)
        event = p.event()
        letter, = messages_of(event)
        assert event.target == "/queue/dead" and letter["Queue-Message-Id"] == id
        assert {k: urllib.parse.unquote_plus(letter[f"Queue-Died-{k}"]) for k in ("In", "Why", "Error", "Attempts")} == {
            "In": "orders", "Why": "attempts used up", "Error": "Test.Failure: out of paper & ink", "Attempts": "3"}
        p.answer(message(event.id))
        wait_empty(tmp_path, queue="dead")


def test_without_a_dead_letter_queue_nothing_is_thrown_away(tmp_path):
    with Gateway(tmp_path, blueprint().replace("deadLetter: dead, ", ""), files={"puppet.sh": SCRIPT}) as g:
        p = Puppet(environment(tmp_path))
        send(g, "bad")
        for attempt in range(1, 7):
            batch = p.batch()
            assert batch.counts() == [attempt]
            p.fail(batch)
        p.succeed(p.batch())
        wait_stats(tmp_path, messages=0, acknowledged=1, buried=0)


@pytest.mark.parametrize("answer", [None, {}, {"batchItemFailures": []}, {"batchItemFailures": None}, b""])
def test_an_answer_that_names_none_is_success(tmp_path, answer):
    with opened(tmp_path, trigger=", reportFailures: true") as (g, p, _):
        send(g, "a")
        p.succeed(p.batch(), answer)
        wait_stats(tmp_path, messages=0, acknowledged=1)


def test_only_the_messages_that_the_answer_names_come_again(tmp_path):
    with opened(tmp_path, trigger=", reportFailures: true") as (g, p, _):
        ids = send_all(g, ["a", "b", "c"])
        batch = p.batch()
        assert batch.ids == ids
        p.succeed(batch, failures(ids[1]))
        again = p.batch()
        assert again.ids == [ids[1]] and again.counts() == [2]
        p.succeed(again)
        wait_stats(tmp_path, messages=0, acknowledged=3, retried=1)


@pytest.mark.parametrize("answer", [b"{not json", {"batchItemFailures": "all"}, {"batchItemFailures": [{}]}, [], failures("nobody")])
def test_an_answer_that_cannot_be_understood_fails_the_whole_batch(tmp_path, answer):
    with opened(tmp_path, trigger=", reportFailures: true") as (g, p, _):
        ids = send_all(g, ["a", "b"])
        p.succeed(p.batch(), answer)
        for _ in ids:
            again = p.batch()
            assert len(again.ids) == 1 and again.counts() == [2]
            p.succeed(again)
        wait_stats(tmp_path, messages=0, acknowledged=2, retried=2)


def test_without_reportFailures_an_answer_is_success_whatever_it_says(tmp_path):
    with opened(tmp_path) as (g, p, _):
        id = send(g, "a")
        p.succeed(p.batch(), failures(id))
        wait_stats(tmp_path, messages=0, acknowledged=1, retried=0)


def test_a_handler_can_refuse_a_message_for_good(tmp_path):
    with opened(tmp_path) as (g, p, _):
        send(g, "a")
        event = p.event()
        answer = p.call("POST", f"/v1/invocations/{event.id}/error", '{"message": "never", "type": "Bad.Order", "retry": false}')
        assert answer.status == 202
        dead, = wait_deaths(tmp_path, 1)
        assert dead["reason"] == "the handler asked for no retry" and dead["attempts"] == 1 and dead["error"] == "Bad.Order: never"


def test_a_refusal_for_good_of_a_batch_is_asked_of_each_message_again(tmp_path):
    with opened(tmp_path) as (g, p, _):
        send_all(g, ["good", "bad"])
        p.fail(p.batch(), retry=False)
        for _ in range(2):
            batch = p.batch()
            assert len(batch.ids) == 1
            p.succeed(batch) if batch.bodies == ["good"] else p.fail(batch, retry=False)
        dead, = wait_deaths(tmp_path, 1)
        assert dead["body"] == b"bad" and dead["reason"] == "the handler asked for no retry" and dead["attempts"] == 2
        wait_stats(tmp_path, messages=0, acknowledged=1)


def test_a_handler_can_say_when_a_message_is_to_come_again(tmp_path):
    with opened(tmp_path) as (g, p, _):
        send(g, "a")
        event = p.event()
        assert p.call("POST", f"/v1/invocations/{event.id}/error", '{"message": "later", "retry": {"after": "1h"}}').status == 202
        wait_stats(tmp_path, retried=1)
        message, = rows(tmp_path, "SELECT visible_at - due_at AS wait_ms FROM message")
        assert message["wait_ms"] >= 60 * 60 * 1000


def test_an_exchange_says_it_with_a_field(tmp_path):
    with opened(tmp_path, trigger=", batch: 1", concurrency=2) as (g, p, _):
        send_all(g, ["late", "never"])
        for _ in range(2):
            event = p.event()
            retry = "1h" if event.body == b"late" else "false"
            p.answer(message(event.id, "no", 500, [("Execgate-Error", "Test.Failure"), ("Execgate-Retry", retry)]))
        dead, = wait_deaths(tmp_path, 1)
        assert dead["body"] == b"never" and dead["error"] == "Test.Failure: no"
        wait_stats(tmp_path, messages=1, retried=1)
        left, = rows(tmp_path, "SELECT m.body, visible_at - due_at AS wait_ms FROM message m JOIN queue q ON q.id = m.queue WHERE q.name = 'orders'")
        assert left["body"] == b"late" and left["wait_ms"] >= 60 * 60 * 1000


def test_a_retry_that_makes_no_sense_is_refused(tmp_path):
    with opened(tmp_path) as (g, p, _):
        send(g, "a")
        event = p.event()
        for retry in ('"soon"', "{}", '{"after": 3}', '{"after": "soon"}', "[]", "1"):
            assert p.call("POST", f"/v1/invocations/{event.id}/error", '{"message": "no", "retry": %s}' % retry).status == 400
        p.answer(message(event.id))
        wait_empty(tmp_path)


def test_the_native_face_shows_messages_as_a_pipeline(tmp_path):
    with opened(tmp_path, trigger=", reportFailures: true") as (g, p, _):
        ids = send_all(g, [{"body": "a", "contentType": "text/plain", "attributes": {"k": "v w"}}, {"bodyBase64": "AP8K", "groupId": "g 1"}])
        event = p.event()
        assert event.start == "POST /queue/orders HTTP/1.1" and event["Execgate-Trigger"] == "queue"
        first, second = messages_of(event)
        assert [first["Queue-Message-Id"], second["Queue-Message-Id"]] == ids
        assert first.body == b"a" and first["Content-Type"] == "text/plain" and first["Queue-Attributes"] == "k=v%20w"
        assert second.body == b"\0\xff\n" and second["Queue-Group-Id"] == "g%201" and second["Queue-Receive-Count"] == "1"
        p.answer(message(event.id, '{"batchItemFailures": [{"itemIdentifier": "%s"}]}' % ids[0]))
        wait_stats(tmp_path, acknowledged=1, retried=1)
        wait_stats(tmp_path, received=3)  # it waits for the process to ask, which it never does
        g.stop()
    assert rows(tmp_path, "SELECT in_flight FROM message") == [{"in_flight": 0}]


def test_a_timeout_is_a_failed_attempt(tmp_path):
    with Gateway(tmp_path, blueprint().replace("timeout: 1m", "timeout: 300ms").replace("maxAttempts: 3", "maxAttempts: 1"),
                 files={"puppet.sh": SCRIPT}) as g:
        p = Puppet(environment(tmp_path))
        send(g, "slow")
        p.batch()
        dead, = wait_deaths(tmp_path, 1)
        assert dead["attempts"] == 1 and "time" in dead["error"]


def test_groups_keep_their_order_through_retries(tmp_path):
    with opened(tmp_path, queue=", fifo: true", trigger=", batch: 2") as (g, p, _):
        refused = g.request("POST", "/send", "no group")
        assert refused.status == 400 and "group" in refused.text
        send_all(g, [{"body": f"{group}{i}", "groupId": group} for i in range(3) for group in "ab"])
        taken, failed = [], set()
        while len(taken) < 6:
            batch = p.batch()
            if batch.bodies[0] == "a1" and not failed:
                failed.add("a1")
                p.fail(batch)
                continue
            taken += batch.bodies
            p.succeed(batch)
        assert failed
        for group in "ab":
            assert [t for t in taken if t[0] == group] == [f"{group}{i}" for i in range(3)]
        wait_empty(tmp_path)


# --- crashes ---

def test_a_process_that_dies_with_a_batch_condemns_none_of_it(tmp_path):
    with opened(tmp_path) as (g, p, env):
        ids = send_all(g, ["a", "b", "c"])
        assert p.batch().ids == ids
        os.kill(int(env["PUPPET_PID"]), signal.SIGKILL)
        env, p = next_puppet(tmp_path, env)
        singly = []
        for _ in ids:
            batch = p.batch()
            assert len(batch.ids) == 1 and batch.counts() == [2]
            singly += batch.ids
            p.succeed(batch)
        assert sorted(singly) == sorted(ids)
        wait_stats(tmp_path, messages=0, acknowledged=3)


def test_a_poison_message_ends_in_the_dead_letter_queue_and_the_others_are_handled(tmp_path):
    text = blueprint(trigger=", batch: 5").replace("./puppet.sh", "./worker.py").replace("max: 1", "max: 2")
    with Gateway(tmp_path, text, files={"worker.py": WORKER}) as g:
        send_all(g, ["ok 1", "ok 2", "poison", "ok 3", "ok 4"])
        dead, = wait_deaths(tmp_path, 1)
        wait_empty(tmp_path)
        assert dead["body"] == b"poison" and dead["attempts"] == 3 and "killed" in dead["error"]
        handled = (tmp_path / "handled").read_text().split("\n")
        assert {"ok 1", "ok 2", "ok 3", "ok 4"} <= set(handled)


def test_messages_of_a_gateway_that_was_killed_come_again(tmp_path):
    with opened(tmp_path) as (g, p, env):
        ids = send_all(g, ["a", "b"])
        assert p.batch().ids == ids
        g.stop(signal.SIGKILL)
        g.reader.join(10)
        wait_for(lambda: not pathlib.Path(f"/proc/{env['PUPPET_PID']}").exists(), 30, "the puppet's end")
        g.start()
        env, p = next_puppet(tmp_path, env)
        again = []
        while len(again) < 2:
            batch = p.batch()
            assert batch.counts() == [2] * len(batch.ids)
            again += batch.ids
            p.succeed(batch)
        assert sorted(again) == sorted(ids)
        wait_empty(tmp_path)


def test_a_gateway_that_stops_finishes_what_runs_and_gives_back_the_rest(tmp_path):
    with opened(tmp_path, trigger=", batch: 2, window: 1900ms") as (g, p, env):
        send_all(g, ["a", "b"])
        running = p.batch()
        send(g, "gathered")
        g.process.send_signal(signal.SIGTERM)
        g.wait_log("stopping")
        p.succeed(running)
        assert g.process.wait(60) == 0
        left = rows(tmp_path, "SELECT body, in_flight FROM message")
        assert left == [{"body": b"gathered", "in_flight": 0}]
        assert stats(tmp_path)["acknowledged"] == 2


def test_a_handler_keeps_its_messages_longer_than_the_visibility_timeout(tmp_path):
    def visible():
        return rows(tmp_path, "SELECT visible_at FROM message")[0]["visible_at"]
    with opened(tmp_path) as (g, p, _):
        send(g, "long")
        batch = p.batch()
        first = visible()
        wait_for(lambda: visible() > first + 2500, 60, "extensions beyond the first timeout")
        p.succeed(batch)
        wait_stats(tmp_path, messages=0, acknowledged=1, received=1)


def test_a_reload_loses_nothing_and_goes_on_taking(tmp_path):
    with opened(tmp_path) as (g, p, env):
        send(g, "before")
        held = p.batch()
        g.file.write_text(blueprint(trigger=", batch: 3"))
        g.process.send_signal(signal.SIGHUP)
        g.wait_log("reloaded", 30)
        p.succeed(held)
        send(g, "after")
        batch = p.batch()
        assert batch.bodies == ["after"]
        p.succeed(batch)
        wait_stats(tmp_path, messages=0, acknowledged=2, received=2)


def test_every_one_of_a_thousand_messages_is_handled_though_processes_die(tmp_path):
    text = blueprint(queue="", trigger=", batch: 10, reportFailures: true").replace("./puppet.sh", "./worker.py")
    text = text.replace("max: 1", "max: 2").replace("maxAttempts: 3", "maxAttempts: 100")
    with Gateway(tmp_path, text, files={"worker.py": WORKER}) as g:
        for hundred in range(10):
            send_all(g, [f"{'crash once' if i % 50 == 7 else 'fail once' if i % 10 == 3 else 'ok'} {hundred * 100 + i}" for i in range(100)])
        wait_stats(tmp_path, messages=0, acknowledged=1000)
        handled = [line for line in (tmp_path / "handled").read_text().split("\n") if line]
        assert {int(line.split()[-1]) for line in handled} == set(range(1000))
        assert deaths(tmp_path) == []


# --- filters, pausing ---

def test_filters_share_a_queue_out_and_what_nobody_takes_goes_to_the_dead_letter_queue(tmp_path):
    more = """  other:
    command: ./worker.py
    triggers:
      - {queue: orders, filter: {kind: refund, customer.vip: "true"}}
"""
    with Gateway(tmp_path, blueprint(trigger=", filter: {kind: order}", more=more), files={"puppet.sh": SCRIPT, "worker.py": WORKER}) as g:
        p = Puppet(environment(tmp_path))
        send_all(g, ['{"kind": "refund", "customer": {"vip": true}}', '{"kind": "order", "n": 1}', '{"kind": "else"}', "kind: order"])
        batch = p.batch()
        assert batch.bodies == ['{"kind": "order", "n": 1}']
        p.succeed(batch)
        dead = wait_deaths(tmp_path, 2)
        assert [d["body"] for d in dead] == [b'{"kind": "else"}', b"kind: order"]
        assert {d["reason"] for d in dead} == {"no trigger takes it"}
        wait_empty(tmp_path)
        assert (tmp_path / "handled").read_text() == '{"kind": "refund", "customer": {"vip": true}}\n'


def test_a_pause_holds_until_it_is_taken_back_over_a_restart_too(tmp_path):
    with opened(tmp_path) as (g, p, env):
        note(tmp_path, "pause/orders", "by hand")
        g.wait_log("queue paused", queue="orders")
        send(g, "a")
        g.stop()
        g.reader.join(10)
        g.lines.clear()
        g.start()
        env, p = next_puppet(tmp_path, env)
        g.wait_log("queue paused", queue="orders")
        assert stats(tmp_path)["received"] == 0
        note(tmp_path, "pause/orders", None)
        batch = p.batch()
        assert batch.bodies == ["a"]
        p.succeed(batch)
        wait_empty(tmp_path)


# --- blueprints that cannot mean anything ---

@pytest.mark.parametrize("pieces, word", [
    ({"trigger": ", batch: 0"}, "batch"),
    ({"trigger": ", window: 3s"}, "must be less than the visibilityTimeout"),
    ({"queue": "-none"}, 'there is no queue "dead-none"'),
    ({"queues": "  round: {deadLetter: about}\n  about: {deadLetter: round}"}, "would come back"),
    ({"trigger": "}\n      - {queue: nowhere"}, 'there is no queue "nowhere"'),
    ({"trigger": "}\n      - {queue: orders"}, "takes every message"),
    ({"trigger": "}\n      - {http: GET /x, batch: 2"}, "only a queue trigger has it"),
    ({"trigger": ", maxBody: 1KiB"}, "only an http trigger has it"),
])
def test_problems_of_a_blueprint_are_told(tmp_path, pieces, word):
    (tmp_path / "blueprint.yaml").write_text(blueprint(**pieces))
    (tmp_path / "puppet.sh").write_text(SCRIPT)
    (tmp_path / "puppet.sh").chmod(0o755)
    r = run_cli("check", tmp_path / "blueprint.yaml")
    assert r.returncode != 0 and word in r.stdout + r.stderr, r


# --- other ways to be a handler ---

def test_a_batch_of_one_is_the_message_itself(tmp_path):
    with opened(tmp_path, trigger=", batch: 1") as (g, p, _):
        id = send(g, "hello", Content_Type="text/x", Queue_Group_Id="g")
        event = p.event()
        assert event.start == "POST /queue/orders HTTP/1.1" and event.body == b"hello" and event["Content-Type"] == "text/x"
        assert event["Queue-Message-Id"] == id and event["Queue-Group-Id"] == "g" and event["Queue-Receive-Count"] == "1"
        p.answer(message(event.id))
        wait_stats(tmp_path, messages=0, acknowledged=1)


def test_a_script_takes_messages(tmp_path):
    script = "#!/bin/sh\nbody=$(cat)\necho \"$HTTP_QUEUE_RECEIVE_COUNT $body\" >> handled\n[ \"$body\" = good ] || exit 3\n"
    text = blueprint(trigger=", batch: 1", handler="    mode: once\n")
    with Gateway(tmp_path, text, files={"puppet.sh": script}) as g:
        send(g, "good")
        send(g, "bad")
        dead, = wait_deaths(tmp_path, 1)
        wait_empty(tmp_path)
        assert dead["body"] == b"bad" and dead["attempts"] == 3
        assert sorted((tmp_path / "handled").read_text().split("\n")[:-1]) == ["1 bad", "1 good", "2 bad", "3 bad"]


def test_a_server_takes_messages(tmp_path):
    server = """\
        #!/usr/bin/python3
        import http.server, os

        class Orders(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with open("handled", "ab") as f:
                    f.write(self.path.encode() + b" " + body + b"\\n")
                self.send_response(200 if body == b"good" else 500)
                self.send_header("Content-Length", "0")
                self.end_headers()

        http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Orders).serve_forever()
        """
    text = blueprint(trigger=", batch: 1", handler="    mode: server\n")
    with Gateway(tmp_path, text, files={"puppet.sh": server}) as g:
        send(g, "good")
        send(g, "bad")
        dead, = wait_deaths(tmp_path, 1)
        wait_empty(tmp_path)
        assert dead["body"] == b"bad"
        assert b"/queue/orders good\n" in (tmp_path / "handled").read_bytes()


@pytest.mark.parametrize("batch", [1, 10])
def test_the_C_example(tmp_path, batch):
    text = blueprint(trigger=f", batch: {batch}, reportFailures: true").replace("./puppet.sh", str(EXAMPLES / "orders"))
    with Gateway(tmp_path, text) as g:
        ids = send_all(g, ["teapot", "fail", "crash", "never"])
        dead = wait_deaths(tmp_path, 3)
        wait_stats(tmp_path, messages=0, acknowledged=1)
        assert {d["body"]: d["attempts"] >= 2 or batch == 1 for d in dead} == {b"fail": True, b"crash": True, b"never": True}
        g.wait_output(f"order {ids[0]}, attempt")


PYTHON = """#!/usr/bin/python3
import execgate
def handle(request):
    failed = []
    for m in request.messages():
        print("got", m.header("Queue-Message-Id"), m.body.decode(), flush=True)
        if m.body == b"bad":
            failed.append(m.header("Queue-Message-Id"))
    return execgate.failed_messages(failed)
execgate.serve(handle)
"""


@pytest.mark.parametrize("batch", [1, 10])
def test_the_Python_template_takes_messages(tmp_path, batch):
    library = pathlib.Path(__file__).parents[2] / "sdk-examples/templates/python/execgate.py"
    text = blueprint(trigger=f", batch: {batch}, reportFailures: true").replace("./puppet.sh", "./handler.py")
    with Gateway(tmp_path, text, files={"handler.py": PYTHON, "execgate.py": library.read_text()}) as g:
        ids = send_all(g, ["good", "bad"])
        g.wait_output(f"got {ids[0]} good")
        dead, = wait_deaths(tmp_path, 1)
        assert dead["id"] == ids[1] and dead["attempts"] == 3
        wait_stats(tmp_path, messages=0, acknowledged=1)


def test_the_C_example_as_a_handler_of_dead_letters(tmp_path):
    text = blueprint(trigger=", reportFailures: true", more="      - {queue: dead, reportFailures: true}\n")
    with Gateway(tmp_path, text.replace("./puppet.sh", str(EXAMPLES / "orders"))) as g:
        id = send(g, "fail", Queue_Attributes="a=b")
        g.wait_output(f"a dead letter of orders, attempts used up (the handler reported it as failed): order {id}, attempt 1: fail")
