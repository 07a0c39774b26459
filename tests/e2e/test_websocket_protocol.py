"""RFC 6455 and RFC 7692 as a client that knows every byte sees them; the table is websocket_cases.py."""
import base64
import contextlib
import json
import socket
import ssl

import pytest
from execgate import EXAMPLES, SLOW, Gateway
from test_tls import certify
from websocket_cases import CHAPTERS, DRIP_MOST, EMPTY, SMALL_FRAME, SMALL_MESSAGE
from websocket_driver import ANY, BINARY, PING, RSV1, TEXT, Message, Peer, Wrong, closed, frame, packed, pong, text

PATHS = {
    "/echo": {"maxMessage": "1MiB"},
    "/small": {"maxMessage": f"{SMALL_MESSAGE}B", "maxFrame": f"{SMALL_FRAME}B"},
    "/off": {"maxMessage": "1MiB", "deflate": "off"},
    "/kept": {"maxMessage": "1MiB", "deflate": "connection"},
    "/large": {"maxMessage": "4MiB"},
}
# Nobody is pinged or found idle, however slow the machine is.
PATIENT = {"pingInterval": "1h", "idleTimeout": "2h", "origins": "any"}


def blueprint():
    triggers = lambda face: json.dumps([{"websocket": face + path, "reply": True} for path in PATHS])
    paths = json.dumps({face + path: {**PATIENT, **config} for face in ("", "/lambda") for path, config in PATHS.items()})
    return f"""
        blueprint: 1
        name: protocol
        listen:
          - http: 127.0.0.1:0
          - https: 127.0.0.1:0
            certificates: [{{certificate: shop.pem, key: shop.key}}]
        handlers:
          echo:
            command: {EXAMPLES}/echo
            timeout: 60s
            processes: {{min: 1, max: 1, concurrency: 16}}
            triggers: {triggers("")}
          lambda:
            command: {EXAMPLES}/lambda_echo
            timeout: 60s
            processes: {{min: 1, max: 1}}
            triggers: {triggers("/lambda")}
        websockets:
          paths: {paths}
    """


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("websocket")
    certify(folder, "authority", [])
    certify(folder, "shop", ["shop.test"], "authority")
    g = Gateway(folder, blueprint())
    g.start(listen=None)
    with contextlib.ExitStack() as stack:
        stack.push(g.__exit__)
        g.tls_port = next(int(a.rsplit(":", 1)[1]) for a in g.addresses if a.startswith("https://"))
        g.trust = ssl.create_default_context(cafile=str(folder / "authority.pem"))
        yield g


def connect_tls(g):
    raw = socket.create_connection(("127.0.0.1", g.tls_port), 30)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return g.trust.wrap_socket(raw, server_hostname="shop.test")


def out_of_event(got):
    """What a Lambda handler was told of a message: it has sent the whole event back."""
    if not isinstance(got, Message):
        return got
    event = json.loads(got.data)
    assert event["requestContext"]["eventType"] == "MESSAGE"
    data = event.get("body") or ""
    if not data:
        return EMPTY
    return Message(ANY, base64.b64decode(data) if event["isBase64Encoded"] else data.encode(), got.packed)


def as_said(got):
    return got


# How each row of the table is run: connection, one byte at a time, path of the handler, what its answers mean.
WAYS = {
    "plain": (Gateway.connect, False, "", as_said),
    "drip": (Gateway.connect, True, "", as_said),
    "tls": (connect_tls, False, "", as_said),
    "lambda": (Gateway.connect, False, "/lambda", out_of_event),
}


def cases():
    for chapter, make in CHAPTERS.items():
        for case in make():
            for way in WAYS:
                if way == "drip" and case.size > DRIP_MOST:
                    continue
                yield pytest.param(case, way, id=f"{chapter}: {case.name}: {way}")


@pytest.mark.parametrize("case, way", cases())
def test_a_row_of_the_table(gateway, case, way):
    connect, drip, face, understood = WAYS[way]
    with contextlib.closing(connect(gateway)) as s:
        peer = Peer(s, drip)
        try:
            peer.open(face + case.path, case.offer)
            peer.play(case.script, understood)
        except Wrong as wrong:
            pytest.fail(f"RFC {'6455 ' if not case.section.startswith('7692') else ''}{case.section}: {wrong}", pytrace=False)


# --- what a table of single connections does not show ---

def peak_kb(pid):
    """The most memory since the last peak_forget."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM:"))


def peak_forget(pid):
    with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as f:
        f.write("5")


@pytest.mark.skipif(SLOW > 1, reason="a sanitizer keeps what was freed")
def test_a_bomb_takes_no_room(gateway):
    """256 MiB in 256 kB, where 4 MiB may come out (RFC 6455 10.4)."""
    bomb = frame(BINARY, packed(bytes(256 << 20)), rsv=RSV1)
    with contextlib.closing(gateway.connect()) as s:
        peer = Peer(s)
        peer.open("/large", "permessage-deflate")
        peak_forget(gateway.pid)
        before = peak_kb(gateway.pid)
        peer.play([bomb, closed(1009)])
    assert peak_kb(gateway.pid) - before < 32 * 1024


def test_connections_do_not_disturb_each_other(gateway):
    """Frames of many connections, byte by byte in turn: each ends as its own script says."""
    rows = [("good %d" % i, None) for i in range(10)] + [(b"\xff%d" % i, 1007) for i in range(10)]
    with contextlib.ExitStack() as stack:
        peers = [Peer(stack.enter_context(contextlib.closing(gateway.connect()))) for _ in rows]
        for peer in peers:
            peer.open("/echo")
        frames = [frame(TEXT, said) for said, _ in rows]
        for at in range(max(map(len, frames))):
            for peer, whole in zip(peers, frames):
                peer.send(whole[at:at + 1])
        for peer, (said, code) in zip(peers, rows):
            peer.play([closed(code) if code else text(said)])


def test_a_client_that_does_not_read_its_pongs(gateway):
    """Pongs that nobody fetches do not pile up: not each ping needs one (RFC 6455 5.5.3). A message for somebody who is that far behind may close the connection."""
    with contextlib.closing(gateway.connect()) as s:
        peer = Peer(s)
        peer.open("/echo")
        peak_forget(gateway.pid)
        before = peak_kb(gateway.pid)
        for _ in range(50):
            peer.send(frame(PING, b"p" * 125) * 2000)
        peer.send(frame(TEXT, "and now"))
        while (got := peer.next()) == pong(b"p" * 125):
            pass
        assert text("and now").meets(got) or closed(1013).meets(got), got
    assert SLOW > 1 or peak_kb(gateway.pid) - before < 32 * 1024
