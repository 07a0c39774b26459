"""CORS as clients meet it, in the wire's own words."""
import base64
import json

import pytest
from execgate import ROOT, Gateway, read_answer, run_cli

PROBE = ROOT / "tests/e2e/handlers/probe.py"
A, WILD, EVIL = "https://shop.example", "https://eu.admin.shop.example", "https://evil.example"
BLUEPRINT = f"""
blueprint: 1
name: cors
cors:
  allowOrigins: [{A}, "https://*.shop.example"]
  allowMethods: [GET, PUT]
  allowHeaders: [authorization, content-type]
  exposeHeaders: [etag]
  allowCredentials: true
  maxAge: 10m
handlers:
  probe:
    command: {PROBE}
    processes: {{min: 1}}
    triggers:
      - http: ANY /probe/{{orders+}}
      - http: PUT /small/{{orders+}}
        maxBody: 10B
      - http: GET /public/{{orders+}}
        cors: {{allowOrigins: "*", allowCredentials: false}}
      - http: ANY /own/{{orders+}}
        cors: off
      - http: GET /silent/{{orders+}}
        cors: off
      - http: OPTIONS /asked/{{orders+}}
      - http: GET /asked/{{orders+}}
"""
VARY_PREFLIGHT = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Gateway(tmp_path_factory.mktemp("cors"), BLUEPRINT) as g:
        yield g


def cors_of(answer):
    return {k.lower().removeprefix("access-control-"): v for k, v in answer.headers if k.lower().startswith("access-control-")}


def preflight(server, path, origin, method, headers=None):
    more = {} if headers is None else {"Access-Control-Request-Headers": headers}
    return server.request("OPTIONS", path, headers={"Origin": origin, "Access-Control-Request-Method": method, **more})


@pytest.mark.parametrize("origin", [A, WILD])
@pytest.mark.parametrize("method,headers", [("PUT", None), ("GET", "authorization"), ("PUT", "Authorization, content-type")])
def test_preflight_grants_what_was_asked(server, origin, method, headers):
    a = preflight(server, "/probe/pid", origin, method, headers)
    expected = {"allow-origin": origin, "allow-credentials": "true", "allow-methods": method, "max-age": "600"}
    if headers:
        expected["allow-headers"] = headers
    assert a.status == 204 and a.body == b"" and cors_of(a) == expected and a.all("Vary") == [VARY_PREFLIGHT]


@pytest.mark.parametrize("origin,method,headers", [
    (EVIL, "PUT", None), ("null", "PUT", None), (A.upper(), "PUT", None), (A + ":443", "PUT", None), ("https://shop.example.evil.example", "PUT", None),
    (A, "DELETE", None), (A, "put", None), (A, "PUT", "x-other"), (A, "PUT", "authorization,x-other"), (A, "PUT", "*")])
def test_preflight_that_is_not_wholly_allowed_grants_nothing(server, origin, method, headers):
    a = preflight(server, "/probe/pid", origin, method, headers)
    assert a.status == 204 and cors_of(a) == {} and a.all("Vary") == [VARY_PREFLIGHT]


def test_preflight_is_about_the_route_of_its_method(server):
    assert preflight(server, "/asked/pid", A, "GET").status == 204, "although OPTIONS has a route of its own"
    assert preflight(server, "/public/pid", EVIL, "GET")["Access-Control-Allow-Origin"] == "*"
    closed = preflight(server, "/silent/pid", A, "GET")
    assert closed.status == 405 and "allow-methods" not in cors_of(closed) and "GET" in closed["Allow"]
    assert preflight(server, "/small/body", A, "POST").status == 405
    assert preflight(server, "/nowhere", A, "GET").status == 404


def test_options_that_is_no_preflight_reaches_routing(server):
    assert server.request("OPTIONS", "/asked/pid").status == 200
    assert server.request("OPTIONS", "/asked/pid", headers={"Origin": A}).status == 200
    assert server.request("OPTIONS", "/small/pid", headers={"Origin": A}).status == 405
    own = preflight(server, "/own/pid", A, "PUT")
    assert own.status == 200 and own.body.isdigit() and cors_of(own) == {}, "with cors: off, CORS is the handler's"


