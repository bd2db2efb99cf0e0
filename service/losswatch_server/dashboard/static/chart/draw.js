// Drawing on the canvas of a chart. Every function draws one thing within `plot` = {context, left, right, top, bottom,
// x, y, colours}; nothing here keeps anything.

const DENSE = 4; // points a pixel
const ROUND = 300; // points whose joins are round
const FONT = "11px system-ui, -apple-system, sans-serif";

/** The colours of the page as it is shown now. */
export function pageColours() {
  const style = getComputedStyle(document.documentElement);
  const read = name => style.getPropertyValue(`--${name}`).trim();
  return new Proxy({}, { get: (known, name) => (known[name] ??= read(name)) });
}

/** Grid and labels; the labels of the x axis where `withSteps`. */
export function axes(plot, xTicks, yTicks, withSteps) {
  const { context, left, right, top, bottom, x, y, colours } = plot;
  context.font = FONT;
  context.strokeStyle = colours.grid;
  context.fillStyle = colours.quiet;
  context.lineWidth = 1;
  context.beginPath();
  for (const { value } of yTicks) line(context, left, y(value), right, y(value));
  for (const { value } of xTicks) line(context, x(value), top, x(value), bottom);
  context.stroke();
  context.textBaseline = "middle";
  context.textAlign = "right";
  for (const { value, label } of yTicks) context.fillText(label, left - 6, y(value));
  if (!withSteps) return;
  context.textBaseline = "top";
  context.textAlign = "center";
  let end = -Infinity;
  for (const { value, label } of xTicks) {
    const half = context.measureText(label).width / 2, place = Math.min(right - half, Math.max(left + half, x(value)));
    if (place - half < end + 8) continue;
    context.fillText(label, place, bottom + 6);
    end = place + half;
  }
}

function line(context, x0, y0, x1, y1) {
  context.moveTo(Math.round(x0) + 0.5, Math.round(y0) + 0.5);
  context.lineTo(Math.round(x1) + 0.5, Math.round(y1) + 0.5);
}

/** A curve. A value that is not finite, or has no place on a logarithmic axis, leaves a gap. */
export function curve(plot, { x: steps, y: values, colour, width = 1.6, alpha = 1, dash = [], dots = false }, logarithmic) {
  const { context, x, y, colours, right, left } = plot;
  context.save();
  context.strokeStyle = context.fillStyle = colours[colour] || colour;
  context.globalAlpha = alpha;
  context.lineWidth = width;
  context.setLineDash(dash);
  context.beginPath();
  let open = false, column = null;
  const seen = [];
  const from = Math.max(0, place(steps, x.back(left)) - 1), to = Math.min(steps.length, place(steps, x.back(right)) + 2);
  const isDense = to - from > DENSE * (right - left);
  context.lineJoin = to - from > ROUND ? "bevel" : "round"; // where points stand close nobody sees a join, and it costs most
  // Of very many points a column of pixels shows where they enter, their extremes, and where they leave: the same ink.
  const leave = () => {
    if (!column) return;
    for (const py of [column.first, column.low, column.high, column.last]) {
      if (open) context.lineTo(column.px, py); else context.moveTo(column.px, py);
      open = true;
    }
    column = null;
  };
  for (let n = from; n < to; n += 1) {
    const value = values[n];
    if (!Number.isFinite(value) || (logarithmic && value <= 0)) { leave(); open = false; continue; }
    const px = x(steps[n]), py = y(value);
    if (isDense) {
      const at = Math.round(px);
      if (column?.px !== at) { leave(); column = { px: at, first: py, low: py, high: py, last: py }; }
      if (py < column.low) column.low = py;
      if (py > column.high) column.high = py;
      column.last = py;
      continue;
    }
    if (open) context.lineTo(px, py); else context.moveTo(px, py);
    seen.push(px, py);
    open = true;
  }
  leave();
  context.stroke();
  if (seen.length && (dots || seen.length <= 120)) {
    context.beginPath();
    for (let n = 0; n < seen.length; n += 2) { context.moveTo(seen[n] + 2, seen[n + 1]); context.arc(seen[n], seen[n + 1], Math.min(2, width + 0.4), 0, 7); }
    context.fill();
  }
  context.restore();
}

