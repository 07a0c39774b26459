"""`auth: message`: the first message of a connection proves who its client is (docs/websockets.md)."""
import asyncio
import base64
import contextlib
import json
import os
import signal
import zlib

import pytest
import websockets
from execgate import SLOW, run_cli, wait_for
from issuer import Key
from native import Native, message
from puppet import Api
from test_auth import bcrypt
from test_websocket import puppet
from websocket import BINARY, CONTINUATION, PING, PONG, TEXT, Refused, Socket

SECRET = "open-sesame-0123456789"
BAD = "the first message must be JSON text with a token"
KEY = 'key: {type: apiKey, in: "header:x-api-key", keys: {acme: "${env.WS_KEY}", other: "${env.WS_OTHER}"}}'
ENV = {**os.environ, "WS_KEY": SECRET, "WS_OTHER": "another-key-9876543210"}


def guarded(guard, path="", name=None):
    name = name or guard.split(":")[0]
    return f"auth:\n  guards:\n    {guard}\nwebsockets: {{paths: {{/ws: {{guard: {name}, auth: message{path}}}}}}}\n"


@contextlib.contextmanager
def guarded_puppet(folder, triggers=("websocket: /ws",), guard=KEY, path="", top="", **kw):
    with puppet(folder, triggers, guarded(guard, path) + top, env=ENV, **kw) as (g, env):
        yield g, env


def prove(ws, token=SECRET, **more):
    ws.send(TEXT, json.dumps({"token": token, **more}))


def welcomed(ws):
    told = json.loads(ws.text())
    assert set(told) == {"authenticated", "connectionId"} and told["authenticated"] is True
    return told["connectionId"]


def refused(ws, code=1008, text=""):
    told = json.loads(ws.text())
    assert told["authenticated"] is False and text in told["message"] and set(told) == {"authenticated", "message"}
    closed = ws.closed()
    assert closed[0] == code and text in closed[1], closed
    return told["message"]


def nobody_is_listed(api):
    listed = api.call("GET", "/v1/connections").json()
    return listed["open"] == 0 and not listed["connections"]


# --- who is let in ---
def test_the_first_message_proves_who_the_client_is(tmp_path):
    with guarded_puppet(tmp_path) as (g, env), Socket(g) as ws:
        api = Native(env)
        prove(ws, event="authenticate")
        id = welcomed(ws)
        other = Native(env)
        assert other.call("GET", f"/v1/connections/{id}").json()["claims"] == {"sub": "acme"}
        for i in range(2):
            ws.send(TEXT, f"message {i}")
            e = api.exchange(message(e.id) if i else b"").events[0]
            assert e.body == f"message {i}".encode(), "the token is no handler's business"
            assert json.loads(e["Execgate-Claims"]) == {"sub": "acme"} and e["Execgate-Connection-Id"] == id
            assert SECRET not in str(e.fields)
        api.send_exchange(message(e.id))
    assert SECRET not in g.stderr_text() and g.logs("websocket authenticated", connection=id)


def test_connect_is_asked_once_the_client_is_known(tmp_path):
    triggers = ["websocket: /ws, route: $connect", "websocket: /ws, route: $disconnect", "websocket: /ws"]
    with guarded_puppet(tmp_path, triggers) as (g, env), Socket(g, "/ws?room=1", headers={"X-Device": "phone"}) as ws:
        api, admin = Api(env), Native(env)
        prove(ws)
        ws.send(TEXT, "at once")
        r = api.next()
        e = r.json()
        assert e["requestContext"]["eventType"] == "CONNECT" and e["requestContext"]["authorizer"]["principalId"] == "acme"
        assert e["queryStringParameters"] == {"room": "1"} and {k.lower(): v for k, v in e["headers"].items()}["x-device"] == "phone"
        id = e["requestContext"]["connectionId"]
        assert admin.call("POST", f"/v1/connections/{id}", "early").status == 410
        api.respond(r["Lambda-Runtime-Aws-Request-Id"], {"statusCode": 200})
        assert welcomed(ws) == id
        r = api.next()
        assert r.json()["body"] == "at once", "what came behind the token waits, and is not lost"
        api.respond(r["Lambda-Runtime-Aws-Request-Id"], {"statusCode": 200})
        ws.close()
        r = api.next()
        assert r.json()["requestContext"]["eventType"] == "DISCONNECT" and r.json()["requestContext"]["authorizer"]["principalId"] == "acme"
        api.respond(r["Lambda-Runtime-Aws-Request-Id"], {"statusCode": 200})


