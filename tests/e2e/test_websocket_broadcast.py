"""A broadcast to many of whom some do not read (docs/websockets.md)."""
import contextlib
import selectors
import socket
import struct
import threading

from execgate import SLOW, wait_for
from puppet import Api
from test_websocket import puppet
from websocket import TEXT, Socket

FAST, LAZY, SIZE, ROUNDS_MOST = 300, 5, 16 * 1024, 200


def lazy_socket(port):
    """A client far away: its own buffer is small, and its segments, by which the gateway's socket sizes its buffer, are an Ethernet's."""
    s = socket.socket()
    s.settimeout(30 * SLOW)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1460)
    s.connect(("127.0.0.1", port))
    return s


class Crowd:
    """Reads from all of its sockets until each has had what was sent; keeps what came."""

    def __init__(self, sockets):
        self.got = {ws: bytearray() for ws in sockets}
        self.selector = selectors.DefaultSelector()
        for ws in sockets:
            ws.socket.setblocking(False)
            self.selector.register(ws.socket, selectors.EVENT_READ, ws)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.over.is_set():
            for key, _ in self.selector.select(0.1):
                self.read(key.data)

    def read(self, ws):
        with contextlib.suppress(ConnectionError):
            data = ws.socket.recv(1 << 20)
            self.got[ws] += data
            if data:
                return
        self.selector.unregister(ws.socket)

    def least(self):
        return min(map(len, self.got.values()))

    def close(self):
        self.over.set()
        self.thread.join(60)
        self.selector.close()


def frame_of(number):
    body = f"{number:08}".encode() * (SIZE // 8)
    return bytes([0x80 | TEXT, 126]) + struct.pack(">H", SIZE) + body, body


def open_all(stack, g):
    fast = [stack.enter_context(Socket(g)) for _ in range(FAST)]
    lazy = [stack.enter_context(Socket(g, made=lazy_socket(g.port))) for _ in range(LAZY)]
    return fast, lazy


def test_who_does_not_read_holds_nobody(tmp_path):
    rest = "websockets: {paths: {/ws: {maxOutbound: 32KiB, pingInterval: 1h}}}\n"
    with puppet(tmp_path, ["websocket: /ws"], rest) as (g, env), contextlib.ExitStack() as stack:
        api = Api(env)
        fast, lazy = open_all(stack, g)
        for c in api.call("GET", "/v1/connections").json()["connections"]:
            assert api.call("PUT", f"/v1/connections/{c['connectionId']}/groups/all").status == 204
        crowd, sent, expected = Crowd(fast), [], b""
        stack.callback(crowd.close)
        while (not sent or sent[-1] > FAST) and len(sent) < ROUNDS_MOST:
            whole, body = frame_of(len(sent))
            sent.append(api.call("POST", "/v1/groups/all/messages", body).json()["sent"])
            expected += whole
            wait_for(lambda: crowd.least() >= len(expected), 60, f"message {len(sent)} at all who read")
        assert sent[0] == FAST + LAZY and sent[-1] == FAST, sent
        assert all(bytes(got) == expected for got in crowd.got.values()), "each of the others got all, in order, and nothing else"
        closed = wait_for(lambda: len(g.logs("websocket closed")) >= LAZY and g.logs("websocket closed"))
        assert [e["code"] for e in closed] == [1013] * LAZY
        for ws in lazy:  # without a code when this comes later than the gateway waits for them
            assert ws.closed()[0] in (1013, None)
        assert api.call("GET", "/v1/groups/all").json() == {"connections": FAST}
