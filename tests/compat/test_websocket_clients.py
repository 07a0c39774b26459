"""WebSocket clients of package registries against an echoing path, plain and over TLS, with and without compression."""
import contextlib
import json
import os
import shutil
import subprocess

import pytest
from conftest import BUILT, manifest
from execgate import EXAMPLES, SLOW, Gateway
from test_tls import certify

BLUEPRINT = f"""
    blueprint: 1
    name: clients
    listen:
      - http: 127.0.0.1:0
      - https: 127.0.0.1:0
        certificates: [{{certificate: localhost.pem, key: localhost.key}}]
    handlers:
      echo:
        command: {EXAMPLES}/echo
        timeout: 60s
        processes: {{min: 1, max: 1}}
        triggers:
          - {{websocket: /echo, reply: true}}
          - {{websocket: /kept, reply: true}}
          - {{websocket: /off, reply: true}}
    websockets:
      paths:
        /echo: {{maxMessage: 1MiB, origins: any}}
        /kept: {{maxMessage: 1MiB, origins: any, deflate: connection}}
        /off: {{maxMessage: 1MiB, origins: any, deflate: off}}
"""


def node(*words):
    return [shutil.which("node"), BUILT / "websocket-node/client.mjs", *words]


def go(package):
    return lambda url: [BUILT / "websocket-go", package, url]


# name, what builds it, the command for a URL, whether it offers compression, what it can tell beside the echoes
CLIENTS = [
    ("ws", "websocket-node", node, False, {"pong": "are you there", "code": 4001, "fragments": "in fragments"}),
    ("ws with deflate", "websocket-node", lambda url: node(url, "deflate"), True, {"pong": "are you there", "code": 4001, "fragments": "in fragments"}),
    ("gorilla", "websocket-go", go("gorilla"), False, {"pong": "are you there", "code": 4001}),
    ("gorilla with deflate", "websocket-go", go("gorilla-deflate"), True, {"pong": "are you there", "code": 4001}),
    ("golang.org/x/net", "websocket-go", go("x-net"), False, {}),
]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("websocket-clients")
    certify(folder, "authority", [])
    certify(folder, "localhost", ["localhost"], "authority")
    g = Gateway(folder, BLUEPRINT)
    g.start(listen=None)
    with contextlib.ExitStack() as stack:
        stack.push(g.__exit__)
        ports = [int(a.rsplit(":", 1)[1]) for a in g.addresses]
        g.urls = {"ws": f"ws://127.0.0.1:{ports[0]}", "wss": f"wss://localhost:{ports[1]}"}
        yield g


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize("path", ["/echo", "/kept", "/off"])
@pytest.mark.parametrize("name, group, command, offers, told", CLIENTS, ids=[c[0].replace(" ", "-") for c in CLIENTS])
def test_everything_comes_back(gateway, name, group, command, offers, told, path, scheme):
    left_out = manifest()[group].get("left_out")
    if left_out:
        pytest.skip(f"LEFT OUT: {name}: {left_out}")
    trust = {"SSL_CERT_FILE": gateway.folder / "authority.pem", "NODE_EXTRA_CA_CERTS": gateway.folder / "authority.pem"}
    words = [str(w) for w in command(gateway.urls[scheme] + path)]
    done = subprocess.run(words, env={**os.environ, **trust}, capture_output=True, text=True, timeout=150 * SLOW, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["echoed"] == 14
    assert report.get("extended", False) == (offers and path != "/off")
    assert {k: report[k] for k in told} == told