def test_connect_may_refuse_and_then_nobody_has_been_there(tmp_path):
    triggers = ["websocket: /ws, route: $connect", "websocket: /ws, route: $disconnect", "websocket: /ws"]
    with guarded_puppet(tmp_path, triggers) as (g, env):
        api = Native(env)
        with Socket(g) as ws:
            prove(ws)
            e = api.exchange().events[0]
            api.send_exchange(message(e.id, b"not you", status=403))
            refused(ws, 1008, "the connection is refused")
        with Socket(g) as ws:
            prove(ws, "wrong")
            refused(ws, 1008)
        with Socket(g) as ws:
            prove(ws)
            e = api.read_exchange().events[0]
            assert e["Execgate-Websocket-Route"] == "$connect", "a connection that never was has ended"
            api.send_exchange(message(e.id, b"boom", fields=[("Execgate-Error", "Broken")]))
            assert "boom" not in refused(ws, 1013)


def test_a_client_that_leaves_during_connect_has_disconnected(tmp_path):
    with guarded_puppet(tmp_path, ["websocket: /ws, route: $connect", "websocket: /ws, route: $disconnect"]) as (g, env):
        api = Native(env)
        with Socket(g) as ws:
            prove(ws)
            e = api.exchange().events[0]
        e2 = api.exchange(message(e.id)).events[0]
        assert e2["Execgate-Websocket-Route"] == "$disconnect" and e2["Execgate-Connection-Id"] == e["Execgate-Connection-Id"]
        api.send_exchange(message(e2.id))


def test_a_connection_that_ends_during_connect_has_disconnected(tmp_path):
    triggers = ["websocket: /ws, route: $connect", "websocket: /ws, route: $disconnect"]
    with guarded_puppet(tmp_path, triggers) as (g, env), Socket(g) as ws:
        g.file.write_text(g.file.read_text().replace("shutdownTimeout: 500ms", "shutdownTimeout: 1m"))
        g.process.send_signal(signal.SIGHUP)
        g.wait_log("reloaded")
        api = Native(env)
        prove(ws)
        e = api.exchange().events[0]
        g.process.terminate()
        assert ws.closed()[0] == 1001
        e2 = api.exchange(message(e.id)).events[0]
        assert e2["Execgate-Websocket-Route"] == "$disconnect" and e2["Execgate-Close-Code"] == "1001"
        api.send_exchange(message(e2.id))


def test_tokens_of_an_issuer(tmp_path):
    key = Key(tmp_path, "one")
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [key.jwk]}))
    guard = 'user: {type: jwt, issuer: https://id.example, audience: chat, jwks: "file:keys.json"}'
    rest = guarded(guard, ", require: {claims: {tenant: acme}}")
    with puppet(tmp_path, ["websocket: /ws"], rest) as (g, env):
        api = Native(env)
        for token, text in [("no.token.atall", ""), (key.token("https://id.example", aud="chat", tenant="acme", exp=1), "expired"),
                            (key.token("https://id.example", aud="other", tenant="acme"), ""),
                            (key.token("https://id.example", aud="chat", tenant="evil"), "claim")]:
            # What stands in the handshake's own places counts for nothing.
            with Socket(g, headers={"Authorization": "Bearer " + key.token("https://id.example", aud="chat", tenant="acme")}) as ws:
                prove(ws, token)
                refused(ws, 1008, text)
        with Socket(g) as ws:
            prove(ws, key.token("https://id.example", aud="chat", tenant="acme", sub="bob"))
            welcomed(ws)
            ws.send(TEXT, "hi")
            e = api.exchange().events[0]
            assert json.loads(e["Execgate-Claims"])["sub"] == "bob"
            api.send_exchange(message(e.id))


def test_users_and_one_of_several_guards(tmp_path):
    (tmp_path / "staff").write_text(f"alice:{bcrypt('wonder land')}\n")
    guard = 'staff: {type: basic, users: "file:staff"}\n    ' + KEY + "\n    either: {type: any, of: [key, staff]}"
    with puppet(tmp_path, ["websocket: /ws"], guarded(guard, name="either"), env=ENV) as (g, env):
        for token, name in [(base64.b64encode(b"alice:wonder land").decode(), "alice"), (SECRET, "acme"),
                            (base64.b64encode(b"alice:guess").decode(), None), ("wrong", None)]:
            with Socket(g) as ws:
                prove(ws, token)
                if not name:
                    refused(ws, 1008)
                    continue
                id = welcomed(ws)
                assert Native(env).call("GET", f"/v1/connections/{id}").json()["claims"] == {"sub": name}


