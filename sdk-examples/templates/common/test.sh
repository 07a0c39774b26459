#!/bin/sh
# Each request goes to the handler as its route would send it, without a server.
set -eu
cd "$(dirname "$0")"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0
command -v "${EXECGATE:-execgate}" >"$log" || {
    echo "there is no ${EXECGATE:-execgate}: put execgate on the PATH, or set EXECGATE to its path" >&2
    exit 1
}

expect() { # REQUEST ANSWER
    answer=$("${EXECGATE:-execgate}" invoke @NAME@ --fail --http "$1" 2>"$log") || answer="it failed"
    if [ "$answer" = "$2" ]; then
        echo "ok    $1"
    else
        echo "FAIL  $1: expected \"$2\", got \"$answer\""
        cat "$log"
        failed=1
    fi
}

expect "GET /" "This is @NAME@. Try /hello/you"
expect "GET /hello/you" "Hello, you!"
exit $failed
