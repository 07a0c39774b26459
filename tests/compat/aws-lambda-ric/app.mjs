// Handlers on Node's aws-lambda-ric: `handler` answers as a whole, `streaming` through awslambda.streamifyResponse.
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

process.on("SIGTERM", () => {
  console.log("SIGTERM seen");
  process.exit(0);
});

const behaviours = {
  echo: (event) => ({ statusCode: 200, headers: { "Content-Type": "text/plain" }, body: event.body }),
  api: (event) => ({
    statusCode: 201,
    headers: { "Content-Type": "application/json", "X-Answer": "made by a handler" },
    cookies: ["first=1; Path=/", "second=2"],
    body: JSON.stringify({
      method: event.requestContext.http.method, path: event.rawPath, query: event.rawQueryString, cookies: event.cookies,
      parameters: event.pathParameters, color: event.headers["x-color"], body: event.body,
    }),
  }),
  binary: (event) => ({
    statusCode: 200,
    headers: { "Content-Type": "application/octet-stream" },
    body: Buffer.from(event.body, event.isBase64Encoded ? "base64" : "utf8").reverse().toString("base64"),
    isBase64Encoded: true,
  }),
  error: () => {
    throw new TypeError("refused by the handler");
  },
  panic: () => {
    setImmediate(() => {
      throw new Error("broken in the handler");
    });
    return new Promise(() => {});
  },
  exit: () => {
    process.stderr.write("last words\n");
    process.exit(7);
  },
  timeout: async (_, context) => {
    console.log(`left: ${context.getRemainingTimeInMillis()} ms`);
    await sleep(context.getRemainingTimeInMillis() + 60_000);
    return { statusCode: 200, body: "too late" };
  },
};

function note(event) {
  if (event.headers["x-note"]) console.log(`note: ${event.headers["x-note"]}`);
  return event.rawPath.split("/").pop();
}

export const handler = async (event, context) => behaviours[note(event)](event, context);

// Sends "early", waits until the file that the query names is there, and sends "late" or breaks off.
export const streaming = awslambda.streamifyResponse(async (event, plain, context) => {
  const name = note(event);
  if (name in behaviours) {
    const { body, isBase64Encoded, ...prelude } = await behaviours[name](event, context);
    const stream = awslambda.HttpResponseStream.from(plain, prelude);
    stream.write(Buffer.from(body ?? "", isBase64Encoded ? "base64" : "utf8"));
    stream.end();
    return;
  }
  const stream = awslambda.HttpResponseStream.from(plain, { statusCode: 202, headers: { "Content-Type": "text/plain" }, cookies: ["first=1"] });
  stream.write("early\n");
  while (!existsSync(event.queryStringParameters.gate)) await sleep(10);
  if (name === "break") throw new Error("broke in the middle");
  stream.end("late\n");
});
