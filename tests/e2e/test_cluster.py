"""Gateways that share their WebSocket connections through Redis (docs/websockets.md, "Clusters")."""
import base64
import contextlib
import json
import signal
import socketserver
import threading
import time

import pytest
from cluster import LEASE_S, Cluster, Node, kill
from cluster_records import BAD, identity, record
from events import Stream
from execgate import run_cli, wait_for
from redis_server import RedisServer
from test_auth import bcrypt
from websocket import BINARY, TEXT, Socket


class Talker(socketserver.ThreadingTCPServer):
    """Says the same to all that it hears."""
    daemon_threads = True

    def __init__(self, answer):
        self.answer, self.talks = answer, 0
        super().__init__(("127.0.0.1", 0), None)
        self.port = self.server_address[1]

    def finish_request(self, request, client_address):
        self.talks += 1
        with contextlib.suppress(OSError):
            while request.recv(65536):
                request.sendall(self.answer)

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


@pytest.fixture
def two(tmp_path):
    with Cluster(tmp_path) as c:
        yield c


# --- calls reach every node ---
def test_a_connection_of_another_node(two):
    a, b = two.nodes
    ws, id = b.socket()
    with ws:
        assert id.startswith(b.tag) and len(id) == 32 and a.tag != b.tag
        assert a.call("POST", f"/v1/connections/{id}", "hello").status == 200
        assert ws.recv() == (TEXT, b"hello")
        assert a.call("POST", f"/@connections/{id}", b"\xff\0", {"Content-Type": "application/octet-stream"}).status == 200
        assert ws.recv() == (BINARY, b"\xff\0")
        here, there = (n.call("GET", f"/v1/connections/{id}").json() for n in (b, a))
        assert here["path"] == there["path"] == "/rooms/1" and there["connectionId"] == id
        assert a.call("DELETE", f"/v1/connections/{id}?code=1005").status == 400
        assert a.call("PUT", f"/v1/connections/{id}/groups/" + "x" * 129).status == 400
        assert a.call("DELETE", f"/v1/connections/{id}?code=4000&reason=no+more").status == 204
        assert ws.closed() == (4000, "no more")
        for method in ("POST", "GET", "DELETE"):
            assert a.call(method, f"/v1/connections/{id}").status == 410


def test_messages_of_one_sender_stay_in_order(two):
    a, b = two.nodes
    ws, id = b.socket()
    with ws:
        for i in range(200):
            assert a.call("POST", f"/v1/connections/{id}", str(i)).status == 200
        assert [ws.text() for _ in range(200)] == [str(i) for i in range(200)]


def test_a_large_message_and_one_that_is_too_large(two):
    a, b = two.nodes
    ws, id = b.socket()
    with ws:
        text = "x" * (4 << 20)
        assert a.call("POST", f"/v1/connections/{id}", text).status == 200
        assert ws.recv() == (TEXT, text.encode())
        r = a.call("POST", f"/v1/connections/{id}", "x" * (9 << 20))
        assert r.status == 413, r
        assert a.call("POST", f"/v1/connections/{id}", "on").status == 200
        assert ws.recv() == (TEXT, b"on")


def test_a_batch_has_a_status_for_each(tmp_path):
    with Cluster(tmp_path, 3) as c, contextlib.ExitStack() as stack:
        ids, sockets = [], {}
        for n in (*c.nodes, *c.nodes):
            ws, id = n.socket()
            sockets[id] = stack.enter_context(ws)
            ids.append(id)
        gone = c.nodes[1].tag + "0" * 24
        asked = [gone, *ids, "nonsense", ids[0]]
        r = c.nodes[0].call("POST", "/v1/connections", json.dumps({"connectionIds": asked, "text": "to \"all\""}))
        assert r.json()["results"] == [{"connectionId": i, "status": 200 if i in ids else 410} for i in asked]
        for id in (*ids, ids[0]):
            assert sockets[id].text() == 'to "all"'
        r = c.nodes[2].call("POST", "/v1/connections", json.dumps({"connectionIds": ids, "base64": "/wA="}))
        assert [x["status"] for x in r.json()["results"]] == [200] * 6
        assert all(ws.recv() == (BINARY, b"\xff\0") for ws in sockets.values())


