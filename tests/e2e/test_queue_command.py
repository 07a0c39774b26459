"""`execgate queue`, on both kinds of stores, with and without a gateway."""
import base64
import contextlib
import json
import os
import pathlib
import pty
import select
import signal
import subprocess
import time

import pytest
from execgate import BINARY, Gateway, run_cli, wait_for
from redis_server import RedisServer

WORKER = (pathlib.Path(__file__).parent / "handlers" / "queue_worker.py").read_text().replace('"fail once") and first', '"fail ")')  # each time
BLUEPRINT = """blueprint: 1
name: shop
queues:
  orders: {{{store}visibilityTimeout: 5s, maxAttempts: 1, deadLetter: dead}}
  dead: {{{store}}}
  lined: {{{store}fifo: true}}
  small: {{{store}maxMessage: 1KiB}}
  slow: {{{store}delay: 1h}}
handlers:
  worker:
    command: ./worker.py
    timeout: 1m
    processes: {{min: 1, max: 1, startTimeout: 1m, stopTimeout: 2s}}
    triggers:
      - {{queue: orders, batch: 10, reportFailures: true}}
"""


class Shop:
    """A folder with a blueprint, and what `execgate queue` says there."""

    def __init__(self, folder, store):
        self.folder = folder
        self.text = BLUEPRINT.format(store=store)
        (folder / "blueprint.yaml").write_text(self.text)

    def run(self, *words, **more):
        return run_cli("queue", *words, cwd=self.folder, **more)

    def good(self, *words, **more):
        r = self.run(*words, **more)
        assert r.returncode == 0, r.stderr
        return r.stdout

    def bad(self, *words, status=2, **more):
        """What it complains of."""
        r = self.run(*words, **more)
        assert r.returncode == status, (r.returncode, r.stdout, r.stderr)
        return r.stderr

    def json(self, *words, **more):
        return json.loads(self.good(*words, "--json", **more))

    def lines(self, *words, **more):
        return [json.loads(line) for line in self.good(*words, **more).splitlines()]

    def send(self, queue, body, *options):
        return self.good("send", queue, body, *options).split()[0]

    def peek(self, queue, *options):
        return self.lines("peek", queue, "--json", *options)

    def bodies(self, queue):
        return [m["body"] for m in self.peek(queue, "-n", "10000")]

    def list(self, interval="0s"):
        return {q["queue"]: q for q in self.json("list", "--interval", interval)}

    def counted(self, queue="orders"):
        return self.list()[queue]["counters"]

    @contextlib.contextmanager
    def gateway(self):
        with Gateway(self.folder, self.text, files={"worker.py": WORKER}) as g:
            yield g

    def bury(self, *bodies):
        """Messages that their handler fails with lie in the dead letter queue."""
        feed = "".join(json.dumps({"body": b}) + "\n" for b in bodies)
        self.good("send", "orders", "-", "--batch", stdin=feed)
        with self.gateway():
            wait_for(lambda: self.list()["dead"]["messages"] == len(bodies), 30, "dead letters")

    def handled(self):
        file = self.folder / "handled"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture(params=["sqlite", "redis"])
def shop(request, tmp_path):
    folder = tmp_path / "shop"
    folder.mkdir()
    if request.param == "sqlite":
        yield Shop(folder, "")
        return
    with RedisServer(tmp_path / "redis") as server:
        yield Shop(folder, f'store: redis, url: "{server.url}", ')


@pytest.fixture
def local(tmp_path):
    """Where the kind of store makes no difference."""
    return Shop(tmp_path, "")


# --- list ---

