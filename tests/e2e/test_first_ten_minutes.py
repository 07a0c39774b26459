"""A person's first ten minutes, in a real terminal: begin a project, serve it, ask, edit, ask again, invoke, guard a route."""
import contextlib
import http.client
import os
import re
import shutil
import subprocess
import threading

import pytest
from execgate import BUILD, SLOW, wait_for

PATIENCE = 60
# language: the program it takes, Debian's package of it, the file to edit
LANGUAGES = {"go": ("go", "golang-go", "main.go"), "rust": ("cargo", "cargo", "src/main.rs"), "cpp": ("g++", "g++", "main.cpp")}
GUARDED = ["      - http: GET /mine", "        guard: customer", "auth:", "  guards:", "    customer: {type: jwt, issuer: https://id.example, audience: [shop], jwks: discover}"]


class Terminal:
    """A tmux server of its own with a shell in each window; what is on the screen is all that is known."""

    def __init__(self, folder, env):
        self.folder, self.socket = folder, folder / "tmux"
        prompt = folder / "prompt"  # dash takes no PS1 from its environment
        prompt.write_text("PS1='[$?] $ '\n")
        self.env = {**env, "ENV": str(prompt), "TERM": "screen"}
        for name in ("TMUX", "NO_COLOR", "LC_ALL"):
            self.env.pop(name, None)

    def tmux(self, *words):
        return subprocess.run(["tmux", "-S", str(self.socket), "-f", "/dev/null", *words], env=self.env, cwd=self.folder, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout

    def __enter__(self):
        self.tmux("new-session", "-d", "-x", "240", "-y", "60", "-n", "first", "sh")
        self.tmux("set-option", "-g", "history-limit", "20000")
        return self

    def open(self, window):
        self.tmux("new-window", "-n", window, "sh")

    def __exit__(self, kind, value, trace):
        for window in self.tmux("list-windows", "-F", "#{window_name}").split():
            shown = re.sub(r"(?m)^.* request  .* status=200 .*\n", "", self.screen(window))  # the visitors' are many
            print(f"--- {window} ---\n{shown[-8000:]}")  # pytest shows it when the test has failed
        self.tmux("kill-server")

    def screen(self, window):
        return self.tmux("capture-pane", "-p", "-J", "-S", "-", "-t", window).rstrip()

    def shows(self, window, pattern):
        """Waits for it, as long as a build may take; the match."""
        return wait_for(lambda: re.search(pattern, self.screen(window)), PATIENCE * 2, f"{pattern!r} in the window {window!r}")

    def type(self, window, command):
        self.tmux("send-keys", "-t", window, "-l", command)
        self.tmux("send-keys", "-t", window, "Enter")

    def run(self, window, command):
        """What a command shows, once the prompt is back; it must have succeeded."""
        self.shows(window, r"\[\d+\] \$\Z")
        before = self.screen(window)
        self.type(window, command)
        shown = wait_for(lambda: self._after(window, f"{before} {command}\n"), PATIENCE * 2, f"the end of {command!r}")
        assert shown[2] == "0", (command, shown[1])
        return shown[1]

    def _after(self, window, before):
        now = self.screen(window)
        return now.startswith(before) and re.fullmatch(r"(?s)(.*?)\n?\[(\d+)\] \$", now[len(before):])


class Visitors:
    """Asks all the time, and remembers every answer."""

    def __init__(self, port, path):
        self.port, self.path, self.answers, self.left = port, path, [], threading.Event()
        self.thread = threading.Thread(target=self._visit, daemon=True)

    def _visit(self):
        while not self.left.wait(0.02):
            try:
                with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE * SLOW)) as c:
                    c.request("GET", self.path)
                    r = c.getresponse()
                    self.answers.append((r.status, r.read().decode()))
            except OSError as e:
                self.answers.append((0, str(e)))

    def __enter__(self):
        self.thread.start()
        return self

    def saw(self, answer):
        wait_for(lambda: self.answers and self.answers[-1] == answer, PATIENCE * 2, f"the answer {answer}")

    def __exit__(self, kind, value, trace):
        self.left.set()
        self.thread.join(PATIENCE * SLOW)


@pytest.fixture
def terminal(tmp_path):
    assert shutil.which("tmux"), "this test needs Debian's tmux (make installs it)"
    env = {**os.environ, "PATH": f"{BUILD}:{os.environ['PATH']}", "XDG_STATE_HOME": str(tmp_path / "state"), "GOPROXY": "off", "GOTOOLCHAIN": "local", "CARGO_NET_OFFLINE": "true"}
    for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "EXECGATE", "CFLAGS", "CXXFLAGS"):
        env.pop(name, None)
    with Terminal(tmp_path, env) as t:
        yield t


@pytest.mark.parametrize("language", LANGUAGES)
def test_first_ten_minutes(terminal, tmp_path, language):
    tool, package, source = LANGUAGES[language]
    if not shutil.which(tool):
        pytest.skip(f"the first ten minutes in {language} are NOT tested: there is no {tool} here (install {package})")
    run = lambda command: terminal.run("first", command)
    assert "make run" in run(f"execgate new shop --lang {language}")
    run("cd shop")
    terminal.open("server")
    terminal.run("server", "cd shop")
    terminal.type("server", "execgate run --watch --dev-issuer --listen 127.0.0.1:0")
    port = terminal.shows("server", r'serves "shop" .*\n +http://127\.0\.0\.1:(\d+)')[1]
    curl = f"curl -sS http://127.0.0.1:{port}"
    assert run(f"{curl}/hello/you") == "Hello, you!"
    with Visitors(port, "/hello/you") as visitors:
        visitors.saw((200, "Hello, you!\n"))
        run(f"echo '(' >>{source}")
        terminal.shows("server", r"(?i)build failed")
        assert run(f"{curl}/hello/you") == "Hello, you!", "what is broken is not served"
        run(f"sed -i -e '$d' -e 's/Hello, /Good day, /' {source}")
        visitors.saw((200, "Good day, you!\n"))
        assert run(f"{curl}/hello/you") == "Good day, you!"
    assert set(visitors.answers) == {(200, "Hello, you!\n"), (200, "Good day, you!\n")}, "no request fails while the handler is replaced"
    assert run('execgate invoke shop --http "GET /hello/me"').endswith("Good day, me!")
    assert "This is shop." in run('execgate event http --http "GET /hello/me" | execgate invoke shop --event -')
    status = f"{curl}/mine -o answer -w '%{{http_code}}'"
    assert run(status) == "404"
    run("printf '%s\\n' " + " ".join(f"'{line}'" for line in GUARDED) + " >>blueprint.yaml")
    wait_for(lambda: run(status) == "401", PATIENCE, "the guarded route")
    assert run(status + ' -H "Authorization: Bearer $(execgate token --sub alice)"') == "200"
    assert "This is shop." in run("cat answer")
    assert run('execgate invoke shop --http "GET /mine" --as sub=alice').endswith("This is shop. Try /hello/you")
    terminal.tmux("send-keys", "-t", "server", "C-c")
    terminal.shows("server", r"\[0\] \$\Z")
