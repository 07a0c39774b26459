"""What RFC 6455 and RFC 7692 say of frames and messages, as a table of scripts for websocket_driver.Peer.

The handler sends every message back as it was, an empty one as EMPTY. Where the RFCs leave a choice, a row names all of
them; where they leave none, it names one."""
import dataclasses
import struct

from websocket_driver import (BINARY, CLOSE, CONTINUATION, PING, PONG, RSV1, RSV2, RSV3, TEXT, Packer, binary, close, closed, fragments,
                              frame, head, packed, pong, text)

LIMIT = 1 << 20  # of a message on all paths but /small
SMALL_MESSAGE, SMALL_FRAME = 1000, 600  # of /small
EMPTY = text("hello\n")  # how the handler answers nothing
PROTOCOL, BAD_DATA, TOO_BIG = closed(1002), closed(1007), closed(1009)
DEFLATE = "permessage-deflate"
DRIP_MOST = 1500  # longer scripts are not sent byte by byte


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    section: str
    script: list
    path: str = "/echo"
    offer: object = None

    @property
    def size(self):
        return sum(len(step) for step in self.script if isinstance(step, bytes))


NAMES = {CONTINUATION: "continuation", TEXT: "text", BINARY: "binary", CLOSE: "close", PING: "ping", PONG: "pong"}


