#!/usr/bin/python3 -S
"""Answers GET /stream with an event stream for the gateway to hold, in the group `all`. Writes each event of WebSocket connections into the file LEDGER, a line each, before it answers. While the file `hold` beside it is there, a $disconnect
is noted in `held` and not answered."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from runtime import Runtime  # noqa: E402


def note(path, entry):
    with open(path, "ab", buffering=0) as f:
        f.write((json.dumps(entry) + "\n").encode())


ledger = os.environ["LEDGER"]
folder = os.path.dirname(ledger)
runtime = Runtime()
while True:
    id, headers, event = runtime.next()
    about = event["requestContext"]
    if "connectionId" not in about:
        runtime.respond(id, {"statusCode": 200, "headers": {"Content-Type": "text/event-stream", "Execgate-Groups": "all"}, "body": ""})
        continue
    entry = {"id": about["connectionId"], "route": about["routeKey"], "node": os.environ["NODE"], "code": about.get("disconnectStatusCode"),
             "user": about.get("authorizer"), "address": about["identity"]["sourceIp"], "body": event.get("body"), "agent": about["identity"].get("userAgent"),
             "groups": about.get("groups", event.get("groups"))}
    if about["routeKey"] == "$disconnect" and os.path.exists(folder + "/hold"):
        note(folder + "/held", entry)
        while os.path.exists(folder + "/hold"):
            time.sleep(0.01)
    note(ledger, entry)
    runtime.respond(id, {"statusCode": 200, "body": event.get("body") or ""})
