"""execgate invoke --websocket: an event of a WebSocket connection for one handler, without a server or a client."""
import json

import pytest
from execgate import run_cli

ONCE = r"""#!/bin/sh
[ "$EXECGATE_WEBSOCKET_ROUTE" = fail ] && exit 3
[ "$EXECGATE_WEBSOCKET_ROUTE" = '$connect' ] && printf 'Status: 403\n'
printf 'Content-Type: text/plain\n\n%s %s %s [%s] %s %s' "$EXECGATE_TRIGGER" "$EXECGATE_WEBSOCKET_ROUTE" "$REQUEST_METHOD $PATH_INFO" "$CONTENT_TYPE" "${#EXECGATE_CONNECTION_ID}" "$EXECGATE_CLOSE_CODE"
cat
"""
LAMBDA = r"""#!/usr/bin/python3
import http.client, json, os
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    r = api.getresponse()
    event, id = r.read().decode(), r.headers["Lambda-Runtime-Aws-Request-Id"]
    api.request("POST", f"/2018-06-01/runtime/invocation/{id}/response", json.dumps({"statusCode": 200, "body": event}))
    api.getresponse().read()
"""
BLUEPRINT = """
blueprint: 1
name: tries
handlers:
  once:
    command: ./once
    mode: once
    triggers:
      - {websocket: /ws, route: $connect}
      - {websocket: /ws, route: $disconnect}
      - {websocket: /ws, route: join room}
      - {websocket: /ws, route: fail}
      - websocket: /ws
  aws: {command: ./aws, triggers: [{websocket: /aws}, {websocket: /aws, route: join}, {websocket: "/rooms/{room}", route: who}]}
"""


@pytest.fixture
def invoke(tmp_path):
    for name, text in (("once", ONCE), ("aws", LAMBDA), ("blueprint.yaml", BLUEPRINT)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return lambda *words, **kw: run_cli("invoke", *words, cwd=tmp_path, **kw)


def test_what_a_script_is_told(invoke):
    r = invoke("once", "--websocket", "join room", "-d", "tea?")
    assert (r.returncode, r.stdout) == (0, "websocket join room POST /websocket/ws/join room [text/plain; charset=utf-8] 32 tea?"), r.stderr
    assert "HTTP/1.1 200" in r.stderr
    r = invoke("once", "--websocket", "/ws $disconnect")
    assert r.stdout == "websocket $disconnect POST /websocket/ws/$disconnect [] 32 1000"
    r = invoke("once", "--websocket", "$connect", "--fail")
    assert r.returncode == 5 and "HTTP/1.1 403" in r.stderr
    assert invoke("once", "--websocket", "$connect").returncode == 0
    assert invoke("once", "--websocket", "fail").returncode == 5
    told = json.loads(invoke("once", "--websocket", "$connect", "--json").stdout)
    assert told["status"] == 403 and told["ok"] and told["answer"].startswith("websocket $connect")


def test_what_a_lambda_client_is_told(invoke, tmp_path):
    event = json.loads(invoke("aws", "--websocket", "join", "-d", '{"action":"join"}', "--as", "sub=alice").stdout)
    c = event["requestContext"]
    assert (c["routeKey"], c["eventType"], c["authorizer"]["principalId"]) == ("join", "MESSAGE", "alice")
    assert event["body"] == '{"action":"join"}' and not event["isBase64Encoded"] and len(c["connectionId"]) == 32 and c["messageId"]
    (tmp_path / "data").write_bytes(b"\xff\x00")
    event = json.loads(invoke("aws", "--websocket", "$default", "-d", "@data").stdout)
    assert event["body"] == "/wA=" and event["isBase64Encoded"]


@pytest.mark.parametrize("words, told", [
    (["--websocket", "jion"], 'did you mean "join"?'), (["--websocket", "/other join"], "`execgate routes` shows them"),
    (["--websocket", "join", "--http", "/"], "--http does not go with it"), (["--websocket", "join", "-e", "-"], "--event does not go with it"),
    (["--websocket", "who"], "has parameters"), (["--schedule", "a", "--websocket", "join"], "--websocket does not go with it"),
])
def test_what_cannot_be_meant(invoke, words, told):
    r = invoke("aws", *words)
    assert r.returncode == 2 and told in r.stderr and r.stdout == "", r.stderr
