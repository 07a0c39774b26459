"""execgate event: sample events, compared member by member and type by type with the shapes that AWS documents."""
import base64
import hashlib
import json
import re
import time

import pytest
from execgate import run_cli

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NUMBER = re.compile(r"\d+")
COMMON_TIME = re.compile(r"\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2} \+0000")
ISO_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:00Z")
MD5 = re.compile(r"[0-9a-f]{32}")
ARN = "arn:aws:%s:us-east-1:012345678912:%s"


class Maybe:
    """A member that may be absent."""

    def __init__(self, shape):
        self.shape = shape


class Texts:
    """An object from names to texts; `of` is the shape of each value."""

    def __init__(self, of=str):
        self.of = of


class Each:
    """A list of elements of one shape."""

    def __init__(self, shape):
        self.shape = shape


def compare(value, shape, where="event"):
    if isinstance(shape, dict):
        assert isinstance(value, dict), f"{where} is {value!r}"
        required = {k for k, v in shape.items() if not isinstance(v, Maybe)}
        assert required <= set(value) <= set(shape), f"{where}: missing {required - set(value)}, unknown {set(value) - set(shape)}"
        for k, v in value.items():
            compare(v, shape[k].shape if isinstance(shape[k], Maybe) else shape[k], f"{where}.{k}")
    elif isinstance(shape, Texts):
        assert isinstance(value, dict), where
        for k, v in value.items():
            compare(v, shape.of, f"{where}.{k}")
    elif isinstance(shape, Each):
        assert isinstance(value, list), where
        for i, v in enumerate(value):
            compare(v, shape.shape, f"{where}[{i}]")
    elif isinstance(shape, re.Pattern):
        assert isinstance(value, str) and shape.fullmatch(value), f"{where} is {value!r}"
    elif isinstance(shape, type):
        assert type(value) is shape, f"{where} is {value!r}"
    else:
        assert value == shape and type(value) is type(shape), f"{where} is {value!r}, not {shape!r}"


# API Gateway, "Working with AWS Lambda proxy integrations for HTTP APIs", payload format version 2.0.
HTTP = {
    "version": "2.0", "routeKey": str, "rawPath": str, "rawQueryString": str, "cookies": Maybe(Each(str)), "headers": Texts(),
    "queryStringParameters": Maybe(Texts()), "pathParameters": Maybe(Texts()), "stageVariables": Maybe(Texts()),
    "requestContext": {
        "accountId": NUMBER, "apiId": str,
        "authentication": Maybe({"clientCert": {"subjectDN": str}}),
        "authorizer": Maybe({"jwt": {"claims": Texts(), "scopes": Each(str)}}),
        "domainName": str, "domainPrefix": str,
        "http": {"method": str, "path": str, "protocol": "HTTP/1.1", "sourceIp": str, "userAgent": Maybe(str)},
        "requestId": str, "routeKey": str, "stage": "$default", "time": COMMON_TIME, "timeEpoch": int,
    },
    "body": Maybe(str), "isBase64Encoded": bool,
}

# Lambda, "Using Lambda with Amazon SQS"; attributes are always texts.
QUEUE = {"Records": Each({
    "messageId": UUID, "receiptHandle": str, "body": str,
    "attributes": {
        "ApproximateReceiveCount": NUMBER, "SentTimestamp": NUMBER, "SenderId": str, "ApproximateFirstReceiveTimestamp": NUMBER,
        "SequenceNumber": Maybe(NUMBER), "MessageGroupId": Maybe(str), "MessageDeduplicationId": Maybe(str),
    },
    "messageAttributes": Texts({"stringValue": str, "stringListValues": [], "binaryListValues": [], "dataType": "String"}),
    "md5OfBody": MD5, "eventSource": "aws:sqs", "eventSourceARN": ARN % ("sqs", "sample"), "awsRegion": "us-east-1",
})}

# EventBridge, "Scheduled events".
SCHEDULE = {
    "version": "0", "id": UUID, "detail-type": "Scheduled Event", "source": "aws.events", "account": NUMBER, "time": ISO_TIME,
    "region": "us-east-1", "resources": [ARN % ("events", "rule/sample")], "detail": dict,
}

