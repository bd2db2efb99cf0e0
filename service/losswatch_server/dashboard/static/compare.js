// The runs of a group on one chart: the bad ones in front, the others behind.

import { get, inTurn, page, runPage, runPath } from "./api.js";
import { Axis } from "./chart/axis.js";
import { Chart } from "./chart/chart.js";
import { looksLogarithmic } from "./chart/scale.js";
import { curvesOf, grow, smoothed } from "./curves.js";
import { $, fill, h, status } from "./dom.js";
import { duration, number, plain, words } from "./format.js";
import { listen, throttled } from "./live.js";
import { onKey, projects, setAddress } from "./page.js";
import { trouble } from "./trouble.js";

const MOST = 40; // curves: more are no picture
const RESOLUTION = 400, MOST_POINTS = 4 * RESOLUTION;
const READ_EVERY_MS = 10000, WHOLE_EVERY_MS = 120000; // where events bring no points, and what they leave out
const WEIGHT = { critical: 3, warning: 2, healthy: 1, waiting: 0 };
const PALETTE = ["series-1", "series-4", "series-3", "series-5", "series-2", "series-6"];

const asked = new URLSearchParams(location.search);
const group = asked.get("group"), chosen = asked.get("run");
const names = asked.getAll("runs");
const axis = new Axis();
const chart = new Chart(axis, { title: "Loss", height: 460 });
$("#chart").append(chart.node);
$("#what").textContent = group ? `the runs of ${group}` : names.join(", ");
let runs = [], readAt = 0, hovered = null, logarithmic = asked.has("scale") ? asked.get("scale") === "log" : null;
let weight = Math.min(0.99, Math.max(0, Number(asked.get("smooth")) || 0));
$("#by").value = ["step", "share", "time"].includes(asked.get("by")) ? asked.get("by") : "step";
$("#smooth").value = weight;

async function load() {
  readAt = Date.now();
  const { runs: listed } = group ? await get("/v1/runs", { group, limit: 200 }) : { runs: await Promise.all(names.map(name => get(runPath(name)))) };
  const worst = [...listed].sort((a, b) => (b.run === chosen) - (a.run === chosen) || WEIGHT[b.status] - WEIGHT[a.status]).slice(0, MOST);
  runs = await Promise.all(worst.map(run => inTurn(async () => {
    const { points } = await get(runPath(run.run, "/points"), { resolution: RESOLUTION, series: "loss,time" });
    return { run, attempt: run.attempt, line: curvesOf(points, "loss").standing, times: timesOf(points) };
  })));
  $("#chart").hidden = $(".chart-tools").hidden = !listed.length;
  if (!listed.length) return void fill($("#left-out"), group ? `No run of this project is in the group ${group}. ` : "Which runs? The page of a run that has a group leads to all of them. ", h("a", { href: "/" }, "All runs"));
  $("#left-out").textContent = listed.length > MOST ? `The worst ${MOST} of ${number(listed.length)} runs.` : "";
  show();
}

/** Seconds since the first point, by step; null where the points have no times. */
function timesOf(points) {
  const having = points.filter(point => point.time && !point.superseded);
  if (having.length < 2) return null;
  const first = Date.parse(having[0].time);
  return { first, at: new Map(having.map(point => [point.step, (Date.parse(point.time) - first) / 1000])) };
}

function aligned({ line, times, run }) {
  const by = $("#by").value;
  if (by === "share") {
    const total = run.context?.total_steps || line.x.at(-1) || 1;
    return { x: line.x.map(step => (100 * step) / total), y: line.y };
  }
  if (by === "time") {
    const kept = line.x.map((step, n) => [times?.at.get(step), line.y[n]]).filter(([seconds]) => seconds !== undefined);
    return { x: kept.map(([seconds]) => seconds), y: kept.map(([, loss]) => loss) };
  }
  return line;
}

