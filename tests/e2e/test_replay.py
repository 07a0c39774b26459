"""replay: records are sent again, here or to a gateway that runs, and the answers compared."""
import base64
import contextlib
import http.client
import json
import signal
import subprocess

import pytest
from execgate import BINARY, SLOW, Gateway, run_cli, wait_for
from recording import FAR, NOISE, PLAIN, SHOP, ignoring, recorded, records, replay, replay_json, segments, wait_records
from test_record import KEY, environment, guarded, sign, token

IGNORE = ignoring(*NOISE)


def record_some(folder, *paths, blueprint=PLAIN, **kw):
    with recorded(folder, blueprint, **kw) as g:
        for path in paths:
            g.get(path)
        wait_records(folder / "records", len(paths))


def change_word(folder, word="now"):
    (folder / "word").write_text(word)


# --- here ---

def test_what_did_not_change_is_the_same(tmp_path):
    with recorded(tmp_path, admin=True) as g:
        g.request("POST", "/items/7?b=2", body=b'{"n": 1}', headers={"Content-Type": "application/json", "X-Shop": "north"})
        for path in ("/text", "/bytes", "/long", "/page", "/cookies", "/status", "/fail", "/nowhere", "/stream/bytes/70000"):
            g.get(path)
        invoke(g, b'{"n": 1.0}')
        invoke(g, b'{"do": "fail"}')
        wait_records(tmp_path / "records", 12)
    done = replay_json(tmp_path, *IGNORE)
    assert done["ok"] and (done["same"], done["different"], done["skipped"], done["damaged"]) == (12, 0, 0, 0)
    assert [r["result"] for r in done["results"]] == ["same"] * 12 and done["then_ms"] > 0 and done["now_ms"] > 0
    text = replay(tmp_path, *IGNORE).stdout
    assert "12 same, 0 different, 0 skipped, 0 damaged; " in text and " ms then, " in text
    assert "same       shop  POST /items/7?b=2  200  " in text


def invoke(g, payload, context=None):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", int(g.ready["admin"].rsplit(":", 1)[1]), timeout=FAR * SLOW)) as c:
        headers = {"X-Amz-Client-Context": base64.b64encode(json.dumps(context).encode()).decode()} if context else {}
        c.request("POST", "/2015-03-31/functions/shop/invocations", payload, headers)
        return c.getresponse().read()


def differences(done):
    return {r["target"]: {d["path"]: (d.get("then"), d.get("now")) for d in r["differences"]} for r in done["results"] if r["result"] == "different"}


def test_every_kind_of_difference_is_told(tmp_path):
    record_some(tmp_path, "/items/7", "/text", "/bytes", "/status", "/fail", "/cookies", "/long")
    change_word(tmp_path)
    done = replay_json(tmp_path, *IGNORE, code=5)
    found = differences(done)
    assert not done["ok"] and (done["same"], done["different"]) == (2, 5)
    assert found["/items/7"] == {"body.word": ('"then"', '"now"')}
    assert found["/text"] == {"body line 2": ("then", "now")}
    assert found["/bytes"] == {"body": ("260 bytes", "259 bytes, another from byte 257 on")}
    assert found["/status"] == {"status": ("200", "500"), "x-word": ("then", "now")}
    assert found["/fail"] == {"error.message": ("closed at then", "closed at now")}
    text = replay(tmp_path, *IGNORE, code=5).stdout
    assert '    body.word: "then" -> "now"\n' in text and "    body line 2: then -> now\n" in text and "5 different" in text


def test_what_is_ignored_is_no_difference(tmp_path):
    record_some(tmp_path, "/items/7", "/status")
    change_word(tmp_path)
    assert replay_json(tmp_path, *IGNORE, *ignoring("body.word", "status", "X-Word"))["same"] == 2
    assert "body.items[0].id" in replay_json(tmp_path, *ignoring("body.headers", "body.word"), code=5)["results"][0]["differences"][0]["path"]
    assert replay_json(tmp_path, *ignoring("body", "status", "x-word"))["same"] == 2