AUTHORIZER = """
#!/bin/sh
printf '%s %s %s\\n' "$HTTP_AUTHORIZATION" "$HTTP_X_DEVICE" "$QUERY_STRING" >&2
case "$HTTP_AUTHORIZATION" in
"Bearer good-token") printf 'Content-Type: application/json\\n\\n{"isAuthorized": true, "context": {"sub": "carol"}}' ;;
"Bearer slow-token") sleep 4; printf 'Content-Type: application/json\\n\\n{"isAuthorized": true, "context": {"sub": "slow"}}' ;;
"Bearer broken") exit 3 ;;
*) printf 'Content-Type: application/json\\n\\n{"isAuthorized": false}' ;;
esac
"""


@contextlib.contextmanager
def asking_a_handler(folder, path=""):
    (folder / "authorizer").write_text(AUTHORIZER.lstrip())
    (folder / "authorizer").chmod(0o755)
    guard = "custom: {type: handler, handler: authorizer}"
    more = "  authorizer: {command: ./authorizer, mode: once, processes: {max: 4}}\n"
    with puppet(folder, ["websocket: /ws"], more + guarded(guard, path)) as (g, env):
        yield g, env


def test_a_handler_decides(tmp_path):
    with asking_a_handler(tmp_path) as (g, env):
        for token, code in [("bad-token", 1008), ("broken", 1013)]:
            with Socket(g) as ws:
                prove(ws, token)
                refused(ws, code)
        with Socket(g, "/ws?x=1", headers={"X-Device": "phone"}) as ws:
            prove(ws, "good-token")
            id = welcomed(ws)
            assert Native(env).call("GET", f"/v1/connections/{id}").json()["claims"] == {"sub": "carol"}
        g.wait_output("Bearer good-token phone x=1")


def test_the_deadline_is_for_the_message_not_for_the_guard(tmp_path):
    with asking_a_handler(tmp_path, ", authTimeout: 3s") as (g, _), Socket(g) as ws:
        prove(ws, "slow-token")
        ws.send(TEXT, "kept until the verdict")
        welcomed(ws)


def test_a_client_that_leaves_while_the_guard_thinks(tmp_path):
    with asking_a_handler(tmp_path) as (g, env):
        with Socket(g) as ws:
            prove(ws, "slow-token")
            g.wait_output("Bearer slow-token")
        g.wait_log("websocket closed", code=1006)
        assert nobody_is_listed(Native(env))


def test_a_connection_that_ends_while_the_guard_thinks(tmp_path):
    with asking_a_handler(tmp_path) as (g, _), Socket(g) as ws:
        prove(ws, "slow-token")
        g.wait_output("Bearer slow-token")
        g.process.terminate()
        assert ws.closed()[0] == 1001
        g.process.wait(30 * SLOW)
        assert not g.logs("websocket authenticated")


# --- who is not ---
@pytest.mark.parametrize("opcode, data, code, text", [
    (TEXT, "hello", 1008, BAD), (TEXT, "", 1008, BAD), (TEXT, "[]", 1008, BAD), (TEXT, "{}", 1008, BAD),
    (TEXT, '{"token": 1}', 1008, BAD), (TEXT, '{"token": ""}', 1008, BAD), (TEXT, '{"token": "a", "token": "b"}', 1008, BAD),
    (TEXT, '{"token": "a\\r\\nX-Admin: 1"}', 1008, BAD), (TEXT, '{"token": "a b"}', 1008, BAD), (TEXT, '{"token": "a\\u00e9"}', 1008, BAD),
    (TEXT, '{"token": "\\u0000"}', 1008, BAD), (TEXT, '{"deep": {"token": "' + SECRET + '"}}', 1008, BAD), (TEXT, '{"token": "' + SECRET, 1008, BAD),
    (TEXT, json.dumps({"token": "wrong" * 1000}), 1008, ""), (BINARY, json.dumps({"token": SECRET}), 1008, BAD), (BINARY, b"", 1008, BAD)])
