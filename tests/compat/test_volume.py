"""Thousands of invocations per client, in turn and eight at a time, with every answer held against its request."""
import os
import threading
import time

from conftest import serve
from execgate import SLOW, read_answer

INVOCATIONS = int(os.environ.get("COMPAT_INVOCATIONS", "10000"))
WAYS = 8
SECONDS = 300


def run(g, name, numbers, end, wrong):
    """Sends a request per number over one connection; notes every answer that is not its request's."""
    try:
        with g.connect(timeout=60) as s, s.makefile("rb") as f:
            for i in numbers:
                assert time.monotonic() < end, f"not done after {SECONDS} s"
                body = f"{name} {i} {i * 2654435761 % 1000003}".encode()
                s.sendall(b"POST /app/echo HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
                answer = read_answer(f)
                if answer is None or (answer.status, answer.body) != (200, body):
                    wrong.append((body, answer))
    except (OSError, AssertionError, ValueError) as failure:
        wrong.append((name, failure))


def drive(g, name, ways):
    end, wrong = time.monotonic() + SECONDS * SLOW, []
    threads = [threading.Thread(target=run, args=(g, name, range(way, INVOCATIONS, ways), end, wrong)) for way in range(ways)]
    start = time.monotonic()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return time.monotonic() - start, wrong


def check(g, client, ways, how, record, capsys):
    seconds, wrong = drive(g, client.name, ways)
    record(client, INVOCATIONS, len(wrong))
    with capsys.disabled():
        print(f"\n{client.name}: {INVOCATIONS} {how} in {seconds:.1f} s ({INVOCATIONS / seconds:.0f}/s), {len(wrong)} wrong", flush=True)
    assert not wrong, f"{len(wrong)} wrong answers, the first: {wrong[:5]}"
    assert not g.logs("handler exited"), "a process did not last"


def test_in_turn(client, tmp_path, record, capsys):
    with serve(tmp_path, client) as g:
        check(g, client, 1, "in turn", record, capsys)


def test_eight_at_a_time(client, tmp_path, record, capsys):
    if client.concurrency > 1:
        shape, how = {"kind": client.concurrent_kind, "concurrency": WAYS}, "eight at a time in one process"
    else:
        shape, how = {"processes": WAYS}, "eight at a time in eight processes"
    with serve(tmp_path, client, **shape) as g:
        check(g, client, WAYS, how, record, capsys)
