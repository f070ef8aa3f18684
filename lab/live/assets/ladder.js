// What happened, as a sequence diagram for each server. Rows are grouped by the
// action that caused them, and an action begins at the same height in all columns.
import { el, svg } from "./dom.js";
import { mark, hue } from "./state.js";

const rowHeight = 27;
const clientLine = 14, kernelLine = 74; // their distance from the left
const mostRows = 40; // of an action; the others are counted
export const mostThreads = 4;

export function hatch() {
  const pattern = svg("pattern", { id: "hatch", width: 8, height: 8, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
  pattern.append(svg("rect", { width: 4, height: 8, fill: "var(--accent)" }));
  return svg("svg", { width: 0, height: 0, "aria-hidden": "true", style: undefined }, svg("defs", {}, pattern));
}

export function rowsShown(rows) {
  return Math.min(rows.length, mostRows + 1);
}

// band draws what one action caused. Asleep are the threads that slept before
// it.
export function band(server, rows, asleep, width, height, tap) {
  const threads = [...server.actors.values()].filter((a) => a.kind === "server").slice(0, mostThreads).map((a) => a.id);
  const lane = (actor) => width - 14 - 16 * Math.max(0, threads.indexOf(actor));
  const picture = svg("svg", { width, height: height * rowHeight + 6, viewBox: `0 0 ${width} ${height * rowHeight + 6}`, role: "img" });
  picture.append(line(clientLine, height), line(kernelLine, height));
  const shown = rows.length > mostRows ? rows.slice(-mostRows) : rows;
  for (const row of rows.slice(0, rows.length - shown.length)) sleepers(row, asleep);
  let y = 0;
  if (shown.length < rows.length) {
    picture.append(text(kernelLine + 8, y + 19, `… ${rows.length - shown.length}`, width));
    bars(picture, threads, asleep, lane, y);
    y += rowHeight;
  }
  for (const row of shown) {
    sleepers(row, asleep);
    bars(picture, threads, asleep, lane, y);
    const group = svg("g", { class: "tap", tabindex: -1, onclick: () => tap(row) });
    group.append(...drawn(row, y, width, lane, threads), svg("title", {}, describe(row)));
    picture.append(group);
    y += rowHeight;
  }
  for (; y < height * rowHeight; y += rowHeight) bars(picture, threads, asleep, lane, y);
  return picture;
}

// asleepBefore are the threads that sleep when an action begins. A band that
// grows no more is walked only once.
export function asleepBefore(server, k) {
  server.asleep ??= [new Set()];
  const known = server.asleep;
  while (known.length < k) {
    const asleep = new Set(known.at(-1));
    for (const row of server.bands[known.length - 1] ?? []) sleepers(row, asleep);
    known.push(asleep);
  }
  const asleep = new Set(known[Math.max(0, k - 1)]);
  if (k) for (const row of server.bands[k - 1] ?? []) sleepers(row, asleep);
  return asleep;
}

function sleepers(row, asleep) {
  if (row.kind !== "call") return;
  if (row.asleep) asleep.add(row.actor);
  else asleep.delete(row.actor);
}

function bars(picture, threads, asleep, lane, y) {
  for (const t of threads) {
    picture.append(asleep.has(t)
      ? svg("rect", { class: "sleep", x: lane(t) - 5, y, width: 10, height: rowHeight })
      : svg("line", { class: "life", x1: lane(t), x2: lane(t), y1: y, y2: y + rowHeight }));
  }
}

const line = (x, height) => svg("line", { class: "life", x1: x, x2: x, y1: 0, y2: height * rowHeight });

function text(x, y, what, width, attributes = {}) {
  const room = Math.max(3, Math.floor(width / 10.9));
  return svg("text", { x, y, ...attributes }, what.length > room ? what.slice(0, room - 1) + "…" : what);
}

function drawn(row, y, width, lane, threads) {
  const right = width - 22 - 16 * threads.length;
  const middle = y + rowHeight / 2;
  if (row.kind === "segment") {
    const [from, to] = row.from_client ? [clientLine + 9, kernelLine - 3] : [kernelLine - 3, clientLine + 9];
    const tip = row.from_client ? -8 : 8;
    const kind = `${row.len || row.flags !== "ACK" ? "wire" : "small"}${row.inferred ? " guess" : ""}`;
    return [
      svg("text", { x: clientLine - 8, y: y + 19, class: `f${hue(row.client || 1)}` }, mark(row.client || 1)),
      svg("line", { class: kind, x1: from, x2: to, y1: middle, y2: middle }),
      svg("path", { class: kind.replace(" guess", ""), fill: "none", d: `M${to + tip} ${middle - 5} L${to} ${middle} L${to + tip} ${middle + 5}` }),
      text(kernelLine + 6, y + 19, segmentWords(row), right - kernelLine - 6),
    ];
  }
  if (row.kind === "call") {
    const x = lane(row.actor);
    const known = threads.includes(row.actor);
    return [
      text(right, y + 19, (row.asleep ? "▒ " : "") + row.text, right - kernelLine - 6, { "text-anchor": "end" }),
      known ? svg("line", { class: row.asleep ? "small" : "wire", x1: right + 3, x2: x - 6, y1: middle, y2: middle }) : null,
    ].filter(Boolean);
  }
  if (row.kind === "life") return [text(right, y + 19, `${row.name} ${row.event}${row.how ? `: ${row.how}` : ""}`, right - kernelLine - 6, { "text-anchor": "end" })];
  return [text(kernelLine + 6, y + 19, row.text, right - kernelLine - 6)];
}

function segmentWords(s) {
  const flags = s.len ? s.flags.replace("+ACK", "") : s.flags;
  return `${flags}${s.len ? ` ${s.len} ${bytesOf(s)}` : ""}${s.retransmit ? " again" : ""}`;
}

function bytesOf(s) {
  if (!s.data) return "";
  const raw = atob(s.data).slice(0, 24);
  return JSON.stringify(raw.replace(/[^\x20-\x7e\n\r\t]/g, "·"));
}

export function describe(row) {
  return row.before ? `${says(row)}\nbefore it, on the same connection: ${says(row.before).split("\n")[0]}` : says(row);
}

function says(row) {
  if (row.kind === "segment") {
    return `${row.from_client ? "client → server" : "server → client"}  ${segmentWords(row)}\nseq ${row.seq}  ack ${row.ack}  window ${row.window}\nconnection ${row.conn}, known by: ${row.source}`;
  }
  if (row.kind === "call") return `${row.actor}: ${row.text}\n${row.page ?? ""}\nconnection ${row.conn ?? "–"}, known by: ${row.source}`;
  return row.text ?? `${row.name} ${row.event} ${row.how ?? ""}`;
}

// heading is the title of an action's band.
export function heading(action, t) {
  if (!action) return el("h4", {}, "0");
  const what = `${t(action.do)}${action.data ? ` ${JSON.stringify(action.data)}` : ""}`;
  return el("h4", { title: what }, `${action.number} `, el("span", { class: `k${hue(action.client)}` }, `${mark(action.client)} ${action.client}`), ` ${what}`);
}
