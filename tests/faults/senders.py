"""Clients that send messages with known ids over HTTP and remember what they were told."""
import contextlib
import http.client
import json
import random
import subprocess
import threading
import time

from stand import BINARY

LIST = "application/vnd.execgate.messages+json"
ACCEPTED, REFUSED, UNKNOWN = "accepted", "refused", "unknown"


class Sender(threading.Thread):
    pause = 0.02

    def __init__(self, gateway, ledger, name, seed):
        super().__init__(daemon=True)
        self.gateway, self.ledger, self.label = gateway, ledger, name
        self.rng = random.Random(f"{seed}/{name}")
        self.connection = None
        self.count = 0
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.is_set():
            self.send_next()
            self.stopping.wait(self.rng.uniform(0, 2 * self.pause))

    def next_id(self):
        self.count += 1
        return f"{self.label}-{self.count}"

    def message(self, id):
        """What the handler is to do with it, and some bytes that make it long."""
        body = {"id": id}
        body |= self.rng.choice([{}, {}, {}, {}, {"onward": 1}, {"later": 1}, {"held": 1}, {"held": 1}, {"fail": 1}, {"refuse": 1}, {"fail": 2, "held": 1},
                                 {"die": 1, "onward": 1, "later": 1}])
        if self.rng.random() < 0.1:
            body["pad"] = "x" * self.rng.choice([3000, 60000])
        return json.dumps(body)

    def post(self, path, body, **fields):
        """(what is known, the answer's JSON or None)"""
        try:
            if not self.connection:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=60)
            self.connection.request("POST", path, body, {k.replace("_", "-"): v for k, v in fields.items()})
            answer = self.connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self.disconnect()
            time.sleep(0.02)
            return UNKNOWN, None
        if answer.status == 202:
            return ACCEPTED, json.loads(text)
        if answer.status not in (503, 504):
            self.ledger.note_surprise(f"{path}: {answer.status} {text[:300]!r}")
        return (REFUSED if answer.status == 503 else UNKNOWN), None

    def disconnect(self):
        with contextlib.suppress(AttributeError, OSError):
            self.connection.close()
        self.connection = None

    def post_until_accepted(self, path, id, body, **fields):
        """The answer; every attempt has the same deduplication id."""
        while True:
            known, answer = self.post(path, body, Queue_Dedup_Id=id, **fields)
            self.ledger.note_send(self.label, known)
            if known == ACCEPTED:
                return answer
            time.sleep(0.05 if known == REFUSED else 0.01)


class Plain(Sender):
    """One message after the other, or three at once; whatever comes of it."""

    def send_next(self):
        ids = [self.next_id() for _ in range(self.rng.choice([1, 1, 1, 3]))]
        bodies = [self.message(i) for i in ids]
        if len(ids) == 1:
            known, _ = self.post("/orders", bodies[0])
        else:
            known, _ = self.post("/orders", json.dumps({"messages": [{"body": b} for b in bodies]}), Content_Type=LIST)
        self.ledger.note_send(self.label, known)
        for id, body in zip(ids, bodies):
            self.ledger.note_told("orders", id, known, held="held" in json.loads(body))


class Deduplicated(Sender):
    """Sends until it is told that the message is kept, and sometimes once more."""

    def send_next(self):
        id = self.next_id()
        body = self.message(id)
        answer = self.post_until_accepted("/orders", id, body)
        self.ledger.note_told("orders", id, ACCEPTED, answer["messageId"], held="held" in json.loads(body))
        if self.rng.random() < 0.2:
            again = self.post_until_accepted("/orders", id, body)
            if again != {"messageId": answer["messageId"], "duplicate": True}:
                self.ledger.note_surprise(f"{id} sent again after {answer}: {again}")


class Command(Deduplicated):
    """The same by `execgate queue send`, which needs no gateway and is killed at times itself."""
    pause = 0.1

    def post(self, path, body, Queue_Dedup_Id):
        command = [str(BINARY), "queue", "send", path.strip("/"), "-", self.gateway.blueprint.name, "--json", "--dedup-id", Queue_Dedup_Id]
        patience = self.rng.choice([0.01, 0.1, 60, 60, 60, 60])
        try:
            end = subprocess.run(command, cwd=self.gateway.folder, input=body, capture_output=True, text=True, timeout=patience, check=False)
        except subprocess.TimeoutExpired:
            return UNKNOWN, None
        if end.returncode == 0:
            return ACCEPTED, json.loads(end.stdout)
        if end.returncode < 0 or not end.stdout + end.stderr:
            self.ledger.note_surprise(f"{command} ended with {end.returncode}")
        return REFUSED, None


class Ordered(Sender):
    """The messages of one group: each is sent after the one before was accepted."""
    pause = 0.06

    def send_next(self):
        id = self.next_id()
        answer = self.post_until_accepted("/ordered", id, json.dumps({"id": id} | self.rng.choice([{}, {}, {}, {"fail": 1}, {"refuse": 1}, {"die": 1}])),
                                          Queue_Group_Id=self.label)
        self.ledger.note_told("ordered", id, ACCEPTED, answer["messageId"])


class Poison(Sender):
    """Messages that no attempt succeeds with."""
    pause = 0.2

    def send_next(self):
        id = self.next_id()
        known, _ = self.post("/poison", json.dumps({"id": id}))
        self.ledger.note_send(self.label, known)
        self.ledger.note_told("dead", id, known)


SENDERS = [(Plain, "plain", 2), (Deduplicated, "dedup", 2), (Command, "command", 1), (Ordered, "group", 4), (Poison, "poison", 1)]


def start_senders(gateways, ledger, seed):
    """Each sends to one of the gateways."""
    senders = [kind(gateways[i % len(gateways)], ledger, f"{name}{i}", seed) for kind, name, count in SENDERS for i in range(count)]
    for s in senders:
        s.start()
    return senders


def stop_senders(senders):
    for s in senders:
        s.stopping.set()
    for s in senders:
        s.join(120)
        assert not s.is_alive(), f"the sender {s.label} hangs"
        s.disconnect()