@pytest.mark.parametrize("path,method,body,status", [
    ("/probe/pid", "GET", None, 200), ("/probe/pid", "HEAD", None, 200), ("/probe/error", "GET", None, 502), ("/nowhere", "GET", None, 404),
    ("/small/pid", "GET", None, 405), ("/small/body", "PUT", b"x" * 11, 413)])
def test_every_answer_names_the_trusted_origin_and_varies(server, path, method, body, status):
    for origin in (A, WILD):
        a = server.request(method, path, body, {"Origin": origin})
        assert a.status == status and a.all("Vary") == ["Origin"], a
        assert cors_of(a) == {"allow-origin": origin, "allow-credentials": "true", "expose-headers": "etag"}
    for headers in ({"Origin": EVIL}, {"Origin": "null"}, {}):
        a = server.request(method, path, body, headers)
        assert a.status == status and a.all("Vary") == ["Origin"] and cors_of(a) == {}, a


def test_malformed_requests_vary_too(server):
    with server.connect() as s:
        s.sendall(b"GET /../x HTTP/1.1\r\nHost: a\r\nOrigin: " + A.encode() + b"\r\n\r\n")
        a = read_answer(s.makefile("rb"))
    assert a.status == 400 and a["Vary"] == "Origin" and a["Access-Control-Allow-Origin"] == A


def test_everyone_gets_the_same_answer(server):
    for headers in ({"Origin": EVIL}, {"Origin": "null"}, {}):
        a = server.get("/public/pid", headers=headers)
        assert cors_of(a) == {"allow-origin": "*", "expose-headers": "etag"} and a["Vary"] is None


def test_what_a_handler_says_is_replaced_not_doubled(server):
    answer = {"statusCode": 200, "headers": {"access-control-allow-origin": "*", "Access-Control-Allow-Methods": "DELETE", "vary": "Accept", "ETag": '"1"'}, "body": "x"}
    order = base64.urlsafe_b64encode(json.dumps(answer).encode()).decode()
    a = server.get(f"/probe/raw/{order}", headers={"Origin": A})
    assert a.all("Access-Control-Allow-Origin") == [A] and a["Access-Control-Allow-Methods"] is None and a.all("Vary") == ["Accept, Origin"]
    refused = server.get(f"/probe/raw/{order}", headers={"Origin": EVIL})
    assert cors_of(refused) == {} and refused.all("Vary") == ["Accept, Origin"] and refused["ETag"] == '"1"'
    own = server.get(f"/own/raw/{order}", headers={"Origin": EVIL})
    assert own.all("Access-Control-Allow-Origin") == ["*"] and own["Vary"] == "Accept"


def test_a_preflight_is_logged_with_its_route(server):
    server.request("OPTIONS", "/probe/logged", headers={"Origin": A, "Access-Control-Request-Method": "PUT"})
    line = server.wait_log("request", path="/probe/logged")
    assert line["method"] == "OPTIONS" and line["status"] == 204 and line["route"] == "ANY /probe/{orders+}"


@pytest.mark.parametrize("cors,words", [
    ('{allowOrigins: "*", allowCredentials: true}', "exclude each other"),
    ('{allowOrigins: ["https://a.example/"]}', "no path"),
    ('{allowOrigins: ["https://a*.example"]}', "wildcard"),
    ('{allowOrigins: [https://a.example], maxAge: 2d}', "too large"),
    ('{allowOrigins: [https://a.example], allowMethods: [post]}', "write POST")])
def test_check_refuses(tmp_path, cors, words):
    (tmp_path / "b.yaml").write_text(f"blueprint: 1\nname: t\ncors: {cors}\nhandlers: {{h: {{command: /bin/true, triggers: [{{http: GET /}}]}}}}\n")
    done = run_cli("check", tmp_path / "b.yaml")
    assert done.returncode == 1 and words in done.stderr and "b.yaml:3:" in done.stderr
