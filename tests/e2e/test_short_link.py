"""The short-link service of sdk-examples: one test for the three languages that it is written in."""
import concurrent.futures
import json
import os
import re
import shutil
import signal
import subprocess

import pytest
from execgate import BUILD, ROOT, Gateway, run_cli, wait_for
from test_browser_cors import CHROMIUM, Pages, chromium

PATIENCE = 60
FOLDER = ROOT / "sdk-examples/short-link"
# language: the program it takes, Debian's package of it
LANGUAGES = {"go": ("go", "golang-go"), "rust": ("cargo", "cargo"), "cpp": ("g++", "g++")}
REFUSED = "Send an object with an http or https url of at most 2000 characters"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """built(language) -> a folder with the service, built as its blueprint says."""
    copy = tmp_path_factory.mktemp("gallery") / "sdk-examples"
    shutil.copytree(ROOT / "sdk-examples", copy, ignore=shutil.ignore_patterns("target", "*.log"))
    done = set()

    def build(language):
        tool, package = LANGUAGES[language]
        if not shutil.which(tool):
            pytest.skip(f"the short-link service in {language} is NOT tested: there is no {tool} here (install {package})")
        folder = copy / "short-link" / language
        if language not in done:
            r = run_cli("build", cwd=folder, env={**os.environ, "GOPROXY": "off", "GOTOOLCHAIN": "local"}, timeout=600)
            assert r.returncode == 0, r.stdout + r.stderr
            done.add(language)
        return folder
    return build


class Links(Gateway):
    def __init__(self, folder, tmp_path, origin="http://localhost:3000", log="links.log"):
        self.log, self.hosts = tmp_path / log, tmp_path / "hosts.log"
        env = {**os.environ, "LINKS_FILE": str(self.log), "HOSTS_FILE": str(self.hosts), "XDG_STATE_HOME": str(tmp_path / "state")}
        text = (folder / "blueprint.yaml").read_text()
        assert "http://localhost:3000" in text
        blueprint = tmp_path / "app"
        blueprint.mkdir(exist_ok=True)
        text = text.replace("http://localhost:3000", origin).replace("command: ", f"workingDirectory: {folder}\n    command: ")
        super().__init__(blueprint, re.sub(r"command: (?!/)(\./)?", f"command: {folder}/", text), args=["--dev-issuer"], env=env)

    def token(self, *words):
        r = run_cli("token", self.file, *words, env=self.env)
        assert r.returncode == 0, r.stderr
        return r.stdout.strip()

    def wait_hosts(self, counts):
        wait_for(lambda: self.get("/hosts").json() == counts, PATIENCE, f"the hosts {counts}")

    def shorten(self, body, headers=None):
        if isinstance(body, dict):
            body = json.dumps(body)
        bearer = self.token("--sub", "me", "--scope", "links:write")
        return self.request("POST", "/links", body, {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json", **(headers or {})})


@pytest.fixture(params=LANGUAGES)
def links(request, built, tmp_path):
    with Links(built(request.param), tmp_path) as g:
        yield g


def test_the_life_of_a_link(links):
    a = links.shorten({"url": "https://shop.example/a?b=c&d=%20#e"})
    code = a.json()["code"]
    assert a.status == 201 and re.fullmatch("[0-9a-z]{7}", code) and a["Location"] == f"/{code}" and a["Content-Type"] == "application/json"
    assert a.json() == {"code": code, "url": "https://shop.example/a?b=c&d=%20#e", "hits": 0}
    for _ in range(3):
        led = links.get(f"/{code}")
        assert led.status == 302 and led["Location"] == "https://shop.example/a?b=c&d=%20#e" and led["Cache-Control"] == "no-store" and led.body == b""
    assert links.request("HEAD", f"/{code}")["Location"] == led["Location"]
    shown = links.get(f"/links/{code}")
    assert shown.status == 200 and shown["Content-Type"] == "application/json"
    assert shown.json() == {"code": code, "url": "https://shop.example/a?b=c&d=%20#e", "hits": 3}, "HEAD is no visit"
    assert links.shorten({"url": "https://shop.example/a?b=c&d=%20#e"}).json()["code"] != code


def test_what_is_not_there(links):
    for path in ("/none", "/links", "/links/none", "/a%20b", "/links/" + "x" * 3000):
        a = links.get(path)
        assert a.status == 404 and a["Content-Type"] == "application/problem+json" and a.json() == {"status": 404, "title": "There is no such link"}, (path, a)
    assert links.get("/a/b").status == 404 and links.request("DELETE", "/links").status == 405


def test_only_writers_write(links):
    body = json.dumps({"url": "https://a.example"})
    assert links.request("POST", "/links", body).status == 401
    assert links.request("POST", "/links", body, {"Authorization": "Bearer " + links.token("--sub", "me")}).status == 403, "the scope is missing"
    assert links.request("POST", "/links", body, {"Authorization": "Bearer " + links.token("--sub", "me", "--audience", "shop", "--scope", "links:write")}).status == 403
    assert not links.log.exists() or links.log.read_text() == ""


def test_what_is_refused(links):
    accepted = ('{"url":"http://a"}', ' {\n"url" : "https:\\/\\/a.example\\/\\u0061\\"\\\\" }\t', json.dumps({"url": "https://" + "a" * 1992}))
    for body in accepted:
        a = links.shorten(body)
        assert a.status == 201 and a.json()["url"] == json.loads(body)["url"], (body, a)
    refused = ("", "{}", "[]", "null", '"http://a"', '{"url":null}', '{"url":7}', '{"url":""}', '{"url":"http://"}', '{"url":"https://"}', '{"url":"ftp://a"}', '{"url":"javascript:alert(1)"}',
               '{"url":"//a"}', '{"url":" http://a"}', '{"url":"http://a b"}', '{"url":"http://a\\nhit b"}', '{"url":"http://a\\u000d\\u000aSet-Cookie: b"}', '{"url":"http://\\u00e9"}', '{"url":"http://é"}',
               '{"url":"http://a\tb"}', '{"url":"http://a","more":"b"}', '{"url":"http://a"', '{"url":"http://a"} x', '{"url":"http://a\\x"}', '{"url":"http://a\\', '{"url":"http://a\\u00', '{"url', "{",
               '{"URL":"http://a"}', '{"url":"http://a",}', json.dumps({"url": "https://" + "a" * 1993}))
    before = links.log.read_text()
    bearer = {"Authorization": "Bearer " + links.token("--sub", "other", "--scope", "links:write")}
    for n, body in enumerate(refused):
        if n % 15 == 0:  # the route has a rate for each subject
            bearer = {"Authorization": "Bearer " + links.token("--sub", f"other-{n}", "--scope", "links:write")}
        a = links.request("POST", "/links", body.encode(), bearer)
        assert a.status == 400 and a["Content-Type"] == "application/problem+json" and a.json() == {"status": 400, "title": REFUSED}, (body, a)
    assert links.request("POST", "/links", b'{"url":"http://\xff\x00"}', bearer).status == 400
    assert links.request("POST", "/links", "x" * 9000, bearer).status == 413
    assert links.log.read_text() == before


def test_pages_of_the_origin_may_call_it(links):
    asks = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    a = links.request("OPTIONS", "/links", headers=asks)
    assert a.status == 204 and a["Access-Control-Allow-Origin"] == "http://localhost:3000" and "authorization" in a["Access-Control-Allow-Headers"]
    assert links.request("OPTIONS", "/links", headers={**asks, "Origin": "http://evil.example"})["Access-Control-Allow-Origin"] is None
    a = links.shorten({"url": "http://a"}, {"Origin": "http://localhost:3000"})
    assert a["Access-Control-Allow-Origin"] == "http://localhost:3000" and a["Access-Control-Expose-Headers"].lower() == "location"


def test_hits_of_many_at_once_all_count(links):
    code = links.shorten({"url": "http://a"}).json()["code"]
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: links.get(f"/{code}").status, range(200)))
    assert answers == [302] * 200
    for _ in range(4):  # whichever process answers
        assert links.get(f"/links/{code}").json()["hits"] == 200
    assert links.log.read_text() == f"link {code} http://a\n" + f"hit {code}\n" * 200


