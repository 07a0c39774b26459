// Be a handler of execgate, with what Node has: serve(handle) takes up to EXECGATE_CONCURRENCY events at a time over the
// native runtime API.
//
// Each event is an HTTP request, each answer an HTTP response. One exchange waits for events and carries there what is
// ready; what becomes ready while it waits goes in another, so that no answer waits for an event. handle(request) returns
// {status, headers, body} or a promise of it. What it throws fails that one event, with the stack in the log.
import http from "node:http";

const agent = new http.Agent({ keepAlive: true, maxSockets: 2 });
const PATIENCE_MS = 1;
const GROUPS = "Execgate-Groups";

export const text = (status, body) => ({ status, headers: { "Content-Type": "text/plain; charset=utf-8" }, body });
export const json = (status, value) => ({ status, headers: { "Content-Type": "application/json" }, body: JSON.stringify(value) + "\n" });

// A stream of server-sent events that goes on without the handler, in these groups; `events` is its beginning.
export const eventStream = (events, ...groups) =>
    ({ status: 200, headers: { "Content-Type": "text/event-stream", [GROUPS]: groups.map(encodeURIComponent).join(",") }, body: events });

// A call of the runtime API; text is sent as text, bytes as bytes. What it answers, from JSON; null: not open (any more).
export async function call(method, path, data = "") {
    const type = typeof data === "string" ? "text/plain; charset=utf-8" : "application/octet-stream";
    const { status, body } = await ask(method, path, type, Buffer.from(data));
    if (status === 410) return null;
    if (status < 200 || status > 299) throw new Error(`${method} ${path} was answered ${status}: ${body}`);
    return JSON.parse(body.length ? body : "{}");
}

// To one connection; false: it is not open (any more). So it is with close, join and leave.
export const send = async (id, data) => (await call("POST", connectionPath(id), data)) !== null;
export const close = async (id, code = 1000, reason = "") =>
    (await call("DELETE", `${connectionPath(id)}?${new URLSearchParams({ code, reason })}`)) !== null;
export const join = async (id, group) => (await call("PUT", `${connectionPath(id)}${groupPath(group)}`)) !== null;
export const leave = async (id, group) => (await call("DELETE", `${connectionPath(id)}${groupPath(group)}`)) !== null;
// To all in a group, perhaps but one: to how many.
export const broadcast = async (group, data, but) =>
    (await call("POST", `/v1${groupPath(group)}/messages${but ? "?except=" + encodeURIComponent(but) : ""}`, data)).sent;

const connectionPath = (id) => "/v1/connections/" + encodeURIComponent(id);
const groupPath = (group) => "/groups/" + encodeURIComponent(group);

class Request {
    constructor(head, body) {
        const [start, ...lines] = head.split("\r\n");
        [this.method, this.target] = start.split(" ");
        const [path, ...query] = this.target.split("?");
        this.path = decode(path);
        this.query = new URLSearchParams(query.join("?"));
        this.headers = lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]);
        this.body = body;
        this.id = this.header("Execgate-Invocation-Id");
        this.trigger = this.header("Execgate-Trigger"); // "http", "invoke", ...
        this.route = this.header("Execgate-Route");
        this.parameters = new URLSearchParams(this.header("Execgate-Parameters") ?? "");
        this.deadline = new Date(Number(this.header("Execgate-Deadline")));
        this.requestId = this.header("Execgate-Request-Id");
        this.clientAddress = this.header("Execgate-Client-Address");
        this.controller = new AbortController();
        this.signal = this.controller.signal;
    }
    // A field's first value; names match in any case.
    header(name) {
        return this.headers.find(([n]) => n.toLowerCase() === name.toLowerCase())?.[1];
    }
    // What is known of who sends this; undefined when the route has no guard.
    get claims() {
        const claims = this.header("Execgate-Claims");
        return claims && JSON.parse(Buffer.from(claims, "latin1").toString());
    }
    // The id of the WebSocket connection that this happened on; undefined when it is no such event.
    get connection() {
        return this.header("Execgate-Connection-Id");
    }
    // Those that the connection is in, or was in when it ended.
    get groups() {
        return (this.header(GROUPS) ?? "").split(",").filter(Boolean).map(decodeURIComponent);
    }
    json() {
        return JSON.parse(this.body.toString());
    }
}

function decode(path) {
    try {
        return decodeURIComponent(path);
    } catch {
        return path;
    }
}

