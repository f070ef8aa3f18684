// The state of the lesson, made from the stream's events and from nothing else.
// A recording that is played, and a server that is watched, go through here alike.

// ClientMark is a client's shape and colour; the shape says it without colour.
const shapes = ["●", "◆", "▲", "■", "★", "✚"];
export const mark = (client) => shapes[(client - 1) % shapes.length];
export const hue = (client) => (client - 1) % shapes.length;

const closed = (state) => state === "" || state === "CLOSED";

export function newState() {
  return { servers: new Map(), actions: [], at: 0, lost: 0, votes: new Map(), watching: null };
}

function newServer(name) {
  return {
    name, start: null, ended: "", actors: new Map(), conns: new Map(), clients: new Map(),
    queue: { length: 0, limit: 0 }, cost: null, calls: 0, notes: [],
    bands: [[]], // by action: what is drawn
    latest: new Map(), // by connection: the row before
  };
}

export function serverOf(state, name) {
  if (!state.servers.has(name)) state.servers.set(name, newServer(name));
  return state.servers.get(name);
}

// apply takes one event into the state.
export function apply(state, event) {
  state.at = Math.max(state.at, event.at_ns);
  if (event.lesson) { // to all: a vote, a question, what watching costs
    lesson(state, event.lesson);
    return;
  }
  const server = serverOf(state, event.server);
  const kinds = { start, actor, act, call, segment, state: connState, queue, unsent, life, note, lost, end, cost };
  for (const [kind, take] of Object.entries(kinds)) {
    if (event[kind]) take(server, event[kind], event, state);
  }
}

function lesson(state, l) {
  if (l.watching) state.watching = l.watching;
  if (l.scene) state.scene = l.scene;
  if (l.scene?.step === 0) state.ask = null;
  if (l.ask) state.ask = l.ask;
  if (l.votes) state.votes.set(l.votes.ask, l.votes);
}

function start(server, s) {
  server.start = s;
}

function end(server, e) {
  server.ended = e.how;
  for (const a of server.actors.values()) if (a.kind === "server") a.alive = false;
  draw(server, { kind: "note", text: e.how, at: 0 });
}

function actor(server, a) {
  const known = server.actors.get(a.id) ?? { id: a.id, kind: a.kind, alive: true, call: null, born: server.actors.size };
  known.name = a.name;
  server.actors.set(a.id, known);
}

function act(server, a, event, state) {
  if (!state.actions.some((known) => known.number === a.number)) state.actions.push({ ...a, at: event.at_ns });
  const c = clientOf(server, a.client);
  if (a.do === "connect") Object.assign(c, { here: true, since: event.at_ns, ended: "" });
  if (a.do === "send") c.asks.push({ at: event.at_ns, answered: -1 });
  if (a.do === "stop-reading") c.reading = false;
  if (a.do === "read-on") c.reading = true;
  if (a.do === "leave" || a.do === "reset") c.here = false;
  if (a.do === "half-close") c.finished = true;
}

export function clientOf(server, number) {
  if (!server.clients.has(number)) {
    server.clients.set(number, {
      number, here: false, reading: true, finished: false, asks: [], got: 0, words: "", ended: "",
    });
  }
  return server.clients.get(number);
}

const clientNumber = (actor) => (actor.startsWith("client ") ? Number(actor.slice(7)) : 0);
const receives = (name) => /^(read|recv)/.test(name);
const accepts = (name) => name.startsWith("accept");

function call(server, c, event) {
  const number = clientNumber(c.actor);
  const actor = server.actors.get(c.actor);
  if (!number && c.phase === "returns") server.calls++;
  if (actor) {
    actor.call = { ...c, since: event.at_ns };
    if (number) actor.client = number;
  }
  if (number && c.conn) connOf(server, c.conn).client = number;
  if (number) {
    if (c.phase === "returns") clientReturns(clientOf(server, number), c, event.at_ns);
  } else {
    if (c.phase === "returns" && accepts(c.name) && c.conn) connOf(server, c.conn).fd = c.result;
    if (c.conn && actor) actor.conn = c.conn;
    drawCall(server, c, event);
  }
}

