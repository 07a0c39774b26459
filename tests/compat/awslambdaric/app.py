"""Handlers on awslambdaric."""
import base64
import json
import os
import sys
import time


def echo(event, _):
    return {"statusCode": 200, "headers": {"Content-Type": "text/plain"}, "body": event.get("body", "")}


def api(event, _):
    seen = {"method": event["requestContext"]["http"]["method"], "path": event["rawPath"], "query": event["rawQueryString"], "cookies": event["cookies"],
            "parameters": event["pathParameters"], "color": event["headers"]["x-color"], "body": event["body"]}
    return {"statusCode": 201, "headers": {"Content-Type": "application/json", "X-Answer": "made by a handler"},
            "cookies": ["first=1; Path=/", "second=2"], "body": json.dumps(seen)}


def binary(event, _):
    assert event["isBase64Encoded"]
    data = base64.b64decode(event["body"])[::-1]
    return {"statusCode": 200, "headers": {"Content-Type": "application/octet-stream"}, "body": base64.b64encode(data).decode(), "isBase64Encoded": True}


def refuse(_, __):
    raise ValueError("refused by the handler")


def panic(_, __):
    sys.exit("broken in the handler")


def leave(_, __):
    print("last words", file=sys.stderr, flush=True)
    os._exit(7)


def late(_, context):
    print(f"left: {context.get_remaining_time_in_millis()} ms", flush=True)
    time.sleep(context.get_remaining_time_in_millis() / 1000 + 60)
    return {"statusCode": 200, "body": "too late"}


BEHAVIOURS = {"echo": echo, "api": api, "binary": binary, "error": refuse, "panic": panic, "exit": leave, "timeout": late}


def handler(event, context):
    if note := event["headers"].get("x-note"):
        print(f"note: {note}", flush=True)
    return BEHAVIOURS[event["rawPath"].rsplit("/", 1)[1]](event, context)
