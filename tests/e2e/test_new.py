"""execgate new: what it writes can be built, run and tested at once, in every language."""
import json
import os
import shutil
import subprocess

import pytest
from execgate import BINARY, ROOT, Gateway, run_cli, wait_for

PATIENCE = 60
# language: the program it takes, Debian's package of it, the file to edit
LANGUAGES = {
    "c": ("cc", "gcc", "main.c"), "cpp": ("c++", "g++", "main.cpp"), "go": ("go", "golang-go", "main.go"), "rust": ("cargo", "cargo", "src/main.rs"),
    "shell": ("sh", "dash", "handler.sh"), "python": ("python3", "python3", "handler.py"), "node": ("node", "nodejs", "handler.mjs"),
}


def begin(folder, language, name="try-it", *more):
    tool, package, _ = LANGUAGES[language]
    if not shutil.which(tool):
        pytest.skip(f"new --lang {language} is NOT tested: there is no {tool} here (install {package})")
    r = run_cli("new", name, "--lang", language, "--json", *more, cwd=folder)
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout)


def make(folder, *words):
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "EXECGATE", "CFLAGS", "CXXFLAGS")}
    env.update(GOPROXY="off", GOTOOLCHAIN="local", CARGO_NET_OFFLINE="true")
    r = subprocess.run(["make", *words], cwd=folder, env=env, capture_output=True, text=True, timeout=600)
    assert r.returncode == 0, r.stdout + r.stderr
    return r.stdout


@pytest.mark.parametrize("language", LANGUAGES)
def test_from_nothing_to_an_answer(tmp_path, language):
    told = begin(tmp_path, language)
    project = tmp_path / "try-it"
    assert (told["name"], told["language"], told["directory"]) == ("try-it", language, "try-it") and "missing" not in told
    assert sorted(told["files"]) == sorted(str(f.relative_to(project)) for f in project.rglob("*") if f.is_file())
    assert not [f for f in told["files"] if b"@NAME@" in (project / f).read_bytes()]
    make(project)
    r = run_cli("check", "--json", cwd=project)
    assert r.returncode == 0 and json.loads(r.stdout)["routes"] == 2, r.stdout + r.stderr
    with Gateway(project, (project / "blueprint.yaml").read_text()) as g:
        assert g.get("/hello/you").text == "Hello, you!\n"
        assert g.get("/hello/%C3%A9%20%25").text == "Hello, é %!\n"
        a = g.get("/")
        assert a.status == 200 and a["Content-Type"] == "text/plain; charset=utf-8" and a.text == "This is try-it. Try /hello/you\n"
        assert g.get("/none").status == 404 and g.request("POST", "/").status == 405
    tested = make(project, "test")
    assert "ok    GET /\n" in tested and "ok    GET /hello/you\n" in tested
    make(project, "clean")
    assert {f for f in told["files"] if not (project / f).exists()} == set()
    assert not (project / "bin").exists() and not (project / "target").exists()


@pytest.mark.parametrize("language", LANGUAGES)
def test_its_test_can_fail(tmp_path, language):
    begin(tmp_path, language)
    source = tmp_path / "try-it" / LANGUAGES[language][2]
    source.write_text(source.read_text().replace("Hello, ", "Goodbye, "))
    r = subprocess.run(["sh", "-c", "make && EXECGATE=$1 ./test.sh", "sh", str(BINARY)], cwd=tmp_path / "try-it", capture_output=True, text=True, timeout=600)
    assert r.returncode == 1 and "FAIL  GET /hello/you" in r.stdout and "ok    GET /\n" in r.stdout, r.stdout + r.stderr


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_edited_is_served(tmp_path, language):
    begin(tmp_path, language)
    project = tmp_path / "try-it"
    make(project)
    source = project / LANGUAGES[language][2]
    with Gateway(project, (project / "blueprint.yaml").read_text(), args=["--watch"]) as g:
        assert g.get("/hello/you").text == "Hello, you!\n"
        source.write_text(source.read_text().replace("Hello, ", "Good day, "))
        wait_for(lambda: g.get("/hello/you").text == "Good day, you!\n", PATIENCE, "the edited handler")


