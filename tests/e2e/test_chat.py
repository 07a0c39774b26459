"""The chat of sdk-examples: blueprints/chat.yaml and chat-cluster.yaml with clients in Python and pages in Chromium."""
import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys

import pytest
import websockets
from browser import browser
from execgate import BUILD, EXAMPLES, ROOT, SLOW, Gateway, children, run_cli, wait_for
from redis_server import RedisServer, free_port
from test_browser_cors import CHROMIUM
from test_examples import here

PATIENCE = 30 * SLOW
FOLDER = ROOT / "sdk-examples/chat"
MISSING = [name for name in ("chat-doors", "chat-rooms") if not (EXAMPLES / name).exists()]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"the chat is NOT tested: {MISSING} need Go and Rust to be built")


class Chat(Gateway):
    def __init__(self, folder, name="chat.yaml", port=None, **variables):
        folder.mkdir(exist_ok=True)
        self.chosen = port
        env = {**os.environ, "XDG_STATE_HOME": str(folder.parent / "state"), **variables}
        super().__init__(folder, here(ROOT / "blueprints" / name, folder), args=["--dev-issuer"], env=env)

    def start(self, listen="127.0.0.1:0"):
        super().start(f"127.0.0.1:{self.chosen}" if self.chosen else listen)

    def token(self, name, *words):
        r = run_cli("token", self.file, "--sub", name.lower(), "--claim", f"name={name}", *words, env=self.env)
        assert r.returncode == 0, r.stderr
        return r.stdout.strip()

    @contextlib.asynccontextmanager
    async def guest(self, name, *rooms):
        """A client that has said hello, in these rooms."""
        g = Guest(await websockets.connect(f"ws://127.0.0.1:{self.port}/chat", subprotocols=["chat.v1", "bearer." + self.token(name)],
                                           open_timeout=PATIENCE, close_timeout=PATIENCE, ping_interval=None), name)
        try:
            await g.send(action="hello")
            g.seat = (await g.hear("hello", name=name))["seat"]
            for room in rooms:
                await g.send(action="join", room=room)
                g.here = names(await g.hear("room", room=room))
            yield g
        finally:
            await g.ws.close()


class Guest:
    def __init__(self, ws, name):
        self.ws, self.name = ws, name

    async def send(self, **message):
        await self.ws.send(json.dumps(message))

    async def next(self):
        return json.loads(await asyncio.wait_for(self.ws.recv(), PATIENCE))

    async def hear(self, kind, **fields):
        """The next news of this kind; what comes before is forgotten."""
        while True:
            news = await self.next()
            if news.get("type") == kind and all(news.get(k) == v for k, v in fields.items()):
                return news

    async def ask(self, **message):
        """A question, and what comes next."""
        await self.send(**message)
        return await self.next()

    async def say(self, room, text):
        await self.send(action="say", room=room, text=text)
        return await self.next()

    def drop(self):
        """As a machine that loses its network does."""
        self.ws.transport.abort()


def names(room):
    assert room["count"] == len(room["people"])
    return sorted(p["name"] for p in room["people"])


@pytest.fixture(scope="module")
def chat(tmp_path_factory):
    with Chat(tmp_path_factory.mktemp("chat") / "node") as g:
        yield g


def run(talk):
    asyncio.run(talk)


# --- who may come in ---
def refused(chat, *protocols, **kw):
    async def attempt():
        with pytest.raises(websockets.InvalidStatusCode) as told:
            await websockets.connect(f"ws://127.0.0.1:{chat.port}/chat", subprotocols=protocols or None, open_timeout=PATIENCE, **kw)
        return told.value.status_code
    return asyncio.run(attempt())


def test_only_who_has_a_good_token_comes_in(chat):
    good = "bearer." + chat.token("Ada")
    assert refused(chat) == 401
    assert refused(chat, "chat.v1") == 401
    assert refused(chat, "chat.v1", "bearer.nonsense") == 401
    assert refused(chat, "chat.v1", good[:-6] + "AAAAAA") == 401
    assert refused(chat, "chat.v1", good, origin="https://evil.example") == 403
    assert refused(chat, "chat.v1", "bearer." + chat.token("Ada", "--audience", "shop")) == 403
    assert refused(chat, "chat.v1", "bearer." + chat.token("A" * 41)) == 403, "a name that is too long"
    assert chat.get("/me").status == 401
    assert chat.get("/me", headers={"Authorization": "Bearer " + chat.token("Ada")}).json() == {"name": "Ada"}
    assert chat.get("/me", headers={"Authorization": "Bearer " + chat.token("A\tB")}).status == 403


