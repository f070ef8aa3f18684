// The remote control: what is clicked or typed goes to all servers, and what
// happens comes back as events. Without a lab behind it, a recording plays.
import { el, duration } from "./dom.js";
import { newState, apply, verdict, mark, hue } from "./state.js";
import { Columns } from "./columns.js";
import { describe, hatch } from "./ladder.js";
import { speak, languages } from "./words.js";

const $ = (id) => document.getElementById(id);
const asked = new URLSearchParams(location.search);
const recording = $("recording"); // in a page that was exported
let language = languages.includes(asked.get("lang")) ? asked.get("lang") : "en";
let t = speak(language);

const events = [];
let state = newState(), applied = 0;
let meta = { title: "", sources: {}, scenes: [], readOnly: true, replay: true, speeds: [] };
let columns;
let client = 1, clients = 0, reading = new Map(), typed = "hello";
let cursor = -1; // the action that is looked at; -1: the latest
let playing = null, dirty = true, gone = false, frames = 0, latest = 0;
const voter = Math.random().toString(36).slice(2);

// What comes, and where we are in it.

function take(batch) {
  for (const e of batch) {
    events.push(e);
    if (e.act) latest = Math.max(latest, e.act.number);
    if (e.act && e.act.do === "connect") clients = Math.max(clients, e.act.client);
  }
  dirty = true;
}

const lastAction = () => latest;

// limit is how many events there were before the action after the cursor.
function limit() {
  if (cursor < 0) return events.length;
  const next = events.findIndex((e) => (e.act?.number ?? 0) > cursor);
  return next < 0 ? events.length : next;
}

function catchUp() {
  const until = limit();
  if (applied > until) {
    state = newState();
    applied = 0;
    columns.forget();
  }
  while (applied < until) apply(state, events[applied++]);
}

function frame() {
  if (dirty) {
    dirty = false;
    catchUp();
    columns.draw(state);
    control();
    strip();
    frames++;
  }
  setTimeout(() => requestAnimationFrame(frame), 20);
}

// What can be done.

async function post(path, body) {
  const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  if (!answer.ok) say(await answer.text());
}

function give(what, data) {
  if (meta.readOnly || meta.replay) return;
  if (what === "connect") {
    client = clients + 1;
    clients = client;
  }
  if (what === "stop-reading" || what === "read-on") reading.set(client, what === "read-on");
  cursor = -1;
  post("act", { client, do: what, data });
}

const send = () => give("send", typed + "\n");
const half = () => give("send", typed.slice(0, Math.ceil(typed.length / 2)));
const step = () => pace("step", 1);
const pace = (mode, speed) => post("step", { mode, speed });
const toggleReading = () => give(reading.get(client) === false ? "read-on" : "stop-reading");

function next() { // of the scene, or of the recording
  if (meta.replay || meta.readOnly) return jump(Math.min(lastAction(), at() + 1));
  if (!scene()) return chooseScene(meta.scenes[0]?.name ?? "");
  return sceneStep() < scene().steps.length ? post("next", {}) : undefined;
}

const scene = () => meta.scenes.find((s) => s.name === state.scene?.name);
const sceneStep = () => state.scene?.step ?? 0;

const at = () => (cursor < 0 ? lastAction() : cursor);
function jump(k) {
  cursor = k >= lastAction() && !meta.replay ? -1 : Math.min(lastAction(), Math.max(0, k));
  dirty = true;
}

const chooseScene = (name) => post("scene", { name });

function play() { // a recording, or a scene, by itself
  if (playing) {
    clearInterval(playing);
    playing = null;
  } else {
    if (meta.replay && at() >= lastAction()) jump(0);
    playing = setInterval(() => {
      if (meta.replay ? at() >= lastAction() : !scene() || sceneStep() >= scene().steps.length) return play();
      return next();
    }, 1800 / speed());
  }
  dirty = true;
}

let speedChoice = 1;
const speed = () => [0.5, 1, 2][speedChoice];

// The control bars. They are built when what they show has changed, so that the
// focus stays where it is.