def test_it_survives_what_may_happen(links):
    code = links.shorten({"url": "http://a"}).json()["code"]
    links.get(f"/{code}")
    for pid in links.handler_pids():
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: links.get(f"/links/{code}").status == 200, PATIENCE, "the recovery")
    with links.log.open("ab") as log:
        log.write(f"hit {code}\nlink other00 http://b\nlink torn".encode())  # another process, and one that died
    assert links.get(f"/links/{code}").json()["hits"] == 2 and links.get("/other00")["Location"] == "http://b"
    assert links.get("/links/torn").status == 404
    links.stop()
    links.start()
    assert links.get(f"/links/{code}").json()["hits"] == 2
    third = links.shorten({"url": "http://c"}).json()["code"]
    assert links.log.read_text() == f"link {code} http://a\nhit {code}\nhit {code}\nlink other00 http://b\nhit other00\nlink {third} http://c\n"


def test_both_generations_of_a_reload_know_the_same(links):
    code = links.shorten({"url": "http://a"}).json()["code"]
    before = links.handler_pids()
    with open(links.file, "a", encoding="utf-8") as blueprint:
        blueprint.write("    timeout: 20s\n")
    os.kill(links.pid, signal.SIGHUP)
    links.wait_log("reloaded", PATIENCE)
    assert links.get(f"/{code}").status == 302 and links.get(f"/links/{code}").json()["hits"] == 1
    wait_for(lambda: not set(before) & set(links.handler_pids()), PATIENCE, "the end of the old processes")
    assert links.get(f"/links/{code}").json()["hits"] == 1


