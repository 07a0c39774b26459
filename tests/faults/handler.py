#!/usr/bin/python3 -IS
"""The handler of the crash test. Every message says what is to go wrong with it; what succeeded is written down, durably, before it is answered.

It speaks HTTP by hand and imports little, since hundreds of it are started.
"""
import json
import os
import resource
import signal
import socket

RUNTIME = "/2018-06-01/runtime/invocation"


class Api:
    def __init__(self):
        host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
        self.socket = socket.create_connection((host, int(port)))
        self.stream = self.socket.makefile("rb")

    def call(self, method, path, body="", fields=()):
        """(status, fields in small letters, body)"""
        body = body.encode()
        head = [f"{method} {path} HTTP/1.1", "Host: api", f"Content-Length: {len(body)}", *(f"{k}: {v}" for k, v in fields)]
        self.socket.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        status = int(self.stream.readline().split()[1])
        answer = {}
        while line := self.stream.readline().strip().decode():
            name, _, value = line.partition(": ")
            answer[name.lower()] = value
        return status, answer, self.stream.read(int(answer["content-length"]))


def note(file, *lines):
    """One write, so that lines of several processes do not mix."""
    fd = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.write(fd, "".join(line + "\n" for line in lines).encode())
    os.fsync(fd)
    os.close(fd)


class Failure(Exception):
    """The whole event fails."""


class Event:
    def __init__(self, api, id, records):
        self.api, self.id, self.records = api, id, records
        self.held, self.handled, self.failed = [], [], []

    def send(self, queue, id, fields=()):
        body = json.dumps({"id": id})
        return self.api.call("POST", f"/v1/queues/{queue}/messages", body, [("Content-Type", "application/json"), *fields])[0]

    def send_onward(self, body, count):
        id = f"{body['id']}.{count}.{os.getpid()}"
        if self.send("onward", id) == 202:
            note("onward", id)

    def invoke_later(self, body, count):
        id = f"{body['id']}.{count}.{os.getpid()}"
        if self.api.call("POST", "/v1/handlers/later/invocations?wait=false", json.dumps({"id": id}))[0] == 202:
            note("later", id)

    def hold(self, body):
        id = f"{body['id']}/{self.id}"
        if self.send("held", id, [("Execgate-Invocation-Id", self.id)]) != 202:
            raise Failure("it could not be held")
        self.held.append(id)

    def handle(self, record):
        body, count = json.loads(record["body"]), int(record["attributes"]["ApproximateReceiveCount"])
        queue = record["eventSourceARN"].rsplit(":", 1)[1]
        if queue == "poison" or count <= body.get("refuse", 0):
            raise Failure(f"attempt {count} of {body['id']}")
        if count <= body.get("fail", 0):
            self.failed.append(record["messageId"])
            return
        if body.get("onward"):
            self.send_onward(body, count)
        if body.get("later"):
            self.invoke_later(body, count)
        if body.get("held"):
            self.hold(body)
        self.handled.append(f"{queue} {body['id']} {record['messageId']}")
        if count <= body.get("die", 0):
            note("handled", *self.handled)
            os.kill(os.getpid(), signal.SIGKILL)

    def run(self):
        try:
            for record in self.records:
                self.handle(record)
        except Failure as e:
            # Before it is said: what is held for an answer that failed must never be seen.
            note("withdrawn", *self.held)
            self.api.call("POST", f"{RUNTIME}/{self.id}/error", json.dumps({"errorMessage": str(e), "errorType": "Asked.For"}))
            return
        note("handled", *self.handled)
        failures = {"batchItemFailures": [{"itemIdentifier": i} for i in self.failed]}
        self.api.call("POST", f"{RUNTIME}/{self.id}/response", json.dumps(failures))


def main():
    # The gateway's limits are faults of the test; ours are not.
    for kind in (resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (hard, hard))
    api = Api()
    while True:
        _, fields, body = api.call("GET", RUNTIME + "/next")
        id, event = fields["lambda-runtime-aws-request-id"], json.loads(body)
        if "Records" in event:
            Event(api, id, event["Records"]).run()
        else:  # an asynchronous invocation
            note("handled", f"later {event['id']} {id}")
            api.call("POST", f"{RUNTIME}/{id}/response", "null")


main()
