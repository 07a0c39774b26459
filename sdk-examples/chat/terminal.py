#!/usr/bin/python3
"""The chat in a terminal: CHAT_TOKEN=$(execgate token ...) terminal.py [ws://127.0.0.1:8080/chat] [ROOM]

What is typed is said, and the end of the input leaves. Needs python3-websockets.
"""
import asyncio
import json
import os
import sys
import threading

import websockets


def shown(news):
    """A line for the terminal, without the characters that could steer it; None for what is not told."""
    name = news.get("name")
    line = {"said": lambda: f"{name}: {news['text']}", "joined": lambda: f"* {name} came", "left": lambda: f"* {name} left",
            "room": lambda: "* here: " + ", ".join(p["name"] for p in news["people"]), "refused": lambda: "! " + news["why"]}.get(news.get("type"))
    return line and "".join(c if c.isprintable() else " " for c in line())


async def hear(ws):
    async for text in ws:
        line = shown(json.loads(text))
        if line:
            print(line, flush=True)
    print(f"* the connection has ended: {ws.close_code} {ws.close_reason}", flush=True)


def typed():
    """The lines, and None at the end. A thread waits for them: not everything that can be read can be waited for."""
    loop, lines = asyncio.get_running_loop(), asyncio.Queue()

    def read():
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line.rstrip())
        loop.call_soon_threadsafe(lines.put_nowait, None)
    threading.Thread(target=read, daemon=True).start()
    return lines


async def say(ws, room):
    lines = typed()
    await ws.send(json.dumps({"action": "join", "room": room}))
    while (line := await lines.get()) is not None:
        await ws.send(json.dumps({"action": "say", "room": room, "text": line}))
    await ws.send(json.dumps({"action": "leave", "room": room}))


async def chat(address, room):
    async with websockets.connect(address, subprotocols=["chat.v1", "bearer." + os.environ["CHAT_TOKEN"]]) as ws:
        hearing = asyncio.create_task(hear(ws))
        saying = asyncio.create_task(say(ws, room))
        await asyncio.wait([hearing, saying], return_when=asyncio.FIRST_COMPLETED)
        saying.cancel()
        await ws.close()
        await hearing


def main(address="ws://127.0.0.1:8080/chat", room="lobby"):
    if "CHAT_TOKEN" not in os.environ:
        sys.exit("CHAT_TOKEN is not set: `execgate token` makes one")
    try:
        asyncio.run(chat(address, room))
    except (OSError, websockets.exceptions.InvalidURI, websockets.exceptions.InvalidHandshake) as e:
        sys.exit(f"{address}: {e}")  # 401: of the token; 403: of the name


main(*sys.argv[1:])