let built = "";
function control() {
  const known = [...new Set([...state.servers.values()].flatMap((s) => [...s.clients.keys()]))].sort((a, b) => a - b);
  clients = Math.max(clients, ...known, 0);
  const key = JSON.stringify([known, client, at(), lastAction(), Math.floor(state.at / 5e8) * Number(!!state.ask), !!playing, speedChoice, state.scene, language, meta.readOnly, [...reading], state.ask, pacing()]);
  if (key === built) return;
  built = key;
  const focus = document.activeElement?.id;
  const button = (id, label, run, attributes = {}) => el("button", { id, onclick: run, ...attributes }, label);
  const chips = known.slice(0, 8).map((n) => button(`client-${n}`, [el("span", { class: `k${hue(n)}` }, mark(n)), ` ${n}`], () => {
    client = n;
    dirty = true;
  }, { "aria-pressed": String(n === client), "aria-label": `${t("client")} ${n}` }));
  const input = el("input", { id: "type", value: typed, "aria-label": t("type"), maxlength: 400, oninput: (e) => { typed = e.target.value; } });
  input.addEventListener("keydown", (e) => { if (e.key === "Enter") send(); });
  const none = known.length === 0;
  const remote = meta.readOnly || meta.replay ? [] : [el("div", { class: "bar" },
    el("span", {}, t("clients").toLowerCase()), ...chips, button("new", `+ ${none ? t("newClient") : ""}`, () => give("connect"), { class: none ? "main" : "", title: `${t("newClient")} (n)` }),
    input, button("send", t("sendButton"), send, { disabled: none, class: none ? "" : "main", title: "s" }),
    button("half", t("half"), half, { disabled: none, title: "h" }),
    button("reading", reading.get(client) === false ? t("on") : t("stop"), toggleReading, { disabled: none, title: "p" }),
    button("fin", t("fin"), () => give("half-close"), { disabled: none, title: "f" }),
    button("rst", t("rst"), () => give("reset"), { disabled: none, title: "r" }),
    button("leave", t("leaveButton"), () => give("leave"), { disabled: none, title: "l" }),
    el("span", { class: "push bar", role: "group" }, ...holdButtons(button)))];
  $("remote").replaceChildren(...remote, el("div", { class: "bar" }, ...sceneButtons(button)));
  if (focus) $(focus)?.focus();
  question();
}

const pacing = () => state.watching?.mode ?? "run";

function holdButtons(button) {
  if (![...state.servers.values()].some((s) => s.start?.steps)) return [];
  return [
    button("step", `▸ ${t("step")}`, step, { title: "." }),
    button("slow", `▸▸ ${t("slow")}`, () => pace("slow", speed()), { "aria-pressed": String(pacing() === "slow") }),
    button("run", `▸▸▸ ${t("run")}`, () => pace("run", 1), { "aria-pressed": String(pacing() === "run"), title: "g" }),
  ];
}

function sceneButtons(button) {
  const bars = [];
  if (!meta.replay && !meta.readOnly && meta.scenes.length) {
    const select = el("select", { id: "scene", "aria-label": t("scene"), onchange: (e) => chooseScene(e.target.value) },
      el("option", { value: "" }, t("free")), ...meta.scenes.map((s) => el("option", { value: s.name, selected: s.name === scene()?.name }, s.name)));
    bars.push(select);
  }
  const waitsForVotes = !!openQuestion();
  const more = meta.replay || meta.readOnly ? at() < lastAction() : scene() && sceneStep() < scene().steps.length;
  bars.push(button("first", "◂◂", () => jump(0), { "aria-label": `${t("action")} 0`, disabled: at() === 0 }),
    button("back", "◂", () => jump(at() - 1), { "aria-label": `${t("action")} −1`, disabled: at() === 0, title: "←" }),
    el("span", { id: "where" }, `${t("action")} ${at()} ${t("of")} ${lastAction()}`),
    button("forth", "▸", () => jump(at() + 1), { "aria-label": `${t("action")} +1`, disabled: at() >= lastAction(), title: "→" }),
    button("next", `${t("next")} ␣`, next, { class: "main", disabled: !more || waitsForVotes }),
    button("play", playing ? "❚❚" : `▸▸ ${t("play")}`, play, { "aria-pressed": String(!!playing) }),
    button("speed", ["½×", "1×", "2×"][speedChoice], () => { speedChoice = (speedChoice + 1) % 3; dirty = true; }, { "aria-label": t("speed") }),
    el("span", { id: "caption", class: "caption" }, caption()),
    el("span", { class: "push bar" },
      button("zh", language === "en" ? "中文" : "English", () => setLanguage(language === "en" ? "zh" : "en")),
      button("theme", "◐", theme, { "aria-label": t("theme"), title: t("theme") }),
      button("keys", "?", help, { "aria-label": t("help") })));
  return bars;
}

