"""Guards in front of handlers of every kind: what clients are told, and what handlers get to know."""
import base64
import hashlib
import hmac
import json
import os
import re
import signal
import subprocess
import time
import warnings

import pytest
from execgate import ROOT, Gateway, read_answer, run_cli, wait_for
from native import Native, message
from puppet import SCRIPT, Request, environment

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import crypt

HANDLERS = ROOT / "tests/e2e/handlers"
ACME, GLOBEX = "acme-key-0123456789abcdef", "globex-key-0123456789abcdef"
SECRET, HOOK, OLD_HOOK = "0123456789abcdef0123456789abcdef0123456789abcdef", "whsec-new-0123456789", "whsec-old-0123456789"

AUTH = f"""
blueprint: 1
name: shop
variables: {{old-hook: {{type: string, secret: true, default: {OLD_HOOK}}}}}
cors: {{allowOrigins: [https://shop.example]}}
auth:
  default: customer
  guards:
    customer: {{type: jwt, issuer: https://id.example, audience: [shop], jwks: "file:keys.json", algorithms: [RS256, ES256], leeway: 1s}}
    pem: {{type: jwt, jwks: "file:ec.pem", token: ["cookie:session", "query:token"], require: {{claims: {{tenant: acme}}}}}}
    shared: {{type: jwt, secret: "${{env.SECRET}}", algorithms: [HS256, HS384], require: {{scope: shop}}}}
    partner: {{type: apiKey, in: "header:x-api-key", keys: {{acme: "${{env.ACME}}", globex: "sha256:{hashlib.sha256(GLOBEX.encode()).hexdigest()}"}}}}
    linked: {{type: apiKey, in: "query:key", keys: {{acme: "${{env.ACME}}"}}}}
    baked: {{type: apiKey, in: "cookie:key", keys: {{acme: "${{env.ACME}}"}}}}
    staff: {{type: basic, users: "file:staff.htpasswd"}}
    github: {{type: hmac, header: x-hub-signature-256, secret: ["${{env.HOOK}}", "${{var.old-hook}}"]}}
    stripe: {{type: hmac, style: stripe, secret: "${{env.HOOK}}", tolerance: 2m}}
    custom: {{type: handler, handler: authorize}}
    cached: {{type: handler, handler: authorize, cache: 1h}}
    by-credential: {{type: handler, handler: authorize, cache: 1h, cacheBy: credential, credential: "header:authorization"}}
    scripted: {{type: handler, handler: script, credential: none}}
    served: {{type: handler, handler: server, credential: none}}
    either: {{type: any, of: [partner, github, custom, shared]}}
handlers:
  lambda:
    command: {HANDLERS}/probe.py
    triggers:
      - http: ANY /default
      - http: GET /open
        guard: none
      - {{http: GET /scoped, require: {{scope: [orders:write, orders:read]}}}}
      - {{http: GET /claimed, require: {{claims: {{tenant: acme, admin: true}}}}}}
      - {{http: GET /pem, guard: pem}}
      - {{http: GET /shared, guard: shared}}
      - {{http: GET /key, guard: partner}}
      - {{http: GET /acme, guard: partner, require: {{claims: {{sub: acme}}}}}}
      - {{http: GET /linked, guard: linked}}
      - {{http: GET /baked, guard: baked}}
      - {{http: ANY /staff, guard: staff}}
      - {{http: GET /custom, guard: custom, require: {{scope: write}}}}
      - {{http: 'GET /cached/{{id}}', guard: cached}}
      - {{http: 'GET /by-credential/{{id}}', guard: by-credential}}
      - {{http: GET /scripted, guard: scripted}}
      - {{http: GET /served/event, guard: served}}
      - {{http: GET /both, guard: [partner, shared], require: {{scope: shop}}}}
      - {{http: ANY /either, guard: either}}
      - {{http: POST /hook, guard: github}}
      - {{http: POST /paid, guard: stripe}}
  cgi:
    command: {HANDLERS}/once.py
    mode: once
    triggers: [{{http: GET /env, guard: shared}}, {{http: GET /env/key, guard: partner}}, {{http: GET /env/open, guard: none}}]
  server:
    command: {HANDLERS}/stream_server.py
    mode: server
    triggers: [{{http: GET /server/echo, guard: shared}}, {{http: POST /server/echo, guard: github}}]
  puppet:
    command: ./puppet.sh
    processes: {{min: 1, max: 1, stopTimeout: 200ms}}
    triggers: [{{http: GET /p, guard: shared}}]
  authorize:
    command: {HANDLERS}/authorize.py
    timeout: 3s
    triggers: []
  script:
    command: ./decide.sh
    mode: once
    triggers: []
"""
DECIDE = """#!/bin/sh
case "$QUERY_STRING" in
yes*) printf 'Status: 204\\r\\n\\r\\n' ;;
who*) printf 'Status: 200\\r\\nContent-Type: application/json\\r\\n\\r\\n{"isAuthorized": true, "context": {"via": "%s"}}' "$EXECGATE_TRIGGER" ;;
no*) printf 'Status: 403\\r\\n\\r\\n' ;;
empty*) printf 'Status: 200\\r\\n\\r\\n' ;;
moved*) printf 'Status: 302\\r\\nLocation: /open\\r\\n\\r\\n' ;;
esac
"""


