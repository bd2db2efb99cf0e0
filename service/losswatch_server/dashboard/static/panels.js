// The charts of a run: loss with what was found in it, and below it everything else that was measured.

import { Chart } from "./chart/chart.js";
import { HeatMap } from "./chart/heatmap.js";
import { looksLogarithmic } from "./chart/scale.js";
import { curvesOf, linesWithSmoothing, layersOf, metricsOf, ownerOf, usualSmoothing } from "./curves.js";
import { foremost } from "./cards.js";
import { h } from "./dom.js";
import { number, words } from "./format.js";

const COLOURS = { critical: "critical", warning: "warning", info: "info" };
const HEIGHTS = { loss: 340, other: 130, metric: 130 };
const MOST_METRICS = 12;
const TITLES = { grad_norm: "Gradient norm", learning_rate: "Learning rate" };

export class Panels {
  /** `pick(finding id)` when somebody clicks where something was found. */
  constructor(host, axis, pick) {
    this.axis = axis;
    this.loss = new Chart(axis, { title: "Loss", height: HEIGHTS.loss });
    this.loss.onPick = pick;
    this.others = new Map();
    this.under = h("div", {}); // for the statistic that explains a finding
    this.rest = h("div", {});
    host.append(this.loss.node, this.under, this.rest);
    this.logarithmic = null; // null: as the curve asks for
    this.smoothing = null;
    this.picked = null;
  }

  /** `points` with their scalar series; `report` or null. */
  show(points, report, findings) {
    const loss = curvesOf(points, "loss"), validation = curvesOf(points, "validation_loss");
    this.usual ??= loss.standing.x.length ? { smoothing: usualSmoothing(loss.standing, looksLogarithmic([loss.standing])) } : null;
    const smoothing = this.smoothing ?? this.usual?.smoothing ?? 0;
    this.loss.logarithmic = this.logarithmic ?? looksLogarithmic([loss.standing, validation.standing]);
    const last = loss.standing.x.at(-1) ?? 0;
    const owner = ownerOf(points);
    const shown = findings.filter(one => one.attempt === owner(one.onset_step));
    this.loss.show({
      lines: [
        ...loss.gone.map(line => ({ ...line, name: "superseded", colour: "gone", width: 1.2, quiet: true, gone: true })),
        ...linesWithSmoothing(loss.standing, smoothing, { name: "loss", colour: "series-1" }),
        ...(validation.standing.x.length ? [{ ...validation.standing, name: "validation loss", colour: "series-2", width: 2, dots: validation.standing.x.length < 80 }] : []),
      ],
      marks: [...loss.marks, ...validation.marks],
      ...this.found(shown, ["loss", "validation_loss", "validation_metric"]),
      band: forecastBand(report, last, this.loss.logarithmic),
    });
    this.loss.extra.textContent = loss.gone.length ? "grey: taken back by a later attempt" : "";
    for (const name of ["grad_norm", "learning_rate"]) {
      const { standing, gone, marks } = curvesOf(points, name);
      if (!standing.x.length) continue;
      const chart = this.other(name, TITLES[name]);
      chart.logarithmic = looksLogarithmic([standing]);
      chart.show({
        lines: [
          ...gone.map(line => ({ ...line, name: "superseded", colour: "gone", width: 1, quiet: true, gone: true })),
          ...linesWithSmoothing(standing, name === "grad_norm" ? smoothing : 0, { name: TITLES[name].toLowerCase(), colour: name === "grad_norm" ? "series-3" : "series-4" }),
        ],
        marks,
        ...this.found(shown, [name]),
      });
    }
    const all = [loss, validation, curvesOf(points, "grad_norm"), curvesOf(points, "learning_rate")].flatMap(one => [one.standing, ...one.gone]).filter(one => one.x.length);
    if (all.length) this.axis.setAll(Math.min(...all.map(one => one.x[0])), Math.max(...all.map(one => one.x.at(-1))));
    return { last, smoothing, logarithmic: this.loss.logarithmic };
  }

  /** Layers and metrics, which come with fewer points. */
  showMore(points, context) {
    const layers = layersOf(points, context.layer_order);
    if (layers) {
      this.layers ??= this.placed(new HeatMap(this.axis, { title: "Gradient norm by layer", height: Math.min(320, Math.max(90, 24 + layers.layers.length * 15)) }));
      this.layers.show(layers);
    }
    for (const [name, line] of [...metricsOf(points)].slice(0, MOST_METRICS)) {
      const chart = this.other(`metric ${name}`, name);
      chart.logarithmic = false;
      chart.show({ lines: [{ ...line, name, colour: "series-5", width: 1.6 }], marks: line.y.map((value, n) => ({ step: line.x[n], value })).filter(one => !Number.isFinite(one.value)) });
    }
  }

  other(key, title) {
    if (!this.others.has(key)) this.others.set(key, this.placed(new Chart(this.axis, { title, height: HEIGHTS.other })));
    return this.others.get(key);
  }

  placed(chart) {
    this.rest.append(chart.node);
    return chart;
  }

  /** The findings of some series as spans, with onset and opening of the one that matters most or was picked. */
  found(findings, series) {
    const here = foremost(findings.filter(one => series.includes(one.series) && !["superseded", "rule_changed"].includes(one.closed_by)));
    const strong = here.find(one => one.id === this.picked) ?? here[0];
    return {
      spans: here.reverse().map(one => ({
        from: one.onset_step, to: one.closed_by === null ? null : (one.resolved_step ?? one.last_step),
        colour: COLOURS[one.severity], label: words(one.condition), strong: one === strong, pick: one.id,
      })),
      moments: strong ? momentsOf(strong) : [],
    };
  }
}

/** When it began, dashed, and when it was found. A floor is reached little by little. */
function momentsOf({ condition, severity, onset_step: onset, opened_step: opened }) {
  const colour = COLOURS[severity], began = ["plateau", "converged"].includes(condition) ? "levelling off" : "began";
  if (onset === opened) return [{ at: onset, colour, dash: [4, 3], label: `${began} and found: step ${number(onset)}` }];
  return [
    { at: onset, colour, dash: [4, 3], label: `${began}: step ${number(onset)}`, short: `${began} ${number(onset)}` },
    { at: opened, colour, label: `found: step ${number(opened)}`, short: `found ${number(opened)}` },
  ];
}

function forecastBand(report, last, logarithmic) {
  const { floor, interval } = report?.forecast ?? {};
  const left = report?.findings?.some(one => one.closed_by === null && one.condition === "loss_spike"); // the curve it speaks of
  if (typeof floor !== "number" || report.status === "critical" || left) return null;
  if (logarithmic && !(floor > 0)) return null; // 0 has no place there
  const between = interval ? ` (${number(interval[0], 3)} to ${number(interval[1], 3)})` : "";
  return { middle: floor, low: interval?.[0] ?? null, high: interval?.[1] ?? null, from: last * 0.8, label: `expected to level off at ${number(floor, 3)}${between}`, short: `expected: ${number(floor, 3)}` };
}