def test_a_token_is_in_no_log(chat):
    token = chat.token("Ada")

    async def come():
        async with websockets.connect(f"ws://127.0.0.1:{chat.port}/chat", subprotocols=["chat.v1", "bearer." + token]) as ws:
            assert ws.subprotocol == "chat.v1", "the token is not repeated"
    run(come())
    chat.wait_log("websocket closed")
    assert token.rsplit(".", 1)[1] not in chat.stderr_text()


# --- rooms ---
def test_rooms_hear_what_is_said_in_them_and_nothing_else(chat):
    async def talk():
        async with chat.guest("Ada", "tea") as ada, chat.guest("Zoë 😀", "tea") as zoe, chat.guest("Lea", "garden") as lea:
            assert ada.here == ["Ada"] and zoe.here == ["Ada", "Zoë 😀"] and lea.here == ["Lea"]
            assert await ada.next() == {"type": "joined", "room": "tea", "seat": zoe.seat, "name": "Zoë 😀"}
            text = 'two sugars? <b>"\\ é\n\t😀'
            said = await ada.say("tea", text)
            at = said.pop("at")
            assert said == {"type": "said", "room": "tea", "seat": ada.seat, "name": "Ada", "text": text}
            assert await zoe.next() == {**said, "at": at} and 1_700_000_000_000 < at < 10_000_000_000_000
            assert (await lea.say("garden", "nobody here"))["text"] == "nobody here", "the first that she hears"
            assert (await zoe.say("tea", "none"))["name"] == "Zoë 😀"
            counts = (await lea.ask(action="rooms"))["rooms"]
            assert counts == [{"room": "lobby", "people": 0}, {"room": "tea", "people": 2}, {"room": "garden", "people": 1}]
            assert names(await lea.ask(action="who", room="tea")) == ["Ada", "Zoë 😀"]
    run(talk())


def test_somebody_in_two_rooms_hears_both(chat):
    async def talk():
        async with chat.guest("Ada", "tea", "garden") as ada, chat.guest("Lea", "garden") as lea:
            await ada.hear("joined", room="garden", name="Lea")
            assert (await ada.say("tea", "one"))["room"] == "tea"
            await lea.say("garden", "two")
            assert (await ada.next())["text"] == "two"
    run(talk())


def test_what_is_refused(chat):
    async def talk():
        async with chat.guest("Ada", "tea") as ada:
            for message in ({"action": "say", "room": "garden", "text": "let me in"}, {"action": "say", "room": "attic", "text": "x"}, {"action": "say", "text": "x"},
                            {"action": "say", "room": ["tea"], "text": "x"}):
                assert await ada.ask(**message) == {"type": "refused", "why": "You are not in that room"}
            for text in ("", " \n", "a\0b", "\x1b[2J", "x" * 1001, None, 7, ["x"]):
                assert await ada.ask(action="say", room="tea", text=text) == {"type": "refused", "why": "Say something, in at most 1000 characters"}
            for action in ("join", "leave", "who"):
                assert await ada.ask(action=action, room="attic") == {"type": "refused", "why": "There is no such room"}
            for text in ("", "no JSON", "[]", '{"action": "shout"}', '{"action": "say"', '{"action": 7}', b"\xff\xfe"):
                await ada.ws.send(text)
                assert (await ada.next())["why"] == "Send an action: rooms, join, leave, who or say"
            for text in ("x" * 1000, "é" * 1000, "😀" * 1000, "\u2028"):
                assert (await ada.say("tea", text))["text"] == text
    run(talk())


def test_rooms_hear_who_leaves(chat):
    async def talk():
        async with chat.guest("Ada", "tea", "garden") as ada:
            async with chat.guest("Zoë", "tea", "garden") as zoe:
                assert await zoe.ask(action="leave", room="garden") == {"type": "left", "room": "garden", "seat": zoe.seat, "name": "Zoë"}
                await ada.hear("left", room="garden", seat=zoe.seat, name="Zoë")
            await ada.hear("left", room="tea", seat=zoe.seat, name="Zoë")
            async with chat.guest("Lea", "tea", "garden") as lea:
                await ada.hear("joined", room="garden", name="Lea")
                lea.drop()
                assert {(await ada.hear("left", seat=lea.seat))["room"] for _ in range(2)} == {"tea", "garden"}
            assert names(await ada.ask(action="who", room="tea")) == ["Ada"]
    run(talk())


