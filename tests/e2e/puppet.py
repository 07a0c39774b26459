"""A handler process that only tells where its runtime API is and sleeps: the test itself speaks for it."""
import contextlib
import http.client
import json
import socket
import threading

from execgate import Answer, Gateway, read_answer, wait_for

SCRIPT = "#!/bin/sh\nenv > env.tmp && mv env.tmp env.$$\nexec sleep 1000\n"


def blueprint(more="", concurrency=1, top=""):
    return f"""blueprint: 1
name: puppet
{top}
handlers:
  puppet:
    command: ./puppet.sh
    processes: {{min: 1, max: 1, concurrency: {concurrency}, startTimeout: 1m, stopTimeout: 200ms}}
    triggers:
      - http: ANY /p
      - http: ANY /p/{{id}}/{{rest+}}
{more}"""


@contextlib.contextmanager
def puppet(folder, more="", concurrency=1, top="", **kw):
    """(gateway, environment of the process)"""
    with Gateway(folder, blueprint(more, concurrency, top), files={"puppet.sh": SCRIPT}, **kw) as g:
        yield g, environment(folder)


def environment(folder, not_pid=None):
    file = wait_for(lambda: next((f for f in folder.glob("env.[0-9]*") if f.suffix != f".{not_pid}"), None), what="the puppet's environment")
    env = dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)
    env["PUPPET_PID"] = file.suffix[1:]
    return env


class Api:
    """A keep-alive connection to a process's runtime API."""

    def __init__(self, env, unix=False):
        if unix:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(env["EXECGATE_RUNTIME_SOCKET"])
        else:
            host, port = env["AWS_LAMBDA_RUNTIME_API"].split(":")
            self.socket = socket.create_connection((host, int(port)))
        self.socket.settimeout(40)
        self.file = self.socket.makefile("rb")

    def send(self, method, path, body=b"", headers=None):
        head = f"{method} {path} HTTP/1.1\r\nHost: api\r\n" + "".join(f"{k}: {v}\r\n" for k, v in (headers or {}).items())
        if method != "GET" and not any(k.lower() in ("content-length", "transfer-encoding") for k in headers or {}):
            head += f"Content-Length: {len(body)}\r\n"
        self.socket.sendall(head.encode() + b"\r\n" + body)

    def read(self):
        return read_answer(self.file)

    def call(self, method, path, body=b"", headers=None):
        self.send(method, path, body.encode() if isinstance(body, str) else body, headers)
        return self.read()

    # --- Lambda face ---
    def next(self):
        return self.call("GET", "/2018-06-01/runtime/invocation/next")

    def respond(self, id, answer, headers=None):
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        return self.call("POST", f"/2018-06-01/runtime/invocation/{id}/response", body, headers)

    def error(self, id, answer, headers=None):
        return self.call("POST", f"/2018-06-01/runtime/invocation/{id}/error", json.dumps(answer), headers)

    def close(self):
        self.file.close()
        self.socket.close()


class Request(threading.Thread):
    """A client request that runs beside the test; .answer() waits for it."""

    def __init__(self, gateway, method="GET", path="/p", body=None, headers=None):
        super().__init__(daemon=True)
        self.words = (gateway, method, path, body, headers)
        self.result = self.failure = None
        self.start()

    def run(self):
        gateway, *words = self.words
        try:
            self.result = gateway.request(*words)
        except (OSError, http.client.HTTPException) as e:
            self.failure = e

    def answer(self) -> Answer:
        self.join(60)
        assert not self.is_alive(), "the request hangs"
        if self.failure:
            raise self.failure
        return self.result


def id_of(event):
    return event["Lambda-Runtime-Aws-Request-Id"]