function show() {
  const by = $("#by").value;
  axis.whole = by === "step";
  axis.label = by === "step" ? step => `step ${number(step)}` : by === "share" ? share => `${number(share, 3)} %` : seconds => duration(seconds);
  const bad = runs.some(({ run }) => WEIGHT[run.status] > 1);
  let next = 0;
  const lines = runs.map(one => {
    const { run } = one, front = run.run === hovered || run.run === chosen || WEIGHT[run.status] > 1;
    const colour = WEIGHT[run.status] > 1 ? run.status : bad ? "gone" : PALETTE[next++ % PALETTE.length];
    const line = aligned(one);
    return { ...(weight ? smoothed(line, weight) : line), name: run.run, colour, width: run.run === hovered ? 3.5 : front ? 2.2 : 1.2, alpha: hovered && run.run !== hovered ? 0.35 : 1, quiet: false, order: run.run === hovered ? 9 : run.run === chosen ? 5 : WEIGHT[run.status] };
  }).sort((a, b) => a.order - b.order);
  chart.logarithmic = logarithmic ?? looksLogarithmic(lines);
  $("#log").checked = chart.logarithmic;
  $("output[for=smooth]").textContent = weight ? weight.toFixed(2) : "0";
  const marks = lines.flatMap(({ x, y }) => y.map((value, n) => ({ step: x[n], value })).filter(one => !Number.isFinite(one.value)));
  chart.show({ lines, marks });
  chart.keys.replaceChildren(); // the list below says more
  chart.extra.textContent = by === "time" && runs.some(({ times }) => !times) ? "runs whose points have no time are left out" : "";
  const there = lines.filter(({ x }) => x.length);
  if (there.length) axis.setAll(Math.min(...there.map(({ x }) => x[0])), Math.max(...there.map(({ x }) => x.at(-1))));
  const focused = document.activeElement?.closest("#legend a")?.href;
  const colours = new Map(lines.map(({ name, colour }) => [name, colour]));
  const apart = differences();
  const told = ({ context = {} }) => apart.filter(name => context[name] !== undefined).map(name => ` · ${words(name)} ${plain(context[name])}`).join("");
  fill($("#legend"), h("ul", { class: "legend-list" }, [...runs].sort((a, b) => WEIGHT[b.run.status] - WEIGHT[a.run.status]).map(({ run, line }) => {
    const key = h("span", { class: "key" }, h("i", {}));
    key.querySelector("i").style.color = `var(--${colours.get(run.run)})`;
    return h("li", { on: { pointerenter: () => hover(run.run), pointerleave: () => hover(null) } }, key,
      h("span", {}, h("a", { href: runPage(run.run), on: { focus: () => hover(run.run), blur: () => hover(null) } }, run.run), " ", status(run.status), h("span", { class: "quiet" }, ` ${line.y.length ? `loss ${number(line.y.at(-1))}` : "no loss"}${told(run)}`)));
  })));
  if (focused) [...document.querySelectorAll("#legend a")].find(link => link.href === focused)?.focus({ preventScroll: true });
}

const MOST_DIFFERENCES = 3;

/** The names of hyper-parameters that set the runs apart, as far as their clients told them. */
function differences() {
  const contexts = runs.map(({ run }) => run.context ?? {});
  const names = new Set(contexts.flatMap(context => Object.entries(context).filter(([name, value]) => name !== "group" && typeof value !== "object").map(([name]) => name)));
  const values = name => new Set(contexts.map(context => context[name]).filter(value => value !== undefined));
  return [...names].filter(name => values(name).size > 1).slice(0, MOST_DIFFERENCES);
}

let redrawing = null;
function hover(name) {
  hovered = name;
  clearTimeout(redrawing);
  redrawing = setTimeout(() => {
    for (const line of chart.content.lines) Object.assign(line, { width: line.name === hovered ? 3.5 : line.order > 1 ? 2.2 : 1.2, alpha: hovered && line.name !== hovered ? 0.35 : 1 });
    chart.redraw();
  }, 30);
}

function keep(name, value, usual) {
  const query = new URLSearchParams(location.search);
  if (value === usual) query.delete(name); else query.set(name, value);
  setAddress(query);
  show();
}
$("#log").addEventListener("change", event => { logarithmic = event.target.checked; keep("scale", logarithmic ? "log" : "linear"); });
$("#smooth").addEventListener("input", event => { weight = Number(event.target.value); keep("smooth", String(weight), "0"); });
$("#by").addEventListener("change", event => { axis.look(null, { quiet: true }); keep("by", event.target.value, "step"); });
$("#reset").addEventListener("click", () => axis.look(null));
axis.onView = view => { $("#reset").hidden = view === null; };
onKey("l", () => $("#log").click());
projects().catch(() => {});
const again = throttled(() => load().catch(() => {}), READ_EVERY_MS);
const drawn = throttled(show, 1000);
const shows = run => (group ? run.context?.group === group || runs.some(one => one.run.uid === run.uid) : names.includes(run.run));

/** The newest point of a run, put where it belongs; false where its curve must be read. */
function took(run) {
  const one = runs.find(known => known.run.uid === run.uid), point = run.last_point;
  if (!one || !point || run.attempt !== one.attempt || Date.now() > readAt + WHOLE_EVERY_MS) return false;
  one.run = { ...run, context: one.run.context };
  if (point.time && one.times) one.times.at.set(point.step, (Date.parse(point.time) - one.times.first) / 1000);
  return grow(one.line, point, MOST_POINTS);
}

listen("/v1/events", {
  report: run => { if (shows(run)) { if (took(run)) drawn(); else again(); } },
  happened: ({ run }) => { if (shows(run)) again(); },
  refresh: again,
});
try {
  await load();
} catch (error) { fill($("#legend"), trouble(error)); }
page.ready = "yes";