def test_many_at_once(chat):
    """Everybody hears everything once, and each speaker in the order in which he spoke."""
    people, rounds = 9, 20

    async def chatter(g):
        heard = {}
        for i in range(rounds):
            await g.send(action="say", room="lobby", text=str(i))
        while sum(map(len, heard.values())) < people * rounds:
            news = await g.hear("said")
            heard.setdefault(news["name"], []).append(news["text"])
        return heard

    async def talk():
        async with contextlib.AsyncExitStack() as stack:
            guests = [await stack.enter_async_context(chat.guest(f"P{i}", "lobby")) for i in range(people)]
            for heard in await asyncio.gather(*map(chatter, guests)):
                assert heard == {f"P{i}": [str(n) for n in range(rounds)] for i in range(people)}
    run(talk())


def test_handlers_that_die_harm_nobody(chat):
    """Connections and rooms are the gateway's: handlers may come and go."""
    async def said_or_failed(speaker, text):
        """A handler that dies over it may have said it or not; the speaker is told of the failure."""
        await speaker.send(action="say", room="tea", text=text)
        while True:
            news = await speaker.next()
            if news.get("text") == text or "connectionId" in news:
                return "text" in news

    async def heard_again(speaker, listener):
        for i in range(10_000):
            text = f"{speaker.name} is still here {i}"
            if await said_or_failed(speaker, text):
                return await listener.hear("said", text=text)
            await asyncio.sleep(0.01)

    async def all_there(guest):
        """Also those that nobody has asked since; a gateway waits before it starts again what has died often."""
        bearer = {"Authorization": "Bearer " + chat.token("Ada")}
        wait_for(lambda: chat.get("/me", headers=bearer).status == 200, PATIENCE, "the doors")
        for _ in range(10_000):
            if (await guest.ask(action="rooms")).get("type") == "rooms":
                return
            await asyncio.sleep(0.01)
        raise AssertionError("nobody answers for the rooms")

    async def talk():
        async with chat.guest("Ada", "tea") as ada, chat.guest("Zoë", "tea") as zoe:
            for _ in range(3):
                before = children(chat.pid)
                for pid in before:
                    os.kill(pid, signal.SIGKILL)
                await heard_again(ada, zoe)
                await heard_again(zoe, ada)
                assert not set(before) & set(chat.handler_pids())
            await all_there(ada)
            async with chat.guest("Lea", "tea") as lea:
                assert lea.here == ["Ada", "Lea", "Zoë"]
            await ada.hear("left", seat=lea.seat)
    run(talk())


# --- the page ---
def sign_in(page, token):
    page.do(f"document.getElementById('token').value = {json.dumps(token)}; document.getElementById('door').requestSubmit()")
    page.wait("document.getElementById('state').textContent.startsWith('You are')", "the greeting")


def choose(page, room):
    page.wait(f"[...document.querySelectorAll('#rooms button')].some((b) => b.textContent === '{room}')")
    page.do(f"[...document.querySelectorAll('#rooms button')].find((b) => b.textContent === '{room}').click()")


def say(page, text):
    page.do(f"document.getElementById('text').value = {json.dumps(text)}; document.getElementById('say').requestSubmit()")


def texts(page, list_id):
    return page.do(f"[...document.querySelectorAll('#{list_id} li')].map((li) => li.textContent)")


def wait_texts(page, list_id, wanted):
    wait_for(lambda: texts(page, list_id) == wanted, PATIENCE, f"{wanted} in {list_id}")


needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="needs Debian's chromium")


@needs_chromium
def test_two_pages_chat(chat, tmp_path):
    home, mischief = f"http://127.0.0.1:{chat.port}/", "<img src=x onerror=alert(1)><script>alert(2)</script>"
    with browser(tmp_path) as b:
        one, two = b.open(home), b.open(home)
        sign_in(one, chat.token("Ada"))
        choose(one, "tea")
        wait_texts(one, "people", ["Ada"])
        sign_in(two, chat.token(mischief[:40]))
        choose(two, "tea")
        wait_texts(two, "people", sorted([mischief[:40], "Ada"]))
        wait_texts(one, "people", sorted([mischief[:40], "Ada"]))
        say(one, "hello 😀")
        say(two, mischief)
        wait_texts(one, "lines", [mischief[:40] + " came", "Adahello 😀", mischief[:40] + mischief])
        assert one.do("document.querySelectorAll('img, main script').length") == 0, "what is said is text"
        choose(two, "garden")
        wait_texts(two, "people", [mischief[:40]])
        assert texts(two, "lines") == []
        two.do("document.getElementById('leave').click()")
        choose(two, "tea")
        two.do("document.getElementById('out').click()")
        wait_texts(one, "people", ["Ada"])
        assert texts(one, "lines")[-1] == mischief[:40] + " left"
        assert two.do("document.getElementById('chat').hidden && !document.getElementById('door').hidden")
        assert one.complaints == [] and two.complaints == [], "no error, and nothing against the Content-Security-Policy"


