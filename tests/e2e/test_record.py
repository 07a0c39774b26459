"""run --record: what is kept of invocations, what is not, and how much."""
import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import socket
import stat
import subprocess
import warnings

import pytest
from execgate import SLOW, run_cli, wait_for
from recording import FAR, HANDLERS, PLAIN, recorded, records, segments, wait_records
from test_reload import hup

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import crypt

KEY, SECRET, HOOK, PASSWORD = "acme-key-0123456789abcdef", "0123456789abcdef0123456789abcdef0123456789abcdef", "whsec-new-0123456789", "open-sesame-77"

GUARDED = f"""
blueprint: 1
name: guarded
auth:
  guards:
    token: {{type: jwt, secret: "${{env.SECRET}}", algorithms: [HS256], token: ["header:authorization", "cookie:session", "query:token"]}}
    key: {{type: apiKey, in: "header:x-shop-key", keys: {{acme: "${{env.KEY}}"}}}}
    link: {{type: apiKey, in: "query:ke-y", keys: {{acme: "${{env.KEY}}"}}}}
    baked: {{type: apiKey, in: "cookie:key", keys: {{acme: "${{env.KEY}}"}}}}
    staff: {{type: basic, users: "file:staff.htpasswd"}}
    hook: {{type: hmac, header: x-shop-signature, secret: "${{env.HOOK}}"}}
    stripe: {{type: hmac, style: stripe, secret: "${{env.HOOK}}", tolerance: 2m}}
    custom: {{type: handler, handler: authorize, credential: "header:x-ticket"}}
    either: {{type: any, of: [key, hook]}}
handlers:
  authorize:
    command: {HANDLERS}/authorize.py
  shop:
    command: ./shop.py
    triggers:
      - {{http: ANY /token, guard: token}}
      - {{http: ANY /key, guard: key}}
      - {{http: ANY /link, guard: link}}
      - {{http: ANY /baked, guard: baked}}
      - {{http: ANY /staff, guard: staff}}
      - {{http: ANY /hook, guard: hook}}
      - {{http: ANY /stripe, guard: stripe}}
      - {{http: ANY /custom, guard: custom}}
      - {{http: ANY /either, guard: either}}
      - http: ANY /open
"""


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(**claims):
    head = b64(b'{"alg":"HS256"}') + "." + b64(json.dumps({"exp": 9999999999, **claims}).encode())
    return head + "." + b64(hmac.digest(SECRET.encode(), head.encode(), "sha256"))


def environment():
    return {**os.environ, "SECRET": SECRET, "KEY": KEY, "HOOK": HOOK}


@contextlib.contextmanager
def guarded(folder, *args):
    (folder / "staff.htpasswd").write_text(f"ann:{crypt.crypt(PASSWORD, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))}\n")
    with recorded(folder, GUARDED, *args, env=environment()) as g:
        yield g


def everything(folder):
    return b"".join(f.read_bytes() for f in segments(folder))


def test_a_request_and_its_answer_are_kept_whole(tmp_path):
    with recorded(tmp_path) as g:
        r = g.request("POST", "/items/7?b=2&a=%20x", body=b'{"n": 1}', headers={"Content-Type": "application/json", "X-Shop": "north", "X-Request-Id": "req-1"})
        assert r.status == 200
        one, = wait_records(tmp_path / "records", 1)
    assert (one["record"], one["trigger"], one["handler"], one["route"]) == (1, "http", "shop", "ANY /items/{id}")
    q, a = one["request"], one["answer"]
    assert (q["method"], q["target"], q["body"]) == ("POST", "/items/7?b=2&a=%20x", {"text": '{"n": 1}', "size": 8})
    assert ["X-Shop", "north"] in q["headers"] and q["clientAddress"] == "127.0.0.1"
    assert one["parameters"] == [["id", "7"]] and "guarded" not in one and "claims" not in one
    assert a["status"] == 200 and a["body"]["text"] == r.text and a["body"]["size"] == len(r.body) and "cut" not in a["body"]
    assert ["X-Request-Id", "req-1"] in a["headers"] and "failure" not in a["error"]
    assert one["timing"]["totalUs"] > 0 and one["time"].endswith("Z") and len(one["id"]) == 36


