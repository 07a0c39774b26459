"""The opening handshake as RFC 6455 4 and the offers of RFC 7692 7.1 have it: what is answered 101, and what is refused with what."""
import base64
import contextlib
import itertools

import pytest
from execgate import EXAMPLES, Gateway, wait_for
from websocket_driver import BINARY, KEY, LEAVE, PING, RSV1, TEXT, Ended, Packer, Peer, accept_of, check_switch, close, closed, frame, packed, pong, text

PATIENT = "pingInterval: 1h, idleTimeout: 2h"
BLUEPRINT = f"""
    blueprint: 1
    name: handshakes
    handlers:
      echo:
        command: {EXAMPLES}/echo
        timeout: 60s
        processes: {{min: 1, max: 1}}
        triggers:
          - {{websocket: /echo, reply: true}}
          - {{websocket: /kept, reply: true}}
          - {{websocket: /off, reply: true}}
          - {{websocket: /named, reply: true}}
          - http: GET /plain
    websockets:
      paths:
        /echo: {{{PATIENT}}}
        /kept: {{deflate: connection, {PATIENT}}}
        /off: {{deflate: off, {PATIENT}}}
        /named: {{protocols: [chat.v2, chat.v1], {PATIENT}}}
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with Gateway(tmp_path_factory.mktemp("handshakes"), BLUEPRINT) as g:
        yield g


@pytest.fixture
def peer(gateway):
    with contextlib.closing(gateway.connect()) as s:
        yield Peer(s)


def asking(leave_out=None, line=None, **fields):
    """Words for Peer.request: Upgrade="h2c" replaces a field, a list gives it several times."""
    names = {k.replace("_", "-"): v if isinstance(v, list) else [v] for k, v in fields.items()}
    return {"fields": [(k, v) for k, values in names.items() for v in values], "leave_out": tuple(names) + ((leave_out,) if leave_out else ()), "line": line}


def key(*keys):
    return asking(Sec_WebSocket_Key=list(keys))


def version(*versions):
    return asking(Sec_WebSocket_Version=list(versions))


# name, RFC 6455 section, request, accepted statuses
REFUSED = [
    ("POST", "4.1", asking(line="POST /echo HTTP/1.1"), {400, 405, 426}),
    ("PUT", "4.1", asking(line="PUT /echo HTTP/1.1"), {400, 405, 426}),
    ("get in small letters", "4.1", asking(line="get /echo HTTP/1.1"), {400, 405, 426, 501}),
    ("HTTP/1.0", "4.2.1", asking(line="GET /echo HTTP/1.0"), {400, 426, 505}),
    ("HTTP/2.0", "4.2.1", asking(line="GET /echo HTTP/2.0"), {505}),
    ("HTTP/0.9", "4.2.1", asking(line="GET /echo HTTP/0.9"), {400, 505}),
    ("no Host", "4.2.1", asking("Host"), {400}),
    ("two Hosts", "4.2.1", asking(Host=["a", "b"]), {400}),
    ("a fragment in the target", "3", asking(line="GET /echo#a HTTP/1.1"), {400}),
    ("another path", "4.2.2", asking(line="GET /nowhere HTTP/1.1"), {404}),
    ("no Upgrade", "4.2.1", asking("Upgrade"), {400, 426}),
    ("Upgrade: h2c", "4.2.1", asking(Upgrade="h2c"), {400, 426}),
    ("Upgrade: websockets", "4.2.1", asking(Upgrade="websockets"), {400, 426}),
    ("Upgrade: web socket", "4.2.1", asking(Upgrade="web socket"), {400, 426}),
    ("an empty Upgrade", "4.2.1", asking(Upgrade=""), {400, 426}),
    ("no Connection", "4.2.1", asking("Connection"), {400, 426}),
    ("Connection: keep-alive", "4.2.1", asking(Connection="keep-alive"), {400, 426}),
    ("Connection: upgraded", "4.2.1", asking(Connection="upgraded"), {400, 426}),
    ("no key", "4.2.1", asking("Sec-WebSocket-Key"), {400}),
    ("an empty key", "4.2.1", key(""), {400}),
    ("a key of 3 bytes", "4.2.1", key("dGhl"), {400}),
    ("a key of 15 bytes", "4.2.1", key("dGhlIHNhbXBsZSBub25j"), {400}),
    ("a key of 17 bytes", "4.2.1", key("dGhlIHNhbXBsZSBub25jZSE="), {400}),
    ("a key of 32 bytes", "4.2.1", key("dGhlIHNhbXBsZSBub25jZQdGhlIHNhbXBsZSBub25jZQ=="), {400}),
    ("a key without its end", "4.2.1", key("dGhlIHNhbXBsZSBub25jZQ"), {400}),
    ("a key of 24 letters that is longer than 16 bytes", "4.2.1", key("dGhlIHNhbXBsZSBub25jZQab"), {400}),
    ("a key that is not base64", "4.2.1", key("dGhlIHNhbXBsZSBub25j!!=="), {400}),
    ("a key for URLs", "4.2.1", key("-_hlIHNhbXBsZSBub25jZQ=="), {400}),
    ("a key with a blank", "4.2.1", key("dGhl IHNhbXBsZSBub25jZQ=="), {400}),
    ("a key twice", "11.3.1", key(KEY, KEY), {400}),
    ("two keys", "11.3.1", key(KEY, "AAAAAAAAAAAAAAAAAAAAAA=="), {400}),
    ("no version", "4.2.1", asking("Sec-WebSocket-Version"), {400, 426}),
    *((f"version {v!r}", "4.2.2", version(v), {400, 426}) for v in ("", "0", "8", "12", "14", "130", "013", "+13", "13.0", "x", "13 13")),
]


@pytest.mark.parametrize("section, request_, accepted", [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(peer, section, request_, accepted):
    peer.send(peer.request("/echo", **request_))
    got = peer.answer()
    assert got is not None and got.status in accepted, f"RFC 6455 {section}: {got}"
    assert got["Sec-WebSocket-Accept"] is None
    if got.status == 426:
        assert got["Upgrade"] == "websocket", "RFC 9110 15.5.22"


@pytest.mark.parametrize("versions", [["8"], ["12"], ["14"], ["x"], ["0"]])
def test_another_version_is_told_the_right_one(peer, versions):
    peer.send(peer.request("/echo", **version(*versions)))
    got = peer.answer()
    assert got.status == 426 and got.all("Sec-WebSocket-Version") == ["13"], "RFC 6455 4.4"


ANSWERED = [
    ("the sample", asking()),
    ("names in small letters", {"fields": [("upgrade", "websocket"), ("connection", "upgrade"), ("sec-websocket-key", KEY), ("sec-websocket-version", "13")],
                                "leave_out": ("Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version")}),
    ("Upgrade: WEBSOCKET", asking(Upgrade="WEBSOCKET")),
    ("Upgrade: WebSocket, h2c", asking(Upgrade="WebSocket, h2c")),
    ("Upgrade: h2c,websocket", asking(Upgrade="h2c,websocket")),
    ("Upgrade twice", asking(Upgrade=["h2c", "websocket"])),
    ("Connection: UPGRADE", asking(Connection="UPGRADE")),
    ("Connection: keep-alive, Upgrade", asking(Connection="keep-alive, Upgrade")),
    ("Connection: keep-alive ,\tupgrade , x", asking(Connection="keep-alive ,\tupgrade , x")),
    ("Connection twice", asking(Connection=["keep-alive", "Upgrade"])),
    ("blanks around the key", asking(Sec_WebSocket_Key=f" \t {KEY} \t ")),
    ("blanks around the version", asking(Sec_WebSocket_Version=" 13 ")),
    ("a query", asking(line="GET /echo?a=b&c HTTP/1.1")),
    ("an escaped path", asking(line="GET /%65cho HTTP/1.1")),
    ("an absolute target", asking(line="GET http://gateway.test/echo HTTP/1.1")),
    ("fields that nobody knows", asking(Sec_WebSocket_Foo="bar", X_Y="z")),
    ("Content-Length: 0", asking(Content_Length="0")),
    ("no Origin, no User-Agent, nothing else", asking()),
]


@pytest.mark.parametrize("request_", [row[1] for row in ANSWERED], ids=[row[0] for row in ANSWERED])
@pytest.mark.parametrize("drip", [False, True], ids=["whole", "drip"])
def test_answered(peer, request_, drip):
    peer.drip = drip
    peer.send(peer.request("/echo", **request_))
    got = peer.answer()
    check_switch(got)
    assert not got.all("Sec-WebSocket-Protocol") and not got.all("Sec-WebSocket-Extensions"), "nobody asked"
    peer.play([frame(TEXT, "hello"), text("hello")])


def test_the_answer_belongs_to_the_key(gateway):
    for key_ in ("AAAAAAAAAAAAAAAAAAAAAA==", "/////////////////////w==", "x3JJHMbDL1EzLkh9GBhXDw==", "++++++++++++++++++++++=="[:22] + "=="):
        with contextlib.closing(gateway.connect()) as s:
            peer = Peer(s)
            peer.send(peer.request("/echo", **key(canonical(key_))))
            check_switch(peer.answer(), canonical(key_))
    assert accept_of(KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "RFC 6455 1.3"


def canonical(key_):
    """Its 16 bytes, written the only right way."""
    return base64.b64encode(base64.b64decode(key_)).decode()


# --- the connection around the handshake ---

def test_frames_right_behind_the_handshake(gateway):
    for count in (1, 2, 50):
        with contextlib.closing(gateway.connect()) as s:
            peer = Peer(s)
            peer.send(peer.request("/echo") + b"".join(frame(TEXT, "early %d" % i) for i in range(count)))
            check_switch(peer.answer())
            peer.play([text("early %d" % i) for i in range(count)])


def test_half_a_frame_right_behind_the_handshake(peer):
    whole = frame(TEXT, "halves")
    peer.send(peer.request("/echo") + whole[:7])
    check_switch(peer.answer())
    peer.play([whole[7:], text("halves")])


def test_much_right_behind_the_handshake(peer):
    long = "0123456789abcdef" * 8000
    peer.send(peer.request("/echo") + frame(TEXT, long))
    check_switch(peer.answer())
    peer.play([text(long)])


def test_a_wrong_frame_right_behind_the_handshake(peer):
    peer.send(peer.request("/echo") + frame(TEXT, "bare", mask=None))
    check_switch(peer.answer())
    peer.play([closed(1002)])


def test_a_close_right_behind_the_handshake(peer):
    peer.send(peer.request("/echo") + close(1000))
    check_switch(peer.answer())
    peer.play([closed(1000)])


def test_handshake_and_frames_one_byte_at_a_time(peer):
    peer.drip = True
    peer.open("/echo", "permessage-deflate")
    peer.play([frame(TEXT, packed("drop by drop"), rsv=RSV1), text("drop by drop"), frame(PING, b"p"), pong(b"p")])


@pytest.mark.parametrize("name, fields, body", [
    ("length", [("Content-Length", "5")], b"hello"),
    ("a body that looks like a frame", [("Content-Length", str(len(frame(TEXT, "evil"))))], frame(TEXT, "evil")),
    ("chunked", [("Transfer-Encoding", "chunked")], b"5\r\nhello\r\n0\r\n\r\n"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_body_is_never_taken_for_frames(peer, name, fields, body):
    """RFC 6455 says nothing of a body. It may be refused, or read as what it is; what follows it is what counts."""
    peer.send(peer.request("/echo", fields) + body + frame(TEXT, "good"))
    got = peer.answer()
    if got.status == 101:
        peer.play([text("good")])
    else:
        assert 400 <= got.status <= 499, got


def test_a_refused_client_may_ask_again(peer):
    peer.send(peer.request("/echo", **asking("Sec-WebSocket-Key")))
    assert peer.answer().status == 400
    peer.send(peer.request("/echo", **version("12")))
    assert peer.answer().status == 426
    peer.open("/echo")
    peer.play([frame(TEXT, "third time"), text("third time")])


def test_requests_in_front_of_the_handshake(peer):
    plain = b"GET /plain HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
    peer.send(plain * 3 + peer.request("/echo") + frame(TEXT, "at last"))
    for _ in range(3):
        got = peer.answer()
        assert got.status == 200 and got.body == b"hello\n"
    check_switch(peer.answer())
    peer.play([text("at last")])


def test_frames_behind_a_refusal_are_no_frames(gateway, peer):
    """They are a request that is wrong (and would be a way past the gateway, were they anything else)."""
    before = len(gateway.logs(path="/websocket/echo/$default"))
    peer.send(peer.request("/echo", **asking("Upgrade")) + frame(TEXT, "\r\n\r\n", mask=b"\0\0\0\0"))
    assert peer.answer().status == 426
    got = peer.answer()
    assert got is None or 400 <= got.status <= 501, got
    assert len(gateway.logs(path="/websocket/echo/$default")) == before


def test_http_goes_on_beside(gateway, peer):
    peer.open("/echo")
    assert gateway.get("/plain").text == "hello\n"
    assert gateway.get("/echo").status == 426
    peer.play([frame(TEXT, "still"), text("still")])


# --- ends that nobody announced ---

def gone(gateway, path, code):
    return gateway.logs("websocket closed", path=path, code=code)


@pytest.mark.parametrize("last", [b"", frame(TEXT, "a", fin=False), frame(TEXT, "abc")[:4], frame(TEXT, "abc")[:1], frame(BINARY, b"x" * 70000)[:40000]],
                         ids=["between frames", "within a message", "within a head", "after one byte", "within a frame"])
def test_a_client_that_leaves_without_a_word(gateway, last):
    before = len(gone(gateway, "/echo", 1006))
    with contextlib.closing(gateway.connect()) as s:
        peer = Peer(s)
        peer.open("/echo")
        peer.play([frame(TEXT, "hello"), text("hello"), last, LEAVE, Ended()])
    wait_for(lambda: len(gone(gateway, "/echo", 1006)) > before, what="the end of the connection in the log")


# --- subprotocols ---

@pytest.mark.parametrize("path, offers, agreed", [
    ("/named", [], None),
    ("/named", ["chat.v1"], "chat.v1"),
    ("/named", ["chat.v2"], "chat.v2"),
    ("/named", ["chat.v1, chat.v2"], "chat.v2"),
    ("/named", ["chat.v1", "chat.v2"], "chat.v2"),
    ("/named", ["x,chat.v1 , y"], "chat.v1"),
    ("/named", ["CHAT.V1"], None),
    ("/named", ["chat.v3"], None),
    ("/named", ["chat"], None),
    ("/named", ["chat.v11, xchat.v1"], None),
    ("/echo", ["chat.v1"], None),
])
def test_subprotocols(peer, path, offers, agreed):
    got = peer.open(path, fields=[("Sec-WebSocket-Protocol", o) for o in offers])
    assert got.all("Sec-WebSocket-Protocol") == ([agreed] if agreed else [])
    peer.play([frame(TEXT, "x"), text("x")])


# --- RFC 7692 7.1: offers ---

D = "permessage-deflate"
FLAGS = ("server_no_context_takeover", "client_no_context_takeover")


def offers_in_all_forms():
    """Every set of parameters, in both orders, with and without the blanks."""
    parameters = [*FLAGS, "server_max_window_bits=10", "client_max_window_bits", "client_max_window_bits=12"]
    for count in range(5):
        for some in itertools.combinations(parameters, count):
            if parameters[3] in some and parameters[4] in some:
                continue
            yield "; ".join([D, *some])
            yield ";".join([D, *reversed(some)])


ACCEPTED = sorted({
    *offers_in_all_forms(), f"{D};  server_no_context_takeover  ", f"{D}; server_max_window_bits=\"10\"", f"x-unknown, {D}", f"x-unknown; a=b, {D}, y", f"{D}, {D}",
    f"{D}; x_unknown, {D}", f"{D}; server_max_window_bits=20, {D}; server_max_window_bits=9", f"{D}; client_max_window_bits=8", f"{D}; server_max_window_bits=15",
    *(f"{D}; server_max_window_bits={n}" for n in range(9, 16)), *(f"{D}; client_max_window_bits={n}" for n in range(8, 16))})
DECLINED = [
    "", "x-unknown", "x-webkit-deflate-frame", "permessage-bzip2", f"{D}x", "deflate", f"{D}; x_unknown", f"{D}; x_unknown=1", f"{D}; server_no_context_takeover=1",
    f"{D}; client_no_context_takeover=true", f"{D}; server_no_context_takeover; server_no_context_takeover", f"{D}; client_no_context_takeover; client_no_context_takeover",
    f"{D}; server_max_window_bits", f"{D}; server_max_window_bits=", f"{D}; server_max_window_bits=10; server_max_window_bits=10",
    f"{D}; client_max_window_bits; client_max_window_bits", f"{D}; client_max_window_bits; client_max_window_bits=10",
    f'x-unknown; a="b, {D}, c"', f'x-unknown; a="b; c, {D}', f'{D}; a="b, {D}, c"',
    *(f"{D}; {side}_max_window_bits={n}" for side in ("server", "client") for n in ("0", "7", "16", "08", "010", "-9", "+9", "9.0", "a", "99999999999999999999", "0xa")),
]


def check_answer(offer, terms, path):
    """What an answer to this offer may say (RFC 7692 7.1.1, 7.1.2)."""
    offered = dict(part.strip().partition("=")[::2] for part in offer.split(";")[1:])
    assert set(terms) <= {*FLAGS, "server_max_window_bits", "client_max_window_bits"}, terms
    assert all(terms[flag] is True for flag in FLAGS if flag in terms), "flags have no value"
    if "server_no_context_takeover" in offered:
        assert "server_no_context_takeover" in terms, "7.1.1.1: asked for by the client"
    if "server_max_window_bits" in offered:
        assert 8 <= terms["server_max_window_bits"] <= int(offered["server_max_window_bits"].strip('" ')), "7.1.2.1: asked for by the client"
    if "client_max_window_bits" in terms:
        assert "client_max_window_bits" in offered, "7.1.2.2: not offered"
        assert 8 <= terms["client_max_window_bits"] <= int(offered["client_max_window_bits"].strip() or 15)
    if path == "/kept" and "client_no_context_takeover" not in offered:
        assert "client_no_context_takeover" not in terms, "this path keeps windows"


@pytest.mark.parametrize("path", ["/echo", "/kept"])
@pytest.mark.parametrize("offer", ACCEPTED)
def test_an_offer_that_is_accepted(peer, offer, path):
    peer.open(path, offer)
    assert peer.terms is not None, "the offer was declined"
    if "," not in offer:
        check_answer(offer, peer.terms, path)
    bits = peer.terms.get("client_max_window_bits", 15)
    pack = Packer("client_no_context_takeover" not in peer.terms, max(bits, 9))
    words = "".join("%05d" % i for i in range(800))
    peer.play([step for _ in range(3) for step in (frame(TEXT, pack(words), rsv=RSV1), text(words, packed=True))])


@pytest.mark.parametrize("offer", DECLINED)
def test_an_offer_that_is_declined(peer, offer):
    peer.send(peer.request("/echo", [("Sec-WebSocket-Extensions", offer)]))
    got = peer.answer()
    if got.status == 400:
        return  # RFC 6455 9.1: what is not well-formed may also end it
    check_switch(got)
    assert got.all("Sec-WebSocket-Extensions") == []
    peer.play([frame(TEXT, "a" * 1000), text("a" * 1000, packed=False)])


def test_offers_in_several_fields(gateway):
    rows = [([D, "x-unknown"], True), (["x-unknown", D], True), ([f"{D}; server_max_window_bits=7", f"{D}; server_max_window_bits=9"], True), (["x", "y"], False)]
    for offers, agreed in rows:
        with contextlib.closing(gateway.connect()) as s:
            peer = Peer(s)
            peer.open("/echo", offers)
            assert (peer.terms is not None) == agreed, offers
            peer.play([frame(TEXT, "x"), text("x")])


def test_the_first_offer_that_can_be_met_is_taken(peer):
    peer.open("/kept", f"{D}; server_max_window_bits=7, {D}; server_max_window_bits=11, {D}; server_max_window_bits=13")
    assert peer.terms["server_max_window_bits"] == 11


def test_where_it_is_off_nothing_is_agreed(peer):
    got = peer.open("/off", [D, f"{D}; client_max_window_bits"])
    assert got.all("Sec-WebSocket-Extensions") == []
    peer.play([frame(TEXT, "a" * 1000), text("a" * 1000, packed=False)])
