"""Rates, places, sizes and times of routes, and whose word about the client's address counts."""
import contextlib
import http.client
import json
import re
import socket
import threading

import pytest
from execgate import ROOT, Answer, Gateway, wait_for

PROBE = ROOT / "tests/e2e/handlers/probe.py"
BLUEPRINT = f"""
blueprint: 1
name: limits
trustedProxies: [127.0.0.1]
auth:
  guards:
    key: {{type: apiKey, in: "header:x-api-key", keys: {{acme: "${{file:acme.key}}", other: "${{file:other.key}}"}}}}
handlers:
  probe:
    command: {PROBE}
    timeout: 20s
    processes: {{min: 4, max: 8}}
    triggers:
      - http: GET /plain/{{orders+}}
      - http: GET /slow-rate/{{orders+}}
        rateLimit: {{rate: 3/h, by: address}}
      - http: GET /fast-rate/{{orders+}}
        rateLimit: {{rate: 2/s, burst: 2}}
      - http: GET /shared/{{orders+}}
        rateLimit: {{rate: 2/h, by: route, name: everybody}}
      - http: GET /by-header/{{orders+}}
        rateLimit: {{rate: 2/h, by: "header:x-client"}}
      - http: GET /by-key/{{orders+}}
        guard: key
        rateLimit: [{{rate: 5/h}}, {{rate: 2/h, by: subject, name: key}}]
      - http: GET /narrow/{{orders+}}
        maxConcurrency: 2
      - http: ANY /sizes/{{orders+}}
        maxBody: 10B
        maxHeader: 1KiB
        maxUri: 100B
      - http: GET /short/{{orders+}}
        timeout: 300ms
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    keys = {f"{name}.key": f"{name}-key-of-enough-length\n" for name in ("acme", "other")}
    with Gateway(tmp_path_factory.mktemp("limits"), BLUEPRINT, files=keys) as g:
        yield g


def via(address, **more):
    return {"X-Forwarded-For": address, **more}


def event_of(server, **headers):
    return server.get("/plain/event", headers={k.replace("_", "-"): v for k, v in headers.items()}).json()["event"]


def rate_of(answer, name="default"):
    left, seconds = re.search(rf'"{name}";r=(\d+);t=(\d+)', answer["RateLimit"]).groups()
    return {"r": int(left), "t": int(seconds)}


def test_a_client_beyond_its_rate_is_refused_until_a_token_is_back(server):
    client = via("198.51.100.1")
    for left in (2, 1, 0):
        a = server.get("/slow-rate/pid", headers=client)
        assert a.status == 200 and a["RateLimit-Policy"] == '"default";q=3;w=3600' and rate_of(a)["r"] == left
    a = server.get("/slow-rate/pid", headers=client)
    assert a.status == 429 and a["Content-Type"] == "application/problem+json" and a.json()["type"] == "urn:execgate:problem:rate-limited"
    assert 1100 < int(a["Retry-After"]) <= 1200 and rate_of(a) == {"r": 0, "t": int(a["Retry-After"])}
    assert server.get("/slow-rate/pid", headers=via("198.51.100.2")).status == 200, "another client has a bucket of its own"
    assert server.get("/plain/pid", headers=client).status == 200, "a route without a limit"
    assert server.get("/plain/pid", headers=client)["RateLimit"] is None


def test_tokens_come_back(server):
    client = via("198.51.100.3")
    statuses = [server.get("/fast-rate/pid", headers=client).status for _ in range(6)]
    assert statuses[:2] == [200, 200] and 429 in statuses
    wait_for(lambda: server.get("/fast-rate/pid", headers=client).status == 200, what="a token")


def test_ipv6_is_counted_by_subscriber(server):
    statuses = [server.get("/slow-rate/pid", headers=via(f"2001:db8:7:7::{i:x}")).status for i in range(1, 6)]
    assert statuses == [200, 200, 200, 429, 429]
    assert server.get("/slow-rate/pid", headers=via("2001:db8:7:8::1")).status == 200


def test_by_route_all_are_counted_together(server):
    statuses = [server.get("/shared/pid", headers=via(f"198.51.100.{i}")).status for i in range(20, 23)]
    assert statuses == [200, 200, 429]


def test_by_header_each_value_has_a_bucket(server):
    def status(**headers):
        return server.get("/by-header/pid", headers=headers).status
    assert [status(**{"X-Client": "one"}) for _ in range(3)] == [200, 200, 429]
    assert status(**{"X-Client": "two"}) == 200
    assert [status(**via("198.51.100.30")) for _ in range(3)] == [200, 200, 429], "who says nothing is counted by address"


def test_by_key_the_guard_comes_first(server):
    def get(key, address):
        return server.get("/by-key/pid", headers=via(address, **({"X-Api-Key": key} if key else {})))
    acme = "acme-key-of-enough-length"
    first = get(acme, "198.51.100.40")
    assert first.status == 200 and rate_of(first, "default")["r"] == 4 and rate_of(first, "key")["r"] == 1
    assert get(acme, "198.51.100.41").status == 200
    over = get(acme, "198.51.100.42")
    assert over.status == 429 and rate_of(over, "key")["r"] == 0 and rate_of(over, "default")["r"] == 4, "the early limit was charged"
    assert get("other-key-of-enough-length", "198.51.100.42").status == 200
    wrong = [get(f"wrong-{i}-of-enough-length", "198.51.100.43") for i in range(7)]
    assert [a.status for a in wrong] == [401] * 5 + [429] * 2, "guessing is held back before the guard looks"
    assert '"key"' not in wrong[0]["RateLimit"] and '"key"' in wrong[0]["RateLimit-Policy"]


# --- places ---

def test_places_on_a_route(server):
    def sleep():  # until it has had a place: the one who looks takes one, too, for a moment
        wait_for(lambda: server.get("/narrow/sleep/1").status == 200, what="a place")
    threads = [threading.Thread(target=sleep) for _ in range(2)]
    for t in threads:
        t.start()
    over = wait_for(lambda: (a := server.get("/narrow/pid")).status == 503 and a, what="a full route")
    assert over["Retry-After"] == "1" and over.json()["type"] == "urn:execgate:problem:overloaded"
    assert server.get("/plain/pid").status == 200
    for t in threads:
        t.join()
    assert [server.get("/narrow/pid").status for _ in range(5)] == [200] * 5, "all places are free again"


def test_a_place_is_free_again_after_every_end(server):
    for path in ("/narrow/error", "/narrow/raw/eA"):
        assert [server.get(path).status for _ in range(3)] == [502] * 3
    for _ in range(4):
        with server.connect() as s:
            s.sendall(b"GET /narrow/sleep/0.3 HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_for(lambda: server.get("/narrow/pid").status == 200, what="a place after clients have left")


# --- sizes and times ---

def test_sizes(server):
    assert server.request("POST", "/sizes/body", body=b"0123456789").status == 200
    assert server.request("POST", "/sizes/body", body=b"0123456789a").status == 413
    assert server.get("/sizes/pid?" + "q" * (100 - len("/sizes/pid?"))).status == 200
    over = server.get("/sizes/pid?" + "q" * (101 - len("/sizes/pid?")))
    assert over.status == 414 and "at most 100" in over.json()["detail"]
    assert server.get("/sizes/pid", headers={"X-Long": "h" * 800}).status == 200
    over = server.get("/sizes/pid", headers={"X-Long": "h" * 1100})
    assert over.status == 431 and "at most 1024" in over.json()["detail"]
    assert server.get("/plain/pid", headers={"X-Long": "h" * 1100}).status == 200


def test_a_chunked_body_beyond_the_bound(server):
    with server.connect() as s:
        s.sendall(b"POST /sizes/body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n0123456789a\r\n0\r\n\r\n")
        assert s.makefile("rb").readline().split()[1] == b"413"


def test_the_timeout_of_a_route(server):
    slow = server.get("/short/sleep/10")
    assert slow.status == 504
    assert server.get("/plain/sleep/0.6").status == 200
    assert server.get("/short/pid").status == 200


def test_the_deadline_that_the_handler_sees(server):
    a = server.get("/short/event").json()
    b = server.get("/plain/event").json()
    def left(answer):
        return int({k.lower(): v for k, v in answer["headers"].items()}["lambda-runtime-deadline-ms"]) - answer["event"]["requestContext"]["timeEpoch"]
    assert left(a) < 5000 < left(b)


# --- whose word counts ---

def test_a_trusted_proxy_names_the_client(server):
    event = event_of(server, X_Forwarded_For="6.6.6.6, 192.0.2.7, 127.0.0.1", X_Forwarded_Host="shop.example")
    assert event["requestContext"]["http"]["sourceIp"] == "192.0.2.7"
    assert event["requestContext"]["domainName"] == "shop.example"
    assert event["headers"]["x-forwarded-for"] == "6.6.6.6, 192.0.2.7, 127.0.0.1", "as it was sent"
    event = event_of(server, Forwarded='for=6.6.6.6, for="[2001:db8::5]:80";proto=https;host=f.example')
    assert event["requestContext"]["http"]["sourceIp"] == "2001:db8::5" and event["requestContext"]["domainName"] == "f.example"
    assert event_of(server, Forwarded="for=6.6.6.6, for=nonsense")["requestContext"]["http"]["sourceIp"] == "127.0.0.1"
    assert event_of(server, Forwarded="for=6.6.6.6", X_Forwarded_For="192.0.2.7")["requestContext"]["http"]["sourceIp"] == "192.0.2.7"


def test_the_access_log_names_the_client(server):
    server.get("/plain/pid", headers=via("192.0.2.77"))
    server.wait_log(client="192.0.2.77")


def unix_get(path, target, headers):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(str(path))
    c = http.client.HTTPConnection("gateway")
    c.sock = s
    with contextlib.closing(c):
        c.request("GET", target, headers=headers)
        r = c.getresponse()
        return Answer(r.status, r.getheaders(), r.read())


STRANGERS = f"""
blueprint: 1
name: strangers
listen: [{{http: 127.0.0.1:0}}, {{http: "unix:door.sock"}}]
trustedProxies: [unix]
limits: {{rateLimit: {{rate: 4/h}}}}
handlers:
  probe:
    command: {PROBE}
    processes: {{min: 1}}
    triggers: [{{http: "GET /a/{{orders+}}"}}, {{http: "GET /b/{{orders+}}"}}]
