"""Queues from outside: sending through their http triggers, and what stands in the store's file."""
import contextlib
import json
import pathlib
import sqlite3

from execgate import Gateway, wait_for
from native import Native, events_of
from puppet import SCRIPT, environment

LIST = "application/vnd.execgate.messages+json"
RUNTIME = "/2018-06-01/runtime/invocation"
BLUEPRINT = """blueprint: 1
name: shop
queues:
  orders: {{visibilityTimeout: 2s, maxAttempts: 3, retry: {{base: 1ms, max: 20ms}}, deadLetter: dead{queue}, send: [{{http: POST /send}}]}}
  dead: {{}}
{queues}
handlers:
  puppet:
    command: ./puppet.sh
    timeout: 1m
    processes: {{min: 1, max: 1, concurrency: {concurrency}, startTimeout: 1m, stopTimeout: 200ms}}
{handler}    triggers:
      - {{queue: orders{trigger}}}
{more}"""


def blueprint(trigger="", queue="", queues="", handler="", more="", concurrency=1):
    """Pieces begin with a comma (trigger, queue) or are whole lines."""
    return BLUEPRINT.format(trigger=trigger, queue=queue, queues=queues, handler=handler, more=more,
                            concurrency=concurrency)


@contextlib.contextmanager
def shop(folder, **pieces):
    """(gateway, environment of the puppet, which takes the queue `orders`)"""
    with Gateway(folder, blueprint(**pieces), files={"puppet.sh": SCRIPT}) as g:
        yield g, environment(folder)


def send(g, body, path="/send", **headers):
    answer = g.request("POST", path, body, {k.replace("_", "-"): v for k, v in headers.items()})
    assert answer.status == 202, answer
    return answer.json()["messageId"]


def send_all(g, bodies, path="/send"):
    """At once, so they are ready at once; their ids."""
    messages = [{"body": b} if isinstance(b, str) else b for b in bodies]
    answer = g.request("POST", path, json.dumps({"messages": messages}), {"Content-Type": LIST})
    assert answer.status == 202, answer
    return [m["messageId"] for m in answer.json()["messages"]]


class Batch:
    """An event of the Lambda face."""

    def __init__(self, answer):
        self.id = answer["Lambda-Runtime-Aws-Request-Id"]
        self.records = answer.json()["Records"]

    @property
    def bodies(self):
        return [r["body"] for r in self.records]

    @property
    def ids(self):
        return [r["messageId"] for r in self.records]

    def counts(self):
        return [int(r["attributes"]["ApproximateReceiveCount"]) for r in self.records]


class Puppet(Native):
    """The handler's side, in either face."""

    def batch(self):
        return Batch(self.next())

    def succeed(self, batch, answer=None):
        assert self.respond(batch.id, answer).status == 202

    def fail(self, batch, message="no", **more):
        assert self.error(batch.id, {"errorMessage": message, "errorType": "Test.Failure"} | more).status == 202


def failures(*ids):
    return {"batchItemFailures": [{"itemIdentifier": i} for i in ids]}


def messages_of(event):
    """A native queue event is a pipeline of messages itself."""
    assert event["Content-Type"] == "application/http"
    return events_of(event.body)


def store_file(folder, name="shop"):
    return pathlib.Path(folder) / ".execgate" / name / "queues.db"


def rows(folder, sql, *values):
    with contextlib.closing(sqlite3.connect(f"file:{store_file(folder)}?mode=ro", uri=True, timeout=30)) as db:
        db.row_factory = sqlite3.Row
        return [dict(r) for r in db.execute(sql, values)]


def stats(folder, queue="orders"):
    """How many messages it has, and what has become of those it had."""
    return wait_for(lambda: rows(folder, "SELECT * FROM queue WHERE name = ?", queue), 30, f"the queue {queue} in the store")[0]


def wait_stats(folder, queue="orders", **wanted):
    def fits():
        found = stats(folder, queue)
        return all(found[k] == v for k, v in wanted.items()) and found
    return wait_for(fits, 30, f"{queue} with {wanted}")


def wait_empty(folder, queue="orders"):
    return wait_stats(folder, queue, messages=0)


def deaths(folder, queue="dead"):
    """What lies in a dead letter queue, and why."""
    return rows(folder, "SELECT m.id, m.body, d.queue, d.reason, d.error, d.attempts FROM message m JOIN death d ON d.seq = m.seq "
                "JOIN queue q ON q.id = m.queue WHERE q.name = ? ORDER BY m.seq", queue)


def wait_deaths(folder, count, queue="dead"):
    return wait_for(lambda: (found := deaths(folder, queue)) and len(found) == count and found, 30, f"{count} dead letters")


def note(folder, key, value):
    """What `execgate queue pause` writes; None takes it away."""
    with contextlib.closing(sqlite3.connect(store_file(folder), timeout=30)) as db, db:
        if value is None:
            db.execute("DELETE FROM note WHERE key = ?", (key,))
        else:
            db.execute("INSERT OR REPLACE INTO note(key, value) VALUES(?, ?)", (key, value.encode()))
