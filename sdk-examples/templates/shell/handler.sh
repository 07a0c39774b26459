#!/bin/sh
# A CGI program: the request is in variables and on stdin; the answer is header lines, an empty line, the body.
set -eu

printf 'Content-Type: text/plain; charset=utf-8\r\n\r\n'
if [ -n "${EXECGATE_PARAMETER_NAME:-}" ]; then
    printf 'Hello, %s!\n' "$EXECGATE_PARAMETER_NAME"
else
    printf 'This is @NAME@. Try /hello/you\n'
fi
