"""WebSocket paths as clients and handlers meet them (docs/websockets.md)."""
import asyncio
import contextlib
import itertools
import json
import os
import resource
import signal
import socket
import ssl
import textwrap
import threading
import time
import zlib

import pytest
import websockets
from execgate import EXAMPLES, SLOW, Gateway, read_answer, run_cli, wait_for
from native import Native, message
from puppet import SCRIPT, Api, environment
from test_tls import certify
from websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Refused, Socket, close_payload, frame

ECHO = f"""
blueprint: 1
name: ws
handlers:
  echo:
    command: {EXAMPLES}/echo
    processes: {{min: 1, max: 2}}
    triggers:
      - {{websocket: /ws, reply: true}}
"""


def echo(paths="", top=""):
    return ECHO + (f"websockets: {{paths: {{/ws: {{{paths}}}}}}}\n" if paths else "") + top


PUPPET = """
blueprint: 1
name: ws
limits: {shutdownTimeout: 500ms}
handlers:
  puppet:
    command: ./puppet.sh
    processes: {min: 1, max: 1, concurrency: 8, startTimeout: 1m, stopTimeout: 200ms}
    triggers:
"""


@contextlib.contextmanager
def puppet(folder, triggers, rest="", **kw):
    text = PUPPET + "".join(f"      - {{{t}}}\n" for t in triggers) + rest
    with Gateway(folder, text, files={"puppet.sh": SCRIPT}, **kw) as g:
        yield g, environment(folder)


def connecting(*words, **kw):
    """A Socket in the making, while the test speaks for the handler: .result() gives it or raises Refused."""
    box = {}

    def run():
        try:
            box["socket"] = Socket(*words, **kw)
        except Exception as e:  # told to whoever asks for the result
            box["failure"] = e

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def result():
        thread.join(60)
        assert box, "the handshake hangs"
        if "failure" in box:
            raise box["failure"]
        return box["socket"]
    return result


# --- messages ---
def test_messages_go_and_come_back(gateway):
    with gateway(echo()) as g, Socket(g) as ws:
        for size in (1, 125, 126, 65535, 65536, 131072):
            ws.send(TEXT, "a" * size)
            assert ws.recv() == (TEXT, b"a" * size)
        ws.send(BINARY, b"\xff\0\xfe")
        assert ws.recv() == (BINARY, b"\xff\0\xfe")
        ws.send(TEXT, "frag", fin=False)
        ws.send(PING, "between")
        ws.send(CONTINUATION, "ments")
        assert ws.recv() == (PONG, b"between")
        assert ws.recv() == (TEXT, b"fragments")


def test_bytes_behind_the_handshake_are_the_first_message(gateway):
    with gateway(echo()) as g, Socket(g, early=frame(TEXT, "early") + frame(TEXT, "too")) as ws:
        assert ws.text() == "early"
        assert ws.text() == "too"


def test_a_client_library_of_others(gateway):
    async def talk(g):
        async with websockets.connect(f"ws://127.0.0.1:{g.port}/ws") as ws:
            assert ws.extensions, "permessage-deflate was not agreed on"
            for text in ("hello", "many words " * 1000, "\N{GRINNING FACE}" * 50):
                await ws.send(text)
                assert await asyncio.wait_for(ws.recv(), 30) == text
            await ws.send(b"\0\1" * 500)
            assert await asyncio.wait_for(ws.recv(), 30) == b"\0\1" * 500
            await asyncio.wait_for(await ws.ping(), 30)
        assert ws.close_code == 1000
    with gateway(echo()) as g:
        asyncio.run(talk(g))
        closed = g.wait_log("websocket closed")
        assert closed["code"] == 1000 and closed["path"] == "/ws"


def test_one_at_a_time_in_order(tmp_path):
    with puppet(tmp_path, ["websocket: /ws, reply: true"]) as (g, env), Socket(g) as ws:
        api = Native(env)
        for i in range(30):
            ws.send(TEXT, str(i))
        seen, reply = [], api.exchange()
        while True:
            assert len(reply.events) == 1, "a second message before the first was answered"
            seen.append(reply.events[0].body.decode())
            answer = message(reply.events[0].id, reply.events[0].body)
            if len(seen) == 30:
                break
            reply = api.exchange(answer)
        assert seen == [str(i) for i in range(30)]
        api.send_exchange(answer)
        assert [ws.text() for _ in range(30)] == seen


def test_several_at_a_time(tmp_path):
    rest = "websockets: {paths: {/ws: {concurrency: 3}}}\n"
    with puppet(tmp_path, ["websocket: /ws"], rest) as (g, env), Socket(g) as ws:
        api = Native(env)
        for i in range(4):
            ws.send(TEXT, str(i))
        held = []
        while len(held) < 3:
            held += api.exchange(max=8).events
        assert sorted(e.body for e in held) == [b"0", b"1", b"2"]
        assert api.exchange(message(held[0].id, b""), max=8).events[0].body == b"3"


