"""`run --watch`: what is edited is built and served, what is broken is told and changes nothing."""
import concurrent.futures
import contextlib
import os
import signal
import subprocess
import textwrap
import threading

import pytest
from execgate import BINARY, ROOT, SLOW, Gateway, alive, read_soon, run_cli, wait_for

PROBE = ROOT / "tests/e2e/handlers/probe.py"
BLUEPRINT = f"""
blueprint: 1
name: watched
handlers:
  word:
    command: bin/word
    build: cc -O0 -I{ROOT}/sdk-examples -o bin/word word.c -lpthread
    processes: {{min: 1, max: 2}}
    triggers: [{{http: GET /word}}]
"""


def source(word):
    return f"""
        #define EXECGATE_IMPLEMENTATION
        #include "execgate.h"
        static void answer(const struct execgate_request *request, struct execgate_response *response, void *user) {{
            (void)request;
            (void)user;
            execgate_print(response, "{word}");
        }}
        int main(void) {{ return execgate_run(answer, NULL) == 0 ? 0 : 1; }}
    """


@contextlib.contextmanager
def watching(folder, blueprint=BLUEPRINT, files=None, **kw):
    (folder / "bin").mkdir(exist_ok=True)
    with Gateway(folder, blueprint, files={"word.c": source("first")} if files is None else files, args=["--watch"], **kw) as g:
        yield g


def edit(g, name, text):
    """As editors do it: another file takes the name."""
    g.write(f".{name}.swap", text).rename(g.folder / name)


def becomes(g, word, path="/word"):
    def says():
        answer = g.get(path)
        assert answer.status == 200, answer
        return answer.text == word
    wait_for(says, 60, f"the answer {word!r}")


def test_an_edit_is_built_and_served_without_a_failed_request(tmp_path):
    with watching(tmp_path) as g:
        g.wait_log("built", handler="word")
        becomes(g, "first")
        stop = threading.Event()

        def client():
            words = []
            with contextlib.closing(g.client()) as c:
                while not stop.is_set():
                    c.request("GET", "/word")
                    r = c.getresponse()
                    words.append((r.status, r.read()))
            return words
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            clients = [pool.submit(client) for _ in range(2)]
            for word in ("second", "third"):
                edit(g, "word.c", source(word))
                becomes(g, word)
            stop.set()
            seen = {w for c in clients for w in c.result(60 * SLOW)}
        assert seen <= {(200, b"first"), (200, b"second"), (200, b"third")} and (200, b"third") in seen
        wait_for(lambda: len(g.handler_pids()) <= 2, 30, "the end of the old processes")


def test_a_build_that_fails_is_shown_and_changes_nothing(tmp_path):
    with watching(tmp_path) as g:
        becomes(g, "first")
        pids = set(g.handler_pids())
        edit(g, "word.c", source("second").replace("answer, NULL", "answer, NULL, nonsense"))
        failed = g.wait_log("build failed", 60, handler="word")
        assert "word.c" in failed["output"] and "nonsense" in failed["output"] and failed["why"] == "exit status 1"
        assert g.get("/word").text == "first" and set(g.handler_pids()) & pids
        assert not g.logs("reloaded")
        edit(g, "word.c", source("third"))
        becomes(g, "third")


def test_what_crashes_at_its_start_keeps_the_old_one(tmp_path):
    with watching(tmp_path) as g:
        becomes(g, "first")
        edit(g, "word.c", '#include <stdlib.h>\nint main(void) { abort(); }\n')
        refused = g.wait_log("new processes refused, the old ones go on", 60, handler="word")
        assert "SIGABRT" in refused["why"]
        assert g.get("/word").text == "first"
        edit(g, "word.c", source("second"))
        becomes(g, "second")


def test_what_crashes_at_its_start_with_no_old_one_is_told_as_that(tmp_path):
    with watching(tmp_path, BLUEPRINT.replace("min: 1", "min: 0")) as g:
        g.wait_log("built", 60, handler="word")
        edit(g, "word.c", '#include <stdlib.h>\nint main(void) { abort(); }\n')
        assert "SIGABRT" in g.wait_log("new processes refused, and no old ones are left", 60, handler="word")["why"]
        answer = g.get("/word")
        assert answer.status == 503 and "SIGABRT" in answer.json()["detail"]
        edit(g, "word.c", source("second"))
        wait_for(lambda: g.get("/word").status == 200, 60, "an answer")