def test_groups_span_nodes(tmp_path):
    with Cluster(tmp_path, 3) as c, contextlib.ExitStack() as stack:
        members = []
        for i, n in enumerate(c.nodes):
            ws, id = n.socket()
            members.append((stack.enter_context(ws), id))
            other = c.nodes[(i + 1) % 3]  # a node that does not have the connection lets it join
            assert other.call("PUT", f"/v1/connections/{id}/groups/a%20room").status == 204
            assert other.call("PUT", f"/v1/connections/{id}/groups/own{i}").status == 204
        for n in c.nodes:
            assert n.call("GET", "/v1/groups/a%20room").json() == {"connections": 3}
            assert n.call("GET", "/v1/groups/own1").json() == {"connections": 1}
            assert n.call("GET", "/v1/groups/nobody").json() == {"connections": 0}
        for i, n in enumerate(c.nodes):
            r = n.call("POST", f"/v1/groups/a%20room/messages?except={members[2][1]}", f"from {i}")
            assert r.json() == {"sent": 2}, r
        for ws, id in members[:2]:
            assert [ws.text() for _ in range(3)] == ["from 0", "from 1", "from 2"]
        for n in c.nodes:
            listed = n.call("GET", "/v1/connections?group=a%20room").json()["connections"]
            assert [x["connectionId"] for x in listed] == sorted((id for _, id in members), key=lambda id: id[:8])
            pages, after = [], ""
            while page := n.call("GET", f"/v1/connections?group=a%20room&limit=1{after}").json()["connections"]:
                pages += page
                after = f"&after={page[-1]['connectionId']}"
            assert [x["connectionId"] for x in pages] == [x["connectionId"] for x in listed]
        assert c.nodes[0].call("DELETE", f"/v1/connections/{members[1][1]}/groups/a%20room").status == 204
        assert wait_for(lambda: c.nodes[2].call("POST", "/v1/groups/a%20room/messages", "two").json() == {"sent": 2})
        assert members[0][0].text() == members[2][0].text() == "two"
        members[0][0].close()
        wait_for(lambda: c.nodes[1].call("GET", "/v1/groups/a%20room").json() == {"connections": 1}, what="the group without who left")


def test_streams_that_the_gateway_holds(two):
    a, b = two.nodes
    ws, id = a.socket()
    with ws, Stream(b, "/stream") as stream:
        stream.open()
        assert a.call("PUT", f"/v1/connections/{id}/groups/all").status == 204
        assert wait_for(lambda: a.call("GET", "/v1/groups/all").json() == {"connections": 2}, what="the stream in the group")
        assert a.call("POST", "/v1/groups/all/messages", "to both").json() == {"sent": 2}
        assert ws.text() == "to both" and stream.event()["data"] == "to both"
        streams = [c["connectionId"] for c in a.call("GET", "/v1/connections?group=all").json()["connections"] if c["kind"] != "websocket"]
        assert len(streams) == 1
        assert a.call("POST", f"/v1/connections/{streams[0]}", "to one").status == 200
        assert stream.event()["data"] == "to one"
        assert a.call("GET", f"/v1/connections/{'f' * 32}").status == 410


def test_lists_and_the_command(two):
    a, b = two.nodes
    with a.socket()[0], b.socket()[0]:
        own, other = a.connections(), a.call("GET", f"/v1/connections?node={b.tag}").json()["connections"]
        assert [c["connectionId"][:8] for c in own] == [a.tag] and [c["connectionId"][:8] for c in other] == [b.tag]
        assert a.call("GET", "/v1/connections?node=00000000").status == 404
        done = run_cli("connections", "list", "--admin", f"unix:{a.folder}/admin")
        assert done.returncode == 0, done.stderr
        rows = [line.split() for line in done.stdout.splitlines()]
        assert rows[0][0] == "NODE" and {(r[0], r[1][:8]) for r in rows[1:]} == {(a.tag, a.tag), (b.tag, b.tag)}
        shown = run_cli("connections", "show", other[0]["connectionId"], "--admin", f"unix:{a.folder}/admin")
        assert shown.returncode == 0 and json.loads(shown.stdout)["connectionId"] == other[0]["connectionId"]
        status = a.call("GET", "/status").json()["cluster"]
        assert status["node"] == a.tag and set(status["nodes"]) == {a.tag, b.tag} and status["connected"] is True