def test_members_that_come_and_go(tmp_path):
    record_some(tmp_path, "/items/7")
    (tmp_path / "shop.py").write_text(SHOP.lstrip().replace('"price": 12', '"cost": 12'))
    text = replay(tmp_path, *IGNORE, code=5).stdout
    assert "    body.items[0].cost: only now, 12\n    body.items[0].price: only then, 12\n" in text


def test_update_accepts_the_answers_of_now(tmp_path):
    record_some(tmp_path, "/items/7", "/status", "/text")
    file, = segments(tmp_path / "records")
    file.write_text(file.read_text() + "no record\n")
    before = file.read_text().splitlines()
    change_word(tmp_path)
    done = replay_json(tmp_path, *IGNORE, "--update", "--handler", "shop", code=5)  # 5: there is a damaged one
    assert (done["updated"], done["different"], done["damaged"]) == (3, 3, 1)
    after = file.read_text().splitlines()
    assert after[3] == "no record" and len(after) == 4 and [json.loads(a)["id"] for a in after[:3]] == [json.loads(b)["id"] for b in before[:3]]
    assert file.stat().st_mode & 0o777 == 0o600 and [f.name for f in (tmp_path / "records").iterdir()] == [file.name]
    file.write_text("".join(line + "\n" for line in after[:3]))
    unchanged = file.read_text()
    assert replay_json(tmp_path, *IGNORE, "--update")["same"] == 3 and file.read_text() == unchanged
    change_word(tmp_path, "then")
    assert "3 different, 0 skipped, 0 damaged; 3 updated" in replay(tmp_path, *IGNORE, "--update").stdout


def test_update_keeps_cookies_secret(tmp_path):
    record_some(tmp_path, "/cookies")
    (tmp_path / "shop.py").write_text(SHOP.lstrip().replace("sid=very-secret-session", "tid=another-secret"))
    found = differences(replay_json(tmp_path, "--update"))["/cookies"]
    assert found["set-cookie" if "set-cookie" in found else "Set-Cookie"] == ("sid=[redacted]; Path=/; HttpOnly", "tid=[redacted]; Path=/; HttpOnly")
    assert b"another-secret" not in segments(tmp_path / "records")[0].read_bytes()


def test_only_one_handler(tmp_path):
    record_some(tmp_path, "/text", "/stream/bytes/5", "/nowhere")
    assert [r["target"] for r in replay_json(tmp_path, "--handler", "stream")["results"]] == ["/stream/bytes/5"]
    done = run_cli("replay", str(tmp_path / "records"), "-b", str(tmp_path / "blueprint.yaml"), "--handler", "strem")
    assert done.returncode == 2 and 'has no handler "strem"' in done.stderr


def test_a_handler_that_is_gone_is_a_difference(tmp_path):
    with recorded(tmp_path, admin=True) as g:
        invoke(g, b"{}")
        wait_records(tmp_path / "records", 1)
    (tmp_path / "blueprint.yaml").write_text(PLAIN.replace("  shop:\n", "  store:\n"))
    assert "answer: status 200 -> the blueprint has no such handler" in replay(tmp_path, code=5).stdout


def test_files_are_named_one_by_one_too(tmp_path):
    record_some(tmp_path, "/text", "/items/1")
    file, = segments(tmp_path / "records")
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    lines = file.read_text().splitlines(keepends=True)
    one.write_text(lines[1])
    two.write_text("\n" + lines[0].rstrip("\n"))
    done = run_cli("replay", str(one), str(two), "-b", str(tmp_path / "blueprint.yaml"), "--json", *IGNORE)
    assert done.returncode == 0, done.stderr
    assert [(r["target"], r["line"]) for r in json.loads(done.stdout)["results"]] == [("/items/1", 1), ("/text", 2)]


# --- who the client is ---

