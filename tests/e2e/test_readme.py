"""What the README shows works as it is written there."""
import re
import shlex
import shutil
import subprocess

from execgate import BUILD, ROOT, Gateway, run_cli

README = (ROOT / "README.md").read_text()


def block(language, name):
    return next(b for b in re.findall(rf"```{language}\n(.*?)```", README, re.S) if name in b.splitlines()[0])


def test_a_service_of_your_own(tmp_path):
    (tmp_path / "hello.c").write_text(block("c", "hello.c"))
    (tmp_path / "hello.yaml").write_text(block("yaml", "hello.yaml"))
    shutil.copytree(ROOT / "sdk-examples", tmp_path / "sdk-examples")
    command = re.search(r"^cc .*$", README, re.M)[0]
    subprocess.run(command.split(), cwd=tmp_path, check=True)
    assert run_cli("check", "hello.yaml", cwd=tmp_path).returncode == 0
    command = re.search(r"^build/execgate (invoke hello .*?) +#", README, re.M)[1]
    r = run_cli(*shlex.split(command), cwd=tmp_path)
    assert (r.returncode, r.stdout) == (0, "Hello, you!\n")
    with Gateway(tmp_path, (tmp_path / "hello.yaml").read_text()) as g:
        assert g.get("/hello?name=you").text == "Hello, you!\n"


def test_every_curl_line_of_the_first_minute(tmp_path):
    lines = re.findall(r"^curl (.*?) *(?:#.*)?$", README, re.M)
    assert len(lines) == 6
    text = (ROOT / "blueprints/quickstart.yaml").read_text()
    text = text.replace("../build", str(BUILD)).replace("../sdk-examples", str(ROOT / "sdk-examples"))
    with Gateway(tmp_path, text) as g:
        for line in lines:
            shown = subprocess.run(["sh", "-c", "curl -sS -m 20 " + line.replace("http://127.0.0.1:8080", f"http://127.0.0.1:{g.port}")],
                                   capture_output=True, text=True, check=True).stdout
            if "crash" in line:
                assert " 502 " in shown.splitlines()[0]
            else:
                assert "-i" not in line.split() or re.match(r"HTTP/1.1 2\d\d ", shown), (line, shown)
                assert shown


def test_every_link_leads_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
