// Figures by BokehJS, one class for each way to look at rows. A figure takes messages as they come
// and draws when it is told to: what came meanwhile is joined, so a page that is not looked at costs
// nothing, and one with many figures stays awake (see Painter).

import { numbers, singles } from "./link.js";

const MOST_POINTS = 4000; // of a curve; what is further back goes
const BAND_ROWS = 300;
const OLDER_LINES = 4;
const FRAME_MS = 8; // of a frame that may go into drawing, so that the rest is the user's
export const COLORS = ["#0b84c4", "#d1495b", "#2a9d55", "#b07b00", "#8e5bd0", "#00897b", "#c2519b",
  "#6b7a00", "#5b77e8", "#b4551d"];

function tone(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

Bokeh.set_log_level("error"); // a figure that has no rows yet is no warning

export class Painter {
  // Draws what has changed and can be seen, in turn, a slice of each frame.
  constructor() {
    this.dirty = new Set();
    this.asked = false;
    this.eye = new IntersectionObserver((seen) => {
      for (const one of seen) {
        one.target.figure.visible = one.isIntersecting;
        if (one.isIntersecting) this.want(one.target.figure);
      }
    }, { rootMargin: "100px" });
  }

  add(figure) {
    figure.element.figure = figure;
    this.eye.observe(figure.element);
  }

  remove(figure) {
    this.eye.unobserve(figure.element);
    this.dirty.delete(figure);
  }

  want(figure) {
    if (!figure.visible) return;
    this.dirty.add(figure);
    if (!this.asked) requestAnimationFrame(() => this.paint());
    this.asked = true;
  }

  paint() {
    const until = performance.now() + FRAME_MS;
    this.asked = false;
    for (const figure of this.dirty) {
      this.dirty.delete(figure);
      if (figure.visible) figure.draw();
      if (performance.now() > until) break;
    }
    if (this.dirty.size) {
      this.asked = true;
      requestAnimationFrame(() => this.paint());
    }
  }
}

class Figure {
  constructor(element, about) {
    this.element = element;
    this.about = about;
    this.visible = false;
    this.newest = "";
  }

  async show() {
    this.model = this.figure();
    this.dress();
    this.view = await Bokeh.Plotting.show(this.model, this.element);
  }

  async restyle() {
    this.remove();
    await this.show();
  }

  remove() {
    if (this.view) this.view.remove();
    this.element.replaceChildren();
  }

  make(options) {
    return Bokeh.Plotting.figure({
      height: 240, sizing_mode: "stretch_width", output_backend: "canvas", toolbar_location: "above", toolbar_inner: true,
      tools: "pan,wheel_zoom,box_zoom,reset,save", ...options,
    });
  }

  dress() {
    const figure = this.model, text = tone("--text"), line = tone("--line");
    figure.background_fill_color = figure.border_fill_color = tone("--panel");
    figure.outline_line_color = line;
    figure.toolbar.logo = null;
    figure.toolbar.autohide = true;
    for (const axis of [...figure.below, ...figure.left]) {
      Object.assign(axis, { axis_label_text_color: text, major_label_text_color: text,
        axis_line_color: line, major_tick_line_color: line, minor_tick_line_color: null,
        axis_label_text_font_style: "normal" });
    }
    for (const grid of figure.center) if ("grid_line_color" in grid) grid.grid_line_color = line;
  }

  legend(figure) {
    for (const legend of figure.legends || figure.center.filter((one) => one.type === "Legend")) {
      Object.assign(legend, { background_fill_color: tone("--panel"), background_fill_alpha: 0.7,
        label_text_color: tone("--text"), border_line_color: null, location: "top_left",
        click_policy: "hide", label_text_font_size: "11px", spacing: 0, padding: 4,
        label_height: 14, glyph_height: 12 });
    }
  }
}

export class Curves extends Figure {
  // Columns over time, or over the first independent of a dataset.
  constructor(element, about) {
    super(element, about);
    this.came = [];
    this.source = new Bokeh.ColumnDataSource({ data: this.empty() });
  }

  empty() {
    const names = ["x", ...this.about.labels.map((_, i) => `y${i}`)];
    return Object.fromEntries(names.map((name) => [name, new Float64Array(0)]));
  }

  figure() {
    const timed = this.about.of === "job", labels = this.about.labels;
    const figure = this.make({
      x_axis_type: timed ? "datetime" : "auto", y_axis_label: this.about.unit || null,
      x_axis_label: timed ? null : this.axis || null,
      x_range: new Bokeh.DataRange1d(timed
        ? { follow: "end", follow_interval: 1000 * this.about.seconds, range_padding: 0 } : {}),
    });
    labels.forEach((label, i) => {
      const named = labels.length > 1 && labels.length <= 12 ? { legend_label: label } : {};
      figure.line({ field: "x" }, { field: `y${i}` },
        { source: this.source, line_color: COLORS[i % COLORS.length], line_width: 1.5, ...named });
      if (!timed) figure.scatter({ field: "x" }, { field: `y${i}` },
        { source: this.source, color: COLORS[i % COLORS.length], size: 3 });
    });
    this.legend(figure);
    return figure;
  }

  take(message) {
    const scale = this.about.of === "job" ? 1000 : 1;
    const part = { x: numbers(message.x).map((x) => scale * x) };
    this.about.labels.forEach((label, i) => {
      const packed = message.y[label];
      part[`y${i}`] = packed ? numbers(packed) : new Float64Array(part.x.length).fill(NaN);
    });
    if (message.axis) this.axis = message.axis;
    if (message.reset) this.came = [];
    this.reset = this.reset || message.reset;
    this.came.push(part);
    const most = Math.max(...this.came.map((one) => one.x.length), MOST_POINTS);
    let waiting = this.came.reduce((sum, one) => sum + one.x.length, 0);
    while (waiting > most) waiting -= this.came.shift().x.length;
    if (part.x.length) this.newest = this.words(part);
  }

  words(part) {
    return this.about.labels.slice(0, 4)
      .map((label, i) => `${label} ${part[`y${i}`].at(-1).toPrecision(6)}`).join(", ");
  }

  draw() {
    if (!this.came.length) return;
    const whole = joined(this.came);
    this.came = [];
    if (this.reset) this.source.data = whole;
    else this.source.stream(whole, MOST_POINTS);
    this.reset = false;
    if (this.axis && this.model) this.model.below[0].axis_label = this.axis;
  }
}

function joined(parts) {
  if (parts.length === 1) return parts[0];
  const length = parts.reduce((sum, part) => sum + part.x.length, 0), whole = {};
  for (const name of Object.keys(parts[0])) {
    whole[name] = new Float64Array(length);
    let at = 0;
    for (const part of parts) {
      whole[name].set(part[name], at);
      at += part[name].length;
    }
  }
  return whole;
}

export class Lines extends Figure {
  // The newest row of an array as a curve, the ones before it paler; or one curve per channel.
  constructor(element, about) {
    super(element, about);
    this.rows = [];
    this.source = new Bokeh.ColumnDataSource({ data: { xs: [], ys: [], color: [], alpha: [] } });
  }

  figure() {
    const figure = this.make({ x_axis_label: "sample", y_axis_label: this.about.unit || null });
    figure.multi_line({ field: "xs" }, { field: "ys" }, { source: this.source, line_width: 1.3,
      line_color: { field: "color" }, line_alpha: { field: "alpha" } });
    return figure;
  }

  take(message) {
    this.rows.push({ x: numbers(message.x), ys: message.ys.map(numbers) });
    if (this.rows.length > OLDER_LINES) this.rows.shift();
    this.newest = `row of ${clock(message.time, this.about)}`;
    this.changed = true;
  }

  draw() {
    if (!this.changed) return;
    this.changed = false;
    const single = this.rows.at(-1).ys.length === 1, data = { xs: [], ys: [], color: [], alpha: [] };
    const shown = single ? this.rows : this.rows.slice(-1);
    shown.forEach((row, age) => row.ys.forEach((y, i) => {
      data.xs.push(row.x);
      data.ys.push(y);
      data.color.push(COLORS[i % COLORS.length]);
      data.alpha.push(age === shown.length - 1 ? 1 : 0.12 + 0.1 * age);
    }));
    this.source.data = data;
  }
}

class Colors extends Figure {
  // What is drawn as colours.
  constructor(element, about) {
    super(element, about);
    this.source = new Bokeh.ColumnDataSource({ data: { image: [], x: [], y: [], dw: [], dh: [] } });
    this.mapper = new Bokeh.LinearColorMapper({ palette: palette(), nan_color: "rgba(0,0,0,0)" });
  }

  figure() {
    const figure = this.make({ x_axis_label: this.names[0], y_axis_label: this.names[1],
      match_aspect: Boolean(this.square),
      x_range: new Bokeh.DataRange1d({ range_padding: 0 }),
      y_range: new Bokeh.DataRange1d({ range_padding: 0, flipped: true }) });
    const fields = ["image", "x", "y", "dw", "dh"].map((name) => [name, { field: name }]);
    figure.image({ ...Object.fromEntries(fields), source: this.source, color_mapper: this.mapper });
    const bar = new Bokeh.ColorBar({ color_mapper: this.mapper, width: 10, padding: 4,
      background_fill_color: tone("--panel"), major_label_text_color: tone("--text"),
      title: this.about.unit || null, title_text_color: tone("--text") });
    figure.add_layout(bar, "right");
    return figure;
  }

  paint(values, rows, columns, width, height) {
    const image = Bokeh.require("core/util/ndarray").ndarray(values,
      { dtype: "float32", shape: [rows, columns] });
    this.source.data = { image: [image], x: [0], y: [0], dw: [width], dh: [height] };
  }
}

export class Waterfall extends Colors {
  // Rows below each other, the newest at the foot.
  constructor(element, about) {
    super(element, about);
    this.names = ["sample", "rows, the newest last"];
    this.rows = [];
  }

  take(message) {
    const values = singles(message.values), width = message.width;
    if (message.reset || width !== this.width) this.rows = [];
    this.width = width;
    this.size = message.size;
    for (let at = 0; at < values.length; at += width) this.rows.push(values.subarray(at, at + width));
    this.rows.splice(0, this.rows.length - BAND_ROWS);
    const times = numbers(message.x);
    this.newest = `row of ${clock(times.at(-1), this.about)}`;
    this.changed = true;
  }

  draw() {
    if (!this.changed || !this.rows.length) return;
    this.changed = false;
    const whole = new Float32Array(this.rows.length * this.width);
    this.rows.forEach((row, i) => whole.set(row, i * this.width));
    this.paint(whole, this.rows.length, this.width, this.size, this.rows.length);
  }
}

export class Picture extends Colors {
  // The newest row of two axes as an image, its pixels square.
  constructor(element, about) {
    super(element, about);
    this.names = ["column", "line"];
    this.square = true;
  }

  take(message) {
    this.message = message;
    this.newest = `row of ${clock(message.time, this.about)}`;
  }

  draw() {
    if (!this.message) return;
    const [rows, columns] = this.message.shape, [height, width] = this.message.size;
    this.paint(singles(this.message.values), rows, columns, width, height);
    this.message = null;
  }
}

function palette() {
  return Bokeh.require("api/palettes").Viridis256 || Bokeh.require("api/palettes").viridis(256);
}

export function clock(seconds, about) {
  if (about && about.of !== "job") return String(seconds);
  return new Date(1000 * seconds).toISOString().slice(11, 21);
}

export const MODES = { curves: Curves, lines: Lines, waterfall: Waterfall, image: Picture };
