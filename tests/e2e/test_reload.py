"""SIGHUP: from one blueprint to the next without losing a request, and not at all when something is wrong with it."""
import concurrent.futures
import contextlib
import http.client
import os
import pty
import signal
import socket
import ssl
import textwrap
import threading
import zlib

import pytest
from execgate import BINARY, EXAMPLES, ROOT, SLOW, Gateway, alive, read_answer, read_soon, wait_for
from puppet import Api, SCRIPT, environment
from test_tls import certify, openssl, serving

PROBE = ROOT / "tests/e2e/handlers/probe.py"


def blueprint(word="one", routes=("GET /word/{order}",), more="", processes="{min: 1, max: 2}"):
    triggers = "".join(f"\n      - http: {r}" for r in routes)
    return textwrap.dedent(f"""
        blueprint: 1
        name: reload
        handlers:
          word:
            command: {PROBE}
            environment: {{WORD: {word}}}
            processes: {processes}
            triggers:""") + triggers.replace("\n      ", "\n      ") + "\n" + textwrap.dedent(more)


def write(g, text):
    """As editors do it: another file takes the name."""
    fresh = g.folder / "blueprint.fresh"
    fresh.write_text(text)
    fresh.rename(g.file)


def hup(g, text=None, message="reloaded"):
    """Reloads and waits for the log to say so."""
    before = len(g.logs(message))
    if text is not None:
        write(g, text)
    g.process.send_signal(signal.SIGHUP)
    wait_for(lambda: len(g.logs(message)) > before, 30, f"another {message!r}")
    return g.logs(message)[-1]


def word(g):
    return g.get("/word/event").json()["env"]["WORD"]


def test_nothing_is_lost_while_it_reloads_again_and_again(tmp_path):
    with Gateway(tmp_path, blueprint("w0")) as g:
        stop, seen = threading.Event(), []

        def client():
            words = []
            with contextlib.closing(g.client()) as c:
                while not stop.is_set():
                    c.request("GET", "/word/event")
                    r = c.getresponse()
                    body = r.read()
                    assert r.status == 200, (r.status, body)
                    words.append(body)
            return words
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            clients = [pool.submit(client) for _ in range(4)]
            for i in range(1, 7):
                hup(g, blueprint(f"w{i}"))
                wait_for(lambda: word(g) == f"w{i}" or None, 30, f"the word w{i}")
            stop.set()
            seen = [w for c in clients for w in c.result(60 * SLOW)]
        assert len(seen) > 6
        assert not g.logs("request", status=503)
        wait_for(lambda: len(g.handler_pids()) <= 2, 30, "the end of the old processes")


def test_a_request_in_flight_keeps_what_it_began_with(tmp_path):
    text = "blueprint: 1\nname: reload\nhandlers:\n  puppet:\n    command: ./puppet.sh\n    environment: {WORD: %s}\n" \
           "    processes: {min: 1, max: 1, startTimeout: 1m, stopTimeout: 200ms}\n    triggers: [{http: GET /p}]\n"
    with Gateway(tmp_path, text % "old", files={"puppet.sh": SCRIPT}) as g, concurrent.futures.ThreadPoolExecutor(2) as pool:
        old_env = environment(tmp_path)
        old = Api(old_env)
        first = pool.submit(g.get, "/p")
        event = old.next()
        write(g, text % "new")
        g.process.send_signal(signal.SIGHUP)
        new_env = environment(tmp_path, not_pid=old_env["PUPPET_PID"])
        assert new_env["WORD"] == "new"
        assert not g.logs("reloaded")  # nobody has asked for an event yet
        new = Api(new_env)
        new.send("GET", "/2018-06-01/runtime/invocation/next")
        g.wait_log("reloaded", 30)
        second = pool.submit(g.get, "/p")
        event_of_second = new.read()
        new.respond(event_of_second["Lambda-Runtime-Aws-Request-Id"], {"statusCode": 200, "body": "new"})
        assert second.result(60).text == "new"
        assert alive(int(old_env["PUPPET_PID"]))
        old.respond(event["Lambda-Runtime-Aws-Request-Id"], {"statusCode": 200, "body": "old"})
        assert first.result(60).text == "old"
        wait_for(lambda: not alive(int(old_env["PUPPET_PID"])), 30, "the end of the old process")


