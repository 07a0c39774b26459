"""Real clients on an echoing path: Debian's python3-websockets in each of its ways of compression, many at once."""
import asyncio
import contextlib
import random
import ssl

import pytest
import websockets
from execgate import EXAMPLES, SLOW, Gateway
from test_tls import certify
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory as Deflate

BLUEPRINT = f"""
    blueprint: 1
    name: clients
    listen:
      - http: 127.0.0.1:0
      - https: 127.0.0.1:0
        certificates: [{{certificate: shop.pem, key: shop.key}}]
    handlers:
      echo:
        command: {EXAMPLES}/echo
        timeout: 60s
        processes: {{min: 1, max: 2, concurrency: 8}}
        triggers:
          - {{websocket: /echo, reply: true}}
          - {{websocket: /kept, reply: true}}
    websockets:
      paths:
        /echo: {{maxMessage: 1MiB, pingInterval: 1h}}
        /kept: {{maxMessage: 1MiB, pingInterval: 1h, deflate: connection}}
"""
SECONDS = 120 * SLOW


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("websocket-clients")
    certify(folder, "authority", [])
    certify(folder, "shop", ["shop.test"], "authority")
    g = Gateway(folder, BLUEPRINT)
    g.start(listen=None)
    with contextlib.ExitStack() as stack:
        stack.push(g.__exit__)
        ports = [int(a.rsplit(":", 1)[1]) for a in g.addresses]
        trust = ssl.create_default_context(cafile=str(folder / "authority.pem"))
        g.ways = {"ws": (f"ws://127.0.0.1:{ports[0]}", {}), "wss": (f"wss://127.0.0.1:{ports[1]}", {"ssl": trust, "server_hostname": "shop.test"})}
        yield g


def connect(gateway, scheme, path, extension):
    url, more = gateway.ways[scheme]
    return websockets.connect(url + path, compression=None, extensions=[extension] if extension else None, open_timeout=SECONDS, close_timeout=SECONDS,
                              ping_interval=None, max_size=2 << 20, **more)


def messages(seed, count):
    """Text and bytes of all sizes, some that compress well and some that do not."""
    dice = random.Random(seed)
    for _ in range(count):
        size = dice.choice([1, 10, 125, 126, 127, 128, 1000, 5000, 65535, 65536, 100000])
        if dice.random() < 0.5:
            yield "".join(dice.choices("aé€\U0001f600 word", k=size // 4 + 1))
        else:
            yield dice.randbytes(size) if dice.random() < 0.5 else bytes(size)


EXTENSIONS = {
    "none": None, "plain": Deflate(), "bits": Deflate(client_max_window_bits=True), "small": Deflate(server_max_window_bits=9, client_max_window_bits=9),
    "fresh": Deflate(server_no_context_takeover=True, client_no_context_takeover=True), "server fresh": Deflate(server_no_context_takeover=True),
}


async def converse(gateway, scheme, path, extension, seed, count=40):
    async with connect(gateway, scheme, path, extension) as ws:
        assert bool(ws.extensions) == (extension is not None)
        waiting = await ws.ping(b"are you there")
        for message in messages(seed, count):
            await ws.send(message)
            got = await asyncio.wait_for(ws.recv(), SECONDS)
            assert got == message, f"{len(message)} of {type(message)} came back as {len(got)} of {type(got)}"
        await ws.send(["in ", "frag", "ments"])
        assert await asyncio.wait_for(ws.recv(), SECONDS) == "in fragments"
        await asyncio.wait_for(waiting, SECONDS)
        await ws.close(4001, "done")
    assert ws.close_code == 4001


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize("path", ["/echo", "/kept"])
@pytest.mark.parametrize("extension", EXTENSIONS.values(), ids=EXTENSIONS)
def test_everything_comes_back(gateway, scheme, path, extension):
    asyncio.run(converse(gateway, scheme, path, extension, f"{scheme} {path}"))


def test_many_at_once(gateway):
    """Nobody's messages are mixed up with those of others."""
    async def all_of_them():
        ways = [(scheme, path, extension) for scheme in gateway.ways for path in ("/echo", "/kept") for extension in EXTENSIONS.values()]
        await asyncio.gather(*(converse(gateway, *way, seed=i, count=20) for i, way in enumerate(ways)))
    asyncio.run(all_of_them())


def test_what_is_sent_ahead_comes_back_in_order(gateway):
    async def talk():
        async with connect(gateway, "ws", "/echo", Deflate()) as ws:
            async def say():
                for i in range(500):
                    await ws.send(f"{i}")
            saying = asyncio.create_task(say())
            got = [await asyncio.wait_for(ws.recv(), SECONDS) for _ in range(500)]
            await saying
        assert got == [f"{i}" for i in range(500)]
    asyncio.run(talk())
