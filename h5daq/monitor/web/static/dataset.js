// One dataset, of a job or of the vault: its columns and how to plot them, comments, attributes.

import { at, pairs, set } from "./lists.js";
import { clock } from "./figures.js";

const MOST_TOGETHER = 8; // columns of a job that are plotted at first
const MOST_UNITS = 3; // and plots of them, one for each unit

export class Dataset {
  constructor(link, plots) {
    this.link = link;
    this.plots = plots;
    this.operator = false;
    at("comment-user").value = localStorage.getItem("h5daq-user") || "";
    at("comment-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.comment();
    });
  }

  allow(operator) {
    this.operator = operator;
    for (const field of at("comment-form").elements) field.disabled = !operator;
    set(at("comment-said"), operator ? "" : "To comment, take control with the token.");
  }

  async show(of, path) {
    this.of = of;
    this.path = path;
    set(at("dataset-title"), path.join("/"));
    at("dataset-part").hidden = false;
    for (const id of ["columns", "comments", "attributes"]) at(id).replaceChildren();
    try {
      const about = await this.link.ask({ k: "about", of, path });
      if (this.path !== path) return;
      this.fill(about);
    } catch (error) {
      set(at("comments-trouble"), error.message);
    }
    at("dataset-title").focus();
    at("dataset-part").scrollIntoView({ block: "nearest" });
  }

  fill(about) {
    at("columns").replaceChildren(...this.together(about.columns), ...about.columns.map((c) => this.column(c)));
    pairs(at("attributes"), [...Object.entries(about.attrs), ...(about.tags.length ? [["tags", about.tags.join(", ")]] : [])]);
    this.say(about.comments);
    set(at("comments-trouble"), about.without_comments || "");
  }

  together(columns) {
    const scalars = columns.filter((column) => plain(column) && column.role !== "independent");
    if (scalars.length < 2) return [];
    const plot = { of: this.of, path: this.path, labels: scalars.map((c) => c.label), mode: "curves",
      unit: same(scalars) };
    const entry = document.createElement("li");
    entry.append(`all ${scalars.length} numbers `, this.toggle("in one plot", plot));
    return [entry];
  }

  column(column) {
    const entry = document.createElement("li"), name = document.createElement("strong");
    name.textContent = column.label;
    const shape = column.shape.length ? ` [${column.shape.join(" × ")}]` : "";
    const unit = column.unit ? `, ${column.unit}` : "";
    entry.append(name, `${shape} ${column.dtype}${unit}${column.description ? `: ${column.description}` : ""} `);
    for (const [text, mode] of ways(column)) {
      entry.append(this.toggle(text, { of: this.of, path: this.path, labels: [column.label], mode,
        unit: column.unit }), " ");
    }
    return entry;
  }

  toggle(text, about) {
    const button = document.createElement("button");
    const show = () => button.setAttribute("aria-pressed", String(this.plots.has(about)));
    button.type = "button";
    button.textContent = text;
    button.setAttribute("aria-label", `Plot ${about.labels.slice(0, 4).join(", ")} ${text}`);
    button.onclick = async () => {
      if (this.plots.has(about)) this.plots.remove(about);
      else await this.plots.add(about);
      show();
    };
    show();
    return button;
  }

  async plotJob(name) {
    const path = name.split("/");
    const { columns } = await this.link.ask({ k: "about", of: "job", path });
    const scalars = columns.filter(plain).slice(0, MOST_TOGETHER);
    const units = new Set(scalars.map((column) => column.unit));
    for (const unit of [...units].slice(0, MOST_UNITS)) {
      const labels = scalars.filter((column) => column.unit === unit).map((column) => column.label);
      await this.plots.add({ of: "job", path, labels, mode: "curves", unit });
    }
    if (scalars.length) return;
    const array = columns.find((column) => ways(column).length);
    const mode = array && (array.shape.length > 1 ? "image" : "waterfall");
    if (array) await this.plots.add({ of: "job", path, labels: [array.label], mode, unit: array.unit });
  }

  say(comments) {
    at("comments").replaceChildren(...comments.map(([time, user, text]) => {
      const entry = document.createElement("li"), when = document.createElement("time");
      const day = new Date(1000 * time).toISOString();
      when.dateTime = day;
      when.textContent = `${day.slice(0, 10)} ${clock(time).slice(0, 8)}`;
      entry.append(when, ` ${user}: ${text}`);
      return entry;
    }));
  }

  async comment() {
    const text = at("comment-text").value, user = at("comment-user").value.trim();
    const { of, path } = this;
    localStorage.setItem("h5daq-user", user);
    set(at("comment-said"), "…");
    try {
      await this.link.ask({ k: "comment", of, path, text, user });
      at("comment-text").value = "";
      set(at("comment-said"), "It is in the file's journal.");
      this.say(await this.link.ask({ k: "comments", of, path }));
    } catch (error) {
      set(at("comment-said"), error.message);
    }
  }

  happened(one, run) {
    if (one.kind !== "comments-available" || !this.path) return;
    const above = this.of === "job" && run && run.path ? `${run.path}/` : "";
    if (one.source !== above + this.path.join("/")) return;
    this.link.ask({ k: "comments", of: this.of, path: this.path }).then((said) => this.say(said), () => {});
  }
}

const plain = (column) => !column.shape.length && isNumber(column);

function isNumber(column) {
  return !/^(s|object|str|\|S|<U)/.test(column.dtype);
}

function ways(column) {
  if (!isNumber(column) || column.role === "independent") return [];
  if (!column.shape.length) return [["as a curve", "curves"]];
  if (column.shape.length === 1) return [["as traces", "lines"], ["as a waterfall", "waterfall"]];
  return [["as an image", "image"], ["as traces", "lines"]];
}

function same(columns) {
  const units = new Set(columns.map((column) => column.unit));
  return units.size === 1 ? columns[0].unit : "";
}
