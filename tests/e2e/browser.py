"""A real browser that is told what to do: Debian's chromium, headless, by the DevTools protocol. So a page runs as its
server sends it, with its own Content-Security-Policy."""
import contextlib
import http.client
import json
import urllib.parse

from execgate import wait_for
from test_browser_cors import chromium
from websocket import TEXT, Socket

PATIENCE = 60


class Page:
    def __init__(self, debugger):
        address = urllib.parse.urlsplit(debugger)
        self.socket = Socket(None, address.path, port=address.port, timeout=PATIENCE)
        self.last, self.complaints = 0, []
        for domain in ("Page", "Runtime", "Log"):
            self.call(domain + ".enable")

    def call(self, method, **parameters):
        self.last += 1
        self.socket.send(TEXT, json.dumps({"id": self.last, "method": method, "params": parameters}))
        while True:
            told = json.loads(self.socket.text())
            self._note(told)
            if told.get("id") == self.last:
                assert "error" not in told, told
                return told["result"]

    def _note(self, told):
        if told.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(told["params"]["exceptionDetails"])
        if told.get("method") == "Log.entryAdded" and told["params"]["entry"]["level"] == "error":
            self.complaints.append(told["params"]["entry"])

    def do(self, script):
        """The value of an expression in the page, of a promise what it becomes."""
        told = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def wait(self, script, what=None):
        """The first true value of the expression."""
        return wait_for(lambda: self.do(script), PATIENCE, what or script)


class Browser:
    def __init__(self, port):
        self.port = port

    def open(self, url):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as c:
            c.request("PUT", "/json/new?" + url)
            page = Page(json.loads(c.getresponse().read())["webSocketDebuggerUrl"])
        page.wait(f"document.readyState === 'complete' && location.href.startsWith({json.dumps(url.split('#')[0])})")
        return page


@contextlib.contextmanager
def browser(folder):
    """Its profile and log are in the folder."""
    told = folder / "profile/DevToolsActivePort"
    with chromium(folder / "profile", "about:blank", "--remote-debugging-port=0"):
        wait_for(lambda: told.exists() and "\n" in told.read_text(), PATIENCE, "chromium's start")
        yield Browser(int(told.read_text().split("\n")[0]))
