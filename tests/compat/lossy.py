#!/usr/bin/env python3
"""Starts a handler behind a connection that is lost once: lossy.py COMMAND...

The runtime API is reached through this process, which drops the connection in place of the first answer that holds LOST."""
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading

LOST = b"please lose me"


def forward(source, target, lose):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            if lose(data):
                break
            target.sendall(data)
    for s in (source, target):
        with contextlib.suppress(OSError):
            s.shutdown(socket.SHUT_RDWR)


def serve(listener, upstream):
    lost = threading.Event()

    def lose(data):
        if LOST not in data or lost.is_set():
            return False
        lost.set()
        return True

    while True:
        client, _ = listener.accept()
        server = socket.create_connection(upstream)
        for s in (client, server):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=forward, args=(client, server, lambda data: False), daemon=True).start()
        threading.Thread(target=forward, args=(server, client, lose), daemon=True).start()


def main():
    host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener, (host, int(port))), daemon=True).start()
    environment = {**os.environ, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{listener.getsockname()[1]}"}
    with subprocess.Popen(sys.argv[1:], env=environment) as child:
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        sys.exit(child.wait() and 1)


if __name__ == "__main__":
    main()