def test_clients_are_who_they_were_and_credentials_are_not_needed(tmp_path):
    with guarded(tmp_path) as g:
        assert g.get("/token", headers={"Authorization": "Bearer " + token(sub="ann", role="buyer")}).status == 200
        assert g.get("/key?a=1", headers={"X-Shop-Key": KEY}).status == 200
        assert g.get("/link?a=1&ke-y=" + KEY).status == 200
        assert g.request("POST", "/hook", body=b"the body", headers={"X-Shop-Signature": sign(b"the body")}).status == 200
        assert g.get("/key").status == 401
        assert g.get("/key", headers={"X-Shop-Key": "guessed"}).status == 401
        assert g.get("/open", headers={"Cookie": "theme=dark"}).status == 200
        wait_records(tmp_path / "records", 7)
    done = replay_json(tmp_path, *IGNORE, *ignoring("body.cookies"), env=environment())
    assert done["ok"] and [r["result"] for r in done["results"]] == ["same"] * 5 + ["skipped", "same"]
    assert done["results"][5]["reason"] == "a guard refused it, and the credential is redacted"
    assert done["results"][6]["sentWithout"] == "Cookie"
    assert "sent without Cookie, which the record does not hold" in replay(tmp_path, *IGNORE, env=environment(), code=5).stdout


def test_client_contexts_are_sent_again(tmp_path):
    with recorded(tmp_path, admin=True) as g:
        answer = json.loads(invoke(g, b'{"n": 1}', {"custom": {"a": "b"}}))
        assert answer["got"] == {"n": 1} and json.loads(answer["context"]) == {"custom": {"a": "b"}}
        wait_records(tmp_path / "records", 1)
    assert replay_json(tmp_path)["same"] == 1
    file, = segments(tmp_path / "records")
    file.write_text(file.read_text().replace('"a":"b"', '"a":"c"'))
    assert "body.context" in differences(replay_json(tmp_path, code=5))["/invoke"]


# --- to a gateway that runs ---

def test_to_a_running_gateway(tmp_path):
    with recorded(tmp_path, admin=True) as g:
        for path in ("/items/7?a=%20b&c=d/../e", "/text", "/bytes", "/status", "/fail", "/nowhere", "/stream/bytes/70000"):
            g.get(path)
        g.request("POST", "/items/8", body=b"x=1", headers={"Content-Type": "application/x-www-form-urlencoded", "X-Empty": ""})
        g.request("DELETE", "/items/9", body=b"")
        g.request("HEAD", "/items/9")
        invoke(g, b"{}")
        wait_records(tmp_path / "records", 11)
    other = tmp_path / "other"
    other.mkdir()
    (other / "word").write_text("then")
    with Gateway(other, PLAIN, files={"shop.py": SHOP}) as g:
        to = ("--to", f"http://127.0.0.1:{g.port}/")
        done = replay_json(tmp_path, *to, *IGNORE)
        assert (done["same"], done["skipped"]) == (10, 1)
        assert done["results"][10]["reason"] == "an invocation by name has no URL; without --to it can be sent"
        change_word(other)
        found = differences(replay_json(tmp_path, *to, *IGNORE, code=5))
        assert found["/text"] == {"body line 2": ("then", "now")} and "/fail" not in found
        assert replay_json(tmp_path, *to, *IGNORE, "--update")["updated"] == len(found)
        assert replay_json(tmp_path, *to, *IGNORE)["different"] == 0


def test_update_over_a_url_keeps_the_failure_that_a_client_cannot_see(tmp_path):
    record_some(tmp_path, "/fail")
    file, = segments(tmp_path / "records")
    record, = records(tmp_path / "records")
    record["answer"]["headers"].append(["X-Then", "1"])
    file.write_text(json.dumps(record) + "\n")
    with Gateway(tmp_path, PLAIN, files={"shop.py": SHOP}) as g:
        assert replay_json(tmp_path, "--to", f"http://127.0.0.1:{g.port}", "--update")["updated"] == 1
    after, = records(tmp_path / "records")
    assert after["answer"]["error"] == record["answer"]["error"] and ["X-Then", "1"] not in after["answer"]["headers"]
    assert replay_json(tmp_path)["same"] == 1


