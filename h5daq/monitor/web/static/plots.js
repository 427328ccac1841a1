// The plots of the page: which there are, kept for the next visit, each tied to a view at the server.
//
// A plot that comes into being watches; when the connection comes back all watch again. What arrives
// for a view before its first answer waits for it.

import { MODES, Painter } from "./figures.js";

const KEPT = "h5daq-plots";
const DARK = matchMedia("(prefers-color-scheme: dark)");

export class Plots {
  constructor(link, seconds) {
    this.link = link;
    this.place = document.getElementById("plots");
    this.painter = new Painter();
    this.all = new Map(); // by key
    this.views = new Map(); // by the number of the view
    this.next = 1;
    this.seconds = seconds;
    DARK.addEventListener("change", () => this.each((plot) => plot.figure.restyle()));
  }

  each(act) {
    for (const plot of this.all.values()) act(plot);
  }

  key(about) {
    return JSON.stringify([about.of, about.path, about.labels, about.mode]);
  }

  has(about) {
    return this.all.has(this.key(about));
  }

  async add(about) {
    const key = this.key(about);
    if (this.all.has(key)) return;
    const plot = { about: { ...about, seconds: this.seconds }, element: this.frame(about) };
    this.all.set(key, plot);
    const Kind = MODES[about.mode];
    plot.figure = new Kind(plot.element.querySelector(".drawing"), plot.about);
    plot.element.plot = plot;
    this.place.append(plot.element);
    this.note();
    await plot.figure.show();
    this.painter.add(plot.figure);
    await this.watch(plot);
  }

  frame(about) {
    const element = document.createElement("figure"), caption = document.createElement("figcaption");
    const title = document.createElement("strong"), newest = document.createElement("span");
    const close = document.createElement("button"), drawing = document.createElement("div");
    title.textContent = name(about);
    newest.className = "newest";
    close.type = "button";
    close.textContent = "✕";
    close.setAttribute("aria-label", `Close the plot of ${name(about)}`);
    close.onclick = () => this.remove(about);
    drawing.className = "drawing";
    drawing.setAttribute("role", "img");
    drawing.setAttribute("aria-label", `Plot of ${name(about)}`);
    caption.append(title, newest, close);
    element.append(caption, drawing);
    return element;
  }

  remove(about) {
    const key = this.key(about), plot = this.all.get(key);
    if (!plot) return;
    this.all.delete(key);
    this.unwatch(plot);
    this.painter.remove(plot.figure);
    plot.figure.remove();
    plot.element.remove();
    this.note();
  }

  async watch(plot) {
    this.unwatch(plot);
    const view = (plot.view = this.next++);
    plot.early = [];
    this.views.set(view, plot);
    try {
      const first = await this.link.ask({ k: "watch", view, ...plot.about });
      if (plot.view !== view) return;
      if (first) this.give(plot, first);
      plot.early.forEach((message) => this.give(plot, message));
      plot.early = null;
    } catch (error) {
      this.say(plot, error.message);
    }
  }

  unwatch(plot) {
    if (plot.view === undefined) return;
    this.views.delete(plot.view);
    this.link.ask({ k: "unwatch", view: plot.view }).catch(() => {});
    plot.view = undefined;
  }

  again() {
    this.each((plot) => {
      plot.view = undefined;
      this.watch(plot);
    });
  }

  span(seconds) {
    this.seconds = seconds;
    this.each((plot) => {
      plot.about.seconds = seconds;
      if (plot.about.mode !== "curves" || plot.about.of !== "job") return;
      plot.figure.model.x_range.follow_interval = 1000 * seconds;
      this.watch(plot);
    });
  }

  take(message) {
    const plot = this.views.get(message.view);
    if (!plot) return;
    if (plot.early) plot.early.push(message);
    else this.give(plot, message);
  }

  give(plot, message) {
    if (message.k === "trouble") return this.say(plot, message.text);
    plot.figure.take(message);
    this.painter.want(plot.figure);
    this.say(plot, plot.figure.newest);
  }

  say(plot, text) {
    const newest = plot.element.querySelector(".newest");
    if (newest.textContent !== text) newest.textContent = text;
  }

  note() {
    document.getElementById("no-plots").hidden = this.all.size > 0;
    const kept = [...this.all.values()].map(({ about: { seconds, ...about } }) => about);
    localStorage.setItem(KEPT, JSON.stringify(kept.slice(0, 100)));
  }

  kept() {
    try {
      return JSON.parse(localStorage.getItem(KEPT)) || [];
    } catch {
      return [];
    }
  }
}

export function name(about) {
  const labels = about.labels.length > 4 ? `${about.labels.length} columns` : about.labels.join(", ");
  return `${about.path.join("/")}: ${labels}${about.mode === "waterfall" ? " (waterfall)" : ""}`;
}
