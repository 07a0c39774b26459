"""What a real browser's EventSource makes of event streams: Debian's chromium, headless, with the pages of test_browser_cors."""
import json
import queue

import pytest
from execgate import SLOW, Gateway, wait_for
from native import Native, message
from puppet import SCRIPT, Api, environment
from test_browser_cors import CHROMIUM, Pages, chromium
from test_sse import chunk, event_for

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs Debian's chromium")

PAGE = """<!doctype html><meta charset=utf-8><title>events</title><link rel=icon href="data:,"><script>
const gateway = %(gateway)s;
let said = Promise.resolve();
const say = seen => said = said.then(() => fetch("/seen", {method: "POST", body: JSON.stringify(seen)}));
for (const path of ["/held", "/written"]) {
  const source = new EventSource(gateway + path);
  const tell = kind => e => say({path, kind, data: e.data, id: e.lastEventId});
  source.onopen = () => say({path, kind: "open"});
  source.onmessage = tell("message");
  source.addEventListener("news", tell("news"));
}
</script>"""

BLUEPRINT = """
blueprint: 1
name: browser
limits: {shutdownTimeout: 2s}
cors: {allowOrigins: ["http://127.0.0.1:%(port)d"]}
eventStream: {heartbeat: 50ms}
handlers:
  puppet:
    command: ./puppet.sh
    processes: {min: 1, max: 1, concurrency: 20, startTimeout: 1m, stopTimeout: 200ms}
    triggers: [http: GET /held, http: GET /written]
"""


class Page:
    """What it reports, by path, in order."""

    def __init__(self, pages):
        self.pages, self.kept = pages, {"/held": [], "/written": []}

    def next(self, path):
        while not self.kept[path]:
            try:
                seen = self.pages.reports.get(timeout=120 * SLOW)
            except queue.Empty:
                raise AssertionError(f"the page reported nothing more of {path}") from None
            self.kept[seen.pop("path")].append(seen)
        return self.kept[path].pop(0)


def requests(env, count):
    """The next events of the handler, by path."""
    api = Native(env)
    events = {}
    while len(events) < count:
        event = event_for(api)
        events[event.target] = event
    api.close()
    return events


def hold(env, event, body):
    api = Native(env)
    api.answer(message(event.id, body, fields=[("Content-Type", "text/event-stream"), ("Execgate-Groups", "room")]))
    api.close()


def begin(env, event):
    api = Native(env)
    api.socket.sendall(f"POST /v1/invocations/{event.id}/response HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    api.socket.sendall(chunk("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nretry: 50\n\n"))
    return api


def test_an_event_source(tmp_path):
    pages = Pages()
    try:
        with Gateway(tmp_path, BLUEPRINT % {"port": pages.port}, files={"puppet.sh": SCRIPT}) as g:
            env = environment(tmp_path)
            pages.html = (PAGE % {"gateway": json.dumps(f"http://127.0.0.1:{g.port}")}).encode()
            with chromium(tmp_path / "profile", f"http://127.0.0.1:{pages.port}/"):
                follow(Page(pages), env)
    finally:
        pages.close()


def follow(page, env):
    events = requests(env, 2)
    hold(env, events["/held"], "retry: 50\nid: 1\ndata: missed\n\n")
    assert page.next("/held") == {"kind": "open"}
    assert page.next("/held") == {"kind": "message", "data": "missed", "id": "1"}
    api = Api(env)
    wait_for(lambda: api.call("GET", "/v1/groups/room").json() == {"connections": 1})
    assert api.call("POST", "/v1/groups/room/messages?event=news&id=2", "caf\u00e9\r\nau lait\n").json() == {"sent": 1}
    assert page.next("/held") == {"kind": "news", "data": "caf\u00e9\nau lait\n", "id": "2"}

    stream = begin(env, events["/written"])
    assert page.next("/written") == {"kind": "open"}
    for i in range(3):
        stream.socket.sendall(chunk(f"id: {i}\ndata: {i}\n\n"))
        assert page.next("/written") == {"kind": "message", "data": str(i), "id": str(i)}

    # Both end, and both come back saying where they were.
    stream.socket.sendall(b"0\r\n\r\n")
    assert stream.read().status == 202
    id = events["/held"].id.replace("-", "")
    assert api.call("DELETE", f"/v1/connections/{id}").status == 204
    again = requests(env, 2)
    assert again["/held"]["Last-Event-ID"] == "2" and again["/written"]["Last-Event-ID"] == "2"
    writer = Native(env)
    writer.answer(message(again["/written"].id, status=204))  # tells an EventSource to stay away
    hold(env, again["/held"], "")
    assert page.next("/held") == {"kind": "open"}
    wait_for(lambda: api.call("GET", "/v1/groups/room").json() == {"connections": 1})
    assert api.call("POST", "/v1/groups/room/messages", "back again").json() == {"sent": 1}
    assert page.next("/held") == {"kind": "message", "data": "back again", "id": "2"}
