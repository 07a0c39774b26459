#!/usr/bin/env python3
"""An ordinary HTTP server that execgate starts and proxies (mode: server). Standard library only.

    GET  /server/ticks?n=5   server-sent events, one per half second, each sent as it happens
    POST /server/upload      counts the bytes of an upload of any size without keeping them
    GET  /server/anything    what arrived here

It listens on 127.0.0.1:$PORT, or on the socket it was given when LISTEN_FDS is set (`socket: inherited`).
"""

import json
import os
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PART = 64 * 1024


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        target = urlsplit(self.path)
        if target.path == "/server/ticks":
            self.send_ticks(parse_qs(target.query).get("n", ["5"])[0])
        else:
            self.send_json({"path": self.path, "fields": dict(self.headers), "process": os.getpid()})

    def do_POST(self):
        try:
            size = sum(len(part) for part in self.body_parts())
        except ValueError as problem:
            self.close_connection = True  # what follows on this connection cannot be made sense of
            self.send_json({"title": str(problem)}, status=400)
            return
        self.send_json({"bytes": size})

    def body_parts(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self.chunks()
        return self.known_length(int(self.headers.get("Content-Length", "0")))

    def known_length(self, left):
        while left > 0:
            part = self.rfile.read(min(left, PART))
            if not part:
                raise ValueError("the upload was cut off")
            left -= len(part)
            yield part

    def chunks(self):
        while (size := int(self.rfile.readline().split(b";")[0], 16)) > 0:
            yield from self.known_length(size)
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailer fields
            pass

    def send_ticks(self, count):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(1, (min(int(count), 100) if count.isdigit() else 5) + 1):
            self.write_chunk(f"id: {number}\ndata: {time.time():.3f}\n\n".encode())
            time.sleep(0.5)
        self.wfile.write(b"0\r\n\r\n")

    def write_chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def send_json(self, value, status=200):
        body = json.dumps(value, indent=2).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *arguments):
        """execgate writes the access log."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a client may leave
            super().handle_error(request, client_address)


def open_server():
    if os.environ.get("LISTEN_FDS") == "1":
        server = Server(("127.0.0.1", 0), Handler, bind_and_activate=False)
        server.socket.close()
        server.socket = socket.socket(fileno=3)
        server.server_activate()
        return server
    return Server(("127.0.0.1", int(os.environ["PORT"])), Handler)


def main():
    server = open_server()
    # shutdown waits for the loop that the signal interrupts, so it needs a thread of its own.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()


if __name__ == "__main__":
    main()