# --- events ---
def test_events_of_the_native_face(tmp_path):
    triggers = ['websocket: "/rooms/{room}", route: $connect', 'websocket: "/rooms/{room}", route: $disconnect',
                'websocket: "/rooms/{room}", route: join', 'websocket: "/rooms/{room}"']
    rest = 'websockets: {paths: {"/rooms/{room}": {routeKey: do.what}}}\n'
    with puppet(tmp_path, triggers, rest) as (g, env):
        api = Native(env)
        dial = connecting(g, "/rooms/7?x=1", {"User-Agent": "me", "X-Own": "1", "Execgate-Connection-Id": "forged"})
        e = api.exchange().events[0]
        assert e.start == "POST /websocket/rooms/7/$connect?x=1 HTTP/1.1"
        assert e["Execgate-Trigger"] == "websocket" and e["X-Own"] == "1" and e["Execgate-Parameters"] == "room=7"
        assert e["Execgate-Route"] == "websocket /rooms/{room} $connect" and len(e.all("Execgate-Connection-Id")) == 1
        id = e["Execgate-Connection-Id"]
        assert len(id) == 32 and int(id, 16)
        answer = message(e.id, b"welcome", fields=[("Set-Cookie", "a=b"), ("X-Not-Passed-On", "1")])
        api.send_exchange(answer)
        with dial() as ws:
            assert ws.answer["Set-Cookie"] == "a=b" and ws.answer["X-Not-Passed-On"] is None
            ws.send(TEXT, '{"do": {"what": "join"}, "n": 1}')
            e = api.read_exchange().events[0]
            assert e.start == "POST /websocket/rooms/7/join HTTP/1.1" and e.body == b'{"do": {"what": "join"}, "n": 1}'
            assert e["Execgate-Connection-Id"] == id and e["Content-Type"].startswith("text/plain") and e["Execgate-Message-Id"]
            for payload in ('{"do": {"what": "leave"}}', '{"do": {"what": "$connect"}}', "no JSON", '{"do": "join"}'):
                ws.send(TEXT, payload)
                e = api.exchange(message(e.id)).events[0]
                assert e.start.split("/")[-2].startswith("$default") and e.body == payload.encode()
            ws.send(BINARY, b'{"do": {"what": "join"}}')
            e = api.exchange(message(e.id)).events[0]
            assert e["Execgate-Websocket-Route"] == "$default" and e["Content-Type"] == "application/octet-stream"
            ws.send(CLOSE, close_payload(4321, "enough"))
            assert ws.closed()[0] == 4321
            e = api.exchange(message(e.id)).events[0]
            assert e.start == "POST /websocket/rooms/7/$disconnect HTTP/1.1"
            assert e["Execgate-Close-Code"] == "4321" and e["Execgate-Connection-Id"] == id
            api.send_exchange(message(e.id))


def test_events_of_the_lambda_face(tmp_path):
    triggers = ["websocket: /ws, route: $connect", "websocket: /ws, route: $disconnect", "websocket: /ws, reply: true"]
    with puppet(tmp_path, triggers) as (g, env):
        api = Api(env)

        def event():
            r = api.next()
            return r["Lambda-Runtime-Aws-Request-Id"], r.json()
        dial = connecting(g, "/ws?a=1&a=2", {"Sec-WebSocket-Protocol": "v1, v2", "User-Agent": "me"})
        id, e = event()
        context = e["requestContext"]
        assert context["eventType"] == "CONNECT" and context["routeKey"] == "$connect" and e["isBase64Encoded"] is False
        assert e["multiValueQueryStringParameters"] == {"a": ["1", "2"]} and e["headers"]["Sec-WebSocket-Protocol"] == "v1, v2"
        assert context["identity"] == {"sourceIp": "127.0.0.1", "userAgent": "me"}
        api.respond(id, {"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": "v2"}})
        with dial() as ws:
            assert ws.answer["Sec-WebSocket-Protocol"] == "v2"
            ws.send(TEXT, "hi")
            id, e = event()
            assert e["body"] == "hi" and e["requestContext"]["eventType"] == "MESSAGE" and "headers" not in e
            assert e["requestContext"]["connectionId"] == context["connectionId"]
            api.respond(id, {"statusCode": 200, "body": "hello"})
            assert ws.text() == "hello"
            ws.send(BINARY, b"\xff\0")
            id, e = event()
            assert e["body"] == "/wA=" and e["isBase64Encoded"] is True
            api.respond(id, {"statusCode": 200, "body": "/wA=", "isBase64Encoded": True})
            assert ws.recv() == (BINARY, b"\xff\0")
            ws.send(BINARY, b"plain")
            id, e = event()
            assert e["body"] == "cGxhaW4=" and e["isBase64Encoded"] is True, "its kind must not be lost"
            api.respond(id, {"statusCode": 200})
            ws.send(TEXT, "fail")
            id, e = event()
            api.error(id, {"errorMessage": "secret", "errorType": "Bad"})
            told = json.loads(ws.text())
            assert told["connectionId"] == context["connectionId"] and told["requestId"] == id and "secret" not in str(told)
        id, e = event()
        assert e["requestContext"]["eventType"] == "DISCONNECT" and e["requestContext"]["disconnectStatusCode"] == 1006
        api.respond(id, {"statusCode": 200})