def test_messages_that_prove_nothing(tmp_path, opcode, data, code, text):
    with guarded_puppet(tmp_path) as (g, env), Socket(g) as ws:
        api = Native(env)
        ws.send(opcode, data)
        ws.send(TEXT, "behind it")
        refused(ws, code, text)
        assert nobody_is_listed(api) and not g.logs("websocket authenticated")
        api.send_exchange()
        with Socket(g) as good:
            prove(good)
            welcomed(good)
            good.send(TEXT, "good")
            e = api.read_exchange().events[0]
            assert e.body == b"good", "somebody was heard who had not proved anything"
            api.send_exchange(message(e.id))


def test_a_large_first_message_is_refused_and_later_ones_are_not(tmp_path):
    with guarded_puppet(tmp_path) as (g, env):
        with Socket(g) as ws:
            ws.send(TEXT, json.dumps({"token": SECRET, "more": "x" * 16384}))
            assert ws.closed()[0] == 1009
        with Socket(g) as ws:
            ws.send(TEXT, b'{"token": "', fin=False)
            for _ in range(17):
                ws.send(CONTINUATION, b"x" * 1024, fin=False)
            assert ws.closed()[0] == 1009
        bomb = zlib.compressobj(wbits=-15)
        data = (bomb.compress(b'{"token": "' + b"x" * 1000000) + bomb.flush(zlib.Z_SYNC_FLUSH))[:-4]
        with Socket(g, headers={"Sec-WebSocket-Extensions": "permessage-deflate"}) as ws:
            ws.send(TEXT, data, rsv=4)
            assert ws.closed()[0] == 1009
        with Socket(g) as ws:
            prove(ws)
            welcomed(ws)
            ws.send(TEXT, b"y" * 100000)
            api = Native(env)
            e = api.exchange().events[0]
            assert len(e.body) == 100000
            api.send_exchange(message(e.id))


def test_a_proof_in_fragments_with_pings_between_and_a_packed_one(tmp_path):
    text = json.dumps({"token": SECRET}).encode()
    with guarded_puppet(tmp_path) as (g, _):
        with Socket(g) as ws:
            ws.send(TEXT, text[:5], fin=False)
            ws.send(PING, b"still here")
            assert ws.recv() == (PONG, b"still here")
            ws.send(CONTINUATION, text[5:9], fin=False)
            ws.send(CONTINUATION, text[9:])
            welcomed(ws)
        with Socket(g, headers={"Sec-WebSocket-Extensions": "permessage-deflate; client_no_context_takeover; server_no_context_takeover"}) as ws:
            packer = zlib.compressobj(wbits=-15)
            ws.send(TEXT, (packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4], rsv=4)
            opcode, payload = ws.recv()
            unpacked = zlib.decompressobj(wbits=-15).decompress(payload + b"\0\0\xff\xff") if ws.rsv & 4 else payload
            assert opcode == TEXT and json.loads(unpacked)["authenticated"] is True


def test_a_client_that_says_nothing_is_closed(tmp_path):
    with guarded_puppet(tmp_path, path=", authTimeout: 3s") as (g, env):
        with Socket(g) as silent, Socket(g) as slow, Socket(g) as pinging:
            slow.send(TEXT, b'{"token": ', fin=False)
            pinging.send(PING, b"1")
            assert pinging.recv() == (PONG, b"1")
            for ws in (silent, slow, pinging):
                refused(ws, 1008, "not authenticated in time")
                assert ws.at_end()
        assert nobody_is_listed(Native(env))


def test_many_who_never_say_anything_go_again(tmp_path):
    with guarded_puppet(tmp_path, path=", authTimeout: 2s, maxConnections: 150") as (g, env):
        api = Native(env)
        sockets = [Socket(g) for _ in range(150)]
        for ws in sockets:
            refused(ws, 1008, "not authenticated in time")
            ws.close()

        def another():
            with contextlib.suppress(Refused):
                return Socket(g)
        with wait_for(another) as ws:
            prove(ws)
            welcomed(ws)
        wait_for(lambda: nobody_is_listed(api))


def test_proofs_that_race_with_the_deadline_end_in_one_way_or_the_other(tmp_path):
    with guarded_puppet(tmp_path, path=", authTimeout: 100ms") as (g, env):
        sockets = [Socket(g) for _ in range(20)]
        for ws in sockets:
            with contextlib.suppress(OSError):
                prove(ws)
        for ws in sockets:
            told = json.loads(ws.text())
            assert told["authenticated"] or (told["message"] == "not authenticated in time" and ws.closed()[0] == 1008)
            ws.close()
        wait_for(lambda: len(g.logs("websocket closed")) == 20)


