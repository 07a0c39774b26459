"""Gateways on one machine that are a cluster by one Redis, and what their handlers have written down."""
import contextlib
import http.client
import json
import pathlib
import socket

from execgate import SLOW, Answer, Gateway, wait_for
from redis_server import RedisServer
from websocket import Socket

HANDLERS = pathlib.Path(__file__).resolve().parent / "handlers"
LEASE_S = 3
BLUEPRINT = """
blueprint: 1
name: chat
limits: {{shutdownTimeout: 10s}}
handlers:
  ledger:
    command: [/usr/bin/python3, -S, {handlers}/websocket_ledger.py]
    environment: {{LEDGER: "{folder}/ledger", NODE: "{number}"}}
    timeout: 60s
    processes: {{min: 1, max: 4, startTimeout: 1m, stopTimeout: 1s}}
    triggers:
      - {{websocket: "/rooms/{{room}}", reply: true}}
      - {{websocket: "/rooms/{{room}}", route: $disconnect}}
      - {{http: GET /stream}}
websockets: {{cluster: "{url}", lease: {lease}s{more}}}
"""


class Node(Gateway):
    """One gateway of the cluster; its calls about connections are made at its admin listener."""

    def __init__(self, folder, url, number, lease=LEASE_S, more="", top=""):
        own = folder / str(number)
        own.mkdir(exist_ok=True)
        text = BLUEPRINT.format(handlers=HANDLERS, folder=folder, number=number, url=url, lease=lease, more=more) + top
        super().__init__(own, text, args=["--admin", f"unix:{own}/admin"])
        self.number = number

    def call(self, method, path, body=None, headers=None, timeout=60):
        c = http.client.HTTPConnection("localhost", timeout=timeout * SLOW)
        c.sock = socket.socket(socket.AF_UNIX)
        c.sock.settimeout(timeout * SLOW)
        with contextlib.closing(c):
            c.sock.connect(str(self.folder / "admin"))
            c.request(method, path, body, headers or {})
            r = c.getresponse()
            return Answer(r.status, r.getheaders(), r.read())

    def nodes(self):
        return set(self.call("GET", "/v1/nodes").json()["nodes"])

    @property
    def tag(self):
        return self.call("GET", "/v1/nodes").json()["node"]

    def is_up(self):
        return "trouble" not in self.call("GET", "/v1/nodes").json()

    def connections(self):
        return self.call("GET", "/v1/connections").json()["connections"]

    def socket(self, room=1, **kw):
        """(socket, id) of a new connection."""
        before = {c["connectionId"] for c in self.connections()}
        ws = Socket(self, f"/rooms/{room}", **kw)
        new = wait_for(lambda: {c["connectionId"] for c in self.connections()} - before, what="the connection")
        return ws, new.pop()


class Cluster:
    """As many nodes as asked for, that know of each other."""

    def __init__(self, folder, count=2, redis=None, **kw):
        self.folder, self.count, self.kw = folder, count, kw
        self.redis = redis or RedisServer(folder / "redis")
        self.own_redis = redis is None
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            if self.own_redis:
                stack.enter_context(self.redis)
            self.nodes = []
            for i in range(self.count):
                self.nodes.append(self.start(i + 1, stack))
            self.wait_together()
            self.stack = stack.pop_all()
        return self

    def start(self, number, stack=None):
        node = Node(self.folder, self.redis.url, number, **self.kw)
        return (stack or self.stack).enter_context(Killable(node))

    def wait_together(self, nodes=None):
        nodes = nodes or self.nodes

        def together():
            tags = {n.tag for n in nodes}
            return len(tags) == len(nodes) and all(n.is_up() and n.nodes() == tags for n in nodes)
        wait_for(together, 60, "nodes that know each other")

    def __exit__(self, *error):
        return self.stack.__exit__(*error)

    def ledger(self, route="$disconnect", name="ledger"):
        try:
            text = (self.folder / name).read_text()
        except FileNotFoundError:
            return []
        lines = text[:text.rfind("\n") + 1].splitlines()  # one that is being written is not there yet
        return [e for e in map(json.loads, lines) if e["route"] == route]

    def ended(self):
        """How often each connection's $disconnect was run."""
        counts = {}
        for e in self.ledger():
            counts[e["id"]] = counts.get(e["id"], 0) + 1
        return counts


class Killable:
    """A node whose violent end is no failure of the test."""

    def __init__(self, node):
        self.node = node

    def __enter__(self):
        self.node.killed = False
        self.node.__enter__()
        return self.node

    def __exit__(self, kind, value, trace):
        if self.node.process.poll() is not None and self.node.killed:
            self.node.reader.join(10)
            return None
        return self.node.__exit__(kind, value, trace)


def kill(node, sig=9):
    node.killed = True
    node.process.send_signal(sig)
    node.process.wait(30 * SLOW)