function clientReturns(client, c, at) {
  if (!receives(c.name)) {
    if (c.name === "connect" && c.result && c.result !== "0") client.ended = c.result;
    return;
  }
  const n = parseInt(c.result, 10);
  if (n > 0) {
    client.got += n;
    client.last = at;
    const ask = client.asks.find((a) => a.answered < 0);
    if (ask) ask.answered = at;
  } else if (c.result && c.result !== "EAGAIN") {
    client.ended = n === 0 ? "FIN" : c.result;
  }
}

function connOf(server, number) {
  if (!server.conns.has(number)) {
    server.conns.set(number, { number, client: 0, here: "", there: "", unread: 0, unsent: 0, fd: "", since: 0 });
  }
  return server.conns.get(number);
}

function connState(server, s, event) {
  const conn = connOf(server, s.conn);
  if (s.client) conn.there = s.to;
  else conn.here = s.to;
  conn.since = event.at_ns;
  if (closed(conn.here) && closed(conn.there)) server.conns.delete(s.conn);
}

function queue(server, q) {
  if (q.conn) connOf(server, q.conn).unread = q.length;
  else server.queue = { length: q.length, limit: q.limit ?? server.queue.limit };
}

function unsent(server, u) {
  connOf(server, u.conn).unsent = u.length;
}

function segment(server, s, event) {
  draw(server, { kind: "segment", ...s, at: event.at_ns, source: event.source, client: server.conns.get(s.conn)?.client ?? 0 }, event.action);
}

function life(server, l, event) {
  const actor = server.actors.get(l.actor);
  if (actor && l.event === "ends") actor.zombie = true;
  if (actor && l.event !== "begins") actor.alive = false;
  if (actor && l.event === "reaped") actor.zombie = false;
  draw(server, { kind: "life", ...l, at: event.at_ns, name: actor?.name ?? l.actor }, event.action);
}

function note(server, n, event) {
  server.notes.push({ text: n.text, at: event.at_ns });
  if (server.notes.length > 50) server.notes.shift();
  draw(server, { kind: "note", text: n.text, at: event.at_ns }, event.action);
}

function lost(server, l, event, state) {
  state.lost += l.count;
}

function cost(server, c) {
  server.cost = c;
  for (const a of server.actors.values()) if (a.zombie && !(c.zombies > 0)) a.zombie = false;
}

// What is drawn: a row for each segment, and for each call one or two.

function draw(server, row, action = server.bands.length - 1) {
  while (server.bands.length <= action) server.bands.push([]);
  row.before = server.latest.get(row.conn ?? 0);
  server.latest.set(row.conn ?? 0, { ...row, before: undefined });
  server.bands[action].push(row);
}

function drawCall(server, c, event) {
  const text = `${c.name}(${c.args})`;
  const base = { kind: "call", id: c.id, actor: c.actor, at: event.at_ns, conn: c.conn, page: c.page, source: event.source };
  if (c.phase === "sleeps") draw(server, { ...base, text, asleep: true }, event.action);
  if (c.phase === "returns") {
    draw(server, { ...base, text: c.slept ? `${c.name} = ${c.result}` : `${text} = ${c.result}`, wakes: c.slept }, event.action);
  }
}

// What the strip above the columns says: who was answered, and who waits.

export function verdict(state) {
  const lines = [];
  const latest = [...state.actions].reverse().find((a) => a.do === "send");
  if (!latest) return { client: 0, answers: [], same: true };
  for (const server of state.servers.values()) {
    const client = server.clients.get(latest.client);
    const ask = client?.asks.at(-1);
    if (!ask) continue;
    lines.push({ server: server.name, after: ask.answered < 0 ? -1 : ask.answered - ask.at, waited: state.at - ask.at });
  }
  const answered = lines.filter((l) => l.after >= 0).length;
  return { client: latest.client, answers: lines, same: answered === 0 || answered === lines.length };
}
