// The list of runs: a page of the API at a time, kept up to date by its events.

import { address, get, inTurn, page, runPage, runPath } from "./api.js";
import { spark } from "./chart/spark.js";
import { curvesOf, grow } from "./curves.js";
import { $, fill, h, icon, status } from "./dom.js";
import { ago, exactTime, number, pace, speed } from "./format.js";
import { listen, throttled } from "./live.js";
import { inAddress, projects, setAddress, walkable } from "./page.js";
import { firstSteps } from "./start.js";
import { trouble } from "./trouble.js";

// The links that MLflow's clients print: /#/experiments/0/runs/my-run.
const ofMlflow = /^#\/experiments\/[^/]+\/runs\/([\w-]+)/.exec(location.hash);
if (ofMlflow) location.replace(runPage(ofMlflow[1]));

const PAGE = 100;
const POINTS = 64; // of a sparkline
const MOST_POINTS = 4 * POINTS; // with those that events brought
const READ_EVERY_MS = 10000; // of one run, where events bring no points
const WHOLE_EVERY_MS = 120000; // an event a second leaves out what came between
const AGAIN_MS = 5000;
const RETRIED = status => status === 0 || status === 429 || status >= 500;
const STATUSES = ["critical", "warning", "healthy", "waiting"];

const rows = new Map(); // by uid
const body = $("#runs tbody");
let cursor = null, loading = null, asked = 0;

// On a phone few runs are seen at once: the worst come first, unless the address says otherwise.
if (matchMedia("(max-width: 900px)").matches) $("[name=order]").prepend($("[name=order] [value=status]"));
if (!new URLSearchParams(location.search).has("order")) $("[name=order]").selectedIndex = 0;

let chosen = new URLSearchParams(location.search).get("status") ?? "";
const filters = inAddress($("#filters"), throttled(() => load(true), 250));
const isFiltered = () => chosen || Object.entries(filters()).some(([name, value]) => name !== "order" && value);

/** A heading orders the list, over all of its pages: the service does it. */
for (const head of document.querySelectorAll("th[data-order]")) {
  const { order, words } = head.dataset, select = $("[name=order]");
  const button = h("button", { class: "sorts", type: "button", title: `Order: ${words ?? [...select.options].find(one => one.value === order).text}`, on: { click: () => {
    select.value = order;
    select.dispatchEvent(new Event("input", { bubbles: true }));
  } } }, head.textContent);
  head.replaceChildren(button);
}

function sortedBy() {
  for (const head of document.querySelectorAll("th[data-order]")) {
    if (head.dataset.order === filters().order) head.setAttribute("aria-sort", "descending"); else head.removeAttribute("aria-sort");
  }
}

function query() {
  const { order, ...rest } = filters();
  return { ...rest, status: chosen, order: order === "created" ? null : order, limit: PAGE };
}

/** The first page anew, or the next one. */
async function load(first) {
  if (!first && (loading || cursor === null)) return;
  const mine = ++asked;
  loading = get("/v1/runs", { ...query(), cursor: first ? null : cursor });
  try {
    const { runs, next_cursor: next } = await loading;
    if (mine !== asked) return; // the filters changed meanwhile
    cursor = next;
    if (runs.length && runs[0].project !== page.project) { // that of the key with which this browser has logged in
      page.project = runs[0].project;
      count();
    }
    if (first) {
      const keep = new Set(runs.map(run => run.uid));
      for (const [uid, row] of rows) if (!keep.has(uid)) { row.node.remove(); rows.delete(uid); }
    }
    for (const run of runs) {
      const row = rows.get(run.uid) ?? new Row(run);
      row.update(run);
      body.append(row.node);
    }
    said();
  } catch (error) {
    fill($("#more"), trouble(error, { retries: true }));
    if (mine === asked && RETRIED(error.status)) setTimeout(() => load(first), error.wait ? error.wait * 1000 : AGAIN_MS);
  } finally {
    if (mine === asked) loading = null;
  }
}

function said() {
  sortedBy();
  const none = rows.size === 0, start = none && !isFiltered();
  $("#runs").hidden = none;
  $("#filters").hidden = $("#counts").hidden = start;
  $("#more").textContent = start ? "" : none ? "No run fits these filters." : cursor === null ? `${number(rows.size)} runs` : "";
  $("#empty").hidden = !start;
  if (start && !$("#empty").childElementCount) firstSteps($("#empty"));
  const { group } = filters();
  $("#compare").hidden = !group || rows.size < 2;
  $("#compare").href = address("/compare", { group });
}

class Row {
  constructor(run) {
    this.cells = Object.fromEntries(["status", "headline", "now", "step", "speed", "seen"].map(name => [name, h("span", {})]));
    this.chips = h("span", { class: "chips" });
    this.canvas = h("canvas", { class: "spark", role: "img", "aria-label": "loss" });
    const { cells } = this;
    cells.headline.className = "headline";
    this.node = h("tr", { data: { uid: run.uid } },
      h("td", {}, cells.status),
      h("td", { class: "wide" }, h("a", { class: "name", href: runPage(run.run) }, run.run), this.chips, cells.headline),
      h("td", {}, this.canvas),
      h("td", { class: "number small-only-hide" }, cells.now),
      h("td", { class: "number small-only-hide" }, cells.step),
      h("td", { class: "number small-only-hide" }, cells.speed),
      h("td", { class: "small-only-hide" }, cells.seen));
    this.readAt = -Infinity;
    rows.set(run.uid, this);
    seen.observe(this.node);
  }

