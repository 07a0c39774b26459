"""Queues in Redis: several gateways that share one, and a Redis that comes and goes."""
import contextlib
import json
import pathlib
import signal

import pytest
from execgate import Gateway, run_cli, wait_for
from queues import send, send_all
from redis_server import RedisServer

WORKER = (pathlib.Path(__file__).parent / "handlers" / "queue_worker.py").read_text()
BLUEPRINT = """blueprint: 1
name: shop
queues:
  orders: {{store: redis, url: "{url}", visibilityTimeout: 2s, maxAttempts: 100, retry: {{base: 1ms, max: 20ms}}, deadLetter: dead{queue}, send: [{{http: POST /send}}]}}
  dead: {{store: redis, url: "{url}"}}
  local: {{send: [{{http: POST /local}}]}}
handlers:
  worker:
    command: ./worker.py
    timeout: 1m
    processes: {{min: 1, max: 2, startTimeout: 1m, stopTimeout: 2s}}
    triggers:
      - {{queue: orders, batch: 5, reportFailures: true}}
      - {{queue: local}}
"""


@pytest.fixture
def redis(tmp_path):
    with RedisServer(tmp_path / "redis") as server:
        yield server


@contextlib.contextmanager
def gateway(folder, redis, queue=""):
    folder.mkdir(exist_ok=True)
    with Gateway(folder, BLUEPRINT.format(url=redis.url, queue=queue), files={"worker.py": WORKER}) as g:
        yield g


def handled(*folders):
    return [line for f in folders if (f / "handled").exists() for line in (f / "handled").read_text().splitlines()]


def wait_acknowledged(redis, count):
    wait_for(lambda: redis.counts().get("acknowledged", 0) >= count, 30, f"{count} acknowledged messages")


def test_two_gateways_share_a_queue(tmp_path, redis):
    one, two = tmp_path / "one", tmp_path / "two"
    with gateway(one, redis) as g, gateway(two, redis) as h:
        for hundred in range(4):
            send_all(h if hundred % 2 else g, [f"ok {hundred * 100 + i}" for i in range(100)])
        wait_acknowledged(redis, 400)
        assert sorted(handled(one, two)) == sorted(f"ok {i}" for i in range(400))  # each once
        assert handled(one) and handled(two)
        send(g, "here", path="/local")  # the other queue is each gateway's own
        wait_for(lambda: "here" in handled(one), 30, "the local message")
    assert redis.counts()["messages"] == 0
    assert redis.call("XINFO", "CONSUMERS", "execgate:{shop}:stream:orders", "execgate") == []  # they have left


def test_what_a_killed_gateway_had_is_handled_by_the_other(tmp_path, redis):
    one, two = tmp_path / "one", tmp_path / "two"
    with gateway(one, redis) as g, gateway(two, redis) as h:
        send_all(g, [f"{'crash once' if i % 20 == 7 else 'fail once' if i % 10 == 3 else 'ok'} {i}" for i in range(200)])
        g.stop(signal.SIGKILL)
        g.reader.join(10)
        send_all(h, [f"ok {i}" for i in range(200, 250)])
        wait_acknowledged(redis, 250)
        assert {int(line.split()[-1]) for line in handled(one, two)} == set(range(250))
        assert redis.counts()["messages"] == 0
        g.start()  # and it is welcome again
        send_all(g, [f"back {i}" for i in range(10)])
        wait_acknowledged(redis, 260)


def test_a_redis_that_dies_and_returns_loses_nothing(tmp_path, redis):
    one = tmp_path / "one"
    with gateway(one, redis) as g:
        for round in range(3):
            sent = [f"ok {round * 50 + i}" for i in range(50)]
            send_all(g, sent)
            redis.kill()
            answer = g.request("POST", "/send", "lost")  # after some seconds of waiting for it
            assert answer.status == 503, answer
            redis.start()
            wait_for(lambda: set(sent) <= set(handled(one)), 30, "what was sent before")
            wait_for(lambda: g.request("POST", "/send", "again").status == 202, 30, "the connection")
        wait_for(lambda: redis.counts()["messages"] == 0, 30, "an empty queue")
        assert g.logs("no connection to Redis, trying again") and g.logs("connected to Redis")


