"""`acknowledge`: messages with ids, in both directions (docs/websockets.md)."""
import contextlib
import json
import os
import select
import signal
import urllib.parse

import pytest
from execgate import SLOW, Gateway, run_cli, wait_for
from native import Native, message
from puppet import Api
from test_admin import ask
from test_websocket import echo, puppet
from websocket import BINARY, TEXT, Socket

KEYS = 'auth: {guards: {key: {type: apiKey, keys: {acme: "${env.WS_KEY}", other: "${env.WS_OTHER}"}}}}\n'
ENV = {**os.environ, "WS_KEY": "open-sesame-0123456789", "WS_OTHER": "another-key-9876543210"}
ACME, OTHER = {"X-Api-Key": ENV["WS_KEY"]}, {"X-Api-Key": ENV["WS_OTHER"]}
PATIENT = "resendAfter: 1h"


@contextlib.contextmanager
def acknowledging(folder, keys=PATIENT, path="", triggers=("websocket: /ws, reply: true",), top="", **kw):
    rest = f"admin: 127.0.0.1:0\n{top}websockets: {{paths: {{/ws: {{acknowledge: {{{keys}}}{path}}}}}}}\n"
    with puppet(folder, triggers, rest, env=ENV, **kw) as (g, env):
        g.admin = int(g.ready["admin"].rsplit(":", 1)[1])
        yield g, env


def say(ws, id, **more):
    ws.send(TEXT, json.dumps({"messageId": id, **more}))


def told(ws):
    return json.loads(ws.text())


def counters(g):
    return ask(g, "GET", "/status").json()["websockets"]


def readable(socket):
    return bool(select.select([socket], [], [], 0)[0])


def only_id(api):
    return api.call("GET", "/v1/connections").json()["connections"][0]["connectionId"]


def order(api, id, ack, body, inform=None, headers=None):
    query = urllib.parse.urlencode({"ack": ack, **({"informClients": inform} if inform else {})})
    return api.call("POST", f"/v1/connections/{id}?{query}", body, headers)


# --- from clients ---
def test_a_message_is_acknowledged_when_it_was_handled_and_once(tmp_path):
    with acknowledging(tmp_path) as (g, env), Socket(g) as ws:
        api = Native(env)
        say(ws, "a", n=1)
        e = api.exchange().events[0]
        assert json.loads(e.body) == {"messageId": "a", "n": 1}, "handlers see the message as it came"
        api.send_exchange(message(e.id, b"reply"))
        assert ws.text() == "reply" and told(ws) == {"ack": "a"}, "the answer comes before the acknowledgement"
        say(ws, "a", n=1)
        assert told(ws) == {"ack": "a"}
        say(ws, "b")
        e = api.read_exchange().events[0]
        assert json.loads(e.body)["messageId"] == "b", "the same message was handled twice"
        api.send_exchange(message(e.id))
        assert told(ws) == {"ack": "b"}
        status = counters(g)
        assert (status["acknowledged"], status["duplicates"]) == (3, 1)


def test_the_lambda_face(tmp_path):
    with acknowledging(tmp_path) as (g, env), Socket(g) as ws:
        api = Api(env)
        say(ws, "a")
        r = api.next()
        assert json.loads(r.json()["body"]) == {"messageId": "a"}
        api.respond(r["Lambda-Runtime-Aws-Request-Id"], {"statusCode": 200, "body": "reply"})
        assert ws.text() == "reply" and told(ws) == {"ack": "a"}
        say(ws, "a")
        assert told(ws) == {"ack": "a"}


def test_what_failed_is_not_acknowledged_and_may_come_again(tmp_path):
    with acknowledging(tmp_path) as (g, env), Socket(g) as ws:
        api = Native(env)
        say(ws, "a")
        e = api.exchange().events[0]
        api.send_exchange(message(e.id, b"", status=500))
        assert "ack" not in told(ws)
        say(ws, "a")
        e = api.read_exchange().events[0]
        api.send_exchange(message(e.id))
        assert told(ws) == {"ack": "a"}


def test_the_same_message_while_it_is_handled_is_left_out(tmp_path):
    with acknowledging(tmp_path, path=", concurrency: 8") as (g, env), Socket(g) as ws:
        api = Native(env)
        say(ws, "a")
        e = api.exchange().events[0]
        say(ws, "a")
        say(ws, "b")
        e2 = api.exchange().events[0]
        assert json.loads(e2.body)["messageId"] == "b"
        api.send_exchange(message(e2.id))
        assert told(ws) == {"ack": "b"}
        Native(env).answer(message(e.id))
        assert told(ws) == {"ack": "a"}
        assert counters(g)["duplicates"] == 1


