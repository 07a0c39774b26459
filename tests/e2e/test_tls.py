"""https listeners as curl, openssl and Python's ssl meet them; PROXY headers; redirects; certificates that change."""
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import threading

import pytest
from execgate import EXAMPLES, ROOT, Gateway, read_all, run_cli, wait_for

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def openssl(*words, **kw):
    return subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, **kw).stdout


def certify(folder, name, hosts, issuer=None, subject=None):
    """NAME.pem and NAME.key; signed by itself or by another of these."""
    extensions = folder / f"{name}.ext"
    extensions.write_text("subjectAltName=" + ",".join(f"DNS:{h}" for h in hosts) if hosts else "basicConstraints=CA:TRUE")
    subject = subject or f"/O=Shop/CN={name}"
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / f"{name}.key",
            "-out", folder / f"{name}.csr", "-subj", subject)
    signer = ["-CA", folder / f"{issuer}.pem", "-CAkey", folder / f"{issuer}.key", "-CAcreateserial"] if issuer else \
        ["-signkey", folder / f"{name}.key"]
    openssl("x509", "-req", "-in", folder / f"{name}.csr", "-days", "30", "-extfile", extensions, "-out",
            folder / f"{name}.pem", *signer)
    (folder / f"{name}.key").chmod(0o600)


@pytest.fixture
def pki(tmp_path):
    certify(tmp_path, "authority", [])
    certify(tmp_path, "shop", ["localhost", "shop.test"], "authority")
    certify(tmp_path, "wild", ["*.wild.test"], "authority")
    certify(tmp_path, "alice", ["alice.test"], "authority", subject="/O=Shop, Ltd./CN=alice")
    return tmp_path


HANDLERS = f"""
handlers:
  echo:
    command: {EXAMPLES}/echo
    processes: {{min: 1, max: 2}}
    triggers:
      - http: ANY /{{all+}}
"""
HTTPS = """
blueprint: 1
name: tls
listen:
  - https: 127.0.0.1:0
    certificates:
      - {certificate: shop.pem, key: shop.key}
      - {certificate: wild.pem, key: wild.key}
""" + HANDLERS


@contextlib.contextmanager
def serving(folder, blueprint):
    g = Gateway(folder, blueprint)
    g.start(listen=None)
    with contextlib.ExitStack() as stack:
        stack.push(g.__exit__)
        g.ports = [int(a.rsplit(":", 1)[1]) for a in g.addresses if not a.startswith("unix:")]
        yield g


def trusting(folder, **kw):
    context = ssl.create_default_context(cafile=str(folder / "authority.pem"))
    for name, value in kw.items():
        setattr(context, name, value)
    return context


def connect(folder, port, host="localhost", context=None):
    raw = socket.create_connection(("127.0.0.1", port), 20)
    return (context or trusting(folder)).wrap_socket(raw, server_hostname=host)


def get(s, path="/a", host="localhost"):
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    return read_all(s)


def curl(port, *words, path="/a", host="localhost"):
    return subprocess.run(["curl", "-sS", "-i", "--max-time", "20", "--resolve", f"{host}:{port}:127.0.0.1", *map(str, words),
                           f"https://{host}:{port}{path}"], capture_output=True, text=True)


def test_curl_verifies_and_is_answered(pki):
    with serving(pki, HTTPS) as g:
        assert g.addresses[0].startswith("https://127.0.0.1:")
        (pki / "body").write_text("x" * 300000)
        out = curl(g.ports[0], "--cacert", pki / "authority.pem", "-d", f"@{pki}/body")
        assert out.stdout.startswith("HTTP/1.1 200"), out
        assert out.stdout.endswith("x" * 1000)
        assert curl(g.ports[0]).returncode == 60  # the authority is not a public one
        assert curl(g.ports[0], "--cacert", pki / "authority.pem", host="a.wild.test").stdout.startswith("HTTP/1.1 200")
        assert curl(g.ports[0], "--cacert", pki / "authority.pem", host="a.b.wild.test").returncode == 60


def s_client(port, *words, stdin=b""):
    return subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *words], input=stdin, capture_output=True,
                          timeout=30).stdout.decode(errors="replace")


