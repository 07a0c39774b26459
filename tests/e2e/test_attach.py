"""`attach: true`: a process that a person starts takes the events, and may leave whenever it likes."""
import concurrent.futures
import contextlib
import os
import select
import shlex
import signal
import subprocess

from execgate import BINARY, ROOT, SLOW, Gateway, read_soon, run_cli, wait_for
from puppet import Api

PROBE = ROOT / "tests/e2e/handlers/probe.py"
BLUEPRINT = """
blueprint: 1
name: attached
variables: {password: {secret: true, default: hush-hush}}
handlers:
  shelf:
    attach: true
    environment: {COLOUR: "light blue", PASSWORD: "${var.password}"}
    triggers: [{http: "GET /shelf/{order}"}]
"""


def told(g):
    """The environment as a shell takes it from what was printed."""
    lines = g.wait_log("waiting for a process to attach", 30, handler="shelf")["start"].splitlines()
    words = [shlex.split(line) for line in lines if line.startswith("  export ")]
    return dict(word.split("=", 1) for _, word in words), "\n".join(lines)


@contextlib.contextmanager
def attached(folder, blueprint=BLUEPRINT, **kw):
    with Gateway(folder, blueprint, **kw) as g, concurrent.futures.ThreadPoolExecutor(4) as pool:
        env, text = told(g)
        yield g, env, text, lambda path="/shelf/pid": pool.submit(g.get, path, timeout=60)


@contextlib.contextmanager
def killing(process):
    """Whatever becomes of the test: Popen's own end waits for the process."""
    try:
        yield
    finally:
        process.kill()


def test_requests_wait_for_a_process_that_is_started_by_hand(tmp_path):
    with attached(tmp_path) as (g, env, text, get):
        assert g.handler_pids() == []
        assert env["COLOUR"] == "light blue" and "PATH" not in env
        assert "hush-hush" not in text and "PASSWORD is a secret" in text
        first, second = get(), get()
        with subprocess.Popen([PROBE], env=os.environ | env) as process:
            with killing(process):
                assert first.result(60 * SLOW).text == second.result(60 * SLOW).text == str(process.pid)
                g.wait_log("process attached", 30)
                assert len(g.logs("process attached")) == 1 and not g.logs("attached process left")
        g.wait_log("attached process left", 30, handler="shelf", unanswered=0)
        with subprocess.Popen([PROBE], env=os.environ | env) as process:
            with killing(process):
                wait_for(lambda: len(g.logs("process attached")) == 2, 30, "the next process")


def test_a_process_that_leaves_in_the_midst_gives_502_and_makes_room_for_the_next(tmp_path):
    with attached(tmp_path) as (g, env, _, get):
        lost = get()
        client = Api(env)
        assert client.next().status == 200
        client.close()
        answer = lost.result(60 * SLOW)
        assert answer.status == 502 and "the attached process left" in answer.text
        g.wait_log("attached process left", 30, handler="shelf", unanswered=1)
        again = get()
        other = Api(env, unix=True)
        other.respond(other.next()["Lambda-Runtime-Aws-Request-Id"], {"statusCode": 200, "body": "here"})
        assert again.result(60 * SLOW).text == "here"
        other.close()


def test_the_next_process_need_not_wait(tmp_path):
    with attached(tmp_path) as (g, env, _, get):
        lost = get()
        client = Api(env)
        event = client.next()
        kept = get()
        client.close()
        other = Api(env)
        fresh = other.next()  # not the one that the other took with it
        while fresh["Lambda-Runtime-Aws-Request-Id"] == event["Lambda-Runtime-Aws-Request-Id"]:
            other.close()  # its end has not been seen yet
            other = Api(env)
            fresh = other.next()
        assert lost.result(60 * SLOW).status == 502
        other.respond(fresh["Lambda-Runtime-Aws-Request-Id"], {"statusCode": 200, "body": "kept"})
        assert kept.result(60 * SLOW).text == "kept"
        other.close()


def test_an_idle_connection_may_be_dropped(tmp_path):
    with attached(tmp_path) as (g, env, _, get):
        answer = get()
        client = Api(env)
        id = client.next()["Lambda-Runtime-Aws-Request-Id"]
        client.close()
        other = Api(env)
        assert other.respond(id, {"statusCode": 200, "body": "back"}).status == 202
        assert answer.result(60 * SLOW).text == "back"
        assert not g.logs("attached process left")
        other.close()


