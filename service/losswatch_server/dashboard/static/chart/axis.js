// The steps that all charts of a page show: one view, one cursor.

export class Axis {
  constructor() {
    this.charts = new Set();
    this.all = [0, 1];
    this.view = null; // null: all steps
    this.cursor = null;
    this.onView = () => {};
    this.label = step => `step ${step.toLocaleString("en-US")}`;
    this.whole = true; // steps are whole numbers
  }

  get from() { return this.view ? this.view[0] : this.all[0]; }

  get to() { return this.view ? this.view[1] : this.all[1]; }

  /** The steps that there are. A view that shows all goes on showing all. */
  setAll(from, to) {
    this.all = [from, to > from ? to : from + 1];
    this.redraw();
  }

  /** Show these steps; null: all. */
  look(view, { quiet = false } = {}) {
    if (view) {
      let [from, to] = view;
      const least = this.whole ? 2 : (this.all[1] - this.all[0]) / 1e4;
      if (to - from < least) { const middle = (from + to) / 2; from = middle - least / 2; to = middle + least / 2; }
      from = Math.max(this.all[0], from);
      to = Math.min(this.all[1], to);
      view = from <= this.all[0] && to >= this.all[1] ? null : [from, to];
    }
    this.view = view;
    this.redraw();
    if (!quiet) this.onView(view);
  }

  zoom(factor, around = (this.from + this.to) / 2) {
    const half = [around - this.from, this.to - around].map(part => part * factor);
    this.look([around - half[0], around + half[1]]);
  }

  pan(share) {
    const by = Math.max(this.all[0] - this.from, Math.min(this.all[1] - this.to, (this.to - this.from) * share));
    this.look([this.from + by, this.to + by]);
  }

  point(step, chart) {
    this.cursor = step;
    this.pointed = chart;
    this.redraw();
  }

  redraw() {
    for (const chart of this.charts) chart.redraw();
  }
}
