// The page of one run: how it is doing, its curves with what was found in them, and why.

import { address, get, page, runPath } from "./api.js";
import { card, foremost, suspicion, verdict } from "./cards.js";
import { Axis } from "./chart/axis.js";
import { $, fill, h } from "./dom.js";
import { ago, exactTime, number, pace, speed, words } from "./format.js";
import { Explainer } from "./explain.js";
import { listen, throttled } from "./live.js";
import { onKey, projects, setAddress, walkable } from "./page.js";
import { Panels } from "./panels.js";
import { missing, trouble } from "./trouble.js";

const RESOLUTION = 1200, MORE_RESOLUTION = 300, MOST_NUMBERS = 40000;
const MOST_NEW = 1500; // points that came since the whole was read; then it is read anew, thinned
const READ_SOON_MS = 2000, READ_EVERY_MS = 10000; // where an event brought no point with a place, and what came between two
const WORDS_EVERY_MS = 10000, WHOLE_EVERY_MS = 60000;
const HINT = matchMedia("(hover: none)").matches ? "tap a chart for its values, draw sideways to zoom in" : "drag over a chart to zoom in";
const SERIES = "loss,validation_loss,grad_norm,learning_rate";
const { run } = page;

const axis = new Axis();
const panels = new Panels($("#charts"), axis, pick);
const explainer = new Explainer(panels.under, axis, run);
const AGAIN_MS = 3000;
const state = { points: [], run: null, report: null, findings: [], at: 0, saidAt: 0, readAt: 0, behind: true, urgent: true, gap: null, gone: false };
let leave = () => {}; // ends the listening
let told = 0; // how often the run was told of by an event: what is read beside one may be older than it

/** Everything anew. */
async function read() {
  const before = told;
  try {
    const words = Promise.all([get(runPath(run)), get(runPath(run, "/report")), get(runPath(run, "/findings"))]);
    // The curves do not wait for the words: of a run that newer rules judge anew these may take long.
    const curves = Promise.all([readWhole(), readFiner()]).then(() => { if (!state.report) showCurves(); });
    const [[details, report, { findings }], , more] = await Promise.all([words, curves, readMore()]);
    Object.assign(state, { run: told === before ? details : { ...state.run, context: details.context }, report, findings, saidAt: Date.now(), behind: true, urgent: true, gap: null });
    showCurves();
    await said();
    if (more) panels.showMore(more, details.context);
    if (told !== before) follow();
  } catch (error) {
    if (error.status === 404) { notThere(); return; }
    setTimeout(read, error.wait ? 1000 * error.wait : AGAIN_MS);
    if (!state.run) fill($("#verdict"), trouble(error, { retries: true })); // else what is known stays, under a notice
  }
}

/** Instead of the page: it comes when the run does, for whoever follows the link that a client prints at its start. */
function notThere() {
  if (state.gone) return;
  state.gone = true;
  leave();
  fill($("#main"), missing(`There is no run called ${run}`,
    `No run of the project ${page.project} has this name: it has not sent its first point yet, has been deleted, or belongs to another project.`,
    "As soon as it reports, this page shows it."));
  document.title = `No run ${run} · Losswatch`;
  const look = throttled(() => get(runPath(run)).then(() => location.reload(), () => {}), AGAIN_MS);
  listen("/v1/events", { happened: event => { if (event.run.run === run) look(); }, refresh: look });
}

const thinned = range => get(runPath(run, "/points"), { resolution: RESOLUTION, series: SERIES, ...range });

async function readWhole() {
  const { points } = await thinned({});
  Object.assign(state, { points, whole: points.length, at: Date.now() });
}

/** The stretch that is seen, in detail. */
async function readFiner() {
  const { view } = axis;
  const found = view && (await thinned({ from: Math.max(0, Math.floor(view[0])), to: Math.ceil(view[1]) }));
  if (axis.view === view) state.finer = found?.points ?? null;
}

/** Layers and metrics, null where there are none: fewer points of them the more there are of each. */
async function readMore() {
  const read = resolution => get(runPath(run, "/points"), { resolution, series: "layers,metrics" });
  const { points: few } = await read(8);
  if (!few.length) return null;
  const widest = Math.max(...few.map(point => Object.keys(point.layers ?? {}).length + Object.keys(point.metrics ?? {}).length));
  return (await read(Math.max(8, Math.min(MORE_RESOLUTION, Math.round(MOST_NUMBERS / widest))))).points;
}

