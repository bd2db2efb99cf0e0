// A chart of curves over steps, with what was found in them. It shares its axis with the other charts of the page.

import { h, fill } from "../dom.js";
import { number } from "../format.js";
import * as draw from "./draw.js";
import { pointer } from "./pointer.js";
import { extent, roomy, scale, ticks } from "./scale.js";

const LEFT = 62, RIGHT = 10, TOP = 8, BOTTOM = 24, CLOSED_BOTTOM = 8;

export class Chart {
  /** `content`: see `show`. `withSteps`: whether the steps stand below it. */
  constructor(axis, { title, height = 260, withSteps = true, className = "" }) {
    this.axis = axis;
    this.title = title;
    this.withSteps = withSteps;
    this.logarithmic = false;
    this.content = { lines: [] };
    this.canvas = h("canvas", {});
    this.tip = h("div", { class: "tip", hidden: true });
    this.plot = h("div", { class: "plot", tabindex: "0", role: "img", "aria-label": title }, this.canvas, this.tip);
    this.plot.style.height = `${height}px`;
    this.keys = h("span", { class: "keys-of" });
    this.extra = h("span", { class: "quiet" });
    this.node = h("figure", { class: `panel ${className}` }, h("figcaption", {}, h("strong", {}, title), this.keys, this.extra), this.plot);
    this.waiting = false;
    this.sizes = new ResizeObserver(() => this.redraw());
    this.sizes.observe(this.plot);
    this.themed = () => this.redraw();
    addEventListener("theme", this.themed);
    axis.charts.add(this);
    pointer(this);
  }

  /**
   * `lines`: {name, x, y, colour, width, alpha, dash, quiet, gone}; `quiet` ones have no key and no place in the tip,
   * `gone` ones do not stretch the axis. `spans`: {from, to, colour, label, strong, pick}. `moments`: {at, colour, dash,
   * label}. `marks`: {step, value} that are not finite. `band`, `thresholds`: see draw.js.
   */
  show(content) {
    this.content = content;
    fill(this.keys, content.lines.filter(one => !one.quiet && one.name && content.lines.length > 1).map(one => {
      const key = h("span", { class: `key ${one.dash ? "dashed" : ""}` }, h("i", {}), one.name, " ");
      key.querySelector("i").style.color = `var(--${one.colour}, ${one.colour})`;
      return key;
    }));
    this.plot.setAttribute("aria-label", this.described());
    this.redraw();
  }

  close() {
    this.axis.charts.delete(this);
    this.sizes.disconnect();
    removeEventListener("theme", this.themed);
    this.node.remove();
  }

