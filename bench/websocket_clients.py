"""Processes of bench/websocket_load: thousands of WebSocket clients that wait, or fewer that talk."""
import http.client
import json
import subprocess

PROCESSES = 2  # each has descriptors and a loopback address of its own
PATIENCE = 60


class Clients:
    """`count` open connections in all; the first `slow` of each process can be told to read no more."""

    def __init__(self, binary, port, path, count, slow=0):
        self.processes = [subprocess.Popen([binary, "hold", str(port), path, str(count // PROCESSES), f"127.0.0.{2 + i}", str(slow // PROCESSES)],
                                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for i in range(PROCESSES)]
        self.count = sum(a["open"] for a in self.answers())

    def tell(self, line):
        for p in self.processes:
            p.stdin.write(line + "\n")
            p.stdin.flush()

    def answers(self):
        lines = [p.stdout.readline() for p in self.processes]
        if not all(lines):
            raise SystemExit("the clients have ended")
        return [json.loads(line) for line in lines]

    def ask(self, line):
        """The sums of what the processes answer."""
        self.tell(line)
        return self.sums()

    def sums(self):
        answers = self.answers()
        return {key: (max if key == "last" else sum)(a[key] for a in answers) for key in answers[0]}

    def close(self):
        for p in self.processes:
            p.stdin.close()
        for p in self.processes:
            p.wait(PATIENCE)


class Admin:
    """The admin listener's calls, on one kept connection."""

    def __init__(self, url):
        self.connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=PATIENCE)

    def call(self, method, path, body=None):
        self.connection.request(method, path, body)
        answer = self.connection.getresponse()
        data = answer.read()
        if answer.status > 299:
            raise SystemExit(f"{method} {path}: {answer.status} {data.decode()}")
        return json.loads(data) if data else None

    def ids(self):
        """Of all open connections."""
        found, after = [], ""
        while page := self.call("GET", "/v1/connections" + after)["connections"]:
            found += [c["connectionId"] for c in page]
            after = f"?after={found[-1]}"
        return found

    def close(self):
        self.connection.close()


def echo_load(words, port, path, connections, seconds):
    """How often clients that have one message each under way get it back."""
    out = subprocess.run([*words, "echo", str(port), path, str(connections), "1", str(seconds)], capture_output=True, text=True)
    if out.returncode:
        raise SystemExit(f"the echo load of port {port}: {out.stderr}")
    return json.loads(out.stdout)