def test_processes_of_what_did_not_change_go_on(tmp_path):
    other = """
          other:
            command: {probe}
            environment: {{WORD: {word}}}
            processes: {{min: 1}}
            triggers: [{{http: "GET /other/{{order}}"}}]
    """
    def text(word, extra_route=()):
        return blueprint("same", ("GET /word/{order}", *extra_route)) + textwrap.indent(textwrap.dedent(other.format(probe=PROBE, word=word)), "  ")
    with Gateway(tmp_path, text("a")) as g:
        word_pid, other_pid = g.get("/word/pid").text, g.get("/other/pid").text
        assert g.get("/added/pid").status == 404
        assert hup(g, text("b", ["GET /added/{order}"]))["replaced"] == 1
        assert g.get("/word/pid").text == g.get("/added/pid").text == word_pid
        assert g.get("/other/pid").text != other_pid
        assert g.get("/other/event").json()["env"]["WORD"] == "b"
        wait_for(lambda: not alive(int(other_pid)), 30, "the end of the replaced process")
        hup(g, blueprint("same"))
        assert g.get("/other/pid").status == g.get("/added/pid").status == 404
        assert g.get("/word/pid").text == word_pid
        wait_for(lambda: len(g.handler_pids()) == 1, 30, "the end of the removed handler's process")


def test_an_executable_that_was_replaced_is_started_anew(tmp_path):
    script = f"#!/bin/sh\n# %s\nWORD=%s exec {PROBE}\n"
    text = blueprint().replace(str(PROBE), "./word.sh").replace("    environment: {WORD: one}\n", "")
    with Gateway(tmp_path, text, files={"word.sh": script % (1, "first")}) as g:
        assert word(g) == "first"
        g.write("fresh.sh", script % (2, "second")).rename(tmp_path / "word.sh")
        assert word(g) == "first"
        assert hup(g)["replaced"] == 1
        assert word(g) == "second"
        assert hup(g)["replaced"] == 0


def test_a_broken_blueprint_changes_nothing_and_says_why(tmp_path):
    with Gateway(tmp_path, blueprint("good")) as g:
        pid = g.get("/word/pid").text
        refusal = hup(g, blueprint("bad").replace("processes:", "proceses:"), "reload refused")
        assert "the blueprint has problems" in refusal["why"]
        problem = g.logs("blueprint problem")[-1]
        assert "proceses" in problem["problem"] and problem["line"] > 1
        assert word(g) == "good" and g.get("/word/pid").text == pid
        hup(g, blueprint("better"))
        assert word(g) == "better"


@pytest.mark.parametrize("make,words", [(os.mkfifo, "no regular file"), (os.mkdir, "Is a directory"), (lambda p: os.symlink("/dev/zero", p), "no regular file"),
                                        (lambda p: os.symlink(p, p), "symbolic links"), (lambda p: None, "No such file")])
def test_what_takes_the_blueprint_s_place_is_not_waited_for(tmp_path, make, words):
    with Gateway(tmp_path, blueprint("good")) as g:
        assert word(g) == "good"
        text = g.file.read_text()
        g.file.unlink()
        make(g.file)
        hup(g, message="reload refused")
        assert words in g.logs("blueprint problem")[-1]["problem"]
        assert word(g) == "good"
        if make is os.mkdir:
            g.file.rmdir()
        hup(g, text.replace("good", "better"))
        assert word(g) == "better"


def test_reloads_that_overtake_each_other_leave_no_crowd(tmp_path):
    """Its processes neither begin nor heed SIGTERM, and may take their time to end."""
    never = "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 0.1; done\n"
    text = blueprint("w0", processes="{min: 1, max: 1, startTimeout: 10m, stopTimeout: 10m}").replace(str(PROBE), "./never.sh")
    with Gateway(tmp_path, text, files={"never.sh": never}) as g:
        for n in range(1, 31):
            write(g, text.replace("w0", f"w{n}"))
            g.process.send_signal(signal.SIGHUP)
            wait_for(lambda n=n: len(g.logs("handler started")) > n, 30, f"process {n}")
        wait_for(lambda: len(g.handler_pids()) <= 3, 30, "those of the first, of the last, and of the one before it alone")
        g.process.send_signal(signal.SIGTERM)
        g.wait_log("stopping")
        g.process.send_signal(signal.SIGINT)  # another one: the same again at once would be taken for an echo


