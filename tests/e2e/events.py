"""A client of event streams on a raw socket: the bytes as they come, nothing is forgiven."""
import socket
import ssl

from execgate import SLOW, Answer


class Stream:
    """An open answer. `left` says how its end is told: chunked, or by the end of the connection."""

    def __init__(self, gateway, path="/events", headers=None, version="1.1", port=None, tls=None, method="GET", rcvbuf=None):
        self.socket = socket.socket()
        if rcvbuf:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.socket.settimeout(30 * SLOW)
        self.socket.connect(("127.0.0.1", port or gateway.port))
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        head = f"{method} {path} HTTP/{version}\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
        head += "".join(f"{k}: {v}\r\n" for k, v in (headers or {}).items())
        self.socket.sendall(head.encode() + b"\r\n")
        self.file = self.socket.makefile("rb")
        self.buffer, self.ended, self.head = b"", False, None

    def open(self):
        """Reads the head."""
        line = self.file.readline()
        assert line, "the connection was closed without an answer"
        headers = []
        while (field := self.file.readline().rstrip(b"\r\n")):
            name, _, value = field.decode().partition(":")
            headers.append((name, value.strip()))
        self.head = Answer(int(line.split()[1]), headers, b"")
        self.chunked = self.head["Transfer-Encoding"] == "chunked"
        return self

    def more(self):
        """The next piece; b"" at the end."""
        if self.ended:
            return b""
        if not self.chunked:
            piece = self.file.read1(65536)
            self.ended = not piece
            return piece
        line = self.file.readline()
        assert line, "the stream broke off"
        size = int(line, 16)
        piece = self.file.read(size)
        assert len(piece) == size and self.file.readline() == b"\r\n"
        self.ended = not size
        return piece

    def bytes(self, n):
        while len(self.buffer) < n:
            piece = self.more()
            assert piece, f"the stream ended behind {self.buffer!r}"
            self.buffer += piece
        taken, self.buffer = self.buffer[:n], self.buffer[n:]
        return taken

    def expect(self, text):
        got = self.bytes(len(text.encode()))
        assert got == text.encode(), (got, text)
        return self

    def until(self, text):
        """All up to and with a text."""
        while text.encode() not in self.buffer:
            piece = self.more()
            assert piece, f"the stream ended behind {self.buffer!r}"
            self.buffer += piece
        before, _, self.buffer = self.buffer.partition(text.encode())
        return before.decode() + text

    def event(self):
        """The next event's fields, passing over comments."""
        while True:
            lines = self.until("\n\n").rstrip("\n").split("\n")
            fields = [line.partition(": ")[::2] for line in lines if line and not line.startswith(":")]
            if fields:
                return {name: "\n".join(v for n, v in fields if n == name) for name, _ in fields}

    def rest(self):
        """Everything to the end."""
        while piece := self.more():
            self.buffer += piece
        taken, self.buffer = self.buffer, b""
        return taken.decode()

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def trusting():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
