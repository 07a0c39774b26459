#!/bin/sh
# A filter knows nothing of HTTP: the request's body on stdin, the answer's on stdout (mode: once).
exec tr '[:lower:]' '[:upper:]'
