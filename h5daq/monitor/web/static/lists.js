// What the page says in words: the run, the jobs, the log, the tree of the vault, a dataset. Only
// what has changed is touched, and all text is set as text: nothing that an instrument, a file or
// another user says becomes part of the page.

import { clock } from "./figures.js";

const TREND = 60;
const LOG_LINES = 400;
const SCALES = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e4, "k"]];

export const at = (id) => document.getElementById(id);

export function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function short(number, unit = "") {
  if (number === null || number === undefined) return "–";
  for (const [size, sign] of SCALES) {
    if (Math.abs(number) >= size) {
      const by = sign === "k" ? 1e3 : size;
      return `${(number / by).toPrecision(3)} ${sign}${unit}`;
    }
  }
  return `${Number.isInteger(number) ? number : Number(number.toPrecision(3))}${unit && ` ${unit}`}`;
}

export function pairs(list, entries) {
  list.replaceChildren(...entries.flatMap(([name, value]) => {
    const term = document.createElement("dt"), said = document.createElement("dd");
    term.textContent = name;
    said.textContent = typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
    return [term, said];
  }));
}

export function showRun(run) {
  set(at("run-name"), run.name || "h5daq");
  document.title = `${run.name || "h5daq"} · h5daq`;
  const lost = Object.values(run.lost || {}).reduce((sum, n) => sum + n, 0);
  const facts = [["rows/s", short(run.rate)], ["rows", short(run.rows)], ["lost", short(lost)],
    ["journal", short(run.journal_bytes, "B")], ["disk free", short(run.disk_free, "B")],
    ["in file", run.checkpoint_age === null ? "not yet" : `${run.checkpoint_age} s ago`]];
  const list = at("run-facts");
  if (list.children.length !== facts.length) {
    list.replaceChildren(...facts.map((fact) => {
      const both = document.createElement("div");
      pairs(both, [fact]);
      return both;
    }));
  }
  facts.forEach(([, value], i) => set(list.children[i].lastChild, value));
  list.children[2].lastChild.classList.toggle("bad", lost > 0);
  showTrouble(run);
}

function showTrouble(run) {
  const text = run.trouble || "";
  set(at("trouble"), text);
  at("trouble").hidden = !text;
  // Only what has changed: a screen reader says all that comes in here.
  const alarms = run.alarms || [], known = JSON.stringify(alarms);
  if (at("alarms").known === known) return;
  at("alarms").known = known;
  at("alarms").replaceChildren(...alarms.map((alarm) => {
    const item = document.createElement("li");
    item.textContent = alarm.text;
    item.className = alarm.level;
    return item;
  }));
}

export class Jobs {
  // The table of jobs; `choose(name)` when one is chosen, `order(verb, name)` for its buttons.
  constructor(choose, order) {
    this.rows = new Map();
    this.facts = new Map();
    this.choose = choose;
    this.order = order;
    this.operator = false;
    at("filter").addEventListener("input", () => this.filter());
  }

  take(name, job) {
    if (job === null) {
      this.rows.get(name)?.remove();
      this.rows.delete(name);
      this.facts.delete(name);
    } else {
      this.facts.set(name, job);
      if (!this.rows.has(name)) this.begin(name);
      this.show(name, job);
    }
    set(at("jobs-count"), `(${this.rows.size})`);
  }

  begin(name) {
    const row = document.createElement("tr");
    const head = document.createElement("th"), button = document.createElement("button");
    head.scope = "row";
    button.type = "button";
    button.className = "link";
    button.textContent = name;
    button.onclick = () => this.choose(name);
    head.append(button);
    row.append(head);
    for (const label of ["state", "newest", "trend", "rows", "rows/s", "held", "lost"]) {
      const cell = row.insertCell();
      cell.dataset.label = label;
      if (["rows", "rows/s", "held", "lost"].includes(label)) cell.className = "number";
    }
    row.cells[3].append(sparkline());
    row.trend = [];
    this.controls(row, name);
    this.rows.set(name, row);
    const after = [...this.rows.keys()].sort();
    const next = after[after.indexOf(name) + 1];
    at("jobs").insertBefore(row, next ? this.rows.get(next) : null);
    this.hide(row, name);
  }

  controls(row, name) {
    const cell = row.insertCell();
    cell.className = "orders orders-column";
    cell.hidden = !this.operator;
    for (const verb of ["pause", "resume", "trigger"]) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = verb;
      button.dataset.verb = verb;
      button.setAttribute("aria-label", `${verb} ${name}`);
      button.onclick = () => this.order(verb, name);
      cell.append(button);
    }
  }

  show(name, job) {
    const cells = this.rows.get(name).cells;
    const lost = Object.values(job.lost).reduce((sum, n) => sum + n, 0);
    set(cells[1], job.state);
    cells[1].title = job.message;
    cells[1].className = `state ${job.state.replace(/ /g, "-")}`;
    set(cells[2], Object.entries(job.values).map(([k, v]) => `${k} ${said(v)}`).join("  "));
    [short(job.rows), short(job.rate), short(job.held), short(lost)]
      .forEach((text, i) => set(cells[4 + i], text));
    cells[7].classList.toggle("bad", lost > 0);
    this.trend(name, job);
  }

  trend(name, job) {
    const row = this.rows.get(name), now = performance.now();
    const first = Object.values(job.values).find((value) => typeof value === "number");
    if (first === undefined || now - (row.drawn || -1e9) < 1000) return;
    row.drawn = now;
    row.trend.push(first);
    if (row.trend.length > TREND) row.trend.shift();
    const low = Math.min(...row.trend), span = Math.max(...row.trend) - low || 1;
    const points = row.trend.map((y, i) => `${(i * 60) / TREND},${(17 - (15 * (y - low)) / span).toFixed(1)}`);
    row.cells[3].querySelector("polyline").setAttribute("points", points.join(" "));
  }

  hide(row, name) {
    row.hidden = !name.toLowerCase().includes(at("filter").value.toLowerCase());
  }

  filter() {
    for (const [name, row] of this.rows) this.hide(row, name);
  }

  allow(operator) {
    this.operator = operator;
    for (const cell of document.querySelectorAll(".orders-column")) cell.hidden = !operator;
  }
}