# --- exactly once ---
def test_many_senders_at_once_and_each_message_once(tmp_path):
    with Cluster(tmp_path, 3) as c, contextlib.ExitStack() as stack:
        targets = []
        for n in c.nodes:
            for _ in range(2):
                ws, id = n.socket()
                targets.append((stack.enter_context(ws), id))
        answers = []

        def send(n, who):
            for i in range(40):
                for k, (_, id) in enumerate(targets):
                    answers.append(n.call("POST", f"/v1/connections/{id}", f"{who} {k} {i}").status)

        senders = [threading.Thread(target=send, args=(n, f"{n.number}/{t}")) for n in c.nodes for t in range(2)]
        for t in senders:
            t.start()
        for k, (ws, id) in enumerate(targets):
            got = [ws.text() for _ in range(6 * 40)]
            assert len(set(got)) == len(got), "a message came twice"
            for who in {m.split()[0] for m in got}:
                assert [m for m in got if m.startswith(who + " ")] == [f"{who} {k} {i}" for i in range(40)]
        for t in senders:
            t.join(60)
        assert answers == [200] * (6 * 40 * 6)


# --- the end of a node ---
def test_disconnects_of_a_node_that_stops_are_its_own(two):
    a, b = two.nodes
    with contextlib.ExitStack() as stack:
        ids = set()
        for _ in range(5):
            ws, id = b.socket()
            stack.enter_context(ws)
            ids.add(id)
        assert b.stop(signal.SIGTERM) == 0
        assert two.ended() == dict.fromkeys(ids, 1)
        assert {e["node"] for e in two.ledger()} == {"2"} and {e["code"] for e in two.ledger()} == {1001}
        wait_for(lambda: a.nodes() == {a.tag}, what="a cluster of one")
        for id in ids:
            assert a.call("POST", f"/v1/connections/{id}", "x").status == 410


def test_survivors_run_the_disconnects_of_a_node_that_was_killed(tmp_path):
    with Cluster(tmp_path, 3) as c, contextlib.ExitStack() as stack:
        dead = c.nodes[2]
        sockets = [dead.socket(room=i) for i in range(20)]
        for ws, _ in sockets:
            stack.enter_context(ws)
            ws.send(TEXT, "said")
            assert ws.text() == "said"
        ids = {id for _, id in sockets}
        assert c.nodes[0].call("PUT", f"/v1/connections/{sockets[0][1]}/groups/all").status == 204
        survivor, own = c.nodes[0].socket()
        stack.enter_context(survivor)
        assert c.nodes[1].call("PUT", f"/v1/connections/{own}/groups/all").status == 204
        stop, sent = threading.Event(), []

        def load():
            while not stop.is_set():
                sent.append(c.nodes[0].call("POST", f"/v1/connections/{sockets[1][1]}", "load").status)

        loader = threading.Thread(target=load)
        loader.start()
        wait_for(lambda: len(sent) > 20)
        kill(dead)
        wait_for(lambda: len(c.ended()) >= 20, 60, "the survivors' $disconnects")
        stop.set()
        loader.join(60)
        assert set(sent) <= {200, 410, 503} and c.ended() == dict.fromkeys(ids, 1)
        events = c.ledger()
        assert {e["node"] for e in events} <= {"1", "2"} and {e["code"] for e in events} == {1006} and {e["address"] for e in events} == {"127.0.0.1"}
        assert c.nodes[1].call("GET", "/v1/groups/all").json() == {"connections": 1}
        assert c.nodes[1].call("POST", f"/v1/connections/{sockets[0][1]}", "x").status == 410
        wait_for(lambda: c.redis.call("KEYS", "*orphans*") == [], what="nothing left to be looked after")
        assert c.ended() == dict.fromkeys(ids, 1)


def test_a_survivor_that_dies_in_the_middle_is_survived(tmp_path):
    with Cluster(tmp_path, 3) as c, contextlib.ExitStack() as stack:
        first, second, third = c.nodes
        ids = set()
        for _ in range(12):
            ws, id = first.socket()
            stack.enter_context(ws)
            ids.add(id)
        (tmp_path / "hold").touch()
        second.process.send_signal(signal.SIGSTOP)  # so that the third takes over all
        kill(first)
        wait_for(lambda: len(c.ledger(name="held")) >= 2, 60, "$disconnects at the third")
        assert c.ended() == {}
        kill(third)
        (tmp_path / "hold").unlink()
        second.process.send_signal(signal.SIGCONT)
        wait_for(lambda: len(c.ended()) == 12, 90, "the $disconnects at the last survivor")
        wait_for(lambda: c.redis.call("KEYS", "*orphans*") == [], what="nothing left to be looked after")
        assert c.ended() == dict.fromkeys(ids, 1)