/** The first index whose step is at or past `step`. */
export function place(steps, step) {
  let low = 0, high = steps.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle] < step) low = middle + 1; else high = middle;
  }
  return low;
}

/** A finding's time: shaded, with its name at the top. `to` null: until the end. */
export function span(plot, { from, to, colour, label, strong }, row) {
  const { context, left, right, top, bottom, x, colours } = plot;
  const x0 = Math.max(left, x(from)), x1 = Math.min(right, to === null ? right : x(to));
  if (x1 < left || x0 > right) return;
  const width = Math.max(3, x1 - x0);
  context.save();
  context.fillStyle = colours[colour];
  context.globalAlpha = strong ? 0.13 : 0.07;
  context.fillRect(x0, top, width, bottom - top);
  context.globalAlpha = 1;
  context.fillRect(x0, top, width, 3);
  if (label) {
    context.font = `600 ${FONT}`;
    context.textBaseline = "top";
    context.textAlign = "left";
    const size = context.measureText(label).width;
    const begin = x0 + 6 + size <= right ? x0 + 6 : Math.max(left + 4, right - size - 6);
    const height = top + 7 + row * 16;
    context.fillStyle = colours.panel;
    context.globalAlpha = 0.8;
    context.fillRect(begin - 3, height - 2, size + 6, 15);
    context.globalAlpha = 1;
    context.fillStyle = colours[colour];
    context.fillText(label, begin, height);
  }
  context.restore();
}

/** Whether a curve runs through a box of the plot. */
function runsThrough({ x, y }, { x: steps, y: values }, [x0, y0, x1, y1]) {
  for (let px = x0; px <= x1; px += 8) {
    const step = x.back(px), n = place(steps, step);
    if (n === 0 || n >= steps.length) continue;
    const share = (step - steps[n - 1]) / (steps[n] - steps[n - 1] || 1), py = y(values[n - 1]) * (1 - share) + y(values[n]) * share;
    if (py >= y0 && py <= y1) return true;
  }
  return false;
}

/** Writes a word on the first of some heights (of its foot) at which no curve is in its way, else on the first. */
function word(plot, label, begin, feet, ink) {
  const { context, left, right, colours, lines = [] } = plot, width = context.measureText(label).width;
  const at = Math.max(left + 3, Math.min(begin, right - width - 3));
  const foot = feet.find(y => !lines.some(one => runsThrough(plot, one, [at - 2, y - 14, at + width + 2, y + 1]))) ?? feet[0];
  context.textAlign = "left";
  context.textBaseline = "bottom";
  context.fillStyle = colours.panel;
  context.globalAlpha = 0.85;
  context.fillRect(at - 2, foot - 13, width + 4, 14);
  context.globalAlpha = 1;
  context.fillStyle = ink;
  context.fillText(label, at, foot);
}

/** A moment: a vertical line with its word `lift` pixels above its foot, or below `names` rows of names where a curve is in
 * the way; the onset dashed, the opening solid. */
export function moment(plot, { at, colour, dash = [], label }, lift = 0, names = 0) {
  const { context, left, right, top, bottom, x, colours } = plot;
  const px = x(at);
  if (px < left - 1 || px > right + 1) return;
  context.save();
  context.strokeStyle = context.fillStyle = colours[colour];
  context.lineWidth = 1.5;
  context.setLineDash(dash);
  context.beginPath();
  line(context, px, top, px, bottom);
  context.stroke();
  if (label) {
    context.font = FONT;
    const width = context.measureText(label).width;
    word(plot, label, px + width + 8 > right ? px - 4 - width : px + 4, [bottom - 5 - lift, top + 20 + names * 16], colours[colour]);
  }
  context.restore();
}

/** Values that are not finite, as marks on the axis: × for NaN at the foot, ↑ and ↓ for the infinities. `names`: rows of
 * names of spans, which the ↑ stand below. */