def test_guarded_routes_want_a_credential_at_a_url(tmp_path):
    with guarded(tmp_path) as g:
        assert g.get("/key", headers={"X-Shop-Key": KEY}).status == 200
        wait_records(tmp_path / "records", 1)
        to = ("--to", f"http://127.0.0.1:{g.port}")
        done = replay_json(tmp_path, *to, code=5)
        assert done["results"][0]["reason"] == "a guard asks for what was redacted; give it with --header" and done["skipped"] == 1
        assert replay_json(tmp_path, *to, *IGNORE, "--handler", "shop", "-H", f"X-Shop-Key: {KEY}")["same"] == 1
    assert KEY.encode() not in b"".join(f.read_bytes() for f in segments(tmp_path / "records"))


def test_a_credential_in_the_query_cannot_be_given_for_a_url(tmp_path):
    with guarded(tmp_path) as g:
        assert g.get(f"/link?ke-y={KEY}").status == 200
        wait_records(tmp_path / "records", 1)
        done = replay_json(tmp_path, "--to", f"http://127.0.0.1:{g.port}", code=5)
    assert done["results"][0]["reason"] == "a guard asks for a query parameter that was redacted; without --to it can be sent"


def test_nobody_listens_there(tmp_path):
    record_some(tmp_path, "/text")
    done = replay_json(tmp_path, "--to", "http://127.0.0.1:1", code=5)
    assert done["results"][0]["differences"][0]["path"] == "answer" and "connect" in done["results"][0]["differences"][0]["now"].lower()


# --- what cannot be sent, or compared ---

def test_what_is_cut_is_said_to_be(tmp_path):
    with recorded(tmp_path, PLAIN, "--record-body", "1KiB") as g:
        g.request("POST", "/text", body=b"x" * 5000)
        g.get("/long")
        wait_records(tmp_path / "records", 2)
    done = replay_json(tmp_path)
    assert done["results"][0]["reason"] == "the record has not all of the request's body" and done["skipped"] == 1
    assert done["results"][1]["bodyNotCompared"] == "the recorded one is cut: it is larger than --record-body" and done["same"] == 1
    assert "body: not compared, the recorded one is cut: it is larger than --record-body" in replay(tmp_path).stdout


def test_compressed_answers_are_compared_as_they_were_before(tmp_path):
    with recorded(tmp_path, PLAIN.replace("name: shop", 'name: shop\ncompress: {types: ["text/*"], minSize: 1B}', 1)) as g:
        assert g.get("/page", headers={"Accept-Encoding": "gzip"})["Content-Encoding"] == "gzip"
        assert g.get("/long", headers={"Accept-Encoding": "br"})["Content-Encoding"] == "br"
        wait_records(tmp_path / "records", 2)
        assert replay_json(tmp_path, "--to", f"http://127.0.0.1:{g.port}")["same"] == 2
        wait_records(tmp_path / "records", 4)  # what was sent again was recorded, too
    assert replay_json(tmp_path)["same"] == 4


def test_what_was_a_matter_of_the_hour_is_skipped(tmp_path):
    blueprint = PLAIN.replace("http: ANY /text\n", "http: ANY /text\n        rateLimit: {rate: 1/h, burst: 1}\n")
    record_some(tmp_path, "/text", "/text", "/page", blueprint=blueprint)
    done = replay_json(tmp_path)
    assert [r["result"] for r in done["results"]] == ["same", "skipped", "same"]
    assert done["results"][1]["reason"] == "how it ended was a matter of the hour, not of the handler"


DAMAGED = {
    "no JSON": ("hello", "no whole record: "),
    "no object": ("[1]", "no record: it is no JSON object"),
    "cut short": ('{"record": 1, "id": "a", "request": {"method": "GE', "no whole record: "),
    "another version": ('{"record": 2, "request": {"method": "GET"}}', 'it says "record": 2, not 1'),
    "another type": ('{"record": 1, "request": {"method": 7}}', 'its member "method" is of another type'),
    "missing members": ('{"record": 1, "trigger": "http", "request": {"method": "GET"}}', "answer.status is missing"),
    "bad base64": ('{"record": 1, "trigger": "http", "request": {"method": "GET", "target": "/", "body": {"base64": "%%%"}}, "answer": {"status": 200}}',
                   'its member "base64" is of another type'),
    "bad claims": ('{"record": 1, "trigger": "http", "request": {"method": "GET", "target": "/"}, "claims": {"exp": "soon"}, "answer": {"status": 200}}', "exp"),
}