  redraw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.draw(); });
  }

  draw() {
    const width = this.plot.clientWidth, height = this.plot.clientHeight;
    if (!width || !this.plot.isConnected) return;
    const ratio = devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const { axis, logarithmic } = this;
    const { lines, spans = [], moments = [], marks = [], band, thresholds = [] } = this.content;
    const left = LEFT, right = width - RIGHT, top = TOP, bottom = height - (this.withSteps ? BOTTOM : CLOSED_BOTTOM);
    const x = scale(axis.from, axis.to, left, right);
    const y = this.heights(lines, thresholds, top, bottom);
    const plot = this.last = { context, left, right, top, bottom, x, y, colours: draw.pageColours(), lines: lines.filter(one => !one.quiet) };
    draw.axes(plot, ticks(x, Math.max(2, width / 110)).filter(one => !axis.whole || Number.isInteger(one.value)), ticks(y, height / 42), this.withSteps);
    context.save();
    context.beginPath();
    context.rect(left, top - 1, right - left, bottom - top + 2);
    context.clip();
    const named = rows(spans, plot), names = Math.max(0, ...named.map(([one, row]) => (one.label ? row + 1 : 0)));
    for (const [one, row] of named) draw.span(plot, one, row);
    for (const one of lines) draw.curve(plot, one, logarithmic);
    if (band) draw.band(plot, band);
    for (const one of thresholds) draw.threshold(plot, one);
    const lift = marks.some(({ value }) => value !== Infinity) ? 12 : 0; // above the marks at the foot
    for (const one of apart(moments, x)) draw.moment(plot, one, lift, names);
    draw.marks(plot, marks, names);
    if (axis.cursor !== null) draw.cross(plot, axis.cursor);
    if (this.selection) {
      context.fillStyle = plot.colours.info;
      context.globalAlpha = 0.18;
      context.fillRect(Math.min(...this.selection), top, Math.abs(this.selection[1] - this.selection[0]), bottom - top);
    }
    context.restore();
    this.showTip(plot);
  }

  heights(lines, thresholds, top, bottom) {
    const there = lines.filter(one => !one.gone);
    let found = extent(there, this.axis.from, this.axis.to, this.logarithmic) ?? extent(there, -Infinity, Infinity, this.logarithmic) ?? [this.logarithmic ? 0.1 : 0, 1];
    for (const { value } of thresholds) {
      if (Number.isFinite(value) && (!this.logarithmic || value > 0)) found = [Math.min(found[0], value), Math.max(found[1], value)];
    }
    const [low, high] = roomy(found, this.logarithmic);
    return scale(low, high, bottom, top, this.logarithmic);
  }

  showTip(plot) {
    const { axis, tip } = this;
    if (axis.pointed !== this || axis.cursor === null || this.selection) { tip.hidden = true; return; }
    const at = axis.cursor;
    const here = (this.content.spans ?? []).filter(one => one.label && at >= one.from && (one.to === null || at <= one.to));
    fill(tip,
      h("div", {}, h("strong", {}, axis.label(at))),
      this.content.lines.filter(one => !one.quiet).slice(0, 8).map(one => {
        const value = nearest(one, at, axis);
        return value === null ? null : h("div", {}, h("span", {}, one.name), h("span", {}, number(value, 5)));
      }),
      (this.content.marks ?? []).filter(one => one.step === at).map(one => h("div", {}, h("span", {}, "not finite"), h("span", {}, number(one.value)))),
      here.map(one => h("div", { class: "what" }, one.label)));
    tip.hidden = false;
    const px = plot.x(at), room = this.plot.clientWidth;
    tip.style.left = px + 14 + tip.offsetWidth > room ? `${Math.max(0, px - 14 - tip.offsetWidth)}px` : `${px + 14}px`;
    tip.style.top = "14px";
  }

  /** The curve in words, for those who cannot see it. */
  described() {
    const { lines, spans = [], marks = [] } = this.content;
    const found = extent(lines.filter(one => !one.gone), -Infinity, Infinity, false);
    const parts = [this.title];
    if (found) parts.push(`between ${number(found[0])} and ${number(found[1])}`);
    if (marks.length) parts.push(`${marks.length} values are not finite, the first at step ${marks[0].step}`);
    for (const one of spans) if (one.label) parts.push(`${one.label} from step ${one.from}${one.to === null ? "" : ` to ${one.to}`}`);
    return parts.join("; ");
  }

  /** The finding whose time lies under a place of the chart. */
  pick(px) {
    if (!this.last) return null;
    const step = this.last.x.back(px);
    return (this.content.spans ?? []).filter(one => one.pick && step >= one.from && (one.to === null || step <= one.to)).at(-1)?.pick ?? null;
  }
}

/** The value of a line at the step nearest to `at`; null where it has none about there. */
function nearest({ x, y }, at, axis) {
  if (!x.length) return null;
  let n = draw.place(x, at);
  if (n > 0 && (n === x.length || at - x[n - 1] < x[n] - at)) n -= 1;
  return Math.abs(x[n] - at) <= (axis.to - axis.from) / 40 ? y[n] : null;
}

const WORDS = 110; // pixels that the word of a moment takes

/** Moments that stand so close that their words would cover each other share one. */
function apart(moments, x) {
  const [first, second] = moments;
  if (moments.length !== 2 || Math.abs(x(second.at) - x(first.at)) > WORDS) return moments;
  return [{ ...first, label: null }, { ...second, label: `${first.short ?? first.label}, ${second.short ?? second.label}` }];
}

/** Each span with the row of its name: names of spans that begin close together stand below each other. */
function rows(spans, plot) {
  const ends = [];
  return spans.map(one => {
    const begin = Math.max(plot.left, plot.x(one.from)), size = (one.label ?? "").length * 6.5 + 16;
    let row = ends.findIndex(end => end <= begin);
    if (row < 0) row = ends.length;
    ends[row] = begin + size;
    return [one, row];
  });
}