"""


def test_strangers_are_not_believed_and_the_applications_rate_is_shared(tmp_path):
    forged = {"X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example",
              "X-Real-IP": "192.0.2.1", "X-Forwarded-Anything": "x"}
    g = Gateway(tmp_path, STRANGERS)
    g.start(listen=None)
    with contextlib.ExitStack() as stack:
        stack.push(g.__exit__)
        event = g.get("/a/event", headers=forged).json()["event"]
        assert event["requestContext"]["http"]["sourceIp"] == "127.0.0.1" and "evil" not in json.dumps(event)
        assert not [n for n in event["headers"] if "forward" in n or n == "x-real-ip"]
        statuses = [g.get(p, headers=via(f"192.0.2.{i}")).status for i, p in enumerate(["/a/pid", "/b/pid", "/a/pid", "/b/pid"])]
        assert statuses == [200, 200, 200, 429], "four in all, whatever addresses are invented"
        door = tmp_path / "door.sock"
        event = json.loads(unix_get(door, "/a/event", via("192.0.2.1")).body)["event"]
        assert event["requestContext"]["http"]["sourceIp"] == "192.0.2.1", "who reaches the local socket is trusted here"
        assert [unix_get(door, "/b/pid", via("192.0.2.1")).status for _ in range(4)] == [200, 200, 200, 429]
        assert [unix_get(door, "/b/pid", {}).status for _ in range(5)] == [200] * 4 + [429], "local clients are one client"
