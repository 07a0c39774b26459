// The chat's page: one connection, the rooms that were joined, and a way back when the connection is lost.
const field = (id) => document.getElementById(id);
const LINES_KEPT = 500, WAIT_LEAST_MS = 500, WAIT_MOST_MS = 30000;

// --- rooms ---

// Everything is text: nothing that somebody has said becomes markup.
class Room {
  constructor(name) {
    this.name = name;
    this.joined = false;
    this.unnamed = 0; // how many more there were when we asked
    this.people = new Map(); // seat -> name
    this.gone = new Set(); // seats that left since we asked who is there: an older list may still have them
    this.lines = [];
  }
  reset() {
    this.people.clear();
    this.gone.clear();
  }
  came(seat, name) {
    this.gone.delete(seat);
    this.people.set(seat, name);
  }
  left(seat) {
    this.gone.add(seat);
    this.people.delete(seat);
  }
  listed(people, count) {
    for (const { seat, name } of people) if (!this.gone.has(seat)) this.people.set(seat, name);
    this.unnamed = Math.max(0, count - people.length);
  }
  add(line) {
    this.lines.push(line);
    if (this.lines.length > LINES_KEPT) this.lines.shift();
  }
}

const rooms = new Map();
let shown = null, seat = null;

function roomOf(name) {
  if (!rooms.has(name)) rooms.set(name, new Room(name));
  return rooms.get(name);
}

// --- what is told ---

const told = {
  hello(news) {
    seat = news.seat;
    state("You are " + news.name);
    send({ action: "rooms" });
    for (const room of rooms.values()) if (room.joined) enter(room);
  },
  rooms(news) {
    for (const { room } of news.rooms) roomOf(room);
    if (!shown && news.rooms.length > 0) choose(roomOf(news.rooms[0].room));
  },
  room(news) {
    roomOf(news.room).listed(news.people, news.count);
  },
  joined(news) {
    const room = roomOf(news.room);
    room.came(news.seat, news.name);
    room.add({ news: news.name + " came" });
  },
  left(news) {
    const room = roomOf(news.room);
    room.left(news.seat);
    if (news.seat !== seat) room.add({ news: news.name + " left" });
  },
  said(news) {
    roomOf(news.room).add({ name: news.name, text: news.text, at: new Date(news.at) });
  },
  refused(news) {
    state(news.why);
  },
};

function hear(text) {
  const news = JSON.parse(text);
  if (!Object.hasOwn(told, news.type)) return;
  told[news.type](news);
  show();
}

// --- what is done ---

function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function enter(room) {
  room.reset();
  room.joined = true;
  send({ action: "join", room: room.name });
}

function choose(room) {
  shown = room;
  if (!room.joined) enter(room);
  show();
}

function leave(room) {
  room.joined = false;
  room.reset();
  send({ action: "leave", room: room.name });
  shown = null;
  show();
}

// --- what is shown ---

function element(name, text, ...classes) {
  const made = document.createElement(name);
  made.textContent = text;
  made.classList.add(...classes);
  return made;
}

function lineOf(line) {
  if (line.news) return element("li", line.news, "news");
  const item = document.createElement("li");
  item.append(element("b", line.name), line.text);
  item.title = line.at.toLocaleString();
  return item;
}

function choiceOf(room) {
  const item = document.createElement("li"), button = element("button", room.name);
  button.addEventListener("click", () => choose(room));
  if (room === shown) button.setAttribute("aria-current", "true");
  item.append(button);
  return item;
}

function show() {
  field("rooms").replaceChildren(...[...rooms.values()].map(choiceOf));
  field("room").hidden = !shown;
  field("people").replaceChildren();
  if (!shown) return;
  field("name").textContent = shown.name;
  const lines = field("lines"), atEnd = lines.scrollTop + lines.clientHeight >= lines.scrollHeight - 20;
  lines.replaceChildren(...shown.lines.map(lineOf));
  if (atEnd) lines.scrollTop = lines.scrollHeight;
  const people = [...shown.people.values()].sort((a, b) => a.localeCompare(b));
  if (shown.unnamed > 0) people.push(`and ${shown.unnamed} more`);
  field("people").replaceChildren(...people.map((name) => element("li", name)));
}

const state = (text) => (field("state").textContent = text);

// --- the connection ---

let token = null, socket = null, tries = 0, timer = 0;

// A page is not told why a handshake failed, so the token is tried first. True when it is good.
async function tokenIsGood() {
  const answer = await fetch("me", { headers: { Authorization: "Bearer " + token }, cache: "no-store" });
  if (answer.ok) return true;
  if (answer.status !== 401 && answer.status !== 403) throw new Error("the chat is not there just now");
  signOut(answer.status === 401 ? "The token is not valid (any more)" : await answer.text());
  return false;
}

async function connect() {
  const mine = token;
  state("Connecting");
  try {
    if (!(await tokenIsGood()) || mine !== token) return;
  } catch {
    return mine === token && later("");
  }
  const address = new URL("chat", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const opened = new WebSocket(address, ["chat.v1", "bearer." + token]);
  socket = opened;
  opened.addEventListener("open", () => send({ action: "hello" }));
  opened.addEventListener("message", (event) => {
    tries = 0;
    hear(event.data);
  });
  opened.addEventListener("close", (event) => {
    if (socket === opened) later(event.reason);
  });
}

// A gateway that stops says when to come back, so that not everybody does at once; else each wait is longer than the one
// before, less a part that chance chooses.
function later(reason) {
  const said = /reconnect in (\d+) ms/.exec(reason);
  const longest = Math.min(WAIT_MOST_MS, WAIT_LEAST_MS * 2 ** tries++);
  const wait = said ? Number(said[1]) : longest * (0.5 + Math.random() / 2);
  state("Connection lost: back in a moment");
  clearTimeout(timer);
  timer = setTimeout(connect, wait);
}

function signIn(text) {
  token = text.trim();
  tries = 0;
  field("door").hidden = true;
  field("chat").hidden = field("out").hidden = false;
  connect();
}

function signOut(why) {
  const open = socket;
  token = socket = shown = seat = null;
  clearTimeout(timer);
  open?.close(1000);
  rooms.clear();
  show();
  field("door").hidden = false;
  field("chat").hidden = field("out").hidden = true;
  state(why);
}

field("door").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn(field("token").value);
  field("token").value = "";
});
field("say").addEventListener("submit", (event) => {
  event.preventDefault();
  send({ action: "say", room: shown.name, text: field("text").value });
  field("text").value = "";
});
field("leave").addEventListener("click", () => leave(shown));
field("out").addEventListener("click", () => signOut(""));

// A token behind the address's # never leaves the browser; and not even its history keeps it.
function signInByAddress() {
  if (location.hash.length < 2) return;
  const text = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
  signIn(text);
}
addEventListener("hashchange", signInByAddress);
signInByAddress();
