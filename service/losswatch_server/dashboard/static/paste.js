// A log as it is, diagnosed; nothing is stored unless somebody keeps it.

import { ServiceError, call, page, runPage, runPath } from "./api.js";
import { card, foremost, suspicion, verdict } from "./cards.js";
import { Axis } from "./chart/axis.js";
import { $, fill, h, put, status } from "./dom.js";
import { number } from "./format.js";
import { projects } from "./page.js";
import { Panels } from "./panels.js";
import { trouble } from "./trouble.js";

const RESOLUTION = 3000, KEPT = 100000, AT_ONCE = 5000;
const LARGEST = 64 << 20;
const ROLES = [["loss", "loss"], ["validation", "validation loss"], ["gradient_norm", "gradient norm"], ["learning_rate", "learning rate"], ["step", "step"], ["epoch", "epoch"]];
const CONTEXT = [["learning_rate", "Learning rate", "0.001"], ["optimizer", "Optimizer", "adam"], ["batch_size", "Batch size", "32"], ["loss_name", "Loss function", "cross_entropy"], ["num_classes", "Classes", "10"], ["total_steps", "Planned steps", ""], ["framework", "Framework", "pytorch"]];
const EXAMPLE = Array.from({ length: 24 }, (_, n) => `Epoch ${n + 1}/100 - loss: ${(2.1 * 1.9 ** (n - 3) + 1.2).toPrecision(5)} - val_loss: ${(2.3 * 1.9 ** (n - 3) + 1.3).toPrecision(5)}`).join("\n");

const area = h("textarea", { rows: "9", "aria-label": "The log", spellcheck: "false", placeholder: "Epoch 1/20 - loss: 2.31 - val_loss: 2.30\nEpoch 2/20 - loss: 1.92 - val_loss: 1.99\n…" });
const file = h("input", { type: "file", class: "hidden", id: "file" });
const fields = Object.fromEntries(CONTEXT.map(([name, , hint]) => [name, h("input", { size: "11", placeholder: hint, autocomplete: "off" })]));
const go = h("button", { class: "button main", type: "button", on: { click: () => diagnose() } }, "Diagnose");
put($("#paste"), h("div", { class: "box", id: "drop" },
  area,
  h("div", { class: "actions" }, go, h("label", { class: "button", for: "file", tabindex: "0" }, "Choose a file"), file,
    h("button", { class: "button", type: "button", on: { click: () => { area.value = EXAMPLE; diagnose(); } } }, "Try an example"),
    h("span", { class: "quiet" }, "or drop a file here")),
  h("details", {}, h("summary", {}, "What you know of the job (optional; it sharpens the advice)"),
    h("div", { class: "fields" }, CONTEXT.map(([name, words]) => h("label", {}, words, fields[name])))))); 

let text = null, columns = {}, asked = 0, unfolded = false;

async function take(chosen) {
  if (!chosen) return;
  if (chosen.size > LARGEST) { refuse(new ServiceError(`${chosen.name} has ${number(Math.ceil(chosen.size / (1 << 20)))} MiB; at most 64 are read.`, 413)); return; }
  text = await chosen.text();
  area.value = text.length > 200000 ? `${text.slice(0, 4000)}\n… (${number(text.length)} characters of ${chosen.name})` : text;
  columns = {};
  diagnose(true);
}
file.addEventListener("change", () => take(file.files[0]));
area.addEventListener("input", () => { text = null; columns = {}; });
area.addEventListener("keydown", event => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) diagnose(); });
$("label[for=file]").addEventListener("keydown", event => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); file.click(); } });
const drop = $("#drop");
for (const kind of ["dragenter", "dragover"]) drop.addEventListener(kind, event => { event.preventDefault(); drop.classList.add("over"); });
for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
drop.addEventListener("drop", event => { event.preventDefault(); take(event.dataTransfer.files[0]); });

const refuse = error => fill($("#result"), trouble(error));
const query = resolution => ({ resolution, ...columns, ...Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.value.trim()])) });
const send = resolution => call("POST", "/v1/diagnose", { query: query(resolution), text: text ?? area.value });

async function diagnose(isFile = false) {
  if (!isFile && !area.value.trim()) { refuse(new ServiceError("Paste some lines of a log first.", 422)); return; }
  const mine = ++asked;
  go.disabled = true;
  go.textContent = "Reading …";
  try {
    const answer = await send(RESOLUTION);
    if (mine === asked) await show(answer);
  } catch (error) {
    if (mine === asked) refuse(error);
  } finally {
    go.disabled = false;
    go.textContent = "Diagnose";
  }
}

async function show(answer, which = null) {
  const several = answer.reports ?? null;
  const report = several ? several[which ?? several.findIndex(one => one.run === answer.run)] ?? answer : answer;
  const context = { ...report.read?.context, ...Object.fromEntries(Object.entries(fields).filter(([, field]) => field.value.trim()).map(([name, field]) => [name, field.value.trim()])) };
  const charts = h("div", {}), said = h("section", {}), cards = h("div", { class: "cards" });
  const axis = new Axis();
  const panels = new Panels(charts, axis, id => document.getElementById(`finding-${id}`)?.scrollIntoView({ block: "nearest" }));
  const findings = foremost(report.findings);
  await verdict(said, report, context);
  put(cards, await Promise.all(findings.map(one => card(one, { run: null, context }))));
  if (report.suspicions?.length) put(cards, h("h2", {}, "If you are not content with it"), await Promise.all(report.suspicions.map(one => suspicion(one, context))));
  fill($("#result"),
    several ? h("div", { class: "counts", role: "group", "aria-label": "Runs in this text" }, several.map((one, n) => h("button", { class: "count", type: "button", "aria-pressed": String(one === report), on: { click: () => show(answer, n) } }, status(one.status), one.run ?? `run ${n + 1}`))) : null,
    said, report.read ? reading(report) : null, keep(report, context), h("div", { class: "run-body" }, h("div", { class: "charts" }, charts), cards));
  panels.show(report.series ?? [], report, findings);
  panels.showMore(report.series ?? [], context);
  if (!Object.keys(columns).length) said.scrollIntoView({ block: "nearest" }); // else somebody is at the columns
}