function said(value) {
  if (value === null) return "–";
  return typeof value === "number" ? String(Number(value.toPrecision(6))) : String(value);
}

function sparkline() {
  const space = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(space, "svg"), line = document.createElementNS(space, "polyline");
  picture.setAttribute("viewBox", "0 0 60 18");
  picture.setAttribute("class", "trend");
  picture.setAttribute("aria-hidden", "true");
  picture.append(line);
  return picture;
}

export class Log {
  constructor() {
    this.list = at("log");
    for (const id of ["log-filter", "log-level"]) {
      at(id).addEventListener("input", () => [...this.list.children].forEach((line) => this.hide(line)));
    }
  }

  take(what) {
    const foot = this.list.scrollTop + this.list.clientHeight > this.list.scrollHeight - 20;
    for (const one of what.slice(-LOG_LINES)) this.list.append(this.line(one));
    while (this.list.children.length > LOG_LINES) this.list.firstChild.remove();
    if (foot) this.list.scrollTop = this.list.scrollHeight;
  }

  line(one) {
    const line = document.createElement("li"), when = document.createElement("time");
    when.textContent = clock(one.time).slice(0, 8);
    when.dateTime = new Date(1000 * one.time).toISOString();
    const kind = one.kind === "log" ? one.level : one.kind;
    const named = one.kind !== "log" || one.text.startsWith(one.source);
    const source = named ? "" : `${one.source}: `;
    line.append(when, ` ${kind} ${source}${one.text}`);
    line.className = one.level.toLowerCase();
    line.what = one;
    this.hide(line);
    return line;
  }

  hide(line) {
    const { kind, level } = line.what, wanted = at("log-level").value;
    const right = !wanted || (wanted === "log" && kind === "log") || (wanted === "signal" && kind !== "log")
      || (wanted === "WARNING" && ["WARNING", "ERROR", "CRITICAL"].includes(level));
    const found = line.textContent.toLowerCase().includes(at("log-filter").value.toLowerCase());
    line.hidden = !(right && found);
  }
}

export class Tree {
  // The vault's directories, asked for when they are opened.
  constructor(link, choose) {
    this.link = link;
    this.choose = choose;
    this.open = new Map([["", { path: [], list: at("tree") }]]);
  }

  async fill(key) {
    const { path, list } = this.open.get(key);
    try {
      const found = await this.link.ask({ k: "directory", path });
      const known = new Map([...list.children].map((item) => [item.dataset.name, item]));
      list.replaceChildren(
        ...found.directories.map(([name, tags]) => known.get(`d${name}`) || this.directory(path, name, tags)),
        ...found.datasets.map(([name, tags]) => known.get(`f${name}`) || this.dataset(path, name, tags)));
      if (!list.children.length) list.append(item("nothing here yet"));
    } catch (error) {
      list.replaceChildren(item(error.message));
    }
  }

  directory(path, name, tags) {
    const entry = document.createElement("li"), list = document.createElement("ul");
    const button = this.button(`▸ ${name}`, tags);
    const key = [...path, name].join("/");
    button.setAttribute("aria-expanded", "false");
    list.hidden = true;
    button.onclick = () => {
      list.hidden = !list.hidden;
      button.firstChild.textContent = `${list.hidden ? "▸" : "▾"} ${name}`;
      button.setAttribute("aria-expanded", String(!list.hidden));
      if (list.hidden) this.open.delete(key);
      else {
        this.open.set(key, { path: [...path, name], list });
        this.fill(key);
      }
    };
    entry.dataset.name = `d${name}`;
    entry.append(button, list);
    return entry;
  }

  dataset(path, name, tags) {
    const entry = document.createElement("li"), button = this.button(name, tags);
    button.onclick = () => this.choose([...path, name]);
    entry.dataset.name = `f${name}`;
    entry.append(button);
    return entry;
  }

  button(text, tags) {
    const button = document.createElement("button"), name = document.createElement("span");
    button.type = "button";
    button.className = "link";
    name.textContent = text;
    button.append(name);
    for (const tag of tags) {
      const mark = document.createElement("span");
      mark.className = "tag";
      mark.textContent = tag;
      button.append(" ", mark);
    }
    return button;
  }

  happened(one) {
    if (["new-dir", "new-dataset", "tags-updated"].includes(one.kind) && this.open.has(one.source)) {
      this.fill(one.source);
    }
  }

  again() {
    for (const key of this.open.keys()) this.fill(key);
  }
}

function item(text) {
  const entry = document.createElement("li");
  entry.className = "dim";
  entry.textContent = text;
  return entry;
}
