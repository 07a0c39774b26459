#!/usr/bin/python3 -S
"""An authorizer on the Lambda face: decides by the credential, and keeps its events in the file `asked`."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from runtime import Runtime  # noqa: E402

ANSWERS = {
    "deny": {"isAuthorized": False},
    "deny-401": {"isAuthorized": False, "statusCode": 401},
    "http-401": {"statusCode": 401, "body": "who"},
    "allowed-by-status": {"statusCode": 200},
    "denied-with-200": {"isAuthorized": False, "statusCode": 200},
    "misspelt": {"isAuthorised": True},
    "text": "true",
    "number": {"isAuthorized": 1},
    "list": {"isAuthorized": True, "context": [1]},
    "nothing": b"",
}

runtime = Runtime()
while True:
    id, headers, event = runtime.next()
    with open("asked", "a", encoding="utf-8") as f:
        f.write(json.dumps(event) + "\n")
    credential = event["headers"].get("authorization", "")
    if credential == "crash":
        os._exit(3)
    if credential == "error":
        runtime.error(id, "Broken", "it is broken")
        continue
    while credential == "slow" and not os.path.exists("go"):
        time.sleep(0.005)
    answer = ANSWERS.get(credential, {"isAuthorized": True, "context": {"who": credential, "sub": "s-" + credential, "level": 7, "groups": ["a", "b"], "scope": "read write"}})
    runtime.respond(id, answer)
