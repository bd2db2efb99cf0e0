// What was found, as cards: what is wrong, what to do, why, by which numbers.

import { call, causePage, conditionPage, runPath } from "./api.js";
import { change } from "./changes.js";
import { codeLine, h, put, status } from "./dom.js";
import { exactTime, number, percent, plain, sentence, words } from "./format.js";

const ENDED = { resolved: "it passed", superseded: "the run went back before it", rule_changed: "newer rules no longer find it" };
const TIE = 0.12;
// Measured probabilities of causes are off by 0.044 (the catalogue has the figures): of two, the difference by 0.062. Less
// than twice that is no order.
const MUTES = [["an hour", 3600], ["a day", 86400], ["indefinitely", null]];

/** The advices of a finding with their lines of code. */
export async function advised(list, context) {
  return Promise.all(list.map(async advice => {
    const line = await change(advice, context);
    return h("li", { class: "advice" }, h("p", {}, advice.summary), line ? codeLine(line) : null,
      advice.reference ? h("p", { class: "quiet check" }, advice.reference) : null);
  }));
}

export function cause({ cause: name, probability, because, against, check }) {
  const bar = h("i", {});
  bar.style.width = `${Math.max(1, probability * 100)}%`;
  return h("li", { class: "cause" },
    h("div", { class: "top" }, h("a", { href: causePage(name) }, sentence(name)), h("span", {}, percent(probability))),
    h("div", { class: "meter", "aria-hidden": "true" }, bar),
    because.length ? h("ul", { class: "for", "aria-label": "for it" }, because.map(one => h("li", {}, one))) : null,
    against.length ? h("ul", { class: "against", "aria-label": "against it" }, against.map(one => h("li", {}, one))) : null,
    check ? h("p", { class: "check" }, h("b", {}, "To tell it from the others: "), check) : null);
}

/** Whether the first two causes are as likely as each other, as far as their probabilities can say. */
const isTie = ([first, second]) => second !== undefined && first.probability - second.probability <= TIE;

function causes(list) {
  if (!list.length) return null;
  const shown = list.slice(0, 3), rest = list.slice(3);
  return [h("h4", {}, "Why it may be so"),
    isTie(list) ? h("p", { class: "quiet" }, "The first two cannot be told apart from the curve: their order says nothing, the check does.") : null,
    h("ul", { class: "causes" }, shown.map(cause)),
    rest.length ? h("details", {}, h("summary", {}, `${rest.length} less likely`), h("ul", {}, rest.map(cause))) : null];
}

export function evidence(numbers) {
  return h("table", { class: "numbers" }, h("tbody", {}, Object.entries(numbers).filter(([, value]) => value !== null).map(([name, value]) =>
    h("tr", {}, h("th", { scope: "row" }, words(name)), h("td", {}, plain(value))))));
}

function when(finding) {
  if (finding.series === "clock") return `since ${exactTime(finding.opened_at)}`;
  const parts = [`since step ${number(finding.onset_step)}`, `found at step ${number(finding.opened_step)}`];
  if (!finding.closed_by && finding.last_step > finding.opened_step) parts.push(`still so at step ${number(finding.last_step)}`);
  if (finding.closed_by) parts.push(`${ENDED[finding.closed_by] ?? words(finding.closed_by)}${finding.resolved_step === null ? "" : ` at step ${number(finding.resolved_step)}`}`);
  return parts.join(", ");
}

/** Of which series a finding is, where its condition does not say that. */
export const ofSeries = ({ condition, series }) => (condition === "non_finite" && series !== "loss" ? h("span", { class: "quiet" }, ` ${words(series).replace("grad norm", "gradient norm")}`) : null);

/** A finding of a stored run. `explain(finding, button)` shows its statistic. */
export async function card(finding, { run, context, explain, changed }) {
  const isOpen = finding.closed_by === null;
  const node = h("article", { class: `card of-${finding.severity} ${isOpen ? "" : "closed"}`, id: `finding-${finding.id}`, data: { finding: finding.id } });
  const advice = await advised(finding.advice, context);
  put(node,
    h("header", {}, status(finding.severity), h("h3", {}, h("a", { href: conditionPage(finding.condition) }, sentence(finding.condition)), ofSeries(finding)),
      isOpen ? null : h("span", { class: "badge" }, words(finding.closed_by)),
      finding.acknowledged_at ? h("span", { class: "badge", title: exactTime(finding.acknowledged_at) }, "acknowledged") : null,
      isMuted(finding) ? h("span", { class: "badge", title: mutedUntil(finding) }, "muted") : null),
    h("p", {}, finding.summary),
    h("p", { class: "quiet" }, `${sentence(when(finding))}. Confidence ${percent(finding.confidence)}.`),
    isOpen && advice.length ? [h("h4", {}, "What to do"), h("ul", {}, advice)] : null,
    isOpen ? causes(finding.causes) : finding.causes.length ? h("details", {}, h("summary", {}, `Why it may have been so: ${words(finding.causes[0].cause)}?`), causes(finding.causes)) : null,
    h("details", {}, h("summary", {}, "The numbers behind it"), evidence(finding.evidence)));
  const actions = h("div", { class: "actions" });
  if (explain && finding.series !== "clock" && finding.series !== "unknown") {
    actions.append(h("button", { class: "button small", type: "button", "aria-pressed": "false", on: { click: event => explain(finding, event.currentTarget) } }, "Explain"));
  }
  if (isOpen && run) put(actions, marking(finding, run, changed));
  if (actions.childElementCount) node.append(actions);
  return node;
}

