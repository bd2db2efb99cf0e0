// Gradient norms of the layers over depth and time: a column a point, a row a layer, the colour a power of ten.

import { h, fill } from "../dom.js";
import { number } from "../format.js";
import * as draw from "./draw.js";
import { scale, ticks } from "./scale.js";

const LEFT = 62, RIGHT = 10, TOP = 4, BOTTOM = 24;
// Dark for vanishing, bright for large; every step lighter than the one before, so that it is read without colours too.
const RAMP = [[10, 8, 40], [66, 16, 104], [138, 34, 106], [203, 65, 73], [243, 125, 21], [249, 201, 50], [252, 255, 190]];

const NOT_FINITE = [0, 220, 255];

function ramp(share) {
  const at = Math.min(RAMP.length - 1.0001, Math.max(0, share * (RAMP.length - 1)));
  const n = Math.floor(at), rest = at - n;
  return RAMP[n].map((part, k) => Math.round(part + (RAMP[n + 1][k] - part) * rest));
}

export class HeatMap {
  constructor(axis, { title, height = 180 }) {
    this.axis = axis;
    this.content = { lines: [], spans: [] };
    this.canvas = h("canvas", {});
    this.tip = h("div", { class: "tip", hidden: true });
    this.plot = h("div", { class: "plot", tabindex: "0", role: "img", "aria-label": title }, this.canvas, this.tip);
    this.plot.style.height = `${height}px`;
    this.scaleNote = h("span", { class: "quiet" });
    this.node = h("figure", { class: "panel" }, h("figcaption", {}, h("strong", {}, title), this.scaleNote), this.plot);
    this.sizes = new ResizeObserver(() => this.redraw());
    this.sizes.observe(this.plot);
    axis.charts.add(this);
    addEventListener("theme", () => this.redraw());
    this.plot.addEventListener("pointermove", event => this.point(event));
    this.plot.addEventListener("pointerleave", () => { this.tip.hidden = true; axis.point(null, null); });
    this.plot.addEventListener("dblclick", () => axis.look(null));
  }

  /** `columns`: {step, values: one a layer, null where none}; `layers`: their names, the first layer first. */
  show({ columns, layers }) {
    this.columns = columns;
    this.layers = layers;
    this.short = toldApart(layers);
    let low = Infinity, high = -Infinity;
    for (const { values } of columns) {
      for (const value of values) {
        if (!(value > 0) || !Number.isFinite(value)) continue;
        low = Math.min(low, Math.log10(value));
        high = Math.max(high, Math.log10(value));
      }
    }
    if (!(low <= high)) { low = -1; high = 0; }
    if (high - low < 1) { low -= 0.5; high += 0.5; }
    this.scaleNote.textContent = `dark ${number(10 ** low, 2)} … bright ${number(10 ** high, 2)}, not finite blue; the first layer is at the bottom`;
    this.image = painted(columns, layers.length, low, high);
    this.plot.setAttribute("aria-label", `Gradient norm of ${layers.length} layers over the steps, ${this.scaleNote.textContent}`);
    this.redraw();
  }

  redraw() {
    if (this.waiting || !this.columns) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.draw(); });
  }

  draw() {
    const width = this.plot.clientWidth, height = this.plot.clientHeight;
    if (!width || !this.plot.isConnected) return;
    const ratio = devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const { axis, layers, columns } = this;
    const left = LEFT, right = width - RIGHT, top = TOP, bottom = height - BOTTOM;
    const x = scale(axis.from, axis.to, left, right), each = (bottom - top) / layers.length;
    const colours = draw.pageColours();
    const plot = this.last = { context, left, right, top, bottom, x, y: () => bottom, colours, each };
    draw.axes(plot, ticks(x, width / 110).filter(one => Number.isInteger(one.value)), [], true);
    context.textAlign = "right";
    context.textBaseline = "middle";
    const every = Math.ceil(layers.length / Math.max(1, Math.floor((bottom - top) / 13)));
    for (let n = 0; n < layers.length; n += every) {
      context.fillText(shortened(this.short[n]), left - 6, bottom - (n + 0.5) * each);
    }
    context.save();
    context.beginPath();
    context.rect(left, top, right - left, bottom - top);
    context.clip();
    context.imageSmoothingEnabled = false;
    for (let n = 0; n < columns.length; n += 1) {
      const { step } = columns[n];
      const begin = x(step), end = n + 1 < columns.length ? x(columns[n + 1].step) : begin + Math.max(2, right - begin);
      if (end < left || begin > right) continue;
      context.drawImage(this.image, n, 0, 1, layers.length, begin, top, Math.max(1, end - begin + 0.5), bottom - top);
    }
    if (axis.cursor !== null) draw.cross(plot, axis.cursor);
    context.restore();
  }

  point(event) {
    if (!this.last) return;
    const box = this.plot.getBoundingClientRect();
    const step = this.last.x.back(event.clientX - box.left);
    const layer = Math.floor((this.last.bottom - (event.clientY - box.top)) / this.last.each);
    const n = Math.max(0, draw.place(this.columns.map(one => one.step), step + 1e-9) - 1);
    const column = this.columns[n];
    if (!column || !(layer >= 0 && layer < this.layers.length)) { this.tip.hidden = true; return; }
    this.axis.point(column.step, this);
    fill(this.tip, h("div", {}, h("strong", {}, this.axis.label(column.step))),
      h("div", {}, h("span", {}, this.layers[layer]), h("span", {}, number(column.values[layer], 3))));
    this.tip.hidden = false;
    const px = event.clientX - box.left;
    this.tip.style.left = `${px + 14 + this.tip.offsetWidth > box.width ? Math.max(0, px - 14 - this.tip.offsetWidth) : px + 14}px`;
    this.tip.style.top = "10px";
  }
}

/** A pixel for each value, the last layer on top: thousands of them are painted once, and only stretched after that. */
function painted(columns, layers, low, high) {
  const image = h("canvas", {});
  image.width = columns.length;
  image.height = layers;
  const context = image.getContext("2d"), pixels = context.createImageData(columns.length, layers);
  columns.forEach(({ values }, n) => values.forEach((value, k) => {
    if (value === null) return;
    const colour = Number.isFinite(value) ? ramp((Math.log10(Math.max(value, 1e-300)) - low) / (high - low)) : NOT_FINITE;
    pixels.data.set([...colour, 255], 4 * ((layers - 1 - k) * columns.length + n));
  }));
  context.putImageData(pixels, 0, 0);
  return image;
}

/** What tells the layers apart: their names without the parts, between dots, that all of them begin or end with. */
export function toldApart(names) {
  const parts = names.map(name => name.split(/(?<=[./])|(?=[./])/));
  const least = Math.min(...parts.map(one => one.length)) - 1;
  const common = at => { let n = 0; while (n < least && parts.every(one => at(one, n) === at(parts[0], n))) n += 1; return n; };
  if (names.length < 2) return names;
  const begin = common((one, n) => one[n]), end = Math.min(least - begin, common((one, n) => one.at(-1 - n)));
  return parts.map(one => one.slice(begin, one.length - end).join("").replace(/^[./]|[./]$/g, "") || one.join(""));
}

const shortened = name => (name.length > 9 ? `${name.slice(0, 4)}…${name.slice(-4)}` : name);
