// What the package ws makes of an echoing path: client.mjs URL [deflate]. The report is JSON on stdout.
import { createHash } from "node:crypto";
import { once } from "node:events";
import WebSocket from "ws";

const sizes = [1, 125, 126, 127, 65535, 65536, 300000];
const [url, deflate] = process.argv.slice(2);

// Bytes that do not compress to nothing, and text of the same size.
function filler(size) {
  const parts = [];
  for (let i = 0; parts.length * 32 < size; i++) parts.push(createHash("sha256").update(String(i)).digest());
  return Buffer.concat(parts).subarray(0, size);
}
const text = size => filler(size / 2 + 1).toString("hex").slice(0, size);

const ws = new WebSocket(url, { perMessageDeflate: deflate ? { threshold: 0 } : false, handshakeTimeout: 120000 });
await once(ws, "open");
const report = { echoed: 0, extended: ws.extensions !== "" };

async function echo(message) {
  ws.send(message);
  const [got, binary] = await once(ws, "message");
  if (binary !== Buffer.isBuffer(message)) throw new Error(`text and bytes were exchanged at ${message.length}`);
  if (!got.equals(Buffer.from(message))) throw new Error(`${message.length} bytes came back as others`);
  report.echoed++;
}

ws.ping("are you there");
report.pong = String((await once(ws, "pong"))[0]);
for (const size of sizes) {
  await echo(text(size));
  await echo(filler(size));
}
ws.send("in ", { fin: false });
ws.send("frag", { fin: false });
ws.send("ments", { fin: true });
report.fragments = String((await once(ws, "message"))[0]);
ws.close(4001, "done");
report.code = (await once(ws, "close"))[0];
console.log(JSON.stringify(report));
