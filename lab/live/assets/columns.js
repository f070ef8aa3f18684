// A column for each server: the program, the kernel, the clients, what it costs,
// and what happened.
import { el, duration, amount } from "./dom.js";
import { mark, hue, verdict } from "./state.js";
import { asleepBefore, band, heading, mostThreads, rowsShown } from "./ladder.js";

const mostSeats = 7, mostLines = 6, mostBands = 30;

// Columns draws the state into a place, and only what has changed.
export class Columns {
  constructor(place, t, sources, tap) {
    Object.assign(this, { place, t, sources, tap, shown: new Map(), chosen: 0 });
  }

  draw(state) {
    const servers = [...state.servers.values()];
    const different = differing(state);
    for (const [name, column] of this.shown) {
      if (!state.servers.has(name)) {
        column.box.remove();
        this.shown.delete(name);
      }
    }
    for (const [i, server] of servers.entries()) {
      const column = this.column(server, i);
      column.box.classList.toggle("chosen", i === this.chosen);
      column.box.classList.toggle("different", different.has(server.name));
      column.program.replaceChildren(this.title("program"), ...this.program(server, state.at));
      column.kernel.replaceChildren(this.title("kernel"), ...this.kernel(server, state.at));
      column.clients.replaceChildren(this.title("clients"), ...this.clients(server, state.at));
      column.cost.replaceChildren(...this.cost(server));
    }
    this.ladders(state, servers);
    this.place.classList.add("one");
  }

  title(key) { return el("h3", {}, this.t(key)); }

  column(server, i) {
    let c = this.shown.get(server.name);
    if (c) return c;
    const part = (name) => el("section", { class: `part ${name}`, "aria-label": `${server.name}: ${this.t(name)}` });
    c = { program: part("program"), kernel: part("kernel"), clients: part("clients"), cost: part("cost"), ladder: part("ladder"), bands: new Map() };
    const seen = server.start ? ` ${server.start.calls}` : "";
    c.box = el("article", { class: "column", "data-server": server.name },
      el("h2", { title: (server.start?.missing ?? []).join("\n") }, server.name, el("small", {}, seen)),
      c.program, c.kernel, c.clients, c.cost, c.ladder);
    this.place.insertBefore(c.box, this.place.children[i] ?? null);
    this.shown.set(server.name, c);
    return c;
  }

  program(server, at) {
    const t = this.t;
    if (server.ended) return [el("p", { class: "waits" }, `${t("ended")}: ${server.ended}`)];
    const actors = [...server.actors.values()].filter((a) => a.kind === "server" && (a.alive || a.zombie));
    const busy = [...actors].sort((a, b) => Number(b.call?.phase !== "sleeps") - Number(a.call?.phase !== "sleeps"));
    const shown = actors.length > mostLines ? busy.slice(0, mostLines) : actors;
    const rows = shown.map((a) => this.thread(a, at));
    if (actors.length > shown.length) rows.push(el("p", { class: "caption" }, `… ${actors.length - shown.length} ${t("more")}`));
    const latest = actors.filter((a) => a.call?.page).sort((a, b) => b.call.since - a.call.since)[0];
    if (latest) rows.push(this.source(latest.call.page));
    return rows;
  }

  thread(a, at) {
    const t = this.t, c = a.call;
    const does = a.zombie ? "zombie" : { sleeps: "asleep", held: "held", begins: "awake", returns: "awake" }[c?.phase] ?? "asleep";
    const text = c ? `${c.name}(${c.args})${c.phase === "returns" ? ` = ${c.result}` : ""}` : "";
    const sign = { asleep: "▒", held: "‖", awake: "▶", zombie: "☠" }[does];
    return el("div", { class: `thread row ${does}`, title: `${a.name}: ${text}\n${c?.page ?? ""}`, onclick: () => this.tap(a) },
      el("span", { "aria-label": t(does) }, sign), el("code", { class: "grow" }, `${short(a.name)} ${text}`),
      c && does !== "awake" ? el("time", {}, duration(Math.max(0, at - c.since))) : null);
  }

  source(page) {
    const [file, line] = page.split(":");
    const text = this.sources[file];
    if (!text) return null;
    const n = Number(line), lines = text.split("\n");
    const from = Math.max(0, n - 2);
    const indent = Math.min(...lines.slice(from, n + 1).filter((l) => l.trim()).map((l) => l.match(/^\t*/)[0].length));
    return el("pre", { class: "source", title: page }, ...lines.slice(from, n + 1).map((l, i) =>
      el("span", { class: from + i + 1 === n ? "here" : "" }, `${String(from + i + 1).padStart(3)}│ ${l.slice(indent).replaceAll("\t", "  ")}\n`)));
  }

  kernel(server, at) {
    const t = this.t, q = server.queue;
    const seats = Math.min(mostSeats, Math.max(q.limit, q.length));
    const rows = [el("div", { class: "row" }, `${t("queue")} ${q.length}${q.limit ? `/${q.limit}` : ""}`,
      el("span", { class: "seats" }, ...Array.from({ length: seats }, (_, i) => el("span", { class: i < q.length ? "seat taken" : "seat" }, i < q.length ? "•" : ""))))];
    const conns = [...server.conns.values()].filter((c) => c.here || c.there);
    for (const c of conns.slice(-mostLines)) rows.push(this.connection(server, c, at));
    if (conns.length > mostLines) rows.push(el("p", { class: "caption" }, `… ${conns.length - mostLines} ${t("more")}`));
    return rows;
  }

