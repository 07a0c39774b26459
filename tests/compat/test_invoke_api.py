"""The admin listener's invoke API as AWS's own SDK for Python sees it."""
import json
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "e2e"), str(HERE / "boto3")]
from execgate import BUILD, ROOT, SLOW, Gateway, wait_for  # noqa: E402
from install import install  # noqa: E402

BUILT = pathlib.Path(os.environ.get("COMPAT_BUILD", BUILD / "compat")).resolve()
BLUEPRINT = """
blueprint: 1
name: sdk
handlers:
  shop: {command: ./shop.py, timeout: 30s, processes: {max: 1}}
"""
HANDLER = f"""
#!/usr/bin/python3 -S
import http.client, json, os, socket, sys
sys.path.insert(0, {str(ROOT / "tests/e2e/handlers")!r})
from runtime import PREFIX, Runtime
runtime = Runtime()


def stream(id, ends):
    host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
    with socket.create_connection((host, int(port))) as s:
        s.sendall((f"POST {{PREFIX}}/invocation/{{id}}/response HTTP/1.1\\r\\nHost: api\\r\\nLambda-Runtime-Function-Response-Mode: streaming\\r\\n"
                   "Transfer-Encoding: chunked\\r\\nTrailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\\r\\n\\r\\n").encode())
        for piece in (b"one ", b"two ", b"three"):
            s.sendall(b"%x\\r\\n%s\\r\\n" % (len(piece), piece))
        if ends:
            s.sendall(b"0\\r\\n\\r\\n")
        else:
            s.sendall(b"0\\r\\nLambda-Runtime-Function-Error-Type: Shop.Broken\\r\\nLambda-Runtime-Function-Error-Body: e30=\\r\\n\\r\\n")
        s.recv(65536)


while True:
    id, headers, event = runtime.next()
    do = event.get("do") if isinstance(event, dict) else None
    if do == "error":
        print("about to fail", flush=True)
        runtime.error(id, "Shop.Closed", "closed today")
    elif do == "exit":
        os._exit(3)
    elif do in ("stream", "break"):
        print("streaming", flush=True)
        stream(id, do == "stream")
    elif do == "large":
        runtime.respond(id, "x" * 5_000_000)
    else:
        if do == "print":
            print("hello from the shop", flush=True)
        if do == "later":
            with open("later", "a") as f:
                f.write("once\\n")
        runtime.respond(id, {{"got": event, "context": headers.get("lambda-runtime-client-context")}})
"""


@pytest.fixture(scope="module")
def python():
    return install(BUILT / "boto3")


@pytest.fixture(scope="module")
def seen(python, tmp_path_factory):
    """What boto3 made of each call."""
    folder = tmp_path_factory.mktemp("sdk")
    with Gateway(folder, BLUEPRINT, files={"shop.py": HANDLER}, args=["--admin", "127.0.0.1:0"]) as g:
        done = subprocess.run([str(python), "-B", str(HERE / "boto3/calls.py"), g.ready["admin"]], capture_output=True, text=True, timeout=240 * SLOW,
                              env={"PATH": os.environ["PATH"], "HOME": str(folder), "AWS_EC2_METADATA_DISABLED": "true"}, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        wait_for((folder / "later").exists, 30, "the invocation that nobody waits for")
    return {**json.loads(done.stdout), "later ran": (folder / "later").read_text()}


def test_payloads_go_both_ways(seen):
    assert seen["plain"]["status"] == 200 and seen["plain"]["error"] is None and len(seen["plain"]["id"]) == 36
    assert json.loads(seen["plain"]["payload"])["got"] == {"n": [1, 2.5, "\u00e9"]}
    assert json.loads(seen["nothing"]["payload"])["got"] == {}
    assert seen["large"]["size"] == 5_000_000


def test_functions_are_found_by_arn_or_not_at_all(seen):
    assert json.loads(seen["arn"]["payload"])["got"] == {"by": "arn"} and seen["arn"]["version"] == "$LATEST"
    assert (seen["unknown"]["raised"], seen["unknown"]["code"], seen["unknown"]["status"]) == ("ResourceNotFoundException", "ResourceNotFoundException", 404)
    assert "nobody" in seen["unknown"]["message"]


def test_event_and_dry_run(seen):
    assert (seen["later"]["status"], seen["later"]["payload"]) == (202, "")
    assert (seen["dry"]["status"], seen["dry"]["payload"]) == (204, "")
    assert seen["later ran"] == "once\n"


def test_a_functions_failure_is_a_function_error(seen):
    error = json.loads(seen["error"]["payload"])
    assert (seen["error"]["status"], seen["error"]["error"]) == (200, "Unhandled")
    assert (error["errorType"], error["errorMessage"]) == ("Shop.Closed", "closed today") and "about to fail" in seen["error"]["log"]
    assert seen["exit"]["error"] == "Unhandled" and json.loads(seen["exit"]["payload"])["errorType"] == "Runtime.ExitError"


def test_the_log_tail_and_the_client_context(seen):
    assert "hello from the shop" in seen["log"]["log"] and seen["plain"]["log"] is None
    assert json.loads(json.loads(seen["context"]["payload"])["context"]) == {"custom": {"tenant": "acme"}, "client": {"app_title": "shop"}}


def test_streamed_answers(seen):
    assert (seen["stream"]["status"], seen["stream"]["payload"]) == (200, "one two three")
    assert "ErrorCode" not in seen["stream"]["complete"] and "streaming" in seen["stream"]["complete"]["LogResult"]


def test_streams_that_fail_say_so_at_the_end(seen):
    assert seen["broken"]["complete"]["ErrorCode"]
    assert seen["stream error"]["payload"] == "" and seen["stream error"]["complete"]["ErrorCode"] == "Shop.Closed"
    assert "closed today" in seen["stream error"]["complete"]["ErrorDetails"]