@needs_chromium
def test_a_page_with_a_bad_token_stays_outside(chat, tmp_path):
    with browser(tmp_path) as b:
        page = b.open(f"http://127.0.0.1:{chat.port}/#nonsense")
        page.wait("document.getElementById('state').textContent.includes('not valid')")
        assert page.do("document.getElementById('chat').hidden && location.hash === ''")


@needs_chromium
def test_a_page_comes_back(tmp_path):
    port = free_port()
    with browser(tmp_path) as b:
        with Chat(tmp_path / "node", port=port) as g:
            page = b.open(f"http://127.0.0.1:{port}/#" + g.token("Ada", "--ttl", "1h"))
            choose(page, "garden")
            wait_texts(page, "people", ["Ada"])
            page.do("const later = setTimeout, waits = []; window.setTimeout = (f, ms) => (waits.push(ms), later(f, ms))")
        hint = re.fullmatch(r"reconnect in (\d+) ms", g.logs("websocket closed")[0]["reason"])
        page.wait("waits.length > 0", "the page to wait")
        assert page.do("waits[0]") == int(hint[1])
        with Chat(tmp_path / "node", port=port) as g:
            page.wait("document.getElementById('state').textContent === 'You are Ada'")
            wait_texts(page, "people", ["Ada"])

            async def talk():
                async with g.guest("Zoë", "garden") as zoe:
                    assert zoe.here == ["Ada", "Zoë"]
                    await zoe.say("garden", "welcome back")
            run(talk())
            page.wait("[...document.querySelectorAll('#lines li')].some((li) => li.textContent === 'Zoëwelcome back')")