  connection(server, c, at) {
    const t = this.t;
    const accepted = c.fd || server.start?.calls === "proc" || server.queue.length === 0;
    const state = c.here === c.there || !c.there ? c.here : `${c.there} ⇄ ${c.here || "–"}`;
    const left = c.here === "TIME-WAIT" || c.there === "TIME-WAIT" ? ` ${Math.max(0, 60 - (at - c.since) / 1e9).toFixed(0)} ${t("leftIn")}` : "";
    return el("div", { class: "row" },
      el("span", { class: `k${hue(c.client || 1)}` }, c.client ? `${mark(c.client)} ${c.client}` : "?"),
      el("span", { class: "grow", title: state }, accepted ? "" : el("b", { class: "waits" }, `${t("notAccepted")} · `), state + left, accepted && c.fd ? ` · fd ${c.fd}` : ""),
      c.unread ? el("span", {}, `${t("in")} ${amount(c.unread)} `, meter(c.unread)) : null,
      c.unsent ? el("span", {}, `${t("out")} ${amount(c.unsent)} `, meter(c.unsent)) : null);
  }

  clients(server, at) {
    const t = this.t;
    const all = [...server.clients.values()].filter((c) => c.here || c.asks.length || c.ended);
    const shown = all.length > mostLines ? [...all].sort((a, b) => waiting(b) - waiting(a)).slice(0, mostLines) : all;
    const rows = shown.map((c) => {
      const ask = c.asks.at(-1);
      let says = c.ended ? c.ended : "";
      let waits = false;
      if (ask && ask.answered >= 0) says = `${t("answered")} ${duration(ask.answered - ask.at)} ${says}`;
      else if (ask && !c.ended) [says, waits] = [`${t("waits")} ${duration(at - ask.at)}`, true];
      if (!c.reading) says += ` · ${t("stop")}`;
      return el("div", { class: "row" }, el("span", { class: `k${hue(c.number)}` }, `${mark(c.number)} ${c.number}`),
        el("span", { class: waits ? "grow waits" : "grow" }, says || "–"), el("span", {}, `${amount(c.got)} B`));
    });
    if (all.length > shown.length) rows.push(el("p", { class: "caption" }, `… ${all.length - shown.length} ${t("more")}`));
    return rows.length ? rows : [el("p", { class: "caption" }, t("noClient"))];
  }

  cost(server) {
    const t = this.t, c = server.cost;
    if (!c) return [el("div", { class: "row" }, t("nothing"))];
    return [
      el("div", { class: "row" }, el("span", { class: "grow" }, `CPU ${c.cpu_ms.toFixed(0)} ms · ${t("memory")} ${amount(c.rss)}`)),
      el("div", { class: "row" }, el("span", { class: "grow" }, `${c.processes > 1 ? `${t("processes")} ${c.processes} · ` : ""}${t("threads")} ${c.threads} · ${t("files")} ${c.files} · ${t("calls")} ${server.calls}`)),
    ];
  }

  // ladders draws the bands of the latest actions that are new or still grow;
  // each is as high as the highest of its action.
  ladders(state, servers) {
    const last = state.actions.length, first = Math.max(0, last - mostBands);
    for (let k = first; k <= last; k++) {
      const height = Math.max(1, ...servers.map((s) => rowsShown(s.bands[k] ?? [])));
      for (const server of servers) this.ladder(state, server, k, height, last);
    }
    for (const server of servers) {
      for (const [k, b] of this.shown.get(server.name).bands) {
        if (k >= first && k <= last) continue;
        b.box.remove();
        this.shown.get(server.name).bands.delete(k);
      }
    }
  }

  ladder(state, server, k, height, last) {
    const c = this.shown.get(server.name);
    const width = Math.max(220, c.box.clientWidth - 2);
    const rows = server.bands[k] ?? [];
    const threads = Math.min(mostThreads + 1, server.actors.size);
    const key = `${rows.length} ${height} ${width} ${threads} ${k === last} ${this.t("queue")}`;
    const old = c.bands.get(k);
    if (old?.key === key) return;
    const picture = band(server, rows, asleepBefore(server, k), width, height, this.tap);
    const box = el("div", { class: k === last ? "band now" : "band" }, k ? heading(state.actions[k - 1], this.t) : el("h4", {}, this.t("ladder")), picture);
    if (old) old.box.replaceWith(box);
    else c.ladder.append(box);
    c.bands.set(k, { key, box });
  }

  forget() {
    for (const c of this.shown.values()) c.box.remove();
    this.shown.clear();
  }
}

const short = (name) => name.replace(/^.*\//, "");
const waiting = (c) => Number(c.asks.at(-1)?.answered < 0);
const meter = (n) => {
  const i = el("i");
  i.style.width = `${Math.min(100, 8 + 12 * Math.log2(1 + n / 64))}%`;
  return el("span", { class: "meter" }, i);
};

// differing are the servers that have not answered when others have.
export function differing(state) {
  const v = verdict(state);
  if (v.same) return new Set();
  const late = v.answers.filter((l) => l.after < 0), early = v.answers.filter((l) => l.after >= 0);
  return new Set((late.length <= early.length ? late : early).map((l) => l.server));
}