# API Gateway, "WebSocket API": $context variables and the proxy integration's input.
CONTEXT = {
    "routeKey": str, "eventType": str, "extendedRequestId": str, "requestTime": COMMON_TIME, "messageDirection": "IN", "stage": str,
    "connectedAt": int, "requestTimeEpoch": int, "identity": {"sourceIp": str, "userAgent": str}, "requestId": str, "domainName": str,
    "connectionId": str, "apiId": str, "authorizer": Maybe(Texts()),
}
WEBSOCKET = {
    "connect": {
        "headers": Texts(), "multiValueHeaders": Texts(Each(str)), "queryStringParameters": Maybe(Texts()),
        "multiValueQueryStringParameters": Maybe(Texts(Each(str))),
        "requestContext": {**CONTEXT, "routeKey": "$connect", "eventType": "CONNECT"}, "isBase64Encoded": False,
    },
    "message": {
        "requestContext": {**CONTEXT, "routeKey": "$default", "eventType": "MESSAGE", "messageId": str}, "body": str, "isBase64Encoded": bool,
    },
    "disconnect": {
        "requestContext": {**CONTEXT, "routeKey": "$disconnect", "eventType": "DISCONNECT", "disconnectStatusCode": int, "disconnectReason": str},
        "isBase64Encoded": False,
    },
}

BLUEPRINT = """
blueprint: 1
name: shop
auth:
  guards:
    users: {type: jwt, secret: "${env.SECRET}", algorithms: [HS256]}
    staff: {type: basic, users: "file:staff"}
handlers:
  place-order:
    command: /bin/cat
    mode: once
    triggers:
      - http: POST /orders/{id}/{rest+}
        guard: users
      - http: GET /staff
        guard: staff
      - http: GET /open
"""


@pytest.fixture
def event(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "s" * 64)

    def call(*words, **kw):
        r = run_cli("event", *words, cwd=tmp_path, **kw)
        assert r.returncode == 0 and r.stderr == "", r.stderr
        return json.loads(r.stdout)
    return call


@pytest.fixture
def shop(tmp_path, event):
    (tmp_path / "blueprint.yaml").write_text(BLUEPRINT)
    (tmp_path / "staff").write_text("eve:$2b$04$abcdefghijklmnopqrstuuAbcdefghijklmnopqrstuvwxyz01234\n")
    return tmp_path


# --- shapes ---

@pytest.mark.parametrize("words", [
    [], ["--http", "GET /"], ["--http", "POST /a/b?c=d&c=e", "-d", "x=1", "-H", "Cookie: a=b; c=d"], ["--http", "POST /x", "-d", "@/bin/true", "-H", "Content-Type: application/x"],
    ["--as", "sub=alice", "--as", "scope=a b"],
])
def test_http(event, words):
    e = event("http", *words)
    compare(e, HTTP)
    assert abs(e["requestContext"]["timeEpoch"] / 1000 - time.time()) < 60


@pytest.mark.parametrize("words", [[], ["--count", "10"], ["-d", "text"]])
def test_queue(event, words):
    e = event("queue", *words)
    compare(e, QUEUE)
    ids = [r["messageId"] for r in e["Records"]]
    assert len(ids) == len(set(ids)) == (10 if "--count" in words else 1)
    for r in e["Records"]:
        assert r["md5OfBody"] == hashlib.md5(r["body"].encode()).hexdigest()
        assert abs(int(r["attributes"]["SentTimestamp"]) / 1000 - time.time()) < 60


def test_a_message_that_is_no_text(event, tmp_path):
    (tmp_path / "data").write_bytes(b"\xff\x00")
    [r] = event("queue", "-d", "@data", "--name", "orders")["Records"]
    assert base64.b64decode(r["body"]) == b"\xff\x00" and r["md5OfBody"] == hashlib.md5(r["body"].encode()).hexdigest()
    assert r["messageAttributes"]["contentTransferEncoding"]["stringValue"] == "base64" and r["eventSourceARN"] == ARN % ("sqs", "orders")


def test_schedule(event):
    compare(event("schedule"), SCHEDULE)
    e = event("schedule", "--name", "nightly", "-d", '{"deep": [1, "a:{\\"}"]}')
    assert e["resources"] == [ARN % ("events", "rule/nightly")] and e["detail"] == {"deep": [1, 'a:{"}']}


@pytest.mark.parametrize("kind", WEBSOCKET)
def test_websocket(event, kind):
    compare(event("websocket", "--type", kind), WEBSOCKET[kind])
    e = event("websocket", "--type", kind, "--as", "sub=alice", "--as", "n=json:1")
    compare(e, WEBSOCKET[kind])
    assert e["requestContext"]["authorizer"] == {"principalId": "alice", "sub": "alice", "n": "1"}


def test_a_websocket_message_that_is_no_text(event, tmp_path):
    (tmp_path / "data").write_bytes(b"\xff\x00")
    e = event("websocket", "-d", "@data")
    compare(e, WEBSOCKET["message"])
    assert e["isBase64Encoded"] is True and base64.b64decode(e["body"]) == b"\xff\x00"
    assert event("websocket", "-d", "hello")["body"] == "hello"


def test_a_websocket_message_of_a_route(event):
    compare(event("websocket", "--name", "join"), {**WEBSOCKET["message"], "requestContext": {**WEBSOCKET["message"]["requestContext"], "routeKey": "join"}})


# --- the route of a blueprint ---