function events(pipeline) {
    const all = [];
    while (pipeline.length > 0) {
        const end = pipeline.indexOf("\r\n\r\n");
        const head = pipeline.toString("latin1", 0, end);
        const size = Number(/\r\ncontent-length: *(\d+)/i.exec(head)[1]);
        all.push(new Request(head, pipeline.subarray(end + 4, end + 4 + size)));
        pipeline = pipeline.subarray(end + 4 + size);
    }
    return all;
}

function message(status, fields, body) {
    const bytes = Buffer.from(body ?? "");
    const lines = [`HTTP/1.1 ${status} `];
    for (const [name, values] of fields) {
        for (const value of [values].flat()) {
            http.validateHeaderName(name);
            http.validateHeaderValue(name, String(value));
            lines.push(`${name}: ${value}`);
        }
    }
    lines.push(`Content-Length: ${bytes.length}`, "", "");
    return Buffer.concat([Buffer.from(lines.join("\r\n"), "latin1"), bytes]);
}

const isOurs = ([name]) => name === GROUPS || !/^(content-length|transfer-encoding|execgate-.*)$/i.test(name);

async function answer(handle, request) {
    const own = [["Execgate-Invocation-Id", request.id]];
    try {
        const { status = 200, headers = {}, body } = (await handle(request)) ?? {};
        return message(status, [...own, ...Object.entries(headers).filter(isOurs)], body);
    } catch (e) {
        const type = /^\w+$/.test(e?.name) ? e.name : "Error";
        return message(500, [...own, ["Execgate-Error", type]], String(e?.stack ?? e));
    }
}

const exchange = (answers, max) => ask("POST", `/v1/exchange?max=${max}`, "application/http", Buffer.concat(answers), agent);

// Calls have connections of their own: those of the agent may wait for events.
function ask(method, path, type, body, agent = undefined) {
    return new Promise((resolve, reject) => {
        const call = http.request({
            socketPath: process.env.EXECGATE_RUNTIME_SOCKET, agent, method, path,
            headers: { "Content-Type": type, "Content-Length": body.length },
        }, (reply) => {
            const chunks = [];
            reply.on("data", (chunk) => chunks.push(chunk));
            reply.on("error", reject);
            reply.on("end", () => resolve({ status: reply.statusCode, headers: reply.headers, body: Buffer.concat(chunks) }));
        });
        call.on("error", reject);
        call.end(body);
    });
}

class Client {
    constructor(handle) {
        this.handle = handle;
        this.max = Number(process.env.EXECGATE_CONCURRENCY) || 1;
        this.held = new Map();
        this.ready = [];
        this.polling = false;
        this.flushing = null;
    }
    async run() {
        while (await this.poll());
        await Promise.all([...this.held.values()].map(({ done }) => done));
        await this.flush();
    }
    // False when no more comes.
    async poll() {
        this.polling = true;
        const reply = await exchange(this.ready.splice(0), this.max);
        this.polling = false;
        this.note(reply);
        if (reply.headers["execgate-drain"] === "true") return false;
        const batch = events(reply.body).map((request) => this.start(request));
        await Promise.race([Promise.all(batch), new Promise((resolve) => setTimeout(resolve, PATIENCE_MS))]);
        return true;
    }
    note({ status, headers, body }) {
        if (status !== 200) throw new Error(`the gateway answered ${status}: ${body}`);
        if (headers["execgate-refused"]) console.error("answers refused:", headers["execgate-refused"]);
        for (const id of (headers["execgate-cancelled"] ?? "").split(",")) this.held.get(id.trim())?.request.controller.abort();
    }
    start(request) {
        const done = answer(this.handle, request).then((ready) => {
            this.held.delete(request.id);
            this.ready.push(ready);
            if (this.polling) return this.flush();
        });
        this.held.set(request.id, { request, done });
        return done;
    }
    // One at a time; the next takes all that is ready by then.
    async flush() {
        await this.flushing;
        if (this.ready.length === 0) return;
        this.flushing = exchange(this.ready.splice(0), 0);
        this.note(await this.flushing);
    }
}

// Until the gateway wants no more of this process.
export async function serve(handle) {
    if (!process.env.EXECGATE_RUNTIME_SOCKET) {
        console.error("EXECGATE_RUNTIME_SOCKET is not set; does execgate run this?");
        process.exit(1);
    }
    await new Client(handle).run();
    agent.destroy();
}