def test_list_shows_every_place(shop):
    shop.send("orders", "now")
    shop.send("orders", "later", "--delay", "1h")
    for body in "ab":
        shop.send("lined", body, "--group", "g")
    found = shop.list()
    assert set(found) >= {"orders", "dead", "lined", "small", "slow"}
    orders, lined = found["orders"], found["lined"]
    assert (orders["messages"], orders["ready"], orders["delayed"], orders["inFlight"]) == (2, 1, 1, 0)
    assert (lined["ready"], lined["blocked"]) == (1, 1)
    assert orders["deadLetter"] == "dead" and orders["dead"] == 0 and orders["inBlueprint"] and not orders["paused"]
    assert orders["counters"]["sent"] == 2 and "rates" not in orders
    first = wait_for(lambda: shop.list()["orders"]["oldestAgeMs"], 30, "an age")
    assert first > 0
    header, line, *_ = shop.good("list", "--interval", "0s").splitlines()
    assert header.split() == ["QUEUE", "READY", "IN", "FLIGHT", "DELAYED", "BLOCKED", "DEAD", "OLDEST"]
    assert line.split()[:6] == ["orders", "1", "0", "1", "0", "0"]


def test_list_measures_rates(shop):
    shop.send("orders", "before")
    listing = subprocess.Popen([BINARY, "queue", "list", "--interval", "10s", "--json"], cwd=shop.folder, stdout=subprocess.PIPE, text=True)
    while listing.poll() is None:  # whenever it measures, something is sent meanwhile
        shop.send("slow", "x")
    rates = {q["queue"]: q["rates"] for q in json.loads(listing.communicate()[0])}
    assert rates["slow"]["sent"] > 0 and rates["slow"]["intervalMs"] >= 10000
    assert rates["orders"] | {"intervalMs": 0} == {"intervalMs": 0, "sent": 0, "received": 0, "failed": 0}
    assert "SENT/S" in shop.good("list", "--interval", "1ms")


def test_list_sees_what_a_gateway_has_done(shop):
    with shop.gateway():
        shop.send("orders", "ok a")
        shop.send("orders", "fail b")
        wait_for(lambda: shop.list()["dead"]["messages"] == 1, 30, "the dead letter")
        wait_for(lambda: shop.counted()["acknowledged"] == 1, 30, "the other one")
        found = shop.list()["orders"]
        assert found["dead"] == 1 and found["messages"] == 0 and found["counters"]["buried"] == 1
    assert "ok a" in shop.handled()


def test_a_queue_that_the_blueprint_names_no_more(local):
    local.send("small", "left behind")
    (local.folder / "blueprint.yaml").write_text(local.text.replace("  small: {maxMessage: 1KiB}\n", ""))
    assert not local.list()["small"]["inBlueprint"]
    assert "not in the blueprint" in local.good("list", "-i", "0s")
    assert local.bodies("small") == ["left behind"]
    assert 'no queue "small"' in local.bad("send", "small", "x")
    assert local.json("purge", "small", "--yes")["purged"] == 1


def test_queues_of_invocations(local):
    with local.gateway():
        everything = wait_for(lambda: (q := {q["queue"] for q in local.json("list", "--all", "-i", "0s")}) and "async/worker" in q and q, 30, "its queue")
        assert everything - set(local.list()) == {"async/worker"}  # never used
        assert local.peek("async/worker") == []
        assert 'no queue "async/worker"' in local.bad("pause", "async/worker")


# --- send and peek ---

def test_send_has_everything_that_a_message_can_have(shop):
    id = shop.send("orders", "hello", "--group", "g", "--dedup-id", "d", "--attribute", "colour=dark blue", "-a", "n=1",
                   "--content-type", "text/plain")
    again = shop.json("send", "orders", "hello", "--dedup-id", "d")
    assert again == {"messageId": id, "duplicate": True}
    message, = shop.peek("orders")
    assert message.pop("sentMs") > 1.7e12
    assert message == {"id": id, "place": "ready", "contentType": "text/plain", "groupId": "g", "dedupId": "d",
                       "attributes": {"colour": "dark blue", "n": "1"}, "body": "hello"}
    text = shop.good("peek", "orders")
    assert id in text and "group=g" in text and "colour: dark blue" in text and "  hello\n" in text


