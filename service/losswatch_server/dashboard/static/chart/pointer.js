// What a hand does on a chart: point, drag a stretch to zoom into it, double-click to see all, arrows and + − 0.

import { place } from "./draw.js";

const CLICK = 4; // pixels: less is a click, not a drag

export function pointer(chart) {
  const { plot, axis } = chart;
  let from = null;
  const inside = event => event.clientX - plot.getBoundingClientRect().left;
  const within = px => Math.min(chart.last.right, Math.max(chart.last.left, px));

  const snap = px => {
    const step = chart.last.x.back(within(px));
    let best = null;
    for (const { x, quiet } of chart.content.lines) {
      if (quiet) continue;
      const n = place(x, step);
      for (const m of [n - 1, n]) {
        if (m >= 0 && m < x.length && (best === null || Math.abs(x[m] - step) < Math.abs(best - step))) best = x[m];
      }
    }
    for (const { step: mark } of chart.content.marks ?? []) if (best === null || Math.abs(mark - step) < Math.abs(best - step)) best = mark;
    return best ?? (axis.whole ? Math.round(step) : step);
  };

  plot.addEventListener("pointermove", event => {
    if (!chart.last) return;
    const px = inside(event);
    if (from !== null && Math.abs(px - from) > CLICK) {
      chart.selection = [within(from), within(px)];
      chart.redraw();
    }
    axis.point(snap(px), chart);
  });
  plot.addEventListener("pointerdown", event => {
    if (event.button !== 0 || !chart.last) return;
    from = inside(event);
    if (event.pointerType === "mouse") plot.setPointerCapture(event.pointerId);
    else axis.point(snap(from), chart); // a finger does not hover: a tap shows the values, until the next one elsewhere
  });
  plot.addEventListener("pointerup", event => {
    const begun = from;
    from = null;
    if (chart.selection) {
      const [a, b] = chart.selection.map(px => chart.last.x.back(px)).sort((one, other) => one - other);
      chart.selection = null;
      axis.look([a, b]);
    } else if (begun !== null && chart.onPick) {
      const picked = chart.pick(inside(event));
      if (picked) chart.onPick(picked);
    }
  });
  const leave = () => { from = null; chart.selection = null; axis.point(null, null); };
  plot.addEventListener("pointercancel", leave);
  plot.addEventListener("pointerleave", event => { if (from === null && event.pointerType === "mouse") leave(); });
  plot.addEventListener("dblclick", () => axis.look(null));
  plot.addEventListener("wheel", event => {
    if (!event.ctrlKey || !chart.last) return; // the wheel alone scrolls the page
    event.preventDefault();
    axis.zoom(event.deltaY > 0 ? 1.25 : 0.8, chart.last.x.back(within(inside(event))));
  }, { passive: false });
  plot.addEventListener("keydown", event => {
    const known = { "+": () => axis.zoom(0.5), "=": () => axis.zoom(0.5), "-": () => axis.zoom(2), 0: () => axis.look(null), Escape: leave };
    if (known[event.key]) { known[event.key](); event.preventDefault(); }
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      const by = event.key === "ArrowRight" ? 1 : -1;
      if (event.shiftKey) axis.pan(by * 0.2); else step(by);
      event.preventDefault();
    }
  });
  plot.addEventListener("blur", leave);

  function step(by) {
    const steps = chart.content.lines.filter(one => !one.quiet).map(one => one.x).sort((a, b) => b.length - a.length)[0];
    if (!steps?.length) return;
    const at = axis.cursor === null ? place(steps, axis.from) : place(steps, axis.cursor) + by;
    const next = steps[Math.min(steps.length - 1, Math.max(0, at))];
    if (next < axis.from || next > axis.to) axis.pan(by * 0.5);
    axis.point(next, chart);
  }
}