def test_a_first_build_that_fails_is_mended_by_an_edit(tmp_path):
    with watching(tmp_path, files={"word.c": "int main(void) { return nonsense; }\n"}) as g:
        assert "nonsense" in g.wait_log("build failed", 60)["output"]
        assert g.get("/word").status == 503
        edit(g, "word.c", source("mended"))
        wait_for(lambda: g.get("/word").status == 200, 60, "an answer")
        becomes(g, "mended")


def test_the_blueprint_is_followed(tmp_path):
    text = BLUEPRINT.replace("    processes", "    sources: word.c\n    processes")
    with watching(tmp_path, text) as g:
        becomes(g, "first")
        pids = g.handler_pids()
        edit(g, "blueprint.yaml", text.replace("triggers:", "trigers:"))
        problem = g.wait_log("blueprint problem", 30)
        assert "trigers" in problem["problem"] and problem["line"] == 9
        g.wait_log("reload refused", 30)
        assert g.get("/word").text == "first"
        g.write("other.c", source("other"))
        edit(g, "blueprint.yaml", text.replace("[{http: GET /word}]", "[{http: GET /word}, {http: GET /more}]") +
             text.split("handlers:")[1].replace("word", "other"))
        g.wait_log("reloaded", 60)
        assert g.get("/more").text == "first" and g.get("/other").text == "other"
        assert set(pids) <= set(g.handler_pids())


def script(word):
    return f"#!/bin/sh\nWORD={word} exec {PROBE}\n"


@pytest.mark.parametrize("more", ["", "    sources: [words/*.txt]\n"])
def test_without_a_build_the_executable_is_watched(tmp_path, more):
    text = "blueprint: 1\nname: watched\nhandlers:\n  word:\n    command: bin/word\n%s    triggers: [{http: 'GET /word/{order}'}]\n" % more
    (tmp_path / "words").mkdir()
    with watching(tmp_path, text, files={"bin/word": script("first")}) as g:
        word = lambda: g.get("/word/event").json()["env"]["WORD"]
        pid = g.get("/word/pid").text
        assert word() == "first"
        if more:  # its processes are started anew although the executable is the same
            g.write("words/ignored.md", "nothing")
            g.write("words/new.txt", "something")
            wait_for(lambda: g.get("/word/pid").text != pid, 30, "another process")
            g.wait_log("reloaded", 30)
            assert len(g.logs("reloaded")) == 1
        g.write("fresh", script("second")).rename(tmp_path / "bin/word")
        wait_for(lambda: word() == "second", 30, "the second word")
        g.write("bin/word", script("third"))  # where it is
        wait_for(lambda: word() == "third", 30, "the third word")


def test_a_folder_that_is_made_anew_is_watched_again(tmp_path):
    text = "blueprint: 1\nname: watched\nhandlers:\n  word:\n    command: bin/word\n    triggers: [{http: 'GET /word/{order}'}]\n"
    with watching(tmp_path, text, files={"bin/word": script("first")}) as g:
        word = lambda: g.get("/word/event").json()["env"]["WORD"]
        assert word() == "first"
        (tmp_path / "bin").rename(tmp_path / "old")
        g.write("bin/word", script("second"))
        wait_for(lambda: word() == "second", 30, "the second word")
        g.write("bin/word", script("third"))
        wait_for(lambda: word() == "third", 30, "the third word")