def test_bodies_come_from_stdin_and_files(shop):
    (shop.folder / "body").write_bytes(b"\xff\x00\n")
    shop.send("orders", "@body")
    shop.good("send", "orders", "-", stdin="from stdin\n")
    shop.send("orders", "")
    first, second, third = shop.peek("orders")
    assert base64.b64decode(first["bodyBase64"]) == b"\xff\x00\n" and "body" not in first
    assert second["body"] == "from stdin\n" and third["body"] == ""


def test_the_blueprints_delay_is_kept_unless_told_otherwise(shop):
    shop.send("slow", "as the blueprint says")
    shop.send("slow", "now", "--delay", "0s")
    found = {m["body"]: m for m in shop.peek("slow")}
    assert found["now"]["place"] == "ready"
    assert found["as the blueprint says"]["place"] == "delayed" and 0 < found["as the blueprint says"]["delayMs"] <= 3600000


def test_a_batch_is_sent_line_by_line(shop):
    feed = [{"body": f"m{i}", "groupId": f"g{i % 7}", "attributes": {"i": str(i), "n": {"type": "number", "value": "7"}}} for i in range(1203)]
    out = shop.lines("send", "orders", "-", "--batch", "--json", stdin="\n".join(map(json.dumps, feed)))
    assert len({m["messageId"] for m in out}) == 1203
    assert shop.list()["orders"]["messages"] == 1203
    found = shop.peek("orders", "--where", "no=json")
    assert found == []
    one, = shop.peek("orders", "--id", out[77]["messageId"])
    assert one["body"] == "m77" and one["attributes"] == {"i": "77", "n": {"type": "number", "value": "7"}}


def test_a_wrong_line_stops_a_batch_and_what_came_before_is_sent(shop):
    feed = '{"body":"a"}\n\n{"body":"b"}\n{"bdy":"c"}\n{"body":"d"}\n'
    r = shop.run("send", "orders", "-", "--batch", stdin=feed)
    assert r.returncode == 2 and len(r.stdout.split()) == 2
    assert 'stdin, line 4: a message has no member "bdy"; what stands before it is in the queue' in r.stderr
    assert shop.bodies("orders") == ["a", "b"]
    for line, complaint in [("{", "is no JSON"), ("7", "must be an object"), ('{"body":7}', "body: must be a text"),
                            ('{"bodyBase64":"#"}', "bodyBase64: is not base64"), ('{"body":"x","delay":"soon"}', "30s"),
                            ('{"body":"x","id":"mine"}', 'no member "id"'), ('{"contentType":"a"}', "needs a body"),
                            ('{"body":"x","attributes":{"a":7}}', "attributes: must be")]:
        assert f"line 1: " in (said := shop.bad("send", "orders", "-", "--batch", stdin=line)) and complaint in said


