#!/usr/bin/env python3
"""A news ticker of server-sent events, on the AWS Lambda runtime API and the standard library alone.

GET  /news  what was missed since the request's Last-Event-ID; then the gateway holds the stream, and this process is free
POST /news  tells everybody the body's text; answers {"id": ..., "readers": ...}
"""
import base64
import collections
import http.client
import json
import os
import traceback

STORIES = collections.deque(maxlen=100)  # (id, text)


def call(api, method, path, body=None):
    api.request(method, path, body)
    answer = api.getresponse()
    return answer.headers, answer.read()


def missed(last):
    since = int(last) if last.isdecimal() else STORIES[-1][0] if STORIES else 0
    lines = ["retry: 2000\n\n"]
    for number, text in STORIES:
        if number > since:
            lines.append(f"id: {number}\n" + "".join(f"data: {line}\n" for line in text.splitlines() or [""]) + "\n")
    return "".join(lines)


def publish(api, text):
    number = STORIES[-1][0] + 1 if STORIES else 1
    STORIES.append((number, text))
    _, sent = call(api, "POST", f"/v1/groups/news/messages?id={number}", text.encode())
    return json.dumps({"id": number, "readers": json.loads(sent)["sent"]})


def handle(api, event):
    if event["requestContext"]["http"]["method"] == "GET":
        headers = {"content-type": "text/event-stream", "execgate-groups": "news"}
        return {"statusCode": 200, "headers": headers, "body": missed(event["headers"].get("last-event-id", ""))}
    text = event.get("body", "")
    if event.get("isBase64Encoded"):
        text = base64.b64decode(text).decode()
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": publish(api, text)}


def main():
    api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    invocations = "/2018-06-01/runtime/invocation/"
    while True:
        headers, event = call(api, "GET", invocations + "next")  # waits until there is one
        this = invocations + headers["Lambda-Runtime-Aws-Request-Id"]
        try:
            call(api, "POST", f"{this}/response", json.dumps(handle(api, json.loads(event))))
        except Exception as e:  # this event has failed; the next may do better
            failure = {"errorType": type(e).__name__, "errorMessage": str(e), "stackTrace": traceback.format_tb(e.__traceback__)}
            call(api, "POST", f"{this}/error", json.dumps(failure))


if __name__ == "__main__":
    main()