def test_openssl_sees_versions_protocols_and_names(pki):
    with serving(pki, HTTPS) as g:
        out = s_client(g.ports[0], "-tls1_3", "-alpn", "h2,http/1.1", "-servername", "x.wild.test")
        assert "TLSv1.3" in out and "ALPN protocol: http/1.1" in out and "CN = wild" in out
        out = s_client(g.ports[0], "-tls1_2", "-noservername")
        assert re.search(r"Cipher is ECDHE-ECDSA-\S*(GCM|CHACHA20)", out) and "CN = shop" in out
        assert "Compression: NONE" in out and "Secure Renegotiation IS supported" in out
        assert "Cipher is (NONE)" in s_client(g.ports[0], "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
        assert "Cipher is (NONE)" in s_client(g.ports[0], "-alpn", "h2")
        assert "Cipher is (NONE)" in s_client(g.ports[0], "-tls1_2", "-cipher", "AES128-SHA:AES128-GCM-SHA256")


def test_plain_http_is_told_so(pki):
    with serving(pki, HTTPS) as g:
        with socket.create_connection(("127.0.0.1", g.ports[0]), 20) as s:
            assert get(s).startswith(b"HTTP/1.1 400 ")
        g.wait_log("TLS handshake failed", reason="the client speaks plain HTTP")


CLIENTS = """
blueprint: 1
name: clients
listen:
  - https: 127.0.0.1:0
    certificate: shop.pem
    key: shop.key
    minVersion: 1.3
    clientCertificates: {authority: authority.pem, mode: MODE}
""" + HANDLERS


def test_check_looks_into_the_files(pki):
    openssl("pkey", "-in", pki / "shop.key", "-aes256", "-passout", "pass:secret", "-out", pki / "sealed.key")
    (pki / "cut.pem").write_text((pki / "shop.pem").read_text()[:200])
    rows = [("certificate: shop.pem, key: wild.key", "is not that of the certificate"), ("certificate: shop.pem", "no such PEM block"),
            ("certificate: shop.key", "no such PEM block"), ("certificate: cut.pem, key: shop.key", "cut short"),
            ("certificate: shop.pem, key: sealed.key", "pass phrase"),
            ("certificate: shop.pem, key: shop.key, clientCertificates: {authority: shop.key}", "the client certificates' authority")]
    for keys, why in rows:
        (pki / "a.yaml").write_text(f"blueprint: 1\nname: a\nlisten:\n  - {{https: ':0', {keys}}}\n" + HANDLERS)
        r = run_cli("check", "a.yaml", cwd=pki)
        assert r.returncode == 1 and "a.yaml:4:13: error: https: " in r.stderr and why in r.stderr, (keys, r.stderr)
        assert run_cli("check", "--no-files", "a.yaml", cwd=pki).returncode == 0
    (pki / "a.yaml").write_text("blueprint: 1\nname: a\nlisten: [{https: ':0', certificate: shop.pem, key: shop.key}]\n" + HANDLERS)
    assert run_cli("check", "a.yaml", cwd=pki).returncode == 0


def test_client_certificates(pki):
    certify(pki, "mallory", ["mallory.test"])
    trust = ["--cacert", pki / "authority.pem"]
    alice = ["--cert", pki / "alice.pem", "--key", pki / "alice.key"]
    mallory = ["--cert", pki / "mallory.pem", "--key", pki / "mallory.key"]
    for mode, without in (("optional", 0), ("required", 56)):
        with serving(pki, CLIENTS.replace("MODE", mode)) as g:
            assert curl(g.ports[0], *trust, *alice).stdout.startswith("HTTP/1.1 200")
            assert curl(g.ports[0], *trust).returncode == without
            assert curl(g.ports[0], *trust, *mallory).returncode != 0
            assert curl(g.ports[0], *trust, *alice, "--tls-max", "1.2").returncode != 0


def test_the_certificates_subject_reaches_every_kind_of_handler(pki):
    (pki / "cgi.sh").write_text("#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n%s %s' \"$SSL_CLIENT_S_DN\" \"$HTTPS\"\n")
    (pki / "cgi.sh").chmod(0o755)
    text = CLIENTS.replace("MODE", "optional").split("handlers:")[0] + f"""
handlers:
  lambda: {{command: {EXAMPLES}/lambda_echo, triggers: [{{http: GET /lambda}}]}}
  cgi: {{command: ./cgi.sh, mode: once, triggers: [{{http: GET /cgi}}]}}
  server: {{command: {ROOT}/tests/e2e/handlers/stream_server.py, mode: server, triggers: [{{http: GET /server/headers}}]}}
"""
    alice = ["--cacert", pki / "authority.pem", "--cert", pki / "alice.pem", "--key", pki / "alice.key"]
    with serving(pki, text) as g:
        def body(path, *words):
            return curl(g.ports[0], *words, path=path).stdout.split("\n\n")[-1]
        subject = json.loads(body("/lambda", *alice))["requestContext"]["authentication"]["clientCert"]["subjectDN"]
        assert "CN=alice" in subject and "O=Shop\\, Ltd." in subject
        assert body("/cgi", *alice) == f"{subject} on"
        seen = {k.lower(): v for k, v in json.loads(body("/server/headers", *alice))["headers"]}
        assert seen["execgate-client-certificate"] == subject and seen["x-forwarded-proto"] == "https"
        without = json.loads(body("/lambda", "--cacert", pki / "authority.pem", "-H", "Execgate-Client-Certificate: CN=forged"))
        assert "authentication" not in without["requestContext"] and "forged" not in json.dumps(without)


class Load(threading.Thread):
    """Requests one after the other, half of them on a connection that stays; counts answers, keeps what went wrong."""

    def __init__(self, folder, port):
        super().__init__(daemon=True)
        self.folder, self.port = folder, port
        self.answers, self.wrong, self.over = 0, [], threading.Event()

    def request(self, c):
        c.request("GET", "/a")
        r = c.getresponse()
        r.read()
        if r.status != 200:
            self.wrong.append(r.status)
        self.answers += 1

    def connection(self):
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=trusting(self.folder, check_hostname=False))

    def run(self):
        try:
            with contextlib.closing(self.connection()) as stays:
                while not self.over.is_set():
                    self.request(stays)
                    with contextlib.closing(self.connection()) as c:
                        self.request(c)
        except Exception as e:  # noqa: BLE001: whatever it was, the test must see it
            self.wrong.append(e)


