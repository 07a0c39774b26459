"""Queues and schedules by the Go and Rust SDKs and execgate.hpp, against the real gateway: sdk/go/queues.go,
sdk/rust/src/queues.rs and sdk/cpp/queues.cpp are the same handler."""
import datetime
import re
import subprocess
import time

import pytest
from execgate import BUILD, ROOT, Gateway, run_cli, wait_for
from queues import rows, send_all, wait_deaths, wait_empty, wait_stats
from test_sdk import BUILDERS, SOURCES, command

PATIENCE = 30
built = {}


def program(language):
    """The handler's command, built once."""
    if language != "cpp":
        return [command(language)[0], "queues"]
    path = BUILD / "tests/queues-cpp"
    if "cpp" not in built:
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["g++", "-std=c++11", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/sdk-examples", "-o", str(path), str(SOURCES / "cpp/queues.cpp")], check=True)
        built["cpp"] = [str(path)]
    return built["cpp"]


class Shop(Gateway):
    """The handler answers /do/{what}, and takes the queue `orders` with `taken`."""

    def __init__(self, folder, language, taken="batch: 10, window: 200ms, reportFailures: true"):
        trigger = f"- {{queue: orders, {taken}}}" if taken else ""
        super().__init__(folder, f"""
            blueprint: 1
            name: shop
            queues:
              orders: {{maxAttempts: 5, retry: {{base: 1ms, max: 20ms}}, deadLetter: dead, send: [{{http: POST /send}}]}}
              dead: {{}}
            handlers:
              shop:
                command: {program(language)}
                processes: {{min: 1, max: 1}}
                triggers:
                  - http: POST /do/{{what}}
                  {trigger}
            """)

    def do(self, what, body=b""):
        return self.request("POST", f"/do/{what}", body)

    def wait_took(self, *lines):
        """In any order: each process writes in its own time."""
        def took():
            seen = sorted(e["line"] for e in self.logs("output") if e["line"].startswith("took "))
            return len(seen) >= len(lines) and seen
        assert wait_for(took, PATIENCE, f"the output of {len(lines)} messages") == sorted(lines)


@pytest.fixture(params=["go", "rust", "cpp"])
def language(request):
    return request.param


def bodies(folder):
    return [r["body"].decode() for r in rows(folder, "SELECT body FROM message ORDER BY seq")]


def bodies_of(folder, queue):
    return sorted(r["body"].decode() for r in rows(folder, "SELECT body FROM message m JOIN queue q ON q.id = m.queue WHERE q.name = ?", queue))


def test_only_what_failed_comes_again(tmp_path, language):
    with Shop(tmp_path, language) as g:
        send_all(g, ["one", "bad", {"body": "three", "groupId": "a b", "attributes": {"colour": "dark blue"}}])
        wait_stats(tmp_path, messages=0, acknowledged=3)
        g.wait_took("took one attempt 1 group  colour none", "took bad attempt 1 group  colour none", "took bad attempt 2 group  colour none",
                    "took three attempt 1 group a b colour dark blue")


@pytest.mark.parametrize("taken", ["batch: 1", "batch: 10, window: 200ms, reportFailures: true"])
def test_a_message_says_when_it_comes_again(tmp_path, language, taken):
    """The policy's longest delay is 20 ms, so what still lies there in the end waits because of its handler."""
    with Shop(tmp_path, language, taken) as g:
        send_all(g, ["later", "never", "good"])
        dead, = wait_deaths(tmp_path, 1)
        assert dead["body"] == b"never" and dead["reason"] == "the handler asked for no retry" and "for good" in dead["error"]
        wait_stats(tmp_path, messages=1, acknowledged=1)
        tomorrow = (time.time() + 43200) * 1000
        late = "SELECT body FROM message m JOIN queue q ON q.id = m.queue WHERE q.name = 'orders' AND visible_at > ?"
        assert wait_for(lambda: rows(tmp_path, late, tomorrow), PATIENCE, "the message to be put off")[0]["body"] == b"later"


def test_messages_are_sent_at_once(tmp_path, language):
    with Shop(tmp_path, language, taken="") as g:
        assert g.do("send", "first").text == "sent"
        assert bodies(tmp_path) == ["first", "second"]
        a = g.do("nowhere")
        assert a.status == 502
        told = g.wait_log("handler reported an error", seconds=PATIENCE)
        assert "404" in told["error"] and "nowhere" in told["error"]


def test_what_was_sent_arrives_as_it_was_sent(tmp_path, language):
    with Shop(tmp_path, language) as g:
        assert g.do("send", "a teapot").text == "sent"
        wait_empty(tmp_path)
        g.wait_took(*(f"took {body} attempt 1 group g h colour dark blue" for body in ("a teapot", "second")))


def test_what_goes_with_the_answer_counts_only_if_the_answer_does(tmp_path, language):
    with Shop(tmp_path, language, taken="") as g:
        assert g.do("fails").status == 502
        assert g.do("works").text == "held"
        assert bodies(tmp_path) == ["one of works", "two of works"]


def test_a_schedule_tells_its_time(tmp_path, language):
    (tmp_path / "blueprint.yaml").write_text(f"""
        blueprint: 1
        name: shop
        handlers: {{shop: {{command: {program(language)}, triggers: [{{schedule: rate(5 minutes), name: nightly}}]}}}}
        """)
    r = run_cli("invoke", "shop", "--schedule", "nightly", cwd=tmp_path)
    assert r.returncode == 0, r.stdout + r.stderr
    said = re.search(r"scheduled (\S+)", r.stderr)[1]
    at = int(said) if said.isdigit() else datetime.datetime.fromisoformat(said.replace("Z", "+00:00")).timestamp()
    assert abs(at - time.time()) < 600


# --- docs/sdk.md ---
@pytest.mark.parametrize("tag,name,source", [("c", "c", "main.c"), ("cpp", "cpp", "main.cpp"), ("go", "go", "main.go"), ("rust", "rust", "src/main.rs")])
def test_the_documentation_shows_handlers_of_queues_that_work(tmp_path, tag, name, source):
    """The last example of each language in place of the source of a new project."""
    if tag in BUILDERS:
        command(tag)  # skips where there is no compiler
    assert run_cli("new", "shown", "--lang", name, "-d", "p", cwd=tmp_path).returncode == 0
    folder = tmp_path / "p"
    (folder / source).write_text(re.findall(rf"```{tag}\n(.*?)```", (ROOT / "docs/sdk.md").read_text(), re.S)[1])
    subprocess.run(["make"], cwd=folder, check=True)
    text = (folder / "blueprint.yaml").read_text()
    path = re.search(r"command: (\S+)", text)[1]
    with Gateway(folder, f"""
        blueprint: 1
        name: shop
        queues:
          orders: {{maxAttempts: 3, retry: {{base: 1ms, max: 20ms}}, deadLetter: dead, send: [{{http: POST /send}}]}}
          dead: {{}}
          shipped: {{}}
        handlers: {{orders: {{command: {path}, triggers: [{{queue: orders, batch: 10, window: 100ms, reportFailures: true}}]}}}}
        """) as g:
        send_all(g, ["a teapot", "", "a pot"])
        dead, = wait_deaths(folder, 1)
        wait_empty(folder)
        assert dead["body"] in (b"", None) and bodies_of(folder, "shipped") == ["a pot", "a teapot"]
