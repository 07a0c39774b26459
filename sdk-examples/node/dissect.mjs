#!/usr/bin/env node
// The parts of a URL, on the AWS Lambda runtime API, with what Node has. Needs Node 18.
//
// GET /dissect?url=... answers {"scheme": ..., "host": ..., "port": ..., "path": ..., "parameters": [[name, value]]}
import http from "node:http";

function handle(event) {
    const url = new URL(event.queryStringParameters?.url ?? ""); // a TypeError when it is none
    const parts = {
        scheme: url.protocol.slice(0, -1),
        host: url.hostname,
        port: url.port ? Number(url.port) : null,
        path: url.pathname,
        parameters: [...url.searchParams],
    };
    return { statusCode: 200, headers: { "content-type": "application/json" }, body: JSON.stringify(parts) };
}

// One connection, and no bound on the time that the next event may take.
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function call(method, path, document) {
    const url = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation/${path}`;
    return new Promise((resolve, reject) => {
        const request = http.request(url, { method, agent }, async (answer) => {
            let text = "";
            for await (const part of answer.setEncoding("utf8")) text += part;
            resolve({ id: answer.headers["lambda-runtime-aws-request-id"], text });
        });
        request.on("error", reject);
        request.end(document && JSON.stringify(document));
    });
}

for (;;) {
    const { id, text } = await call("GET", "next");
    try {
        await call("POST", `${id}/response`, handle(JSON.parse(text)));
    } catch (e) {
        // This event has failed; the next may do better.
        await call("POST", `${id}/error`, { errorType: e.name, errorMessage: e.message, stackTrace: e.stack.split("\n") });
    }
}