def test_the_route_is_the_blueprints(event, shop):
    e = event("http", "--http", "POST /orders/7/a/b%20c?x=1", "-d", "{}", "--as", "sub=alice", "--as", "role=chef")
    compare(e, {**HTTP, "requestContext": {**HTTP["requestContext"], "authorizer": {"jwt": {"claims": Texts(), "scopes": None}}}})
    assert e["routeKey"] == e["requestContext"]["routeKey"] == "POST /orders/{id}/{rest+}" and e["requestContext"]["apiId"] == "shop"
    assert e["pathParameters"] == {"id": "7", "rest": "a/b c"} and e["requestContext"]["authorizer"]["jwt"]["claims"] == {"sub": "alice", "role": "chef"}
    assert event("http", "--http", "GET /staff", "--as", "sub=eve")["requestContext"]["authorizer"] == {"lambda": {"sub": "eve"}}
    assert "authorizer" not in event("http", "--http", "GET /open")["requestContext"]
    assert event("http")["routeKey"] == "$default"


def test_the_blueprint_may_be_named(event, tmp_path):
    (tmp_path / "other.yaml").write_text("blueprint: 1\nname: other\nhandlers: {a: {command: cat, mode: once, triggers: [{http: 'ANY /x'}]}}\n")
    for words in (["other.yaml"], ["-b", "other.yaml"]):
        assert event("http", *words, "--http", "GET /x")["routeKey"] == "ANY /x"


def test_it_is_the_event_that_a_handler_gets(shop, event):
    words = ["--http", "POST /orders/7/a?x=1", "-d", '{"a": "\\u00e9"}', "-H", "X-Twice: 1", "-H", "X-Twice: 2", "--as", "sub=alice"]
    (shop / "handler").write_text("#!/usr/bin/python3\nimport http.client, os\napi = http.client.HTTPConnection(os.environ['AWS_LAMBDA_RUNTIME_API'])\n"
                                  "api.request('GET', '/2018-06-01/runtime/invocation/next')\nr = api.getresponse()\nevent = r.read()\n"
                                  "api.request('POST', '/2018-06-01/runtime/invocation/%s/response' % r.headers['Lambda-Runtime-Aws-Request-Id'], event)\napi.getresponse()\n")
    (shop / "handler").chmod(0o755)
    (shop / "blueprint.yaml").write_text(BLUEPRINT.replace("command: /bin/cat\n    mode: once", "command: ./handler"))
    sample, real = event("http", *words), json.loads(run_cli("invoke", "place-order", *words, cwd=shop).stdout)
    for e in (sample, real):
        for member in ("time", "timeEpoch", "requestId"):
            del e["requestContext"][member]
    assert sample == real


def test_it_can_be_piped_into_invoke(shop, event):
    text = run_cli("event", "http", "--http", "POST /orders/7/a", "-d", "{}", cwd=shop).stdout
    r = run_cli("invoke", "place-order", "--event", "-", cwd=shop, stdin=text)
    assert r.returncode == 0 and r.stdout == text


# --- wrong usage ---

@pytest.mark.parametrize("words,hint", [
    ([], "http, queue, websocket or schedule"), (["tcp"], "http, queue, websocket or schedule"), (["htpp"], 'did you mean "http"'), (["http", "blueprint.yaml"], "it needs --http"),
    (["http", "-b", "x.yaml"], "x.yaml says which route"), (["queue", "blueprint.yaml"], "nothing about a queue event"), (["queue", "--http", "GET /"], "--http says nothing about a queue event"),
    (["schedule", "--count", "2"], "--count says nothing"), (["queue", "--count", "11"], "from 1 to 10"), (["schedule", "-d", "{"], "is JSON"), (["websocket", "--type", "connect", "--name", "a"], "of a message"), (["websocket", "--type", "open"], 'connect, message or disconnect, not "open"'),
    (["http", "--http", "GET /opne"], 'did you mean "GET /open"'), (["http", "--http", "PUT /open"], "allowed: GET, HEAD"), (["http", "--http", "GET /" + "x/" * 70], "segments"),
    (["http", "--http", "GET /open", "-H", "Host: a b"], "Host"), (["http", "--as", "sub"], "NAME=VALUE"), (["queue", "-d", "@missing"], 'cannot open "missing"'),
])
def test_wrong_usage_says_what_is_right(shop, words, hint):
    r = run_cli("event", *words, cwd=shop)
    assert r.returncode == 2 and hint in r.stderr and r.stdout == ""


def test_a_broken_blueprint_is_told(tmp_path):
    (tmp_path / "blueprint.yaml").write_text("blueprint: 2\n")
    r = run_cli("event", "http", "--http", "GET /", cwd=tmp_path)
    assert r.returncode == 1 and "blueprint.yaml:1" in r.stderr
