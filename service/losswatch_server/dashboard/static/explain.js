// The numbers behind a finding: its statistic under the curve, on the same steps, against its threshold.

import { get, runPath } from "./api.js";
import { Chart } from "./chart/chart.js";
import { looksLogarithmic } from "./chart/scale.js";
import { fill, h } from "./dom.js";
import { number, real } from "./format.js";
import { trouble } from "./trouble.js";

export class Explainer {
  constructor(host, axis, run) {
    this.host = host;
    this.axis = axis;
    this.run = run;
    this.shown = null;
  }

  /** Shows the statistic of a finding, or takes it away where it is shown already. */
  async toggle(finding, button) {
    const again = this.shown === finding.id;
    this.close();
    if (again) return;
    this.shown = finding.id;
    this.button = button;
    button.setAttribute("aria-pressed", "true");
    button.textContent = "Hide the statistic";
    fill(this.host, h("p", { class: "quiet" }, "Judging the run again …"));
    let found;
    try {
      found = await get(runPath(this.run, `/findings/${encodeURIComponent(finding.id)}/explain`));
    } catch (error) {
      fill(this.host, trouble(error));
      return;
    }
    if (this.shown !== finding.id) return;
    const rows = found.values.filter(row => row.statistic !== null);
    const x = rows.map(row => row.step), y = rows.map(row => real(row.statistic));
    const limits = rows.filter(row => row.threshold !== null);
    const line = { x: limits.map(row => row.step), y: limits.map(row => real(row.threshold)) };
    const threshold = real(found.threshold);
    const constant = line.y.every(value => value === line.y[0]);
    const chart = this.chart = new Chart(this.axis, { title: found.statistic, height: 180, className: "explains" });
    chart.extra.textContent = `alarms ${found.alarms} ${number(threshold)}${found.unit ? ` (${found.unit})` : ""}`;
    chart.logarithmic = looksLogarithmic([{ y }, { y: line.y }]);
    chart.show({
      lines: [
        { x, y, name: "statistic", colour: "series-3", width: 1.8 },
        ...(constant ? [] : [{ ...line, name: "threshold", colour: "critical", width: 1.4, dash: [6, 4] }]),
      ],
      thresholds: constant && threshold !== null ? [{ value: threshold, label: `threshold ${number(threshold)}` }] : [],
      marks: rows.map(row => ({ step: row.step, value: real(row.statistic) })).filter(one => !Number.isFinite(one.value)),
      spans: [{ from: found.onset_step, to: finding.resolved_step, colour: finding.severity, label: "", strong: false }],
      moments: [{ at: found.opened_step, colour: finding.severity, label: `found ${number(found.opened_step)}` }],
    });
    fill(this.host, chart.node, h("div", { class: "box" },
      h("p", {}, found.rule),
      h("table", { class: "numbers plain" }, h("thead", {}, h("tr", {}, ["Test, where the finding opened", "Value", "Threshold"].map(name => h("th", { scope: "col" }, name)))),
        h("tbody", {}, found.tests.map(test => h("tr", {}, h("th", { scope: "row" }, test.name), h("td", {}, number(test.value)), h("td", {}, `${test.alarms} ${number(test.threshold)} ${test.unit ?? ""}`))))),
      h("p", { class: "quiet" }, `Judged from the points of steps ${number(found.used_points.from_step)} to ${number(found.used_points.to_step)}.`)));
    chart.node.scrollIntoView({ block: "nearest" });
  }

  close() {
    this.chart?.close();
    this.chart = null;
    this.shown = null;
    if (this.button) { this.button.setAttribute("aria-pressed", "false"); this.button.textContent = "Explain"; }
    this.host.replaceChildren();
  }
}