def test_bytes_failures_and_what_no_route_takes(tmp_path):
    with recorded(tmp_path) as g:
        body = bytes(range(255, -1, -1))
        assert g.request("POST", "/bytes", body=body).body == bytes(range(256)) + b"then"
        assert g.get("/fail").status == 502
        assert g.get("/nowhere").status == 404
        assert g.request("OPTIONS", "/items").status == 404
        found = {r["request"]["target"]: r for r in wait_records(tmp_path / "records", 4)}
    assert base64.b64decode(found["/bytes"]["request"]["body"]["base64"]) == body
    assert base64.b64decode(found["/bytes"]["answer"]["body"]["base64"]) == bytes(range(256)) + b"then"
    error = found["/fail"]["answer"]["error"]
    assert (error["failure"], error["type"], error["message"]) == ("handler-error", "Shop.Closed", "closed at then")
    assert found["/nowhere"]["answer"]["status"] == 404 and "handler" not in found["/nowhere"]


def test_invocations_by_name_are_kept(tmp_path):
    with recorded(tmp_path, admin=True) as g:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", int(g.ready["admin"].rsplit(":", 1)[1]), timeout=FAR * SLOW)) as c:
            context = base64.b64encode(b'{"custom": {"a": "b"}}').decode()
            c.request("POST", "/2015-03-31/functions/shop/invocations", b'{"n": 1.0}', {"X-Amz-Client-Context": context})
            assert c.getresponse().read()
        one, = wait_records(tmp_path / "records", 1)
    assert (one["trigger"], one["handler"], one["route"]) == ("invoke", "shop", "POST /invoke")
    assert one["request"]["body"]["text"] == '{"n": 1.0}' and one["clientContext"] == {"custom": {"a": "b"}}
    assert json.loads(one["answer"]["body"]["text"])["got"] == {"n": 1.0}


def test_folder_and_files_are_their_owners_alone(tmp_path):
    old = os.umask(0)
    try:
        with recorded(tmp_path) as g:
            g.get("/text")
            wait_records(tmp_path / "records", 1)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "records").stat().st_mode) == 0o700
    assert {stat.S_IMODE(f.stat().st_mode) for f in segments(tmp_path / "records")} == {0o600}


# --- secrets ---

def sign(body):
    return "sha256=" + hmac.new(HOOK.encode(), body, hashlib.sha256).hexdigest()


