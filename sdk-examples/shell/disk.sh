#!/bin/sh
# Disk usage as a CGI program (mode: once): header lines, an empty line, the body. ?path= chooses the file system.
set -eu

path=/
case "${QUERY_STRING:-}" in
path=*) path=$(printf %s "${QUERY_STRING#path=}" | sed -e 's/&.*//' -e 's/+/ /g' -e 's/%2[Ff]/\//g') ;;
esac

if [ ! -d "$path" ]; then
    printf 'Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\nno such folder\n'
    exit 0
fi
printf 'Content-Type: text/plain\r\nCache-Control: no-store\r\n\r\n'
df -hP -- "$path"
