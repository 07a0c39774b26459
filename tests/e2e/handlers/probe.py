#!/usr/bin/python3 -S
"""Does what the request's path says; the last path segments are its orders."""
import base64
import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from runtime import Runtime  # noqa: E402


def act(runtime, id, headers, event):
    order, *rest = event["rawPath"].strip("/").split("/")[1:] or ["event"]
    if order == "event":  # the event itself, with what came beside it
        return runtime.respond(id, {"statusCode": 200, "headers": {"content-type": "application/json"},
                                    "body": json.dumps({"event": event, "headers": headers, "pid": os.getpid(), "env": dict(os.environ)})})
    if order == "pid":
        return runtime.respond(id, {"statusCode": 200, "body": str(os.getpid())})
    if order == "sleep":
        time.sleep(float(rest[0]))
        return runtime.respond(id, {"statusCode": 200, "body": "slept"})
    if order == "hang":
        time.sleep(3600)
    if order == "ignore-term":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("ignoring SIGTERM", file=sys.stderr, flush=True)
        while True:
            time.sleep(1)
    if order == "exit":
        print("last words before the exit", file=sys.stderr, flush=True)
        os._exit(int(rest[0]))
    if order == "kill":
        os.kill(os.getpid(), getattr(signal, rest[0]))
    if order == "error":
        return runtime.error(id, "Function.Broken", "it is broken: secret detail")
    if order == "raw":  # the rest, base64url, is the whole answer
        return runtime.respond(id, base64.urlsafe_b64decode(rest[0]))
    if order == "size":
        return runtime.respond(id, json.dumps({"statusCode": 200, "body": "x" * int(rest[0])}))
    if order == "flood":
        line = "f" * 99 + "\n"
        for _ in range(int(rest[0]) * 10_000):  # MB of lines
            sys.stdout.write(line)
        sys.stdout.flush()
        return runtime.respond(id, {"statusCode": 200, "body": "flooded"})
    if order == "twice":
        first = runtime.respond(id, {"statusCode": 200, "body": "first"})
        second = runtime.respond(id, {"statusCode": 200, "body": "second"})
        print(f"answers {first[0]} {second[0]} {second[2].decode()}", flush=True)
        return second
    if order == "other":
        status = runtime.respond("00000000-0000-4000-8000-000000000000", {"statusCode": 200, "body": "forged"})
        print(f"forged answer got {status[0]}", flush=True)
        return runtime.respond(id, {"statusCode": 200, "body": f"forged answer got {status[0]}"})
    if order == "body":  # what arrived as the body
        data = event.get("body", "")
        data = base64.b64decode(data) if event.get("isBase64Encoded") else data.encode()
        return runtime.respond(id, {"statusCode": 200, "body": base64.b64encode(data).decode(), "isBase64Encoded": True,
                                    "headers": {"content-type": "application/octet-stream"}})
    if order == "close":  # the connection goes between event and answer
        runtime.connection.close()
        return runtime.respond(id, {"statusCode": 200, "body": "answered on a new connection"})
    return runtime.respond(id, {"statusCode": 404, "body": "no such order"})


def main():
    runtime = Runtime()
    print("probe is up", flush=True)
    while True:
        act(runtime, *runtime.next())


main()
