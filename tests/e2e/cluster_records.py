"""Records of connections as gateways write them into Redis, right or wrong (gateway/source/websocket/websocket_record.c)."""
import struct


def field(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack(">I", len(value)) + value


def number(value):
    return field(struct.pack(">Q", value))


def text(value):
    return field("-") if value is None else field("+") + field(value)


def identity(claims, guard="guard"):
    return number(1) + number(0) + field(guard) + field("Bearer") + field(claims)


def record(path="/rooms/{room}", raw_path="/rooms/1", agent="test", address="127.0.0.1", parameters=("1",), identity=number(0), groups=None):
    texts = (path, raw_path, "localhost", "http", agent, None, address)
    return b"".join([number(1), number(1_700_000_000_000), number(4711), *map(text, texts), number(len(parameters)), *map(field, parameters), identity, text(groups)])


BAD = {
    "nothing": b"",
    "no record": b"\xff" * 300,
    "cut": record()[:-3],
    "no path to ask for": record(raw_path=None),
    "an empty path": record(raw_path=""),
    "a path that is none": record(raw_path="/%zz"),
    "a path of two lines": record(raw_path="/a\r\nEvil: 1"),
    "a path that is too deep": record(raw_path="/a" * 64),
    "a query": record(raw_path="/rooms/1?a=b"),
    "fields in a field": record(agent="x\r\nEvil: 1"),
    "fields in the groups": record(groups="a\r\nEvil: 1"),
    "NUL": record(address="127.0.0.1\0"),
    "more parameters than there can be": record(parameters=["x"] * 33),
    "claims that are cut": record(identity=identity('{"sub":')),
    "claims of two lines": record(identity=identity('{"sub":\r\n1}')),
    "claims that are a list": record(identity=identity("[1]")),
    "no claims": record(identity=identity("")),
    "a guard of two lines": record(identity=identity("{}", "x\r\ny")),
}
