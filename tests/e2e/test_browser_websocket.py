"""What a real browser makes of a WebSocket path: Debian's chromium, headless, with the pages of test_browser_cors."""
import json
import queue

import pytest
from execgate import EXAMPLES, SLOW, Gateway
from test_browser_cors import CHROMIUM, Pages, chromium

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs Debian's chromium")

PAGE = """<!doctype html><meta charset=utf-8><title>sockets</title><link rel=icon href="data:,"><script>
const gateway = %(gateway)s, seen = {};
const event = (target, name) => new Promise((done, fail) => {
  target.addEventListener(name, done, {once: true});
  if (name !== "close") target.addEventListener("close", e => fail(new Error("closed with " + e.code)), {once: true});
});
const noise = size => { const b = new Uint8Array(size); for (let i = 0; i < size; i += 65536) crypto.getRandomValues(b.subarray(i, i + 65536)); return b; };
const alike = (a, b) => a.length === b.length && a.every((x, i) => x === b[i]);

async function echo(ws, message) {
  const answer = event(ws, "message");
  ws.send(message);
  const got = (await answer).data;
  return typeof message === "string" ? got === message : alike(new Uint8Array(got), message);
}
async function talk(path) {
  const ws = new WebSocket(gateway + path);
  ws.binaryType = "arraybuffer";
  await event(ws, "open");
  const well = [], said = {extensions: ws.extensions, protocol: ws.protocol};
  for (const size of [1, 125, 126, 127, 128, 65535, 65536, 300000]) {
    well.push(await echo(ws, "é".repeat(size / 2 + 1)));
    well.push(await echo(ws, noise(size)));
    well.push(await echo(ws, new Uint8Array(size)));
  }
  said.well = well.filter(x => x).length;
  const end = event(ws, "close");
  ws.close(4001, "done");
  const {code, wasClean} = await end;
  return {...said, code, wasClean};
}
async function end(path, message) {
  const ws = new WebSocket(gateway + path);
  await event(ws, "open");
  const end = event(ws, "close");
  ws.send(message);
  const {code, reason, wasClean} = await end;
  return {code, reason, wasClean};
}
async function refused(path) {
  const {code, wasClean} = await event(new WebSocket(gateway + path), "close");
  return {code, wasClean};
}
async function chosen(path, protocols) {
  const ws = new WebSocket(gateway + path, protocols);
  await event(ws, "open");
  ws.close();
  return ws.protocol;
}
(async () => {
  const say = e => ({error: String(e)});
  seen.message = await talk("/echo").catch(say);
  seen.connection = await talk("/kept").catch(say);
  seen.off = await talk("/off").catch(say);
  seen.large = await end("/small", "a".repeat(1001)).catch(say);
  seen.protocol = await chosen("/named", ["chat.v1", "chat.v2"]).catch(say);
  seen.unknown = await refused("/nowhere").catch(say);
  seen.plain = await refused("/plain").catch(say);
  seen.stranger = await refused("/strange").catch(say);
  await fetch("/seen", {method: "POST", body: JSON.stringify(seen)});
})();
</script>"""


def blueprint(port):
    return f"""
        blueprint: 1
        name: browser
        handlers:
          echo:
            command: {EXAMPLES}/echo
            timeout: 60s
            processes: {{min: 1}}
            triggers:
              - {{websocket: /echo, reply: true}}
              - {{websocket: /kept, reply: true}}
              - {{websocket: /off, reply: true}}
              - {{websocket: /small, reply: true}}
              - {{websocket: /named, reply: true}}
              - {{websocket: /strange, reply: true}}
              - http: GET /plain
        websockets:
          paths:
            /echo: {{maxMessage: 1MiB, origins: ["http://127.0.0.1:{port}"]}}
            /kept: {{maxMessage: 1MiB, origins: ["http://127.0.0.1:{port}"], deflate: connection}}
            /off: {{maxMessage: 1MiB, origins: any, deflate: off}}
            /small: {{maxMessage: 1000B, origins: any}}
            /named: {{origins: any, protocols: [chat.v2]}}
            /strange: {{origins: ["https://elsewhere.example"]}}
    """


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What the page saw."""
    folder, pages = tmp_path_factory.mktemp("browser"), Pages()
    try:
        with Gateway(folder, blueprint(pages.port)) as gateway:
            pages.html = (PAGE % {"gateway": json.dumps(f"ws://127.0.0.1:{gateway.port}")}).encode()
            with chromium(folder / "profile", f"http://127.0.0.1:{pages.port}/"):
                yield pages.reports.get(timeout=120 * SLOW)
    except queue.Empty:
        raise AssertionError("the page reported nothing: " + (folder / "chromium.log").read_text(errors="replace")[-3000:]) from None
    finally:
        pages.close()


@pytest.mark.parametrize("kind", ["message", "connection", "off"])
def test_everything_comes_back(seen, kind):
    said = seen[kind]
    assert said.get("well") == 24 and said["code"] == 4001 and said["wasClean"], said
    assert said["extensions"].startswith("permessage-deflate") == (kind != "off"), said
    assert ("context_takeover" in said["extensions"]) == (kind == "message"), said
    assert said["protocol"] == ""


def test_a_message_that_is_too_large(seen):
    assert seen["large"]["code"] == 1009 and seen["large"]["wasClean"], seen["large"]


def test_a_subprotocol(seen):
    assert seen["protocol"] == "chat.v2"


@pytest.mark.parametrize("why", ["unknown", "plain", "stranger"])
def test_refusals(seen, why):
    assert seen[why] == {"code": 1006, "wasClean": False}, "a browser's page is told no more of a handshake that failed"
