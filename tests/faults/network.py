#!/usr/bin/python3
"""The network test of a cluster: no message comes twice, and none is lost that was said to be sent.

Two gateways and their Redis are in network namespaces of their own, with a cable from each gateway to Redis. Senders at both gateways send messages with known ids to connections of both, all the time. Meanwhile cables are pulled and
put back, sooner than leases end and later, and Redis is killed and started again. What each connection got is compared with what the senders were told:

    200  it came, once      410, 503  it came once or not at all

and no $disconnect runs twice, whoever runs it. When all is well again, every send has to be 200.

    network.py --rounds 10 --seed 7

Runs itself in a namespace where it may do all this; needs no rights of its own for that where unprivileged user namespaces are allowed.
"""
import argparse
import collections
import contextlib
import os
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from cluster import LEASE_S, Cluster, Killable, Node  # noqa: E402
from execgate import SLOW, wait_for  # noqa: E402
from redis_server import RedisServer  # noqa: E402
from websocket import CLOSE, PING, PONG, TEXT  # noqa: E402

INSIDE = "EXECGATE_NETWORK_TEST"
REDIS_PORT = 6379
CONNECTIONS = 3  # of each gateway


def run(*words):
    subprocess.run([str(w) for w in words], check=True, timeout=60)


class Namespace:
    """A network of its own, there as long as a process in it."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "-n", "sleep", "infinity"], stdin=subprocess.DEVNULL)
        own = os.readlink("/proc/self/ns/net")
        wait_for(lambda: os.readlink(f"/proc/{self.holder.pid}/ns/net") != own, what="a network namespace")
        run(*self.prefix, "ip", "link", "set", "lo", "up")

    @property
    def prefix(self):
        return ["nsenter", "-t", str(self.holder.pid), "-n", "--"]

    def close(self):
        self.holder.kill()
        self.holder.wait()


class Cable:
    """Between a gateway's network and that of Redis. Pulled at the far end, so that the near one only hears nothing any more."""

    def __init__(self, near, far, number):
        self.far, self.name = far, f"cable{number}"
        run("ip", "link", "add", self.name, "type", "veth", "peer", "name", "redis", "netns", near.holder.pid)
        run("ip", "link", "set", self.name, "netns", far.holder.pid)
        for space, device, last in ((near, "redis", 2), (far, self.name, 1)):
            run(*space.prefix, "ip", "address", "add", f"10.77.{number}.{last}/24", "dev", device)
            run(*space.prefix, "ip", "link", "set", device, "up")

    def pull(self):
        # What is on its way is thrown away, in both directions, without a word to anybody.
        run(*self.far.prefix, "ip", "link", "set", self.name, "down")

    def put_back(self):
        run(*self.far.prefix, "ip", "link", "set", self.name, "up")


