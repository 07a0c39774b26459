"""Handlers are killed at random while many clients ask: every request gets exactly one answer, and it is its own."""
import json
import os
import random
import re
import signal
import socket
import threading
import time

import pytest
from execgate import EXAMPLES, ROOT, SLOW, Gateway, children, read_answer, wait_for

REQUESTS = {"native": 5000 // SLOW, "lambda": 5000 // SLOW, "server": 1200 // SLOW}
CLIENTS = 4  # for each handler
KILLS = 60
SERVED = {"native": 0.5, "lambda": 0.5, "server": 0.01}  # of them at least; a server takes a while to start again

BLUEPRINT = f"""
blueprint: 1
name: chaos
limits: {{headerTimeout: 3s, bodyTimeout: 3s, idleTimeout: 20s}}
handlers:
  native:
    command: {EXAMPLES}/echo
    processes: {{min: 2, max: 4, concurrency: 8, idleTimeout: 500ms}}
    triggers: [{{http: 'ANY /native/{{n}}'}}]
  lambda:
    command: {EXAMPLES}/lambda_echo
    processes: {{min: 2, max: 4, idleTimeout: 500ms}}
    triggers: [{{http: 'ANY /lambda/{{n}}'}}]
  server:
    command: {ROOT}/tests/e2e/handlers/stream_server.py
    mode: server
    processes: {{min: 2, max: 4, idleTimeout: 500ms}}
    triggers: [{{http: 'ANY /server/{{what}}/{{n}}'}}]
"""
PATHS = {"native": "/native/%s", "lambda": "/lambda/%s", "server": "/server/echo/%s"}


class Client(threading.Thread):
    """Asks one request after the other on one connection; what it saw is in `answers`, `failures`."""

    def __init__(self, gateway, handler, numbers, progress):
        super().__init__(daemon=True)
        self.gateway, self.handler, self.numbers, self.progress = gateway, handler, numbers, progress
        self.answers, self.failures, self.cuts = {}, [], 0
        self.socket = self.file = None

    def connect(self):
        self.socket = self.gateway.connect(timeout=30)
        self.file = self.socket.makefile("rb")

    def run(self):
        try:
            self.connect()
            for n in self.numbers:
                self.ask(n)
        except (OSError, ValueError, AttributeError) as e:
            self.failures.append(repr(e))

    def ask(self, n):
        body = f"{self.handler} {n} ".encode() * (1 + n % 7)
        self.socket.sendall(f"POST {PATHS[self.handler] % n}?q={n} HTTP/1.1\r\nHost: a\r\nX-Request-Id: {self.handler}-{n}\r\nContent-Type: text/plain\r\n"
                            f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = read_answer(self.file)
        if answer is None:
            self.failures.append(f"{n}: closed without an answer")
            self.connect()
            return
        self.answers[n] = answer.status
        self.progress[0] += 1
        if self.is_cut(answer):
            self.cuts += 1
            self.connect()
            return
        self.check(n, body, answer)
        if answer["Connection"] == "close":
            self.connect()
        if answer.status == 503:
            time.sleep(0.02)  # as a polite client does; the pool says so in Retry-After

    def is_cut(self, answer):
        """A proxied answer is passed on as it comes: when its server dies within it, the client is broken off."""
        return self.handler == "server" and len(answer.body) < int(answer["Content-Length"])

    def check(self, n, body, answer):
        right = answer["X-Request-Id"] == f"{self.handler}-{n}"
        if answer.status == 200 and self.handler == "native":
            right = right and answer.body == body
        elif answer.status == 200 and self.handler == "server":
            right = right and answer.json()["path"] == f"/server/echo/{n}?q={n}" and answer.json()["body"].encode() == body
        elif answer.status == 200:
            event = answer.json()
            right = right and event["rawQueryString"] == f"q={n}" and event["body"].encode() == body and event["pathParameters"] == {"n": str(n)}
        elif answer.status in (502, 503, 504):
            right = right and answer.json()["requestId"] == f"{self.handler}-{n}"
        else:
            right = False
        if not right:
            self.failures.append(f"{n}: {answer}")


def kill_one(gateway, random):
    """SIGKILL for one of the processes that are there."""
    pids = gateway.handler_pids()
    if not pids:
        return 0
    try:
        os.kill(random.choice(pids), signal.SIGKILL)
    except ProcessLookupError:
        return 0
    return 1


def descriptors(g):
    return len(os.listdir(f"/proc/{g.pid}/fd"))


@pytest.fixture(scope="module")
def storm(tmp_path_factory):
    """What became of the storm: (gateway, clients, descriptors before, kills)."""
    with Gateway(tmp_path_factory.mktemp("chaos"), BLUEPRINT) as g:
        for path in PATHS.values():
            assert wait_for(lambda: g.request("POST", path % "first", b"x").status == 200)
        wait_for(lambda: len(g.handler_pids()) == 6)
        before, progress = descriptors(g), [0]
        clients = [Client(g, handler, range(i, count, CLIENTS), progress) for handler, count in REQUESTS.items() for i in range(CLIENTS)]
        for c in clients:
            c.start()
        dice, killed, total = random.Random(7), 0, sum(REQUESTS.values())
        while any(c.is_alive() for c in clients) and killed < KILLS:
            due = (killed + 1) * total // (KILLS + 1)  # spread over the run, whatever the machine's speed
            wait_for(lambda: progress[0] >= due or not any(c.is_alive() for c in clients), 60, f"{due} answers")
            killed += kill_one(g, dice)
        for c in clients:
            c.join(60 * SLOW)
            assert not c.is_alive(), "a request hangs"
        for c in clients:
            c.file.close()
            c.socket.close()
        yield g, clients, before, killed


def of(clients, handler):
    """{number: status} of one handler's requests"""
    return {n: s for c in clients if c.handler == handler for n, s in c.answers.items()}


def test_every_request_has_exactly_one_answer_and_its_own(storm):
    _, clients, _, killed = storm
    assert [f for c in clients for f in c.failures] == []
    for handler, count in REQUESTS.items():
        answers = of(clients, handler)
        assert sorted(answers) == list(range(count))
        statuses = {s: list(answers.values()).count(s) for s in set(answers.values())}
        assert set(statuses) <= {200, 502, 503, 504} and statuses[200] > count * SERVED[handler], (handler, statuses)
    assert killed >= KILLS // 2 and sum(c.cuts for c in clients) <= killed
    assert any(s == 502 for c in clients for s in c.answers.values()), "nobody was hit: the test proves nothing"


def test_the_access_log_has_one_line_for_each(storm):
    g, clients, _, _ = storm
    wait_for(lambda: len(g.logs("request")) >= sum(REQUESTS.values()) + 3, 20, "the access log")
    for handler, count in REQUESTS.items():
        lines = [e for e in g.logs(handler=handler) if e["message"] == "request" and re.fullmatch(handler + r"-\d+", e["request_id"])]
        assert len(lines) == count == len({e["request_id"] for e in lines})
        answers = of(clients, handler)
        assert {int(e["request_id"].split("-")[1]): e["status"] for e in lines} == answers, "the log and the clients disagree"
        assert all(e["path"] == PATHS[handler] % e["request_id"].split("-")[1] for e in lines)


def test_the_pools_recover(storm):
    g, _, _, _ = storm
    for path in PATHS.values():
        wait_for(lambda: g.request("POST", path % "after", b"x").status == 200, 30, f"the recovery of {path}")
    obituaries = [e for e in g.logs("handler exited") if "SIGKILL" in e.get("exit", "")]
    assert len(obituaries) >= KILLS // 2


def test_nothing_is_left_behind(storm):
    g, _, before, _ = storm
    wait_for(lambda: len(children(g.pid)) == 6 and children(g.pid) == g.handler_pids(), 30, "2 processes for each handler, and no zombie")
    most = before + 2 * CLIENTS  # connections to both servers are kept for the next request
    wait_for(lambda: descriptors(g) <= most, 20, f"no more than {most} descriptors, now {descriptors(g)}")
    g.process.send_signal(signal.SIGUSR1)
    status = wait_for(lambda: len(g.logs("pool status")) >= 3 and g.logs("pool status"), what="the status")
    for pool in status:
        assert pool["queued"] == pool["busy"] == pool["stopping"] == 0, pool
        assert pool["submitted"] >= pool["completed"] > REQUESTS[pool["handler"]] * SERVED[pool["handler"]], json.dumps(pool)
    for worker in g.logs("worker status"):
        assert worker["running"] == worker["streams"] == 0, worker


def test_clients_that_leave_at_any_moment_leave_nothing(storm):
    """The other half of the storm: here the clients go, with a request half sent, in the queue, in work, half answered."""
    g, _, before, _ = storm
    dice = random.Random(11)
    request = b"POST /native/1?q=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    for _ in range(300):
        with g.connect() as s:
            whole = dice.randint(0, 3)
            s.sendall(request * whole + request[:dice.randint(0, len(request))])
            if whole and dice.random() < 0.3:
                s.recv(dice.randint(1, 400))
            if dice.random() < 0.3:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # with a reset
    for path in PATHS.values():
        assert g.request("POST", path % "after", b"x").status == 200
    wait_for(lambda: descriptors(g) <= before + 2 * CLIENTS, 30, f"no more than {before + 2 * CLIENTS} descriptors, now {descriptors(g)}")
