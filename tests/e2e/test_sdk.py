"""The Go and Rust SDKs against the real gateway: sdk/go and sdk/rust are the same handler."""
import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading

import pytest
from execgate import BUILD, ROOT, Gateway, run_cli, wait_for

SOURCES = ROOT / "tests/e2e/sdk"
PATIENCE = 30
LANGUAGES = ["go", "go-http", "rust"]


def build_go():
    program = BUILD / "tests/behaviours-go"
    env = {**os.environ, "GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local"}
    subprocess.run(["go", "build", "-o", str(program), "."], cwd=SOURCES / "go", env=env, check=True)
    return program


def build_rust():
    target = BUILD / "rust"
    env = {k: v for k, v in os.environ.items() if k != "MAKEFLAGS"}
    subprocess.run(["cargo", "build", "--offline", "--quiet", "--target-dir", str(target)], cwd=SOURCES / "rust", env=env, check=True)
    return target / "debug/behaviours"


BUILDERS = {"go": (build_go, "go", "golang-go"), "rust": (build_rust, "cargo", "cargo")}
built = {}


def command(language):
    """The program and its arguments, built once."""
    name = language.split("-")[0]
    build, tool, package = BUILDERS[name]
    if not shutil.which(tool):
        pytest.skip(f"the SDK for {name} is NOT tested: there is no {tool} here (install {package})")
    if name not in built:
        built[name] = build()
    return [str(built[name]), *language.split("-")[1:]]


def serve(folder, language, concurrency=16, more="", top=""):
    return Gateway(folder, f"""
        blueprint: 1
        name: sdk
        {top}
        handlers:
          behaviours:
            command: {command(language)}
            processes: {{min: 1, max: 1, concurrency: {concurrency}}}
            {more}
            triggers:
              - http: ANY /{{what}}
        """)


@pytest.fixture(params=LANGUAGES)
def language(request):
    return request.param


@pytest.fixture
def served(tmp_path, language):
    with serve(tmp_path, language) as g:
        yield g


def in_threads(count, work):
    results = [None] * count
    def run(i):
        results[i] = work(i)
    threads = [threading.Thread(target=run, args=[i]) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return results


def test_bodies_come_back(served):
    for body in (b"", b"x", b"\0\xff" * 500_000):
        a = served.request("POST", "/echo", body)
        assert a.status == 200 and a.body == body


@pytest.mark.parametrize("language", ["go", "rust"])
def test_without_the_unix_socket(tmp_path, language):
    program = command(language)
    with Gateway(tmp_path, f"""
        blueprint: 1
        name: tcp
        handlers:
          behaviours: {{command: [env, -u, EXECGATE_RUNTIME_SOCKET, {program[0]}], triggers: [{{http: "ANY /{{what}}"}}]}}
        """) as g:
        assert g.request("POST", "/echo", b"over TCP").text == "over TCP"
        assert g.get("/ticks?last=2").text == "tick 1\ntick 2\n"


def test_many_at_once(served):
    def caller(i):
        with contextlib.closing(served.client()) as c:
            for j in range(100):
                c.request("POST", "/echo", f"{i} {j}")
                assert c.getresponse().read() == f"{i} {j}".encode()
        return "done"
    assert in_threads(16, caller) == ["done"] * 16
    assert not served.logs("refused")


def test_events_are_handled_at_once(served):
    """Each of four waits for the other three."""
    assert [a.status for a in in_threads(4, lambda _: served.get("/meet"))] == [200] * 4


def test_a_panic_is_an_error_and_the_process_goes_on(served, language):
    assert served.get("/echo").status == 200
    pid = served.handler_pids()
    a = served.get("/panic")
    assert a.status == 502 and a.json()["type"].endswith("handler-error") and "mess" not in a.text
    told = served.wait_log("handler reported an error", seconds=PATIENCE)
    assert told["error_type"] == "Panic" and "what a mess" in told["error"]
    assert "main." in told["stack"] if language != "rust" else "src/main.rs:" in told["error"]
    assert served.get("/echo").status == 200 and served.handler_pids() == pid


@pytest.mark.parametrize("language", ["go", "rust"])
def test_an_error_has_its_type(served):
    a = served.get("/error")
    assert a.status == 502 and "db.example" not in a.text
    told = served.wait_log("handler reported an error", seconds=PATIENCE)
    assert (told["error_type"], told["error"]) == ("OutOfStock", "db.example is empty")


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_client_that_leaves_ends_the_context(tmp_path, language, concurrency):
    with serve(tmp_path, language, concurrency) as g:
        with g.connect() as s:
            s.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
            g.wait_output("waiting", PATIENCE)
        g.wait_output("the context ended", PATIENCE)
        assert g.get("/echo").status == 200


def test_the_deadline_ends_the_context(tmp_path, language):
    with serve(tmp_path, language, 4, "timeout: 300ms") as g:
        assert g.get("/wait").status in (200, 504)  # whoever is first at the deadline
        g.wait_output("the context ended", PATIENCE)


def test_a_stream_arrives_while_it_is_made(served):
    with served.connect() as s, s.makefile("rb") as f:
        s.sendall(b"GET /ticks HTTP/1.1\r\nHost: a\r\n\r\n")
        seen = b""
        while b"tick 3\n" not in seen:
            line = f.readline()
            assert line, seen
            seen += line
        assert b"Content-Type: text/plain\r\n" in seen
    served.wait_output("nobody listens", PATIENCE)
    a = served.get("/ticks?last=3")
    assert a.text == "tick 1\ntick 2\ntick 3\n"


@pytest.mark.parametrize("language", ["go", "rust"])
def test_a_stream_that_fails_is_broken_off(served):
    data = served.raw(b"GET /torn HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert not data.endswith(b"0\r\n\r\n"), data
    assert served.get("/echo").status == 200


def test_who_asks_is_known(tmp_path, language):
    top = "auth: {default: partner, guards: {partner: {type: apiKey, in: 'header:x-api-key', keys: {acme: 'sha256:b0fd943062885aec2a3596d019fcc5d514b36921a7fe4dc59bcf35b3f438d26a'}}}}"
    with serve(tmp_path, language, top=top) as g:
        a = g.get("/claims", headers={"X-Api-Key": "demo-partner-key-0001"})
        assert a.json() == {"sub": "acme", "id": a["X-Request-Id"], "route": "ANY /{what}"}


@pytest.mark.parametrize("language", ["go", "rust"])
def test_an_invocation_by_name(tmp_path, language):
    r = run_cli("invoke", command(language)[0], "--event", "-", stdin="make me loud")
    assert r.returncode == 0 and r.stdout == "MAKE ME LOUD", r.stderr


@pytest.mark.parametrize("concurrency", [1, 8])
def test_what_is_in_flight_is_answered_when_the_gateway_stops(tmp_path, language, concurrency):
    with serve(tmp_path, language, concurrency) as g:
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(g.get("/slow").status)) for _ in range(concurrency)]
        for t in threads:
            t.start()
        wait_for(lambda: len([e for e in g.logs("output") if "slow begins" in e["line"]]) == concurrency, PATIENCE, "the handlers' start")
        assert g.stop() == 0
        for t in threads:
            t.join()
        assert answers == [200] * concurrency
        assert g.logs("output", line="ended by itself") and not g.logs("handler killed")


