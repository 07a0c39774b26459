"""The command line: help, exit codes, blueprint errors, machine-readable output."""
import json
import pathlib
import re
import socket
import subprocess
import textwrap

import pytest
from execgate import BINARY, EXAMPLES, ROOT, Gateway, run_cli

GOOD = f"""
blueprint: 1
name: good
handlers:
  echo:
    command: {EXAMPLES}/echo
    triggers:
      - http: GET /echo/{{id}}
      - http: ANY /any/{{rest+}}
"""


def write(folder, text, name="blueprint.yaml"):
    (folder / name).write_text(textwrap.dedent(text))
    return folder / name


@pytest.mark.parametrize("words", [["--help"], ["help"], ["run", "--help"], ["check", "-h"], ["routes", "--help"], ["schema", "--help"], ["help", "run"]])
def test_help_teaches(words):
    r = run_cli(*words)
    assert r.returncode == 0 and "Usage: execgate" in r.stdout and not r.stderr


def test_version():
    r = run_cli("--version")
    assert run_cli("version").stdout == r.stdout
    assert r.returncode == 0 and re.fullmatch(r"execgate \d+\.\d+\.\d+\n", r.stdout)


@pytest.mark.parametrize("words,hint", [
    ([], "Usage"), (["chek"], 'did you mean "check"'), (["run", "--lsiten", "x"], "did you mean --listen"), (["run", "--listen"], "needs a value"),
    (["run", "a", "b"], "unexpected argument"), (["check", "--json=yes"], "takes no value"), (["run", "--log-level", "loud"], "debug, info, warn"),
    (["run", "--var", "novalue"], "NAME=VALUE"), (["run", "-vnovalue"], "NAME=VALUE"), (["run", "-wx"], "unknown option -wx"),
    (["run", "--listen", "nowhere"], "--listen: expected host:port"), (["run", "-l127.0.0.1:70000"], '--listen: "70000" is no port'), (["run", "--admin", "nowhere"], "--admin: expected"),
])
def test_wrong_usage_is_2_and_says_what_is_right(words, hint, tmp_path):
    write(tmp_path, GOOD)
    r = run_cli(*words, cwd=tmp_path)
    assert r.returncode == 2 and hint in r.stderr


def test_every_command_and_option_is_in_the_man_page():
    man = (ROOT / "docs/execgate.1").read_text().replace("\\-", "-")
    commands = re.findall(r"^  (\w+) +\w", run_cli("--help").stdout.split("Commands:")[1].split("\n\n")[0], re.M)
    assert commands
    for command in commands:
        section = re.search(rf"^\.SS {command}\n(.*?)^\.S[SH]", man, re.M | re.S)
        assert section, command
        help = run_cli(command, "--help").stdout
        actions = re.findall(r"^  (\w+) +\w", help.split("Actions:")[1].split("\n\n")[0], re.M) if "Actions:" in help else []
        assert all(re.search(rf"^\.BR .*\b{action}\b", section[1], re.M) for action in actions)
        texts = [run_cli(command, action, "--help").stdout for action in actions] or [help]
        options = {o for text in texts for o in re.findall(r"^ +(?:-\w, )? *(--[\w-]+)", text.split("Options:")[1], re.M)}
        assert "--help" in options
        missing = {o for o in options - {"--help"} if not re.search(rf"{o}(?![\w-])", section[1])}
        assert not missing, (command, missing)


def test_check_and_routes_of_a_good_blueprint(tmp_path):
    file = write(tmp_path, GOOD)
    r = run_cli("check", file)
    assert r.returncode == 0 and "valid" in r.stdout
    assert json.loads(run_cli("check", "--json", cwd=tmp_path).stdout) == {"valid": True, "name": "good", "handlers": 1, "routes": 2}
    routes = run_cli("routes", file).stdout
    assert re.search(r"GET +/echo/\{id\} +echo", routes) and re.search(r"ANY +/any/\{rest\+\} +echo", routes)
    assert {(x["method"], x["path"], x["handler"]) for x in json.loads(run_cli("routes", "--json", "--blueprint", file).stdout)} == \
        {("GET", "/echo/{id}", "echo"), ("ANY", "/any/{rest+}", "echo")}


def test_without_a_file(tmp_path):
    r = run_cli("check", cwd=tmp_path)
    assert r.returncode == 1 and "blueprint.yaml: error: " in r.stderr and "no file was named" in r.stderr
    for words in (["invoke", "orders"], ["build", "orders"]):
        r = run_cli(*words, cwd=tmp_path)
        assert r.returncode == 1 and "no file was named" in r.stderr, "a handler is no file"
    for words in (["check", "other.yaml"], ["invoke", "orders", "other.yaml"], ["build", "orders", "-bother.yaml"]):
        r = run_cli(*words, cwd=tmp_path)
        assert r.returncode == 1 and "other.yaml: error: " in r.stderr and "no file was named" not in r.stderr


def test_routes_name_their_guards(tmp_path):
    r = run_cli("routes", ROOT / "blueprints/guarded.yaml")
    assert re.search(r"^METHOD +PATH +HANDLER +GUARDS$", r.stdout, re.M)
    assert re.search(r"^GET +/partner +event +partner$", r.stdout, re.M) and re.search(r"^GET +/health +event +none$", r.stdout, re.M)
    rows = {x["path"]: x["guards"] for x in json.loads(run_cli("routes", "--json", ROOT / "blueprints/guarded.yaml").stdout)}
    assert rows == {"/me": ["customer"], "/orders": ["customer"], "/partner": ["partner"], "/health": []}


