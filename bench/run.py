"""Measures execgate against the least servers that can be built of the same libraries, both in one run, and writes bench/results.md.

The server under test is pinned to one core, wrk and the handlers to another; CPU per request is the server's own time from
/proc. Each figure is the median of several rounds in which the two sides alternate, so that a drifting machine hits both.
"""
import argparse
import base64
import contextlib
import hmac
import http.client
import json
import os
import pathlib
import platform
import re
import resource
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

from websocket_clients import Admin, Clients, echo_load

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("EXECGATE_BUILD", ROOT / "build"))
EXAMPLES = BUILD / "examples"
BY_HAND = "## What was missed"  # this and what follows is kept
CLIENTS = str(BUILD / "bench/websocket_load")
TICK = os.sysconf("SC_CLK_TCK")
SERVER_CORE, LOAD_CORE = "0", "1"


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def resident_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


def children(pid):
    return [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def pin(pid, core):
    subprocess.run(["taskset", "-acp", core, str(pid)], check=True, stdout=subprocess.DEVNULL)


def wrk(url, connections, seconds, headers=()):
    named = [word for h in headers for word in ("-H", h)]
    out = subprocess.run(["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "10s", *named, url],
                         capture_output=True, text=True, check=True).stdout
    requests = int(re.search(r"(\d+) requests in", out)[1])
    value, unit = re.search(r"50%\s+([\d.]+)(us|ms|s)", out).groups()
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    errors = re.search(r"Socket errors: (.*)", out)
    if bad or errors:
        raise SystemExit(f"the load of {url} met errors: {out}")
    return requests, float(value) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


class Server:
    """A pinned process that serves HTTP on loopback."""

    def __init__(self, words, url, pid_of=None):
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.pid, self.url = self.process.pid, url

    def measure(self, connections, seconds, path="", headers=()):
        """CPU µs per request of the server and of its children, p50 µs, requests per second."""
        kids = children(self.pid)
        before, kids_before, start = cpu_seconds(self.pid), sum(map(cpu_seconds, kids)), time.monotonic()
        requests, p50 = wrk(self.url + path, connections, seconds, headers)
        elapsed = time.monotonic() - start
        return {"cpu": (cpu_seconds(self.pid) - before) / requests * 1e6, "p50": p50, "rate": requests / elapsed,
                "handler": (sum(map(cpu_seconds, kids)) - kids_before) / requests * 1e6, "requests": requests}

    def echo(self, path, connections, seconds):
        """CPU µs per round trip of WebSocket messages, and round trips per second."""
        before = cpu_seconds(self.pid)
        load = echo_load(["taskset", "-c", LOAD_CORE, CLIENTS], self.port, path, connections, seconds)
        return {"cpu": (cpu_seconds(self.pid) - before) / load["round_trips"] * 1e6, "rate": load["round_trips"] / load["seconds"]}

    def close(self):
        self.process.terminate()
        self.process.wait(20)


def free_port():
    with contextlib.closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port):
    for _ in range(2000):
        with contextlib.suppress(OSError), contextlib.closing(socket.create_connection(("127.0.0.1", port), 1)):
            return
        time.sleep(0.002)
    raise SystemExit(f"nothing listens on port {port}")


def hello():
    port = free_port()
    server = Server(["taskset", "-c", SERVER_CORE, str(BUILD / "bench/hello"), str(port)], f"http://127.0.0.1:{port}/")
    wait_port(port)
    return server


def bare(*certificate_and_key):
    """The least server there is, in the clear or over TLS."""
    port = free_port()
    scheme = "https" if certificate_and_key else "http"
    server = Server(["taskset", "-c", SERVER_CORE, str(BUILD / "bench/bare"), str(port), *certificate_and_key], f"{scheme}://127.0.0.1:{port}/")
    wait_port(port)
    return server


def bare_websocket():
    """The least server that sends WebSocket messages back."""
    port = free_port()
    server = Server(["taskset", "-c", SERVER_CORE, str(BUILD / "bench/bare_websocket"), str(port)], "")
    server.port = port
    wait_port(port)
    return server


def gateway(folder, handlers, extra="", listen=True):
    """Serves handlers {name: (command, more yaml lines)} with route GET /name each."""
    lines = ["blueprint: 1", "name: bench", "limits: {connections: 19000, inFlight: 19000, idleTimeout: 10m, headerTimeout: 10m}", extra, "handlers:"]
    for name, (command, more) in handlers.items():
        lines += [f"  {name}:", f"    command: {json.dumps(command)}", *(f"    {m}" for m in more)]
        if not any(m.startswith("triggers") for m in more):
            lines += ["    triggers:", f"      - http: GET /{name}"]
    file = pathlib.Path(folder) / "bench.yaml"
    file.write_text("\n".join(lines) + "\n")
    words = ["taskset", "-c", SERVER_CORE, str(BUILD / "execgate"), "run", str(file), "--json", *(["--listen", "127.0.0.1:0"] if listen else [])]
    server = Server(words, "")
    ready = json.loads(server.process.stdout.readline())
    server.url = ready["listeners"][0] + "/"
    server.port = int(ready["listeners"][0].rsplit(":", 1)[1])
    server.admin = ready.get("admin")
    return server


def warm(server, path, count):
    subprocess.run(["wrk", "-t1", "-c16", "-d1s", server.url + path], check=True, stdout=subprocess.DEVNULL)
    for pid in children(server.pid):
        pin(pid, LOAD_CORE)
    if len(children(server.pid)) < count:
        raise SystemExit(f"expected {count} handler processes for {path}, found {len(children(server.pid))}")


def pool(n, concurrency=1):
    return [f"processes: {{min: {n}, max: {n}, concurrency: {concurrency}}}", "queueLimit: 10000"]


def paired(one, other, what, rounds):
    """Medians of both sides and of the ratio pair by pair; `one` and `other` are calls that measure."""
    pairs = [(one(), other()) for _ in range(rounds)]
    return (statistics.median(a[what] for a, _ in pairs), statistics.median(b[what] for _, b in pairs),
            statistics.median(a[what] / b[what] for a, b in pairs), pairs)


class Bench:
    def __init__(self, seconds, rounds, folder):
        self.seconds, self.rounds, self.folder, self.rows = seconds, rounds, folder, []

    def row(self, what, measured, budget, met, note=""):
        self.rows.append((what, measured, budget, "met" if met else "MISSED", note))
        print(f"{'ok  ' if met else 'MISS'} {what}: {measured} (budget {budget}) {note}", flush=True)

    def cost(self, base, title, handlers, path, budget, handler_budget=None):
        server = gateway(self.folder, handlers)
        warm(server, path, 1)
        mine, yard, ratio, pairs = paired(lambda: server.measure(64, self.seconds, path), lambda: base.measure(64, self.seconds), "cpu", self.rounds)
        handler = statistics.median(a["handler"] for a, _ in pairs)
        rate = statistics.median(a["rate"] for a, _ in pairs)
        self.row(title, f"{ratio:.2f} ×", f"≤ {budget} ×", ratio <= budget, f"{mine:.1f} µs against {yard:.1f} µs; {rate:,.0f} requests/s")
        if handler_budget:
            self.row(f"{title}: handler CPU", f"{handler:.2f} µs", f"≤ {handler_budget} µs", handler <= handler_budget)
        server.close()

    def latency(self, base, title, handlers, path, budget):
        server = gateway(self.folder, handlers)
        warm(server, path, 1)
        mine, yard, ratio, _ = paired(lambda: server.measure(1, self.seconds, path), lambda: base.measure(1, self.seconds), "p50", self.rounds)
        self.row(title, f"{ratio:.2f} ×", f"≤ {budget} ×", ratio <= budget, f"p50 {mine:.0f} µs against {yard:.0f} µs")
        server.close()

    def waiting(self, handlers, path, count):
        """CPU per request while `count` other requests wait, against none waiting."""
        handlers = dict(handlers, hold=(["sleep", "900"], ["timeout: 15m", "queueLimit: 20000", "processes: {min: 0, max: 1, startTimeout: 15m}"]))
        server = gateway(self.folder, handlers)
        warm(server, path, 1)
        alone = {c: statistics.median(server.measure(c, self.seconds, path)["cpu"] for _ in range(self.rounds)) for c in (4, 64)}
        sockets = []
        for _ in range(count):
            s = socket.create_connection(("127.0.0.1", server.port))
            s.sendall(b"GET /hold HTTP/1.1\r\nHost: bench\r\n\r\n")
            sockets.append(s)
        time.sleep(1)  # the gateway arms a watch for each once it has waited a while
        for c in (4, 64):
            crowded = statistics.median(server.measure(c, self.seconds, path)["cpu"] for _ in range(self.rounds))
            ratio = crowded / alone[c]
            self.row(f"{count:,} other requests waiting, c={c}", f"{ratio:.2f} ×", "≤ 1.5 ×", ratio <= 1.5, f"{crowded:.1f} µs against {alone[c]:.1f} µs")
        for s in sockets:
            s.close()
        server.close()

    def routes(self, command, count):
        def with_routes(n):
            triggers = ["triggers:", *(f"  - http: GET /r{i}/{{id}}/x" for i in range(n)), "  - http: GET /echo"]
            server = gateway(self.folder, {"echo": (command, [*pool(1, 16), *triggers])})
            warm(server, "r7/5/x", 1)
            return server
        few, many = with_routes(10), with_routes(count)
        mine, yard, ratio, _ = paired(lambda: many.measure(64, self.seconds, "r7/5/x"), lambda: few.measure(64, self.seconds, "r7/5/x"), "cpu", self.rounds + 2)
        self.row(f"{count:,} routes instead of 10", f"{(ratio - 1) * 100:+.1f} %", "within 5 %", ratio <= 1.05, f"{mine:.2f} µs against {yard:.2f} µs")
        few.close()
        many.close()

    def guarded(self, handlers, path):
        """Auth with a cached token and CORS on, against neither, with the same request."""
        secret = "0123456789abcdef0123456789abcdef"
        encode = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=")
        signed = encode(b'{"alg":"HS256","typ":"JWT"}') + b"." + encode(json.dumps(
            {"iss": "https://id.example", "sub": "alice", "exp": int(time.time()) + 3600, "scope": "read write"}).encode())
        token = (signed + b"." + encode(hmac.new(secret.encode(), signed, "sha256").digest())).decode()
        headers = [f"Authorization: Bearer {token}", "Origin: https://shop.example"]
        os.environ["BENCH_SECRET"] = secret
        extra = "\n".join(["cors: {allowOrigins: [https://shop.example], allowCredentials: true}", "auth:", "  default: customer", "  guards:",
                           "    customer: {type: jwt, issuer: https://id.example, secret: '${env.BENCH_SECRET}', algorithms: [HS256]}"])
        plain, guarded = gateway(self.folder, handlers), gateway(self.folder, handlers, extra)
        for server in (plain, guarded):
            for _ in range(2):
                server.measure(16, 1, path, headers)
                for pid in children(server.pid):
                    pin(pid, LOAD_CORE)
        mine, yard, ratio, _ = paired(lambda: guarded.measure(64, self.seconds, path, headers), lambda: plain.measure(64, self.seconds, path, headers), "cpu", self.rounds + 2)
        self.row("auth (cached token) and CORS", f"{(ratio - 1) * 100:+.1f} %", "≤ +10 %", ratio <= 1.10, f"{mine:.2f} µs against {yard:.2f} µs")
        plain.close()
        guarded.close()

    def verification(self):
        cost = json.loads(subprocess.run(["taskset", "-c", SERVER_CORE, str(BUILD / "bench/verify")], capture_output=True, text=True, check=True).stdout)
        self.row("a token not seen before, RS256", f"{cost['RS256']:.0f} µs", "≤ 60 µs", cost["RS256"] <= 60, f"ES256 {cost['ES256']:.0f} µs, EdDSA {cost['EdDSA']:.0f} µs")

    def store(self, backlog):
        """Both threads of the store have a core each, as in a gateway that is not alone with its load."""
        cost = json.loads(subprocess.run(["taskset", "-c", f"{SERVER_CORE},{LOAD_CORE}", str(BUILD / "bench/queue_store"), self.folder, str(backlog)],
                                         capture_output=True, text=True, check=True).stdout)
        durable, full = cost["durable"], cost["backlog"]
        self.row("durable sends, SQLite", f"{durable['ratio']:.2f} ×", "≥ 0.5 ×", durable["ratio"] >= 0.5,
                 f"{durable['ours']:,.0f} a second against {durable['bare']:,.0f} bare inserts")
        for what in ("send", "receive"):
            self.row(f"{what}, {backlog:,} messages in the queue", f"{(full[what] - 1) * 100:+.0f} %", "≤ +20 %", full[what] <= 1.2, "against an empty queue")

    def queue(self, count):
        """Messages through everything: sent over HTTP in lists, kept, taken in batches, handled, acknowledged."""
        file = pathlib.Path(self.folder) / "queue.yaml"
        file.write_text(QUEUE_BLUEPRINT.format(command=(EXAMPLES / "orders").resolve()))
        port = free_port()
        server = Server([str(BUILD / "execgate"), "run", str(file), "--log-level", "warn", "--listen", f"127.0.0.1:{port}"], f"http://127.0.0.1:{port}/send")
        os.sched_setaffinity(server.pid, {int(SERVER_CORE), int(LOAD_CORE)})
        wait_port(port)
        rates = [queue_round(port, count, pathlib.Path(self.folder) / ".execgate/bench/queues.db") for _ in range(self.rounds + 1)][1:]
        rate = statistics.median(rates)
        self.row("queue messages processed per second, batch 10", f"{rate:,.0f}", "≥ 10,000", rate >= 10_000,
                 f"sent, handled and acknowledged; gateway and load on both cores; {min(rates):,.0f} to {max(rates):,.0f}")
        server.close()

    def redis(self):
        """Redis on one core, its clients on the other."""
        port = free_port()
        server = subprocess.Popen(["taskset", "-c", SERVER_CORE, "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", self.folder, "--save", "",
                                   "--appendonly", "yes", "--appendfsync", "everysec"], stdout=subprocess.DEVNULL)
        wait_port(port)
        cost = json.loads(subprocess.run(["taskset", "-c", LOAD_CORE, str(BUILD / "bench/queue_redis"), str(port)], capture_output=True, text=True, check=True).stdout)
        server.kill()
        server.wait()
        self.row("messages through Redis", f"{cost['ratio']:.2f} ×", "≥ 0.3 ×", cost["ratio"] >= 0.3,
                 f"{cost['store']:,.0f} a second sent, received, acknowledged, against {cost['bare']:,.0f} by XADD, XREADGROUP, XACK in pipelines")

    def tls(self, handlers, path):
        # The row is about kept connections, so their handshakes are to weigh little: an elliptic key, not RSA.
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                        "-keyout", f"{self.folder}/key.pem", "-out", f"{self.folder}/certificate.pem"], check=True, capture_output=True)
        plain = gateway(self.folder, handlers)
        tls = gateway(self.folder, handlers, "listen: [{https: 127.0.0.1:0, certificate: certificate.pem, key: key.pem}]", listen=False)
        for server in (plain, tls):
            for _ in range(2):
                server.measure(16, 1, path)
                for pid in children(server.pid):
                    pin(pid, LOAD_CORE)
        bare_plain, bare_tls = bare(), bare(f"{self.folder}/certificate.pem", f"{self.folder}/key.pem")
        mine, yard, ratio, pairs = paired(lambda: tls.measure(64, self.seconds, path), lambda: plain.measure(64, self.seconds, path), "rate", self.rounds + 2)
        _, _, bare_ratio, bare_pairs = paired(lambda: bare_tls.measure(64, self.seconds), lambda: bare_plain.measure(64, self.seconds), "rate", self.rounds + 2)
        cpu = lambda measured: f"{statistics.median(a['cpu'] for a, _ in measured):.1f} µs against {statistics.median(b['cpu'] for _, b in measured):.1f} µs"
        self.row("TLS, keep-alive, requests per second", f"{ratio:.2f} ×", "≥ 0.6 ×", ratio >= 0.6,
                 f"{mine:,.0f} against {yard:,.0f}, CPU {cpu(pairs)}; OpenSSL on a bare epoll: {bare_ratio:.2f} ×, CPU {cpu(bare_pairs)}")
        for server in (plain, tls, bare_plain, bare_tls):
            server.close()

    def idle_websockets(self, command, count):
        """A gateway with `count` open WebSocket connections on which nothing happens, beside one without any."""
        handlers = {"echo": (command, [*pool(4, 16), "triggers:", "  - http: GET /echo", "  - {websocket: /ws, reply: true}"])}
        with contextlib.closing(gateway(self.folder, handlers)) as alone, contextlib.closing(gateway(self.folder, handlers)) as crowded:
            start = resident_kib(crowded.pid)
            with contextlib.closing(open_clients(crowded, count)) as clients:
                check_idle(clients)
                each = (resident_kib(crowded.pid) - start) / count
                self.row(f"{count:,} idle WebSocket connections, memory of each", f"{each:.1f} kB", "≤ 12 kB", each <= 12,
                         f"resident memory of the gateway, less the {start / 1024:.1f} MB of its start")
                for server in (alone, crowded):
                    warm(server, "echo", 4)
                for c in (1, 64):
                    self.crowd_latency(alone, crowded, f"{count:,} idle WebSocket connections, p50 of HTTP, c={c}", c)
                check_idle(clients)

    def crowd_latency(self, alone, crowded, title, c):
        mine, yard, ratio, _ = paired(lambda: crowded.measure(c, self.seconds, "echo"), lambda: alone.measure(c, self.seconds, "echo"), "p50", self.rounds + 2)
        self.row(title, f"{(ratio - 1) * 100:+.1f} %", "≤ +20 %", ratio <= 1.2, f"{mine:.0f} µs against {yard:.0f} µs without them")

    def broadcast(self, command, count, slow):
        """Messages to a group of all, some of whom stop reading: the others get every one, those are closed."""
        extra = "admin: 127.0.0.1:0\nwebsockets: {paths: {/ws: {maxOutbound: 64KiB}}}"
        handlers = {"echo": (command, ["triggers:", "  - {websocket: /ws, reply: true}"])}
        with contextlib.closing(gateway(self.folder, handlers, extra)) as server, contextlib.closing(Admin(server.admin)) as admin, \
                contextlib.closing(open_clients(server, count, slow)) as clients:
            for connection in admin.ids():
                admin.call("PUT", f"/v1/connections/{connection}/groups/all")
            everybody = [broadcast_round(clients, admin, i + 1, count) for i in range(5)]
            clients.ask("stall")
            held, sent = [], count
            while sent > count - slow and len(held) < 300:
                held.append(broadcast_round(clients, admin, len(everybody) + len(held) + 1, count - slow))
                sent = held[-1]["sent"]
            ends = clients.ask("codes 4")  # the gateway waits 5 s for the answer to its Close
        complete = sum(r["all"] and not r["closed"] for r in everybody + held)
        median_ms = lambda rounds: statistics.median(r["seconds"] for r in rounds) * 1000
        self.row(f"broadcasts of {BROADCAST_SIZE // 1024} KiB to {count:,} WebSocket connections, {slow} of them not reading", f"{median_ms(held):.0f} ms",
                 "the others get all, 1013 for the slow", complete == len(everybody + held) and ends["try_later"] == slow,
                 f"from the call to the last client, {median_ms(everybody):.0f} ms while all read; {complete} of {len(everybody + held)} reached all others; "
                 f"{ends['try_later']} slow ones closed with 1013 after {len(held)}")

    def websocket_echo(self, command, connections):
        """Messages that come back through a handler, against the least server there is."""
        handlers = {"echo": (command, [*pool(4, 16), "triggers:", "  - {websocket: /ws, reply: true}"])}
        with contextlib.closing(gateway(self.folder, handlers)) as server, contextlib.closing(bare_websocket()) as base:
            for side in (server, base):
                side.echo("/ws", 64, 1)
            for pid in children(server.pid):
                pin(pid, LOAD_CORE)
            for c in connections:
                mine, yard, ratio, pairs = paired(lambda: server.echo("/ws", c, self.seconds), lambda: base.echo("/ws", c, self.seconds), "rate", self.rounds + 2)
                cpu = [statistics.median(pair[side]["cpu"] for pair in pairs) for side in (0, 1)]
                self.row(f"WebSocket echoes through a C handler, c={c}", f"{ratio:.2f} ×", "≥ 0.25 ×", ratio >= 0.25,
                         f"{mine:,.0f} round trips a second against {yard:,.0f} by bare libwslay on libuv, CPU {cpu[0]:.1f} µs against {cpu[1]:.1f} µs")

    def memory(self, handlers, path):
        server, done = gateway(self.folder, handlers), 0
        while done < 10_000:
            done += server.measure(64, 1, path)["requests"]
        early, early_done = resident_kib(server.pid), done
        while done < 1_000_000:
            done += server.measure(64, 4, path)["requests"]
        growth = resident_kib(server.pid) - early
        self.row("memory after 1,000,000 requests", f"{growth / 1024:+.2f} MB", "≤ 2 MB", growth <= 2048, f"{done:,} requests against {early_done:,}")
        server.close()

    def start(self, handlers, path):
        times = []
        for _ in range(11):
            began = time.monotonic()
            server = gateway(self.folder, handlers)
            with contextlib.closing(socket.create_connection(("127.0.0.1", server.port))) as s:
                s.sendall(f"GET /{path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
                assert s.recv(4096).startswith(b"HTTP/1.1 200"), "the first answer is not 200"
            times.append((time.monotonic() - began) * 1000)
            server.close()
        self.row("from `execgate run` to the first answer", f"{statistics.median(times):.0f} ms", "≤ 50 ms", statistics.median(times) <= 50,
                 f"slowest of {len(times)}: {max(times):.0f} ms")


QUEUE_BLUEPRINT = """blueprint: 1
name: bench
queues:
  bench: {{send: [{{http: POST /send, maxBody: 1MiB}}]}}
handlers:
  bench:
    command: {command}
    environment: {{ORDERS_QUIET: "1"}}
    processes: {{min: 2, max: 2, concurrency: 16}}
    triggers:
      - {{queue: bench, batch: 10, reportFailures: true}}
"""


def queue_round(port, count, database):
    """Messages per second from the first send to the last acknowledgement."""
    acknowledged = lambda: db.execute("SELECT acknowledged FROM queue WHERE name = 'bench'").fetchone()
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as c, \
            contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as db:
        body = json.dumps({"messages": [{"body": "x" * 100}] * 100})
        done, start = (acknowledged() or (0,))[0], time.monotonic()
        for _ in range(count // 100):
            c.request("POST", "/send", body, {"Content-Type": "application/vnd.execgate.messages+json"})
            answer = c.getresponse()
            answer.read()
            assert answer.status == 202, answer.status
        while acknowledged()[0] < done + count:
            time.sleep(0.01)
            assert time.monotonic() < start + 300, "the messages are not processed"
        return count / (time.monotonic() - start)


BROADCAST_SIZE = 8192
FILES_BESIDE = 2000  # what a gateway has open beside its connections, and some to spare


def open_clients(server, count, slow=0):
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files < count + FILES_BESIDE:
        raise SystemExit(f"{count:,} connections need {count + FILES_BESIDE:,} open files, {files:,} are allowed: raise the limit (ulimit -Hn)")
    return Clients(CLIENTS, server.port, "/ws", count, slow)


def check_idle(clients):
    closed = clients.ask("await 0 0")["closed"]
    if closed:
        raise SystemExit(f"{closed:,} idle WebSocket connections were closed")


def broadcast_round(clients, admin, number, readers):
    """The `number`th broadcast: whether all readers have got all so far, and when the last of them did."""
    clients.tell(f"await {number} 60")
    start = time.monotonic()
    sent = admin.call("POST", "/v1/groups/all/messages", b"x" * BROADCAST_SIZE)["sent"]
    got = clients.sums()
    return {"sent": sent, "all": got["complete"] == readers, "closed": got["closed"], "seconds": got["last"] - start}


def versions():
    packages = ["libmicrohttpd12", "libuv1", "libyaml-0-2", "libcurl4", "libsqlite3-0", "libwslay1", "wrk"]
    out = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}, ", *packages], capture_output=True, text=True).stdout
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return f"{cpu[1] if cpu else platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}; {out.rstrip(', ')}"


def write_results(rows, seconds, rounds):
    lines = ["# Results of `make bench`", "", f"{time.strftime('%Y-%m-%d')}; {versions()}.", "",
             f"{rounds} rounds of {seconds} s per figure, sides alternating, medians; server on one core, load and handlers on the other.", "",
             "| what | measured | budget | | |", "| --- | --- | --- | --- | --- |", *("| " + " | ".join(r) + " |" for r in rows), ""]
    results = ROOT / "bench/results.md"
    written_by_hand = results.read_text().partition(BY_HAND)[1:] if results.exists() else ()
    results.write_text("\n".join([*lines, "".join(written_by_hand)]))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="words; run only parts named cost, latency, waiting, routes, guarded, tls, memory, start, store, queue, redis, websockets")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    os.sched_setaffinity(0, {int(LOAD_CORE)})
    native, lambda_face = [str(EXAMPLES / "echo")], [str(EXAMPLES / "lambda_echo")]
    wanted = lambda part: not options.only or part in options.only.split()
    with tempfile.TemporaryDirectory() as folder:
        bench, base = Bench(options.seconds, options.rounds, folder), hello()
        if wanted("cost"):
            bench.cost(base, "gateway CPU, Lambda face, 4 C handlers, c=64", {"echo": (lambda_face, pool(4))}, "echo", 6.5)
            bench.cost(base, "gateway CPU, native face, one event per exchange", {"echo": (native, pool(4))}, "echo", 4.5)
            bench.cost(base, "gateway CPU, native face, exchange?max=16", {"echo": (native, pool(4, 16))}, "echo", 2.2, 2)
        if wanted("latency"):
            bench.latency(base, "p50 at c=1, Lambda face on TCP", {"echo": (lambda_face, pool(1))}, "echo", 2.2)
            bench.latency(base, "p50 at c=1, native face on a Unix socket", {"echo": (native, pool(1))}, "echo", 1.6)
        base.close()
        sixteen = {"echo": (native, pool(4, 16))}
        if wanted("waiting"):
            bench.waiting(sixteen, "echo", 10_000)
        if wanted("routes"):
            bench.routes(native, 10_000)
        if wanted("guarded"):
            bench.guarded(sixteen, "echo")
            bench.verification()
        if wanted("tls"):
            bench.tls(sixteen, "echo")
        if wanted("memory"):
            bench.memory(sixteen, "echo")
        if wanted("start"):
            bench.start({"echo": (native, pool(1))}, "echo")
        if wanted("store"):
            bench.store(1_000_000)
        if wanted("queue"):
            bench.queue(50_000)
        if wanted("redis"):
            bench.redis()
        if wanted("websockets"):
            bench.idle_websockets(native, 10_000)
            bench.broadcast(native, 10_000, 50)
            bench.websocket_echo(native, (1, 64))
    if not options.only:
        write_results(bench.rows, options.seconds, options.rounds)
    missed = [r for r in bench.rows if r[3] != "met"]
    print(f"{len(bench.rows) - len(missed)} budgets met, {len(missed)} missed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