# --- tokens ---
def b64(data):
    return base64.urlsafe_b64encode(data if isinstance(data, bytes) else json.dumps(data).encode()).rstrip(b"=").decode()


def openssl(*words, stdin=None):
    return subprocess.run(["openssl", *map(str, words)], input=stdin, capture_output=True, check=True).stdout


def raw_signature(der):
    """r and s of an ECDSA signature on P-256, 32 bytes each."""
    def number(at):
        size = der[at + 1]
        return der[at + 2:at + 2 + size].lstrip(b"\0").rjust(32, b"\0"), at + 2 + size
    r, at = number(2)
    return r + number(at)[0]


class Issuer:
    def __init__(self, folder):
        self.rsa, self.ec, self.stranger = (folder / f"{name}.key" for name in ("rsa", "ec", "stranger"))
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.rsa)
        for key in (self.ec, self.stranger):
            openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
        modulus = openssl("rsa", "-in", self.rsa, "-noout", "-modulus").decode().strip().split("=")[1]
        point = openssl("pkey", "-in", self.ec, "-pubout", "-outform", "DER")[-64:]
        self.keys = {"keys": [{"kty": "RSA", "kid": "r1", "use": "sig", "n": b64(bytes.fromhex(modulus)), "e": "AQAB"},
                              {"kty": "EC", "kid": "e1", "crv": "P-256", "x": b64(point[:32]), "y": b64(point[32:])}]}
        self.ec_pem = openssl("pkey", "-in", self.ec, "-pubout").decode()

    def sign(self, algorithm, data, key=None):
        if algorithm.startswith("HS"):
            return hmac.new((key or SECRET).encode(), data, "sha" + algorithm[2:]).digest()
        der = openssl("dgst", "-sha256", "-sign", key or (self.rsa if algorithm == "RS256" else self.ec), stdin=data)
        return der if algorithm == "RS256" else raw_signature(der)

    def token(self, algorithm, kid=None, key=None, **claims):
        claims = {"iss": "https://id.example", "aud": "shop", "exp": int(time.time()) + 60, **claims}
        head = {"alg": algorithm, "typ": "JWT", **({"kid": kid} if kid else {})}
        data = f"{b64(head)}.{b64({k: v for k, v in claims.items() if v is not None})}".encode()
        return data.decode() + "." + b64(self.sign(algorithm, data, key))


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    return Issuer(tmp_path_factory.mktemp("keys"))


def bcrypt(password):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return crypt.crypt(password, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))


@pytest.fixture(scope="module")
def shop(tmp_path_factory, issuer):
    files = {"keys.json": json.dumps(issuer.keys), "ec.pem": issuer.ec_pem, "puppet.sh": SCRIPT, "decide.sh": DECIDE,
             "staff.htpasswd": f"# staff\nalice:{bcrypt('wonder land')}\nbob:{bcrypt('builder').replace('$2b$', '$2y$')}\n"}
    env = {**os.environ, "SECRET": SECRET, "ACME": ACME, "HOOK": HOOK}
    with Gateway(tmp_path_factory.mktemp("auth"), AUTH, files=files, env=env) as g:
        yield g
        log = json.dumps(g.lines)
        for secret in (ACME, GLOBEX, SECRET, HOOK, OLD_HOOK, "wonder land"):
            assert secret not in log, "a secret in the log"