def served_serial(folder, port):
    with connect(folder, port, context=trusting(folder, check_hostname=False)) as s:
        return s.getpeercert()["serialNumber"]


def replace(folder, target, source):
    for end in ("pem", "key"):
        os.replace(folder / f"{source}.{end}", folder / f"{target}.{end}")


def test_new_certificates_under_load_lose_nothing(pki):
    with serving(pki, HTTPS) as g:
        loads = [Load(pki, g.ports[0]) for _ in range(3)]
        for load in loads:
            load.start()
        old = served_serial(pki, g.ports[0])
        for i in range(2):
            certify(pki, "next", ["localhost"], "authority")
            replace(pki, "shop", "next")
            wait_for(lambda: len(g.logs("TLS files loaded anew")) == i + 1, what="the reload")
            new = served_serial(pki, g.ports[0])
            assert new != old
            old = new
        before = [load.answers for load in loads]
        wait_for(lambda: all(load.answers > n + 5 for load, n in zip(loads, before)), what="more answers")
        for load in loads:
            load.over.set()
        for load in loads:
            load.join(30)
            assert not load.wrong and load.answers > 20


def test_a_broken_file_changes_nothing(pki):
    with serving(pki, HTTPS) as g:
        old = served_serial(pki, g.ports[0])
        (pki / "shop.pem").write_text("nonsense")
        entry = g.wait_log("changed TLS files cannot be used", level="error")
        assert "shop.pem" in entry["error"]
        assert served_serial(pki, g.ports[0]) == old


def test_bad_files_stop_the_start(pki):
    (pki / "shop.key").write_bytes((pki / "alice.key").read_bytes())
    (pki / "bad.yaml").write_text(HTTPS)
    out = run_cli("run", pki / "bad.yaml")
    assert out.returncode != 0
    assert "is not that of the certificate" in out.stderr and "shop.key" in out.stderr


def test_slow_and_broken_handshakes_harm_nobody(pki):
    blueprint = HTTPS + "limits: {headerTimeout: 1s}\n"
    with serving(pki, blueprint) as g, contextlib.ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", g.ports[0]), 20)) for _ in range(20)]
        for i, s in enumerate(slow):
            s.sendall(b"\x16\x03\x01\x02\x00\x01\x00"[:i % 8])
        with connect(pki, g.ports[0]) as s:
            assert get(s).startswith(b"HTTP/1.1 200")
        for s in slow:
            with contextlib.suppress(ConnectionResetError):
                assert s.recv(10) == b""