def payload(size):
    """Text whose every part differs from its neighbours."""
    return (b"".join(b"%07d " % i for i in range(size // 8 + 1)))[:size]


def echoed(opcode, data):
    if not data:
        return EMPTY
    return text(data) if opcode == TEXT else binary(data)


# --- RFC 6455 5.2: the frame ---

def lengths():
    for opcode in (TEXT, BINARY):
        for size in (0, 1, 2, 124, 125, 126, 127, 128, 4095, 4096, 4097, 65534, 65535, 65536, 65537, 200000, LIMIT):
            yield Case(f"{NAMES[opcode]} of {size}", "5.2", [frame(opcode, payload(size)), echoed(opcode, payload(size))])
    for form, sizes in ((16, (0, 1, 125)), (64, (0, 1, 125, 126, 65535))):
        for size in sizes:
            yield Case(f"{size} bytes with a length of {form} bits", "5.2", [frame(BINARY, payload(size), form=form), PROTOCOL])
    for size in (1 << 63, (1 << 64) - 1):
        yield Case(f"a length of {size:#x}", "5.2", [head(BINARY, size, form=64) + b"mask", PROTOCOL])
    for size in (1 << 31, 1 << 32, 1 << 62, (1 << 63) - 1):
        yield Case(f"a length of {size:#x}", "7.4.1", [head(BINARY, size, form=64) + b"maskx", closed(1009, 1002)])
    yield Case("1000 frames at once", "5.2", [frame(TEXT, b"a%d" % i) for i in range(1000)] + [text(b"a%d" % i) for i in range(1000)])
    yield Case("frames of all sizes at once", "5.2",
               [b"".join(frame(BINARY, payload(n)) for n in range(1, 300))] + [binary(payload(n)) for n in range(1, 300)])


def limits():
    for size in (SMALL_FRAME - 1, SMALL_FRAME):
        yield Case(f"a frame of {size}", "10.4", [frame(BINARY, payload(size)), binary(payload(size))], "/small")
    yield Case("a frame that is larger than a frame may be", "10.4", [head(BINARY, SMALL_FRAME + 1) + b"maskx", TOO_BIG], "/small")
    yield Case("a later frame that is", "10.4", [frame(BINARY, b"a", fin=False) + head(CONTINUATION, SMALL_FRAME + 1) + b"maskx", TOO_BIG], "/small")
    half, rest = payload(SMALL_FRAME), payload(SMALL_MESSAGE - SMALL_FRAME)
    yield Case("a message as large as it may be", "10.4", [fragments(TEXT, half, rest), text(half + rest)], "/small")
    yield Case("one byte more", "10.4", [fragments(TEXT, half, rest + b"x"), TOO_BIG], "/small")
    yield Case("one byte more in a frame of its own", "10.4", [fragments(TEXT, half, rest, b"x"), TOO_BIG], "/small")
    yield Case("one byte more, told by a head", "10.4", [frame(TEXT, half, fin=False) + head(CONTINUATION, len(rest) + 1) + b"maskx", TOO_BIG], "/small")
    yield Case("the limit counts anew for each message", "10.4", [step for _ in range(3) for step in (fragments(TEXT, half, rest), text(half + rest))], "/small")
    yield Case("a megabyte and one byte", "10.4", [frame(BINARY, payload(LIMIT + 1)), TOO_BIG])
    yield Case("a megabyte of garbage behind an error", "7.1.7", [frame(3) + payload(LIMIT), PROTOCOL])
    yield Case("a large ping within a small limit", "10.4", [frame(PING, payload(125)), pong(payload(125))], "/small")


def bits_and_opcodes():
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        for size in (0, 5):
            yield Case(f"opcode {opcode} with {size} bytes", "5.2", [frame(opcode, payload(size)), PROTOCOL])
        yield Case(f"opcode {opcode} within a message", "5.2", [frame(TEXT, b"a", fin=False) + frame(opcode), PROTOCOL])
    for rsv in range(1, 8):
        for opcode in (TEXT, BINARY, CLOSE, PING, PONG):
            yield Case(f"reserved bits {rsv} on {NAMES[opcode]}", "5.2", [frame(opcode, rsv=rsv), PROTOCOL])
        yield Case(f"reserved bits {rsv} on continuation", "5.2", [frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b", rsv=rsv), PROTOCOL])


def masking():
    for opcode in (TEXT, BINARY, CLOSE, PING, PONG):
        yield Case(f"{NAMES[opcode]} without a mask", "5.1", [frame(opcode, mask=None), PROTOCOL])
    yield Case("text with bytes without a mask", "5.1", [frame(TEXT, b"hello", mask=None), PROTOCOL])
    yield Case("continuation without a mask", "5.1", [frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b", mask=None), PROTOCOL])
    for mask in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x80\0\0\1"):
        for size in (1, 3, 4, 5, 7, 8, 9, 130, 5001):
            yield Case(f"mask {mask.hex()} over {size}", "5.3", [frame(TEXT, payload(size), mask=mask), text(payload(size))])
    yield Case("each fragment has a mask of its own", "5.3",
               [frame(TEXT, b"abc", mask=b"1234", fin=False) + frame(CONTINUATION, b"def", mask=b"\xff\0\xff\0"), text("abcdef")])


# --- RFC 6455 5.4, 5.5: messages and what may stand between their frames ---

def fragmentation():
    for opcode in (TEXT, BINARY):
        for parts in ([b"a", b"b"], [b"", b"a"], [b"a", b""], [b"", b"a", b""], [b"a", b"", b"", b"b"], [payload(125), payload(126)], [payload(65535), payload(65536)]):
            whole = b"".join(parts)
            yield Case(f"{NAMES[opcode]} in {[len(p) for p in parts]}", "5.4", [fragments(opcode, *parts), echoed(opcode, whole)])
        yield Case(f"{NAMES[opcode]} in nothing but empty fragments", "5.4", [fragments(opcode, *[b""] * 5), EMPTY])
        yield Case(f"{NAMES[opcode]} in 3000 fragments", "5.4", [fragments(opcode, *[b"%d" % (i % 10) for i in range(3000)]), echoed(opcode, b"0123456789" * 300)])
        yield Case(f"a message is not handled before its last fragment, {NAMES[opcode]}", "5.4",
                   [frame(opcode, b"a", fin=False), frame(PING, b"1"), pong(b"1"), frame(CONTINUATION, b"b", fin=False), frame(PING, b"2"), pong(b"2"),
                    frame(CONTINUATION, b"c"), echoed(opcode, b"abc")])
    yield Case("a text, then bytes, each in fragments", "5.4", [fragments(TEXT, b"a", b"b"), text("ab"), fragments(BINARY, b"\xff", b"\0"), binary(b"\xff\0")])
    for fin in (True, False):
        yield Case(f"a continuation of nothing, FIN {fin}", "5.4", [frame(CONTINUATION, b"a", fin=fin), PROTOCOL])
        yield Case(f"a continuation behind a whole message, FIN {fin}", "5.4", [frame(TEXT, b"a"), text("a"), frame(CONTINUATION, b"b", fin=fin), PROTOCOL])
        yield Case(f"a continuation behind the last fragment, FIN {fin}", "5.4", [fragments(TEXT, b"a", b"b"), text("ab"), frame(CONTINUATION, b"c", fin=fin), PROTOCOL])
        for opcode in (TEXT, BINARY):
            yield Case(f"a new {NAMES[opcode]} within a message, FIN {fin}", "5.4", [frame(TEXT, b"a", fin=False) + frame(opcode, b"b", fin=fin), PROTOCOL])


def control_frames():
    for opcode in (CLOSE, PING, PONG):
        name = NAMES[opcode]
        start = struct.pack("!H", 1000) if opcode == CLOSE else b""
        yield Case(f"{name} without FIN", "5.5", [frame(opcode, start, fin=False), PROTOCOL])
        yield Case(f"{name} in two fragments", "5.5", [fragments(opcode, start, b"a"), PROTOCOL])
        for size in (126, 127, 65536):
            yield Case(f"{name} of {size}", "5.5", [frame(opcode, start + payload(size - len(start))), PROTOCOL])
        yield Case(f"{name} with a length of 16 bits", "5.2", [frame(opcode, start, form=16), PROTOCOL])
        yield Case(f"{name} of {LIMIT}, told by its head", "5.5", [head(opcode, LIMIT) + b"mask", PROTOCOL])
    for between in ([frame(PING)], [frame(PONG, b"x")], [frame(PING, payload(125))], [frame(PING, b"1"), frame(PONG, b"2"), frame(PING, b"3")]):
        pongs = {frame(PING): [pong(b"")], frame(PING, payload(125)): [pong(payload(125))]}.get(between[0], [] if len(between) == 1 else [pong(b"1"), pong(b"3")])
        yield Case(f"{len(between)} control frame(s) of {len(between[0])} bytes between fragments", "5.4",
                   [frame(TEXT, b"a", fin=False), *between, *pongs, frame(CONTINUATION, b"b"), text("ab")])
    yield Case("control frames behind every fragment", "5.4",
               [step for i in range(20) for step in (frame(TEXT if i == 0 else CONTINUATION, b"x", fin=False), frame(PING, b"%d" % i), frame(PONG), pong(b"%d" % i))]
               + [frame(CONTINUATION), text("x" * 20)])
    yield Case("a Close within a message", "5.5.1", [frame(TEXT, b"a", fin=False) + close(1000), closed(1000)])
    for rsv in (RSV1, RSV2, RSV3):
        yield Case(f"a ping with reserved bits {rsv} within a message", "5.5", [frame(TEXT, b"a", fin=False) + frame(PING, rsv=rsv), PROTOCOL])


def pings():
    for size in range(126):
        yield Case(f"ping of {size}", "5.5.2", [frame(PING, payload(size)), pong(payload(size))])
    yield Case("ping of bytes that are no text", "5.5.2", [frame(PING, b"\0\xff\xfe\x80"), pong(b"\0\xff\xfe\x80")])
    yield Case("pings one after the other", "5.5.3", [step for i in range(50) for step in (frame(PING, b"%d" % i), pong(b"%d" % i))])
    for size in (0, 1, 125):
        yield Case(f"a pong of {size} that nobody asked for", "5.5.3", [frame(PONG, payload(size)), frame(TEXT, b"a"), text("a")])
    yield Case("100 pongs that nobody asked for", "5.5.3", [frame(PONG, b"x") * 100, frame(TEXT, b"a"), text("a")])


# --- RFC 6455 5.5.1, 7: the end ---

GOOD_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3001, 3999, 4000, 4001, 4999)
BAD_CODES = (0, 1, 255, 256, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 5001, 32768, 65535)


def closes():
    for code in GOOD_CODES:
        yield Case(f"Close {code}", "7.4", [close(code), closed(code)])
        yield Case(f"Close {code} with a reason", "7.4", [close(code, "because é".encode()), closed(code)])
    for code in BAD_CODES:
        yield Case(f"Close {code}", "7.4", [close(code), PROTOCOL])
        yield Case(f"Close {code} with a reason", "7.4", [close(code, b"because"), PROTOCOL])
    yield Case("Close without a code", "7.1.5", [close(), closed(1005, 1000)])
    yield Case("Close of one byte", "5.5.1", [frame(CLOSE, b"\x03"), PROTOCOL])
    yield Case("Close with the longest reason", "5.5", [close(1000, payload(123)), closed(1000)])
    yield Case("Close with a reason of one byte more", "5.5", [close(1000, payload(124)), PROTOCOL])
    for name, bytes_ in BAD_TEXTS.items():
        yield Case(f"Close whose reason is {name}", "5.5.1", [close(1000, b"so: " + bytes_), closed(1007, 1002)])
    yield Case("what comes behind a Close is not read", "5.5.1", [close(1000) + frame(TEXT, b"a") + frame(PING) + close(1001), closed(1000)])
    yield Case("garbage behind a Close", "5.5.1", [close(1000) + b"\xff" * 5000, closed(1000)])
    yield Case("a megabyte behind a Close", "5.5.1", [close(1000) + payload(LIMIT), closed(1000)])
    yield Case("Close as the first frame, empty", "5.5.1", [frame(CLOSE), closed(1005, 1000)])


# --- RFC 6455 5.6, 8.1; RFC 3629: text ---

GOOD_TEXTS = {
    "Greek": "κόσμε", "of two bytes, the first": "\u0080", "of two bytes, the last": "\u07ff", "of three bytes, the first": "\u0800", "before the surrogates": "\ud7ff",
    "behind the surrogates": "\ue000", "a noncharacter": "\ufffe", "of three bytes, the last": "\uffff", "of four bytes, the first": "\U00010000",
    "of four bytes, the last": "\U0010ffff", "the replacement character": "\ufffd", "NUL": "\0", "DEL": "\x7f", "a byte order mark": "\ufeffa",
    "emoji": "👩‍👩‍👧 \U0001f600", "of all lengths": "aé€\U0001f600" * 3,
}
BAD_TEXTS = {
    "a lone continuation byte": b"\x80", "the last continuation byte": b"\xbf", "two continuation bytes": b"\x80\xbf", "FE": b"\xfe", "FF": b"\xff",
    "F5": b"\xf5\x80\x80\x80", "F8": b"\xf8\x88\x80\x80\x80", "FC": b"\xfc\x84\x80\x80\x80\x80", "overlong by two": b"\xc0\xaf", "overlong by two, the last": b"\xc1\xbf",
    "overlong by three": b"\xe0\x80\xaf", "overlong by three, the last": b"\xe0\x9f\xbf", "overlong by four": b"\xf0\x80\x80\xaf", "overlong by four, the last": b"\xf0\x8f\xbf\xbf",
    "the overlong NUL": b"\xc0\x80", "a high surrogate": b"\xed\xa0\x80", "a low surrogate": b"\xed\xbf\xbf", "a pair of surrogates": b"\xed\xa0\x81\xed\xb0\x80",
    "beyond the last character": b"\xf4\x90\x80\x80", "cut off after one of two": b"\xc3", "cut off after two of three": b"\xe2\x82", "cut off after three of four": b"\xf0\x9f\x98",
    "cut short by a letter": b"\xe2\x82a", "cut short by a character": b"\xf0\x9f\x98\xc3\xa9", "Latin-1": b"caf\xe9 au lait",
}


def cuts(data):
    return [(data[:at], data[at:]) for at in range(len(data) + 1)]


def texts():
    for name, good in GOOD_TEXTS.items():
        data = good.encode()
        yield Case(f"{name} is text", "5.6", [frame(TEXT, data), text(data)])
        yield Case(f"{name}, cut everywhere", "8.1", [step for first, second in cuts(data) for step in (fragments(TEXT, first, second), text(data))])
        yield Case(f"{name}, each byte in a fragment", "8.1", [fragments(TEXT, *[data[i:i + 1] for i in range(len(data))]), text(data)])
    for name, bad in BAD_TEXTS.items():
        yield Case(f"{name} is no text", "8.1", [frame(TEXT, bad), BAD_DATA])
        yield Case(f"{name} behind much text", "8.1", [frame(TEXT, payload(5000) + bad), BAD_DATA])
        yield Case(f"{name} in a later fragment", "8.1", [fragments(TEXT, b"fine ", "é".encode(), bad), BAD_DATA])
        yield Case(f"{name}, each byte in a fragment", "8.1", [fragments(TEXT, b"fine", *[bad[i:i + 1] for i in range(len(bad))]), BAD_DATA])
        yield Case(f"{name} as bytes", "5.6", [frame(BINARY, bad), binary(bad)])
    yield from hasty()


def hasty():
    """The first byte that no other could mend ends it: nobody waits for the rest of the message, or of the frame."""
    for name in ("FF", "overlong by two", "overlong by three", "a high surrogate", "beyond the last character", "a lone continuation byte"):
        bad = BAD_TEXTS[name]
        worst = bad[:1] if name in ("FF", "overlong by two", "a lone continuation byte") else bad[:2]
        yield Case(f"{name} fails before the message is over", "8.1", [frame(TEXT, b"fine " + worst, fin=False), BAD_DATA])
        yield Case(f"{name} fails before the frame is over", "8.1", [frame(TEXT, b"fine " + worst + payload(500))[:8 + 5 + len(worst)], BAD_DATA])
    yield Case("half a character, then none of its other half", "8.1", [frame(TEXT, b"\xe2\x82", fin=False), frame(PING), pong(b""), frame(CONTINUATION, b"a", fin=False), BAD_DATA])
    yield Case("half a character at the end", "8.1", [fragments(TEXT, b"\xe2", b"\x82"), BAD_DATA])
    yield Case("half a character, then an empty end", "8.1", [fragments(TEXT, b"\xe2\x82", b""), BAD_DATA])
    yield Case("half a character does not count for the next text", "8.1", [fragments(BINARY, b"\xe2\x82", b""), binary(b"\xe2\x82"), frame(TEXT, b"\xac"), BAD_DATA])


# --- RFC 7692 ---

HELLO = b"\xf2\x48\xcd\xc9\xc9\x07\x00"  # 7.2.3.1


def deflated():
    yield Case("Hello", "7692 7.2.3.1", [frame(TEXT, HELLO, rsv=RSV1), text("Hello")], offer=DEFLATE)
    yield Case("Hello in two fragments", "7692 7.2.3.1", [fragments(TEXT, HELLO[:3], HELLO[3:], rsv=RSV1), text("Hello")], offer=DEFLATE)
    yield Case("Hello, each byte in a fragment", "7692 7.2.3.1", [fragments(TEXT, *[HELLO[i:i + 1] for i in range(7)], rsv=RSV1), text("Hello")], offer=DEFLATE)
    yield Case("Hello between empty fragments", "7692 7.2.1", [fragments(TEXT, b"", HELLO[:3], b"", HELLO[3:], b"", rsv=RSV1), text("Hello")], offer=DEFLATE)
    yield Case("Hello in a block that is not compressed", "7692 7.2.3.3", [frame(TEXT, b"\x00\x05\x00\xfa\xffHello\x00", rsv=RSV1), text("Hello")], offer=DEFLATE)
    yield Case("Hello in a final block", "7692 7.2.3.4", [frame(TEXT, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", rsv=RSV1), text("Hello")] * 2, offer=DEFLATE)
    yield Case("Hello in two blocks", "7692 7.2.3.5", [frame(TEXT, b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", rsv=RSV1), text("Hello")], offer=DEFLATE)
    yield Case("Hello with the octets that should be cut off", "7692 7.2.1", [frame(TEXT, HELLO + b"\0\0\xff\xff\0", rsv=RSV1), text("Hello")] * 2, offer=DEFLATE)
    yield Case("an empty message, compressed", "7692 7.2.3.6", [frame(TEXT, b"\0", rsv=RSV1), EMPTY, frame(BINARY, b"\0", rsv=RSV1), EMPTY], offer=DEFLATE)
    yield Case("an empty message in a stored block", "7692 7.2.3.6", [frame(TEXT, b"\x02\0", rsv=RSV1), EMPTY], offer=DEFLATE)
    yield Case("a message that is not compressed", "7692 6.1", [frame(TEXT, b"Hello"), text("Hello"), fragments(BINARY, b"a", b"b"), binary(b"ab")], offer=DEFLATE)
    yield Case("by turns", "7692 6.1", [step for i in range(10) for step in
                                        ([frame(TEXT, packed("turn %d" % i), rsv=RSV1)] if i % 2 else [frame(TEXT, "turn %d" % i)]) + [text("turn %d" % i)]], offer=DEFLATE)
    yield Case("control frames between compressed fragments", "7692 6.1",
               [frame(TEXT, HELLO[:2], fin=False, rsv=RSV1), frame(PING, b"p"), pong(b"p"), frame(CONTINUATION, HELLO[2:4], fin=False), frame(PONG), frame(CONTINUATION, HELLO[4:]),
                text("Hello")], offer=DEFLATE)
    for size in (1, 127, 128, 129, 65535, 65536, 300000, LIMIT):
        yield Case(f"{size} bytes, compressed", "7692 7.2", [frame(BINARY, packed(payload(size)), rsv=RSV1), binary(payload(size))], offer=DEFLATE)
    yield Case("what is worth it comes back compressed", "7692 7.2.1", [frame(TEXT, packed("a" * 5000), rsv=RSV1), text("a" * 5000, packed=True)] * 3, offer=DEFLATE)
    yield Case("nothing is compressed unless agreed", "7692 6", [frame(TEXT, "a" * 5000), text("a" * 5000, packed=False)])
    yield Case("nothing is compressed where it is off", "7692 6", [frame(TEXT, "a" * 5000), text("a" * 5000, packed=False)], "/off", DEFLATE)


def deflate_errors():
    yield Case("RSV1 where it was not agreed", "5.2", [frame(TEXT, HELLO, rsv=RSV1), PROTOCOL])
    yield Case("RSV1 where it is off", "5.2", [frame(TEXT, HELLO, rsv=RSV1), PROTOCOL], "/off", DEFLATE)
    for opcode in (CLOSE, PING, PONG):
        yield Case(f"RSV1 on {NAMES[opcode]}", "7692 6", [frame(opcode, rsv=RSV1), PROTOCOL], offer=DEFLATE)
    yield Case("RSV1 on a continuation", "7692 6.2", [frame(TEXT, HELLO[:3], fin=False, rsv=RSV1) + frame(CONTINUATION, HELLO[3:], rsv=RSV1), PROTOCOL], offer=DEFLATE)
    yield Case("RSV1 on a continuation only", "7692 6.2", [frame(TEXT, b"a", fin=False) + frame(CONTINUATION, HELLO, rsv=RSV1), PROTOCOL], offer=DEFLATE)
    for rsv in (RSV2, RSV3, RSV1 | RSV2, RSV1 | RSV3):
        yield Case(f"reserved bits {rsv} beside compression", "5.2", [frame(TEXT, HELLO, rsv=rsv), PROTOCOL], offer=DEFLATE)
    undone = closed(1007, 1002)
    yield Case("a block of a kind that does not exist", "7692 7.2.2", [frame(BINARY, b"\x07\xff\xff", rsv=RSV1), undone], offer=DEFLATE)
    yield Case("a stored block whose length is wrong", "7692 7.2.2", [frame(BINARY, b"\x00\x05\x00\xfa\xfeHello\x00", rsv=RSV1), undone], offer=DEFLATE)
    yield Case("a distance before the beginning", "7692 7.2.2", [frame(BINARY, b"\xf2\x00\x11\x00\x00", rsv=RSV1), undone], offer=DEFLATE)
    yield Case("a stored block that is cut off", "7692 7.2.2", [frame(BINARY, b"\x00\x0a\x00\xf5\xffH", rsv=RSV1), undone], offer=DEFLATE)
    yield Case("a block that is cut off", "7692 7.2.2", [frame(BINARY, HELLO[:4], rsv=RSV1), undone], offer=DEFLATE)
    yield Case("nothing, as if it were compressed", "7692 7.2.3.6", [frame(BINARY, b"", rsv=RSV1), EMPTY, frame(TEXT, HELLO, rsv=RSV1), text("Hello")], "/kept", DEFLATE)
    yield Case("garbage", "7692 7.2.2", [frame(BINARY, b"\xff" * 100, rsv=RSV1), undone], offer=DEFLATE)
    yield Case("an error ends it before the message is over", "7692 7.2.2", [frame(BINARY, b"\xff" * 100, rsv=RSV1, fin=False), undone], offer=DEFLATE)
    for name, bad in BAD_TEXTS.items():
        yield Case(f"{name}, compressed", "8.1", [frame(TEXT, packed(b"fine " + bad), rsv=RSV1), BAD_DATA], offer=DEFLATE)
    data = packed("aé€\U0001f600" * 50)
    yield Case("characters that fragments cut while compressed", "8.1", [fragments(TEXT, *[data[i:i + 1] for i in range(len(data))], rsv=RSV1), text("aé€\U0001f600" * 50)], offer=DEFLATE)
    yield Case("text that is bad once decompressed fails before it is over", "8.1", [frame(TEXT, packed(b"fine \xff") + b"\0\0\xff\xff", rsv=RSV1, fin=False), BAD_DATA], offer=DEFLATE)


def bombs():
    yield Case("a message that grows beyond the limit", "10.4", [frame(BINARY, packed(bytes(LIMIT + 1)), rsv=RSV1), TOO_BIG], offer=DEFLATE)
    yield Case("one that just does not", "10.4", [frame(BINARY, packed(b"a" * LIMIT), rsv=RSV1), binary(b"a" * LIMIT)], offer=DEFLATE)
    yield Case("one that grows within a small limit", "10.4", [frame(TEXT, packed("a" * SMALL_MESSAGE), rsv=RSV1), text("a" * SMALL_MESSAGE)], "/small", DEFLATE)
    yield Case("one that grows beyond a small limit", "10.4", [frame(TEXT, packed("a" * (SMALL_MESSAGE + 1)), rsv=RSV1), TOO_BIG], "/small", DEFLATE)
    yield Case("beyond the limit before it is over", "10.4", [frame(BINARY, packed(bytes(2 * LIMIT)), rsv=RSV1, fin=False), TOO_BIG], offer=DEFLATE)
    yield Case("beyond the limit by many fragments", "10.4", [fragments(TEXT, *[packed("a" * 100) + b"\0\0\xff\xff"] * 11, rsv=RSV1), TOO_BIG], "/small", DEFLATE)
    yield Case("a bomb of 256 MiB", "10.4", [frame(BINARY, packed(bytes(256 << 20)), rsv=RSV1), TOO_BIG], offer=DEFLATE, path="/large")
    yield Case("empty blocks without end", "10.4", [frame(BINARY, b"\0\0\0\xff\xff" * 20000 + b"\0", rsv=RSV1), EMPTY], offer=DEFLATE)


def takeover():
    """7.2.3.2: the second Hello is no more than a reference to the first."""
    again = b"\xf2\x00\x11\x00\x00"
    twice = [frame(TEXT, HELLO, rsv=RSV1), text("Hello"), frame(TEXT, again, rsv=RSV1), text("Hello")]
    lost = twice[:3] + [closed(1007, 1002)]
    yield Case("a window that is kept", "7692 7.2.3.2", twice, "/kept", DEFLATE)
    yield Case("a window that is kept over other messages", "7692 7.2.3.2", twice[:2] + [frame(TEXT, b"plain"), text("plain"), frame(PING), pong(b"")] + twice[2:], "/kept", DEFLATE)
    yield Case("a window that the client gave up", "7692 7.1.1.2", lost, "/kept", DEFLATE + "; client_no_context_takeover")
    yield Case("the server's window does not count for the client's", "7692 7.1.1.1", twice, "/kept", DEFLATE + "; server_no_context_takeover")
    yield Case("a window that was not agreed to be kept", "7692 7.1.1.2", lost, "/echo", DEFLATE)
    yield Case("a final block does not empty the window", "7692 7.2.3.4", [frame(TEXT, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", rsv=RSV1), text("Hello"), frame(TEXT, again, rsv=RSV1), text("Hello")],
               "/kept", DEFLATE)
    yield Case("an empty message does not empty the window", "7692 7.2.3.6", twice[:2] + [frame(TEXT, b"\0", rsv=RSV1), EMPTY] + twice[2:], "/kept", DEFLATE)
    for path in ("/kept", "/echo"):
        for offer in (DEFLATE, DEFLATE + "; server_no_context_takeover", DEFLATE + "; client_no_context_takeover"):
            yield Case(f"twenty messages on {path} with {offer[len(DEFLATE):]}", "7692 7.1.1", conversation(path, offer), path, offer)


def conversation(path, offer, bits=15):
    """Messages that are like each other, so that a window that one side keeps and the other does not is noticed."""
    pack = Packer(takeover=path == "/kept" and "client_no_context_takeover" not in offer, bits=bits)
    script = []
    for i in range(20):
        data = payload(3000 + i) + b"%d" % i + payload(2000)
        script += [frame(TEXT, pack(data), rsv=RSV1), text(data, packed=True)]
    return script


def windows():
    for bits in range(9, 16):
        for path in ("/kept", "/echo"):
            offer = f"{DEFLATE}; server_max_window_bits={bits}"
            yield Case(f"a server's window of {bits} bits on {path}", "7692 7.1.2.1", conversation(path, offer), path, offer)
            offer = f"{DEFLATE}; client_max_window_bits={bits}"
            yield Case(f"a client's window of {bits} bits on {path}", "7692 7.1.2.2", conversation(path, offer, bits), path, offer)


CHAPTERS = {"lengths": lengths, "limits": limits, "bits and opcodes": bits_and_opcodes, "masking": masking, "fragmentation": fragmentation, "control frames": control_frames,
            "pings": pings, "closes": closes, "texts": texts, "deflate": deflated, "deflate errors": deflate_errors, "bombs": bombs, "takeover": takeover, "windows": windows}