const isMuted = finding => finding.muted_until && Date.parse(finding.muted_until) > Date.now();
const mutedUntil = finding => (finding.muted_until.startsWith("9999") ? "indefinitely" : `until ${exactTime(finding.muted_until)}`);

/** Acknowledge and mute, or take that back. */
function marking(finding, run, changed) {
  const path = runPath(run, `/findings/${encodeURIComponent(finding.id)}`);
  const trouble = h("span", { class: "is-critical", role: "alert" });
  const act = (method, rest, body) => async () => {
    try {
      await call(method, path + rest, body === undefined ? {} : { body });
      changed();
    } catch (error) { trouble.textContent = error.message; }
  };
  const known = finding.acknowledged_at;
  const muteFor = h("select", { class: "small", "aria-label": "Mute for" }, h("option", { value: "" }, "Mute for …"), MUTES.map(([name], n) => h("option", { value: String(n) }, name)));
  muteFor.addEventListener("change", () => {
    if (muteFor.value === "") return;
    const seconds = MUTES[Number(muteFor.value)][1];
    act("POST", "/mute", seconds === null ? {} : { seconds })();
  });
  return [
    h("button", { class: "button small", type: "button", title: "Somebody is dealing with it: no more repeated notifications", on: { click: act(known ? "DELETE" : "POST", "/acknowledge") } }, known ? "Not acknowledged" : "Acknowledge"),
    isMuted(finding) ? h("button", { class: "button small", type: "button", on: { click: act("POST", "/mute", { seconds: 0 }) } }, "Unmute") : muteFor,
    trouble,
  ];
}

/** What is likely but not certain. */
export async function suspicion(one, context) {
  return h("article", { class: "card unsure" },
    h("header", {}, h("h3", {}, h("a", { href: conditionPage(one.condition) }, sentence(one.condition))), h("span", { class: "badge" }, `${percent(one.probability)} likely`)),
    h("p", {}, one.summary),
    one.advice.length ? [h("h4", {}, "What to do"), h("ul", {}, await advised(one.advice, context))] : null,
    causes(one.causes));
}

/** The finding that the headline speaks of: open before closed, the worst first, the earliest of these. */
export function foremost(findings) {
  const rank = ["critical", "warning", "info"];
  return [...findings].sort((a, b) => (a.closed_by !== null) - (b.closed_by !== null)
    || rank.indexOf(a.severity) - rank.indexOf(b.severity) || a.onset_step - b.onset_step);
}

function likeliest(likely, rival) {
  const named = one => [h("a", { href: causePage(one.cause) }, words(one.cause)), ` (${percent(one.probability)})`];
  const check = ask => (likely.check ? h("div", { class: "tell" }, `${ask}: ${likely.check}`) : null);
  if (!rival) return [h("b", {}, "Most likely"), h("div", {}, named(likely), ".", check("To be sure"))];
  if (isTie([likely, rival])) return [h("b", {}, "Either"), h("div", {}, named(likely), " or ", named(rival), ": the curve cannot tell these two apart.", check("This check tells"))];
  return [h("b", {}, "Most likely"), h("div", {}, named(likely), ", else ", named(rival), ".", check("To tell which"))];
}

const NEAR = 0.05;

/** What the headline means, where a beginner cannot know: chance level, a jump that is none of a moment. */
function meaning({ condition, evidence: numbers, onset_step: onset, last_step: last }) {
  const { level, chance_level: chance } = numbers;
  if (condition === "not_learning" && chance && Math.abs(level / chance - 1) < NEAR) return "Answers by chance give this loss: so far the model has learned nothing from its inputs.";
  if (condition === "loss_spike" && last > onset) return `It has not come back: ${number(last - onset)} ${last - onset === 1 ? "step" : "steps"} so far.`;
  return null;
}

/** The headline of a report, and the first thing to do. */
export async function verdict(host, report, context) {
  const all = foremost(report.findings ?? []).filter(one => one.closed_by === null);
  const worst = all.find(one => one.summary === report.headline) ?? all[0] ?? null;
  const failed = report.state === "failed";
  const kind = worst?.severity ?? (failed ? "waiting" : report.status);
  host.className = `verdict of-${kind}`;
  const first = worst?.severity === "info" ? null : worst?.advice?.[0];
  const line = first ? await change(first, context) : null;
  const [likely, rival] = worst?.causes ?? [];
  const done = worst?.condition === "plateau" && (worst.evidence.chance_level ?? null) === null && typeof worst.evidence.level === "number";
  const stop = ["finished", "failed", "cancelled"].includes(report.state) ? "do not resume it as it is" : "stop it: going on is pointless";
  host.replaceChildren();
  put(host,
    h("div", {}, status(report.status), report.action === "stop" ? h("span", { class: "badge is-critical" }, stop) : null,
      report.stale ? h("span", { class: "badge" }, "judged by a newer version elsewhere") : null),
    failed ? h("p", { class: "headline" }, "The run failed", report.error ? [" of ", h("code", {}, report.error)] : null, ".") : null,
    h("p", { class: failed && !worst ? "" : "headline" }, report.headline),
    worst && meaning(worst) ? h("p", {}, meaning(worst)) : null,
    first || done ? h("div", { class: "do" },
      done ? [h("b", {}, `If ${number(worst.evidence.level, 3)} is good enough`), h("div", {}, "It has converged, and the run is done.")] : null,
      first ? [h("b", {}, done ? "If not, change this" : "Change this"), h("div", {}, first.summary, line ? codeLine(line) : null)] : null,
      first && likely ? likeliest(likely, rival) : null) : null,
    (report.notes ?? []).map(note => h("p", { class: "quiet" }, note)));
}