def test_a_batch_that_comes_slowly_is_sent_as_it_comes(shop):
    p = subprocess.Popen([BINARY, "queue", "send", "orders", "-", "--batch"], cwd=shop.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for i in range(3):
        p.stdin.write(json.dumps({"body": str(i)}) + "\n")
        p.stdin.flush()
        assert len(p.stdout.readline().strip()) == 36
        assert shop.bodies("orders") == [str(k) for k in range(i + 1)]
    p.send_signal(signal.SIGINT)
    assert p.wait(60) == 4
    p.stdin.close()
    p.stdout.close()


def test_what_cannot_be_sent_is_refused_with_why(shop):
    assert 'no queue "ordres"; did you mean "orders"?' in shop.bad("send", "ordres", "x")
    assert "up to 1024 bytes" in shop.bad("send", "small", "x" * 1025)
    assert "line 1: queue small takes messages of up to 1024 bytes" in shop.bad("send", "small", "-", "--batch", stdin=json.dumps({"body": "x" * 1025}))
    assert "needs a group id" in shop.bad("send", "lined", "x")
    assert "--delay takes a duration" in shop.bad("send", "orders", "x", "--delay", "soon")
    assert "NAME=VALUE" in shop.bad("send", "orders", "x", "--attribute", "nothing")
    assert 'cannot open "nowhere"' in shop.bad("send", "orders", "@nowhere")
    assert "what is to be sent" in shop.bad("send", "orders")
    assert "with --batch each line" in shop.bad("send", "orders", "-", "--batch", "--group", "g")
    assert "from - or @FILE" in shop.bad("send", "orders", "x", "--batch")
    assert shop.list()["orders"]["messages"] == 0


def test_peek_shows_some_and_touches_none(shop):
    for i in range(12):
        shop.send("orders", json.dumps({"n": i, "customer": {"region": "eu" if i % 2 else "us"}}))
    assert len(shop.peek("orders")) == 10 and len(shop.peek("orders", "-n", "3")) == 3
    assert [json.loads(m["body"])["n"] for m in shop.peek("orders", "--where", "customer.region=eu", "-n", "4")] == [1, 3, 5, 7]
    assert shop.list()["orders"]["ready"] == 12 and shop.counted()["received"] == 0
    assert "no such message" in shop.run("peek", "orders", "--reason", "x").stderr


# --- purge ---

def test_purge_removes_all(shop):
    feed = "".join(json.dumps({"body": str(i), "groupId": f"g{i % 3}"}) + "\n" for i in range(2300))
    shop.good("send", "orders", "-", "--batch", stdin=feed)
    shop.send("orders", "later", "--delay", "1h")
    assert shop.json("purge", "orders", "--yes") == {"queue": "orders", "purged": 2301, "complete": True}
    assert shop.list()["orders"]["messages"] == 0 and shop.counted()["purged"] == 2301
    assert shop.good("purge", "orders", "-y") == "orders: 0 messages purged\n"


def test_purge_takes_what_a_handler_has_too(shop):
    slow = WORKER.replace("def handle(record):", "def handle(record):\n    import time\n    while not os.path.exists('go'): time.sleep(0.01)")
    with Gateway(shop.folder, shop.text, files={"worker.py": slow}):
        shop.send("orders", "held")
        wait_for(lambda: shop.list()["orders"]["inFlight"] == 1, 30, "a message in flight")
        assert shop.json("purge", "orders", "--yes")["purged"] == 1
        shop.send("orders", "next")
        (shop.folder / "go").touch()
        wait_for(lambda: shop.handled() == ["held", "next"], 30, "both")
        wait_for(lambda: shop.list()["orders"]["messages"] == 0, 30, "an empty queue")
        assert shop.counted()["acknowledged"] == 1


def test_purge_needs_a_yes(shop):
    shop.send("orders", "precious")
    complaint = shop.bad("purge", "orders", stdin="y\n")
    assert 'would remove 1 messages from "orders"' in complaint and "--yes" in complaint
    assert shop.bodies("orders") == ["precious"]


def on_terminal(shop, answer, *words):
    """Exit status and what a person sees, who types the answer at the question."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(shop.folder)
        os.execv(BINARY, [str(BINARY), "queue", *words])
    seen = ""
    asked = False
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if not select.select([fd], [], [], 1)[0]:
            continue
        try:
            seen += os.read(fd, 65536).decode()
        except OSError:  # the terminal's other end is gone
            break
        if "[y/N]" in seen and not asked:
            asked = True
            os.write(fd, answer.encode())
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen


def test_purge_asks_a_person(shop):
    shop.send("orders", "precious")
    for answer in ("n\n", "\n", "yess\n", "Y" * 200 + "\n"):
        status, seen = on_terminal(shop, answer, "purge", "orders")
        assert status == 0 and 'Remove 1 message from "orders" for good' in seen and "0 messages purged" in seen
    assert on_terminal(shop, "\x03", "purge", "orders")[0] == -signal.SIGINT
    assert shop.bodies("orders") == ["precious"]
    status, seen = on_terminal(shop, "yes\n", "purge", "orders")
    assert status == 0 and "1 message purged" in seen
    assert shop.bodies("orders") == []


def test_a_person_sees_how_far_long_work_is(shop):
    feed = "".join(json.dumps({"body": "x"}) + "\n" for _ in range(1500))
    shop.good("send", "orders", "-", "--batch", stdin=feed)
    for words, shown in [(["redrive", "orders", "--to", "dead"], "1000 of 1500 messages redriven"),
                         (["export", "dead", "-o", "kept"], "500 of 1500 messages read"),
                         (["purge", "dead", "--yes"], "1000 of 1500 messages purged"),
                         (["import", "dead", "-i", "kept"], "500 messages imported")]:
        status, seen = on_terminal(shop, "", *words)
        assert status == 0 and shown in seen and "1500 messages " in seen.splitlines()[-1]


# --- redrive ---

def test_redrive_sends_the_dead_back(shop):
    shop.bury("fail a", "fail b", "fail c")
    message = shop.peek("dead")[0]
    assert message["death"]["queue"] == "orders" and message["death"]["attempts"] == 1
    assert "died in orders" in shop.good("peek", "dead")
    assert shop.json("redrive", "dead", "--limit", "2") == {"queue": "dead", "redriven": 2, "complete": True}
    assert shop.bodies("orders") == ["fail a", "fail b"] and shop.bodies("dead") == ["fail c"]
    assert shop.good("redrive", "dead") == "dead: 1 message redriven\n"
    again = shop.peek("orders")
    assert [m["body"] for m in again] == ["fail a", "fail b", "fail c"] and message["id"] == again[0]["id"]
    assert "death" not in again[0]


def test_redrive_takes_those_that_fit(shop):
    bodies = ["fail " + x for x in "abcd"]
    shop.bury(*bodies)
    ids = {m["body"]: m["id"] for m in shop.peek("dead")}
    reason = shop.peek("dead")[0]["death"]["reason"]
    assert shop.json("redrive", "dead", "--reason", "no such")["redriven"] == 0
    assert shop.json("redrive", "dead", "--id", ids["fail b"], "--id", ids["fail d"])["redriven"] == 2
    assert shop.bodies("dead") == ["fail a", "fail c"]
    assert shop.json("redrive", "dead", "--reason", reason, "--limit", "1", "--to", "small")["redriven"] == 1
    assert shop.bodies("small") == ["fail a"] and shop.bodies("dead") == ["fail c"]


def test_redrive_by_a_field_of_the_body(shop):
    feed = [{"body": json.dumps({"n": i, "customer": {"region": "eu" if i % 3 else "us"}})} for i in range(600)]
    (shop.folder / "feed").write_text("\n".join(map(json.dumps, feed)))
    shop.good("send", "dead", "@feed", "--batch")
    assert shop.json("redrive", "dead")["redriven"] == 0  # none of them died, so there is nowhere to go
    assert shop.json("redrive", "dead", "--to", "orders", "--where", "customer.region=us")["redriven"] == 200
    assert shop.list()["dead"]["messages"] == 400 and shop.list()["orders"]["messages"] == 200


def test_redrive_keeps_the_order_of_groups(shop):
    feed = [{"body": json.dumps({"i": i, "odd": i % 2}), "groupId": "g"} for i in range(2600)]
    (shop.folder / "feed").write_text("\n".join(map(json.dumps, feed)))
    shop.good("send", "dead", "@feed", "--batch")
    assert shop.json("redrive", "dead", "--to", "orders", "--where", "odd=1")["redriven"] == 1300
    assert [json.loads(b)["i"] for b in shop.bodies("orders")] == list(range(1, 2600, 2))
    assert shop.json("redrive", "dead", "--to", "small")["redriven"] == 1300
    assert [json.loads(b)["i"] for b in shop.bodies("small")] == list(range(0, 2600, 2))


def test_redrive_comes_to_an_end_though_they_die_again(shop):
    bodies = [f"fail {i}" for i in range(40)]
    shop.bury(*bodies)
    with shop.gateway():
        assert shop.json("redrive", "dead")["redriven"] == 40
        wait_for(lambda: shop.counted("orders")["buried"] == 80, 30, "their second death")
        reason = shop.peek("dead")[0]["death"]["reason"]
        assert shop.json("redrive", "dead", "--reason", reason)["redriven"] == 40
        wait_for(lambda: shop.list()["dead"]["messages"] == 40, 30, "their third death")


def test_redrive_refuses_what_cannot_be(shop):
    assert 'no queue "daed"; did you mean "dead"?' in shop.bad("redrive", "daed")
    assert 'no queue "order"; did you mean "orders"?' in shop.bad("redrive", "dead", "--to", "order")
    assert "the queue that they are in" in shop.bad("redrive", "dead", "--to", "dead")
    assert "PATH=VALUE" in shop.bad("redrive", "dead", "--where", "region")
    assert "--limit takes a number" in shop.bad("redrive", "dead", "--limit", "0")


# --- export and import ---

def fill(shop):
    feed = [{"body": "text ü", "contentType": "text/plain", "groupId": "g", "dedupId": "d",
             "attributes": {"a": "b", "n": {"type": "number", "value": "7"}, "bytes": {"type": "binary", "valueBase64": "/wA="}}},
            {"bodyBase64": "//4A", "groupId": "g"}, {"body": "x" * 10000}, {"body": "later", "delay": "1h"}]
    shop.good("send", "orders", "-", "--batch", stdin="\n".join(map(json.dumps, feed)))


def without_times(messages):
    return sorted(({k: v for k, v in m.items() if k != "delayMs"} for m in messages), key=lambda m: m["id"])


def test_an_export_comes_back_whole(shop):
    fill(shop)
    before = shop.peek("orders")
    assert shop.json("export", "orders", "--output", "kept") == {"queue": "orders", "exported": 4, "complete": True}
    assert (shop.folder / "kept").stat().st_mode & 0o777 == 0o600
    text = shop.good("export", "orders")
    assert without_times(map(json.loads, text.splitlines())) == without_times(before)
    shop.good("purge", "orders", "--yes")
    assert shop.json("import", "orders", stdin=text) == {"queue": "orders", "imported": 4, "skipped": 0, "complete": True}
    after = shop.peek("orders")
    assert without_times(after) == without_times(before)
    first = next(m for m in after if m.get("dedupId"))
    assert first["attributes"] == {"a": "b", "n": {"type": "number", "value": "7"}, "bytes": {"type": "binary", "valueBase64": "/wA="}}


def test_an_import_repeated_adds_nothing(shop):
    fill(shop)
    shop.good("export", "orders", "-o", "kept")
    nothing = {"queue": "orders", "imported": 0, "skipped": 4, "complete": True}
    assert shop.json("import", "orders", "--input", "kept") == nothing  # they are there
    shop.good("purge", "orders", "--yes")
    assert shop.json("import", "orders", "--input", "kept")["imported"] == 4
    assert shop.json("import", "orders", "--input", "kept") == nothing
    shop.good("purge", "orders", "--yes")
    assert shop.json("import", "orders", "--input", "kept") == nothing  # they were there within a day
    assert shop.json("import", "orders", "--input", "kept", "--again")["imported"] == 4
    assert shop.json("import", "orders", "--input", "kept", "--again") == nothing
    assert shop.good("import", "orders", "--input", "kept") == "orders: 0 messages imported, 4 were imported before or are there\n"
    assert shop.list()["orders"]["messages"] == 4


def test_an_import_goes_on_where_it_stopped(shop):
    shop.good("send", "orders", "-", "--batch", stdin="".join(json.dumps({"body": str(i)}) + "\n" for i in range(1500)))
    lines = shop.good("export", "orders").splitlines(keepends=True)
    shop.good("purge", "orders", "--yes")
    broken = "".join(lines[:700]) + lines[700][:50]
    assert "line 701: is no JSON" in shop.bad("import", "orders", stdin=broken)
    assert shop.json("import", "orders", stdin="".join(lines)) == {"queue": "orders", "imported": 800, "skipped": 700, "complete": True}
    assert sorted(map(int, (json.loads(line)["body"] for line in shop.good("export", "orders").splitlines()))) == list(range(1500))


def test_an_import_beside_a_gateway_is_handled_once(shop):
    shop.good("send", "orders", "-", "--batch", stdin="".join(json.dumps({"body": f"ok {i}"}) + "\n" for i in range(700)))
    text = shop.good("export", "orders")
    shop.good("purge", "orders", "--yes")
    with shop.gateway():
        assert shop.json("import", "orders", stdin=text)["imported"] == 700
        wait_for(lambda: shop.counted()["acknowledged"] == 700, 30, "all of them")
        assert shop.json("import", "orders", stdin=text) == {"queue": "orders", "imported": 0, "skipped": 700, "complete": True}
    assert sorted(shop.handled()) == sorted(f"ok {i}" for i in range(700))


def test_the_dead_stay_dead_through_an_export(shop):
    shop.bury("fail a")
    before, = shop.peek("dead")
    shop.good("export", "dead", "-o", "kept")
    shop.good("purge", "dead", "--yes")
    shop.good("import", "dead", "-i", "kept")
    after, = shop.peek("dead")
    assert after == before
    assert shop.json("redrive", "dead")["redriven"] == 1
    assert shop.bodies("orders") == ["fail a"]


def test_groups_keep_their_order_through_an_export(shop):
    feed = [{"body": f"{g}{i}", "groupId": g} for i in range(30) for g in "abc"]
    shop.good("send", "lined", "-", "--batch", stdin="\n".join(map(json.dumps, feed)))
    text = shop.good("export", "lined")
    shop.good("purge", "lined", "--yes")
    shop.good("import", "lined", stdin=text)
    bodies = [m["body"] for m in shop.peek("lined", "-n", "1000")]
    for g in "abc":
        assert [b for b in bodies if b[0] == g] == [f"{g}{i}" for i in range(30)]


def test_an_export_of_some(shop):
    fill(shop)
    id = shop.peek("orders", "-n", "1")[0]["id"]
    assert [m["id"] for m in shop.lines("export", "orders", "--id", id)] == [id]


def test_a_stopped_export_goes_on(shop):
    shop.good("send", "orders", "-", "--batch", stdin="".join(json.dumps({"body": f"{i} " + "x" * 500}) + "\n" for i in range(4000)))
    with (shop.folder / "said").open("w+") as said:
        p = subprocess.Popen([BINARY, "queue", "export", "orders"], cwd=shop.folder, stdout=subprocess.PIPE, stderr=said, text=True)
        lines = [p.stdout.readline()]
        p.send_signal(signal.SIGINT)  # it cannot have got far: nobody reads what it writes
        lines += p.stdout.readlines()
        p.wait(60)
        p.stdout.close()
        said.seek(0)
        err = said.read()
    assert p.returncode == 4 and 0 < len(lines) < 4000 and "goes on" in err
    position = err.split("--after ")[1].split("`")[0]
    rest = shop.lines("export", "orders", "--after", position)
    assert {json.loads(line)["id"] for line in lines}.isdisjoint(m["id"] for m in rest)
    assert len(lines) + len(rest) == 4000


def test_what_cannot_be_imported_is_refused_with_why(shop):
    assert 'no queue "ordres"; did you mean "orders"?' in shop.bad("import", "ordres", stdin="")
    assert 'cannot open "nowhere"' in shop.bad("import", "orders", "-i", "nowhere")
    assert "cannot write" in shop.bad("export", "orders", "-o", "no/where", status=3)
    for line, complaint in [('{"body":"x","sentMs":-1}', "sentMs: must be a number from 0"), ('{"body":"x","death":{}}', "needs the queue"),
                            ('{"body":"x","death":{"queue":"a","x":1}}', 'death: has no member "x"'), ('{"body":"x","id":7}', "id: must be a text"),
                            ('{"body":"x","id":"' + "7" * 37 + '"}', "1 to 36 bytes"), ('{"body":"x","delayMs":1e99}', "delayMs: must be")]:
        said = shop.bad("import", "orders", stdin=line)
        assert "stdin, line 1: " in said and complaint in said
    assert shop.list()["orders"]["messages"] == 0


# --- pause and resume ---

def test_a_paused_queue_is_left_alone_until_it_is_resumed(shop):
    with shop.gateway() as g:
        shop.send("orders", "ok first")
        wait_for(lambda: "ok first" in shop.handled(), 30, "the first message")
        assert shop.json("pause", "orders") == {"queue": "orders", "paused": True}
        wait_for(lambda: g.logs("queue paused"), 30, "the pause")
        shop.send("orders", "ok second")
        found = shop.list()["orders"]
        assert found["paused"] and found["ready"] == 1
        assert " paused" in shop.good("list", "-i", "0s")
        assert shop.good("pause", "orders").startswith("orders: paused")  # as it was
    with shop.gateway():  # it outlives the gateway
        assert shop.list()["orders"]["paused"] and "ok second" not in shop.handled()
        assert shop.json("resume", "orders") == {"queue": "orders", "paused": False}
        wait_for(lambda: "ok second" in shop.handled(), 30, "the second message")
    assert shop.json("resume", "orders") == {"queue": "orders", "paused": False}
    assert not shop.list()["orders"]["paused"]
    assert 'no queue "order"; did you mean' in shop.bad("pause", "order")


# --- the command line ---

ACTIONS = ("list", "peek", "send", "purge", "redrive", "export", "import", "pause", "resume")


@pytest.mark.parametrize("action", ACTIONS)
def test_each_action_explains_itself_and_its_mistakes(local, action):
    help = local.good(action, "--help")
    assert help.splitlines()[2].startswith(f"Usage: execgate queue {action} ") and "--json" in help
    assert run_cli("help", "queue", action).stdout == help
    assert "did you mean --json" in local.bad(action, "--jsn")
    if action != "list":
        assert "which queue?" in local.bad(action)
        assert 'blueprint.yaml: no queue "ordres"; did you mean "orders"?' in local.bad(action, "ordres", *(["x"] if action == "send" else []))
        r = local.run(action, "ordres", *(["x"] if action == "send" else []), "--json")
        assert r.returncode == 2 and "did you mean" in json.loads(r.stdout)["error"]


def test_the_actions_are_listed_and_guessed():
    r = run_cli("queue")
    assert r.returncode == 2 and all(f"\n  {a} " in r.stderr for a in ACTIONS)
    assert run_cli("queue", "--help").stdout == r.stderr == run_cli("help", "queue").stdout
    assert 'did you mean "queue list"' in run_cli("queue", "lst").stderr
    assert "see `execgate queue --help`" in run_cli("queue", "xyzzy").stderr
    assert run_cli("help", "queue", "lst").returncode == 2


def test_the_blueprint_is_found_as_everywhere(local, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    local.send("orders", "x")
    file = local.folder / "blueprint.yaml"
    for words in (["peek", "orders", file], ["peek", "orders", "--blueprint", file]):
        r = run_cli("queue", *words, "--json", cwd=elsewhere)
        assert json.loads(r.stdout)["body"] == "x"
    r = run_cli("queue", "peek", "orders", cwd=elsewhere)
    assert r.returncode == 1 and "blueprint.yaml" in r.stderr
    file.write_text("blueprint: 1\nnme: shop\n")
    assert local.run("list").returncode == 1


def test_a_store_that_cannot_be_used_is_told(local, tmp_path):
    local.send("orders", "x")
    (tmp_path / ".execgate/shop/queues.db").write_bytes(b"not a database, but long enough to look like one" * 100)
    assert "queues.db" in local.bad("list", status=3)


def test_a_redis_that_is_away_is_told(tmp_path):
    with RedisServer(tmp_path / "redis") as server:
        away = Shop(tmp_path, f'store: redis, url: "{server.url}", ')
    complaint = away.bad("peek", "orders", status=3)
    assert str(server.port) in complaint