def test_a_known_client_is_recognised_when_it_comes_back_and_others_are_not(tmp_path):
    with acknowledging(tmp_path, path=", guard: key", top=KEYS) as (g, env):
        api = Native(env)
        api.send_exchange()
        for headers, again in [(ACME, False), (ACME, True), (OTHER, False), (OTHER, True)]:
            with Socket(g, headers=headers) as ws:
                say(ws, "a")
                if not again:
                    api.send_exchange(message(api.read_exchange().events[0].id))
                assert told(ws) == {"ack": "a"}
        assert counters(g)["duplicates"] == 2


def test_nobody_knows_a_client_without_an_identity_again(tmp_path):
    with acknowledging(tmp_path) as (g, env):
        api = Native(env)
        api.send_exchange()
        for _ in range(2):
            with Socket(g) as ws:
                say(ws, "a")
                api.send_exchange(message(api.read_exchange().events[0].id))
                assert told(ws) == {"ack": "a"}
        assert counters(g)["duplicates"] == 0


def test_the_window_ends(tmp_path):
    with acknowledging(tmp_path, "window: 3s") as (g, env), Socket(g) as ws:
        api = Native(env)
        say(ws, "a")
        api.send_exchange(message(api.exchange().events[0].id))
        assert told(ws) == {"ack": "a"}
        duplicates = 0
        while True:  # until a handler is asked once more
            say(ws, "a")
            wait_for(lambda: readable(ws.socket) or not api.is_waiting())
            if not api.is_waiting():
                break
            assert told(ws) == {"ack": "a"}
            duplicates += 1
        assert duplicates and counters(g)["duplicates"] == duplicates
        api.send_exchange(message(api.read_exchange().events[0].id))
        assert told(ws) == {"ack": "a"}


@pytest.mark.parametrize("id", [1, None, "", "x" * 129, "a\nb", ["a"], {"a": 1}, True])
def test_ids_that_are_none_are_told_so(tmp_path, id):
    with acknowledging(tmp_path) as (g, env), Socket(g) as ws:
        api = Native(env)
        say(ws, id)
        assert told(ws)["message"].startswith("messageId: a text of 1 to 128 bytes")
        say(ws, "x" * 128)
        e = api.exchange().events[0]
        assert json.loads(e.body)["messageId"] == "x" * 128
        api.send_exchange(message(e.id))
        assert told(ws) == {"ack": "x" * 128}


def test_messages_without_ids_and_bytes_go_as_ever(tmp_path):
    with acknowledging(tmp_path) as (g, env), Socket(g) as ws:
        api = Native(env)
        api.send_exchange()
        for opcode, data in [(TEXT, b"plain"), (TEXT, b'["messageId"]'), (TEXT, b'{"deep": {"messageId": "a", "ack": "b"}}'),
                             (TEXT, b'{"ack": 1}'), (BINARY, b'{"messageId": "a"}'), (BINARY, b'{"ack": "a"}')]:
            ws.send(opcode, data)
            e = api.read_exchange().events[0]
            assert e.body == data
            api.send_exchange(message(e.id, b"seen"))
            assert ws.recv() == (opcode, b"seen")


def test_it_is_off_unless_it_is_asked_for(gateway):
    with gateway(echo()) as g, Socket(g) as ws:
        for text in ('{"messageId": "a"}', '{"messageId": "a"}', '{"ack": "a"}'):
            ws.send(TEXT, text)
            assert ws.text() == text


def test_a_flood_of_ids_pushes_out_the_oldest(tmp_path):
    text = echo("acknowledge: {}", "admin: 127.0.0.1:0\n").replace("reply: true", "reply: false")
    with Gateway(tmp_path, text) as g, Socket(g) as ws:
        g.admin = int(g.ready["admin"].rsplit(":", 1)[1])
        ids = [f"{os.urandom(50).hex()}{i}" for i in range(3000)]
        for first in range(0, len(ids), 500):
            for id in ids[first:first + 500]:
                say(ws, id)
            assert [told(ws) for _ in range(500)] == [{"ack": id} for id in ids[first:first + 500]]
        for id, duplicates in [(ids[-1], 1), (ids[-1024], 2), (ids[-1025], 2), (ids[0], 2)]:
            say(ws, id)
            assert told(ws) == {"ack": id}
            assert counters(g)["duplicates"] == duplicates