@pytest.mark.parametrize("language", ["python", "node"])
def test_the_clients_of_the_scripts(tmp_path, language):
    """Bodies of any bytes, failures, and what is in flight at the end."""
    begin(tmp_path, language)
    project = tmp_path / "try-it"
    handlers = {"python": """#!/usr/bin/python3
import time
import execgate
def handle(request):
    what = request.parameters["what"]
    if what == "fail":
        raise KeyError("nothing here")
    if what == "slow":
        time.sleep(0.3)
    if what == "bad":
        return execgate.Response(200, [("X-Bad", "a\\r\\nEvil: yes")])
    if what == "query":
        return execgate.as_json(200, [request.query["a"], request.header("X-A"), request.trigger, request.remaining > 0])
    return execgate.Response(201, [("X-Two", "a"), ("X-Two", "b")], request.body)
execgate.serve(handle)
""", "node": """#!/usr/bin/env node
import { serve, json } from "./execgate.mjs";
await serve(async (request) => {
    const what = request.parameters.get("what");
    if (what === "fail") throw new TypeError("nothing here");
    if (what === "slow") await new Promise((resolve) => setTimeout(resolve, 300));
    if (what === "gone") {
        await new Promise((resolve) => request.signal.addEventListener("abort", resolve));
        console.error("nobody waits");
    }
    if (what === "bad") return { headers: { "X-Bad": "a\\r\\nEvil: yes" } };
    if (what === "query") return json(200, [request.query.get("a"), request.header("X-A"), request.trigger, request.deadline > new Date()]);
    return { status: 201, headers: { "X-Two": ["a", "b"] }, body: request.body };
});
"""}
    source = project / LANGUAGES[language][2]
    source.write_text(handlers[language])
    blueprint = (project / "blueprint.yaml").read_text().replace("- http: GET /\n", "").replace("GET /hello/{name}", "ANY /{what}")
    with Gateway(project, blueprint) as g:
        body = bytes(range(256)) * 2000
        a = g.request("POST", "/echo", body)
        assert a.status == 201 and a.body == body and a.all("X-Two") == ["a", "b"]
        assert g.get("/query?a=%C3%A9", headers={"X-A": "b"}).json() == ["é", "b", "http", True]
        for what, kind in (("fail", {"python": "KeyError", "node": "TypeError"}), ("bad", {"python": "ValueError", "node": "TypeError"})):
            assert g.get("/" + what).status == 502
            told = g.wait_log("handler reported an error", seconds=PATIENCE, error_type=kind[language])
            assert what == "bad" or "nothing here" in told["error"]
        if language == "node":
            with g.connect() as s:
                s.sendall(b"GET /gone HTTP/1.1\r\nHost: a\r\n\r\n")
                wait_for(lambda: g.get("/echo").status == 201, PATIENCE, "another answer meanwhile")
            g.wait_output("nobody waits", PATIENCE)
        with g.connect() as s:
            s.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            wait_for(lambda: g.get("/echo").status == 201, PATIENCE, "another answer meanwhile")
            assert g.stop() == 0
            assert s.recv(12) == b"HTTP/1.1 201"


def test_the_sdk_is_the_one_of_the_source_tree(tmp_path):
    for language, folder in (("go", "go-sdk"), ("rust", "rust-sdk"), ("c", "."), ("cpp", ".")):
        told = json.loads(run_cli("new", "a", "--lang", language, "-d", language, "--json", cwd=tmp_path).stdout)
        copied = [f for f in told["files"] if f.startswith("execgate/") and f != "execgate/LICENSE"]
        assert copied
        for f in copied:
            assert (tmp_path / language / f).read_bytes() == (ROOT / "sdk-examples" / folder / f[len("execgate/"):]).read_bytes(), f
        assert (tmp_path / language / "execgate/LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_odd_folders(tmp_path):
    """A binary and a project in folders whose names mean something to make and to the shell."""
    odd = tmp_path / "a b" / "c$d#e'f"
    odd.mkdir(parents=True)
    shutil.copy(BINARY, odd / "execgate")
    r = subprocess.run([str(odd / "execgate"), "new", "x", "--lang", "shell", "--directory", str(odd / "deep/er")], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    assert "ok    GET /hello/you" in make(odd / "deep/er", "test")


def test_it_says_what_to_do_next(tmp_path):
    r = run_cli("new", "shop", "--lang", "c", cwd=tmp_path)
    assert r.returncode == 0 and all(words in r.stdout for words in ("cd shop", "make run", "make test", "curl", "main.c")) and not r.stderr


@pytest.mark.parametrize("name", ["a", "a1", "with-dashes", "x" * 64])
def test_names(tmp_path, name):
    begin(tmp_path, "shell", name)
    assert run_cli("check", cwd=tmp_path / name).returncode == 0


@pytest.mark.parametrize("words,hint", [
    (["new"], "usage: execgate new NAME"), (["new", "a"], "--lang: c, cpp, go, rust, shell, python, node"), (["new", "a", "--lang", "rst"], 'did you mean "rust"'),
    (["new", "a", "--lang", "cobol"], "there are: c, cpp"), (["new", "Shop", "--lang", "c"], "lower-case letters"), (["new", "../a", "--lang", "c"], "lower-case letters"),
    (["new", "1a", "--lang", "c"], "beginning with a letter"), (["new", "x" * 65, "--lang", "c"], "at most 64"), (["new", "", "--lang", "c"], "cannot be the name"),
    (["new", "match", "--lang", "rust"], "program in Rust"), (["new", "execgate", "--lang", "go"], "name of the SDK"), (["new", "a", "b", "--lang", "c"], "unexpected argument"),
    (["new", "a", "--lang", "c", "--directory", ""], "--directory"),
])
def test_wrong_usage(tmp_path, words, hint):
    r = run_cli(*words, cwd=tmp_path)
    assert r.returncode == 2 and hint in r.stderr and not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/.hidden").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for place, hint in (("full", "not empty"), ("file", "cannot be used"), ("file/below", "cannot be")):
        r = run_cli("new", "a", "--lang", "c", "-d", place, cwd=tmp_path)
        assert r.returncode == 3 and hint in r.stderr, r.stderr
        assert json.loads(run_cli("new", "a", "--lang", "c", "-d", place, "--json", cwd=tmp_path).stdout)["error"]
    assert sorted(str(f.relative_to(tmp_path)) for f in tmp_path.rglob("*")) == ["file", "full", "full/.hidden"]
    (tmp_path / "empty").mkdir()
    assert run_cli("new", "a", "--lang", "c", "-d", "empty/", cwd=tmp_path).returncode == 0


def test_a_missing_toolchain_is_said(tmp_path):
    env = {**os.environ, "PATH": str(tmp_path)}
    r = run_cli("new", "a", "--lang", "go", cwd=tmp_path, env=env)
    assert r.returncode == 0 and "there is no go here" in r.stderr and "apt-get install golang-go" in r.stderr
    assert json.loads(run_cli("new", "b", "--lang", "rust", "--json", cwd=tmp_path, env=env).stdout)["missing"] == "cargo"
