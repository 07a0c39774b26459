"""A WebSocket client that does as it is told: frames are made and taken apart by hand, right or wrong."""
import base64
import contextlib
import hashlib
import os
import socket
import struct

from execgate import SLOW, read_answer

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(opcode, payload=b"", fin=True, rsv=0, mask=True, length=None):
    payload = payload.encode() if isinstance(payload, str) else payload
    size = len(payload) if length is None else length
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    bit = 0x80 if mask else 0
    if size < 126:
        head += bytes([bit | size])
    elif size < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", size)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", size)
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(b ^ key[i % 4] for i, b in enumerate(payload))


def close_payload(code, reason=""):
    return struct.pack(">H", code) + reason.encode()


def dial(gateway, port, timeout):
    if port or gateway.port:
        return socket.create_connection(("127.0.0.1", port or gateway.port), timeout)
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(timeout)
    s.connect(gateway.unix)
    return s


class Refused(Exception):
    def __init__(self, answer):
        super().__init__(repr(answer))
        self.answer = answer


class Socket:
    """A connection behind its handshake; raises Refused when that is answered with anything but 101."""

    def __init__(self, gateway, path="/ws", headers=None, port=None, tls=None, early=b"", timeout=30, made=None):
        s = made or dial(gateway, port, timeout * SLOW)
        self.socket = tls.wrap_socket(s, server_hostname="localhost") if tls else s
        self.key = base64.b64encode(os.urandom(16))
        fields = {"Host": "localhost", "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                  "Sec-WebSocket-Key": self.key.decode(), **(headers or {})}
        head = f"GET {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items() if v is not None)
        self.socket.sendall(head.encode() + b"\r\n" + early)
        self.stream = self.socket.makefile("rb")
        self.answer = read_answer(self.stream)
        if self.answer is None or self.answer.status != 101:
            self.close()
            raise Refused(self.answer)
        accept = base64.b64encode(hashlib.sha1(self.key + GUID).digest()).decode()
        assert self.answer["Sec-WebSocket-Accept"] == accept and self.answer["Upgrade"].lower() == "websocket"
        assert self.answer["Connection"].lower() == "upgrade"

    def send(self, *words, **kw):
        self.socket.sendall(frame(*words, **kw))

    def raw(self, data):
        self.socket.sendall(data)

    def recv(self):
        """(opcode, payload) of the next frame; None at the end of the stream."""
        head = self.stream.read(2)
        if len(head) < 2:
            return None
        assert head[0] & 0x80, "the gateway sends whole messages"
        assert not head[1] & 0x80, "a server must not mask"
        self.rsv = head[0] >> 4 & 7
        size = head[1] & 127
        if size == 126:
            size = struct.unpack(">H", self.stream.read(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", self.stream.read(8))[0]
        return head[0] & 15, self.stream.read(size)

    def text(self):
        opcode, payload = self.recv()
        assert opcode == TEXT, (opcode, payload)
        return payload.decode()

    def closed(self):
        """(code, reason) of the Close that comes next, whatever messages come before it; (None, None) without one."""
        while True:
            with contextlib.suppress(ConnectionResetError):
                got = self.recv()
                if got and got[0] != CLOSE:
                    continue
                if got:
                    return (struct.unpack(">H", got[1][:2])[0], got[1][2:].decode()) if got[1] else (1005, "")
            return None, None

    def at_end(self):
        with contextlib.suppress(ConnectionResetError):
            return self.stream.read(1) == b""
        return True

    def close(self):
        if hasattr(self, "stream"):
            self.stream.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
