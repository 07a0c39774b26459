"""What a real browser makes of our CORS: Debian's chromium, headless, with pages on several origins of this machine.

A page runs its fetches, and posts what it saw to the server that it came from.
"""
import base64
import contextlib
import http.server
import json
import queue
import shutil
import subprocess
import threading

import pytest
from execgate import ROOT, SLOW, Gateway

PROBE = ROOT / "tests/e2e/handlers/probe.py"
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs Debian's chromium")

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--disable-default-apps", "--disable-extensions", "--disable-domain-reliability", "--metrics-recording-only",
         "--no-first-run", "--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1", "--no-default-browser-check", "--no-pings", "--password-store=basic"]

PAGE = """<!doctype html><meta charset=utf-8><title>cases</title><link rel=icon href="data:,"><script>
const gateway = %(gateway)s, cases = %(cases)s, seen = {};
async function attempt(c) {
  try {
    const r = await fetch(gateway + c.path, c.options || {});
    return {status: r.status, text: await r.text(), total: r.headers.get("x-total"), hidden: r.headers.get("x-hidden")};
  } catch (e) { return {error: e.name}; }
}
function framed(c) {  // a sandboxed frame has the origin null
  return new Promise(done => {
    addEventListener("message", e => done(e.data), {once: true});
    const f = document.createElement("iframe");
    f.sandbox = "allow-scripts";
    f.srcdoc = "<script>fetch(" + JSON.stringify(gateway + c.path) + ").then(r => r.text()).then(text => parent.postMessage({text}, '*'),"
             + " e => parent.postMessage({error: e.name}, '*'))</" + "script>";
    document.documentElement.append(f);
  });
}
(async () => {
  for (const c of cases) seen[c.name] = await (c.framed ? framed(c) : attempt(c));
  await fetch("/seen", {method: "POST", body: JSON.stringify(seen)});
})();
</script>"""


