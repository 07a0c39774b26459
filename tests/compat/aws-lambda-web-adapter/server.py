#!/usr/bin/env python3
"""A plain HTTP server that knows nothing of Lambda, behind aws-lambda-web-adapter: server.py ADAPTER.

As in a Lambda image, server and adapter are started side by side; the server is the process that execgate knows."""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self, status, body, content_type, *more):
        self.send_response(status)
        for name, value in [("Content-Type", content_type), ("Content-Length", len(body)), *more]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def echo(self, body):
        self.answer(200, body, "text/plain")

    def api(self, body):
        seen = {"method": self.command, "path": self.url.path, "query": self.url.query, "cookies": re.split("; ?", self.headers["Cookie"]),
                "color": self.headers["X-Color"], "body": body.decode()}
        self.answer(201, json.dumps(seen).encode(), "application/json", ("X-Answer", "made by a handler"),
                    ("Set-Cookie", "first=1; Path=/"), ("Set-Cookie", "second=2"))

    def binary(self, body):
        self.answer(200, body[::-1], "application/octet-stream")

    def error(self, _):
        self.answer(501, b"refused by the handler", "text/plain")

    def panic(self, _):
        self.close_connection = True
        raise RuntimeError("broken in the handler")

    def exit(self, _):
        print("last words", file=sys.stderr, flush=True)
        os._exit(7)

    def late(self, _):
        context = json.loads(self.headers["X-Amzn-Lambda-Context"])
        print(f"left: {context['deadline'] - int(time.time() * 1000)} ms", flush=True)
        time.sleep(60)

    def stream(self, _):
        self.send_response(202)
        for name, value in [("Content-Type", "text/plain"), ("Set-Cookie", "first=1"), ("Transfer-Encoding", "chunked")]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"6\r\nearly\n\r\n")
        gate = pathlib.Path(urllib.parse.parse_qs(self.url.query)["gate"][0])
        while not gate.exists():
            time.sleep(0.01)
        if self.name == "break":
            self.close_connection = True
            return
        self.wfile.write(b"5\r\nlate\n\r\n0\r\n\r\n")

    def handle_any(self):
        self.url = urllib.parse.urlsplit(self.path)
        self.name = self.url.path.rsplit("/", 1)[1]
        if self.headers["X-Note"]:
            print("note:", self.headers["X-Note"], flush=True)
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        BEHAVIOURS.get(self.name, Handler.echo)(self, body)

    do_GET = do_POST = handle_any

    def log_message(self, *_):
        pass


BEHAVIOURS = {"echo": Handler.echo, "api": Handler.api, "binary": Handler.binary, "error": Handler.error, "panic": Handler.panic, "exit": Handler.exit,
              "timeout": Handler.late, "stream": Handler.stream, "break": Handler.stream}


def stop(*_):
    print("SIGTERM seen", flush=True)
    os._exit(0)


def main():
    signal.signal(signal.SIGTERM, stop)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    adapter = subprocess.Popen([sys.argv[1]], env={**os.environ, "AWS_LWA_PORT": str(server.server_port)})
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # Without its adapter the server hears of nothing any more.
    os._exit(adapter.wait() and 1)


if __name__ == "__main__":
    main()