@pytest.mark.parametrize("line, message", DAMAGED.values(), ids=DAMAGED)
def test_damaged_records_are_told_and_the_others_sent(tmp_path, line, message):
    record_some(tmp_path, "/text")
    file, = segments(tmp_path / "records")
    file.write_text(line + "\n" + file.read_text())
    done = replay(tmp_path, code=5)
    assert f"damaged    {file}:1: " in done.stdout and message in done.stdout and "1 same, 0 different, 0 skipped, 1 damaged" in done.stdout


def test_records_of_bad_faith_reach_no_wire(tmp_path):
    (tmp_path / "word").write_text("then")
    bad = [{"record": 1, "trigger": "http", "request": {"method": m, "target": t, "headers": h}, "answer": {"status": 200}}
           for m, t, h in [("GET", "/text", [["X-A", "1\r\nX-B: 2"]]), ("GET /x HTTP/1.1\r\nX: y", "/text", []), ("GET", "/te xt", []), ("GET", "@evil.example/", [])]]
    (tmp_path / "records").mkdir()
    (tmp_path / "records/a.ndjson").write_text("".join(json.dumps(b) + "\n" for b in bad))
    with Gateway(tmp_path, PLAIN, files={"shop.py": SHOP}) as g:
        done = replay_json(tmp_path, "--to", f"http://127.0.0.1:{g.port}", code=5)
        assert [r["result"] for r in done["results"]] == ["skipped"] * 4 and not g.logs("request")
    assert {r["differences"][0]["now"] for r in replay_json(tmp_path, code=5)["results"]} == {"400"}


# --- wrong usage, and stopping ---

@pytest.mark.parametrize("words, message", [
    ([], "which records? execgate replay DIR"),
    (["{}/none"], "cannot open"),
    (["{}/empty"], "has no records: no file *.ndjson"),
    (["{}/empty", "--to", "ftp://a"], "--to takes where a gateway listens"),
    (["{}/empty", "--to", "http://a/?b=1"], "--to takes where a gateway listens"),
    (["{}/empty", "--to", "http://u:p@a/"], "--to takes where a gateway listens"),
    (["{}/empty", "-H", "A: b"], "--header is for --to"),
    (["{}/empty", "--to", "http://a", "-H", "nonsense"], '--header takes "Name: value"'),
    (["{}/empty", "--ignore", "a path"], "--ignore takes status, a header's name or a path"),
    (["{}/empty", "--timeout", "soon"], "--timeout takes a duration"),
])
def test_wrong_usage_is_told(tmp_path, words, message):
    (tmp_path / "empty").mkdir()
    done = run_cli("replay", *(w.replace("{}", str(tmp_path)) for w in words))
    assert done.returncode in (2, 3) and message in done.stderr, done
    as_json = json.loads(run_cli("replay", "--json", *(w.replace("{}", str(tmp_path)) for w in words)).stdout)
    assert message in json.dumps(as_json, ensure_ascii=False).replace('\\"', '"')


def test_ctrl_c_stops_it(tmp_path):
    record_some(tmp_path, "/text")
    (tmp_path / "shop.py").write_text("#!/bin/sh\ntouch started\nexec sleep 1000\n")
    process = subprocess.Popen([str(BINARY), "replay", str(tmp_path / "records"), "-b", str(tmp_path / "blueprint.yaml")], stdout=subprocess.PIPE, text=True)
    wait_for((tmp_path / "started").exists, FAR, "the handler")
    process.send_signal(signal.SIGINT)
    assert process.wait(FAR * SLOW) == 4 and len(records(tmp_path / "records")) == 1
    process.stdout.close()


def test_a_handler_that_hangs_ends_with_its_time(tmp_path):
    record_some(tmp_path, "/text")
    (tmp_path / "shop.py").write_text(SHOP.lstrip().replace("    word = open", "    import time; time.sleep(1000)\n    word = open"))
    found = differences(replay_json(tmp_path, "--timeout", "2s", code=5))["/text"]
    assert found["status"] == ("200", "504") and found["error"][1] == "handler-timeout"
