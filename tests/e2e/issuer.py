"""An issuer of tokens on loopback that can be stopped, moved to other keys, and made to misbehave; keys and signatures by openssl."""
import base64
import http.server
import json
import socketserver
import ssl
import subprocess
import threading
import time


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*words, stdin=None):
    return subprocess.run(["openssl", *map(str, words)], input=stdin, capture_output=True, check=True).stdout


class Key:
    """An RSA key with a name."""

    def __init__(self, folder, kid):
        self.kid, self.file = kid, folder / f"{kid}.pem"
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.file)
        modulus = openssl("rsa", "-in", self.file, "-noout", "-modulus").decode().strip().split("=")[1]
        self.jwk = {"kty": "RSA", "kid": kid, "use": "sig", "e": "AQAB", "n": b64url(bytes.fromhex(modulus))}

    def token(self, issuer, kid=None, **claims):
        header = {"alg": "RS256", "typ": "JWT", "kid": kid or self.kid}
        body = {"iss": issuer, "sub": "alice", "exp": int(time.time()) + 600, **claims}
        text = ".".join(b64url(json.dumps(part).encode()) for part in (header, body))
        return text + "." + b64url(openssl("dgst", "-sha256", "-sign", self.file, stdin=text.encode()))


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        """Clients that leave are what some tests are about."""


class Issuer:
    """`answer` decides what /keys says; `gate` holds it back while it is not set; `hits` counts by path."""

    def __init__(self, *keys, tls=None):
        self.keys, self.tls = list(keys), tls
        self.answer = self.good
        self.metadata = None  # instead of the true one
        self.gate = threading.Event()
        self.gate.set()
        self.hits = {}
        self.lock = threading.Lock()
        self.server = None
        self.port = 0

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.gate.set()
        self.stop()

    def start(self):
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.on_get(self)

            def log_message(self, *args):
                pass

        self.server = Server(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_address[1]
        if self.tls:
            self.server.socket = self.tls.wrap_socket(self.server.socket, server_side=True)
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def count(self, path):
        return self.hits.get(path, 0)

    def on_get(self, request):
        with self.lock:
            self.hits[request.path] = self.hits.get(request.path, 0) + 1
        if request.path == "/.well-known/openid-configuration":
            self.send(request, 200, self.metadata or {"issuer": self.url, "jwks_uri": self.url + "/keys"})
        elif request.path == "/keys":
            self.gate.wait(30)
            self.answer(request)
        elif request.path == "/elsewhere":
            self.good(request)
        else:
            self.send(request, 404, {})

    def send(self, request, status, body, **fields):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request.send_response(status)
        for name, value in fields.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    # --- answers ---
    def good(self, request):
        self.send(request, 200, {"keys": [k.jwk for k in self.keys]})

    def redirecting(self, request):
        self.send(request, 302, b"", Location=self.url + "/elsewhere")

    def oversized(self, request):
        self.send(request, 200, {"keys": [k.jwk for k in self.keys], "padding": "x" * 300_000})

    def endless(self, request):
        request.send_response(200)
        request.end_headers()
        for _ in range(1000):
            request.wfile.write(b'{"keys":[' + b" " * 65536)

    def too_many(self, request):
        self.send(request, 200, {"keys": [k.jwk for k in self.keys] * 200})

    def failing(self, request):
        self.send(request, 500, b"")

    def missing(self, request):
        self.send(request, 404, {"keys": [k.jwk for k in self.keys]})

    def page(self, request):
        self.send(request, 200, b"<!doctype html><title>Sign in</title>")

    def empty(self, request):
        self.send(request, 200, {"keys": []})

    def cut(self, request):
        request.send_response(200)
        request.send_header("Content-Length", "5000")
        request.end_headers()
        request.wfile.write(b'{"keys":[')


def tls_context(folder):
    """A certificate for 127.0.0.1 that signs itself; the context and the certificate's file."""
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=issuer",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "tls.key", "-out", folder / "tls.crt")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    return context, folder / "tls.crt"
