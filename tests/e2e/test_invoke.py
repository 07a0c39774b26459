"""execgate invoke: one event for one handler, without a server; every flag, every way to fail."""
import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import textwrap
import threading

import pytest
from execgate import BINARY, EXAMPLES, alive, run_cli, wait_for

# A handler on the Lambda runtime API that does what the event says.
HANDLER = r"""
#!/usr/bin/python3
import http.client, json, os, sys, time
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
print("started", flush=True)
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    r = api.getresponse()
    event, id = r.read(), r.headers["Lambda-Runtime-Aws-Request-Id"]
    say = json.loads(event) if event[:1] == b"{" else {}
    do = say.get("do") or say.get("queryStringParameters", {}).get("do", "")
    if do == "print":
        print("a line\nanother", file=sys.stderr, flush=True)
    if do == "die":
        print("last words", file=sys.stderr, flush=True)
        os.abort()
    if do == "sleep":
        time.sleep(600)
    if do == "error":
        error = json.dumps({"errorMessage": "no tea", "errorType": "TeaError", "stackTrace": ["main:1", "brew:2"]})
        api.request("POST", f"/2018-06-01/runtime/invocation/{id}/error", error)
    else:
        answer = {"event": "", "status": {"statusCode": 404, "body": "nothing here"}, "context": r.headers["Lambda-Runtime-Client-Context"],
                  "deadline": int(r.headers["Lambda-Runtime-Deadline-Ms"]) - time.time() * 1000, "type": r.headers["Content-Type"],
                  "malformed": None}.get(do, None)
        answer = event if answer is None else json.dumps(answer).encode()
        answer = b"{" if do == "malformed" else answer
        api.request("POST", f"/2018-06-01/runtime/invocation/{id}/response", answer)
    api.getresponse().read()
"""

BLUEPRINT = f"""
blueprint: 1
name: shop
auth:
  guards:
    users: {{type: jwt, issuer: https://issuer.example, audience: shop, secret: "${{env.SECRET}}", algorithms: [HS256]}}
    asked: {{type: handler, handler: judge, credential: none}}
    keys: {{type: apiKey, in: "header:x-api-key", keys: {{till: "sha256:{"0" * 64}"}}}}
handlers:
  orders:
    command: ./orders.py
    timeout: 20s
    processes: {{max: 4}}
    triggers:
      - http: GET /orders/{{id}}
      - http: POST /orders
      - http: GET /mine
        guard: users
        require: {{claims: {{role: chef}}}}
      - http: GET /till
        guard: keys
      - http: GET /asked
        guard: asked
  judge:
    command: [/bin/echo, '{{"isAuthorized": true, "context": {{"who": "eve"}}}}']
    mode: once
    triggers: []
  other:
    command: ./never.sh
    processes: {{min: 1}}
    triggers:
      - http: GET /other
  once:
    command: ./once.sh
    mode: once
    triggers:
      - http: ANY /once/{{path+}}
  server:
    command: [/usr/bin/python3, server.py]
    mode: server
    triggers:
      - http: ANY /server
"""

ONCE = """
#!/bin/sh
echo "to stderr" >&2
if [ "$EXECGATE_TRIGGER" = http ]; then printf 'Content-Type: text/x\\n\\n%s %s' "$REQUEST_METHOD" "$PATH_INFO"; else printf 'got '; cat; fi
"""

SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        text = f"{self.command} {self.path} {self.headers['Execgate-Trigger']} ".encode() + body
        self.send_response(500 if b"fail" in body else 200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    do_POST = do_GET
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""

NEVER = "#!/bin/sh\ntouch started-although-it-was-not-asked-for\nexec sleep 600\n"


@pytest.fixture
def shop(tmp_path):
    for name, text in {"orders.py": HANDLER, "once.sh": ONCE, "server.py": SERVER, "never.sh": NEVER, "blueprint.yaml": BLUEPRINT}.items():
        (tmp_path / name).write_text(textwrap.dedent(text).lstrip("\n"))
        (tmp_path / name).chmod(0o755)
    (tmp_path / "plain.json").write_text("{}")
    return tmp_path


@pytest.fixture
def invoke(shop):
    return lambda *words, **kw: run_cli("invoke", *words, cwd=shop, **kw)


@pytest.fixture(autouse=True)
def secret(monkeypatch):
    monkeypatch.setenv("SECRET", "s" * 64)


# --- events by name ---

def test_the_bytes_of_a_file_come_and_go_untouched(invoke, shop):
    (shop / "event").write_text("no JSON \u00e9")
    r = invoke("orders", "--event", "event")
    assert (r.returncode, r.stdout) == (0, "no JSON \u00e9")
    assert r.stderr == "started\n"  # what the handler printed, and nothing else
    assert not (shop / "started-although-it-was-not-asked-for").exists()


def test_stdin_is_an_event_and_none_is_an_empty_object(invoke):
    assert invoke("orders", "--event", "-", stdin='{"a": 1}').stdout == '{"a": 1}'
    assert invoke("orders").stdout == "{}"


def test_what_a_handler_is_told(invoke):
    assert json.loads(invoke("orders", "-e", "-", "--client-context", '{"client": {"a": "\u00e9"}}', stdin='{"do": "context"}').stdout) == '{"client":{"a":"\\u00e9"}}'
    assert json.loads(invoke("orders", "-e", "-", stdin='{"do": "type"}').stdout) == "application/json"
    assert 0 < float(invoke("orders", "-e", "-", stdin='{"do": "deadline"}').stdout) < 21000
    assert 300000 < float(invoke("orders", "-e", "-", "--timeout", "10m", stdin='{"do": "deadline"}').stdout) < 601000


@pytest.mark.parametrize("do,status,words", [
    ("error", 5, ["execgate: The handler reported an error: TeaError: no tea", "  main:1\n  brew:2"]),
    ("die", 5, ["last words", "ended before it answered: killed by SIGABRT"]),
])
def test_failures_tell_why_and_have_a_status(invoke, do, status, words):
    r = invoke("orders", "--event", "-", stdin=json.dumps({"do": do}))
    assert r.returncode == status and r.stdout == ""
    for word in words:
        assert word in r.stderr


def test_a_timeout(invoke):
    r = invoke("orders", "--event", "-", "--timeout", "3s", stdin='{"do": "sleep"}')
    assert r.returncode == 6 and "did not answer in time" in r.stderr and "--debug" in r.stderr


def test_output_is_shown_while_it_runs(shop):
    p = subprocess.Popen([BINARY, "invoke", "once"], cwd=shop, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert p.stderr.readline() == "to stderr\n"
    assert p.communicate(timeout=60)[0] == "got {}" and p.returncode == 0
    (shop / "once.sh").write_text("#!/bin/sh\necho early >&2\nwhile [ ! -e go ]; do sleep 0.05; done\n")
    p = subprocess.Popen([BINARY, "invoke", "once"], cwd=shop, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert p.stderr.readline() == "early\n" and p.poll() is None
    (shop / "go").touch()
    p.communicate(timeout=60)
    assert p.returncode == 0


def on_terminal(*words, cwd):
    main, other = pty.openpty()
    p = subprocess.Popen([BINARY, *words], cwd=cwd, stdin=subprocess.DEVNULL, stdout=other, stderr=other)
    os.close(other)
    text = b""
    with contextlib.suppress(OSError):  # what a terminal says when nobody is left on the other side
        while piece := os.read(main, 4096):
            text += piece
    os.close(main)
    assert p.wait(30) == 0
    return text.decode().replace("\r\n", "\n")


def test_on_a_terminal_lines_name_their_handler_and_the_answer_ends_its_line(shop):
    text = on_terminal("invoke", "once", cwd=shop)
    assert sorted(text.splitlines()) == ["got {}", "once | to stderr"] and text.endswith("\n")


def test_a_server_gets_a_post(invoke):
    assert invoke("server", "--event", "-", stdin="bytes").stdout == "POST /invoke invoke bytes"
    r = invoke("server", "--event", "-", stdin="fail")
    assert r.returncode == 5 and "it answered with the status 500" in r.stderr


# --- requests ---

def test_a_request_is_what_its_route_makes_of_it(invoke):
    r = invoke("orders", "--http", "GET /orders/4%202?a=b&a=c", "-H", "X-One: 1", "-H", "Cookie: a=1; b=2", "-H", "Accept:")
    assert r.returncode == 0
    event = json.loads(r.stdout)
    assert event["routeKey"] == "GET /orders/{id}" and event["pathParameters"] == {"id": "4 2"}
    assert event["queryStringParameters"] == {"a": "b,c"} and event["cookies"] == ["a=1", "b=2"]
    assert event["headers"]["x-one"] == "1" and "accept" not in event["headers"] and event["headers"]["host"] == "localhost"
    assert r.stderr.startswith("started\n< HTTP/1.1 200\n< content-type: application/json\n< X-Request-Id: ")


def test_a_target_may_be_typed_as_it_is_read(invoke):
    event = json.loads(invoke("orders", "--http", "GET /orders/é%20ß?q=ü").stdout)
    assert event["rawPath"] == "/orders/%C3%A9%20%C3%9F" and event["rawQueryString"] == "q=%C3%BC"
    assert event["pathParameters"] == {"id": "é ß"} and event["queryStringParameters"] == {"q": "ü"}


def test_data_makes_a_post_with_length_and_type(invoke, shop):
    event = json.loads(invoke("orders", "--http", "/orders", "-d", '{"a": 1}').stdout)
    assert event["requestContext"]["http"]["method"] == "POST" and event["body"] == '{"a": 1}'
    assert event["headers"]["content-type"] == "application/json" and event["headers"]["content-length"] == "8"
    event = json.loads(invoke("orders", "--http", "POST /orders", "-d", "a=1", "-d", "b=2").stdout)
    assert event["body"] == "a=1&b=2" and event["headers"]["content-type"] == "application/x-www-form-urlencoded"
    (shop / "data").write_bytes(b"\xff\x00")
    event = json.loads(invoke("orders", "--http", "POST /orders", "-d", "@data", "-H", "Content-Type: image/x").stdout)
    assert event["body"] == "/wA=" and event["isBase64Encoded"] is True and event["headers"]["content-type"] == "image/x"
    assert json.loads(invoke("orders", "--http", "POST /orders", "-d", "@-", stdin="from stdin").stdout)["body"] == "from stdin"


def test_include_shows_the_head_as_curl_does(invoke):
    r = invoke("orders", "-i", "--http", "GET /orders/1?do=status")
    head, body = r.stdout.split("\n\n", 1)
    assert r.returncode == 0 and body == "nothing here" and head.startswith("HTTP/1.1 404\ncontent-type: application/json\nX-Request-Id: ")
    assert r.stderr == "started\n"
    r = invoke("orders", "--fail", "--http", "GET /orders/1?do=status")
    assert r.returncode == 5 and r.stdout == "nothing here"


def test_once_and_server_answer_requests(invoke):
    r = invoke("once", "-i", "--http", "GET /once/a/b")
    assert "\nContent-Type: text/x\n" in r.stdout and r.stdout.endswith("\n\nGET /a/b")
    assert invoke("server", "--http", "GET /server?x=1").stdout == "GET /server?x=1 http "


def test_a_failure_of_a_request_is_what_a_client_would_see(invoke):
    r = invoke("orders", "--http", "GET /orders/1?do=error")
    assert r.returncode == 5 and json.loads(r.stdout)["type"] == "urn:execgate:problem:handler-error"
    assert "< HTTP/1.1 502\n" in r.stderr and "TeaError: no tea" in r.stderr
    r = invoke("orders", "--http", "GET /orders/1?do=malformed")
    assert r.returncode == 5 and "answer is not valid" in r.stderr and "it answered: " in r.stderr
    r = invoke("orders", "--http", "GET /orders/1", "-H", "Host: a b")
    assert r.returncode == 5 and json.loads(r.stdout)["status"] == 400


def test_an_answer_is_streamed(shop, tmp_path):
    (shop / "once.sh").write_text("#!/bin/sh\nprintf 'Content-Type: text/x\\n\\nfirst\\n'\nwhile [ ! -e go ]; do sleep 0.05; done\necho second\n")
    p = subprocess.Popen([BINARY, "invoke", "once", "--http", "GET /once/x"], cwd=shop, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "first\n" and p.poll() is None
    (tmp_path / "go").touch()
    assert p.communicate(timeout=60)[0] == "second\n" and p.returncode == 0


ENDLESS = """
    #!/usr/bin/python3
    import http.server, os
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(b"and on" * 1000)
        def log_message(self, *words):
            pass
    http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def test_it_ends_when_nobody_reads_the_answer_any_more(tmp_path):
    (tmp_path / "endless.py").write_text(textwrap.dedent(ENDLESS).lstrip("\n"))
    (tmp_path / "endless.py").chmod(0o755)
    p = subprocess.Popen([BINARY, "invoke", "./endless.py", "--mode", "server", "--http", "/"], cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert p.stdout.read(6) == b"and on"
    p.stdout.close()
    told = p.stderr.read().decode()
    assert p.wait(60) == 3 and "execgate: not everything could be written to stdout" in told


@pytest.mark.parametrize("words", [["invoke", "orders"], ["invoke", "orders", "--json"], ["event", "http"], ["routes"], ["schema"]])
def test_an_answer_that_cannot_be_written_is_no_success(shop, words):
    with open("/dev/full", "w") as full:
        r = subprocess.run([BINARY, *words], cwd=shop, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert r.returncode == 3 and "execgate: not everything could be written to stdout" in r.stderr


def test_it_ends_when_whoever_reads_it_leaves(shop):
    (shop / "once.sh").write_text("#!/bin/sh\necho $$ >pid\nprintf 'Content-Type: text/x\\n\\n'\nexec yes\n")
    p = subprocess.Popen([BINARY, "invoke", "once", "--http", "GET /once/x", "--timeout", "1h"], cwd=shop, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "y\n"
    p.stdout.close()
    assert p.wait(60) == 3 and "not everything could be written to stdout" in p.stderr.read()
    assert not alive(int((shop / "pid").read_text()))


@pytest.mark.parametrize("request_line,words", [
    ("GET /ordres/7", ["(404)", 'did you mean "GET /orders/{id}"']),
    ("GET /something/else/entirely/different", ["(404)", 'the routes of "orders": GET /orders/{id}, POST /orders']),
    ("DELETE /orders/7", ["(405)", "allowed: GET, HEAD"]),
    ("GET /other", ['is the route "GET /other" of the handler "other"', "execgate invoke other --http"]),
])
def test_a_request_without_a_route_of_the_handler_is_explained(invoke, request_line, words):
    r = invoke("orders", "--http", request_line)
    assert r.returncode == 2 and r.stdout == ""
    for word in words:
        assert word in r.stderr


# --- claims ---

def test_a_guarded_route_says_how_to_pass(invoke):
    r = invoke("orders", "--http", "GET /mine")
    assert r.returncode == 5 and "< HTTP/1.1 401" in r.stderr and "--as sub=NAME" in r.stderr and "execgate token" in r.stderr and "--dev-issuer" in r.stderr
    r = invoke("orders", "--http", "GET /mine", "--as", "sub=alice")
    assert r.returncode == 5 and "< HTTP/1.1 403" in r.stderr and "do not meet what the route requires" in r.stderr


def test_claims_are_taken_as_verified(invoke):
    r = invoke("orders", "--http", "GET /mine", "--as", "sub=alice", "--as", "role=chef", "--as", 'teams=json:["a","b"]', "--as", "n=json:7", "--as", "scope=read write")
    assert r.returncode == 0, r.stderr
    authorizer = json.loads(r.stdout)["requestContext"]["authorizer"]
    assert authorizer == {"jwt": {"claims": {"sub": "alice", "role": "chef", "teams": "[a b]", "n": "7", "scope": "read write"}, "scopes": ["read", "write"]}}
    authorizer = json.loads(invoke("orders", "--http", "GET /till", "--as", "sub=till").stdout)["requestContext"]["authorizer"]
    assert authorizer == {"lambda": {"sub": "till"}}
    assert "authorizer" not in json.loads(invoke("orders", "--http", "GET /orders/1").stdout)["requestContext"]


def test_an_authorizer_is_asked(invoke):
    assert json.loads(invoke("orders", "--http", "GET /asked").stdout)["requestContext"]["authorizer"] == {"lambda": {"who": "eve"}}
    assert json.loads(invoke("orders", "--http", "GET /asked", "--as", "who=ann").stdout)["requestContext"]["authorizer"] == {"lambda": {"who": "ann"}}


def test_a_token_is_checked_for_real(invoke, shop):
    token = run_cli("token", "--sub", "bob", "--claim", "role=chef", cwd=shop).stdout.strip()
    r = invoke("orders", "--http", "GET /mine", "-H", f"Authorization: Bearer {token}")
    assert r.returncode == 0 and json.loads(r.stdout)["requestContext"]["authorizer"]["jwt"]["claims"]["sub"] == "bob"
    assert invoke("orders", "--http", "GET /mine", "-H", f"Authorization: Bearer {token}x").returncode == 5


def test_development_tokens(shop, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(shop / "state"))
    (shop / "blueprint.yaml").write_text(BLUEPRINT.replace('secret: "${env.SECRET}", algorithms: [HS256]', "jwks: discover"))
    token = run_cli("token", "--sub", "bob", "--claim", "role=chef", cwd=shop).stdout.strip()
    words = ["invoke", "orders", "--http", "GET /mine", "-H", f"Authorization: Bearer {token}"]
    r = run_cli(*words, "--dev-issuer", cwd=shop)
    assert r.returncode == 0, r.stderr
    assert json.loads(r.stdout)["requestContext"]["authorizer"]["jwt"]["claims"]["sub"] == "bob"


# --- for programs ---

def test_json_of_an_answer(invoke):
    r = invoke("orders", "--json", "--event", "-", stdin='{"do": "print"}')
    o = json.loads(r.stdout)
    assert r.returncode == 0 and o["ok"] is True and o["handler"] == "orders" and re.fullmatch(r"[0-9a-f-]{36}", o["id"])
    assert o["status"] == 200 and o["answer"] == '{"do": "print"}' and o["isBase64Encoded"] is False
    assert o["logs"] == ["a line", "another"] and o["duration_ms"] >= o["waited_ms"] > 0 and "error" not in o
    o = json.loads(invoke("orders", "--json", "--http", "GET /orders/1?do=status").stdout)
    assert o["status"] == 404 and ["content-type", "application/json"] in o["headers"] and o["answer"] == "nothing here" and o["ok"] is True


def test_json_of_a_failure(invoke):
    r = invoke("orders", "--json", "--event", "-", stdin='{"do": "error"}')
    o = json.loads(r.stdout)
    assert r.returncode == 5 and o["ok"] is False and "answer" not in o
    assert o["error"] == {"failure": "handler-error", "title": "The handler reported an error", "detail": "error type TeaError",
                          "type": "TeaError", "message": "no tea", "stack": ["main:1", "brew:2"]}
    o = json.loads(invoke("orders", "--json", "--event", "-", stdin='{"do": "die"}').stdout)
    assert o["error"]["failure"] == "handler-died" and o["logs"] == ["last words"]
    o = json.loads(invoke("orders", "--json", "--event", "-", "--timeout", "3s", stdin='{"do": "sleep"}').stdout)
    assert o["error"]["failure"] == "handler-timeout"
    o = json.loads(invoke("nobody", "--json").stdout)
    assert 'no handler "nobody"' in o["error"]


def test_the_last_4_kib_of_output_are_kept(invoke, shop):
    (shop / "once.sh").write_text("#!/bin/sh\nseq 1 5000 >&2\n")
    logs = json.loads(invoke("once", "--json").stdout)["logs"]
    assert logs[-1] == "5000" and logs == [str(n) for n in range(int(logs[0]), 5001)]
    assert 3900 < len("\n".join(logs)) <= 4096


# --- many ---

def test_repeat_tells_how_long_it_took(invoke):
    r = invoke("orders", "--repeat", "200", "--parallel", "4")
    assert r.returncode == 0
    assert re.match(r"200 invocations of orders, 4 at a time, in \d+\.\d{3} s \(\d+/s\)\n", r.stdout)
    times = [float(re.search(rf"^  {name} +(\d+\.\d{{3}}) ms$", r.stdout, re.M)[1]) for name in ("min", "p50", "p90", "p99", "max")]
    assert times == sorted(times) and r.stdout.endswith("  errors 0\n")


def test_repeat_counts_errors(invoke):
    r = invoke("orders", "-n", "3", "--event", "-", stdin='{"do": "error"}')
    assert r.returncode == 5 and "  errors 3\n    handler-error 3\n" in r.stdout
    o = json.loads(invoke("orders", "-n", "4", "-p", "2", "--json", "--fail", "--http", "GET /orders/1?do=status").stdout)
    assert o["ok"] is False and o["count"] == 4 and o["parallel"] == 2 and o["errors"] == {"status": 4}
    assert set(o["latency_ms"]) == {"min", "p50", "p90", "p99", "max"} and o["elapsed_ms"] > 0
    assert json.loads(invoke("orders", "--parallel", "3", "--json").stdout)["count"] == 3


# --- a bare executable ---

def test_a_bare_executable_needs_no_blueprint(tmp_path):
    (tmp_path / "Some.Thing_2").write_text(HANDLER.lstrip())
    (tmp_path / "Some.Thing_2").chmod(0o755)
    assert run_cli("invoke", "./Some.Thing_2", "--event", "-", cwd=tmp_path, stdin="bytes").stdout == "bytes"
    o = json.loads(run_cli("invoke", tmp_path / "Some.Thing_2", "--http", "PUT /a/b", "--json", cwd=tmp_path).stdout)
    assert o["handler"] == "some" and json.loads(o["answer"])["routeKey"] == "ANY /{path+}"
    assert run_cli("invoke", "/bin/cat", "--mode", "once", "--event", "-", stdin="meow").stdout == "meow"
    (tmp_path / "server.py").write_text("#!/usr/bin/python3\n" + SERVER)
    (tmp_path / "server.py").chmod(0o755)
    assert run_cli("invoke", "./server.py", "--mode", "server", "--http", "/", cwd=tmp_path).stdout == "GET / http "
    assert run_cli("invoke", f"{EXAMPLES}/lambda_echo").stdout == "{}"


def test_an_executable_that_does_not_start_is_told(tmp_path):
    (tmp_path / "broken").write_text("#!/bin/sh\necho no library >&2\nexit 3\n")
    (tmp_path / "broken").chmod(0o755)
    r = run_cli("invoke", "./broken", cwd=tmp_path)
    assert r.returncode == 5 and "no library\n" in r.stderr and "broken keeps failing: exit status 3 before it asked for an event" in r.stderr
    assert "`once` a script" in r.stderr
    r = run_cli("invoke", "./broken", "--mode", "server", cwd=tmp_path)
    assert r.returncode == 5 and "before it listened on its port" in r.stderr and "`once` a script" not in r.stderr
    r = run_cli("invoke", "broken", cwd=tmp_path)
    assert r.returncode == 1 and "no file was named" in r.stderr and "is invoked as ./broken" in r.stderr


# --- wrong usage ---

@pytest.mark.parametrize("words,hint", [
    ([], "which handler?"), (["order"], 'did you mean "orders"'), (["zzzzzzzz"], "there are: orders"), (["./nothing"], "./nothing does not exist"),
    (["./plain.json"], "run: chmod +x ./plain.json"), (["/tmp/"], "is a directory"),
    (["blueprint.yaml", "orders"], "execgate invoke HANDLER [FILE]"), (["orders", "--event", '{"a": 1}'], "| execgate invoke"), (["/bin/cat", "blueprint.yaml"], "needs no blueprint"), (["/bin/cat", "--mode", "twice"], "runtime, once or server"),
    (["orders", "--mode", "once"], "--mode is for bare executables"), (["orders", "--event", "missing"], 'cannot open "missing"'),
    (["orders", "--event", "-", "--http", "GET /"], "two events"), (["orders", "-d", "x"], "it needs --http"), (["orders", "-H", "A: b"], "it needs --http"),
    (["orders", "-i"], "it needs --http"), (["orders", "-f"], "it needs --http"), (["orders", "--http", "orders"], 'METHOD /path'), (["orders", "--http", "get /orders"], "METHOD /path"),
    (["orders", "--http", "GET /orders/1", "-H", "nocolon"], "Name: value"), (["orders", "--as", "alice"], "NAME=VALUE"), (["orders", "--as", "a=1", "--as", "a=2"], "given twice"),
    (["orders", "--as", "a=json:{"], "is no JSON"), (["orders", "--as", "sub=json:7"], "--as: "), (["orders", "--repeat", "0"], "from 1 to"), (["orders", "--parallel", "x"], "from 1 to"),
    (["orders", "--timeout", "5"], "such as 500ms"), (["orders", "--timeout", "0s"], "such as 500ms"), (["orders", "--debug", "--repeat", "2"], "sends one event"),
    (["orders", "--debug", "--timeout", "1s"], "no deadlines"), (["once", "--debug"], "gdb"), (["orders", "--client-context", "[]"], "a JSON object"),
    (["orders", "--log-level", "loud"], "debug, info"), (["orders", "a", "b"], "unexpected argument"), (["orders", "--evnt", "x"], "did you mean --event"),
])
def test_wrong_usage_says_what_is_right(invoke, words, hint):
    r = invoke(*words)
    assert r.returncode == 2 and hint in r.stderr and r.stdout == ""


def test_a_missing_or_broken_blueprint_is_told(tmp_path):
    r = run_cli("invoke", "orders", cwd=tmp_path)
    assert r.returncode == 1 and "blueprint.yaml" in r.stderr
    (tmp_path / "shop.yaml").write_text("blueprint: 1\nname: shop\nhandlers: {a: {}}\n")
    for words in (["shop.yaml"], ["-b", "shop.yaml"]):
        r = run_cli("invoke", "a", *words, cwd=tmp_path)
        assert r.returncode == 1 and "shop.yaml:3" in r.stderr and "command" in r.stderr


def test_a_handler_that_somebody_else_would_start_is_started(shop):
    text = f"blueprint: 1\nname: a\nhandlers:\n  a: {{command: {EXAMPLES}/lambda_echo, attach: true}}\n  b: {{attach: true}}\n"
    (shop / "blueprint.yaml").write_text(text)
    r = run_cli("invoke", "a", cwd=shop)
    assert (r.returncode, r.stdout) == (0, "{}"), r.stderr
    r = run_cli("invoke", "b", cwd=shop)
    assert r.returncode == 2 and "has no command to start" in r.stderr


def test_variables_and_help(shop, tmp_path):
    (shop / "vars.yaml").write_text("blueprint: 1\nname: shop\nvariables: {word: {default: none}}\nhandlers: {say: {command: [/bin/echo, \"${var.word}\"], mode: once}}\n")
    assert run_cli("invoke", "say", "vars.yaml", "--var", "word=hello", cwd=shop).stdout == "hello\n"
    r = run_cli("invoke", "--help")
    assert r.returncode == 0 and "Exit status: 5" in r.stdout and "--debug" in r.stdout


# --- Ctrl-C, and debuggers ---

def test_ctrl_c_ends_it_at_once(shop):
    p = subprocess.Popen([BINARY, "invoke", "orders", "--event", "-"], cwd=shop, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    p.stdin.write('{"do": "sleep"}')
    p.stdin.close()
    assert p.stderr.readline() == "started\n"
    p.send_signal(signal.SIGINT)
    assert p.wait(30) == 4 and p.stdout.read() == ""


def test_ctrl_c_ends_many(shop):
    (shop / "event").write_text('{"do": "error"}')
    p = subprocess.Popen([BINARY, "invoke", "orders", "--event", "event", "-n", "10000000", "-p", "2", "--json"], cwd=shop, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert p.stderr.readline() == "started\n"
    p.send_signal(signal.SIGINT)
    out, _ = p.communicate(timeout=30)
    o = json.loads(out)
    assert p.returncode == 4 and o["ok"] is False and o["count"] < 10000000


class Lines(threading.Thread):
    def __init__(self, stream):
        super().__init__(daemon=True)
        self.stream, self.text = stream, ""
        self.start()

    def run(self):
        for line in self.stream:
            self.text += line


def start_debug(shop, *words):
    p = subprocess.Popen([BINARY, "invoke", *words, "--debug"], cwd=shop, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    err = Lines(p.stderr)
    pid = int(wait_for(lambda: re.search(r"gdb -p (\d+)", err.text), 30, "the pid")[1])
    return p, err, pid


def test_the_event_waits_for_a_debugger(shop):
    (shop / "event").write_text('{"do": "deadline"}')
    p, err, pid = start_debug(shop, "orders", "--event", "event")
    assert alive(pid) and p.poll() is None and "here comes" not in err.text
    breaks = [word for name in ("send", "sendto", "sendmsg") for word in ("-ex", f"break {name}")]
    gdb = subprocess.run(["gdb", "-p", str(pid), "-batch", "-ex", "set breakpoint pending on", *breaks, "-ex", "continue", "-ex", "bt 1", "-ex", "delete", "-ex", "detach"],
                         capture_output=True, text=True, timeout=120)
    out, _ = p.communicate(timeout=60)
    assert re.search(r"Breakpoint \d+, .*send", gdb.stdout) and "#0 " in gdb.stdout, gdb.stdout + gdb.stderr
    assert p.returncode == 0 and "attached; here comes the event" in err.text
    assert float(out) > 100 * 24 * 3600 * 1000  # there is a deadline, because clients need one, but nobody lives to see it


def test_ctrl_c_while_it_waits_for_a_debugger(shop):
    p, _, pid = start_debug(shop, "orders")
    p.send_signal(signal.SIGINT)
    assert p.wait(30) == 4 and not alive(pid)
