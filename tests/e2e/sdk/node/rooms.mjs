// What test_sdk_websocket.py asks of a handler, on the client of `execgate new --lang node`.
import { broadcast, call, close, eventStream, join, leave, send, serve, text } from "../../../../sdk-examples/templates/node/execgate.mjs";

const told = (isOpen) => (isOpen ? "done 0" : "gone");
const does = {
    send: async (id, group, data) => told(await send(id, data.toString())),
    "send-bytes": async (id, group, data) => told(await send(id, data)),
    close: async (id, group, data) => told(await close(id, 4321, data.toString())),
    show: async (id) => {
        const info = await call("GET", "/v1/connections/" + id);
        return info ? `${info.path} ${info.groups.length}` : "gone";
    },
    join: async (id, group) => told(await join(id, group)),
    leave: async (id, group) => told(await leave(id, group)),
    all: async (id, group, data) => `done ${await broadcast(group, data.toString(), id)}`,
    "all-bytes": async (id, group, data) => `done ${await broadcast(group, data, id)}`,
    size: async (id, group) => `done ${(await call("GET", "/v1/groups/" + encodeURIComponent(group))).connections}`,
    members: async (id, group) => {
        const { connections } = await call("GET", "/v1/connections?limit=2&group=" + encodeURIComponent(group));
        return connections.map(({ connectionId }) => connectionId + " ").join("");
    },
};

await serve(async (request) => {
    if (request.trigger === "websocket") {
        return text(200, `groups ${request.groups.length} [${request.groups.join(" ")}] of ${request.connection}`);
    }
    const what = request.parameters.get("what"), group = request.query.get("group") ?? "";
    if (what === "hold") return eventStream("data: hello\n\n", group, "others");
    return text(200, await does[what](request.query.get("id") ?? "", group, request.body));
});