# --- the handshake ---
@pytest.mark.parametrize("headers, status", [
    ({"Upgrade": None}, 426), ({"Connection": "keep-alive"}, 426), ({"Sec-WebSocket-Version": "12"}, 426),
    ({"Sec-WebSocket-Key": "short"}, 400), ({"Sec-WebSocket-Key": None}, 400), ({"Sec-WebSocket-Version": None}, 400),
    ({"Connection": "keep-alive, Upgrade", "Upgrade": "WebSocket"}, 101)])
def test_handshakes(gateway, headers, status):
    with gateway(echo()) as g:
        if status == 101:
            Socket(g, headers=headers).close()
            return
        with pytest.raises(Refused) as refused:
            Socket(g, headers=headers)
        answer = refused.value.answer
        assert answer.status == status and answer["Content-Type"] == "application/problem+json"
        assert (answer["Sec-WebSocket-Version"] == "13") == (status == 426)
        assert g.get("/ws").status == 426
        # RFC 9110 7.8: whoever sends Upgrade says so in Connection, also beside a close.
        words = {word.strip().lower() for word in (answer["Connection"] or "").split(",")}
        assert ("upgrade" in words) == (answer["Upgrade"] == "websocket") == (status == 426)
        last = g.get("/ws", headers={"Connection": "close"})
        assert {word.strip().lower() for word in last["Connection"].split(",")} == {"close", "upgrade"}
        assert g.request("POST", "/ws").status == 405


def test_connect_refuses_with_its_own_answer(tmp_path):
    with puppet(tmp_path, ["websocket: /ws, route: $connect", "websocket: /ws, route: $disconnect", "websocket: /ws"]) as (g, env):
        api = Native(env)
        dial = connecting(g)
        e = api.exchange().events[0]
        api.send_exchange(message(e.id, b"not you", status=403, fields=[("X-Why", "mood")]))
        with pytest.raises(Refused) as refused:
            dial()
        assert refused.value.answer.status == 403 and refused.value.answer.body == b"not you" and refused.value.answer["X-Why"] == "mood"
        dial = connecting(g)
        e = api.read_exchange().events[0]
        assert e["Execgate-Websocket-Route"] == "$connect", "a connection that never was has ended"
        api.send_exchange(message(e.id, b"boom", fields=[("Execgate-Error", "Broken")]))
        with pytest.raises(Refused) as refused:
            dial()
        assert refused.value.answer.status == 502 and b"boom" not in refused.value.answer.body