/** The points that came since, from where some are missing or from the last step on, which may have been completed. */
async function readNew() {
  const last = state.points.filter(point => !point.superseded).at(-1);
  const isNew = !last || state.run.attempt !== last.attempt;
  if (isNew || state.points.length > state.whole + MOST_NEW || Date.now() - state.at > WHOLE_EVERY_MS) {
    await readWhole();
    readMore().then(more => { if (more) panels.showMore(more, state.run.context); }, () => {});
    return;
  }
  const from = state.gap ?? last.step;
  const { points, next_cursor: more } = await get(runPath(run, "/points"), { from, series: SERIES, limit: 2000 });
  if (more) { await readWhole(); return; }
  state.points = [...state.points.filter(point => point.superseded || point.step < from), ...points.filter(point => !point.superseded)];
}

function showCurves() {
  if (state.gone) return;
  // Beyond a stretch that is seen in detail the whole stays, coarse: zooming out shows it at once.
  let { points } = state;
  if (state.finer && axis.view) {
    const [from, to] = axis.view;
    points = [...points.filter(point => point.step < from || point.step > to), ...state.finer.filter(point => point.step >= from && point.step <= to)].sort((a, b) => a.attempt - b.attempt || a.step - b.step);
  }
  const { smoothing, logarithmic } = panels.show(points, state.report, state.findings);
  $("#log").checked = logarithmic;
  $("#smooth").value = smoothing;
  $("output[for=smooth]").textContent = smoothing ? smoothing.toFixed(2) : "0";
  $("#reset").hidden = axis.view === null;
  $("#range").textContent = axis.view ? `steps ${number(Math.round(axis.view[0]))} to ${number(Math.round(axis.view[1]))}` : HINT;
}

/** What the report says, in words. */
async function said() {
  const { report, findings, run: details } = state;
  const { context } = details;
  facts();
  await verdict($("#verdict"), report, context);
  const open = foremost(findings.filter(one => one.closed_by === null)), closed = foremost(findings.filter(one => one.closed_by !== null));
  const options = { run, context, explain: (finding, button) => explainer.toggle(finding, button), changed: () => read() };
  const make = list => Promise.all(list.map(one => card(one, options)));
  const [now, before, unsure] = await Promise.all([make(open), make(closed), Promise.all((report.suspicions ?? []).map(one => suspicion(one, context)))]);
  const unfolded = new Set([...document.querySelectorAll(".card details[open]")].map(one => one.closest(".card").id));
  const marked = $(".card.at")?.id;
  fill($("#cards"),
    h("h2", {}, open.length ? "Findings" : "No open finding"), now,
    unsure.length ? [h("h2", {}, "Likely, but not beyond doubt"), unsure] : null,
    before.length ? [h("h2", {}, "Earlier"), before] : null);
  $(".run-body").classList.toggle("calm", !open.length && !closed.length && !unsure.length);
  fill($("#context"), h("h2", {}, "What the client said"), h("div", { class: "card" }, contextTable(context)));
  for (const one of document.querySelectorAll(".card")) if (unfolded.has(one.id)) for (const fold of one.querySelectorAll("details")) fold.open = true;
  if (marked) document.getElementById(marked)?.classList.add("at");
  if (explainer.shown) {
    const button = document.querySelector(`#finding-${CSS.escape(explainer.shown)} [aria-pressed]`);
    if (button) { button.setAttribute("aria-pressed", "true"); button.textContent = "Hide the statistic"; explainer.button = button; }
  }
}

function facts() {
  const { run: details } = state;
  const { group, framework } = details.context;
  fill($("#facts"),
    [h("span", {}, details.state), details.step === null ? null : ` · step ${number(details.step)}`, details.attempt > 1 ? ` · attempt ${details.attempt}` : null,
      speed(details) ? ` · ${pace(speed(details))}` : null, framework ? ` · ${framework}` : null, " · last seen ",
      h("time", { datetime: details.last_seen_at, title: exactTime(details.last_seen_at) }, ago(details.last_seen_at))],
    group ? [" · ", h("a", { href: address("/compare", { group, run }) }, `compare the runs of ${group}`)] : null);
  document.title = `${state.report.status === "critical" ? "✕ " : state.report.status === "warning" ? "! " : ""}${run} · Losswatch`;
}

function contextTable(context) {
  const rows = Object.entries(context).flatMap(([name, value]) => (value && typeof value === "object" && !Array.isArray(value)
    ? Object.entries(value).map(([inner, one]) => [`${words(name)}: ${words(inner)}`, one]) : [[words(name), value]]));
  if (!rows.length) return h("p", {}, "Nothing of the job. ", h("a", { href: "/docs/getting-started" }, "The context"), " (learning rate, optimizer, batch size) sharpens every advice.");
  const told = value => (Array.isArray(value) ? (value.length > 4 ? `${value.length}: ${told(value[0])} … ${told(value.at(-1))}` : value.map(told).join(", ")) : typeof value === "number" ? number(value, 6) : String(value));
  return h("table", { class: "numbers" }, h("tbody", {}, rows.map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, told(value))))));
}