def test_a_drain_finishes_what_is_in_flight(pki):
    blueprint = HTTPS.replace(f"{EXAMPLES}/echo", f"{EXAMPLES}/slow")
    with serving(pki, blueprint) as g:
        with connect(pki, g.ports[0]) as s, connect(pki, g.ports[0]) as idle:
            s.sendall(b"GET /slow?steps=3&ms=200 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            data = s.recv(100000)
            g.process.send_signal(signal.SIGTERM)
            assert read_all(idle) == b""
            data += read_all(s)
            assert data.startswith(b"HTTP/1.1 200") and data.endswith(b"0\r\n\r\n") and b"step 3 of 3" in data
        assert g.process.wait(20) == 0


PROXIED = """
blueprint: 1
name: proxied
trustedProxies: TRUSTED
listen:
  - http: 127.0.0.1:0
    proxyProtocol: true
  - https: 127.0.0.1:0
    certificate: shop.pem
    key: shop.key
    proxyProtocol: true
""" + HANDLERS


def proxy_headers():
    yield b"PROXY TCP4 192.0.2.7 198.51.100.2 56324 443\r\n", "192.0.2.7"
    v4 = socket.inet_aton("192.0.2.8") + socket.inet_aton("198.51.100.2") + struct.pack("!HH", 56324, 443)
    yield SIGNATURE + b"\x21\x11" + struct.pack("!H", len(v4)) + v4, "192.0.2.8"
    v6 = socket.inet_pton(socket.AF_INET6, "2001:db8::9") * 2 + struct.pack("!HH", 56324, 443) + b"\x04\x00\x01x"
    yield SIGNATURE + b"\x21\x21" + struct.pack("!H", len(v6)) + v6, "2001:db8::9"
    yield SIGNATURE + b"\x20\x00\x00\x00", "127.0.0.1"


def test_proxy_headers_name_the_client(pki):
    with serving(pki, PROXIED.replace("TRUSTED", "[127.0.0.0/8]")) as g:
        for header, address in proxy_headers():
            with socket.create_connection(("127.0.0.1", g.ports[0]), 20) as s:
                s.sendall(header)
                assert get(s, f"/plain/{address}").startswith(b"HTTP/1.1 200")
            assert g.wait_log(path=f"/plain/{address}")["client"] == address
            raw = socket.create_connection(("127.0.0.1", g.ports[1]), 20)
            raw.sendall(header)
            with trusting(pki).wrap_socket(raw, server_hostname="localhost") as s:
                assert get(s, f"/tls/{address}").startswith(b"HTTP/1.1 200")
            assert g.wait_log(path=f"/tls/{address}")["client"] == address


def test_curl_speaks_it_too(pki):
    with serving(pki, PROXIED.replace("TRUSTED", "[127.0.0.1]")) as g:
        out = curl(g.ports[1], "--cacert", pki / "authority.pem", "--haproxy-protocol", path="/curl")
        assert out.stdout.startswith("HTTP/1.1 200"), out
        assert g.wait_log(path="/curl")["client"] == "127.0.0.1"


def test_proxy_headers_of_strangers_are_refused(pki):
    with serving(pki, PROXIED.replace("TRUSTED", "[10.0.0.0/8]")) as g:
        with socket.create_connection(("127.0.0.1", g.ports[0]), 20) as s, contextlib.suppress(BrokenPipeError):
            s.sendall(b"PROXY TCP4 192.0.2.7 198.51.100.2 56324 443\r\n")
            assert get(s) == b""
        g.wait_log("connection refused: PROXY header", peer="127.0.0.1")
    (pki / "nobody.yaml").write_text(PROXIED.replace("trustedProxies: TRUSTED\n", ""))
    checked = run_cli("check", pki / "nobody.yaml")
    assert checked.returncode == 1 and checked.stderr.count("name the proxies in `trustedProxies:`") == 2, checked


REDIRECTING = """
blueprint: 1
name: redirecting
listen:
  - http: 127.0.0.1:0
    redirect: https
  - https: 127.0.0.1:0
    certificate: shop.pem
    key: shop.key
""" + HANDLERS


def test_a_listener_redirects(pki):
    with serving(pki, REDIRECTING) as g:
        out = subprocess.run(["curl", "-sS", "-i", "-L", "--max-time", "20", "--cacert", str(pki / "authority.pem"), "-d", "kept",
                              f"http://localhost:{g.ports[0]}/a?b=c"], capture_output=True, text=True)
        first, second = out.stdout.split("\n\n", 1) if "\n\n" in out.stdout else out.stdout.split("\r\n\r\n", 1)
        assert first.startswith("HTTP/1.1 308") and f"ocation: https://localhost:{g.ports[1]}/a?b=c" in first
        assert "HTTP/1.1 200" in second and second.endswith("kept")
        entry = g.wait_log(status=308)
        assert entry["path"] == "/a"


def test_the_scheme_reaches_the_handler(pki):
    folder = pki
    handler = folder / "scheme.sh"
    handler.write_text('#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n%s" "$REQUEST_SCHEME"\n')
    handler.chmod(0o755)
    blueprint = REDIRECTING.replace("    redirect: https\n", "").replace(f"command: {EXAMPLES}/echo", f"command: {handler}\n    mode: once")
    with serving(folder, blueprint.replace("    processes: {min: 1, max: 2}\n", "")) as g:
        with connect(folder, g.ports[1]) as s:
            assert b"\r\nhttps\r\n" in get(s)
        with socket.create_connection(("127.0.0.1", g.ports[0]), 20) as s:
            assert b"\r\nhttp\r\n" in get(s)
        assert json.dumps(g.addresses).count("https://") == 1