class Pages:
    """Serves one page and waits for what it reports."""

    def __init__(self):
        self.html, self.reports = b"", queue.Queue()
        pages = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self, body):
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                self.answer(pages.html)

            def do_POST(self):
                pages.reports.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.answer(b"")

            def log_message(self, *args):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def chromium(profile, url, *flags):
    with open(profile.parent / "chromium.log", "wb") as log:
        process = subprocess.Popen([CHROMIUM, *FLAGS, *flags, f"--user-data-dir={profile}", url], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def answer(headers=None, cookies=None, body="read"):
    """A path whose handler answers just this."""
    text = json.dumps({"statusCode": 200, "headers": {"x-total": "7", "x-hidden": "h", **(headers or {})}, "cookies": cookies or [], "body": body})
    return "raw/" + base64.urlsafe_b64encode(text.encode()).decode()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """visit(origin, cases) -> what the page saw; pages live on 127.0.0.1 (trusted) and on *.localhost."""
    folder = tmp_path_factory.mktemp("browser")
    pages = Pages()
    blueprint = f"""
        blueprint: 1
        name: browser
        cors:
          allowOrigins: ["http://127.0.0.1:{pages.port}"]
          allowMethods: [GET, PUT]
          allowHeaders: [content-type, x-shop]
          exposeHeaders: [x-total]
          allowCredentials: true
          maxAge: 10m
        handlers:
          probe:
            command: {PROBE}
            processes: {{min: 1}}
            triggers:
              - http: ANY /probe/{{orders+}}
              - http: GET /everyone/{{orders+}}
                cors: {{allowOrigins: "*", allowCredentials: false}}
              - http: ANY /below/{{orders+}}
                cors: {{allowOrigins: "http://*.shop.localhost:{pages.port}"}}
              - http: GET /null/{{orders+}}
                cors: {{allowOrigins: ["null"], allowCredentials: false}}
              - http: PUT /off/{{orders+}}
                cors: off
    """
    with Gateway(folder, blueprint) as gateway:
        count = iter(range(1000))

        def visit(host, cases):
            address = json.dumps(f"http://127.0.0.1:{gateway.port}")
            pages.html = (PAGE % {"gateway": address, "cases": json.dumps(cases)}).encode()
            profile = folder / f"profile{next(count)}"
            with chromium(profile, f"http://{host}:{pages.port}/"):
                try:
                    return pages.reports.get(timeout=60 * SLOW)
                except queue.Empty:
                    raise AssertionError("the page reported nothing: " + (folder / "chromium.log").read_text(errors="replace")[-3000:]) from None
        yield gateway, visit
    pages.close()


def case(name, path, framed=False, **options):
    return {"name": name, "path": path, "framed": framed, "options": options}


def requests(gateway, path):
    """Methods that the gateway has answered for this path, in order."""
    gateway.wait_log("request", path=path)
    return [(e["method"], e["status"]) for e in gateway.logs("request", path=path)]


def test_a_trusted_page(world):
    gateway, visit = world
    put = {"method": "PUT", "headers": {"X-Shop": "1"}, "body": "{}"}
    cookie = answer({"set-cookie": "session=s1; Path=/"})
    seen = visit("127.0.0.1", [
        case("simple", "/probe/" + answer()),
        case("problem", "/nowhere"),
        case("preflighted", "/probe/sleep/0.01", **put),
        case("again", "/probe/sleep/0.01", **put),
        case("other method", "/probe/sleep/0.02", method="DELETE"),
        case("other header", "/probe/sleep/0.03", headers={"X-Other": "1"}),
        case("type", "/probe/body", method="PUT", headers={"Content-Type": "application/json"}, body="{\"a\":1}"),
        case("login", "/probe/" + cookie, credentials="include"),
        case("with cookie", "/probe/event", credentials="include"),
        case("without cookie", "/probe/event", credentials="omit"),
        case("everyone", "/everyone/" + answer()),
        case("everyone with credentials", "/everyone/pid", credentials="include"),
        case("doubled", "/probe/" + answer({"access-control-allow-origin": "*"}), credentials="include"),
        case("below", "/below/pid"),
        case("off", "/off/pid", **put),
        case("framed", "/probe/pid", framed=True),
        case("framed null", "/null/pid", framed=True),
        case("null", "/null/pid"),
    ])
    refused = {"error": "TypeError"}
    assert seen["simple"] == {"status": 200, "text": "read", "total": "7", "hidden": None}, "only what is exposed can be read"
    assert seen["problem"]["status"] == 404 and "no-route" not in seen["problem"]["text"] and "not-found" in seen["problem"]["text"]
    assert seen["preflighted"]["text"] == seen["again"]["text"] == "slept"
    assert requests(gateway, "/probe/sleep/0.01") == [("OPTIONS", 204), ("PUT", 200), ("PUT", 200)], "the second preflight came from the browser's cache"
    assert seen["other method"] == refused and requests(gateway, "/probe/sleep/0.02") == [("OPTIONS", 204)]
    assert seen["other header"] == refused and requests(gateway, "/probe/sleep/0.03") == [("OPTIONS", 204)]
    assert seen["type"]["text"] == '{"a":1}'
    assert seen["login"]["status"] == 200
    assert json.loads(seen["with cookie"]["text"])["event"]["cookies"] == ["session=s1"]
    assert "cookies" not in json.loads(seen["without cookie"]["text"])["event"]
    assert seen["everyone"]["text"] == "read" and seen["everyone"]["total"] == "7"
    assert seen["everyone with credentials"] == refused, "a browser gives no credentials to *"
    assert seen["doubled"]["text"] == "read"
    assert seen["below"] == refused
    assert seen["off"] == refused and requests(gateway, "/off/pid") == [("OPTIONS", 405)]
    assert seen["framed"] == refused and seen["framed null"]["text"].isdigit(), "null only when listed"
    assert seen["null"] == refused


def test_a_page_that_is_not_trusted(world):
    gateway, visit = world
    seen = visit("localhost", [
        case("simple", "/probe/sleep/0.11"),
        case("no-cors", "/probe/sleep/0.12", mode="no-cors"),
        case("preflighted", "/probe/sleep/0.13", method="PUT", body="x"),
        case("problem", "/nowhere"),
        case("everyone", "/everyone/" + answer()),
        case("below", "/below/pid"),
    ])
    refused = {"error": "TypeError"}
    assert seen["simple"] == refused and seen["problem"] == refused
    assert seen["no-cors"]["status"] == 0 and seen["no-cors"]["text"] == ""
    assert seen["preflighted"] == refused and requests(gateway, "/probe/sleep/0.13") == [("OPTIONS", 204)], "the handler was not asked"
    assert seen["everyone"]["text"] == "read"
    assert seen["below"] == refused, "a wildcard stands for hosts below, and localhost is none"


def test_a_page_below_a_wildcard(world):
    gateway, visit = world
    seen = visit("eu.admin.shop.localhost", [
        case("simple", "/below/" + answer()),
        case("preflighted", "/below/sleep/0.21", method="PUT", headers={"X-Shop": "1"}, body="x", credentials="include"),
        case("elsewhere", "/probe/pid"),
    ])
    assert seen["simple"] == {"status": 200, "text": "read", "total": "7", "hidden": None}
    assert seen["preflighted"]["text"] == "slept" and requests(gateway, "/below/sleep/0.21") == [("OPTIONS", 204), ("PUT", 200)]
    assert seen["elsewhere"] == {"error": "TypeError"}