function pick(id) {
  panels.picked = id;
  showCurves();
  for (const one of document.querySelectorAll(".card.at")) one.classList.remove("at");
  const found = document.getElementById(`finding-${id}`);
  found?.classList.add("at");
  found?.scrollIntoView({ block: "nearest", behavior: "smooth" });
  history.replaceState(null, "", `${location.pathname}${location.search}#finding-${id}`);
}

function keep() {
  const query = new URLSearchParams(location.search);
  const set = (name, value) => (value === null ? query.delete(name) : query.set(name, value));
  set("from", axis.view ? String(Math.round(axis.view[0])) : null);
  set("to", axis.view ? String(Math.round(axis.view[1])) : null);
  set("scale", panels.logarithmic === null ? null : panels.logarithmic ? "log" : "linear");
  set("smooth", panels.smoothing === null ? null : String(panels.smoothing));
  setAddress(query);
}

function restore() {
  const query = new URLSearchParams(location.search);
  if (query.has("scale")) panels.logarithmic = query.get("scale") === "log";
  if (query.has("smooth")) panels.smoothing = Math.min(0.99, Math.max(0, Number(query.get("smooth")) || 0));
  if (location.hash.startsWith("#finding-")) panels.picked = location.hash.slice("#finding-".length);
  const from = Number(query.get("from")), to = Number(query.get("to"));
  return query.has("from") && to > from ? [from, to] : null;
}

const look = throttled(async () => {
  try { await readFiner(); showCurves(); } catch { /* the next look, or the next event, tries again */ }
}, 150);
axis.onView = () => { state.finer = null; keep(); showCurves(); look(); };
$("#log").addEventListener("change", event => { panels.logarithmic = event.target.checked; keep(); showCurves(); });
$("#smooth").addEventListener("input", event => { panels.smoothing = Number(event.target.value); keep(); showCurves(); });
$("#reset").addEventListener("click", () => axis.look(null));
onKey("l", () => $("#log").click());
walkable(() => [...document.querySelectorAll(".card[data-finding]")], { follow: node => pick(node.dataset.finding) });

/** Draws the newest point as an event brings it; what came before it is read later. False where it has no place. */
function took(before, { attempt, points, last_point: point }) {
  const last = state.points.at(-1);
  if (!point || !last || last.superseded || last.attempt !== attempt || point.step < last.step || point.loss === null) return false;
  if (state.behind || points - before.points > 1) {
    state.gap ??= last.step;
    state.behind = true;
  }
  if (point.step === last.step) Object.assign(last, point); else state.points.push({ ...point, attempt });
  return true;
}

/** The report as it is now, where it says something else than before, or has not been read for a while. */
async function readWords() {
  const { status, action } = state.run, { report: known } = state;
  if (known && known.status === status && known.action === action && Date.now() < state.saidAt + WORDS_EVERY_MS) return false;
  state.saidAt = Date.now();
  const [report, { findings }] = await Promise.all([get(runPath(run, "/report")), get(runPath(run, "/findings"))]);
  const words = one => JSON.stringify([one.report?.headline, one.report?.status, one.findings, one.report?.suspicions]);
  const before = words(state);
  Object.assign(state, { report, findings });
  return words(state) !== before;
}

let later = null;
async function catchUp() {
  if (!state.behind && Date.now() < state.at + WHOLE_EVERY_MS) return;
  const wait = state.readAt + (state.urgent ? READ_SOON_MS : READ_EVERY_MS) - Date.now();
  if (wait <= 0) {
    const before = told;
    state.readAt = Date.now();
    await readNew();
    Object.assign(state, { behind: told !== before, urgent: false, gap: null }); // what came meanwhile may not be in it
  }
  if (state.behind) later ??= setTimeout(() => { later = null; if (!document.hidden) follow(); }, Math.max(wait, READ_SOON_MS));
}

const follow = throttled(async () => {
  try {
    const changed = await readWords();
    await catchUp();
    showCurves();
    if (changed) await said(); else facts();
  } catch (error) { if (error.status === 404) notThere(); else setTimeout(follow, error.wait ? 1000 * error.wait : AGAIN_MS); }
}, 1000);

const view = restore();
await read();
if (view && !state.gone) axis.look(view);
if (panels.picked) document.getElementById(`finding-${panels.picked}`)?.scrollIntoView({ block: "nearest" });
projects().catch(() => {});
if (!state.gone) {
  leave = listen(runPath(run, "/events"), {
    report(details) {
      told += 1;
      if (!state.run) return;
      if (!took(state.run, details)) Object.assign(state, { behind: true, urgent: true });
      state.run = { ...details, context: state.run.context };
      follow();
    },
    happened() { state.saidAt = 0; follow(); },
    refresh: () => read(),
    gone: notThere,
    about: runPath(run),
  });
}
page.ready = "yes";