def test_a_process_that_does_not_start_keeps_the_old_one(tmp_path):
    text = blueprint("good").replace(str(PROBE), "./word.sh")
    with Gateway(tmp_path, text, files={"word.sh": f"#!/bin/sh\nexec {PROBE}\n"}) as g:
        pid = g.get("/word/pid").text
        g.write("fresh.sh", "#!/bin/sh\necho cannot go on >&2\nexit 3\n").rename(tmp_path / "word.sh")
        hup(g)  # only the executable is broken: everything else is reloaded
        refusal = g.logs("new processes refused")[-1]
        assert refusal["handler"] == "word" and "exit status 3" in refusal["why"]
        wait_for(lambda: any("cannot go on" in e.get("stderr", "") for e in g.logs("handler exited")), 30, "its last words")
        assert g.get("/word/pid").text == pid
        refusal = hup(g, text.replace("good", "changed"), "reload refused")  # settings that the old ones do not have
        assert "word" in refusal["why"] and "exit status 3" in refusal["why"]
        assert word(g) == "good" and g.get("/word/pid").text == pid
        g.write("fresh.sh", f"#!/bin/sh\nexec {PROBE}\n").rename(tmp_path / "word.sh")
        hup(g)
        assert word(g) == "changed"


def unix_request(path, stream=None):
    s = stream
    if s is None:
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(30 * SLOW)
        s.connect(str(path))
    s.sendall(b"GET /word/pid HTTP/1.1\r\nHost: a\r\n\r\n")
    return s, read_answer(s.makefile("rb"))


def test_listeners_come_and_go_and_the_others_do_not_notice(tmp_path):
    def text(*listeners):
        return blueprint().replace("handlers:", "listen:\n" + "".join(f"  - http: {a}\n" for a in listeners) + "handlers:")
    with serving(tmp_path, text("unix:stays.sock", "unix:goes.sock")) as g:
        staying, _ = unix_request(tmp_path / "stays.sock")
        going, _ = unix_request(tmp_path / "goes.sock")
        inode = os.stat(tmp_path / "stays.sock").st_ino
        hup(g, text("unix:comes.sock", "unix:stays.sock"))
        assert unix_request(tmp_path / "comes.sock")[1].status == 200
        assert unix_request(None, staying)[1].status == 200
        assert os.stat(tmp_path / "stays.sock").st_ino == inode
        assert going.recv(1) == b""  # it was idle
        assert not (tmp_path / "goes.sock").exists()
        refusal = hup(g, text("unix:comes.sock", "unix:nowhere/to.sock"), "reload refused")
        assert "nowhere/to.sock" in refusal["why"]
        assert unix_request(None, staying)[1].status == 200
        assert unix_request(tmp_path / "comes.sock")[1].status == 200
        staying.close()
        going.close()


def test_a_gone_listener_answers_what_is_in_flight(tmp_path):
    def text(*listeners):
        return blueprint(routes=["GET /word/sleep/{seconds}", "GET /word/pid"]).replace(
            "handlers:", "listen:\n" + "".join(f"  - http: {a}\n" for a in listeners) + "handlers:")
    with serving(tmp_path, text("unix:stays.sock", "unix:goes.sock")) as g:
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(30 * SLOW)
        s.connect(str(tmp_path / "goes.sock"))
        s.sendall(b"GET /word/sleep/2 HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: g.process.send_signal(signal.SIGUSR1) or any(e["running"] for e in g.logs("worker status")), 30, "a busy process")
        hup(g, text("unix:stays.sock"))
        answer = read_answer(s.makefile("rb"))
        assert (answer.status, answer.text, answer["Connection"]) == (200, "slept", "close")
        s.close()


def test_another_certificate_leaves_connections_alone(tmp_path):
    for name in ("one", "two"):
        certify(tmp_path, name, [f"{name}.test"])

    def text(name):
        return blueprint().replace("handlers:", f"listen: [{{https: '127.0.0.1:0', certificate: {name}.pem, key: {name}.key}}]\nhandlers:")

    def common_name(port):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="any") as s:
            pem = ssl.DER_cert_to_PEM_cert(s.getpeercert(True))
        return openssl("x509", "-noout", "-subject", input=pem.encode()).decode()
    with serving(tmp_path, text("one")) as g:
        port = int(g.addresses[0].rsplit(":", 1)[1])
        assert "one" in common_name(port)
        context = ssl._create_unverified_context()
        with contextlib.closing(http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=30 * SLOW)) as c:
            c.request("GET", "/word/pid")
            pid = c.getresponse().read()
            sock = c.sock
            hup(g, text("two"))
            assert "two" in common_name(port)
            c.request("GET", "/word/pid")
            assert c.getresponse().read() == pid
            assert c.sock is sock