def test_a_sigterm_by_somebody_else_loses_nothing(tmp_path, language):
    with serve(tmp_path, language, 8) as g:
        statuses, stop = [], threading.Event()
        def caller(_):
            with contextlib.closing(g.client()) as c:
                while not stop.is_set():
                    c.request("POST", "/echo", b"x")
                    r = c.getresponse()
                    r.read()
                    statuses.append(r.status)
        threads = [threading.Thread(target=caller, args=[i]) for i in range(8)]
        for t in threads:
            t.start()
        try:
            for ended in range(1, 4):
                seen = len(statuses)
                wait_for(lambda: len(statuses) > seen + 200, PATIENCE, "traffic")
                os.kill(wait_for(g.handler_pids, PATIENCE, "a process")[0], signal.SIGTERM)
                wait_for(lambda: len(g.logs("output", line="ended by itself")) == ended, PATIENCE, "its end")
        finally:
            stop.set()
            for t in threads:
                t.join()
        assert set(statuses) == {200}, {s: statuses.count(s) for s in set(statuses)}


# --- docs/sdk.md ---
def block(language):
    return re.search(rf"```{language}\n(.*?)```", (ROOT / "docs/sdk.md").read_text(), re.S)[1]


@pytest.mark.parametrize("tag,name,source", [("c", "c", "main.c"), ("cpp", "cpp", "main.cpp"), ("go", "go", "main.go"), ("rust", "rust", "src/main.rs")])
def test_the_documentation_shows_programs_that_work(tmp_path, tag, name, source):
    """Each in place of the source of a new project."""
    if tag in BUILDERS:
        command(tag)  # skips where there is no compiler
    assert run_cli("new", "shown", "--lang", name, "-d", "p", cwd=tmp_path).returncode == 0
    (tmp_path / "p" / source).write_text(block(tag))
    subprocess.run(["make"], cwd=tmp_path / "p", check=True)
    with Gateway(tmp_path / "p", (tmp_path / "p/blueprint.yaml").read_text()) as g:
        assert g.get("/hello/you").text == "Hello, you!\n"


def test_every_link_of_the_documentation_leads_somewhere():
    text = re.sub(r"```.*?```", "", (ROOT / "docs/sdk.md").read_text(), flags=re.S)
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (ROOT / "docs" / target).exists(), target
