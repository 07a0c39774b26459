#!/usr/bin/python3
"""An HTTP server for `mode: server`: ticks, many bytes, a count of what was uploaded."""
import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def start(self, *headers):
        self.send_response(200)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def do_GET(self):
        what, *rest = self.path.split("?")[0].strip("/").split("/")[1:]
        if what == "ticks":
            self.start(("Transfer-Encoding", "chunked"), ("Content-Type", "text/plain"))
            for i in range(int(rest[0]) if self.command == "GET" else 0):
                self.chunk(b"tick %d\n" % i)
                time.sleep(0.15)
            if self.command == "GET":
                self.wfile.write(b"0\r\n\r\n")
        elif what == "bytes":
            left = int(rest[0])
            self.start(("Content-Length", str(left)))
            while left > 0:
                self.wfile.write(b"b" * min(left, 65536))
                left -= 65536
        elif what == "headers":
            body = json.dumps({"path": self.path, "headers": self.headers.items(), "pid": os.getpid()}).encode()
            self.start(("Content-Length", str(len(body))), ("X-Twice", "1"), ("X-Twice", "2"), ("Connection", "X-Hop"), ("X-Hop", "gone"))
            self.wfile.write(body)
        elif what == "cut":  # promises more than it sends
            self.start(("Content-Length", "1000"))
            self.wfile.write(b"only this")
            self.wfile.flush()
            self.connection.close()
            self.close_connection = True
        elif what == "garbage":
            self.wfile.write(b"this is no HTTP\r\n\r\n")
            self.close_connection = True
        elif what == "exit":
            os._exit(7)
        elif what == "sleep":
            time.sleep(float(rest[0]))
            self.start(("Content-Length", "5"))
            self.wfile.write(b"slept")

    do_HEAD = do_GET

    def do_POST(self):
        total = 0
        if self.headers.get("Transfer-Encoding"):
            while size := int(self.rfile.readline(), 16):
                total += len(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
        else:
            left = int(self.headers["Content-Length"])
            while left > 0:
                data = self.rfile.read(min(left, 65536))
                if not data:
                    break
                left -= len(data)
                total += len(data)
        body = json.dumps({"bytes": total}).encode()
        self.start(("Content-Length", str(len(body))), ("Content-Type", "application/json"))
        self.wfile.write(body)


ThreadingHTTPServer.request_queue_size = 128
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
