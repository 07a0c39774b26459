"""Be a handler of execgate, with the standard library: serve(handle) takes one event at a time over the native runtime API.

Each event is an HTTP request, each answer an HTTP response; an exchange carries the last answer there and brings the next
event back. handle(request) returns a Response. What it raises fails that one event, with the traceback in the log.
"""
import dataclasses
import json
import os
import re
import socket
import sys
import time
import traceback
import urllib.parse

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_GROUPS = "Execgate-Groups"
_VALUE = re.compile(r"[\t -~\x80-\xff]*")


class Request:
    def __init__(self, head, body):
        start, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = start.split(" ", 2)
        path, _, self.raw_query = self.target.partition("?")
        self.path = urllib.parse.unquote(path)
        self.headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        self.body = body
        self.id = self.header("Execgate-Invocation-Id")
        self.trigger = self.header("Execgate-Trigger")  # "http", "invoke", ...
        self.route = self.header("Execgate-Route", "")
        self.parameters = dict(urllib.parse.parse_qsl(self.header("Execgate-Parameters", ""), True))
        self.client_address = self.header("Execgate-Client-Address", "")
        self.request_id = self.header("Execgate-Request-Id", "")

    def header(self, name, otherwise=None):
        """A field's first value; names match in any case."""
        return next((value for n, value in self.headers if n.lower() == name.lower()), otherwise)

    @property
    def query(self):
        return dict(urllib.parse.parse_qsl(self.raw_query, True))

    @property
    def claims(self):
        """What is known of who sends this; {} when the route has no guard."""
        return json.loads(self.header("Execgate-Claims", "{}").encode("latin-1"))

    @property
    def remaining(self):
        """Seconds until the deadline."""
        return int(self.header("Execgate-Deadline", "0")) / 1000 - time.time()

    @property
    def connection(self):
        """The id of the WebSocket connection that this happened on; "" when it is no such event."""
        return self.header("Execgate-Connection-Id", "")

    @property
    def groups(self):
        """Those that the connection is in, or was in when it ended."""
        return [urllib.parse.unquote(name) for name in self.header(_GROUPS, "").split(",") if name]

    def json(self):
        return json.loads(self.body)

    def messages(self):
        """Those of an event from a queue, each as a request: its body, and headers such as Queue-Message-Id."""
        return [self] if self.header("Queue-Message-Id") else list(_events(self.body))


@dataclasses.dataclass
class Response:
    status: int = 200
    headers: list = dataclasses.field(default_factory=list)  # of (name, value)
    body: bytes = b""


def text(status, value):
    return Response(status, [("Content-Type", "text/plain; charset=utf-8")], value.encode())


def as_json(status, value):
    return Response(status, [("Content-Type", "application/json")], json.dumps(value).encode() + b"\n")


def event_stream(events, *groups):
    """A stream of server-sent events that goes on without the handler, in these groups; `events` is its beginning."""
    names = ",".join(urllib.parse.quote(group, safe="") for group in groups)
    return Response(200, [("Content-Type", "text/event-stream"), (_GROUPS, names)], events.encode())


def failed_messages(ids):
    """Answers an event from a queue with `reportFailures: true`: these messages come again, the others are done."""
    return as_json(200, {"batchItemFailures": [{"itemIdentifier": id} for id in ids]})


class CallError(Exception):
    """The gateway has refused a call."""


def call(method, target, data=b""):
    """A call of the runtime API; text is sent as text, bytes as bytes. What it answers, from JSON; None: not open (any more)."""
    kind = "text/plain; charset=utf-8" if isinstance(data, str) else "application/octet-stream"
    body = data.encode() if isinstance(data, str) else data
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(60)
        s.connect(os.environ["EXECGATE_RUNTIME_SOCKET"])
        head = f"{method} {target} HTTP/1.1\r\nHost: execgate\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        s.sendall(head.encode("ascii") + body)
        head, answer = _read(s.makefile("rb"))
    status = int(head.split(b" ")[1]) if head else 0
    if status == 410:
        return None
    if not 200 <= status <= 299:
        raise CallError(f"{method} {target} was answered {status}: {answer.decode(errors='replace')}")
    return json.loads(answer or b"{}")


def _path(kind, name, more=""):
    return f"/v1/{kind}/{urllib.parse.quote(name, safe='')}{more}"


def send(connection, data):
    """To one connection; False: it is not open (any more). So it is with close, join and leave."""
    return call("POST", _path("connections", connection), data) is not None


def close(connection, code=1000, reason=""):
    return call("DELETE", _path("connections", connection, "?" + urllib.parse.urlencode({"code": code, "reason": reason}))) is not None


def join(connection, group):
    return call("PUT", _path("connections", connection, _path("groups", group)[3:])) is not None


def leave(connection, group):
    return call("DELETE", _path("connections", connection, _path("groups", group)[3:])) is not None


def broadcast(group, data, but=""):
    """To all in a group, perhaps but one: to how many."""
    query = "?except=" + urllib.parse.quote(but, safe="") if but else ""
    return call("POST", _path("groups", group, "/messages" + query), data)["sent"]


def _message(status, fields, body):
    for name, value in fields:
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(f"the field {name!r}: {value!r} is not valid")
    lines = [f"HTTP/1.1 {int(status)} ", *(f"{n}: {v}" for n, v in fields), f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def _answer(handle, request):
    own = [("Execgate-Invocation-Id", request.id)]
    try:
        r = handle(request) or Response()
        fields = [(n, v) for n, v in r.headers if n.lower() != "content-length" and (n == _GROUPS or not n.lower().startswith("execgate-"))]
        return _message(r.status, own + fields, r.body)
    except Exception as e:  # whatever it is, the others go on
        return _message(500, own + [("Execgate-Error", type(e).__name__)], traceback.format_exc().encode("utf-8", "replace"))


def _read(stream):
    """A message's head and body; None at the end."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        if not line:
            return None, b""
        head += line
    size = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return head[:-4], stream.read(int(size[1])) if size else b""


def _events(body):
    while body:
        head, _, rest = body.partition(b"\r\n\r\n")
        size = int(re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)[1])
        yield Request(head, rest[:size])
        body = rest[size:]


def serve(handle):
    """Until the gateway wants no more of this process."""
    path = os.environ.get("EXECGATE_RUNTIME_SOCKET")
    if not path:
        sys.exit("EXECGATE_RUNTIME_SOCKET is not set; does execgate run this?")
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    stream, answers = connection.makefile("rb"), b""
    while True:
        start = f"POST /v1/exchange?max=1 HTTP/1.1\r\nHost: execgate\r\nContent-Type: application/http\r\nContent-Length: {len(answers)}\r\n\r\n"
        connection.sendall(start.encode() + answers)
        head, body = _read(stream)
        if head is None or re.search(rb"(?i)\r\nexecgate-drain: *true", head):
            return
        if not head.startswith(b"HTTP/1.1 200"):
            sys.exit(f"the gateway answered {head.splitlines()[0]!r}: {body[:500]!r}")
        refused = re.search(rb"(?i)\r\nexecgate-refused: *([^\r]*)", head)
        if refused:
            print("answers refused:", refused[1].decode(), file=sys.stderr)
        answers = b"".join(_answer(handle, request) for request in _events(body))