def test_limits_apply_from_the_next_request_on(tmp_path):
    def text(limits):
        return blueprint(routes=["POST /word/{order}"]).replace("handlers:", f"limits: {limits}\nhandlers:")
    with Gateway(tmp_path, text("{maxBody: 100B, maxHeader: 4KiB}")) as g, contextlib.closing(g.client()) as c:
        def post(size, padding=0):
            c.request("POST", "/word/pid", b"x" * size, {"X-Padding": "y" * padding})
            r = c.getresponse()
            r.read()
            return r.status
        assert post(50) == 200 and post(50, 3000) == 200
        hup(g, text("{maxBody: 10B, maxHeader: 2KiB}"))
        assert post(50) == 413
        assert post(5, 3000) == 431
        assert post(5) == 200
        hup(g, text("{maxBody: 10B, maxHeader: 64KiB}"))
        assert g.logs("maxHeader grows with a restart only")
        assert post(5, 3000) == 200


def test_a_compressed_stream_outlives_what_it_began_with(tmp_path):
    """The plugin that encodes it belongs to a generation whose invocations are all over."""
    def text(word):
        return textwrap.dedent(f"""
            blueprint: 1
            name: reload
            compress: {{minSize: 1B}}
            handlers:
              stream:
                command: {EXAMPLES}/slow
                environment: {{WORD: {word}}}
                processes: {{min: 1, max: 2}}
                triggers: [{{http: GET /slow}}]
            """)
    with Gateway(tmp_path, text("old")) as g, contextlib.closing(g.client()) as c:
        c.request("GET", "/slow?steps=6&ms=300", headers={"Accept-Encoding": "gzip"})
        r = c.getresponse()
        assert r.getheader("Content-Encoding") == "gzip"
        unzip = zlib.decompressobj(31)
        seen = unzip.decompress(r.read1())
        hup(g, text("new"))
        hup(g, text("newer"))
        assert g.get("/slow?steps=1&ms=1").status == 200
        seen += unzip.decompress(r.read()) + unzip.flush()
        assert b"step 6 of 6" in seen, seen
        wait_for(lambda: len(g.handler_pids()) <= 2, 30, "the end of the old processes")


def test_keys_that_are_being_fetched_are_given_up(tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        jwks = f"http://127.0.0.1:{silent.getsockname()[1]}/keys"

        def text(audience):
            return blueprint().replace("handlers:", f"""
auth:
  default: customer
  guards:
    customer: {{type: jwt, issuer: https://id.example, audience: {audience}, jwks: "{jwks}"}}
handlers:""")
        with Gateway(tmp_path, text("a")) as g, concurrent.futures.ThreadPoolExecutor(1) as pool:
            unsigned = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUifQ.AAAA"
            waiting = pool.submit(g.get, "/word/pid", headers={"Authorization": f"Bearer {unsigned}"}, timeout=60)
            for audience in "bcde":
                hup(g, text(audience))
            hup(g, blueprint())
            assert g.get("/word/pid").status == 200
            assert waiting.result(60 * SLOW).status in (401, 503)  # by the guard that it began with


def test_closing_its_terminal_stops_it(tmp_path):
    (tmp_path / "blueprint.yaml").write_text(blueprint())
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execv(BINARY, [str(BINARY), "run", "--listen", "127.0.0.1:0"])
    seen = b""

    def read():
        nonlocal seen
        seen += read_soon(terminal)
        return seen
    wait_for(lambda: b"Ctrl-C stops it" in read(), 30, "the announcement")
    os.kill(pid, signal.SIGHUP)  # as long as the terminal is there, a reload
    wait_for(lambda: b"reloaded" in read(), 30, "the reload")
    os.close(terminal)
    status = wait_for(lambda: os.waitpid(pid, os.WNOHANG)[0] == pid and "over", 30, "the end")
    assert status == "over"


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def test_two_hundred_reloads_leave_nothing_behind(tmp_path):
    routes = ["GET /word/{order}", "GET /more/{order}"]
    with Gateway(tmp_path, blueprint()) as g:
        size, descriptors = {}, {}
        for i in range(200):
            hup(g, blueprint(routes=routes[: 1 + i % 2]))
            if i in (20, 199):
                assert g.get("/word/pid").status == 200
                size[i] = resident_kib(g.pid)
                descriptors[i] = len(os.listdir(f"/proc/{g.pid}/fd"))
        assert len(g.handler_pids()) == 1
        assert descriptors[199] <= descriptors[20] + 2
        if SLOW == 1:  # the sanitizer keeps what is freed for a while; it finds leaks at the end
            assert size[199] < size[20] + 2048, size
