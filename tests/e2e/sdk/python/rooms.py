"""What test_sdk_websocket.py asks of a handler, on the client of `execgate new --lang python`."""
import pathlib
import sys
from urllib.parse import quote

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "sdk-examples/templates/python"))
import execgate  # noqa: E402


def told(is_open):
    return "done 0" if is_open else "gone"


def show(id, _group, _data):
    info = execgate.call("GET", "/v1/connections/" + id)
    return f"{info['path']} {len(info['groups'])}" if info else "gone"


def listed(group, limit=0):
    return execgate.call("GET", f"/v1/connections?limit={limit or 1}&group=" + quote(group, safe=""))


DOES = {
    "send": lambda id, group, data: told(execgate.send(id, data.decode())),
    "send-bytes": lambda id, group, data: told(execgate.send(id, data)),
    "close": lambda id, group, data: told(execgate.close(id, 4321, data.decode())),
    "show": show,
    "join": lambda id, group, data: told(execgate.join(id, group)),
    "leave": lambda id, group, data: told(execgate.leave(id, group)),
    "all": lambda id, group, data: f"done {execgate.broadcast(group, data.decode(), but=id)}",
    "all-bytes": lambda id, group, data: f"done {execgate.broadcast(group, data, but=id)}",
    "size": lambda id, group, data: f"done {execgate.call('GET', '/v1/groups/' + quote(group, safe=''))['connections']}",
    "members": lambda id, group, data: "".join(c["connectionId"] + " " for c in listed(group, 2)["connections"]),
}


def handle(request):
    if request.trigger == "websocket":
        return execgate.text(200, f"groups {len(request.groups)} [{' '.join(request.groups)}] of {request.connection}")
    what, group = request.parameters["what"], request.query.get("group", "")
    if what == "hold":
        return execgate.event_stream("data: hello\n\n", group, "others")
    return execgate.text(200, DOES[what](request.query.get("id", ""), group, request.body))


execgate.serve(handle)
