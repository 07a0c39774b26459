"""A folder is a layer: it may include itself and the folders before it. Libraries have one room each."""
import pathlib
import re
import sys

LIBRARY_ROOMS = {
    "uv.h": {"gateway/loop"},
    "microhttpd.h": {"gateway/source"},
    "yaml.h": {"gateway/blueprint"},
    "zlib.h": {"plugins", "gateway/observe", "gateway/websocket"},
    "wslay/wslay.h": {"gateway/websocket"},
    "brotli/encode.h": {"plugins"},
    "zstd.h": {"plugins"},
    "curl/curl.h": {"gateway/client", "local-api"},
    "crypt.h": {"plugins"},
    "openssl/ssl.h": {"gateway/source"},
    "jwt.h": {"gateway/command"},
    "sqlite3.h": {"gateway/queue"},
    "hiredis/hiredis.h": {"gateway/redis", "gateway/queue", "gateway/cluster"},
    "hiredis/async.h": {"gateway/redis"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]', re.M)


def room_of(path, rooms):
    return next((r for r in sorted(rooms, key=len, reverse=True) if path.startswith(r + "/")), None)


def problems_in(path, rooms):
    own = room_of(str(path), rooms)
    for name in INCLUDE.findall(path.read_text()):
        other = room_of(name, rooms)
        if other and rooms.index(other) > rooms.index(own):
            yield f"{path}: {own} must not include {name} of the later layer {other}"
        allowed = LIBRARY_ROOMS.get(name)
        if allowed and (own not in allowed or not path.name.endswith((".c", "_private.h"))):
            yield f"{path}: {name} belongs in .c files and private headers of {', '.join(sorted(allowed))}"


def main(rooms):
    files = [p for r in rooms for p in sorted(pathlib.Path(r).rglob("*.[ch]"))]
    found = [text for p in files for text in problems_in(p, rooms)]
    print("\n".join(found) if found else f"layers: {len(files)} files keep to {len(rooms)} layers")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
