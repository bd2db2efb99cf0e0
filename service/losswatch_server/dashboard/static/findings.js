// Everything that is wrong now, over all runs of the project.

import { get, page, runPage } from "./api.js";
import { ofSeries } from "./cards.js";
import { $, fill, h, status } from "./dom.js";
import { ago, exactTime, number, sentence, words } from "./format.js";
import { listen, throttled } from "./live.js";
import { inAddress, projects, walkable } from "./page.js";
import { trouble } from "./trouble.js";

const body = $("#findings tbody");
const conditions = await get("/v1/conditions").catch(() => ({ conditions: [] }));
fill($("[name=condition]"), h("option", { value: "" }, "any"), conditions.conditions.map(one => h("option", { value: one.name }, words(one.name))));
const filters = inAddress($("#filters"), throttled(() => load(true), 200));
let cursor = null, asked = 0, busy = false;

function row(finding) {
  const page = runPage(finding.run, `#finding-${finding.id}`);
  const name = h("a", { class: "name", href: page }, sentence(finding.condition), ofSeries(finding));
  return h("tr", { class: `is-${finding.severity}-row` },
    h("td", {}, status(finding.severity), finding.closed_by ? h("div", { class: "quiet" }, words(finding.closed_by)) : null),
    h("td", { class: "wide" }, name,
      h("span", { class: "chips" }, finding.acknowledged_at ? h("span", { class: "chip" }, "acknowledged") : null, finding.muted_until && Date.parse(finding.muted_until) > Date.now() ? h("span", { class: "chip" }, "muted") : null),
      h("span", { class: "headline" }, finding.summary)),
    h("td", { class: "of-run" }, h("a", { href: page }, finding.run)),
    h("td", { class: "number small-only-hide" }, finding.series === "clock" ? "–" : number(finding.onset_step)),
    h("td", {}, h("time", { datetime: finding.opened_at, title: exactTime(finding.opened_at) }, ago(finding.opened_at))),
    h("td", { class: "small-only-hide" }, finding.advice[0] ? h("span", { class: "headline", title: finding.advice[0].summary }, finding.advice[0].summary) : null));
}

async function load(first) {
  if (!first && (busy || cursor === null)) return;
  const mine = ++asked;
  busy = true;
  try {
    const { findings, next_cursor: next } = await get("/v1/findings", { ...filters(), cursor: first ? null : cursor, limit: 50 });
    if (mine !== asked) return;
    cursor = next;
    if (first) body.replaceChildren();
    body.append(...findings.map(row));
    $("#findings").hidden = !body.childElementCount;
    $("#more").textContent = body.childElementCount ? (cursor === null ? `${number(body.childElementCount)} findings` : "") : "Nothing is wrong that fits these filters.";
  } catch (error) {
    fill($("#more"), trouble(error));
  } finally { busy = false; }
}

new IntersectionObserver(([entry]) => { if (entry.isIntersecting) load(false); }, { rootMargin: "400px" }).observe($("#more"));
walkable(() => [...body.children]);
const again = throttled(() => load(true), 2000);
listen("/v1/events", { happened: ({ kind }) => { if (kind.startsWith("finding.")) again(); }, refresh: again });
projects().catch(() => {});
await load(true);
page.ready = "yes";
