"""The gallery of sdk-examples: single files of five languages, and that nothing in it is without a README and a test."""
import os
import pathlib
import re
import shutil
import signal

import pytest
from events import Stream
from execgate import ROOT, Gateway, wait_for

PATIENCE = 60
FOLDER = ROOT / "sdk-examples"
# handler: the program it takes, Debian's package of it
TOOLS = {"names": ("python3", "python3"), "news": ("python3", "python3"), "dissect": ("node", "nodejs"), "words": ("perl", "perl"), "primes": ("java", "default-jdk-headless"), "upper": ("sh", "dash")}
MISSING = {name for name, (tool, _) in TOOLS.items() if not shutil.which(tool)}


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    text = (ROOT / "blueprints/scripts.yaml").read_text().replace("../sdk-examples", str(FOLDER))
    blocks = re.split(r"(?m)^(?=  [a-z]+:.* #)", text)
    assert {b.split(":")[0].strip() for b in blocks[1:]} == set(TOOLS)
    with Gateway(tmp_path_factory.mktemp("scripts"), "".join(b for b in blocks if b.split(":")[0].strip() not in MISSING)) as g:
        yield g


@pytest.fixture
def served(scripts, request):
    name = request.node.name.split("[")[0].removeprefix("test_")
    name = name if name in TOOLS else request.node.callspec.params["name"]
    if name in MISSING:
        pytest.skip("the example {1} is NOT tested: there is no {0} here (install {2})".format(TOOLS[name][0], name, TOOLS[name][1]))
    return scripts


def test_names(served):
    a = served.get("/names/a%C3%A9%F0%9F%AB%96%01")
    assert a.status == 200 and a["Content-Type"] == "application/json" and a.json()["text"] == "aé\U0001fad6\x01"
    assert [c["name"] for c in a.json()["characters"]] == ["LATIN SMALL LETTER A", "LATIN SMALL LETTER E WITH ACUTE", "TEAPOT", "U+0001"]


def test_news(served):
    def told(text):
        return served.request("POST", "/news", text).json()
    assert told("the first")["readers"] == 0
    with Stream(served, "/news") as here, Stream(served, "/news", {"Last-Event-ID": "0"}) as late:
        here.open().expect("retry: 2000\n\n")
        late.open().expect("retry: 2000\n\nid: 1\ndata: the first\n\n")
        assert told("the second") == {"id": 2, "readers": 2}
        for s in (here, late):
            s.expect("id: 2\ndata: the second\n\n")
    with Stream(served, "/news", {"Last-Event-ID": "1"}) as back:
        back.open().expect("retry: 2000\n\nid: 2\ndata: the second\n\n")


def test_dissect(served):
    a = served.get("/dissect?url=https%3A%2F%2Fshop.example%3A8443%2Fa%3Fb%3Dc%26b%3Dd")
    assert a.json() == {"scheme": "https", "host": "shop.example", "port": 8443, "path": "/a", "parameters": [["b", "c"], ["b", "d"]]}
    assert served.get("/dissect?url=nonsense").status == served.get("/dissect").status == 502
    assert "Invalid URL" in served.wait_log("handler reported an error", PATIENCE, error_type="TypeError")["error"]
    assert served.get("/dissect?url=http://a").json()["host"] == "a", "the process goes on"


def test_words(served):
    a = served.request("POST", "/words", "To be, or not to be: é\n".encode())
    assert a.status == 200 and a.json() == {"words": [["to", 2], ["be", 2], ["or", 1], ["not", 1], ["é", 1]]}
    assert served.request("POST", "/words", "").json() == {"words": []}
    assert served.request("POST", "/words", b"\xff").status == 400
    assert served.request("POST", "/words", "tea " * 60_000).json() == {"words": [["tea", 60_000]]}


def test_primes(served):
    assert served.get("/next-prime/7919").json() == {"number": 7919, "next": 7927}
    assert served.get("/next-prime/1" + "0" * 50).json()["next"] == 10**50 + 151
    for wrong in ("x", "-1", "1%0d%0aEvil:%20yes", "9" * 101):
        assert served.get("/next-prime/" + wrong).status == 400, wrong


def test_upper(served):
    assert served.request("POST", "/upper", "tea").text == "TEA"


# handler: what its command line has, a request for it
REQUESTS = {
    "names": ("names.py", ("GET", "/names/a", None)), "dissect": ("dissect.mjs", ("GET", "/dissect?url=http://a", None)),
    "news": ("news.py", ("POST", "/news", "x")), "words": ("words.pl", ("POST", "/words", "a")), "primes": ("NextPrime.java", ("GET", "/next-prime/1", None)),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_process_that_dies_is_replaced(served, name):
    program, request = REQUESTS[name]
    assert served.request(*request).status == 200
    mine = [pid for pid in served.handler_pids() if program in pathlib.Path(f"/proc/{pid}/cmdline").read_text()]
    assert mine
    for pid in mine:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: served.request(*request).status == 200, PATIENCE, "the recovery")


def test_they_end_when_they_are_asked_to(tmp_path):
    text = (ROOT / "blueprints/scripts.yaml").read_text().replace("../sdk-examples", str(FOLDER))
    handlers = [f"  {n}:" for n in REQUESTS if n not in MISSING]
    blocks = [b for b in re.split(r"(?m)^(?=  [a-z]+:.* #)", text) if b.split(":")[0] + ":" in handlers or not b.startswith("  ")]
    with Gateway(tmp_path, "".join(blocks)) as g:
        for name in REQUESTS.keys() - MISSING:
            assert g.request(*REQUESTS[name][1]).status == 200
        pids = g.handler_pids()
        assert g.stop() == 0 and len(pids) == len(handlers)
        wait_for(lambda: not [p for p in pids if os.path.exists(f"/proc/{p}")], PATIENCE, "the end of the processes")


# --- the gallery as a whole ---
def test_every_folder_has_a_short_readme_and_is_in_the_index():
    index = (FOLDER / "README.md").read_text()
    folders = [f for f in FOLDER.iterdir() if f.is_dir() and f.name not in ("go-sdk", "rust-sdk", "templates")]
    folders += [f for f in (FOLDER / "short-link").iterdir() if f.is_dir() and f.name != "page"]
    assert len(folders) >= 14
    for folder in folders:
        lines = (folder / "README.md").read_text().splitlines()
        assert lines[0].startswith("# ") and len(lines) <= 25, folder
        assert f"({folder.name}/)" in index + (FOLDER / "short-link/README.md").read_text(), folder


def test_every_link_leads_somewhere():
    for readme in FOLDER.glob("**/README.md"):
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", readme.read_text()):
            assert (readme.parent / target).exists(), (readme, target)