def stripe(body):
    now = wait_for(lambda: int(subprocess.check_output(["date", "+%s"])), what="the time")
    return f"t={now},v1=" + hmac.new(HOOK.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()


BASIC = "Basic " + base64.b64encode(f"ann:{PASSWORD}".encode()).decode()


@pytest.mark.parametrize("target, headers, secret, place", [
    ("/token", lambda b: {"Authorization": "Bearer " + token(sub="ann", role="buyer")}, None, ["header", "Authorization"]),
    ("/token", lambda b: {"Cookie": "theme=dark; session=" + token(sub="ann")}, None, ["header", "Cookie"]),
    ("/token?x=1&t%6fken={token}&y=2", lambda b: {}, None, ["query", "token"]),
    ("/key", lambda b: {"X-Shop-Key": KEY}, KEY, ["header", "X-Shop-Key"]),
    ("/link?ke-y=" + KEY, lambda b: {}, KEY, ["query", "ke-y"]),
    ("/baked", lambda b: {"Cookie": "key=" + KEY}, KEY, ["header", "Cookie"]),
    ("/staff", lambda b: {"Authorization": BASIC}, BASIC.split()[1], ["header", "Authorization"]),
    ("/hook", lambda b: {"X-Shop-Signature": sign(b)}, sign(b"the body")[7:], ["header", "X-Shop-Signature"]),
    ("/stripe", lambda b: {"Stripe-Signature": stripe(b)}, "v1=", ["header", "Stripe-Signature"]),
    ("/custom", lambda b: {"X-Ticket": "allow"}, None, ["header", "X-Ticket"]),
    ("/either", lambda b: {"X-Shop-Key": KEY}, KEY, ["header", "X-Shop-Key"]),
], ids=["bearer", "jwt-cookie", "jwt-query", "key-header", "key-query", "key-cookie", "basic", "hmac", "stripe", "custom", "any"])
def test_no_guards_credential_is_kept(tmp_path, target, headers, secret, place):
    with guarded(tmp_path) as g:
        sent = headers(b"the body")
        jwt = token(sub="ann")
        r = g.request("POST", target.replace("{token}", jwt), body=b"the body", headers=sent)
        one, = wait_records(tmp_path / "records", 1)
    kept = everything(tmp_path / "records")
    assert place in one["redacted"] and one["guarded"] == 1
    for hidden in [secret, jwt.split(".")[2], *(v.split("session=")[-1].split(" ")[-1] for k, v in sent.items() if k in ("Authorization", "Cookie"))]:
        # The shop echoes what it was given; a guard leaves it what a handler may see. The request is what is looked at.
        assert not hidden or hidden not in json.dumps(one["request"]), hidden
    if place[0] == "query":
        assert "[redacted]" in one["request"]["target"] and one["request"]["target"].startswith(target.split("?")[0] + "?")
    else:
        assert [place[1], "[redacted]"] in one["request"]["headers"]
    if target != "/custom":
        assert r.status == 200 and "claims" in one
    assert kept


@pytest.mark.parametrize("header", ["Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "X-Hub-Signature-256", "Stripe-Signature", "x-shop-key", "X-TICKET"])
def test_secrets_are_secrets_on_open_routes_too(tmp_path, header):
    with guarded(tmp_path) as g:
        g.get("/open?token=hush-hush&ke-y=hush-hush&fine=1", headers={header: "hush-hush", "Referer": "http://a.example/?token=hush-hush&b=1"})
        one, = wait_records(tmp_path / "records", 1)
    assert "hush-hush" not in json.dumps(one["request"])
    assert one["request"]["target"] == "/open?token=[redacted]&ke-y=[redacted]&fine=1"
    assert "http://a.example/?token=[redacted]&b=1" in dict(one["request"]["headers"]).values()


def test_refused_requests_are_kept_without_their_credentials(tmp_path):
    with guarded(tmp_path) as g:
        assert g.get("/key", headers={"X-Shop-Key": "guessed-wrong"}).status == 401
        assert g.request("POST", "/staff", body=b"unread", headers={"Authorization": "Basic Z3Vlc3NlZDp3cm9uZw=="}).status == 401
        key, staff = wait_records(tmp_path / "records", 2)
    assert b"guessed-wrong" not in everything(tmp_path / "records") and b"Z3Vlc3NlZDp3cm9uZw" not in everything(tmp_path / "records")
    assert key["answer"]["error"]["failure"] == "unauthorized" and "claims" not in key
    assert "text" not in staff["request"]["body"] and staff["request"]["body"]["cut"] == "it was not read"


def test_claims_are_kept(tmp_path):
    with guarded(tmp_path) as g:
        g.get("/token", headers={"Authorization": "Bearer " + token(sub="ann", role="buyer")})
        one, = wait_records(tmp_path / "records", 1)
    assert one["claims"] == {"exp": 9999999999, "sub": "ann", "role": "buyer"}


def test_cookies_that_are_set_keep_their_names_only(tmp_path):
    with recorded(tmp_path) as g:
        assert g.get("/cookies")["Set-Cookie"] == "sid=very-secret-session; Path=/; HttpOnly"
        one, = wait_records(tmp_path / "records", 1)
    assert b"very-secret-session" not in everything(tmp_path / "records")
    assert "sid=[redacted]; Path=/; HttpOnly" in [v for k, v in one["answer"]["headers"] if k.lower() == "set-cookie"]


# --- streams and compression ---

def test_a_streamed_answer_is_kept_while_it_flows(tmp_path):
    with recorded(tmp_path) as g:
        r = g.get("/stream/bytes/300000/x")
        assert r.status == 200 and len(r.body) > 200_000
        one, = wait_records(tmp_path / "records", 1)
    kept = one["answer"]["body"]
    assert one["answer"]["streamed"] == 1 and kept["size"] == len(r.body)
    text = kept["text"].encode() if "text" in kept else base64.b64decode(kept["base64"])
    assert r.body.startswith(text) and len(text) == min(len(r.body), 256 * 1024)
    assert ("cut" in kept) == (len(r.body) > 256 * 1024)


def test_a_client_that_leaves_a_stream_leaves_a_record(tmp_path):
    with recorded(tmp_path) as g:
        with g.connect() as s:
            s.sendall(b"GET /stream/early HTTP/1.1\r\nHost: a\r\n\r\n")
            assert s.recv(65536).startswith(b"HTTP/1.1 200")
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        one, = wait_records(tmp_path / "records", 1)
    assert one["answer"]["body"]["cut"] == "the client left"


@pytest.mark.parametrize("path", ["/page", "/long"])
def test_what_the_gateway_compresses_is_kept_as_it_was(tmp_path, path):
    with recorded(tmp_path, PLAIN.replace("name: shop", 'name: shop\ncompress: {types: ["text/*"], minSize: 1B}', 1)) as g:
        r = g.get(path, headers={"Accept-Encoding": "gzip"})
        assert r["Content-Encoding"] == "gzip"
        one, = wait_records(tmp_path / "records", 1)
    assert one["answer"]["encoded"] == "gzip" and one["answer"]["body"]["text"].startswith(("page page", "long long"))
    assert "content-encoding" not in {k.lower() for k, _ in one["answer"]["headers"]}


# --- bounds ---

def test_long_bodies_are_cut_and_marked(tmp_path):
    with recorded(tmp_path, PLAIN, "--record-body", "1KiB") as g:
        g.request("POST", "/long", body=b"x" * 5000)
        one, = wait_records(tmp_path / "records", 1)
    assert one["request"]["body"] == {"text": "x" * 1024, "size": 5000, "cut": "it is larger than --record-body"}
    assert one["answer"]["body"]["size"] == 200000 and len(one["answer"]["body"]["text"]) == 1024 and one["answer"]["body"]["cut"]


def test_the_oldest_records_are_dropped_at_the_limit(tmp_path):
    folder = tmp_path / "records"
    with recorded(tmp_path, PLAIN, "--record-limit", "64KiB", "--record-body", "4KiB") as g:
        with contextlib.closing(g.client()) as c:
            for i in range(200):
                c.request("POST", f"/items/{i}", b"y" * 2000)
                assert c.getresponse().read()
        wait_for(lambda: any(r["request"]["target"] == "/items/199" for r in records(folder)), FAR, "the last record")
        assert sum(f.stat().st_size for f in segments(folder)) <= 64 * 1024
        assert g.wait_log("the oldest are dropped", FAR)["level"] == "warn" and len(g.logs("the oldest are dropped")) == 1
        kept = [int(r["request"]["target"].rsplit("/", 1)[1]) for r in records(folder)]
    assert kept == list(range(kept[0], 200)) and kept[0] > 0
    # Those of an earlier run count, and go first.
    with recorded(tmp_path, PLAIN, "--record-limit", "64KiB", "--record-body", "4KiB") as g:
        with contextlib.closing(g.client()) as c:
            for i in range(200, 230):
                c.request("POST", f"/items/{i}", b"y" * 2000)
                assert c.getresponse().read()
    assert sum(f.stat().st_size for f in segments(folder)) <= 64 * 1024
    kept = [int(r["request"]["target"].rsplit("/", 1)[1]) for r in records(folder)]
    assert kept == list(range(kept[0], 230))


def test_nothing_is_lost_when_it_stops(tmp_path):
    with recorded(tmp_path) as g:
        with contextlib.closing(g.client()) as c:
            for i in range(100):
                c.request("GET", f"/items/{i}")
                assert c.getresponse().read()
        assert g.stop() == 0
        assert [r["request"]["target"] for r in records(tmp_path / "records")] == [f"/items/{i}" for i in range(100)]


def test_a_disk_that_refuses_ends_the_recording_and_nothing_else(tmp_path):
    with recorded(tmp_path) as g:
        os.rename(tmp_path / "records", tmp_path / "gone")
        os.rmdir(tmp_path / "gone")
        assert g.get("/text").status == 200
        assert "cannot make" in g.wait_log("recording has ended", FAR)["reason"]
        assert g.get("/text").status == 200 and len(g.logs("recording has ended")) == 1


def test_two_do_not_record_into_one_folder(tmp_path):
    with recorded(tmp_path) as g:
        assert g.wait_log("recording: requests, answers and claims are kept", FAR)["folder"] == str(tmp_path / "records")
        done = run_cli("run", str(tmp_path / "blueprint.yaml"), "--listen", "127.0.0.1:0", "--record", str(tmp_path / "records"))
        assert done.returncode == 3 and "another execgate records into" in done.stderr
    with recorded(tmp_path):
        pass


# --- reloads ---

def test_a_reload_goes_on_recording_and_learns_new_secrets(tmp_path):
    with recorded(tmp_path) as g:
        g.get("/items/1?pin=hush", headers={"X-Pin": "hush"})
        wait_records(tmp_path / "records", 1)
        guard = 'auth: {guards: {pin: {type: apiKey, in: "header:x-pin", keys: {a: "sha256:' + "0" * 64 + '"}}}}\nhandlers:'
        hup(g, PLAIN.replace("handlers:", guard, 1))
        g.get("/items/2", headers={"X-Pin": "hush"})
        first, second = wait_records(tmp_path / "records", 2)
    assert dict(first["request"]["headers"])["X-Pin"] == "hush"
    assert dict(second["request"]["headers"])["X-Pin"] == "[redacted]" and len(segments(tmp_path / "records")) == 1


def test_a_stream_that_outlives_its_generation_is_kept(tmp_path):
    with recorded(tmp_path) as g:
        with g.connect() as s:
            s.sendall(b"GET /stream/early HTTP/1.1\r\nHost: a\r\n\r\n")
            assert s.recv(65536).startswith(b"HTTP/1.1 200")
            hup(g, PLAIN + "\n# another\n")
            assert not records(tmp_path / "records")
            (tmp_path / "go").write_text("")
            got = b""
            while not got.endswith(b"0\r\n\r\n"):
                got += s.recv(65536)
        one, = wait_records(tmp_path / "records", 1)
    assert one["request"]["target"] == "/stream/early" and one["answer"]["body"] == {"text": "earlylate", "size": 9}


# --- wrong usage ---

@pytest.mark.parametrize("words, message, code", [
    (["--record-limit", "1MiB"], "--record-limit needs --record DIR", 2),
    (["--record", "{}/r", "--record-limit", "1KiB"], '--record-limit takes a size such as 64KiB or 1GiB, 64KiB at least, not "1KiB"', 2),
    (["--record", "{}/r", "--record-body", "much"], '--record-body takes a size such as 64KiB or 1GiB, 1B at least, not "much"', 2),
    (["--record", "{}/no/such/place"], "cannot make the folder", 3),
    (["--record", "{}/open"], "is open to others, and records tell what clients sent: chmod 700 it", 3),
    (["--record", "{}/file"], "cannot open the folder", 3),
])
def test_wrong_usage_is_told(tmp_path, words, message, code):
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "file").write_text("")
    (tmp_path / "shop.py").write_text("#!/bin/sh\n")
    (tmp_path / "shop.py").chmod(0o755)
    (tmp_path / "blueprint.yaml").write_text(PLAIN)
    done = run_cli("run", str(tmp_path / "blueprint.yaml"), "--listen", "127.0.0.1:0", *(w.replace("{}", str(tmp_path)) for w in words), timeout=60 * SLOW)
    assert done.returncode == code and message in done.stderr, done.stderr
