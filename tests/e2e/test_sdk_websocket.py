"""WebSocket connections, groups and held event streams by the Go and Rust SDKs, execgate.hpp and the clients of Python and
JavaScript, against the real gateway: sdk/*/rooms.* are the same handler."""
import os
import shutil
import subprocess
from urllib.parse import quote

import pytest
from events import Stream
from execgate import BUILD, ROOT, Gateway, wait_for
from redis_server import RedisServer
from test_sdk import SOURCES, command
from websocket import BINARY, TEXT, Socket

LANGUAGES = ["go", "rust", "cpp", "python", "node"]
SCRIPTS = {"python": ("python3", "rooms.py"), "node": ("node", "rooms.mjs")}
built = {}
ROOM = "a / tea, \u00e9 & 100%"


def script(language):
    tool, name = SCRIPTS[language]
    if not shutil.which(tool):
        pytest.skip(f"the client of {language} is NOT tested: there is no {tool} here")
    return [shutil.which(tool), str(SOURCES / language / name)]


def program(language):
    """The handler's command, built once."""
    if language in SCRIPTS:
        return script(language)
    if language != "cpp":
        return [command(language)[0], "rooms"]
    path = BUILD / "tests/rooms-cpp"
    if "cpp" not in built:
        path.parent.mkdir(parents=True, exist_ok=True)
        made = path.with_suffix(f".{os.getpid()}")  # others build it, too, and may be running it
        subprocess.run(["g++", "-std=c++11", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/sdk-examples", "-o", str(made), str(SOURCES / "cpp/rooms.cpp")], check=True)
        made.replace(path)
        built["cpp"] = [str(path)]
    return built["cpp"]


class Rooms(Gateway):
    def __init__(self, folder, language, cluster=None):
        folder.mkdir(exist_ok=True)
        cluster = f"cluster: {cluster}, " if cluster else ""
        super().__init__(folder, f"""
            blueprint: 1
            name: rooms
            handlers:
              rooms:
                command: {program(language)}
                processes: {{min: 1, max: 1}}
                triggers:
                  - http: POST /do/{{what}}
                  - {{websocket: /ws, reply: true}}
            websockets: {{{cluster}paths: {{/ws: {{maxGroups: 2}}}}}}
            """)

    def do(self, what, id="", group="", body=""):
        return self.request("POST", f"/do/{what}?id={quote(id)}&group={quote(group, safe='')}", body)


def say(ws, text):
    ws.send(TEXT, text)
    return ws.text()


@pytest.fixture(params=LANGUAGES)
def rooms(request, tmp_path):
    with Rooms(tmp_path, request.param) as g:
        yield g


@pytest.fixture
def two(rooms):
    """Two connections and their ids."""
    with Socket(rooms) as one, Socket(rooms) as other:
        yield one, other, *(say(ws, "x").removeprefix("groups 0 [] of ") for ws in (one, other))


def test_a_connection_is_sent_to_and_shown(rooms, two):
    one, _, id, _ = two
    assert rooms.do("send", id, body="h\u00e9llo".encode()).text == "done 0" and one.recv() == (TEXT, "h\u00e9llo".encode())
    assert rooms.do("send", id).text == "done 0" and one.recv() == (TEXT, b"")
    assert rooms.do("send-bytes", id, body=b"text").text == "done 0" and one.recv() == (BINARY, b"text")
    large = b"\0\xff" * 100_000
    assert rooms.do("send-bytes", id, body=large).text == "done 0" and one.recv() == (BINARY, large)
    assert rooms.do("show", id).text == "/ws 0"
    assert rooms.do("close", id, body="you & me = 100%").text == "done 0"
    assert one.closed() == (4321, "you & me = 100%")


def test_groups(rooms, two):
    one, other, first, second = two
    assert rooms.do("join", first, ROOM).text == "done 0" and rooms.do("join", second, ROOM).text == "done 0"
    assert say(one, "?") == f"groups 1 [{ROOM}] of {first}"
    assert rooms.do("show", first).text == "/ws 1"
    assert rooms.do("size", group=ROOM).text == "done 2" and rooms.do("members", group=ROOM).text == f"{first} {second} "
    assert rooms.do("all", group=ROOM, body="all").text == "done 2" and one.text() == other.text() == "all"
    assert rooms.do("all", first, ROOM, "others").text == "done 1" and other.text() == "others"
    assert rooms.do("all-bytes", second, ROOM, b"\xff").text == "done 1" and one.recv() == (BINARY, b"\xff")
    assert rooms.do("leave", first, ROOM).text == "done 0"
    assert rooms.do("members", group=ROOM).text == f"{second} " and say(one, "?").startswith("groups 0 []")
    assert rooms.do("size", group="nobody").text == "done 0" and rooms.do("members", group="nobody").text == ""


def test_who_is_gone_is_no_failure(rooms, two):
    one, _, id, _ = two
    one.close()
    wait_for(lambda: rooms.do("show", id).text == "gone", 30, "the end of the connection")
    for what in ("send", "send-bytes", "close", "join", "leave"):
        assert rooms.do(what, id, "tea", "x").text == "gone", what


def test_what_is_refused_fails_the_event(rooms, two):
    id = two[2]
    for name in ("one", "two"):
        assert rooms.do("join", id, name).text == "done 0"
    assert rooms.do("join", id, "three").status == 502
    told = rooms.wait_log("handler reported an error")
    assert "429" in told["error"] and "maxGroups" in told["error"]
    assert rooms.do("size", group="one").text == "done 1", "the process goes on"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_group_of_two_nodes(tmp_path, language):
    with RedisServer(tmp_path / "redis") as redis, Rooms(tmp_path / "a", language, redis.url) as a, Rooms(tmp_path / "b", language, redis.url) as b:
        with Socket(a) as one, Socket(b) as other, Socket(b) as third:
            ids = [say(ws, "x").removeprefix("groups 0 [] of ") for ws in (one, other, third)]
            for node, id in zip((a, a, b), ids):
                assert node.do("join", id, ROOM).text == "done 0", "also one of another node"
            for node in (a, b):
                assert node.do("size", group=ROOM).text == "done 3"
                listed = node.do("members", group=ROOM).text.split()
                assert len(set(listed)) == 2 and set(listed) <= set(ids), "at most two"
            assert a.do("all", ids[1], ROOM, "but one").text == "done 2" and one.text() == third.text() == "but one"
            assert b.do("send", ids[0], body="from afar").text == "done 0" and one.text() == "from afar"
            assert b.do("show", ids[0]).text == "/ws 1" and say(other, "?") == f"groups 1 [{ROOM}] of {ids[1]}"
            assert b.do("leave", ids[0], ROOM).text == "done 0" and a.do("size", group=ROOM).text == "done 2"
            assert set(a.do("members", group=ROOM).text.split()) == set(ids[1:])
            assert b.do("close", ids[0], body="enough").text == "done 0" and one.closed() == (4321, "enough")


def test_a_stream_that_the_gateway_holds(rooms, two):
    one, _, id, _ = two
    assert rooms.do("join", id, ROOM).text == "done 0"
    stream = Stream(rooms, f"/do/hold?group={quote(ROOM, safe='')}", method="POST")
    assert stream.open().head.status == 200 and stream.head["Content-Type"] == "text/event-stream" and stream.head["Execgate-Groups"] is None
    for group, count in ((ROOM, "done 2"), ("others", "done 1")):
        wait_for(lambda: rooms.do("size", group=group).text == count, 30, "the stream in " + group)
    assert rooms.do("all", group=ROOM, body="news").text == "done 2" and one.text() == "news"
    assert rooms.do("all", group="others", body="more").text == "done 1"
    assert stream.until("data: more\n\n") == "data: hello\n\ndata: news\n\ndata: more\n\n"