function caption() {
  if (gone) return t("over");
  if (openQuestion()) return t("locked");
  const upcoming = scene()?.steps[sceneStep()];
  if (upcoming) return upcoming.says[language].replace(/\{(\d+)\}/g, (_, n) => Number(n) + state.scene.base);
  return meta.readOnly && !meta.replay ? t("readOnly") : meta.title;
}

// The verdict: who was answered, and who waits.

function strip() {
  const v = verdict(state);
  const names = (list) => list.map((l) => `${l.server} ${duration(l.after >= 0 ? l.after : l.waited)}`).join(", ");
  const yes = v.answers.filter((l) => l.after >= 0), no = v.answers.filter((l) => l.after < 0);
  let text = t("nobody");
  if (v.client) {
    text = `${t("client")} ${v.client}: `;
    text += yes.length ? `${t("answeredBy")} ${names(yes)}` : "";
    text += no.length ? `${yes.length ? " · " : ""}${t("waitsAt")} ${no.map((l) => l.server).join(", ")}` : "";
  }
  if ($("verdict").textContent !== text) $("verdict").textContent = text;
  const w = state.watching;
  $("honest").textContent = [
    w ? `${t("watching")}: ${w.cpu_percent.toFixed(1)} % CPU` : "", `${t("lost")}: ${state.lost + (w?.dropped ?? 0)}`, t("inferred"),
    ...[...state.servers.values()].filter((s) => s.start && !s.start.steps && !meta.replay).map((s) => `${s.name}: ${t("cannotHold")}`),
  ].filter(Boolean).join(" · ");
}

// A question locks the scene until somebody has predicted.

function openQuestion() {
  const ask = state.ask;
  if (!ask || meta.replay) return null;
  const votes = state.votes.get(ask.id);
  return votes?.voters > 0 ? null : ask;
}

let shownQuestion = "";
function question() {
  const ask = state.ask, box = $("question");
  const known = ask && truth(ask);
  if (!ask || meta.replay || known && lastAction() > ask.after + 1) {
    box.hidden = true;
    return;
  }
  const votes = state.votes.get(ask.id);
  const key = JSON.stringify([ask, votes, language, known && [...known]]);
  box.hidden = false;
  if (key === shownQuestion) return;
  shownQuestion = key;
  const servers = [...state.servers.keys()];
  const mine = new Set([...box.querySelectorAll("input:checked")].map((i) => i.value));
  box.replaceChildren(el("h2", {}, t("predict", { n: ask.client })),
    ...servers.map((name) => el("label", {}, el("input", { type: "checkbox", value: name, checked: mine.has(name) }),
      ` ${name}${votes ? ` (${votes.counts[name] ?? 0}/${votes.voters})` : ""}${known ? (known.has(name) ? " ✓" : " ✗") : ""}`)),
    el("button", { id: "vote", class: "main", onclick: () => {
      post("vote", { ask: ask.id, voter, servers: [...box.querySelectorAll("input:checked")].map((i) => i.value) });
    } }, t("vote")),
    known ? el("b", {}, `${t("truth")}: ${[...known].join(", ") || "–"}`) : "");
}

// truth is known when the action has been played and there was time to answer.
function truth(ask) {
  const act = state.actions.find((a) => a.number > ask.after && a.client === ask.client && a.do === "send");
  if (!act || state.at - act.at < 5e8) return null;
  return new Set([...state.servers.values()].filter((s) => {
    const a = s.clients.get(ask.client)?.asks.find((q) => q.at >= act.at);
    return a && a.answered >= 0;
  }).map((s) => s.name));
}

// Help, theme, language, details.

function tap(what) {
  const call = what.call;
  const text = call ? `${what.name}: ${call.name}(${call.args}) ${call.phase}\n${call.page ?? ""}` : describe(what);
  open(el("pre", {}, text));
}

function open(...content) {
  const box = $("about");
  box.replaceChildren(...content, el("p", {}, el("button", { onclick: () => box.close() }, "Esc")));
  if (!box.open) box.showModal();
}