class Redis(RedisServer):
    """In a namespace; asked for by commands there."""

    def __init__(self, folder, space):
        super().__init__(folder)
        self.space, self.port = space, REDIS_PORT

    def start(self, seconds=60):
        words = ["redis-server", "--port", self.port, "--bind", "0.0.0.0", "--protected-mode", "no", "--dir", self.folder, "--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        self.process = subprocess.Popen([*self.space.prefix, *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_for(self.answers, seconds, "a Redis that answers")

    def answers(self):
        done = subprocess.run([*self.space.prefix, "redis-cli", "-p", str(self.port), "PING"], capture_output=True, text=True, timeout=60, check=False)
        return done.stdout.strip() == "PONG"


class Client(threading.Thread):
    """A connection, and all that came over it until its end."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.socket, self.id = node.socket()
        self.got, self.code = collections.Counter(), None
        self.start()

    def run(self):
        with contextlib.suppress(OSError, AssertionError):
            while (frame := self.socket.recv()):
                if frame[0] == TEXT:
                    self.got[frame[1].decode()] += 1
                elif frame[0] == PING:
                    self.socket.send(PONG, frame[1])
                elif frame[0] == CLOSE:
                    self.code = int.from_bytes(frame[1][:2], "big")
                    return


    def leave(self):
        with contextlib.suppress(OSError):
            self.socket.socket.shutdown(socket.SHUT_RDWR)
        self.join(60)
        self.socket.close()


class Sender(threading.Thread):
    """Sends from one node to every connection in turn, and keeps what it was told."""

    def __init__(self, node, clients, stop):
        super().__init__(daemon=True)
        self.node, self.clients, self.stopped, self.told = node, clients, stop, []
        self.start()

    def run(self):
        number = 0
        while not self.stopped.is_set():
            client = self.clients[number % len(self.clients)]
            text = f"{self.node.number}-{id(self)}-{number}"
            status = self.node.call("POST", f"/v1/connections/{client.id}", text).status
            self.told.append((client, text, status))
            number += 1


class Stand:
    """Redis, two gateways, and what is between them."""

    def __init__(self, folder, stack):
        self.folder = folder
        self.hub = Namespace()
        stack.callback(self.hub.close)
        self.redis = stack.enter_context(Redis(folder / "redis", self.hub))
        self.cables, self.nodes = [], []
        for number in (1, 2):
            space = Namespace()
            stack.callback(space.close)
            self.cables.append(Cable(space, self.hub, number))
            node = Node(folder, f"redis://10.77.{number}.1:{REDIS_PORT}", number)
            node.prefix = space.prefix
            node.start = lambda node=node: Node.start(node, listen=f"unix:{node.folder}/http")
            self.nodes.append(stack.enter_context(Killable(node)))
        self.cluster = Cluster(folder, redis=self.redis)
        self.cluster.nodes = self.nodes
        self.cluster.wait_together()


def findings_of(senders):
    for told in (t for s in senders for t in s.told):
        client, text, status = told
        times = client.got[text]
        if times > 1:
            yield f"{text} came {times} times"
        if status == 200 and times == 0 and client.code is None:
            yield f"{text} was said to be sent and did not come"
        if status not in (200, 410, 503):
            yield f"{text} was answered {status}"


def wait_delivered(senders):
    """What was said to be sent is on the local sockets already, but the clients' threads may be behind."""
    with contextlib.suppress(AssertionError):
        wait_for(lambda: all(c.got[text] or c.code or status != 200 for s in senders for c, text, status in s.told), 30, "what was sent")


class Round:
    """One fault under load."""

    def __init__(self, stand, rng):
        self.stand, self.rng = stand, rng
        self.clients = [Client(n) for n in stand.nodes for _ in range(CONNECTIONS)]

    def fault(self, kind):
        cable = self.rng.choice(self.stand.cables)
        if kind == "short":
            cable.pull()
            time.sleep(self.rng.uniform(0.2, LEASE_S / 2))
            cable.put_back()
        elif kind == "long":
            cable.pull()
            cut = self.stand.nodes[self.stand.cables.index(cable)]
            other = next(n for n in self.stand.nodes if n is not cut)
            gone = {c.id for c in self.clients if c.id.startswith(cut.tag)}
            wait_for(lambda: gone <= set(self.stand.cluster.ended()), 90, "the survivor's $disconnects")
            assert {e["node"] for e in self.stand.cluster.ledger() if e["id"] in gone} == {str(other.number)}
            cable.put_back()
        else:
            self.stand.redis.kill()
            time.sleep(self.rng.uniform(0.2, 2 * LEASE_S))
            self.stand.redis.start()

    def run(self, kind):
        stop = threading.Event()
        senders = [Sender(n, self.clients, stop) for n in self.stand.nodes for _ in range(2)]
        wait_for(lambda: all(len(s.told) > 20 for s in senders), 60, "senders that send")
        self.fault(kind)
        self.stand.cluster.wait_together()
        marks = [len(s.told) for s in senders]
        wait_for(lambda: all(len(s.told) > m + 20 for s, m in zip(senders, marks)), 60, "senders that go on")
        stop.set()
        for s in senders:
            s.join(60 * SLOW)
        wait_delivered(senders)
        found = list(findings_of(senders))
        # The first one after the mark may have been asked for before all was well.
        for s, m in zip(senders, marks):
            found += [f"{text} was answered {status} when all was well" for c, text, status in s.told[m + 1:] if status != 200 and c.code is None]
        print(f"  {kind}: {sum(len(s.told) for s in senders)} sent, {collections.Counter(t[2] for s in senders for t in s.told)}", flush=True)
        return found

    def end(self):
        for c in self.clients:
            c.leave()
        ids = {c.id for c in self.clients}
        wait_for(lambda: ids <= set(self.stand.cluster.ended()), 60, "each connection's $disconnect")
        return [f"the $disconnect of {id} ran {times} times" for id, times in self.stand.cluster.ended().items() if times != 1]


def test(folder, rounds, seed):
    rng = random.Random(f"{seed}/network")
    found = []
    with contextlib.ExitStack() as stack:
        stand = Stand(folder, stack)
        for number in range(rounds):
            one = Round(stand, rng)
            found += one.run(("short", "long", "redis")[number % 3])
            found += one.end()
    for finding in found[:50]:
        print(finding)
    print(f"{rounds} rounds, {len(found)} findings")
    return 1 if found else 0


def go_inside():
    """Into namespaces of our own, where we may make networks."""
    root = [] if os.geteuid() == 0 else ["-r"]
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", *root, "-n", "--", sys.executable, *sys.argv])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--keep", type=pathlib.Path, help="a folder for what is left behind")
    words = parser.parse_args()
    if INSIDE not in os.environ:
        go_inside()
    print(f"network test, {words.rounds} rounds, seed {words.seed}", flush=True)
    if words.keep:
        words.keep.mkdir(parents=True)
        return test(words.keep, words.rounds, words.seed)
    with tempfile.TemporaryDirectory() as folder:
        return test(pathlib.Path(folder), words.rounds, words.seed)


if __name__ == "__main__":
    sys.exit(main())