# --- to clients ---
def told_of(ws, ack):
    """The first envelope with this id; a loaded machine may have let earlier ones come twice."""
    while (envelope := told(ws))["messageId"] != ack:
        pass
    return envelope


def test_a_message_that_is_acknowledged_is_not_sent_again(tmp_path):
    with acknowledging(tmp_path, "resendAfter: 300ms, maxResends: 10") as (g, env), Socket(g) as ws:
        api = Native(env)
        id = only_id(api)
        for ack, body, data in [("m1", "plain words", "plain words"), ("m2", '{"a": [1, 2]}', {"a": [1, 2]}), ("m3", '"text"', "text"),
                                ("m4 é/?&", "12", 12), ("m5", "", "")]:
            assert order(api, id, ack, body).status == 200
            assert told_of(ws, ack) == {"messageId": ack, "data": data}
            ws.send(TEXT, json.dumps({"ack": ack}))
            wait_for(lambda: counters(g)["unacknowledged"] == 0)
        assert order(api, id, "last", "x").status == 200
        told_of(ws, "last")
        assert [told(ws)["messageId"] for _ in range(2)] == ["last", "last"], "one that was acknowledged came again"
        assert counters(g)["lost"] == 0


def test_a_message_is_sent_again_until_it_is_acknowledged(tmp_path):
    with acknowledging(tmp_path, "resendAfter: 100ms, maxResends: 10") as (g, env), Socket(g) as ws:
        api = Native(env)
        assert order(api, only_id(api), "m", "x").status == 200
        for _ in range(3):
            assert told(ws) == {"messageId": "m", "data": "x"}
        ws.send(TEXT, '{"ack": "m"}')
        wait_for(lambda: counters(g)["unacknowledged"] == 0)
        assert counters(g)["resent"] >= 2 and counters(g)["lost"] == 0 and not g.logs("websocket message lost")


def test_a_message_that_nobody_acknowledges_is_lost_and_named_connections_are_told(tmp_path):
    with acknowledging(tmp_path, "resendAfter: 100ms, maxResends: 2") as (g, env):
        api = Native(env)
        with Socket(g) as deaf:
            id = only_id(api)
            with Socket(g) as one, Socket(g) as two, Socket(g) as other:
                ids = [c["connectionId"] for c in api.call("GET", "/v1/connections").json()["connections"] if c["connectionId"] != id]
                assert order(api, id, "m", "secret words", ",".join([ids[0], "0" * 32, ids[1]])).status == 200
                for ws in (one, two):
                    assert told(ws) == {"event": "lostMessage", "messageId": "m", "connectionId": id}
                for _ in range(3):
                    assert told(deaf)["messageId"] == "m"
                line = g.wait_log("websocket message lost", connection=id, message_id="m")
                assert line["level"] == "warn" and "secret words" not in g.stderr_text()
                assert api.call("POST", f"/v1/connections/{ids[2]}", "next").status == 200
                assert other.text() == "next", "a connection that was not named was told"
                assert counters(g)["lost"] == 1 and counters(g)["resent"] == 2 and counters(g)["unacknowledged"] == 0
                deaf.send(TEXT, '{"ack": "m"}')
                assert order(api, id, "m", "again").status == 200, "an id that is free again"
                assert told(deaf) == {"messageId": "m", "data": "again"}


def test_a_connection_that_ends_first_loses_what_waits_for_it(tmp_path):
    with acknowledging(tmp_path) as (g, env), Socket(g) as witness:
        api = Native(env)
        witness_id = only_id(api)
        with Socket(g) as leaving:
            id = next(c["connectionId"] for c in api.call("GET", "/v1/connections").json()["connections"] if c["connectionId"] != witness_id)
            for ack in ("m1", "m2"):
                assert order(api, id, ack, "x", witness_id).status == 200
                assert told(leaving)["messageId"] == ack
        assert [told(witness)["messageId"] for _ in range(2)] == ["m1", "m2"]
        assert counters(g)["lost"] == 2 and counters(g)["unacknowledged"] == 0