function help() {
  const keys = [["n", t("newClient")], ["1–9", t("client")], ["s, Enter", t("sendButton")], ["h", t("half")], ["p", `${t("stop")} / ${t("on")}`], ["f", t("fin")], ["r", t("rst")], ["l", t("leaveButton")],
    [".", t("step")], ["g", t("run")], ["Space", t("next")], ["← →", `${t("action")} ∓1`], ["t", t("type")], ["[ ]", t("choose")], ["v", t("ladder").toLowerCase()], ["d", t("theme")], ["z", "English / 中文"], ["?", t("help")]];
  open(el("table", {}, ...keys.map(([k, says]) => el("tr", {}, el("td", {}, el("kbd", {}, k)), el("td", {}, says)))), el("p", {}, t("inferred")));
}

function theme() {
  const root = document.documentElement;
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
}

function setLanguage(l) {
  language = l;
  t = speak(l);
  document.documentElement.lang = l;
  columns.forget();
  columns.t = t;
  built = shownQuestion = "";
  dirty = true;
}

function view() { // from the columns to the latest action's diagram, and back
  const now = document.querySelector(".band.now");
  if (scrollY > 0 || !now) scrollTo(0, 0);
  else now.scrollIntoView({ block: "end" });
}

function say(text) { $("verdict").textContent = text; }

const keys = {
  n: () => give("connect"), s: send, h: half, p: toggleReading, f: () => give("half-close"), r: () => give("reset"), l: () => give("leave"),
  ".": step, g: () => pace(pacing() === "run" ? "step" : "run", 1), " ": () => { if (!openQuestion()) next(); }, ArrowLeft: () => jump(at() - 1), ArrowRight: () => jump(at() + 1), d: theme,
  z: () => setLanguage(language === "en" ? "zh" : "en"), "?": help, v: view, t: () => $("type")?.select(),
  "[": () => { columns.chosen = Math.max(0, columns.chosen - 1); tabs(); }, "]": () => { columns.chosen = Math.min(state.servers.size - 1, columns.chosen + 1); tabs(); },
};

document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  if (e.target.matches("input[type=text], input:not([type]), select")) {
    if (e.key === "Escape") e.target.blur();
    return;
  }
  if (e.target.matches("button, input") && (e.key === " " || e.key === "Enter")) return;
  if (/^[1-9]$/.test(e.key)) {
    client = Number(e.key);
    dirty = true;
  } else if (keys[e.key]) {
    e.preventDefault();
    keys[e.key]();
  }
});

function tabs() { // on a narrow screen one column at a time
  $("tabs").replaceChildren(...[...state.servers.keys()].map((name, i) => el("button", { role: "tab", "aria-selected": String(i === columns.chosen), "aria-pressed": String(i === columns.chosen), onclick: () => {
    columns.chosen = i;
    tabs();
  } }, name)));
  dirty = true;
}

async function begin() {
  if (matchMedia("(prefers-color-scheme: dark)").matches) theme();
  if (asked.get("theme")) document.documentElement.dataset.theme = asked.get("theme");
  document.documentElement.lang = language;
  document.body.append(hatch());
  if (recording) {
    const kept = JSON.parse(recording.textContent);
    meta = { ...meta, ...kept.meta, replay: true };
    take(kept.events);
  } else {
    meta = await (await fetch("meta")).json();
  }
  document.title = meta.title ? `lab live: ${meta.title}` : "lab live";
  columns = new Columns($("columns"), t, meta.sources, tap);
  if (!recording) listen();
  if (meta.replay) cursor = 0;
  setInterval(() => { // what lasts goes on lasting
    if (cursor < 0 && !meta.replay && state.servers.size) {
      state.at += 100e6;
      dirty = true;
    }
    if ($("tabs").children.length !== state.servers.size) tabs();
  }, 100);
  requestAnimationFrame(frame);
}

function listen() {
  const source = new EventSource("events");
  source.onmessage = (m) => {
    gone = false;
    take(JSON.parse(m.data));
  };
  source.onerror = () => {
    gone = true;
    built = "";
    dirty = true;
  };
}

window.lab = { events, state: () => state, frames: () => frames }; // for tests, and for the curious
begin();