export function marks(plot, found, names = 0) {
  const { context, left, right, top, bottom, x, colours } = plot;
  context.save();
  context.fillStyle = context.strokeStyle = colours.critical;
  context.lineWidth = 1.6;
  context.font = `600 ${FONT}`;
  const last = new Map(); // by height: where the last mark stands
  const first = new Map(); // by kind: where its word stands
  for (const { step, value } of found) {
    const px = x(step);
    if (px < left - 1 || px > right + 1) continue;
    const py = value === Infinity ? top + 10 + names * 16 : bottom - 6, word = Number.isNaN(value) ? "NaN" : value > 0 ? "+∞" : "−∞";
    if (!first.has(word)) first.set(word, { px, py });
    if (px - (last.get(py) ?? -Infinity) < 3) continue;
    last.set(py, px);
    context.beginPath();
    if (Number.isNaN(value)) {
      context.moveTo(px - 3, py - 3); context.lineTo(px + 3, py + 3);
      context.moveTo(px + 3, py - 3); context.lineTo(px - 3, py + 3);
    } else {
      const up = value > 0 ? -1 : 1;
      context.moveTo(px, py + 5 * up); context.lineTo(px, py - 4 * up);
      context.moveTo(px - 3, py + 1.5 * up); context.lineTo(px, py + 5 * up); context.lineTo(px + 3, py + 1.5 * up);
    }
    context.stroke();
  }
  for (const [word, { px, py }] of first) {
    context.textBaseline = "middle";
    const toRight = px - context.measureText(word).width - 8 < left;
    context.textAlign = toRight ? "left" : "right";
    context.fillText(word, toRight ? px + 7 : px - 6, py);
  }
  context.restore();
}

/** Where the loss is expected to end: a band at the right with a dashed line. */
export function band(plot, { low, high, middle, from, label, short }) {
  const { context, left, right, x, y, top, bottom, colours } = plot;
  const x0 = Math.max(left, x(from));
  if (x0 >= right) return;
  const clip = value => Math.min(bottom, Math.max(top, y(value)));
  context.save();
  context.fillStyle = context.strokeStyle = colours["series-4"];
  context.globalAlpha = 0.18;
  if (low !== null && high !== null) context.fillRect(x0, clip(high), right - x0, Math.max(2, clip(low) - clip(high)));
  context.globalAlpha = 1;
  context.setLineDash([4, 4]);
  context.beginPath();
  line(context, x0, clip(middle), right, clip(middle));
  context.stroke();
  context.setLineDash([]);
  context.font = FONT;
  const under = clip(low === null ? middle : low) + 16, over = clip(high === null ? middle : high) - 3;
  // Not below the band where the words of the moments stand.
  const feet = [...(under <= bottom - 20 ? [under] : []), ...[0, 18, 36, 54].map(more => over - more).filter(foot => foot > top + 40)];
  const said = context.measureText(label).width > (right - left) * 0.7 ? short : label;
  word(plot, said, right, feet.length ? feet : [over], colours["series-4"]);
  context.restore();
}

/** A horizontal threshold with its name. */
export function threshold(plot, { value, label }) {
  const { context, left, right, y, top, bottom, colours } = plot;
  const py = y(value);
  if (!(py >= top - 1 && py <= bottom + 1)) return;
  context.save();
  context.strokeStyle = context.fillStyle = colours.critical;
  context.setLineDash([6, 4]);
  context.lineWidth = 1.4;
  context.beginPath();
  line(context, left, py, right, py);
  context.stroke();
  context.font = FONT;
  context.textAlign = "left";
  context.textBaseline = py < top + 16 ? "top" : "bottom";
  context.fillText(label, left + 4, py < top + 16 ? py + 3 : py - 3);
  context.restore();
}

/** The crosshair. */
export function cross(plot, step) {
  const { context, left, right, top, bottom, x, colours } = plot;
  const px = x(step);
  if (px < left || px > right) return;
  context.save();
  context.strokeStyle = colours.quiet;
  context.beginPath();
  line(context, px, top, px, bottom);
  context.stroke();
  context.restore();
}