def test_a_node_that_was_taken_for_dead_begins_anew(two):
    a, b = two.nodes
    ws, id = b.socket()
    with ws:
        old = b.tag
        b.process.send_signal(signal.SIGSTOP)
        try:
            wait_for(lambda: two.ended() == {id: 1}, 60, "the survivor's $disconnect")
        finally:
            b.process.send_signal(signal.SIGCONT)
        assert ws.closed()[0] == 1012
        b.wait_log("taken for dead")
        two.wait_together()
        assert b.tag != old
        fresh, new_id = b.socket()
        with fresh:
            assert new_id.startswith(b.tag)
            assert a.call("POST", f"/v1/connections/{new_id}", "again").status == 200
            assert fresh.text() == "again"
        wait_for(lambda: two.ended() == {id: 1, new_id: 1}, what="the second connection's $disconnect")
        assert two.ledger()[0]["node"] == "1" and two.ledger()[1]["node"] == "2"


# --- Redis goes away ---
def broken_and_healed(c, restart):
    a, b = c.nodes
    ws, id = b.socket()
    own, own_id = a.socket()
    with ws, own:
        assert a.call("PUT", f"/v1/connections/{id}/groups/all").status == 204
        assert b.call("PUT", f"/v1/connections/{own_id}/groups/all").status == 204
        c.redis.kill()
        a.wait_log("cannot be reached")
        r = a.call("POST", f"/v1/connections/{id}", "lost")
        assert r.status == 503 and f"Redis at 127.0.0.1:{c.redis.port} cannot be reached" in r.json()["detail"], r
        r = a.call("POST", "/v1/groups/all/messages", "half")
        assert r.status == 503 and r.json()["detail"].startswith("1 connections were sent it, but not all: Redis at"), r
        assert own.text() == "half"
        results = a.call("POST", "/v1/connections", json.dumps({"connectionIds": [own_id, id], "text": "batch"})).json()["results"]
        assert [x["status"] for x in results] == [200, 503] and own.text() == "batch"
        late, late_id = a.socket()
        with late:
            late.send(TEXT, "own connections go on")
            assert late.text() == "own connections go on"
            away = time.monotonic()
            r = a.call("PUT", f"/v1/connections/{late_id}/groups/all")
            assert r.status == 503 and "it has joined" in r.json()["detail"], r
            assert a.call("GET", "/status").json()["cluster"]["connected"] is False
            wait_for(lambda: time.monotonic() > away + 2 * LEASE_S, what="an outage that is longer than leases are")
            restart()
            c.wait_together()
            assert wait_for(lambda: b.call("GET", "/v1/groups/all").json().get("connections") == 3, what="the group as it was")
            assert a.call("POST", f"/v1/connections/{id}", "found").status == 200
            assert b.call("POST", "/v1/groups/all/messages", "whole").json() == {"sent": 3}
            assert [ws.text(), ws.text()] == ["found", "whole"] and own.text() == late.text() == "whole"
    wait_for(lambda: c.ended() == {id: 1, own_id: 1, late_id: 1}, what="each $disconnect once")
    assert len(a.logs("cannot be reached")) <= 3 and len(a.logs("part of a cluster")) == 2


def test_redis_restarts_with_what_it_had(two):
    broken_and_healed(two, two.redis.start)


