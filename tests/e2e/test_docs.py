"""What the documentation shows is true: its blueprints load, and its commands do what their comments say."""
import contextlib
import os
import re
import subprocess
import warnings

import pytest
from execgate import BUILD, ROOT, Gateway, run_cli

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import crypt

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "sdk-examples").rglob("*.md"))]
NEEDED = {"blueprint": "blueprint: 1", "name": "name: shown", "handlers": "handlers: {shown: {command: /bin/true}}"}


def blocks(document, language):
    """The text of each, less the blanks that its fence is indented by, and the line where it begins."""
    text = document.read_text()
    for m in re.finditer(rf"^( *)```{language}\n(.*?)^\1```$", text, re.S | re.M):
        lines = m[2].splitlines(keepends=True)
        yield text.count("\n", 0, m.start()) + 2, "".join(line[len(m[1]):] if line.strip() else line for line in lines)


def completed(text):
    """A part of a blueprint, with what every blueprint needs."""
    keys = set(re.findall(r"^(\w+):", text, re.M))
    return text + "".join(line + "\n" for key, line in NEEDED.items() if key not in keys)


SHOWN = [pytest.param(text, id=f"{d.relative_to(ROOT)}:{line}") for d in DOCUMENTS for line, text in blocks(d, "yaml")]


def test_there_are_blueprints_to_look_at():
    assert len(SHOWN) >= 8


@pytest.mark.parametrize("text", SHOWN)
def test_every_blueprint_loads(tmp_path, text):
    for name in set(re.findall(r"\$\{file:([^}]+)\}", text)):
        (tmp_path / name).write_text("0123456789abcdef0123456789abcdef")
    (tmp_path / "shown.yaml").write_text(completed(text))
    variables = {name: "0123456789abcdef0123456789abcdef" for name in re.findall(r"\$\{env\.(\w+)", text)}
    given = [f"--var={name}={values.split(',')[0]}" for name, values in re.findall(r"^  (\w+): \{allowedValues: \[([^\]]+)\]", text, re.M)]
    r = run_cli("check", "--no-files", *given, "shown.yaml", cwd=tmp_path, env=dict(os.environ, **variables))
    assert r.returncode == 0, r.stderr


@pytest.mark.parametrize("file", sorted((ROOT / "blueprints").glob("*.yaml")), ids=lambda f: f.name)
def test_every_blueprint_of_the_tree_loads(file):
    r = run_cli("check", "--no-files", file)
    assert r.returncode == 0, r.stderr


def programs(folder):
    """What the documentation calls by name: ours, and htpasswd, which is of a package that the tests do not ask for."""
    folder.mkdir()
    (folder / "execgate").symlink_to(BUILD / "execgate")
    hashed = crypt.crypt("wonderland", crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))
    (folder / "htpasswd").write_text(f"#!/bin/sh\ntest \"$*\" = '-nbB alice wonderland' && echo 'alice:{hashed}'\n")
    (folder / "htpasswd").chmod(0o755)
    return dict(os.environ, PATH=f"{folder}:{os.environ['PATH']}", XDG_STATE_HOME=str(folder / "state"))


def test_one_of_each_guard(tmp_path):
    document = ROOT / "docs/auth.md"
    blueprint = next(text for _, text in blocks(document, "yaml") if text.startswith("# guards.yaml"))
    files, commands = (text for _, text in blocks(document, "sh"))
    env = programs(tmp_path / "bin")
    subprocess.run(["sh", "-e", "-c", files], cwd=tmp_path, env=env, check=True)
    (tmp_path / "guards.yaml").write_text(blueprint)
    assert run_cli("check", "guards.yaml", cwd=tmp_path).returncode == 0
    with Gateway(tmp_path, blueprint, args=["--dev-issuer"], env=env) as g:
        wanted = re.findall(r"^curl .*# (\d{3})$", commands, re.M)
        assert len(wanted) == len(re.findall(r"^curl ", commands, re.M)) > 10
        script = re.sub(r"^curl ", "curl -sS -m 30 -o /dev/null -w '%{http_code}\\\\n' ", commands, flags=re.M)
        script = script.replace("http://127.0.0.1:8080", f"http://127.0.0.1:{g.port}")
        shown = subprocess.run(["sh", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
        assert shown.stdout.split() == wanted, shown.stderr


def test_https(tmp_path):
    document = ROOT / "docs/blueprint.md"
    blueprint = next(text for _, text in blocks(document, "yaml") if text.startswith("# https.yaml"))
    files, commands = (text for _, text in blocks(document, "sh"))
    subprocess.run(["sh", "-e", "-c", files], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "https.yaml").write_text(blueprint)
    assert run_cli("check", "https.yaml", cwd=tmp_path).returncode == 0
    g = Gateway(tmp_path, re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:0", blueprint))
    g.start(listen=None)
    with contextlib.ExitStack() as stack:
        stack.push(g.__exit__)
        for url, port in zip(g.addresses, ("8443", "8080")):
            commands = commands.replace(f"localhost:{port}", f"localhost:{url.rsplit(':', 1)[1]}")
        wanted = re.findall(r"^curl .*?# (.*)$", commands, re.M)
        assert len(wanted) == 3
        shown = subprocess.run(["sh", "-e", "-c", commands], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert [line.strip() for line in shown.stdout.splitlines()] == wanted
