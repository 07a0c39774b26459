"""What the tests of `run --record` and `replay` share: a handler that a file tells what to answer, and how records are read."""
import json
import pathlib

from execgate import ROOT, Gateway, run_cli, wait_for

HANDLERS = ROOT / "tests/e2e/handlers"
FAR = 30  # seconds that a loaded machine may take

# Echoes what it was asked, and the word of the file `word`, which a test changes between then and now.
SHOP = f"""
#!/usr/bin/python3 -S
import base64, json, os, sys
sys.path.insert(0, {str(HANDLERS)!r})
from runtime import Runtime
runtime = Runtime()
while True:
    id, headers, event = runtime.next()
    word = open("word").read().strip()
    path = event.get("rawPath", "")
    if path == "/text" or path.startswith("/text/"):
        answer = {{"statusCode": 200, "headers": {{"content-type": "text/plain"}}, "body": "one\\n" + word + "\\nthree\\n"}}
    elif path == "/bytes":
        answer = {{"statusCode": 200, "headers": {{"content-type": "application/octet-stream"}}, "isBase64Encoded": True,
                  "body": base64.b64encode(bytes(range(256)) + word.encode()).decode()}}
    elif path == "/long":
        answer = {{"statusCode": 200, "headers": {{"content-type": "text/plain"}}, "body": "long " * 40000}}
    elif path == "/page":
        answer = {{"statusCode": 200, "headers": {{"content-type": "text/plain"}}, "body": "page " * 4000}}
    elif path == "/cookies":
        answer = {{"statusCode": 200, "cookies": ["sid=very-secret-session; Path=/; HttpOnly"], "body": "{{}}"}}
    elif path == "/status":
        answer = {{"statusCode": 200 if word == "then" else 500, "headers": {{"x-word": word, "x-always": "same"}}, "body": "ok"}}
    elif path == "/fail" or event.get("do") == "fail":
        runtime.error(id, "Shop.Closed", "closed at " + word)
        continue
    elif path:
        answer = {{"statusCode": 200, "headers": {{"content-type": "application/json"}},
                  "body": json.dumps({{"word": word, "items": [{{"id": id, "price": 12}}], "method": event["requestContext"]["http"]["method"],
                                       "query": event.get("queryStringParameters"), "parameters": event.get("pathParameters"),
                                       "headers": event["headers"], "cookies": event.get("cookies"), "body": event.get("body"),
                                       "authorizer": event["requestContext"].get("authorizer")}})}}
    else:
        answer = {{"got": event, "word": word, "context": headers.get("lambda-runtime-client-context")}}
    runtime.respond(id, answer)
"""

PLAIN = f"""
blueprint: 1
name: shop
handlers:
  shop:
    command: ./shop.py
    triggers:
      - http: ANY /items/{{id}}
      - http: ANY /text
      - http: ANY /bytes
      - http: ANY /long
      - http: ANY /page
      - http: ANY /cookies
      - http: ANY /status
      - http: ANY /fail
  stream:
    command: {HANDLERS}/stream_server.py
    mode: server
    triggers:
      - http: ANY /stream/{{what+}}
"""
NOISE = ("body.items[].id", "body.headers")  # of every answer with items: another id, and what the way there adds


def recorded(folder, blueprint=PLAIN, *args, env=None, admin=False):
    """A gateway that records into folder/records."""
    (folder / "word").write_text("then")
    words = ["--record", str(folder / "records"), *args, *(["--admin", "127.0.0.1:0"] if admin else [])]
    return Gateway(folder, blueprint, files={"shop.py": SHOP}, args=words, env=env)


def segments(folder):
    return sorted(pathlib.Path(folder).glob("*.ndjson"))


def records(folder):
    """Everything that is in whole lines so far."""
    return [json.loads(line) for file in segments(folder) for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]


def wait_records(folder, count):
    return wait_for(lambda: (found := records(folder)) if len(records(folder)) >= count else None, FAR, f"{count} records")


def replay(folder, *words, code=0, **kw):
    done = run_cli("replay", str(folder / "records"), "-b", str(folder / "blueprint.yaml"), *words, **kw)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


def replay_json(folder, *words, code=0, **kw):
    return json.loads(replay(folder, "--json", *words, code=code, **kw).stdout)


def ignoring(*paths):
    return [word for path in paths for word in ("--ignore", path)]