/** What was read as what, its doubts, and another role for any column. */
function reading({ read }) {
  const chosen = Object.keys(columns).length > 0;
  const fold = h("details", { class: "card", id: "reading", open: unfolded || chosen || read.doubts.length > 0 },
    h("summary", {}, h("span", {}, h("b", {}, `Read as ${read.format}: ${number(read.points)} points from ${number(read.total_lines)} lines. `), `${read.doubts.length ? "In doubt: see" : "See"} what was read as what, and choose other columns`)),
    h("ul", {}, read.read_as.map(one => h("li", {}, one))),
    read.doubts.length ? [h("p", {}, h("b", {}, "In doubt")), h("ul", { class: "is-warning" }, read.doubts.map(one => h("li", {}, one)))] : null,
    read.columns.length ? [h("p", {}, h("b", {}, "Columns")), h("p", { class: "quiet" }, "Choose what each one is; the diagnosis follows."),
      h("div", { class: "scrolled", tabindex: "0", role: "region", "aria-label": "Columns" }, h("table", { class: "numbers columns" }, h("tbody", {}, read.columns.map(columnRow)))),
      chosen ? h("button", { class: "button small", type: "button", on: { click: () => { columns = {}; again(); } } }, "Read it as at first") : null] : null,
    read.skipped_lines ? h("details", {}, h("summary", {}, `${number(read.skipped_lines)} lines were not read`), h("ul", {}, read.skipped.slice(0, 30).map(one => h("li", {}, h("code", {}, one.text || " "), ` ${one.reason} (line ${one.line})`)))) : null);
  fold.addEventListener("toggle", () => { unfolded = fold.open; });
  return fold;
}

function columnRow({ name, values, first, last, read_as: role }) {
  const select = h("select", { class: "small", "aria-label": `${name} is`, data: { column: name } },
    ROLES.some(([known]) => known === role) ? null : h("option", { value: "" }, role === "metric" ? "a metric, not judged" : "not read"),
    ROLES.map(([known, words]) => h("option", { value: known, selected: known === role }, words)));
  select.addEventListener("change", () => {
    for (const [parameter, column] of Object.entries(columns)) if (column === name) delete columns[parameter];
    if (select.value) columns[`${select.value}_column`] = name;
    again(name);
  });
  const range = values > 1 ? `, from ${number(first)} to ${number(last)}` : first === null ? "" : `, ${number(first)}`;
  return h("tr", { class: role && role !== "metric" ? "read" : "" },
    h("th", { scope: "row" }, h("b", {}, name), ` ${number(values)} ${values === 1 ? "value" : "values"}${range}`), h("td", {}, select));
}

/** Reads the same text again; the selector of a column that was used keeps the focus. */
async function again(name = null) {
  await diagnose(text !== null);
  [...document.querySelectorAll("#reading select")].find(one => one.dataset.column === name)?.focus({ preventScroll: true });
}

/** Keep it as a run, by posting its points as any client would. */
function keep(report, context) {
  const name = h("input", { value: suggested(report.run), pattern: "[A-Za-z0-9][A-Za-z0-9._\\-]{0,127}", required: true });
  const outcome = h("span", { role: "status" });
  const button = h("button", { class: "button" }, "Keep as a run");
  const form = h("form", { class: "actions" }, h("label", {}, "Name of the run ", name), button, outcome);
  form.addEventListener("submit", async event => {
    event.preventDefault();
    button.disabled = true;
    try {
      const taken = await call("GET", runPath(name.value)).then(() => true, error => { if (error.status === 404) return false; throw error; });
      if (taken) throw new Error("There is a run of this name already; choose another.");
      const answer = await send(KEPT);
      const { series } = (answer.reports ?? [answer]).find(one => one.run === report.run) ?? answer;
      // A writer for each attempt: an earlier one's later points would count as late.
      for (let n = 0; n < series.length;) {
        const { attempt } = series[n];
        let end = n;
        while (end < series.length && end - n < AT_ONCE && series[end].attempt === attempt) end += 1;
        const points = series.slice(n, end).map(({ attempt: _, superseded: __, ...point }) => point);
        outcome.textContent = `${number(end)} of ${number(series.length)} points`;
        await call("POST", runPath(name.value, "/points"), { query: { report: "false" }, body: { points, writer: `pasted-${attempt}`, ...(n === 0 ? { context: typed(context) } : {}) } });
        n = end;
      }
      await call("POST", runPath(name.value, "/finish"), { body: { state: "finished" } });
      fill(outcome, h("a", { href: runPage(name.value) }, `Kept as ${name.value}`));
    } catch (error) {
      fill(outcome, h("span", { class: "is-critical" }, error.message));
      button.disabled = false;
    }
  });
  return form;
}

const typed = context => Object.fromEntries(Object.entries(context).map(([name, value]) => [name, typeof value === "string" && value !== "" && Number.isFinite(Number(value)) ? Number(value) : value]));
const suggested = run => (run ?? `pasted-${new Date().toISOString().slice(0, 16).replace(/\D/g, "-")}`).replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[^A-Za-z0-9]+/, "").slice(0, 128) || "pasted";

projects().catch(() => {});
page.ready = "yes";
