#!/usr/bin/python3
"""Handles the messages of a queue over the Lambda face, and dies or fails as their bodies say."""
import http.client
import json
import os
import signal

RUNTIME = "/2018-06-01/runtime/invocation"
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])


def call(method, path, body=None):
    api.request(method, path, body)
    answer = api.getresponse()
    return answer.headers, answer.read()


def handle(record):
    """True when it succeeded."""
    body = record["body"]
    first = record["attributes"]["ApproximateReceiveCount"] == "1"
    if body.startswith("poison") or (body.startswith("crash once") and first):
        os.kill(os.getpid(), signal.SIGKILL)
    if body.startswith("fail once") and first:
        return False
    with open("handled", "a", encoding="utf-8") as f:
        f.write(body + "\n")
    return True


while True:
    head, event = call("GET", RUNTIME + "/next")
    failed = [r["messageId"] for r in json.loads(event)["Records"] if not handle(r)]
    answer = {"batchItemFailures": [{"itemIdentifier": i} for i in failed]}
    call("POST", f"{RUNTIME}/{head['Lambda-Runtime-Aws-Request-Id']}/response", json.dumps(answer))