def test_the_unknown_cannot_be_found_and_are_counted(tmp_path):
    with guarded_puppet(tmp_path, path=", maxPerClient: 3, authTimeout: 1m") as (g, env):
        api = Native(env)
        sockets = [Socket(g) for _ in range(3)]
        assert nobody_is_listed(api)
        with pytest.raises(Refused) as answer:
            Socket(g)
        assert answer.value.answer.status == 429
        prove(sockets[0])
        id = welcomed(sockets[0])
        assert [c["connectionId"] for c in api.call("GET", "/v1/connections").json()["connections"]] == [id]
        assert api.call("POST", f"/v1/connections/{id}", "known").status == 200 and sockets[0].text() == "known"
        # The known one counts for its identity now, so its address may have another.
        sockets.append(Socket(g))
        for ws in sockets[1:3]:
            prove(ws)
            welcomed(ws)
        prove(sockets[3])
        refused(sockets[3], 1013, "too many connections")
        with Socket(g) as other:
            prove(other, "another-key-9876543210")
            welcomed(other)
        for ws in sockets:
            ws.close()


def test_the_gateway_stops_with_some_who_are_unknown(tmp_path):
    with guarded_puppet(tmp_path, ["websocket: /ws, route: $disconnect"], path=", authTimeout: 1m") as (g, _):
        with Socket(g) as ws:
            g.process.terminate()
            assert ws.closed()[0] == 1001
        g.process.wait(30 * SLOW)
        assert not g.logs("request", path="/websocket/ws/$disconnect"), "nobody has heard of it"


def test_origins_are_checked_all_the_same(tmp_path):
    with guarded_puppet(tmp_path) as (g, _), pytest.raises(Refused) as answer:
        Socket(g, headers={"Origin": "https://evil.example"})
    assert answer.value.answer.status == 403


def test_a_reload_that_turns_it_on_and_off_keeps_connections(tmp_path):
    with guarded_puppet(tmp_path, path=", authTimeout: 1m") as (g, env):
        waiting = Socket(g)
        g.file.write_text(g.file.read_text().replace("auth: message, authTimeout: 1m", "auth: handshake"))
        g.process.send_signal(signal.SIGHUP)
        g.wait_log("reloaded")
        with pytest.raises(Refused) as answer:
            Socket(g)
        assert answer.value.answer.status == 401
        prove(waiting)
        welcomed(waiting)
        waiting.close()


def test_a_real_client(tmp_path):
    async def talk(g):
        async with websockets.connect(f"ws://127.0.0.1:{g.port}/ws") as ws:
            await ws.send(json.dumps({"token": SECRET}))
            assert json.loads(await ws.recv())["authenticated"] is True
        async with websockets.connect(f"ws://127.0.0.1:{g.port}/ws") as ws:
            await ws.send(json.dumps({"token": "guess"}))
            assert json.loads(await ws.recv())["authenticated"] is False
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await ws.recv()
            assert closed.value.code == 1008
    with guarded_puppet(tmp_path) as (g, _):
        asyncio.run(asyncio.wait_for(talk(g), 60 * SLOW))


# --- the blueprint ---
@pytest.mark.parametrize("rest, words", [
    ("websockets: {paths: {/ws: {auth: message}}}\n", "auth: message needs a guard"),
    (guarded('hook: {type: hmac, secret: "${env.WS_KEY}"}'), "cannot be used with an hmac guard"),
    (guarded('hook: {type: hmac, secret: "${env.WS_KEY}"}\n    either: {type: any, of: [hook]}', name="either"), "cannot be used with an hmac guard"),
    (guarded(KEY, ", authTimeout: 1ms"), "authTimeout"),
    (guarded(KEY).replace("auth: message", "auth: later"), "handshake"),
])
def test_blueprints_that_cannot_be(tmp_path, rest, words):
    (tmp_path / "b.yaml").write_text("blueprint: 1\nname: a\nhandlers: {h: {command: /bin/true, triggers: [{websocket: /ws}]}}\n" + rest)
    checked = run_cli("check", tmp_path / "b.yaml", env=ENV)
    assert checked.returncode != 0 and words in checked.stdout + checked.stderr, checked.stdout + checked.stderr