def test_the_log_is_the_same_in_every_language(built, tmp_path):
    codes = []
    for language in LANGUAGES:
        with Links(built(language), tmp_path) as g:
            codes.append(g.shorten({"url": f"https://{language}.example"}).json()["code"])
            assert [g.get(f"/{code}").status for code in codes] == [302] * len(codes)
    with Links(built("cpp"), tmp_path) as g:
        assert [g.get(f"/links/{code}").json()["hits"] for code in codes] == [3, 2, 1]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_blueprint_is_one_without_complaints(built, language):
    r = run_cli("check", cwd=built(language))
    assert r.returncode == 0 and "warning" not in r.stderr, r.stdout + r.stderr


def test_the_blueprints_differ_in_how_they_build():
    texts = [re.sub(r"(?m)^    (command|build|sources): .*$", "", (FOLDER / language / "blueprint.yaml").read_text()) for language in LANGUAGES]
    rest = {text.split("\n", 3)[3] for text in texts}
    assert len(rest) == 1 and "POST /links" in rest.pop()


def test_what_is_made_is_counted_by_host(links):
    assert links.get("/hosts").text == "{}\n"
    made = [links.shorten({"url": url}).json()["code"] for url in ("http://a", "https://b.example:8/x", "http://a/?y", "http:///z", 'http://"')]
    assert links.shorten({"url": "ftp://c"}).status == 400
    links.wait_hosts({'"': 1, "-": 1, "a": 2, "b.example:8": 1})
    a = links.get("/hosts")
    assert a["Content-Type"] == "application/json" and a.text == '{"\\"":1,"-":1,"a":2,"b.example:8":1}\n'
    assert sorted(line.split()[1] for line in links.hosts.read_text().splitlines()) == sorted(made)


def test_a_message_that_comes_twice_counts_once(links):
    code = links.shorten({"url": "http://a"}).json()["code"]
    links.wait_hosts({"a": 1})
    with links.hosts.open("a") as log:
        log.write(f"host {code} a\nhost other00 b\n")  # another process that was slower, and one of another link
    links.wait_hosts({"a": 1, "b": 1})


def test_its_page_in_a_browser(built, tmp_path):
    """A page on another origin: preflight, token, answer, and the Location that CORS exposes."""
    assert CHROMIUM, "this test needs Debian's chromium (make installs it)"
    pages = Pages()
    try:
        with Links(built("cpp"), tmp_path, origin=f"http://127.0.0.1:{pages.port}") as g:
            values = {"service": f"http://127.0.0.1:{g.port}", "url": "https://shop.example/long", "token": g.token("--sub", "me", "--scope", "links:write")}
            visitor = """<script>(async () => {
                const values = %s, result = field("result");
                async function submitted(token) {
                    for (const name in values) field(name).value = values[name];
                    field("token").value = token;
                    const changed = new Promise((done) => new MutationObserver(() => done(result.textContent)).observe(result, {childList: true}));
                    field("form").requestSubmit();
                    return changed;
                }
                const seen = {refused: await submitted("none"), link: await submitted(values.token)};
                await fetch("/seen", {method: "POST", body: JSON.stringify(seen)});
            })();</script>""" % json.dumps(values)
            pages.html = ((FOLDER / "page/index.html").read_text() + visitor).encode()
            with chromium(tmp_path / "profile", f"http://127.0.0.1:{pages.port}/"):
                seen = pages.reports.get(timeout=PATIENCE * 4)
            code = seen["link"].rsplit("/", 1)[1]
            assert seen["link"] == f"http://127.0.0.1:{g.port}/{code}" and g.get(f"/{code}")["Location"] == "https://shop.example/long"
            assert seen["refused"] == g.wait_log("request", PATIENCE, status=401)["detail"]
    finally:
        pages.close()


def test_the_readme_as_it_is_written(built, tmp_path):
    lines = [line.strip() for line in (FOLDER / "README.md").read_text().splitlines() if line.startswith("    ")]
    with Links(built("cpp"), tmp_path) as g:
        sh = lambda line: subprocess.run(["sh", "-c", line], cwd=g.folder, env={**g.env, "PATH": f"{BUILD}:{g.env['PATH']}"}, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
        token = next(line for line in lines if line.startswith("T="))
        curls = [line.replace("127.0.0.1:8080", f"127.0.0.1:{g.port}").replace("curl ", "curl -sS -m 20 ") for line in lines if line.startswith("curl ")]
        made = sh(f"{token}\n{curls[0]}")
        assert made.startswith("HTTP/1.1 201")
        code = re.search(r"(?m)^Location: /(\w+)", made)[1]
        assert re.search(r"(?m)^Location: https://example.org/a/long/way", sh(curls[1].replace("CODE", code)))
        said = re.search(r"# (\{.*\})", curls[2])[1].replace("CODE", code)
        assert sh(curls[2].replace("CODE", code)) == said + "\n"
        hosts = re.search(r"# (\{.*\})", curls[3])[1]
        wait_for(lambda: sh(curls[3]) == hosts + "\n", PATIENCE, "the count of the host")