def test_acknowledgements_count_only_from_the_connection_that_was_sent_the_message(tmp_path):
    with acknowledging(tmp_path) as (g, env), Socket(g) as ws:
        api = Native(env)
        id = only_id(api)
        with Socket(g) as other:
            assert order(api, id, "m", "x").status == 200 and told(ws)["messageId"] == "m"
            for text in ('{"ack": "m"}', '{"ack": "nothing"}', '{"ack": ""}', json.dumps({"ack": "x" * 100000})):
                other.send(TEXT, text)
            say(other, "behind")
            e = api.exchange().events[0]
            assert json.loads(e.body)["messageId"] == "behind", "acknowledgements are no handler's business"
            api.send_exchange(message(e.id))
            assert told(other) == {"ack": "behind"}
            control = Native(env)
            assert counters(g)["unacknowledged"] == 1
            ws.send(TEXT, '{"ack": "m"}')
            wait_for(lambda: counters(g)["unacknowledged"] == 0)
            assert control.call("GET", f"/v1/connections/{id}").status == 200


def test_the_same_id_is_sent_once_while_it_waits(tmp_path):
    with acknowledging(tmp_path) as (g, env), Socket(g) as ws:
        api = Native(env)
        id = only_id(api)
        for body in ("first", "first"):
            assert order(api, id, "m", body).status == 200
        assert order(api, id, "n", "second").status == 200
        assert told(ws)["data"] == "first" and told(ws)["data"] == "second"
        assert counters(g)["unacknowledged"] == 2


def test_orders_that_are_refused(tmp_path):
    with acknowledging(tmp_path) as (g, env), Socket(g) as ws:
        api = Native(env)
        id = only_id(api)
        bytes_type = {"Content-Type": "application/octet-stream"}
        for r, status, words in [(order(api, id, "", "x"), 400, "ack: an id"), (order(api, id, "x" * 129, "x"), 400, "ack: an id"),
                                 (order(api, id, "a\nb", "x"), 400, "ack: an id"), (order(api, id, "m", b"\xff\0"), 400, "only text"),
                                 (order(api, id, "m", "x", headers=bytes_type), 400, "only text"),
                                 (order(api, id, "m", "x", "short"), 400, "informClients"), (order(api, id, "m", "x", ",".join(["0" * 32] * 17)), 400, "informClients"),
                                 (order(api, "0" * 32, "m", "x"), 410, "no connection"),
                                 (api.call("POST", "/v1/groups/g/messages?ack=m", "x"), 400, "ack: a message to many"),
                                 (api.call("POST", "/v1/connections?ack=m", json.dumps({"connectionIds": [id], "text": "x"})), 400, "ack: a message to many")]:
            assert r.status == status and words in r.body.decode(), (r.status, r.body)
        assert counters(g)["unacknowledged"] == 0
        assert api.call("POST", f"/v1/connections/{id}", "next").status == 200 and ws.text() == "next"


def test_a_path_that_does_not_acknowledge_says_so(tmp_path):
    with puppet(tmp_path, ["websocket: /ws"]) as (g, env), Socket(g):
        api = Native(env)
        r = order(api, only_id(api), "m", "x")
        assert r.status == 400 and b"has no `acknowledge`" in r.body


@pytest.mark.parametrize("size, most", [(1, 256), (60000, 2)])
def test_what_waits_for_a_client_is_bounded(tmp_path, size, most):
    with acknowledging(tmp_path, path=", maxOutbound: 100KiB") as (g, env), Socket(g) as ws:
        api = Native(env)
        id = only_id(api)
        statuses = []
        for i in range(most + 2):
            statuses.append(order(api, id, f"m{i}", "x" * size).status)
            if statuses[-1] == 200:
                assert told(ws)["messageId"] == f"m{i}"
        assert statuses == [200] * most + [429] * 2
        ws.send(TEXT, '{"ack": "m0"}')
        wait_for(lambda: counters(g)["unacknowledged"] == most - 1)
        assert order(api, id, "more", "x").status == 200


def test_a_slow_client_is_closed_by_resends_and_what_waited_is_lost(tmp_path):
    with acknowledging(tmp_path, "resendAfter: 100ms, maxResends: 10", path=", maxOutbound: 1MiB") as (g, env), Socket(g) as ws:
        api = Native(env)
        id = only_id(api)
        for i in range(2):
            assert order(api, id, f"m{i}", "x" * 700000).status == 200
        g.wait_log("websocket closed", seconds=60, connection=id, code=1013)
        wait_for(lambda: counters(g)["lost"] == 2)
        assert counters(g)["unacknowledged"] == 0
        ws.close()


