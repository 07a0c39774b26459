"""WebSocket connections and groups by the Go and Rust SDKs and execgate.hpp, against the real gateway: sdk/go/rooms.go,
sdk/rust/src/rooms.rs and sdk/cpp/rooms.cpp are the same handler."""
import os
import subprocess
from urllib.parse import quote

import pytest
from execgate import BUILD, ROOT, Gateway, wait_for
from test_sdk import SOURCES, command
from websocket import BINARY, TEXT, Socket

built = {}
ROOM = "a / tea, \u00e9 & 100%"


def program(language):
    """The handler's command, built once."""
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
    def __init__(self, folder, language):
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
            websockets: {{paths: {{/ws: {{maxGroups: 2}}}}}}
            """)

    def do(self, what, id="", group="", body=""):
        return self.request("POST", f"/do/{what}?id={quote(id)}&group={quote(group, safe='')}", body)


def say(ws, text):
    ws.send(TEXT, text)
    return ws.text()


@pytest.fixture(params=["go", "rust", "cpp"])
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
