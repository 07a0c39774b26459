"""The blueprints and the examples that come with execgate do what they say."""
import contextlib
import json
import os
import re
import shutil
import signal
import threading
import time

import pytest
from execgate import EXAMPLES, ROOT, SLOW, Gateway, run_cli, wait_for

BLUEPRINTS = sorted((ROOT / "blueprints").glob("*.yaml"))
OPTIONAL = {"counters": "hello-go", "statistics": "hello-rust", "doors": "chat-doors", "rooms": "chat-rooms"}
MISSING = {name for name, program in OPTIONAL.items() if not (EXAMPLES / program).exists()}


def here(file, notes):
    """A blueprint's text, with the paths of this build."""
    text = file.read_text().replace("../build/examples", str(EXAMPLES)).replace("../sdk-examples", str(ROOT / "sdk-examples"))
    return re.sub(r"workingDirectory: \.\./build$", f"workingDirectory: {notes}", text, flags=re.M)


def without(text, names):
    """A blueprint's text less these handlers."""
    blocks = re.split(r"(?m)^(?=  [a-z#])", text)
    return "".join(b for b in blocks if b.strip().split(":")[0] not in names)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The largest of the blueprints, less what cannot be built on this machine."""
    folder = tmp_path_factory.mktemp("polyglot")
    env = {**os.environ, "NOTES_FILE": str(folder / "notes.log")}
    env.pop("DOWNLOAD_DIR", None)
    with Gateway(folder, without(here(ROOT / "blueprints/polyglot.yaml", folder), MISSING), env=env) as g:
        yield g


# --- blueprints ---
@pytest.mark.parametrize("file", BLUEPRINTS, ids=[f.name for f in BLUEPRINTS])
def test_blueprints_are_valid(file, tmp_path):
    copy = tmp_path / file.name
    copy.write_text(without(here(file, tmp_path), set() if shutil.which("java") else {"primes"}))
    r = run_cli("check", copy, "--json")
    missing = {name for name in MISSING if f"\n  {name}:" in file.read_text()}
    if not missing:
        assert r.returncode == 0 and json.loads(r.stdout)["valid"] is True, r.stdout + r.stderr
        return
    assert r.returncode == 1
    problems = [line for line in run_cli("check", copy).stderr.splitlines() if "error:" in line]
    assert len(problems) == len(missing) and all(OPTIONAL[n] in str(problems) for n in missing), "only what is not built here is missing"


def test_the_guarded_blueprint_as_its_comment_shows(tmp_path):
    env = dict(os.environ, XDG_STATE_HOME=str(tmp_path / "state"))
    with Gateway(tmp_path, here(ROOT / "blueprints/guarded.yaml", tmp_path), args=["--dev-issuer"], env=env) as g:
        words = ["token", "--blueprint", g.file, "--guard", "customer", "--sub", "alice", "--audience", "shop", "--scope", "orders:read"]
        bearer = {"Authorization": "Bearer " + run_cli(*words, env=env).stdout.strip()}
        assert g.get("/me").status == 401
        assert g.get("/me", headers=bearer).json()["requestContext"]["authorizer"]["jwt"]["claims"]["sub"] == "alice"
        assert g.request("POST", "/orders", b"{}", bearer).status == 403, "the scope is missing"
        assert g.get("/partner", headers={"X-Api-Key": "demo-partner-key-0001"}).status == 200
        assert g.get("/partner", headers={"X-Api-Key": "demo-partner-key-0002"}).status == 401
        assert g.get("/health")["X-Content-Type-Options"] == "nosniff"


def test_blueprints_as_they_are():
    """`make run` serves them from where they stand, when the build folder is the usual one."""
    usual = EXAMPLES == ROOT / "build/examples"
    for name in ("hello.yaml", "quickstart.yaml"):
        r = run_cli("routes", ROOT / "blueprints" / name)
        if usual:
            assert r.returncode == 0, r.stderr
        else:
            assert r.returncode == 0 or "build/examples" in r.stderr


def test_the_quickstart_is_part_of_the_polyglot():
    handlers = {f.name: {b.strip().split(":")[0]: b for b in re.split(r"(?m)^(?=  [a-z#])", f.read_text())} for f in BLUEPRINTS}
    for name, block in handlers["quickstart.yaml"].items():
        if name.isalpha():
            assert handlers["polyglot.yaml"].get(name, "").strip() == block.strip(), name


def test_the_smallest_blueprint_serves(tmp_path):
    with Gateway(tmp_path, here(ROOT / "blueprints/hello.yaml", tmp_path)) as g:
        a = g.get("/hello")
        assert a.status == 200 and a.text == "hello\n"


# --- C ---
def test_welcome(shown):
    a = shown.get("/")
    assert a.status == 200 and a["Content-Type"] == "text/html; charset=utf-8"
    commands = re.findall(r"<dt><code>(.*?)</code>", a.text)
    assert len(commands) >= 9 and "<b>polyglot</b>" in a.text
    routes = [r["path"] for r in json.loads(run_cli("routes", "--json", shown.file).stdout)]
    for command in commands:  # every command leads somewhere
        path = re.search(r"localhost:8080(/[\w/.-]*)", command)[1]
        patterns = [re.sub(r"\\{\w+\\\+\\}", ".+", re.sub(r"\\{\w+\\}", "[^/]+", re.escape(r))) for r in routes]
        assert any(re.fullmatch(p, path) for p in patterns) or set(path.split("/")[1:2]) & MISSING, command


def test_echo(shown):
    assert shown.get("/echo").text == "hello\n"
    a = shown.request("POST", "/echo", b"\0\xff", {"Content-Type": "a/b"})
    assert a.body == b"\0\xff" and a["Content-Type"] == "a/b"
    assert shown.request("PUT", "/echo", b"x")["Content-Type"] == "application/octet-stream"
    for size in (0, 1, 63, 64, 65, 100_000):
        assert len(shown.get(f"/echo?bytes={size}").body) == size
    assert shown.request("HEAD", "/echo")["Content-Length"] == "6"


def test_items(shown):
    assert shown.get("/items").json() == []
    made = shown.request("POST", "/items", '{"name": "teapot"}')
    assert made.status == 201 and made["Location"] == "/items/1" and made.json() == {"id": 1, "item": {"name": "teapot"}}
    assert shown.request("POST", "/items", "[1, 2.5e3, null, \"\\u00e9\"]")["Location"] == "/items/2"
    assert [i["id"] for i in shown.get("/items").json()] == [1, 2]
    assert shown.get("/items/1").json()["item"] == {"name": "teapot"}
    assert shown.request("PUT", "/items/1", "true").json() == {"id": 1, "item": True}
    assert shown.request("DELETE", "/items/2").status == 204
    for method, path, body, status in (("GET", "/items/2", None, 404), ("GET", "/items/x", None, 404), ("DELETE", "/items/9", None, 404), ("PUT", "/items/9", "1", 404),
                                       ("POST", "/items", "{", 400), ("POST", "/items", "", 400), ("POST", "/items", "1 2", 400), ("PUT", "/items/1", "nope", 400),
                                       ("POST", "/items", "[" * 100 + "]" * 100, 400), ("PATCH", "/items/1", "1", 405), ("POST", "/items", "1" * 70_000, 413)):
        a = shown.request(method, path, body)
        assert a.status == status and a["Content-Type"] == "application/problem+json", (method, path, body, a)
    assert shown.get("/items").json() == [{"id": 1, "item": True}]


def test_download(shown):
    header = (ROOT / "sdk-examples/execgate.h").read_bytes()
    a = shown.get("/files/execgate.h")
    assert a.status == 200 and a.body == header and a["Content-Type"] == "text/plain; charset=utf-8" and a["X-Content-Type-Options"] == "nosniff"
    small = shown.get("/files/c/echo.c")
    assert small.body == (ROOT / "sdk-examples/c/echo.c").read_bytes() and small["Content-Length"] == str(len(small.body))
    for path in ("missing", "c", "c%2Fecho.c/x", "..%2FLICENSE", "c/..%2f..%2fLICENSE", "%2Fetc%2Fpasswd", "c%2F%2Fecho.c"):
        a = shown.get("/files/" + path)
        assert a.status in (400, 404), (path, a)
    assert shown.get("/files/../LICENSE").status == 400


def test_download_follows_no_link(tmp_path):
    (tmp_path / "public").mkdir()
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "public/link").symlink_to(tmp_path / "secret")
    (tmp_path / "public/folder").symlink_to(tmp_path)
    (tmp_path / "public/large").write_bytes(os.urandom(3 << 20))
    os.mkfifo(tmp_path / "public/pipe")
    with Gateway(tmp_path, here(ROOT / "blueprints/quickstart.yaml", tmp_path), env={**os.environ, "DOWNLOAD_DIR": str(tmp_path / "public")}) as g:
        for path in ("link", "folder/secret", "pipe"):
            assert g.get("/files/" + path).status == 404, path
        a = g.get("/files/large")
        assert a.body == (tmp_path / "public/large").read_bytes() and a["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize("how,status,slug", [("segv", 502, "handler-died"), ("abort", 502, "handler-died"), ("exit", 502, "handler-died"), ("hang", 504, "handler-timeout"),
                                             ("error", 502, "handler-error"), ("none", 200, None), ("flood", 200, None), ("what", 404, None)])
def test_crash(shown, how, status, slug):
    a = shown.get(f"/crash/{how}")
    assert a.status == status, a
    assert slug is None or a.json()["type"].endswith(slug)
    assert "db.example" not in a.text, "the error's text is for the log"
    wait_for(lambda: shown.get("/crash/none").status == 200, 20, "the recovery")


def test_crash_midway(shown):
    wait_for(lambda: shown.get("/crash/none").status == 200, 20, "the recovery")
    data = shown.raw(b"GET /crash/midway HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    if not data.startswith(b"HTTP/1.1 502"):  # the end may be known before the beginning was passed on
        assert data.startswith(b"HTTP/1.1 200") and not data.endswith(b"0\r\n\r\n")


def test_lambda(shown):
    for _ in range(3):
        e = shown.request("POST", "/lambda?name=you", "hello", {"Content-Type": "text/plain"}).json()
        assert e["version"] == "2.0" and e["queryStringParameters"] == {"name": "you"} and e["body"] == "hello" and e["requestContext"]["http"]["method"] == "POST"


def test_inherited(shown):
    a = shown.get("/inherited")
    assert a.status == 200 and a.text
    assert shown.get("/inherited").status == 200


# --- C++ ---
def test_notes_survive_a_restart(shown, tmp_path):
    log = tmp_path / "notes.log"
    text = here(ROOT / "blueprints/quickstart.yaml", tmp_path)
    env = {**os.environ, "NOTES_FILE": str(log)}
    with Gateway(tmp_path, text, env=env) as g:
        assert g.get("/notes").json() == []
        a = g.request("POST", "/notes", "buy milk\nand \"bread\"")
        assert a.status == 201 and a["Location"] == "/notes/1" and a.json() == {"id": 1, "text": "buy milk\nand \"bread\""}
        assert g.request("POST", "/notes", "second")["Location"] == "/notes/2"
        assert g.request("DELETE", "/notes/1").status == 204 and g.get("/notes/1").status == 404
        assert g.request("POST", "/notes", "").status == 400
        os.kill(g.handler_pids()[-1], signal.SIGKILL)
        wait_for(lambda: g.get("/notes").status == 200, 20, "the recovery")
        assert g.get("/notes").json() == [{"id": 2, "text": "second"}]
    with log.open("ab") as f:
        f.write(b"+3 100\ntorn by a crash")
    with Gateway(tmp_path, text, env=env) as g:
        assert g.get("/notes").json() == [{"id": 2, "text": "second"}]
        assert g.request("POST", "/notes", "third")["Location"] == "/notes/3"
        assert g.get("/notes/3").json()["text"] == "third"


def test_slow_reports_while_it_works(shown):
    with shown.connect() as s:
        f = s.makefile("rb")
        s.sendall(b"GET /slow?steps=3&ms=150 HTTP/1.1\r\nHost: a\r\n\r\n")
        while f.readline() != b"\r\n":
            pass
        stamps, text = [], b""
        while size := int(f.readline(), 16):
            text += f.read(size)
            stamps.append(time.monotonic())
            f.readline()
    assert text == b"step 1 of 3 done\nstep 2 of 3 done\nstep 3 of 3 done\nfinished\n"
    assert stamps[-1] - stamps[0] > 0.2, "the steps were held back"


def test_slow_stops_when_nobody_waits(shown):
    with shown.connect() as s:
        s.sendall(b"GET /slow?steps=100&ms=100 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert s.recv(12) == b"HTTP/1.1 200"
    shown.wait_output("nobody waits any more", handler="slow")


def test_slow_stops_before_its_deadline(shown):
    a = shown.get("/slow?steps=2&ms=60000")
    assert a.status == 200 and a.text == "stopped before step 1 of 2: the deadline is too close\n"


# --- shell ---
def test_disk(shown):
    a = shown.get("/disk")
    assert a.status == 200 and a["Content-Type"] == "text/plain" and a.text.startswith("Filesystem")
    assert shown.get("/disk?path=/tmp").status == 200 and shown.get("/disk?path=%2Ftmp&x=1").status == 200
    assert shown.get("/disk?path=/no/such/folder").status == 404
    for evil in ("/;id", "$(id)", "%60id%60", "$%28id%29", "/%5C0146", "-h", "--help", "/%0aid", "/tmp'"):
        a = shown.get("/disk?path=" + evil)
        assert a.status == 404 and "uid=" not in a.text, (evil, a)


def test_upper(shown):
    a = shown.request("POST", "/upper", "make me loud")
    assert a.status == 200 and a.text == "MAKE ME LOUD"


# --- other languages ---
def test_go_counters(shown):
    if "counters" in MISSING:
        pytest.skip("hello-go is not built: there is no Go here")
    assert shown.get("/counters").json() == {}
    assert shown.request("POST", "/counters/visits").json() == {"visits": 1}
    assert shown.request("POST", "/counters/visits?by=41").json() == {"visits": 42}
    assert shown.request("POST", "/counters/visits?by=x").status == 400 and shown.get("/counters/none").status == 404
    threads = [threading.Thread(target=lambda: shown.request("POST", "/counters/many")) for _ in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert shown.get("/counters/many").json() == {"many": 20}
    assert shown.request("DELETE", "/counters/many").status == 204 and shown.get("/counters").json() == {"visits": 42}


def test_rust_statistics(shown):
    if "statistics" in MISSING:
        pytest.skip("hello-rust is not built: there is no Rust here")
    a = shown.request("POST", "/statistics", "so much depends\nupon so é".encode())
    assert a.status == 200
    assert a.json() == {"lines": 2, "words": 6, "characters": 25, "bytes": 26, "favourite": {"word": "so", "count": 2}}
    assert shown.request("POST", "/statistics", b"\xff").status == 400
    assert shown.get("/statistics").json() == {"texts": 1, "bytes": 26}


def test_python_cgi(shown):
    a = shown.request("PUT", "/cgi/any/path?x=1", "body", {"X-Thing": "1"})
    seen = a.json()
    v = seen["variables"]
    assert a["Cache-Control"] == "no-store" and v["REQUEST_METHOD"] == "PUT" and v["SCRIPT_NAME"] == "/cgi" and v["PATH_INFO"] == "/any/path" and v["QUERY_STRING"] == "x=1"
    assert v["HTTP_X_THING"] == "1" and seen["body"] == "body" and seen["arguments"] == ["an argument"] and v["EXECGATE_HANDLER"] == "environment"


def test_python_server(shown):
    seen = shown.get("/server/a%2Fb?x=1").json()
    assert seen["path"] == "/server/a%2Fb?x=1" and seen["fields"]["X-Forwarded-For"] == "127.0.0.1"
    assert shown.request("POST", "/server/upload", b"x" * 3_000_000).json() == {"bytes": 3_000_000}
    with contextlib.closing(shown.client()) as c:
        c.request("POST", "/server/upload", iter([b"y" * 1000] * 50), {"Transfer-Encoding": "chunked"}, encode_chunked=True)
        assert json.loads(c.getresponse().read()) == {"bytes": 50_000}
    with shown.connect() as s:
        f = s.makefile("rb")
        s.sendall(b"GET /server/ticks?n=2 HTTP/1.1\r\nHost: a\r\n\r\n")
        began = time.monotonic()
        while f.readline() != b"\r\n":
            pass
        first = f.read(int(f.readline(), 16))
        assert first.startswith(b"id: 1\n") and time.monotonic() - began < 0.45 * SLOW, "the first tick was held back"