def test_without_redis_the_other_queues_work(tmp_path, redis):
    one = tmp_path / "one"
    redis.kill()
    with gateway(one, redis) as g:
        send(g, "here", path="/local")
        wait_for(lambda: handled(one) == ["here"], 30, "the local message")
        redis.start()
        wait_for(lambda: g.request("POST", "/send", "there").status == 202, 30, "the connection")
        wait_for(lambda: "there" in handled(one), 30, "the message in Redis")


def test_a_stream_of_other_programs_is_a_queue(tmp_path, redis):
    one = tmp_path / "one"
    with gateway(one, redis, queue=", stream: events, group: shop"):
        redis.call("XADD", "events", "*", "body", "from outside", "colour", "red")
        wait_for(lambda: handled(one) == ["from outside"], 30, "the message")
        wait_for(lambda: redis.call("XLEN", "events") == 0, 30, "an empty stream")


@pytest.mark.parametrize("queues, complaint", [
    ("q: {store: redis}", "needs a `url`"),
    ("q: {url: 'redis://h'}", "add `store: redis`"),
    ("q: {store: redis, url: 'redis://h', deadLetter: d}\n  d: {}", "must have the same `store` and `url`"),
    ("q: {store: redis, url: 'redis://h', stream: ''}", "a key of Redis"),
])
def test_contradictions_are_found_at_load(tmp_path, queues, complaint):
    (tmp_path / "b.yaml").write_text(f"blueprint: 1\nname: shop\nqueues:\n  {queues}\nhandlers:\n  h: {{command: /bin/true}}\n")
    result = run_cli("check", "b.yaml", cwd=tmp_path)
    assert result.returncode != 0 and complaint in result.stdout + result.stderr, result


@pytest.mark.parametrize("url", ["rediss://h", "redis://", "http://h"])
def test_wrong_urls_are_refused_at_the_start(tmp_path, url):
    (tmp_path / "b.yaml").write_text(f"blueprint: 1\nname: shop\nqueues:\n  q: {{store: redis, url: '{url}'}}\n"
                                     "handlers:\n  h: {command: /bin/true}\n")
    result = run_cli("run", "b.yaml", "--listen", "127.0.0.1:0", cwd=tmp_path)
    assert result.returncode != 0 and "redis://" in result.stdout + result.stderr, result


CLOCKED = """blueprint: 1
name: shop
queues:
  orders: {{store: redis, url: "{url}"}}
handlers:
  tick:
    command: ./tick.sh
    mode: once
    triggers: [{{schedule: rate(1 second), name: tick}}]
"""


def moments(*folders):
    return [line for f in folders if (f / "runs").exists() for line in (f / "runs").read_text().split()]


def test_a_moment_fires_in_one_of_the_gateways(tmp_path, redis):
    one, two = tmp_path / "one", tmp_path / "two"
    tick = {"tick.sh": '#!/bin/sh\necho "$EXECGATE_SCHEDULED_TIME" >>runs\n'}
    for folder in (one, two):
        folder.mkdir()
    with Gateway(one, CLOCKED.format(url=redis.url), files=tick) as g, Gateway(two, CLOCKED.format(url=redis.url), files=tick):
        wait_for(lambda: len(moments(one, two)) >= 5, 60, "five runs")
        seen = len(moments(two))
        g.stop()
        wait_for(lambda: len(moments(two)) >= seen + 3, 60, "runs of the other alone")
    assert len(moments(one, two)) == len(set(moments(one, two)))
    listed = run_cli("schedule", "list", "--json", cwd=two)
    assert listed.returncode == 0 and json.loads(listed.stdout)[0]["last"]["utc"] == max(moments(one, two)), listed.stderr
