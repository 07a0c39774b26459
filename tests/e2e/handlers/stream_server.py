#!/usr/bin/python3
"""An HTTP server for `mode: server` that does what the second segment of the path says."""
import json
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BLOCK = 65536


def wait_for_file(name):
    while not os.path.exists(name):
        time.sleep(0.005)


class Active:
    """How many requests are held at once, and how many have been at most."""
    lock, now, most = threading.Lock(), 0, 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def start(self, *headers, status=200):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def reply(self, value, *headers, status=200):
        body = json.dumps(value).encode()
        self.start(("Content-Length", str(len(body))), ("Content-Type", "application/json"), *headers, status=status)
        if self.command != "HEAD":
            self.wfile.write(body)

    def parts(self):
        """The request's body, piece by piece."""
        if self.headers.get("Transfer-Encoding"):
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", 0))
        while left > 0:
            data = self.rfile.read(min(left, BLOCK))
            if not data:
                return
            left -= len(data)
            yield data

    # --- any method ---
    def on_ticks(self, rest):
        self.start(("Transfer-Encoding", "chunked"), ("Content-Type", "text/plain"))
        for i in range(int(rest[0]) if self.command == "GET" else 0):
            self.chunk(b"tick %d\n" % i)
            time.sleep(0.15)
        if self.command == "GET":
            self.wfile.write(b"0\r\n\r\n")

    def on_early(self, rest):
        """A piece now, the next when the file `go` is there."""
        self.start(("Transfer-Encoding", "chunked"))
        self.chunk(b"early")
        wait_for_file("go")
        self.chunk(b"late")
        self.wfile.write(b"0\r\n\r\n")

    def on_bytes(self, rest):
        left = int(rest[0])
        self.start(("Content-Length", str(left)))
        while left > 0:
            self.wfile.write(b"b" * min(left, BLOCK))
            left -= BLOCK

    def on_progress(self, rest):
        """So many blocks; how many have been taken is told in the file `written`."""
        self.start(("Content-Length", str(int(rest[0]) * BLOCK)))
        for i in range(int(rest[0])):
            self.wfile.write(b"b" * BLOCK)
            with open("written.tmp", "w", encoding="ascii") as f:
                f.write(str(i + 1))
            os.rename("written.tmp", "written")

    def on_headers(self, rest):
        self.reply({"path": self.path, "headers": self.headers.items(), "pid": os.getpid()}, ("X-Twice", "1"), ("X-Twice", "2"), ("Connection", "X-Hop"), ("X-Hop", "gone"))

    def on_echo(self, rest):
        body = b"".join(self.parts())
        self.reply({"method": self.command, "path": self.path, "version": self.request_version, "headers": self.headers.items(),
                    "body": body.decode("latin-1"), "pid": os.getpid(), "port": self.client_address[1]})

    def on_event(self, rest):
        """Asked by a guard."""
        self.reply({"isAuthorized": True, "context": {"method": self.command, "pid": os.getpid()}})

    def on_fields(self, rest):
        """Fields that a gateway keeps, and fields that are not its client's business."""
        self.reply("fields", ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2; Path=/"), ("X-Mixed-CASE", " padded "), ("Server-Timing", "x"), ("Connection", "X-Hop, keep-alive"),
                   ("X-Hop", "1"), ("Keep-Alive", "timeout=9"), ("Proxy-Authenticate", "Basic"), ("Trailer", "X-T"), ("TE", "x"), ("Upgrade", "h2c"),
                   ("Execgate-Secret", "1"), status=int(rest[0]) if rest else 200)

    def on_status(self, rest):
        """`/N`, and with a second number that as its Content-Length."""
        self.start(*[("Content-Length", n) for n in rest[1:]], status=int(rest[0]))

    def on_raw(self, rest):
        """The rest, in hexadecimal, is all that is sent; with `/keep` the connection stays open."""
        self.wfile.write(bytes.fromhex(rest[0]))
        self.wfile.flush()
        self.close_connection = "keep" not in rest

    def on_stray(self, rest):
        """Answers with the first part, in hexadecimal; when the file of the second one is there, another answer follows that nobody asked for."""
        self.wfile.write(bytes.fromhex(rest[0]))
        wait_for_file(rest[1])
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray")
        print(f"strayed {rest[1]}", flush=True)

    def on_flood(self, rest):
        """The first part, in hexadecimal, and then the second one again and again."""
        self.wfile.write(bytes.fromhex(rest[0]))
        block = bytes.fromhex(rest[1]) * 2000
        while True:
            self.wfile.write(block)

    def on_huge_head(self, rest):
        self.reply("huge", *[(f"X-Filler-{i}", "y" * 100) for i in range(int(rest[0]))])

    def on_cut(self, rest):
        """Promises more than it sends."""
        self.start(("Content-Length", "1000"))
        self.wfile.write(b"only this")
        self.wfile.flush()
        self.connection.close()
        self.close_connection = True

    def on_cut_chunks(self, rest):
        self.start(("Transfer-Encoding", "chunked"))
        self.chunk(b"only this")
        self.close_connection = True

    def on_garbage(self, rest):
        self.wfile.write(b"this is no HTTP\r\n\r\n")
        self.close_connection = True

    def on_nothing(self, rest):
        self.close_connection = True

    def on_exit(self, rest):
        os._exit(7)

    def on_exit_midway(self, rest):
        self.start(("Transfer-Encoding", "chunked"))
        self.chunk(b"the beginning")
        wait_for_file("go")
        os._exit(7)

    def on_sleep(self, rest):
        time.sleep(float(rest[0]))
        self.start(("Content-Length", "5"))
        self.wfile.write(b"slept")

    def on_hold(self, rest):
        """Until the file `go` is there; tells how many were held at once."""
        with Active.lock:
            Active.now += 1
            Active.most = max(Active.most, Active.now)
            with open(f"holding.{os.getpid()}.tmp", "w", encoding="ascii") as f:
                f.write(str(Active.now))
            os.rename(f"holding.{os.getpid()}.tmp", f"holding.{os.getpid()}")
        wait_for_file("go")
        with Active.lock:
            Active.now -= 1
        self.reply({"most": Active.most, "pid": os.getpid()})

    def on_leave(self, rest):
        """Answers nothing, and says when the other side has gone; `/begun` sends a beginning first."""
        if rest:
            self.start(("Transfer-Encoding", "chunked"))
            self.chunk(b"the beginning")
        print("waiting for the end of the connection", flush=True)
        try:
            self.connection.recv(1)
        except ConnectionError:
            pass
        print("the connection has ended", flush=True)
        self.close_connection = True

    # --- uploads ---
    def on_count(self, rest):
        self.reply({"bytes": sum(len(part) for part in self.parts())})

    def on_dictation(self, rest):
        """Says what has come as it comes."""
        heard = []
        for part in self.parts():
            heard.append(part.decode())
            print(f"heard {part.decode()}", flush=True)
        self.reply({"heard": heard, "coding": self.headers.get("Transfer-Encoding")})

    def on_patience(self, rest):
        """Reads nothing of the body until the file `go` is there."""
        wait_for_file("go")
        self.on_count(rest)

    def on_refuse(self, rest):
        """Answers without having read the body."""
        self.reply("refused", ("Connection", "close"), status=403)
        self.close_connection = True

    def do(self):
        what, *rest = self.path.split("?")[0].strip("/").split("/")[1:]
        uploads = self.command in ("POST", "PUT", "PATCH")
        act = getattr(self, "on_" + what.replace("-", "_"), None) or (self.on_count if uploads else None)
        if act:
            act(rest)
        else:
            self.reply("no such path", status=404)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, request, client_address):
        print("a connection broke off", flush=True)


def main():
    if os.environ.get("LISTEN_FDS") == "1":
        server = Server(("127.0.0.1", 0), Handler, bind_and_activate=False)
        server.socket.close()
        server.socket = socket.socket(fileno=3)
    else:
        server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler)
    server.serve_forever()


main()