  update(run) {
    const moved = !this.run || this.run.version !== run.version;
    this.run = { ...run, context: run.context ?? this.run?.context ?? {} };
    const { cells } = this, shown = this.run.state === "silent" ? "silent" : this.run.status;
    this.node.className = `is-${run.status}-row${this.node.classList.contains("at") ? " at" : ""}`;
    fill(cells.status, status(run.status), run.state === "running" ? null : h("div", { class: `quiet ${shown === "silent" ? "is-silent" : ""}` }, run.state));
    cells.headline.textContent = run.headline;
    cells.step.textContent = run.step === null ? "–" : number(run.step);
    cells.speed.textContent = pace(speed(run));
    this.tick();
    fill(this.chips, chipsOf(this.run));
    if (moved && !this.grow(run)) this.stale = true;
    if (moved && this.isSeen) this.show();
  }

  /** What an event says of the newest point is all that there is to draw; false where the curve must be read. */
  grow({ last_point: point, attempt }) {
    if (!point || !this.line || attempt !== this.attempt || Date.now() > this.readAt + WHOLE_EVERY_MS) return false;
    return grow(this.line, point, MOST_POINTS);
  }

  show() {
    this.paint();
    if (this.stale) this.draw();
  }

  tick() {
    fill(this.cells.seen, h("time", { datetime: this.run.last_seen_at, title: exactTime(this.run.last_seen_at) }, ago(this.run.last_seen_at)));
  }

  /** The curve, once the row is seen and when points came since. */
  async draw() {
    if (this.drawing || this.later || !this.stale) return;
    if (Date.now() < this.readAt + READ_EVERY_MS) { this.drawLater(); return; }
    this.drawing = true;
    this.stale = false;
    this.readAt = Date.now();
    const { attempt } = this.run;
    try {
      const { points } = await inTurn(() => get(runPath(this.run.run, "/points"), { resolution: POINTS, series: "loss" }));
      Object.assign(this, { line: curvesOf(points, "loss").standing, attempt });
      this.paint();
    } catch { this.stale = true; } finally { this.drawing = false; }
    if (this.stale && this.isSeen) this.drawLater();
  }

  drawLater() {
    this.later ??= setTimeout(() => { this.later = null; if (this.isSeen) this.draw(); }, Math.max(0, this.readAt + READ_EVERY_MS - Date.now()));
  }

  paint() {
    if (!this.line) return;
    const { y } = this.line;
    this.cells.now.textContent = y.length ? number(y.at(-1)) : "–";
    this.canvas.setAttribute("aria-label", y.length ? `loss from ${number(y[0])} to ${number(y.at(-1))}${y.every(Number.isFinite) ? "" : ", not finite at times"}` : "no loss yet");
    if (y.length) spark(this.canvas, this.line, this.run.status);
  }
}

function chipsOf(run) {
  const { group, framework, tags } = run.context;
  const filter = (name, value, text) => h("button", { class: "chip", type: "button", title: `Only ${name} ${value}`, on: { click: () => {
    $("#filters").elements[name].value = value;
    $("#filters").dispatchEvent(new Event("input"));
  } } }, text);
  return [
    framework ? h("span", { class: "chip" }, framework) : null,
    group ? filter("group", group, group) : null,
    Object.entries(tags ?? {}).slice(0, 3).map(([name, value]) => filter("tag", `${name}=${value}`, `${name}=${value}`)),
  ];
}

const seen = new IntersectionObserver(entries => {
  for (const { target, isIntersecting } of entries) {
    const row = rows.get(target.dataset.uid);
    if (!row) continue;
    row.isSeen = isIntersecting;
    if (isIntersecting) row.show();
  }
}, { rootMargin: "200px" });
new IntersectionObserver(([entry]) => { if (entry.isIntersecting) load(false); }, { rootMargin: "600px" }).observe($("#more"));

async function count() {
  const mine = await projects().catch(() => null);
  const counts = mine?.status ?? {};
  fill($("#counts"), STATUSES.map(word => h("button", {
    class: "count", type: "button", "aria-pressed": String(chosen === word),
    on: { click: () => {
      chosen = chosen === word ? "" : word;
      const at = new URLSearchParams(location.search);
      if (chosen) at.set("status", chosen); else at.delete("status");
      setAddress(at);
      count();
      load(true);
    } },
  }, h("span", { class: `is-${word}` }, icon(word)), h("strong", {}, number(counts[word] ?? 0)), word)));
}

const countAgain = throttled(count, 3000);
const loadAgain = throttled(() => load(true), 3000);
const ordered = () => filters().order !== "created";

listen("/v1/events", {
  report(run) {
    const row = rows.get(run.uid);
    if (!row) return;
    const changed = row.run.status !== run.status;
    row.update(run);
    if (changed) { countAgain(); if (chosen || ordered()) loadAgain(); }
  },
  happened({ kind, run }) {
    countAgain();
    if (kind === "run.deleted") {
      rows.get(run.uid)?.node.remove();
      rows.delete(run.uid);
      said();
    } else if (!rows.has(run.uid) || ordered()) {
      if (kind === "run.created" && !isFiltered() && !ordered()) {
        const row = new Row(run);
        row.update(run);
        body.prepend(row.node);
        row.node.classList.add("new");
        said();
      } else loadAgain();
    }
  },
  refresh() { count(); load(true); },
});
setInterval(() => { if (!document.hidden) for (const row of rows.values()) if (row.isSeen) row.tick(); }, 5000);
addEventListener("theme", () => { for (const row of rows.values()) row.paint(); });
walkable(() => [...body.children], { follow: row => { location.href = runPage(rows.get(row.dataset.uid).run.run); } });
page.ready = "";
Promise.all([count(), load(true)]).then(() => { page.ready = "yes"; });