def test_a_timeout_answers_and_keeps_the_place(tmp_path):
    with attached(tmp_path, BLUEPRINT.replace("attach: true", "attach: true\n    timeout: 1s")) as (g, env, _, get):
        client = Api(env)

        def ask():
            """An event that somebody is there for, and who asked for it."""
            client.send("GET", "/2018-06-01/runtime/invocation/next")
            answer = get()
            return answer, client.read()["Lambda-Runtime-Aws-Request-Id"]
        slow, id = ask()
        assert slow.result(60 * SLOW).status == 504
        assert client.respond(id, {"statusCode": 200, "body": "late"}).status == 400

        def in_time():
            answer, id = ask()
            client.respond(id, {"statusCode": 200, "body": "in time"})
            return answer.result(60 * SLOW).text == "in time"
        wait_for(in_time, 30, "an answer in time")
        assert len(g.logs("waiting for a process to attach")) == 1
        client.close()


def test_after_a_timeout_whoever_polls_gets_the_next_event(tmp_path):
    with attached(tmp_path, BLUEPRINT.replace("attach: true", "attach: true\n    timeout: 4s")) as (g, env, _, get):
        clients = [Api(env), Api(env)]
        for c in clients:
            c.send("GET", "/2018-06-01/runtime/invocation/next")
        lost = get()
        paused = clients[0] if select.select([c.socket for c in clients], [], [], 30 * SLOW)[0][0] is clients[0].socket else clients[1]
        other = clients[1] if paused is clients[0] else clients[0]
        assert paused.read().status == 200  # and no answer, as if it stood at a breakpoint
        assert lost.result(60 * SLOW).status == 504
        kept = get()
        event = other.read()
        assert other.respond(event["Lambda-Runtime-Aws-Request-Id"], {"statusCode": 200, "body": "kept"}).status == 202
        assert kept.result(60 * SLOW).text == "kept"
        for c in clients:
            c.close()


def test_it_survives_reloads_that_do_not_concern_it(tmp_path):
    with attached(tmp_path) as (g, env, _, get):
        client = Api(env)
        answer = get()
        id = client.next()["Lambda-Runtime-Aws-Request-Id"]
        g.file.write_text(BLUEPRINT.replace("triggers: [", 'triggers: [{http: "GET /more/{order}"}, '))
        g.process.send_signal(signal.SIGHUP)
        g.wait_log("reloaded", 30, replaced=0)
        client.respond(id, {"statusCode": 200, "body": "still"})
        assert answer.result(60 * SLOW).text == "still"
        more = get("/more/pid")
        client.respond(client.next()["Lambda-Runtime-Aws-Request-Id"], {"statusCode": 200, "body": "more"})
        assert more.result(60 * SLOW).text == "more"
        client.close()


def test_attaching_instead_of_starting(tmp_path):
    text = BLUEPRINT.replace("attach: true", f"command: [{PROBE}, --quiet]\n    processes: {{min: 2, max: 3}}")
    with attached(tmp_path, text, args=["--attach", "shelf"]) as (g, env, printed, get):
        assert g.handler_pids() == []
        assert printed.splitlines()[-1].strip() == f"{PROBE} ..."
        answer = get()
        with subprocess.Popen([PROBE], env=os.environ | env) as process:
            assert answer.result(60 * SLOW).text == str(process.pid)
            process.kill()


def test_a_terminal_is_told_in_lines_to_copy(tmp_path):
    (tmp_path / "blueprint.yaml").write_text(BLUEPRINT)
    leader, follower = os.openpty()
    with subprocess.Popen([BINARY, "run", "--listen", "127.0.0.1:0"], cwd=tmp_path, stdin=subprocess.DEVNULL,
                          stdout=follower, stderr=follower, env=os.environ | {"NO_COLOR": "1"}) as process:
        os.close(follower)
        seen = b""

        def notice():
            nonlocal seen
            seen += read_soon(leader)
            return b"cd " in seen
        wait_for(notice, 30, "the notice")
        process.terminate()
        text = seen.decode().replace("\r\n", "\n")
        assert "shelf waits for a process that you start" in text
        assert "\n  export AWS_LAMBDA_RUNTIME_API=127.0.0.1:" in text
        assert "\n  export COLOUR='light blue'\n" in text and f"\n  cd {tmp_path}\n" in text
        with contextlib.suppress(OSError):  # the terminal ends with the process
            while os.read(leader, 65536):
                pass
    os.close(leader)
    assert process.returncode == 0


def test_what_cannot_be_attached_is_refused(tmp_path):
    file = tmp_path / "blueprint.yaml"
    file.write_text(BLUEPRINT.replace("attach: true", "attach: true\n    mode: once"))
    assert "only `mode: runtime` can be attached" in run_cli("check", file).stderr
    file.write_text(BLUEPRINT.replace("attach: true", "attach: false"))
    assert "attach: false leaves shelf without a process" in run_cli("check", file).stderr
    file.write_text(BLUEPRINT.replace("    attach: true\n", ""))
    assert 'needs the key "command"' in run_cli("check", file).stderr
    file.write_text(BLUEPRINT)
    unknown = run_cli("run", file, "--attach", "shlef")
    assert unknown.returncode == 1 and '--attach shlef: there is no such handler; did you mean "shelf"?' in unknown.stderr
