#!/usr/bin/env python3
"""A CGI program (RFC 3875) that shows, as JSON, what a request looks like to a `mode: once` handler."""

import json
import os
import sys

SHOWN = ("REQUEST_", "HTTP_", "CONTENT_", "QUERY_", "PATH_INFO", "REMOTE_", "SCRIPT_", "SERVER_", "GATEWAY_", "EXECGATE_")


def main():
    body = sys.stdin.buffer.read()
    document = {
        "variables": {name: value for name, value in sorted(os.environ.items()) if name.startswith(SHOWN)},
        "arguments": sys.argv[1:],
        "body": body.decode("utf-8", "replace"),
        "bodySize": len(body),
    }
    sys.stdout.write("Content-Type: application/json\r\nCache-Control: no-store\r\n\r\n")
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