# name, blueprint, (line, column), words of the message
BAD = [
    ("unknown key", "blueprint: 1\nname: a\nhandlesr: {}\nhandlers: {a: {command: /bin/true}}\n", (3, 1), ["handlesr", "handlers"]),
    ("duplicate key", "blueprint: 1\nname: a\nname: b\nhandlers: {a: {command: /bin/true}}\n", (3, 1), ["name"]),
    ("wrong type", "blueprint: 1\nname: a\nhandlers:\n  a: {command: /bin/true, queueLimit: many}\n", (4, 39), ["many"]),
    ("bare number for a duration", "blueprint: 1\nname: a\nhandlers:\n  a: {command: /bin/true, timeout: 5}\n", (4, 36), ["5", "30s"]),
    ("missing executable", "blueprint: 1\nname: a\nhandlers:\n  a: {command: ./nothing-here}\n", (4, 16), ["nothing-here"]),
    ("not executable", "blueprint: 1\nname: a\nhandlers:\n  a: {command: ./blueprint.yaml}\n", (4, 16), ["chmod +x"]),
    ("a directory", "blueprint: 1\nname: a\nhandlers:\n  a: {command: /tmp}\n", (4, 16), ["directory"]),
    ("a section of nobody", "blueprint: 1\nname: a\nplugins: {}\nhandlers: {a: {command: /bin/true}}\n", (3, 1), ["plugins"]),
    ("alias bomb", "blueprint: 1\nname: a\nx: &x [1]\nhandlers: {a: {command: /bin/true, environment: {A: *x}}}\n", (3, 4), ["anchor"]),
    ("route conflict", "blueprint: 1\nname: a\nhandlers:\n  a: {command: /bin/true, triggers: [{http: 'GET /x/{a}'}]}\n"
     "  b: {command: /bin/true, triggers: [{http: 'GET /x/{b}'}]}\n", (5, None), ["GET /x/{b}", "4"]),
    ("missing variable", "blueprint: 1\nname: \"${env.EXECGATE_TEST_UNSET}\"\nhandlers: {a: {command: /bin/true}}\n", (2, None), ["EXECGATE_TEST_UNSET"]),
    ("not YAML", "blueprint: 1\nname: [a\n", (None, None), []),
    ("empty", "", (None, None), []),
    ("no handlers", "blueprint: 1\nname: a\n", (None, None), ["handlers"]),
    ("version", "blueprint: 2\nname: a\nhandlers: {a: {command: /bin/true}}\n", (1, 12), ["1"]),
]


@pytest.mark.parametrize("name,text,where,words", BAD, ids=[b[0] for b in BAD])
@pytest.mark.parametrize("command", ["check", "run"])
def test_mistakes_are_explained(tmp_path, command, name, text, where, words):
    file = write(tmp_path, text)
    r = run_cli(command, file)
    assert r.returncode == 1, r
    for word in words:
        assert word in r.stderr, r.stderr
    problems = json.loads(run_cli(command, "--json", file).stdout)["problems"]
    line, column = where
    if line:
        assert any(p["line"] == line and (column is None or p["column"] == column) for p in problems), problems
        assert f"{file}:{line}:" in r.stderr


def test_all_mistakes_in_one_run(tmp_path):
    file = write(tmp_path, "blueprint: 1\nnaem: a\nhandlers:\n  a: {comand: /bin/true}\n  b: {command: /nowhere/b, timeout: 1x}\n")
    problems = json.loads(run_cli("check", "--json", file).stdout)["problems"]
    lines = {p["line"] for p in problems}
    assert {2, 4, 5} <= lines and len(problems) >= 4


def test_a_megabyte_of_brackets_is_refused_at_once(tmp_path):
    file = write(tmp_path, "[" * 1_000_000)
    assert run_cli("check", file, timeout=10).returncode == 1


def test_secrets_never_show(tmp_path):
    (tmp_path / "token").write_text("hunter2-very-secret\n")
    file = write(tmp_path, "blueprint: 1\nname: a\nhandlers:\n  a: {command: /bin/true, timeout: \"${file:token}\", environment: {T: \"${file:token}\"}}\n")
    r = run_cli("check", file)
    assert r.returncode == 1 and "hunter2" not in r.stderr + r.stdout


def test_missing_file():
    r = run_cli("check", "/nowhere/at/all.yaml")
    assert r.returncode == 1 and "/nowhere/at/all.yaml" in r.stderr


def test_schema_is_json_schema():
    schema = json.loads(run_cli("schema").stdout)
    assert schema["$schema"].startswith("https://json-schema.org/draft/2020-12") and "handlers" in schema["properties"]


def test_address_in_use_is_3(tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        r = run_cli("run", write(tmp_path, GOOD), "--listen", f"127.0.0.1:{s.getsockname()[1]}")
    assert r.returncode == 3 and "in use" in r.stderr and "stop what listens there" in r.stderr


def test_variables_and_listen(tmp_path):
    text = GOOD.replace("name: good", "name: \"${var.who}\"\nvariables:\n  who: {type: string, default: nobody}")
    with Gateway(tmp_path, text, args=["--var", "who=somebody", "--listen", "127.0.0.1:0", "--listen", "unix:extra.sock"]) as g:
        assert g.ready["name"] == "somebody"
        assert len(g.addresses) == 3 and g.port
        assert any(a.startswith("unix:") for a in g.addresses)
        assert g.get("/echo/1").status == 200


def test_text_output_of_run(tmp_path):
    file = write(tmp_path, GOOD)
    p = subprocess.Popen([str(BINARY), "run", str(file), "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = [p.stdout.readline() for _ in range(3)]
    p.terminate()
    out, err = p.communicate(timeout=20)
    assert "good" in lines[0] and re.search(r"http://127\.0\.0\.1:[1-9]\d*", lines[1]) and f"`execgate routes {file}`" in lines[2]
    assert p.returncode == 0 and "\x1b" not in "".join(lines) + out + err