def test_a_project_that_is_moved_away_and_back_is_watched_again(tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    with watching(project) as g:
        becomes(g, "first")
        project.rename(tmp_path / "away")
        g.wait_log("build failed", 30)
        (tmp_path / "away").rename(project)
        edit(g, "word.c", source("second"))
        becomes(g, "second")


def test_a_source_without_an_end_is_not_read(tmp_path):
    (tmp_path / "zero.h").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.h")
    with watching(tmp_path) as g:
        becomes(g, "first")
        edit(g, "word.c", source("second"))
        becomes(g, "second")


def test_handlers_share_one_build(tmp_path):
    text = BLUEPRINT.replace("cc -O0", "./count.sh cc -O0") + BLUEPRINT.split("handlers:")[1].replace("  word:", "  twin:").replace(
        "cc -O0", "./count.sh cc -O0").replace("/word}", "/twin}")
    files = {"word.c": source("first"), "count.sh": '#!/bin/sh\necho >> builds.count\nexec "$@"\n'}
    with watching(tmp_path, text, files=files) as g:
        assert (tmp_path / "builds.count").read_text() == "\n"
        becomes(g, "first", "/twin")
        edit(g, "word.c", source("second"))
        becomes(g, "second", "/twin")
        becomes(g, "second")


def test_a_build_that_changes_its_sources_comes_to_an_end(tmp_path):
    """date +%N writes something else each time."""
    text = BLUEPRINT.replace("cc -O0", "./generate.sh cc -O0")
    files = {"word.c": source("first"), "generate.sh": '#!/bin/sh\ndate +%s.%N > generated.h\necho >> builds.count\nexec "$@"\n'}
    with watching(tmp_path, text, files=files) as g:
        becomes(g, "first")
        edit(g, "word.c", source("second"))
        g.wait_log("a build changes its own sources", 60)
        becomes(g, "second")
        builds = (tmp_path / "builds.count").read_text().count("\n")
        assert builds <= 5
        edit(g, "word.c", source("third"))
        becomes(g, "third")


def test_a_person_is_shown_what_the_compiler_and_the_check_say(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "blueprint.yaml").write_text(BLUEPRINT)
    (tmp_path / "word.c").write_text(textwrap.dedent(source("first")))
    leader, follower = os.openpty()
    with subprocess.Popen([BINARY, "run", "--watch", "--listen", "127.0.0.1:0"], cwd=tmp_path, stdin=subprocess.DEVNULL,
                          stdout=follower, stderr=follower, env=os.environ | {"NO_COLOR": "1"}) as process:
        os.close(follower)
        seen = b""

        def shows(text):
            nonlocal seen
            seen += read_soon(leader)
            return text in seen
        try:
            wait_for(lambda: shows(b"Ctrl-C stops it"), 60, "the announcement")
            assert b"building" in seen and b"built" in seen
            (tmp_path / "word.c").write_text("int main(void) {\n    return nonsense;\n}\n")
            wait_for(lambda: shows(b"\n    2 |     return nonsense;\r\n"), 60, "the compiler's words")
            (tmp_path / "blueprint.yaml").write_text(BLUEPRINT.replace("triggers", "trigers"))
            wait_for(lambda: shows(b'did you mean "triggers"?\r\n    9 |     trigers:'), 60, "the line of the blueprint")
            wait_for(lambda: shows(b"reload refused"), 60, "the refusal")
        finally:
            process.terminate()
            with contextlib.suppress(OSError):  # the terminal ends with the process
                while os.read(leader, 65536):
                    pass
    os.close(leader)
    assert process.returncode == 0


# --- execgate build ---

def test_build_builds_what_is_named_or_everything(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "blueprint.yaml").write_text(BLUEPRINT)
    (tmp_path / "word.c").write_text("int main(void) { return 0; }\n")
    missing = run_cli("check", cwd=tmp_path)
    assert missing.returncode == 1 and "execgate build" in missing.stderr
    assert run_cli("build", cwd=tmp_path).returncode == 0
    assert run_cli("check", cwd=tmp_path).returncode == 0
    (tmp_path / "bin/word").unlink()
    assert run_cli("build", "word", cwd=tmp_path).returncode == 0
    assert (tmp_path / "bin/word").exists()
    (tmp_path / "word.c").write_text("nonsense\n")
    broken = run_cli("build", cwd=tmp_path)
    assert broken.returncode == 3 and "nonsense" in broken.stderr
    unknown = run_cli("build", "wrod", cwd=tmp_path)
    assert unknown.returncode == 2 and 'no handler "wrod" with the key `build`' in unknown.stderr and 'did you mean "word"' in unknown.stderr


@pytest.mark.parametrize("words", [["build"], ["run", "--watch", "--listen", "127.0.0.1:0"]])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_build_that_is_broken_off_leaves_nothing_running(tmp_path, words, number):
    command = "[sh, -c, 'sleep 1000 & echo $! >child.tmp && mv child.tmp child; wait']"
    (tmp_path / "blueprint.yaml").write_text(f"blueprint: 1\nname: long\nhandlers:\n  a: {{command: ./a, build: {command}, triggers: []}}\n")
    process = subprocess.Popen([BINARY, *words], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for((tmp_path / "child").exists, 30, "the build")
    child = int((tmp_path / "child").read_text())
    assert alive(child)
    process.send_signal(number)
    assert process.wait(30 * SLOW) == -number
    wait_for(lambda: not alive(child), 30, "the end of the build's child")
