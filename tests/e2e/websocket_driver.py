"""A WebSocket client on a bare socket: it says what a script tells it, right or wrong, and forgives the gateway nothing.

A script is a list of steps. Bytes are sent; everything else is what has to come next:

    [frame(TEXT, b"a", fin=False), frame(PING, b"p"), pong(b"p"), frame(CONTINUATION, b"b"), text("ab")]

A script that does not end the connection is followed by a closing handshake, which shows that the gateway has understood
where the last frame ended, and that nothing came which the script does not name."""
import base64
import contextlib
import dataclasses
import hashlib
import itertools
import socket
import struct
import zlib

from execgate import SLOW, read_answer

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
RSV1, RSV2, RSV3 = 4, 2, 1
KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # of RFC 6455 1.3
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SECONDS = 60 * SLOW
AS_SHORT_AS_CAN_BE = None
ANY = "any"
LEAVE = "leave"  # a step: nothing more will be sent, and no Close was


# --- what is sent ---

def masked(payload, mask):
    if len(payload) < 64:
        return bytes(b ^ m for b, m in zip(payload, itertools.cycle(mask)))
    long = (mask * (len(payload) // 4 + 1))[:len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(long, "big")).to_bytes(len(payload), "big")


def head(opcode, size, fin=True, rsv=0, masking=True, form=AS_SHORT_AS_CAN_BE):
    """The first bytes of a frame (RFC 6455 5.2). `form`: bits of the length, 7, 16 or 64."""
    form = form or (7 if size < 126 else 16 if size < 65536 else 64)
    first, bit = fin << 7 | rsv << 4 | opcode, masking << 7
    if form == 7:
        return struct.pack("!BB", first, bit | size)
    return struct.pack("!BBH" if form == 16 else "!BBQ", first, bit | (126 if form == 16 else 127), size)


def frame(opcode, payload=b"", mask=b"\x37\xfa\x21\x3d", **more):
    """A client's frame; mask=None leaves it unmasked."""
    payload = payload.encode() if isinstance(payload, str) else payload
    start = head(opcode, len(payload), masking=mask is not None, **more)
    return start + (payload if mask is None else mask + masked(payload, mask))


def fragments(opcode, *parts, rsv=0):
    """One message in as many frames."""
    last = len(parts) - 1
    return b"".join(frame(opcode if i == 0 else CONTINUATION, part, fin=i == last, rsv=rsv if i == 0 else 0) for i, part in enumerate(parts))


def close(code=None, reason=b""):
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


class Packer:
    """Compresses messages as RFC 7692 7.2.1 says; with `takeover` each with the window of those before."""

    def __init__(self, takeover=False, bits=15):
        self.takeover, self.bits, self.deflater = takeover, bits, None

    def __call__(self, data):
        data = data.encode() if isinstance(data, str) else data
        if not self.deflater or not self.takeover:
            self.deflater = zlib.compressobj(wbits=-self.bits)
        out = self.deflater.compress(data) + self.deflater.flush(zlib.Z_SYNC_FLUSH)
        assert out.endswith(b"\0\0\xff\xff")
        return out[:-4]


def packed(data):
    return Packer()(data)


# --- what comes ---

@dataclasses.dataclass(frozen=True)
class Message:
    kind: str  # ANY of what came: its kind is not known
    data: bytes
    packed: object = None  # None: either way

    def meets(self, got):
        return isinstance(got, Message) and self.data == got.data and got.kind in (self.kind, ANY) and self.packed in (None, got.packed)

    def __repr__(self):
        shown = self.data if len(self.data) < 60 else self.data[:40] + b"... %d bytes" % len(self.data)
        return f"{self.kind} {shown!r}{' packed' if self.packed else ''}"


@dataclasses.dataclass(frozen=True)
class Pong:
    data: bytes

    def meets(self, got):
        return self == got


@dataclasses.dataclass(frozen=True)
class Closed:
    """A Close with one of these codes, and then the end. 1005 stands for no code (RFC 6455 7.1.5)."""
    codes: tuple
    reason: object = None

    def meets(self, got):
        return isinstance(got, Closed) and got.codes[0] in self.codes and (self.reason is None or got.reason == self.reason)


@dataclasses.dataclass(frozen=True)
class Ended:
    """The end of the connection without a Close."""

    def meets(self, got):
        return self == got


def text(data, **more):
    return Message("text", data.encode() if isinstance(data, str) else data, **more)


def binary(data, **more):
    return Message("binary", data, **more)


def pong(data):
    return Pong(data)


def closed(*codes):
    return Closed(codes)


class Wrong(AssertionError):
    """The gateway did what no server may do."""


def parse_extension(value):
    """{"server_no_context_takeover": True, ...} of the one extension that there is."""
    if value is None:
        return None
    name, *parameters = [p.strip() for p in value.split(";")]
    terms = {}
    if name != "permessage-deflate":
        raise Wrong(f"an extension that nobody offered: {value}")
    for parameter in parameters:
        key, _, number = parameter.partition("=")
        if key in terms:
            raise Wrong(f"{key} is there twice: {value}")
        terms[key] = int(number) if number else True
    return terms


class Peer:
    """One connection; `drip` sends everything one byte at a time."""

    def __init__(self, sock, drip=False):
        self.socket, self.drip = sock, drip
        self.buffer, self.terms, self.inflater = b"", None, None
        sock.settimeout(SECONDS)

    # --- the handshake ---
    def request(self, path="/", fields=(), line=None, leave_out=(), host="gateway.test"):
        """The bytes of a handshake; `fields` come behind, or instead of those that are left out."""
        whole = [("Host", host), ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Version", "13")]
        kept = [(k, v) for k, v in whole if k not in leave_out]
        lines = [line or f"GET {path} HTTP/1.1", *(f"{k}: {v}" for k, v in [*kept, *fields])]
        return "".join(part + "\r\n" for part in [*lines, ""]).encode("latin-1")

    def answer(self):
        """The response's head, and its body unless it is 101."""
        stream = SocketStream(self)
        return read_answer(stream)

    def open(self, path, offer=None, fields=(), **more):
        """A handshake that must succeed."""
        offers = [offer] if isinstance(offer, str) else offer or []
        self.send(self.request(path, [*fields, *(("Sec-WebSocket-Extensions", o) for o in offers)], **more))
        got = self.answer()
        check_switch(got)
        extensions = got.all("Sec-WebSocket-Extensions")
        if len(extensions) > bool(offers):
            raise Wrong(f"extensions {extensions} for the offers {offers}")
        self.terms = parse_extension(extensions[0] if extensions else None)
        return got

    # --- bytes ---
    def send(self, data):
        """A gateway that has closed already need not hear the rest."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if not self.drip:
                self.socket.sendall(data)
                return
            for i in range(len(data)):
                self.socket.sendall(data[i:i + 1])

    def more(self):
        try:
            chunk = self.socket.recv(65536)
        except ConnectionResetError:
            raise Wrong("the connection was reset: what the gateway said last may be lost") from None
        except socket.timeout:
            raise Wrong(f"nothing came for {SECONDS} s") from None
        self.buffer += chunk
        return bool(chunk)

    def take(self, size):
        while len(self.buffer) < size:
            if not self.more():
                raise Wrong(f"the connection ended inside a frame: {self.buffer[:80]!r}")
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    # --- frames ---
    def next_frame(self):
        """(fin, rsv, opcode, payload), or None at the end."""
        if not self.buffer and not self.more():
            return None
        first, second = self.take(2)
        size, opcode = second & 127, first & 15
        if second & 128:
            raise Wrong("a masked frame from the server (RFC 6455 5.1)")
        if size > 125 and opcode >= CLOSE:
            raise Wrong("a control frame that is too long (RFC 6455 5.5)")
        if size > 125:
            size, least = (struct.unpack("!H", self.take(2))[0], 126) if size == 126 else (struct.unpack("!Q", self.take(8))[0], 65536)
            if size < least:
                raise Wrong("a length that is not written as short as can be (RFC 6455 5.2)")
        return bool(first & 128), first >> 4 & 7, opcode, self.take(size)

    def inflate(self, data):
        """With the window that was agreed, and no larger one."""
        bits = self.terms.get("server_max_window_bits", 15)
        if self.inflater is None or "server_no_context_takeover" in self.terms:
            self.inflater = zlib.decompressobj(wbits=-bits)
        return self.inflater.decompress(data + b"\0\0\xff\xff")

    def next_message(self, opcode, rsv, fin, payload):
        if opcode == CONTINUATION or rsv & 3 or (rsv and self.terms is None):
            raise Wrong(f"a frame that nothing allows: opcode {opcode}, reserved bits {rsv}")
        while not fin:
            fin, more_rsv, more_opcode, more = self.next_frame() or (None, None, None, None)
            if more_opcode != CONTINUATION or more_rsv:
                raise Wrong("a message whose fragments do not follow each other")
            payload += more
        data = self.inflate(payload) if rsv else payload
        if opcode == TEXT:
            data.decode()
        return Message("text" if opcode == TEXT else "binary", data, bool(rsv))

    def next_close(self, payload):
        """After a Close nothing comes but the end (RFC 6455 5.5.1, 7.1.1)."""
        code, reason = (struct.unpack("!H", payload[:2])[0], payload[2:].decode()) if len(payload) > 1 else (1005, "")
        if len(payload) == 1 or not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999 or not payload):
            raise Wrong(f"a Close that may not be sent: {payload!r}")
        if self.next_frame() is not None:
            raise Wrong("a frame behind a Close")
        return Closed((code,), reason)

    def next(self):
        """The next thing that happens."""
        got = self.next_frame()
        if got is None:
            return Ended()
        fin, rsv, opcode, payload = got
        if opcode < CLOSE:
            return self.next_message(opcode, rsv, fin, payload)
        if rsv or not fin or opcode > PONG:
            raise Wrong(f"a control frame that nothing allows: opcode {opcode}, reserved bits {rsv}, FIN {fin}")
        if opcode == CLOSE:
            return self.next_close(payload)
        return Pong(payload) if opcode == PONG else ("ping", payload)

    # --- scripts ---
    def play(self, script, understood=lambda got: got):
        """`understood` turns what comes into what the script speaks of."""
        for step in script:
            if isinstance(step, bytes):
                self.send(step)
                continue
            if step is LEAVE:
                self.socket.shutdown(socket.SHUT_WR)
                continue
            got = understood(self.next())
            if not step.meets(got):
                raise Wrong(f"expected {step}, got {got}")
        if not script or not isinstance(script[-1], (Closed, Ended)):
            self.play([close(1000), closed(1000)], understood)


class SocketStream:
    """As much of a file as read_answer needs; what comes behind the answer stays with the peer."""

    def __init__(self, peer):
        self.peer = peer

    def readline(self):
        while b"\n" not in self.peer.buffer:
            if not self.peer.more():
                break
        line, end, self.peer.buffer = self.peer.buffer.partition(b"\n")
        return line + end

    def read(self, size=None):
        if size is not None:
            return self.peer.take(size)
        while self.peer.more():
            pass
        rest, self.peer.buffer = self.peer.buffer, b""
        return rest


def accept_of(key):
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()


def check_switch(got, key=KEY):
    """A 101 that a client may believe (RFC 6455 4.1)."""
    if got is None or got.status != 101:
        raise Wrong(f"no 101: {got}")
    if (got["Upgrade"] or "").lower() != "websocket":
        raise Wrong(f"Upgrade: {got['Upgrade']}")
    if "upgrade" not in [t.strip().lower() for v in got.all("Connection") for t in v.split(",")]:
        raise Wrong(f"Connection: {got.all('Connection')}")
    if got.all("Sec-WebSocket-Accept") != [accept_of(key)]:
        raise Wrong(f"Sec-WebSocket-Accept: {got.all('Sec-WebSocket-Accept')} for {key}")
    if got["Content-Length"] is not None or got["Transfer-Encoding"] is not None:
        raise Wrong("a 101 with a body (RFC 9110 8.6)")