def test_what_a_page_is_told_about_itself(chat):
    for path, kind in {"/": "text/html", "/chat.js": "text/javascript", "/chat.css": "text/css"}.items():
        a = chat.get(path)
        assert a.status == 200 and a["Content-Type"] == kind + "; charset=utf-8" and a["X-Content-Type-Options"] == "nosniff"
        policy = a["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and a["Referrer-Policy"] == "no-referrer"
    assert not re.search(r"https?://|innerHTML|insertAdjacent|document\.write|eval\(", chat.get("/").text + chat.get("/chat.js").text)


# --- other ways in ---
def terminal(chat, name, room):
    env = {**os.environ, "CHAT_TOKEN": chat.token(name)}
    return subprocess.Popen([sys.executable, str(FOLDER / "terminal.py"), f"ws://127.0.0.1:{chat.port}/chat", room],
                            env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)


def test_in_a_terminal(chat):
    with terminal(chat, "Ada", "lobby") as ada:
        assert ada.stdout.readline() == "* here: Ada\n"
        with terminal(chat, "Zoë", "lobby") as zoe:
            assert zoe.stdout.readline() == "* here: Ada, Zoë\n" and ada.stdout.readline() == "* Zoë came\n"
            ada.stdin.write("hello\n")
            assert zoe.stdout.readline() == ada.stdout.readline() == "Ada: hello\n"
            zoe.stdin.close()
            assert zoe.wait(PATIENCE) == 0
        assert ada.stdout.readline() == "* Zoë left\n"
        ada.stdin.close()
        assert ada.wait(PATIENCE) == 0


def test_the_terminal_says_why_not(chat):
    def said(address, **env):
        r = subprocess.run([sys.executable, str(FOLDER / "terminal.py"), address], env={**os.environ, **env}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
        assert r.returncode == 1 and "Traceback" not in r.stderr, r.stderr
        return r.stderr
    address = f"ws://127.0.0.1:{chat.port}/chat"
    assert "CHAT_TOKEN is not set" in said(address) and "401" in said(address, CHAT_TOKEN="x") and "isn't a valid URI" in said("nowhere", CHAT_TOKEN="x")


# --- two nodes ---
@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nodes")
    with RedisServer(folder / "redis") as redis, Chat(folder / "a", "chat-cluster.yaml", REDIS_URL=redis.url) as a, \
            Chat(folder / "b", "chat-cluster.yaml", REDIS_URL=redis.url) as b:
        a.redis = redis.url
        yield a, b


def test_rooms_reach_over_both_nodes(nodes):
    a, b = nodes

    async def talk():
        async with a.guest("Ada", "tea") as ada, b.guest("Zoë", "tea") as zoe, b.guest("Lea", "garden") as lea:
            assert zoe.here == ["Ada", "Zoë"]
            await ada.hear("joined", room="tea", seat=zoe.seat)
            for speaker, listener in ((ada, zoe), (zoe, ada)) * 5:
                said = await speaker.say("tea", f"{speaker.name} is here")
                assert said["name"] == speaker.name and await listener.next() == said, "once each"
            assert (await lea.say("garden", "only me"))["text"] == "only me"
            assert [r["people"] for r in (await ada.ask(action="rooms"))["rooms"]] == [0, 2, 1]
            assert names(await ada.ask(action="who", room="tea")) == ["Ada", "Zoë"]
            zoe.drop()
            await ada.hear("left", room="tea", seat=zoe.seat, name="Zoë")
    run(talk())


def test_rooms_hear_who_was_on_a_node_that_dies(nodes):
    a, _ = nodes
    third = Chat(a.folder.parent / "c", "chat-cluster.yaml", REDIS_URL=a.redis)

    async def talk():
        async with a.guest("Ada", "tea", "lobby") as ada:
            async with third.guest("Zoë", "tea", "lobby") as zoe:
                await ada.hear("joined", room="lobby", seat=zoe.seat)
                await zoe.ask(action="leave", room="lobby")
                await ada.hear("left", room="lobby")
                third.stop(signal.SIGKILL)
                assert await ada.hear("left") == {"type": "left", "room": "tea", "seat": zoe.seat, "name": "Zoë"}
            assert names(await ada.ask(action="who", room="tea")) == ["Ada"]
    third.start()
    try:
        run(talk())
    finally:
        third.stop(signal.SIGKILL)


@needs_chromium
def test_two_pages_on_two_nodes(nodes, tmp_path):
    with browser(tmp_path) as b:
        one, two = (b.open(f"http://127.0.0.1:{node.port}/") for node in nodes)
        for page, node, name in ((one, nodes[0], "Ada"), (two, nodes[1], "Zoë")):
            sign_in(page, node.token(name))
            choose(page, "garden")
        for page in (one, two):
            wait_texts(page, "people", ["Ada", "Zoë"])
        say(one, "from the one")
        wait_texts(two, "lines", ["Adafrom the one"])
        say(two, "from the other")
        wait_texts(one, "lines", ["Zoë came", "Adafrom the one", "Zoëfrom the other"])
        two.do("document.getElementById('out').click()")
        wait_texts(one, "people", ["Ada"])
        assert one.complaints == [] and two.complaints == []


# --- README.md ---
def readme(words):
    """The lines of commands in the README that have these words."""
    return [line.strip() for line in (FOLDER / "README.md").read_text().splitlines() if line.startswith("    ") and words in line]


def test_the_readme_as_it_is_written(chat):
    token, me, = readme("T=$(")[0], readme("curl ")[0]
    assert "blueprints/chat.yaml" in token and "blueprints/chat.yaml --dev-issuer" in readme("build/execgate run")[0]
    said = re.search(r"# (\{.*\})", me)[1]
    script = f"{token}\n{me}\nCHAT_TOKEN=$T sdk-examples/chat/terminal.py ws://127.0.0.1:8080/chat </dev/null"
    script = script.replace("build/execgate", str(BUILD / "execgate")).replace("127.0.0.1:8080", f"127.0.0.1:{chat.port}").replace("blueprints/chat.yaml", str(chat.file))
    assert readme("terminal.py")[0].startswith("CHAT_TOKEN=$T sdk-examples/chat/terminal.py ")
    r = subprocess.run(["sh", "-c", script], cwd=ROOT, env=chat.env, capture_output=True, text=True, timeout=PATIENCE)
    assert r.returncode == 0, r.stderr
    assert r.stdout.splitlines()[0] == said


def test_both_blueprints_are_the_same_chat():
    one, many = ((ROOT / "blueprints" / name).read_text() for name in ("chat.yaml", "chat-cluster.yaml"))
    assert sum("cluster:" in line for line in many.splitlines()) == 1
    rest = [re.sub(r"(?m)^(#.*\n)*|^  cluster: .*\n|^  - http: .*\n", "", text) for text in (one, many)]
    assert rest[0] == rest[1]
    for line in readme("chat-cluster.yaml") + readme("redis-server"):
        assert line.lstrip("# ") in many.replace("#   ", ""), "as the blueprint's comment has it"
