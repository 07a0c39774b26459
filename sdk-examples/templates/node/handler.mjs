#!/usr/bin/env node
import { serve, text } from "./execgate.mjs";

// Throwing fails this one event; the process goes on. request.signal is aborted when nobody waits any more.
await serve(async (request) => {
    const name = request.parameters.get("name");
    if (name) return text(200, `Hello, ${name}!\n`);
    return text(200, "This is @NAME@. Try /hello/you\n");
});
