"""Schedules: when they run (against time zones as Python knows them), that they run, and what they remember."""
import contextlib
import datetime
import json
import signal
import socket
import sqlite3
import zoneinfo

import pytest
from execgate import Gateway, read_all, run_cli, wait_for
from native import Native, message
from puppet import SCRIPT, Api, environment

UTC = datetime.timezone.utc
ONCE = """#!/bin/sh
printf '%s %s\\n' "$EXECGATE_SCHEDULED_TIME" "$(cat)" >>ran
"""


def blueprint(trigger, handler="", name="clockwork"):
    return f"""blueprint: 1
name: {name}
limits: {{shutdownTimeout: 1s}}
handlers:
  job:
    command: ./job
    {handler or "mode: once"}
    triggers:
      - {trigger}
"""


def job(folder, trigger, handler="", script=ONCE, **kw):
    return Gateway(folder, blueprint(trigger, handler), files={"job": script}, **kw)


def runs(folder):
    file = folder / "ran"
    return [line.split(" ", 1) for line in file.read_text().splitlines()] if file.exists() else []


def wait_runs(folder, count):
    wait_for(lambda: len(runs(folder)) >= count, 30, f"{count} runs")
    return runs(folder)


def listed(folder):
    answer = run_cli("schedule", "list", "--json", "-b", folder / "blueprint.yaml")
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def admin_status(folder):
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as s:
        s.connect(f"{folder}/admin")
        s.sendall(b"GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return json.loads(read_all(s).partition(b"\r\n\r\n")[2])


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


# --- when: minute after minute of a year, with another time zone library ---

INTERVAL, FIXED = "interval", "fixed"
EXPRESSIONS = [  # text, kind, minutes of the hour, and what else must hold
    ("30 2 * * *", FIXED, {30}, lambda d: d.hour == 2),
    ("*/15 0-3 * * *", FIXED, {0, 15, 30, 45}, lambda d: d.hour <= 3),
    ("cron(5 1,2 ? * SUN *)", FIXED, {5}, lambda d: d.hour in (1, 2) and d.isoweekday() == 7),
    ("0 0 * * *", FIXED, {0}, lambda d: d.hour == 0),
    ("*/20 * * * *", INTERVAL, {0, 20, 40}, lambda d: True),
    ("cron(7/30 */2 * * ? *)", INTERVAL, {7, 37}, lambda d: d.hour % 2 == 0),
    ("cron(0 12 L * ? *)", FIXED, {0}, lambda d: d.hour == 12 and (d + datetime.timedelta(1)).day == 1),
    ("0 3 29 2 *", FIXED, {0}, lambda d: (d.month, d.day, d.hour) == (2, 29, 3)),
    ("15 4 13 * FRI", FIXED, {15}, lambda d: d.hour == 4 and (d.day == 13 or d.isoweekday() == 5)),
]
MINUTE = datetime.timedelta(minutes=1)


def offsets(zone, start):
    """(first minute, offset) of each stretch of a year in which the clocks are not changed, in UTC without a zone."""
    stretches = []
    for i in range(366 * 24 * 4):
        at = start + i * datetime.timedelta(minutes=15)
        offset = at.replace(tzinfo=UTC).astimezone(zone).utcoffset()
        if not stretches or stretches[-1][1] != offset:
            stretches.append((at, offset))
    return stretches


def fitting(local, count, minutes, fits):
    """Of so many minutes of a clock from `local` on, those that fit, counted from 0."""
    return [i for i in range(count) if (local.minute + i) % 60 in minutes and fits(local + i * MINUTE)]


def expected_runs(zone, start, kind, minutes, fits):
    stretches = offsets(zone, start) + [(start + datetime.timedelta(366), None)]
    found, shown_until = [], stretches[0][0] + stretches[0][1]
    for (begin, offset), (end, _) in zip(stretches, stretches[1:]):
        gap = int((begin + offset - shown_until) / MINUTE)  # below zero: what is shown a second time
        if kind == FIXED and gap > 0 and fitting(shown_until, gap, minutes, fits):
            found.append(begin)
        for i in fitting(begin + offset, int((end - begin) / MINUTE), minutes, fits):
            at = begin + i * MINUTE
            if not (kind == FIXED and at + offset < shown_until) and at not in found[-1:]:
                found.append(at)
        shown_until = max(shown_until, end + offset)
    return found


@pytest.mark.parametrize("year,name", [(2026, "Europe/Paris"), (2026, "America/New_York"), (2026, "Australia/Lord_Howe"),
                                       (2028, "Asia/Kathmandu"), (2024, "Asia/Beirut"), (2026, "Africa/Casablanca"),
                                       (2028, "America/Santiago"), (2060, "Europe/Dublin")])
def test_runs_are_those_that_a_walk_through_the_year_finds(tmp_path, year, name):
    handlers = "".join(f"""
  h{i}:
    command: /bin/true
    triggers: [{{schedule: "{text}", timeZone: {name}}}]""" for i, (text, *_) in enumerate(EXPRESSIONS))
    (tmp_path / "blueprint.yaml").write_text(f"blueprint: 1\nname: years\nhandlers:{handlers}\n")
    start = datetime.datetime(year, 1, 1, 0, 0)
    answer = run_cli("schedule", "next", "--json", "-n", 30000, "--from", f"{year - 1}-12-31T23:59:59Z", "-b", tmp_path / "blueprint.yaml")
    assert answer.returncode == 0, answer.stderr
    end = start + datetime.timedelta(366)
    zone = zoneinfo.ZoneInfo(name)
    for shown, (text, *rules) in zip(json.loads(answer.stdout), EXPRESSIONS):
        assert shown["schedule"] == text
        got = [moment(r["utc"]).replace(tzinfo=None) for r in shown["runs"]]
        assert [g for g in got if g < end] == expected_runs(zone, start, *rules), text
        for r in shown["runs"][:50]:
            assert moment(r["local"]) == moment(r["utc"])
            assert moment(r["local"]).utcoffset() == moment(r["utc"]).astimezone(zone).utcoffset()


# --- that they run ---

def test_a_schedule_runs_its_handler_with_its_input(tmp_path):
    trigger = "{schedule: rate(1 second), input: {days: 1, text: \"1\", list: [true, null]}}"
    with job(tmp_path, trigger, args=["--admin", f"unix:{tmp_path}/admin"]) as g:
        seen = wait_runs(tmp_path, 3)
        times = [moment(t) for t, _ in seen]
        assert all(b > a for a, b in zip(times, times[1:]))
        assert all(json.loads(body) == {"days": 1, "text": "1", "list": [True, None]} for _, body in seen)
        entry = g.wait_log("request", route="POST /schedule/job")
        assert entry["status"] == 200 and entry["handler"] == "job"
        counts, = admin_status(tmp_path)["schedules"]
        assert counts["name"] == "job" and counts["begun"] >= counts["succeeded"] >= 2 and counts["failed"] == 0
    item, = listed(tmp_path)
    assert item["name"] == "job" and item["outcome"] == "succeeded"
    assert item["last"]["utc"] == runs(tmp_path)[-1][0]
    table = run_cli("schedule", "list", "-b", tmp_path / "blueprint.yaml").stdout
    assert "succeeded" in table and "LAST RUN" in table


def test_a_lambda_handler_is_given_the_event_of_eventbridge(tmp_path):
    with job(tmp_path, "{schedule: rate(1 second), name: nightly, input: {days: 1}}", "mode: runtime", SCRIPT):
        api = Api(environment(tmp_path))
        first = api.next()
        event = first.json()
        assert event["detail-type"] == "Scheduled Event" and event["source"] == "aws.events"
        assert event["resources"][0].endswith(":rule/nightly") and event["detail"] == {"days": 1}
        assert moment(event["time"]).microsecond == 0 and len(event["id"]) == 36
        id = first["Lambda-Runtime-Aws-Request-Id"]
        assert api.error(id, {"errorType": "Bad", "errorMessage": "no"}).status == 202
        wait_for(lambda: listed(tmp_path)[0].get("outcome") == "failed" or listed(tmp_path)[0]["last"]["utc"] > event["time"], 30)
        second = api.next()
        assert second.json()["time"] > event["time"], "a run that failed is not repeated"
        assert second.json()["id"] != event["id"]
        api.respond(second["Lambda-Runtime-Aws-Request-Id"], None)
        api.close()


def test_a_native_handler_is_given_a_request(tmp_path):
    with job(tmp_path, "{schedule: rate(1 second), input: [1]}", "mode: runtime", SCRIPT):
        native = Native(environment(tmp_path))
        event = native.event()
        assert (event.method, event.target, event["Execgate-Trigger"]) == ("POST", "/schedule/job", "schedule")
        assert event["Content-Type"] == "application/json" and event.body == b"[1]"
        assert moment(event["Execgate-Scheduled-Time"]).microsecond == 0
        native.answer(message(event.id, status=500))
        wait_for(lambda: "failed" in listed(tmp_path)[0].values(), 30, "the failure")
        native.close()


def test_a_run_while_one_goes_on_is_left_out(tmp_path):
    with job(tmp_path, "schedule: rate(1 second)", "mode: runtime", SCRIPT) as g:
        api = Api(environment(tmp_path))
        held = api.next()
        entry = g.wait_log("left out", seconds=30, schedule="job")
        assert entry["level"] == "warn" and "still goes on" in entry["why"]
        api.respond(held["Lambda-Runtime-Aws-Request-Id"], None)
        assert api.next().json()["time"] > held.json()["time"]
        api.close()


def test_a_reload_goes_over_to_other_schedules(tmp_path):
    with job(tmp_path, "{schedule: rate(1 second), input: old}") as g:
        wait_runs(tmp_path, 1)
        g.file.write_text(blueprint("{schedule: rate(1 second), input: new}"))
        g.process.send_signal(signal.SIGHUP)
        g.wait_log("reloaded")
        wait_for(lambda: any(body == '"new"' for _, body in runs(tmp_path)), 30)
        count = len(runs(tmp_path))
        seen = wait_runs(tmp_path, count + 2)
        assert all(body == '"new"' for _, body in seen[count:])
        assert len({t for t, _ in seen}) == len(seen), "each moment has one run"


# --- what is remembered ---

def test_no_moment_runs_twice_however_often_the_gateway_is_killed(tmp_path):
    for _ in range(6):
        before = len(runs(tmp_path))
        with contextlib.suppress(AssertionError), job(tmp_path, "{schedule: rate(1 second), overlap: allow}") as g:
            wait_runs(tmp_path, before + 1)
            g.process.send_signal(signal.SIGKILL)
            g.process.wait(20)
    times = [t for t, _ in runs(tmp_path)]
    assert len(times) >= 6 and len(set(times)) == len(times), times


def test_of_two_gateways_with_one_data_directory_one_runs(tmp_path):
    with job(tmp_path, "{schedule: rate(1 second), overlap: allow}"), job(tmp_path, "{schedule: rate(1 second), overlap: allow}"):
        wait_runs(tmp_path, 6)
    times = [t for t, _ in runs(tmp_path)]
    assert len(set(times)) == len(times), times


def rewrite_note(folder, **changes):
    """What a gateway would have written that was there earlier."""
    with contextlib.closing(sqlite3.connect(folder / ".execgate/clockwork/queues.db")) as db, db:
        value, = db.execute("SELECT value FROM note WHERE key = 'schedule/job'").fetchone()
        note = {**json.loads(value), **changes}
        db.execute("UPDATE note SET value = ? WHERE key = 'schedule/job'", (json.dumps(note).encode(),))


YEARLY = "cron(0 0 1 1 ? *)"


@pytest.mark.parametrize("policy,expected", [("missed: skip", []), ("missed: once", [0]), ("missed: all", [3, 2, 1, 0]),
                                             ("missed: all, maxMissed: 2", [1, 0])])
def test_missed_runs_are_made_up_for_as_the_blueprint_says(tmp_path, policy, expected):
    trigger = f'{{schedule: "{YEARLY}", {policy}}}'
    with job(tmp_path, trigger) as g:
        g.wait_log("queues are kept")
        wait_for(lambda: b"handled" in notes(tmp_path), 30, "the first note")
    this_year = datetime.datetime.now(UTC).year
    rewrite_note(tmp_path, handled=int(datetime.datetime(this_year - 4, 6, 1, tzinfo=UTC).timestamp()))
    with job(tmp_path, trigger) as g:
        wait_runs(tmp_path, len(expected))
        if not expected:
            g.wait_log("left out", seconds=30, schedule="job")
    assert [t for t, _ in runs(tmp_path)] == [f"{this_year - back}-01-01T00:00:00Z" for back in expected]
    with job(tmp_path, trigger) as g:
        wait_for(lambda: g.request("GET", "/").status == 404)
    assert len(runs(tmp_path)) == len(expected), "nothing is made up for twice"


def notes(folder):
    file = folder / ".execgate/clockwork/queues.db"
    if not file.exists():
        return b""
    with contextlib.closing(sqlite3.connect(file)) as db:
        with contextlib.suppress(sqlite3.OperationalError):  # the table comes with the first transaction
            return b"".join(v if isinstance(v, bytes) else v.encode() for v, in db.execute("SELECT value FROM note"))
    return b""


def test_a_store_that_cannot_be_used_does_not_stop_schedules(tmp_path):
    (tmp_path / ".execgate").write_text("no folder")
    with job(tmp_path, "schedule: rate(1 second)") as g:
        entry = g.wait_log("without memory")
        assert f"{tmp_path}/.execgate/clockwork" in entry["why"]
        wait_runs(tmp_path, 2)
    (tmp_path / ".execgate").unlink()
    (tmp_path / ".execgate/clockwork").mkdir(parents=True)
    (tmp_path / ".execgate/clockwork/queues.db").write_text("this is no database, whatever its name says " * 100)
    answer = run_cli("schedule", "list", "-b", tmp_path / "blueprint.yaml")
    assert answer.returncode == 3 and "queues.db" in answer.stderr


# --- by hand ---

def test_invoke_runs_a_schedule_by_hand(tmp_path):
    (tmp_path / "blueprint.yaml").write_text(blueprint(f'{{schedule: "{YEARLY}", name: nightly, input: {{days: 1}}}}'))
    script = tmp_path / "job"
    script.write_text('#!/bin/sh\nprintf "%s %s %s" "$REQUEST_URI" "$EXECGATE_SCHEDULED_TIME" "$(cat)"\n')
    script.chmod(0o755)
    answer = run_cli("invoke", "job", "--schedule", "nightly", cwd=tmp_path)
    target, time, body = answer.stdout.split(" ", 2)
    assert answer.returncode == 0 and target == "/schedule/nightly" and json.loads(body) == {"days": 1}
    assert abs((datetime.datetime.now(UTC) - moment(time)).total_seconds()) < 60
    assert not (tmp_path / ".execgate").exists(), "a run by hand is nobody's memory"
    answer = run_cli("invoke", "job", "--schedule", "nightli", cwd=tmp_path)
    assert answer.returncode == 2 and 'did you mean "nightly"?' in answer.stderr
    answer = run_cli("invoke", "job", "--schedule", "nightly", "--event", "-", cwd=tmp_path, stdin="{}")
    assert answer.returncode == 2 and "--event does not go with it" in answer.stderr


@pytest.mark.parametrize("words,status,expected", [
    (["next", "nightli"], 2, 'did you mean "nightly"?'),
    (["next", "--count", "0"], 2, "--count takes a number from 1"),
    (["next", "--from", "tomorrow"], 2, "--from takes a moment"),
    (["next", "--from", "2026-02-29"], 2, "--from takes a moment"),
    (["list", "--count", "3"], 2, "--count"),
    (["nex"], 2, 'did you mean "schedule next"'),
    ([], 2, "Usage: execgate schedule ACTION"),
    (["next"], 0, "2"),
    (["list"], 0, "never"),
])
def test_the_command_line(tmp_path, words, status, expected):
    (tmp_path / "blueprint.yaml").write_text(blueprint(f'{{schedule: "{YEARLY}", name: nightly}}'))
    answer = run_cli("schedule", *words, cwd=tmp_path)
    assert answer.returncode == status and expected in answer.stdout + answer.stderr
    assert not (tmp_path / ".execgate").exists()


@pytest.mark.parametrize("start,first", [("2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z"), ("2026-03-29T02:59:59+02:00", "2026-03-29T01:00:00Z"),
                                         ("2026-03-28 12:00", "2026-03-29T01:00:00Z"), ("2026-03-30", "2026-03-30T00:30:00Z")])
def test_from_is_a_moment(tmp_path, start, first):
    (tmp_path / "blueprint.yaml").write_text(blueprint("{schedule: cron(30 2 * * ? *), timeZone: Europe/Paris}"))
    answer = run_cli("schedule", "next", "--from", start, "-n", 1, "--json", cwd=tmp_path)
    assert json.loads(answer.stdout)[0]["runs"][0]["utc"] == first


@pytest.mark.parametrize("trigger,position,expected", [
    ("schedule: cron(0 25 * * ? *)", (9, 26), "the hour: 25 is not from 0 to 23"),
    ("schedule: cron(0 0 31 2 ? *)", (9, 24), "it never fires"),
    ("schedule: */5 * * * *", (9, 20), "put a value that begins with '*'"),
    ("schedule: rate(5 minuts)", (9, 26), 'did you mean "minutes"?'),
    ("{schedule: rate(5 minutes), timeZone: Europe/Paris}", None, "a rate is the same everywhere"),
    ("{schedule: 0 0 * * *, timeZone: Europe/Pariss}", None, 'did you mean "Europe/Paris"?'),
    ("{schedule: 0 0 * * *, maxMissed: 3}", None, "missed: all"),
    ("{schedule: 0 0 * * *, batch: 3}", None, "only a queue trigger has it"),
    ("{schedule: 0 0 * * *, cors: true}", None, "only an http trigger has it"),
    ("{http: GET /x, jitter: 3s}", None, "only a schedule trigger has it"),
    ("{schedule: rate(1 hour), overlap: sometimes}", None, "skip, queue"),
    ("{schedule: rate(1 hour), http: GET /x}", None, "one of"),
    ("schedule: rate(1 hour)\n      - {schedule: rate(2 hours), name: job}", None, 'is called "job", too'),
])
def test_mistakes_in_a_blueprint(tmp_path, trigger, position, expected):
    (tmp_path / "blueprint.yaml").write_text(blueprint(trigger))
    (tmp_path / "job").write_text("#!/bin/sh\n")
    (tmp_path / "job").chmod(0o755)
    answer = run_cli("check", cwd=tmp_path)
    assert answer.returncode == 1 and expected in answer.stderr, answer.stderr
    if position:
        assert f"blueprint.yaml:{position[0]}:{position[1]}" in answer.stderr, answer.stderr
