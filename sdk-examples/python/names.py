#!/usr/bin/env python3
"""The Unicode names of a text's characters, on the AWS Lambda runtime API, with the standard library alone.

GET /names/{text} answers {"text": ..., "characters": [{"character": ..., "name": ...}]}
"""
import http.client
import json
import os
import traceback
import unicodedata


def handle(event):
    text = event["pathParameters"]["text"]
    named = [{"character": c, "name": unicodedata.name(c, f"U+{ord(c):04X}")} for c in text]
    body = json.dumps({"text": text, "characters": named}, ensure_ascii=False)
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": body}


def call(api, method, path, document=None):
    api.request(method, "/2018-06-01/runtime/invocation/" + path, None if document is None else json.dumps(document))
    answer = api.getresponse()
    return answer.headers["Lambda-Runtime-Aws-Request-Id"], answer.read()


def main():
    api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    while True:
        invocation, event = call(api, "GET", "next")  # waits until there is one
        try:
            call(api, "POST", f"{invocation}/response", handle(json.loads(event)))
        except Exception as e:  # this event has failed; the next may do better
            failure = {"errorType": type(e).__name__, "errorMessage": str(e), "stackTrace": traceback.format_tb(e.__traceback__)}
            call(api, "POST", f"{invocation}/error", failure)


if __name__ == "__main__":
    main()