def bearer(token):
    return {"Authorization": "Bearer " + token}


def login(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def authorizer(answer):
    assert answer.status == 200, answer
    return answer.json()["event"]["requestContext"].get("authorizer")


def is_refused(answer, status, *challenges):
    assert answer.status == status, answer
    slug = {401: "unauthorized", 403: "forbidden", 503: "guard-unavailable"}[status]
    assert answer["Content-Type"] == "application/problem+json" and answer.json()["type"] == f"urn:execgate:problem:{slug}"
    assert answer.all("WWW-Authenticate") == list(challenges)
    assert answer["Cache-Control"] == "no-store"
    assert answer["Vary"] and "Origin" in answer["Vary"], "refusals differ by origin as everything does"
    return answer.json().get("detail")


# --- jwt ---
def test_tokens_of_a_key_file(shop, issuer):
    for algorithm, kid in (("RS256", "r1"), ("ES256", "e1")):
        token = issuer.token(algorithm, kid, sub="alice", roles=["a", "b"], n=5, ok=True, nested={"x": 1}, scope="orders:read orders:write")
        for _ in range(2):  # the second time from the cache
            seen = authorizer(shop.get("/default", headers=bearer(token)))
            claims = seen["jwt"]["claims"]
            assert claims["sub"] == "alice" and claims["roles"] == "[a b]" and claims["n"] == "5" and claims["ok"] == "true" and claims["nested"] == '{"x":1}'
            assert all(isinstance(v, str) for v in claims.values())
            assert seen["jwt"]["scopes"] == ["orders:read", "orders:write"]
    assert authorizer(shop.get("/default", headers=bearer(issuer.token("ES256", "e1"))))["jwt"]["scopes"] is None


def test_no_token_and_bad_tokens(shop, issuer):
    for headers in ({}, login("alice", "wonder land"), {"Authorization": "Bearer"}, {"Authorization": "Bearer "}, {"Authorization": ""}):
        is_refused(shop.get("/default", headers=headers), 401, 'Bearer realm="shop"')
    good = issuer.token("ES256", "e1")
    head, payload, signature = good.split(".")
    bad = [
        "x", good[:-1], good + "x", good + "=", head + "." + payload + ".", f"{b64({'alg': 'none'})}.{payload}.", f"{b64({'alg': 'none'})}.{payload}.{signature}",
        issuer.token("ES256", "e1", key=issuer.stranger), issuer.token("ES256", "r1"), issuer.token("ES256", "other"), issuer.token("HS256", "e1"),
        issuer.token("HS256", "e1", key=issuer.ec_pem), issuer.token("ES256", "e1", iss="https://evil.example"), issuer.token("ES256", "e1", iss=None),
        issuer.token("ES256", "e1", exp=int(time.time()) - 5), issuer.token("ES256", "e1", exp=None), issuer.token("ES256", "e1", exp="1"),
        issuer.token("ES256", "e1", nbf=int(time.time()) + 60), head + "." + b64({"sub": "mallory", "exp": 9999999999}) + "." + signature,
    ]
    for token in bad:
        answer = shop.get("/default", headers=bearer(token))
        detail = is_refused(answer, 401, *answer.all("WWW-Authenticate"))
        assert answer["WWW-Authenticate"] == f'Bearer realm="shop", error="invalid_token", error_description="{detail}"' and detail, token
    is_refused(shop.get("/default", headers=bearer(issuer.token("ES256", "e1", aud="other"))), 403)


def test_a_token_ends_in_the_cache_too(shop, issuer):
    token = issuer.token("ES256", "e1", exp=int(time.time()) + 1)
    assert shop.get("/default", headers=bearer(token)).status == 200
    wait_for(lambda: shop.get("/default", headers=bearer(token)).status == 401, 10, "the end of the token")


def test_a_field_that_is_given_twice_is_nobodys(shop, issuer):
    token = issuer.token("ES256", "e1")
    with shop.connect() as s:
        s.sendall(f"GET /default HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nauthorization: Bearer {token}\r\nConnection: close\r\n\r\n".encode())
        assert read_answer(s.makefile("rb")).status in (400, 401)


def test_what_a_route_requires(shop, issuer):
    scope = 'Bearer realm="shop", error="insufficient_scope", scope="orders:write orders:read"'
    is_refused(shop.get("/scoped", headers=bearer(issuer.token("RS256", "r1", scope="orders:read"))), 403, scope)
    is_refused(shop.get("/scoped", headers=bearer(issuer.token("RS256", "r1"))), 403, scope)
    is_refused(shop.get("/scoped"), 401, 'Bearer realm="shop"')
    assert shop.get("/scoped", headers=bearer(issuer.token("RS256", "r1", scp=["orders:read", "orders:write"]))).status == 200
    is_refused(shop.get("/claimed", headers=bearer(issuer.token("RS256", "r1", tenant="acme", admin=False))), 403)
    is_refused(shop.get("/claimed", headers=bearer(issuer.token("RS256", "r1", tenant="acme"))), 403)
    assert shop.get("/claimed", headers=bearer(issuer.token("RS256", "r1", tenant=["x", "acme"], admin=True))).status == 200


def test_places_of_a_token_and_rules_of_a_guard(shop, issuer):
    good, other = issuer.token("ES256", tenant="acme"), issuer.token("ES256", tenant="globex")
    assert shop.get("/pem?token=" + good).status == 200
    assert shop.get("/pem", headers={"Cookie": f"a=1; session={good}"}).status == 200
    assert shop.get("/pem?token=x", headers={"Cookie": f"session={good}"}).status == 200, "the first place counts"
    is_refused(shop.get("/pem", headers=bearer(good)), 401, 'Bearer realm="shop"')
    is_refused(shop.get("/pem?token=" + other), 403)
    assert shop.get(f"/pem?token={good}&token={good}").status == 401
    assert shop.get("/shared", headers=bearer(issuer.token("HS384", scope="shop"))).status == 200
    is_refused(shop.get("/shared", headers=bearer(issuer.token("HS256"))), 403, 'Bearer realm="shop", error="insufficient_scope", scope="shop"')
    assert shop.get("/shared", headers=bearer(issuer.token("HS512", scope="shop"))).status == 401


def test_who_is_guarded(shop, issuer):
    assert shop.get("/open").status == 200 and authorizer(shop.get("/open", headers=bearer("x"))) is None
    head = shop.request("HEAD", "/default")
    assert head.status == 401 and head["WWW-Authenticate"] and head.body == b""
    assert shop.request("HEAD", "/default", headers=bearer(issuer.token("ES256", "e1"))).status == 200
    assert shop.get("/nowhere").status == 404 and shop.request("POST", "/open").status == 405
    preflight = shop.request("OPTIONS", "/default", headers={"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"})
    assert preflight.status == 204 and preflight["Access-Control-Allow-Origin"] == "https://shop.example"
    refused = shop.get("/default", headers={"Origin": "https://shop.example"})
    assert refused.status == 401 and refused["Access-Control-Allow-Origin"] == "https://shop.example"


def test_a_stranger_uploads_nothing(shop):
    with shop.connect() as s:
        s.sendall(b"POST /default HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert read_answer(s.makefile("rb")).status == 401, "no 100 before it"


# --- what handlers see ---
ODD = dict(sub="alice é", odd="a\nb\r\nExecgate-Claims: {}", nul="a\0b", zero=None, **{"https://x/tenant id": "t-1", "empty": ""})


def test_claims_in_cgi(shop, issuer):
    env = shop.get("/env", headers={**bearer(issuer.token("HS256", scope="shop", **ODD)), "Execgate-Claims": "forged"}).json()["env"]
    assert env["AUTH_TYPE"] == "Bearer" and env["REMOTE_USER"] == "alice é" and env["EXECGATE_GUARD"] == "shared"
    assert env["EXECGATE_CLAIM_HTTPS___X_TENANT_ID"] == "t-1" and env["EXECGATE_CLAIM_ODD"] == ODD["odd"] and env["EXECGATE_CLAIM_EMPTY"] == ""
    assert "EXECGATE_CLAIM_NUL" not in env
    assert json.loads(env["EXECGATE_CLAIMS"])["nul"] == "a\0b" and json.loads(env["EXECGATE_CLAIMS"])["sub"] == "alice é"
    keyed = shop.get("/env/key", headers={"X-Api-Key": ACME}).json()["env"]
    assert keyed["AUTH_TYPE"] == "ApiKey" and keyed["REMOTE_USER"] == "acme" and keyed["EXECGATE_CLAIMS"] == '{"sub":"acme"}'
    assert "HTTP_X_API_KEY" not in keyed and ACME not in str(keyed)
    plain = shop.get("/env/open", headers={"X-Api-Key": ACME}).json()["env"]
    assert not [k for k in plain if k.startswith("EXECGATE_CLAIM")] and "REMOTE_USER" not in plain and "AUTH_TYPE" not in plain


def test_claims_in_server_mode(shop, issuer):
    answer = shop.get("/server/echo", headers={**bearer(issuer.token("HS256", scope="shop", **ODD)), "Execgate-Claims": "forged"})
    claims = [v for k, v in answer.json()["headers"] if k.lower() == "execgate-claims"]
    assert len(claims) == 1 and json.loads(claims[0])["odd"] == ODD["odd"] and claims[0].isascii() and claims[0].isprintable()


def test_claims_under_names_that_a_framework_reads_alike(shop, issuer):
    forged = {"Execgate_Claims": "{}", "execgate.claims": "{}", "Execgate_Client_Certificate": "CN=root", "X_Forwarded_For": "192.0.2.1"}
    answer = shop.get("/server/echo", headers={**bearer(issuer.token("HS256", scope="shop")), **forged})
    seen = [(re.sub("[^A-Z0-9]", "_", k.upper()), v) for k, v in answer.json()["headers"]]
    assert [json.loads(v)["iss"] for k, v in seen if k == "EXECGATE_CLAIMS"] == ["https://id.example"]
    assert [v for k, v in seen if k == "X_FORWARDED_FOR"] == ["127.0.0.1"]
    assert "EXECGATE_CLIENT_CERTIFICATE" not in dict(seen)


def test_claims_in_native_events(shop, issuer):
    asking = Request(shop, "GET", "/p", headers=bearer(issuer.token("HS256", scope="shop", **ODD)))
    api = Native(environment(shop.folder))
    event = api.event()
    assert event["Execgate-Trigger"] == "http" and len(event.all("Execgate-Claims")) == 1
    claims = json.loads(event["Execgate-Claims"])
    assert claims["odd"] == ODD["odd"] and claims["sub"] == "alice é" and claims["scope"] == "shop"
    api.answer(message(event.id))
    assert asking.answer().status == 200
    api.close()


# --- apiKey ---
def test_api_keys(shop):
    challenge = 'ApiKey realm="shop", in="header", name="x-api-key"'
    for name, key in (("acme", ACME), ("globex", GLOBEX)):
        answer = shop.get("/key", headers={"X-API-KEY": key})
        assert authorizer(answer) == {"lambda": {"sub": name}}
        assert key not in answer.text
    for key in (ACME[:-1], ACME + "x", ACME.upper(), "", "sha256:" + hashlib.sha256(ACME.encode()).hexdigest(), hashlib.sha256(GLOBEX.encode()).hexdigest()):
        is_refused(shop.get("/key", headers={"X-Api-Key": key}), 401, challenge)
    is_refused(shop.get("/key"), 401, challenge)
    assert shop.get("/acme", headers={"X-Api-Key": ACME}).status == 200
    is_refused(shop.get("/acme", headers={"X-Api-Key": GLOBEX}), 403)


def test_keys_in_other_places_leave_the_request_too(shop):
    answer = shop.get(f"/linked?a=1%202&k%65y={ACME}&b=%33")
    event = answer.json()["event"]
    assert event["rawQueryString"] == "a=1%202&b=%33" and event["queryStringParameters"] == {"a": "1 2", "b": "3"} and ACME not in answer.text
    alone = shop.get(f"/linked?key={ACME}").json()["event"]
    assert alone["rawQueryString"] == "" and "queryStringParameters" not in alone
    assert shop.get(f"/linked?key={ACME}&key={ACME}").status == 401
    is_refused(shop.get("/linked"), 401, 'ApiKey realm="shop", in="query", name="key"')
    baked = shop.get("/baked", headers={"Cookie": f'a=1; key="{ACME}"; b=2'})
    assert baked.json()["event"]["cookies"] == ["a=1", "b=2"] and ACME not in baked.text
    assert "cookies" not in shop.get("/baked", headers={"Cookie": f"key={ACME}"}).json()["event"]


# --- basic ---
def test_users_and_passwords(shop):
    challenge = 'Basic realm="shop", charset="UTF-8"'
    for _ in range(2):
        answer = shop.get("/staff", headers=login("alice", "wonder land"))
        assert authorizer(answer) == {"lambda": {"sub": "alice"}}
        assert "authorization" not in answer.json()["event"]["headers"], "a password is no handler's business"
    assert shop.get("/staff", headers=login("bob", "builder")).status == 200
    for user, password in (("alice", "wonder"), ("alice", ""), ("bob", "wonder land"), ("eve", "wonder land"), ("", ""), ("alice", "x" * 73), ("alice\0", "wonder land")):
        is_refused(shop.get("/staff", headers=login(user, password)), 401, challenge)
    for value in ("Basic", "Basic !!!", "Basic " + base64.b64encode(b"alice").decode(), "Bearer x", "Basic " + "QUFB" * 1000):
        is_refused(shop.get("/staff", headers={"Authorization": value}), 401, challenge)
    assert shop.get("/staff", headers=login("alice", "wonder land")).status == 200


# --- hmac ---
def github(body, secret=HOOK):
    return {"X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, "sha256").hexdigest()}


def stripe(body, at=None, secret=HOOK, more=""):
    at = int(time.time()) if at is None else at
    return {"Stripe-Signature": f"t={at},v1={hmac.new(secret.encode(), f'{at}.'.encode() + body, 'sha256').hexdigest()}{more}"}


@pytest.mark.parametrize("path", ["/hook", "/server/echo"])
def test_signed_bodies(shop, path):
    challenge = 'HMAC realm="shop", header="x-hub-signature-256"'
    for body in (b'{"a": 1}', b"", b"x" * 300_000):
        for secret in (HOOK, OLD_HOOK):
            assert shop.request("POST", path, body, github(body, secret)).status == 200
    for headers in ({}, github(b"other"), github(b"body", "wrong-secret-0123456789"), {"X-Hub-Signature-256": "sha256="}, {"X-Hub-Signature-256": "sha1=00"}):
        is_refused(shop.request("POST", path, b"body", headers), 401, challenge)
    chunks = iter([b"bo", b"dy"])
    assert shop.request("POST", path, chunks, github(b"body")).status == 200
    echo = shop.request("POST", "/server/echo", b"body", github(b"body")).json()
    assert echo["body"] == "body" and [v for k, v in echo["headers"] if k.lower() == "execgate-claims"] == ["{}"]


def test_a_hook_without_a_signature_uploads_nothing(shop):
    with shop.connect() as s:
        s.sendall(b"POST /server/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert read_answer(s.makefile("rb")).status == 401


def test_signed_times(shop):
    now = int(time.time())
    for headers in (stripe(b"body"), stripe(b"body", more=",v0=abc"), stripe(b"body", now - 60), stripe(b"body", more=",v1=" + "00" * 32)):
        assert shop.request("POST", "/paid", b"body", headers).status == 200
    old = stripe(b"body", now)["Stripe-Signature"].split(",")[1]
    for headers in (stripe(b"body", now - 200), stripe(b"body", now + 200), stripe(b"other"), {"Stripe-Signature": f"t={now - 1},{old}"}, {"Stripe-Signature": old},
                    {"Stripe-Signature": f"t={now},t={now},{old}"}, {"Stripe-Signature": f"t=-1,{old}"}, {"Stripe-Signature": f"t={now},v1=xyz"},
                    {"Stripe-Signature": f"t={now}," + ",".join(["v1=" + "00" * 32] * 50)}):
        is_refused(shop.request("POST", "/paid", b"body", headers), 401, 'HMAC realm="shop", header="stripe-signature"')


# --- handler ---
def asked(shop):
    file = shop.folder / "asked"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_a_handler_decides(shop):
    before = len(asked(shop))
    answer = shop.get("/custom?a=b", headers={"Authorization": "ann", "X-Other": "1", "Cookie": "c=d"})
    assert authorizer(answer) == {"lambda": {"who": "ann", "sub": "s-ann", "level": 7, "groups": ["a", "b"], "scope": "read write"}}
    event = asked(shop)[before]
    assert event["rawPath"] == "/custom" and event["queryStringParameters"] == {"a": "b"} and event["headers"]["x-other"] == "1" and event["cookies"] == ["c=d"]
    assert event["requestContext"]["http"]["method"] == "GET" and event["requestContext"]["http"]["sourceIp"] == "127.0.0.1" and "body" not in event
    assert event["routeKey"] == "GET /custom" and event["requestContext"]["requestId"] == answer["X-Request-Id"]
    is_refused(shop.get("/custom", headers={"Authorization": "deny"}), 403)
    for credential in ("deny-401", "http-401"):
        is_refused(shop.get("/custom", headers={"Authorization": credential}), 401, 'Custom realm="shop"')
    count = len(asked(shop))
    is_refused(shop.get("/custom"), 401, 'Custom realm="shop"')
    assert len(asked(shop)) == count, "nobody is asked without a credential"


@pytest.mark.parametrize("credential", ["allowed-by-status", "denied-with-200", "misspelt", "text", "number", "list", "nothing", "crash", "error"])
def test_an_unclear_answer_opens_nothing(shop, credential):
    answer = shop.get("/custom", headers={"Authorization": credential})
    assert is_refused(answer, 503) == "the authorizer gave no answer" and answer["Retry-After"]
    assert shop.wait_log("the authorizer gave no answer", request_id=answer["X-Request-Id"])["handler"] == "authorize"
    wait_for(lambda: shop.get("/custom", headers={"Authorization": "ann"}).status == 200, 20, "an authorizer that is back")


def test_an_authorizer_that_takes_too_long(shop):
    is_refused(shop.get("/custom", headers={"Authorization": "slow"}), 503)
    wait_for(lambda: shop.get("/custom", headers={"Authorization": "ann"}).status == 200, 20, "an authorizer that is back")


def test_a_client_that_leaves_while_the_authorizer_thinks(shop):
    before, go = len(asked(shop)), shop.folder / "go"
    with shop.connect() as s:
        s.sendall(b"GET /custom HTTP/1.1\r\nHost: x\r\nAuthorization: slow\r\nX-Request-Id: leaver\r\n\r\n")
        wait_for(lambda: len(asked(shop)) > before, what="the question")
    assert shop.wait_log("request", request_id="leaver")["failure"] == "client-gone"
    go.touch()
    assert shop.get("/custom", headers={"Authorization": "ann"}).status == 200
    go.unlink()


def test_answers_are_remembered(shop):
    def questions(path, credential):
        before = len(asked(shop))
        status = shop.get(path, headers={"Authorization": credential}).status
        return status, len(asked(shop)) - before
    assert questions("/cached/event", "c1") == (200, 1) and questions("/cached/event", "c1") == (200, 0)
    assert questions("/cached/pid", "c1") == (200, 1) and questions("/cached/event", "c2") == (200, 1) and questions("/cached/event?q=1", "c1") == (200, 1)
    assert questions("/cached/event", "deny") == (403, 1) and questions("/cached/event", "deny") == (403, 0)
    assert questions("/cached/event", "deny-401") == (401, 1) and questions("/cached/event", "deny-401") == (401, 0)
    assert questions("/cached/event", "misspelt") == (503, 1) and questions("/cached/event", "misspelt") == (503, 1)
    assert questions("/by-credential/pid", "c1") == (200, 1) and questions("/by-credential/event", "c1") == (200, 0)
    assert authorizer(shop.get("/by-credential/event", headers={"Authorization": "c1"}))["lambda"]["who"] == "c1"


def test_a_script_decides(shop):
    assert authorizer(shop.get("/scripted?yes")) == {"lambda": {}}
    assert authorizer(shop.get("/scripted?who")) == {"lambda": {"via": "authorizer"}}
    is_refused(shop.get("/scripted?no"), 403)
    for order in ("empty", "moved", "silence"):
        is_refused(shop.get("/scripted?" + order), 503)


def test_a_server_decides_about_head_as_about_get(shop):
    context = authorizer(shop.get("/served/event"))["lambda"]
    assert context["method"] == "GET"
    assert shop.request("HEAD", "/served/event").status == 200
    assert authorizer(shop.get("/served/event"))["lambda"] == context, "and is not stopped for want of an answer"


# --- several ---
def test_all_must_pass(shop, issuer):
    token = bearer(issuer.token("HS256", scope="shop", sub="ann"))
    answer = shop.get("/both", headers={"X-Api-Key": ACME, **token})
    assert authorizer(answer)["jwt"]["claims"]["sub"] == "ann", "the one who meets what the route requires"
    is_refused(shop.get("/both", headers=token), 401, 'ApiKey realm="shop", in="header", name="x-api-key"')
    is_refused(shop.get("/both", headers={"X-Api-Key": ACME}), 401, 'Bearer realm="shop"')


def test_one_of_several_is_enough(shop, issuer):
    assert authorizer(shop.get("/either", headers={"X-Api-Key": ACME})) == {"lambda": {"sub": "acme"}}
    assert authorizer(shop.request("POST", "/either", b"body", github(b"body"))) == {"lambda": {}}
    assert authorizer(shop.get("/either", headers={"Authorization": "ann"}))["lambda"]["who"] == "ann"
    is_refused(shop.get("/either"), 401, 'ApiKey realm="shop", in="header", name="x-api-key"', 'HMAC realm="shop", header="x-hub-signature-256"',
               'Custom realm="shop"', 'Bearer realm="shop"')
    assert shop.get("/either").json()["detail"] == "a credential is needed"
    assert shop.get("/either", headers={"X-Api-Key": "x"}).json()["detail"] == "the API key is not known"
    refused = shop.request("POST", "/either", b"body", github(b"other"))
    assert refused.status == 401 and refused.json()["detail"] == "the signature is not that of this body"
    is_refused(shop.get("/either", headers={"Authorization": "deny"}), 403)
    is_refused(shop.get("/either", headers={"Authorization": "misspelt"}), 503)
    assert shop.get("/either", headers={"X-Api-Key": ACME, "Authorization": "deny"}).status == 200


# --- the end ---
def test_stopping_while_guards_wait(tmp_path, issuer):
    """Neither a password that is being checked nor an authorizer that thinks holds the gateway up."""
    files = {"keys.json": json.dumps(issuer.keys), "ec.pem": issuer.ec_pem, "puppet.sh": SCRIPT, "decide.sh": DECIDE, "staff.htpasswd": f"alice:{bcrypt('x').replace('$04$', '$13$')}\n"}
    env = {**os.environ, "SECRET": SECRET, "ACME": ACME, "HOOK": HOOK}
    with Gateway(tmp_path, AUTH, files=files, env=env) as g:
        waiting = [Request(g, "GET", "/staff", headers=login("alice", f"p{i}")) for i in range(6)]
        waiting.append(Request(g, "GET", "/custom", headers={"Authorization": "slow"}))
        wait_for(lambda: asked(g), what="the question")
        g.process.send_signal(signal.SIGTERM)
        g.wait_log("stopping")
        time.sleep(0.2)  # within 100 ms it would count as the same signal
        assert g.stop(signal.SIGTERM) is not None
        for request in waiting:
            request.join(20)
            assert not request.is_alive()


def test_what_check_says(tmp_path):
    file = tmp_path / "blueprint.yaml"
    file.write_text("blueprint: 1\nname: a\nauth:\n  default: custmer\n  guards:\n    customer: {type: jwt, secret: \"${env.WEAK}\"}\n"
                    "    key: {type: apiKey, keys: {a: hunter2-hunter2-hunter2}}\nhandlers:\n  h: {command: cat, triggers: [{http: GET /}]}\n")
    result = run_cli("check", file, env={**os.environ, "WEAK": "short-and-weak"})
    assert result.returncode == 1
    for words in (":4:12: error: default: no guard is named \"custmer\"; did you mean \"customer\"?", ":6:35: error: secret:", ":7:35: error: keys: a secret does not belong"):
        assert words in result.stderr
    assert "hunter2" not in result.stderr and "short-and-weak" not in result.stderr