def test_losses_that_close_the_informed_do_not_end_in_a_knot(tmp_path):
    """Each of two connections is told of the other's losses; both end at once."""
    with acknowledging(tmp_path) as (g, env):
        api = Native(env)
        with Socket(g), Socket(g):
            ids = [c["connectionId"] for c in api.call("GET", "/v1/connections").json()["connections"]]
            for i in range(20):
                assert order(api, ids[i % 2], f"m{i}", "x", f"{ids[0]},{ids[1]}").status == 200
            for id in ids:
                assert api.call("DELETE", f"/v1/connections/{id}").status == 204
        wait_for(lambda: counters(g)["lost"] == 20)


def test_connections_that_end_in_the_moment_in_which_they_are_sent_a_message_again(tmp_path):
    with acknowledging(tmp_path, "resendAfter: 1s", ", idleTimeout: 1s") as (g, env), contextlib.ExitStack() as stack:
        api = Api(env)
        sockets = [stack.enter_context(Socket(g)) for _ in range(20)]
        for c in api.call("GET", "/v1/connections").json()["connections"]:
            assert order(api, c["connectionId"], "m", "x").status == 200
        for ws in sockets:
            assert ws.closed()[0] == 1001
        wait_for(lambda: counters(g)["unacknowledged"] == 0)


def test_the_gateway_stops_while_messages_wait(tmp_path):
    with acknowledging(tmp_path) as (g, env), Socket(g) as ws:
        api = Native(env)
        for i in range(5):
            assert order(api, only_id(api), f"m{i}", "x").status == 200
        g.process.terminate()
        assert ws.closed()[0] == 1001
        g.process.wait(30 * SLOW)
        assert len(g.logs("websocket message lost")) == 5


def test_nothing_is_lost_while_its_acknowledgement_cannot_be_read(tmp_path):
    """Eight messages of the client wait for a handler, its acknowledgement behind them; one that is silent is the clock."""
    with acknowledging(tmp_path, "resendAfter: 100ms, maxResends: 2", triggers=["websocket: /ws"]) as (g, env), Socket(g) as ws:
        api, other = Native(env), Native(env)
        id = only_id(other)
        for i in range(9):
            ws.send(TEXT, f"{i}")
        e = api.exchange(max=1).events[0]
        wait_for(lambda: counters(g)["received"] == 9)
        with Socket(g) as silent:
            silent_id = next(c["connectionId"] for c in other.call("GET", "/v1/connections").json()["connections"] if c["connectionId"] != id)
            assert order(other, id, "m", "x").status == 200 and told(ws)["messageId"] == "m"
            ws.send(TEXT, '{"ack": "m"}')
            assert order(other, silent_id, "clock", "x").status == 200 and told(silent)["messageId"] == "clock"
            g.wait_log("websocket message lost", connection=silent_id)
            assert counters(g)["lost"] == 1 and counters(g)["unacknowledged"] == 1
            for _ in range(8):
                e = api.exchange(message(e.id), max=1).events[0]
            api.send_exchange(message(e.id))
            wait_for(lambda: counters(g)["unacknowledged"] == 0)
            assert counters(g)["lost"] == 1


def test_a_reload_that_turns_it_off_stops_no_resends(tmp_path):
    with acknowledging(tmp_path, "resendAfter: 300ms, maxResends: 10") as (g, env), Socket(g) as ws:
        api = Native(env)
        assert order(api, only_id(api), "m", "x").status == 200 and told(ws)["messageId"] == "m"
        g.file.write_text(g.file.read_text().replace("acknowledge: {resendAfter: 300ms, maxResends: 10}", "deflate: off"))
        g.process.send_signal(signal.SIGHUP)
        g.wait_log("reloaded")
        assert told(ws)["messageId"] == "m"


@pytest.mark.parametrize("keys, words", [("resendAfter: 1ms", "resendAfter"), ("maxResends: 11", "maxResends"), ("window: 2d", "window"), ("often: 1", "often")])
def test_blueprints_that_cannot_be(tmp_path, keys, words):
    (tmp_path / "b.yaml").write_text("blueprint: 1\nname: a\nhandlers: {h: {command: /bin/true, triggers: [{websocket: /ws}]}}\n"
                                     f"websockets: {{paths: {{/ws: {{acknowledge: {{{keys}}}}}}}}}\n")
    checked = run_cli("check", tmp_path / "b.yaml")
    assert checked.returncode != 0 and words in checked.stdout + checked.stderr