def test_a_client_that_leaves_during_connect_has_disconnected(tmp_path):
    with puppet(tmp_path, ["websocket: /ws, route: $connect", "websocket: /ws, route: $disconnect", "websocket: /ws"]) as (g, env):
        api = Native(env)
        s = g.connect()
        s.sendall(b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                  b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        e = api.exchange().events[0]
        s.close()
        g.wait_log("request", path="/ws", status=499)
        e2 = api.exchange(message(e.id)).events[0]
        assert e2["Execgate-Websocket-Route"] == "$disconnect" and e2["Execgate-Close-Code"] == "1006"
        assert e2["Execgate-Connection-Id"] == e["Execgate-Connection-Id"]
        api.send_exchange(message(e2.id))


GUARDED = """
auth:
  default: key
  guards:
    key: {type: apiKey, in: "protocol:key", keys: {acme: "${env.WS_KEY}"}}
"""


def test_guards_stand_before_the_upgrade(tmp_path):
    rest = GUARDED + "websockets: {paths: {/ws: {protocols: chat}}}\n"
    with puppet(tmp_path, ["websocket: /ws"], rest, env={**os.environ, "WS_KEY": "open-sesame-0123456789"}) as (g, env):
        api = Native(env)
        for headers in ({}, {"X-Api-Key": "wrong"}, {"Sec-WebSocket-Protocol": "chat, key.wrong"}):
            with pytest.raises(Refused) as refused:
                Socket(g, headers=headers)
            assert refused.value.answer.status == 401 and refused.value.answer["WWW-Authenticate"]
        with Socket(g, headers={"Sec-WebSocket-Protocol": "chat, key.open-sesame-0123456789"}) as ws:
            assert ws.answer["Sec-WebSocket-Protocol"] == "chat"
            for i in range(2):
                ws.send(TEXT, "who am I")
                e = api.exchange(message(e.id) if i else b"").events[0]
                assert json.loads(e["Execgate-Claims"]) == {"sub": "acme"}, "claims travel with every message"
                assert "open-sesame-0123456789" not in str(e.fields)
            api.send_exchange(message(e.id))


@pytest.mark.parametrize("origins, origin, may", [
    ("cors", None, True), ("cors", "https://shop.example", True), ("cors", "https://evil.example", False),
    ("cors", "http://localhost", True), ("cors", "null", False), ("any", "https://evil.example", True),
    ("[https://other.example]", "https://other.example", True), ("[https://other.example]", "https://shop.example", False)])
def test_origins(gateway, origins, origin, may):
    with gateway(echo(f"origins: {origins}", "cors: {allowOrigins: [https://shop.example]}\n")) as g:
        if may:
            Socket(g, headers={"Origin": origin}).close()
            return
        with pytest.raises(Refused) as refused:
            Socket(g, headers={"Origin": origin})
        assert refused.value.answer.status == 403


# --- limits and liveness ---
def closes(g, data, code):
    with Socket(g) as ws:
        ws.raw(data)
        assert ws.closed()[0] == code
        assert ws.at_end()


def test_limits_of_messages_and_frames(gateway):
    with gateway(echo("maxMessage: 1000B, maxFrame: 600B")) as g:
        closes(g, frame(TEXT, "a" * 601), 1009)
        closes(g, frame(TEXT, "a" * 600, fin=False) + frame(CONTINUATION, "a" * 401), 1009)
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        bomb = packer.compress(b"\0" * 100000) + packer.flush(zlib.Z_SYNC_FLUSH)
        with Socket(g, headers={"Sec-WebSocket-Extensions": "permessage-deflate"}) as ws:
            ws.send(BINARY, bomb[:-4], rsv=4)
            assert ws.closed()[0] == 1009


def test_what_is_wrong_is_answered_with_its_code(gateway):
    with gateway(echo()) as g:
        closes(g, frame(TEXT, "bare", mask=False), 1002)
        closes(g, frame(3), 1002)
        closes(g, frame(TEXT, b"\xff"), 1007)
        closes(g, frame(CLOSE, close_payload(1005)), 1002)
        closes(g, frame(CLOSE, close_payload(1000, "bye")), 1000)
        closes(g, frame(CLOSE), 1005)
        assert {e["code"] for e in wait_for(lambda: len(g.logs("websocket closed")) == 6 and g.logs("websocket closed"))} == {1002, 1007, 1000, 1005}


def test_a_silent_client_is_found_out(gateway):
    with gateway(echo("pingInterval: 50ms, pongTimeout: 200ms")) as g, Socket(g) as ws:
        assert ws.recv() == (PING, b"")
        ws.send(PONG)
        assert ws.recv() == (PING, b"")
        assert ws.at_end()
        assert g.wait_log("websocket closed")["code"] == 1006


def test_an_idle_client_is_sent_away(gateway):
    with gateway(echo("idleTimeout: 100ms")) as g, Socket(g) as ws:
        assert ws.closed() == (1001, "idle for too long")


def test_connections_per_client(gateway):
    with gateway(echo("maxPerClient: 2, maxConnections: 2")) as g, Socket(g), Socket(g) as second:
        with pytest.raises(Refused) as refused:
            Socket(g)
        assert refused.value.answer.status == 429
        second.send(CLOSE, close_payload(1000))
        second.closed()

        def again():
            with contextlib.suppress(Refused):
                return Socket(g)
        wait_for(again, what="a place of the client that left").close()


def test_a_rate_is_kept_by_reading_later(gateway):
    with gateway(echo("messageRate: 50/s, messageBurst: 5")) as g, Socket(g) as ws:
        begin = time.monotonic()
        ws.raw(b"".join(frame(TEXT, str(i)) for i in range(30)))
        assert [ws.text() for _ in range(30)] == [str(i) for i in range(30)]
        assert time.monotonic() - begin > 0.4, "30 messages at 50 a second, 5 of them at once"


def test_who_does_not_read_is_sent_away(tmp_path):
    rest = "websockets: {paths: {/ws: {maxOutbound: 64KiB}}}\n"
    with puppet(tmp_path, ["websocket: /ws, route: $disconnect", "websocket: /ws"], rest) as (g, env), Socket(g) as slow, Socket(g) as quick:
        api, events = Api(env), Native(env)
        ids = [c["connectionId"] for c in api.call("GET", "/v1/connections").json()["connections"]]
        for id in ids:
            assert api.call("PUT", f"/v1/connections/{id}/groups/all").status == 204
        got = []
        reader = threading.Thread(target=lambda: [got.append(quick.recv()) for _ in range(200)], daemon=True)
        reader.start()
        sent = []
        for i in range(200):
            sent.append(api.call("POST", "/v1/groups/all/messages", b"x" * 100_000).json()["sent"])
            wait_for(lambda n=i: len(got) > n, what="the quick one's message")
        assert sent[0] == 2 and sent[-1] == 1, "one of the two has been closed"
        reader.join(60)
        assert len(got) == 200, "the quick one got them all"
        e = events.exchange().events[0]
        assert e["Execgate-Close-Code"] == "1013"
        assert slow.closed()[0] == 1013
        events.send_exchange(message(e.id))


# --- sends, groups, inspection ---
def test_handlers_send_close_and_inspect(tmp_path):
    with puppet(tmp_path, ["websocket: /ws"]) as (g, env), Socket(g, headers={"User-Agent": "me"}) as ws:
        api = Api(env)
        listed = api.call("GET", "/v1/connections").json()
        assert listed["open"] == 1
        c = listed["connections"][0]
        id = c["connectionId"]
        assert c["path"] == "/ws" and c["identity"] == {"sourceIp": "127.0.0.1", "userAgent": "me"} and c["groups"] == []
        for place in (f"/v1/connections/{id}", f"/@connections/{id}", f"/%40connections/{id}"):
            assert api.call("POST", place, "text").status == 200
            assert ws.recv() == (TEXT, b"text")
            assert api.call("POST", place, b"text", {"Content-Type": "application/octet-stream"}).status == 200
            assert ws.recv() == (BINARY, b"text")
            assert api.call("GET", place).json()["connectionId"] == id
        gone = "0" * 32
        r = api.call("POST", "/v1/connections", json.dumps({"connectionIds": [id, gone], "base64": "/wA="}))
        assert r.json()["results"] == [{"connectionId": id, "status": 200}, {"connectionId": gone, "status": 410}]
        assert ws.recv() == (BINARY, b"\xff\0")
        assert api.call("DELETE", f"/v1/connections/{id}?code=1005").status == 400
        assert api.call("DELETE", f"/@connections/{id}?code=4000&reason=no+more").status == 204
        assert ws.closed() == (4000, "no more")
        for method in ("POST", "GET", "DELETE"):
            assert api.call(method, f"/v1/connections/{id}").status == 410
        assert api.call("PATCH", f"/v1/connections/{id}").status == 405
        for body in ("", "{}", '{"connectionIds": "x", "text": ""}', '{"connectionIds": [], "text": "", "base64": ""}',
                     '{"connectionIds": [], "base64": "?"}'):
            assert api.call("POST", "/v1/connections", body).status == 400


def test_groups(tmp_path):
    rest = "websockets: {paths: {/ws: {maxGroups: 2}}}\n"
    with puppet(tmp_path, ["websocket: /ws"], rest) as (g, env), Socket(g) as a, Socket(g) as b:
        api = Api(env)
        first, second = [c["connectionId"] for c in api.call("GET", "/v1/connections").json()["connections"]]
        for id in (first, second, first):
            assert api.call("PUT", f"/v1/connections/{id}/groups/a%20room").status == 204
        assert api.call("PUT", f"/v1/connections/{first}/groups/two").status == 204
        assert api.call("PUT", f"/v1/connections/{first}/groups/three").status == 429
        assert api.call("PUT", f"/v1/connections/{first}/groups/" + "x" * 129).status == 400
        assert api.call("GET", f"/v1/connections/{first}").json()["groups"] == ["a room", "two"]
        assert api.call("GET", "/v1/groups/a%20room").json() == {"connections": 2}
        assert api.call("POST", "/v1/groups/a%20room/messages", "hi").json() == {"sent": 2}
        assert a.text() == b.text() == "hi"
        assert api.call("POST", f"/v1/groups/a%20room/messages?except={first}", "others").json() == {"sent": 1}
        assert b.text() == "others"
        members = lambda words: [c["connectionId"] for c in api.call("GET", "/v1/connections?group=" + words).json()["connections"]]
        for method, path, word in (("POST", "/v1/groups/" + "x" * 129 + "/messages", "a group's name"), ("GET", "/v1/groups/%01", "a group's name"),
                                   ("GET", "/v1/connections?limit=x", "limit: a number"),
                                   ("POST", f"/v1/connections/{first}?informClients={second}", "informClients: goes with ack")):
            r = api.call(method, path, "hi" if method == "POST" else b"")
            assert r.status == 400 and word in r.json()["detail"], path
        assert members("a%20room") == [first, second] and members("two") == [first] and members("none") == []
        assert members("a%20room&limit=1") == [first] and members(f"a%20room&after={first}") == [second] and members(f"a%20room&after={second}") == []
        assert api.call("GET", f"/v1/connections?group=two&after={second}").status == 410
        assert api.call("DELETE", f"/v1/connections/{second}/groups/a%20room").status == 204
        a.send(CLOSE, close_payload(1000))
        a.closed()
        wait_for(lambda: api.call("GET", "/v1/groups/a%20room").json() == {"connections": 0})
        assert api.call("POST", "/v1/groups/nobody/messages", "x").json() == {"sent": 0}


def test_events_name_the_groups(tmp_path):
    with puppet(tmp_path, ["websocket: /ws, route: $connect", "websocket: /ws, route: $disconnect", "websocket: /ws"]) as (g, env):
        api, calls = Native(env), Api(env)
        dialled = connecting(g)
        e = api.exchange().events[0]
        assert e["Execgate-Groups"] is None
        api.send_exchange(message(e.id))
        with dialled() as ws:
            ws.send(TEXT, "one")
            e = api.read_exchange().events[0]
            assert e["Execgate-Groups"] is None
            for group in ("a%2Cb", "t%C3%AB%20a"):
                assert calls.call("PUT", f"/v1/connections/{e['Execgate-Connection-Id']}/groups/{group}").status == 204
            ws.send(TEXT, "two")
            e = api.exchange(message(e.id)).events[0]
            assert e["Execgate-Groups"] == "a%2Cb,t%C3%AB%20a"
            ws.send(TEXT, "three")
            wait_for(lambda: calls.call("GET", "/v1/connections").json()["connections"][0]["lastActiveAt"], 30)
            ws.socket.shutdown(2)
            g.wait_log("websocket closed")
            assert calls.call("GET", "/v1/groups/a%2Cb").json() == {"connections": 0}, "it has left"
            rest = [e]
            while rest[-1]["Execgate-Websocket-Route"] != "$disconnect":
                rest.append(api.exchange(message(rest[-1].id)).events[0])
            assert [e["Execgate-Groups"] for e in rest] == ["a%2Cb,t%C3%AB%20a"] * len(rest)
            api.send_exchange(message(rest[-1].id))


def test_once_handlers_are_told_the_groups(tmp_path):
    text = """
    blueprint: 1
    name: ws
    handlers:
      tell:
        command: [sh, -c, 'echo "groups $EXECGATE_GROUPS" >&2; echo Content-Type: text/plain; echo; echo done']
        mode: once
        triggers:
          - {websocket: /ws, route: $disconnect}
          - {websocket: /ws, reply: true}
      puppet:
        command: ./puppet.sh
        processes: {min: 1, max: 1, startTimeout: 1m, stopTimeout: 200ms}
        triggers: [http: GET /puppet]
    """
    with Gateway(tmp_path, text, files={"puppet.sh": SCRIPT}) as g:
        api = Api(environment(tmp_path))
        with Socket(g) as ws:
            id = api.call("GET", "/v1/connections").json()["connections"][0]["connectionId"]
            assert api.call("PUT", f"/v1/connections/{id}/groups/a%20room").status == 204
            ws.send(TEXT, "hello")
            assert ws.text() == "done\n"
        wait_for(lambda: len(g.logs("output", line="groups a%20room")) == 2, 30, "both events")


# --- life ---
def test_a_reload_keeps_connections(tmp_path):
    def handler(text):
        return f"#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n{text}'\n"
    text = """
    blueprint: 1
    name: ws
    handlers:
      one: {command: ./%s, mode: once, triggers: [{websocket: /ws, reply: true}]}
      two: {command: ./two, mode: once, triggers: [{websocket: /gone, reply: true}]}
    """
    files = {n: handler(n) for n in ("one", "two", "three")}
    with Gateway(tmp_path, text % "one", files=files) as g, Socket(g) as ws, Socket(g, "/gone") as gone:
        ws.send(TEXT, "?")
        assert ws.text() == "one"
        lines = (text % "three").replace("/gone", "/other")
        g.file.write_text(textwrap.dedent(lines))
        g.process.send_signal(signal.SIGHUP)
        g.wait_log("reloaded")
        assert gone.closed() == (1001, "this path is not served any more")
        ws.send(TEXT, "?")
        assert ws.text() == "three"


def test_a_path_that_goes_while_connect_is_asked(tmp_path):
    with puppet(tmp_path, ["websocket: /ws, route: $connect", "websocket: /other"]) as (g, env):
        result = connecting(g)
        api = Native(env)
        id = api.exchange().events[0].id
        g.file.write_text(g.file.read_text().replace("{websocket: /ws, route: $connect}", "{websocket: /new}"))
        g.process.send_signal(signal.SIGHUP)
        g.wait_log("reloaded")
        api.answer(message(id))
        with result() as ws:
            assert ws.closed() == (1001, "this path is not served any more")
        wait_for(lambda: Api(env).call("GET", "/v1/connections").json()["open"] == 0)


def test_a_stop_closes_with_1001_and_tells_disconnect(tmp_path):
    script = """#!/bin/sh
    echo "$EXECGATE_WEBSOCKET_ROUTE $EXECGATE_CLOSE_CODE ${#EXECGATE_CONNECTION_ID}" >&2
    printf 'Content-Type: text/plain\\n\\n'
    """
    text = """
    blueprint: 1
    name: ws
    handlers:
      log: {command: ./log, mode: once, triggers: [{websocket: /ws}, {websocket: /ws, route: $disconnect}]}
    """
    with Gateway(tmp_path, text, files={"log": textwrap.dedent(script)}) as g, Socket(g) as ws, Socket(g) as other:
        stopping = threading.Thread(target=g.stop)
        stopping.start()
        code, reason = ws.closed()
        assert code == 1001 and reason.startswith("reconnect in ") and reason.endswith(" ms")
        ws.send(CLOSE, close_payload(1001))
        assert other.closed()[0] == 1001
        stopping.join(60)
        wait_for(lambda: len([e for e in g.logs("output") if e.get("line") == "$disconnect 1001 32"]) == 2)
        assert g.process.returncode == 0


def test_over_tls(tmp_path):
    certify(tmp_path, "localhost", ["localhost"])
    listen = "listen: [{https: 127.0.0.1:0, certificate: localhost.pem, key: localhost.key}]\n"
    g = Gateway(tmp_path, echo(top=listen))
    context = ssl.create_default_context(cafile=tmp_path / "localhost.pem")
    g.start(listen=None)
    try:
        port = int(g.addresses[0].rsplit(":", 1)[1])
        with Socket(g, port=port, tls=context, headers={"Origin": "https://localhost"}, early=frame(TEXT, "early")) as ws:
            assert ws.text() == "early"
            for size in (1, 1000, 100_000):
                ws.send(TEXT, "a" * size)
                assert ws.recv() == (TEXT, b"a" * size)
            ws.send(CLOSE, close_payload(1000))
            assert ws.closed()[0] == 1000
            assert ws.at_end()
    finally:
        g.__exit__(None, None, None)
    assert g.process.returncode == 0


def test_mistakes_are_explained(gateway):

    g = gateway("""
    blueprint: 1
    name: ws
    handlers:
      a:
        command: /bin/true
        triggers:
          - {websocket: chat}
          - {websocket: /ws, route: join, guard: none}
          - {websocket: /ws, route: join}
          - {websocket: /ws, route: $connect, reply: true}
          - {http: GET /ws, reply: true}
    websockets: {paths: {/nobody: {idleTimeout: 1m}, /ws: {origins: some, routKey: x}}}
    """)
    said = run_cli("check", g.file).stdout + run_cli("check", g.file).stderr
    for words in ("expected a path such as", "guard: only an http trigger has it", "websockets.paths", "has the handler a on line",
                  "what answers $connect is not a message", "reply: only a websocket trigger has it", "no trigger has this path",
                  "did you mean", "same route as"):
        assert words in said, (words, said)


def test_the_gateway_is_small_when_nothing_happens(gateway):
    """3,000 idle connections cost less than 12 kB each."""
    def resident(pid):
        with open(f"/proc/{pid}/status", encoding="utf-8") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
    if "asan" in str(EXAMPLES):
        pytest.skip("a sanitizer's memory says nothing")
    with gateway(echo()) as g:
        Socket(g).close()
        before = resident(g.pid)
        count = 800
        sockets = [Socket(g) for _ in range(count)]
        grown = resident(g.pid) - before
        sockets[-1].send(TEXT, "still there")
        assert sockets[-1].text() == "still there"
        for s in sockets:
            s.close()
        assert grown < 12 * count, f"{grown / count:.1f} kB each"


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
def test_people_look_send_and_close(tmp_path, unix):
    where = f"unix:{tmp_path}/admin.sock" if unix else "127.0.0.1:0"
    g = Gateway(tmp_path, echo(top=f"admin: {where}\n"))
    with g, Socket(g, headers={"User-Agent": "me"}) as ws:
        admin = [] if unix else ["--admin", g.ready["admin"].replace("http://", "")]

        def cli(*words):
            return run_cli("connections", *words, "-b", g.file, *admin)
        rows = cli("list").stdout.splitlines()
        assert len(rows) == 2 and rows[1].endswith("/ws") and "127.0.0.1" in rows[1]
        id = rows[1].split()[0]
        assert [c["connectionId"] for c in json.loads(cli("list", "--json").stdout)["connections"]] == [id]
        assert json.loads(cli("show", id).stdout)["connectionId"] == id
        assert cli("send", id, "hello from the operator").returncode == 0
        assert ws.text() == "hello from the operator"
        assert cli("close", id, "--code", "4000", "--reason", "by hand").returncode == 0
        assert ws.closed() == (4000, "by hand")
        gone = cli("show", id)
        assert gone.returncode == 5 and "no connection of that id is open" in gone.stderr
        assert cli("send", id).returncode == 2 and cli("open").returncode == 2
        assert 'did you mean "list"?' in cli("lst").stderr and json.loads(cli("list", "--json").stdout) == {"connections": []}
    nobody = cli("list")
    assert nobody.returncode == 3 and "no gateway answers at" in nobody.stderr and nobody.stdout == ""


def test_connections_count_among_all_others(gateway):
    """limits.connections bounds those that were upgraded together with those that were not."""
    with gateway(echo(top="limits: {connections: 2}\n")) as g, Socket(g) as first, Socket(g):
        third = g.connect()
        third.sendall(b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")
        third.settimeout(0.3)
        with pytest.raises(TimeoutError):
            third.recv(1)
        first.send(CLOSE, close_payload(1000))
        first.closed()
        first.close()
        third.settimeout(60)
        assert third.recv(12) == b"HTTP/1.1 404"
        third.close()


def test_a_full_queue_makes_events_wait(tmp_path):
    """Many messages and many ends at once: none of them is refused."""
    script = "#!/bin/sh\necho \"$EXECGATE_ROUTE $(cat)\" >&2\nprintf 'Content-Type: text/plain\\n\\n'\n"
    text = """
    blueprint: 1
    name: ws
    handlers:
      log:
        command: ./log
        mode: once
        queueLimit: 1
        processes: {max: 1}
        triggers: [{websocket: /ws}, {websocket: /ws, route: $disconnect}]
    """
    with Gateway(tmp_path, text, files={"log": script}) as g:
        sockets = [Socket(g) for _ in range(20)]
        for i, ws in enumerate(sockets):
            ws.send(TEXT, f"message {i}.")
            ws.close()

        def lines(what):
            return [e["line"] for e in g.logs("output") if what in e.get("line", "")]
        wait_for(lambda: len(lines("$disconnect")) == 20, 60, "all ends")
        assert len(lines("$default")) == 20


def test_routes_are_listed(gateway):
    g = gateway(echo("guard: none"))
    text = g.file.read_text().replace("    triggers:\n", "    triggers:\n      - {websocket: /ws, route: join}\n")
    g.file.write_text(text)
    rows = [r.split() for r in run_cli("routes", g.file).stdout.splitlines() if "/ws" in r]
    assert ["WS", "/ws", "join", "echo"] in rows and len(rows) > 1
    listed = [r for r in json.loads(run_cli("routes", "--json", g.file).stdout) if r["path"] == "/ws"]
    assert {"method": "WS", "path": "/ws", "route": "join", "handler": "echo", "guards": []} in listed and len(listed) == len(rows)


def test_a_handler_that_is_an_http_server(gateway):
    script = """
    #!/usr/bin/python3
    import http.server
    import os

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            answer = f"{self.path} {self.headers['Execgate-Websocket-Route']} ".encode() + body
            self.send_response(200)
            self.send_header("Content-Type", self.headers["Content-Type"] or "text/plain")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
    """
    text = """
    blueprint: 1
    name: ws
    handlers:
      http: {command: ./server.py, mode: server, triggers: [{websocket: /ws, reply: true}, {websocket: /ws, route: hi, reply: true}]}
    """
    with gateway(text, files={"server.py": script}) as g, Socket(g) as ws:
        ws.send(TEXT, '{"action": "hi"}')
        assert ws.recv() == (TEXT, b'/websocket/ws/hi hi {"action": "hi"}')
        ws.send(BINARY, b"\xff")
        assert ws.recv() == (BINARY, b"/websocket/ws/$default $default \xff")


# --- the log ---
@pytest.mark.parametrize("level", ["info", "debug"])
def test_the_log_has_lines_of_opening_and_end_and_of_messages_only_at_debug(tmp_path, level):
    with Gateway(tmp_path, echo(), args=["--log-level", level]) as g:
        with Socket(g) as ws:
            ws.send(TEXT, "1")
            assert ws.text() == "1"
        g.wait_log("websocket closed")
        opened, messages = g.logs("request", status=101), g.logs("request", route="websocket /ws $default")
        assert len(opened) == 1 and opened[0]["level"] == "info"
        assert [line["level"] for line in messages] == (["debug"] if level == "debug" else [])


def test_a_message_that_fails_has_its_line(tmp_path):
    with puppet(tmp_path, ["websocket: /ws"]) as (g, env), Socket(g) as ws:
        api = Native(env)
        ws.send(TEXT, "1")
        e = api.exchange().events[0]
        api.send_exchange(message(e.id, b"", status=500))
        assert json.loads(ws.text())["message"]
        g.wait_log("request", path="/websocket/ws/$default")


def test_without_a_descriptor_the_handshake_is_refused_and_not_broken_off(gateway):
    with gateway(echo()) as g:
        s = socket.create_connection(("127.0.0.1", g.port), 30 * SLOW)
        s.sendall(b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_answer(s.makefile("rb")).status == 404
        used = {int(fd) for fd in os.listdir(f"/proc/{g.pid}/fd")}
        free = next(fd for fd in itertools.count() if fd not in used)
        limits = resource.prlimit(g.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(g.pid, resource.RLIMIT_NOFILE, (free, limits[1]))
        with pytest.raises(Refused) as refused:
            Socket(g, made=s)
        resource.prlimit(g.pid, resource.RLIMIT_NOFILE, limits)
        assert refused.value.answer.status == 503
        assert json.loads(refused.value.answer.body)["detail"] == "no more connections can be kept at the moment"
        assert g.wait_log("a connection cannot be kept; raise the limit of open files (ulimit -n)")
        with Socket(g) as ws:
            ws.send(TEXT, "there again")
            assert ws.recv() == (TEXT, b"there again")