def test_redis_restarts_empty(two):
    def restart():
        for path in sorted(two.redis.folder.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        two.redis.start()
    broken_and_healed(two, restart)


def test_redis_is_emptied_while_it_runs(two):
    a, b = two.nodes
    ws, id = b.socket()
    with ws:
        assert a.call("PUT", f"/v1/connections/{id}/groups/all").status == 204
        two.redis.call("FLUSHALL")
        assert a.call("POST", f"/v1/connections/{id}", "x").status == 200, "it still listens"
        assert ws.text() == "x"
        two.wait_together()
        assert wait_for(lambda: a.call("GET", "/v1/groups/all").json() == {"connections": 1}, what="the group as it was")
        kill(b)
        wait_for(lambda: two.ended() == {id: 1}, 60, "the survivor's $disconnect")


def test_what_ends_while_redis_is_away_is_told_when_it_is_back(two):
    a, _ = two.nodes
    ws, id = a.socket()
    two.redis.kill()
    a.wait_log("cannot be reached")
    ws.close()
    wait_for(lambda: a.connections() == [], what="the connection's end")
    assert two.ended() == {}
    two.redis.start()
    wait_for(lambda: two.ended() == {id: 1}, 60, "its $disconnect")
    assert two.ledger()[0]["node"] == "1" and two.ledger()[0]["code"] == 1006


def test_a_node_that_stops_without_redis_does_not_wait_for_it(two):
    a, _ = two.nodes
    ws, id = a.socket()
    with ws:
        two.redis.kill()
        a.wait_log("cannot be reached")
        assert a.stop(signal.SIGTERM) == 0
        assert two.ended() == {id: 1}


# --- how it is set up ---
def test_redis_with_a_password(tmp_path):
    with RedisServer(tmp_path / "redis") as redis:
        redis.call("CONFIG", "SET", "requirepass", "s3cret word")
        with Node(tmp_path, redis.url, 1) as wrong:
            entry = wrong.wait_log("cannot be reached")
            assert "NOAUTH" in entry["why"] and not wrong.is_up()
            assert wrong.call("GET", f"/v1/connections/{'0' * 32}").status == 503
        with Node(tmp_path, f"redis://:s3cret%20word@127.0.0.1:{redis.port}/3", 2) as right:
            wait_for(right.is_up, what="a node that is up")
            assert "s3cret" not in right.stderr_text() + right.call("GET", "/status").text


@pytest.mark.parametrize("url,says", [("http://x", "redis://"), ("rediss://x", "TLS"), ("redis://h:99999", "port")])
def test_a_wrong_address_is_told_by_check(tmp_path, url, says):
    (tmp_path / "blueprint.yaml").write_text(f"blueprint: 1\nname: x\nwebsockets: {{cluster: '{url}'}}\n")
    done = run_cli("check", "blueprint.yaml", cwd=tmp_path)
    assert done.returncode != 0 and "cluster: " in done.stdout + done.stderr and says in done.stdout + done.stderr


def test_clusters_of_other_names_do_not_meet(tmp_path):
    with RedisServer(tmp_path / "redis") as redis, Node(tmp_path, redis.url, 1) as a:
        other = Node(tmp_path, redis.url, 2)
        other.file.write_text(other.file.read_text().replace("name: chat", "name: other"))
        with other as b:
            wait_for(lambda: a.is_up() and b.is_up(), what="both up")
            ws, id = b.socket()
            with ws:
                assert a.nodes() == {a.tag} and b.nodes() == {b.tag}
                assert a.call("POST", f"/v1/connections/{id}", "x").status == 410


def test_a_reload_keeps_the_cluster(two):
    a, b = two.nodes
    a.file.write_text(a.file.read_text().replace(two.redis.url, "redis://127.0.0.1:1"))
    a.process.send_signal(signal.SIGHUP)
    a.wait_log("changes with a restart only")
    ws, id = b.socket()
    with ws:
        assert a.call("POST", f"/v1/connections/{id}", "still").status == 200
        assert ws.text() == "still"


def test_claims_and_groups_outlive_their_node(tmp_path):
    more = ', paths: {"/rooms/{room}": {guard: people}}'
    top = f'auth: {{guards: {{people: {{type: basic, users: "file:{tmp_path}/people"}}}}}}\n'
    (tmp_path / "people").write_text(f"ann:{bcrypt('secret')}\n")
    with Cluster(tmp_path, more=more, top=top) as c:
        a, b = c.nodes
        credential = base64.b64encode(b"ann:secret").decode()
        ws, id = b.socket(headers={"Authorization": f"Basic {credential}", "User-Agent": "an agent"})
        with ws:
            assert a.call("PUT", f"/v1/connections/{id}/groups/tea%20room").status == 204
            stored = c.redis.call("HVALS", f"execgate:{{chat}}:cluster:sessions:{b.tag}")
            assert len(stored) == 1 and b"ann" in stored[0] and b"tea%20room" in stored[0]
            assert b"secret" not in stored[0] and credential.encode() not in stored[0]
            kill(b)
            wait_for(lambda: c.ended() == {id: 1}, 60, "the survivor's $disconnect")
        e = c.ledger()[0]
        assert e["node"] == "1" and "ann" in json.dumps(e["user"]) and e["agent"] == "an agent" and e["groups"] == ["tea room"]


def test_who_is_to_be_told_of_a_lost_message_may_be_anywhere(tmp_path):
    more = ', paths: {"/rooms/{room}": {acknowledge: {resendAfter: 100ms, maxResends: 1}}}'
    with Cluster(tmp_path, more=more) as c:
        a, b = c.nodes
        deaf, id = a.socket()
        told, told_id = b.socket()
        with deaf, told:
            assert b.call("POST", f"/v1/connections/{id}?ack=m1&informClients={told_id}", "hello").status == 200
            loss = json.loads(told.text())
            assert loss["messageId"] == "m1" and loss["connectionId"] == id


def test_records_that_no_gateway_has_written_do_no_harm(tmp_path):
    with Cluster(tmp_path, 1) as c:
        good, keys = record(identity=identity('{"sub":"me"}')), "execgate:{chat}:cluster:"
        ids = {f"deadbeef{i:024x}": name for i, name in enumerate(BAD)}
        left = {**{id: BAD[name] for id, name in ids.items()}, "deadbeef" + "f" * 24: good, "short": good, "\r\nEvil: 1".ljust(32): good}
        for id, bytes in left.items():
            c.redis.call("HSET", keys + "sessions:deadbeef", id, bytes)
        c.redis.call("SADD", keys + "buried", "deadbeef")
        wait_for(c.ledger, what="the $disconnect of the good one")
        wait_for(lambda: c.redis.call("EXISTS", keys + "sessions:deadbeef", f"{keys}orphans:{c.nodes[0].tag}") == 0, what="the end of all")
        assert c.ended() == {"deadbeef" + "f" * 24: 1}
        assert {e["connection"] for e in c.nodes[0].logs("cannot be read", level="warn")} == set(ids)


def test_a_redis_user_without_channels_is_told(two):
    a, b = two.nodes
    two.redis.call("ACL", "SETUSER", "default", "resetchannels")
    two.redis.call("CLIENT", "KILL", "TYPE", "pubsub")
    for n in (a, b):
        assert "channels" in n.wait_log("hear nothing", level="warn")["why"]
        assert not n.is_up()
    two.redis.call("ACL", "SETUSER", "default", "allchannels")
    wait_for(lambda: a.is_up() and b.is_up(), 60, "nodes that hear again")
    ws, id = b.socket()
    with ws:
        assert a.call("POST", f"/v1/connections/{id}", "hello").status == 200
        assert ws.text() == "hello"


@pytest.mark.parametrize("answer", [b"+OK\r\n", b":1\r\n", b"$-1\r\n", b"*1\r\n*1\r\n:1\r\n", b"*3\r\n:1\r\n:2\r\n:3\r\n"])
def test_what_is_not_redis_and_says_more_than_it_is_asked_ends_nobody(tmp_path, answer):
    with Talker(answer * 3 + b"*3\r\n$3\r\nnew\r\n:0\r\n*0\r\n" + answer * 3) as t, Node(tmp_path, f"redis://127.0.0.1:{t.port}", 1) as n:
        wait_for(lambda: t.talks >= 8, what="connections that were made again")
        assert n.wait_log("cannot be reached", level="warn")
        with Socket(n, "/rooms/1") as ws:
            ws.send(TEXT, "still here")
            assert ws.text() == "still here"


def test_every_call_reaches_event_streams_of_another_node(two):
    a, b = two.nodes
    with Stream(b, "/stream") as s:
        s.open()
        id = wait_for(b.connections)[0]["connectionId"]
        assert a.call("GET", f"/v1/connections/{id}").json()["kind"] == "sse"
        assert a.call("POST", f"/v1/connections/{id}?event=greeting&id=7", "hello").status == 200
        s.expect("event: greeting\nid: 7\ndata: hello\n\n")
        r = a.call("POST", "/v1/connections", json.dumps({"connectionIds": [id], "text": "one of many"}))
        assert r.json() == {"results": [{"connectionId": id, "status": 200}]}
        s.expect("data: one of many\n\n")
        assert a.call("POST", "/v1/groups/all/messages", "all").json() == {"sent": 1}
        s.expect("data: all\n\n")
        assert a.call("DELETE", f"/v1/connections/{id}").status == 204
        assert s.rest() == ""


def test_a_node_that_has_just_come_is_reached(tmp_path):
    with Cluster(tmp_path, 1, lease=60) as c:  # so that the first asks Redis again only in 20 s
        b = c.start(2)
        wait_for(b.is_up)
        ws, id = b.socket()
        with ws:
            assert c.nodes[0].call("POST", f"/v1/connections/{id}", "hello").status == 200
            assert ws.text() == "hello"
            r = c.nodes[0].call("POST", "/v1/connections", json.dumps({"connectionIds": [id], "text": "again"}))
            assert r.json()["results"][0]["status"] == 200
            assert ws.text() == "again"
