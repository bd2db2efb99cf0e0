// A curve as small as a word.

import { pageColours } from "./draw.js";
import { looksLogarithmic } from "./scale.js";

/** Draws `line` {x, y} into a canvas, in the colour of `status`; values that are not finite are marks at the foot. */
export function spark(canvas, { x, y }, status) {
  const width = canvas.clientWidth || 168, height = canvas.clientHeight || 34, ratio = devicePixelRatio || 1;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const context = canvas.getContext("2d"), colours = pageColours();
  context.scale(ratio, ratio);
  const colour = colours[status] || colours.quiet;
  const warp = looksLogarithmic([{ y }]) ? Math.log10 : value => value;
  const finite = y.filter(Number.isFinite).map(warp);
  const low = Math.min(...finite), high = Math.max(...finite), size = high - low || 1;
  const first = x[0], last = x.at(-1) > first ? x.at(-1) : first + 1;
  const px = step => 3 + ((step - first) / (last - first)) * (width - 6);
  const py = value => height - 4 - ((warp(value) - low) / size) * (height - 8);
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = 1.5;
  context.lineJoin = "round";
  context.beginPath();
  let open = false, end = null;
  y.forEach((value, n) => {
    if (!Number.isFinite(value)) { open = false; return; }
    end = [px(x[n]), py(value)];
    if (open) context.lineTo(...end); else context.moveTo(...end);
    open = true;
  });
  context.stroke();
  if (end) {
    context.beginPath();
    context.arc(...end, 2.2, 0, 7);
    context.fill();
  }
  context.strokeStyle = colours.critical;
  context.beginPath();
  y.forEach((value, n) => {
    if (Number.isFinite(value)) return;
    const at = px(x[n]);
    context.moveTo(at - 2.5, height - 6); context.lineTo(at + 2.5, height - 1);
    context.moveTo(at + 2.5, height - 6); context.lineTo(at - 2.5, height - 1);
  });
  context.stroke();
}
