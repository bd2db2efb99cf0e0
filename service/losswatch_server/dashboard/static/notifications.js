// Who is told, whether it arrives, and what is kept quiet.

import { call, get, page, runPage } from "./api.js";
import { $, copyButton, fill, h, put } from "./dom.js";
import { ago, duration, exactTime, number, plain, words } from "./format.js";
import { projects } from "./page.js";
import { trouble } from "./trouble.js";

const KINDS = {
  slack: ["Slack", "https://hooks.slack.com/services/…", "In Slack: Apps, Incoming Webhooks, Add to Slack, choose the channel, copy the Webhook URL."],
  discord: ["Discord", "https://discord.com/api/webhooks/…", "In Discord: Edit Channel, Integrations, Webhooks, New Webhook, Copy Webhook URL."],
  teams: ["Microsoft Teams", "https://….webhook.office.com/…", "In Teams: Workflows, “Post to a channel when a webhook request is received”, copy the URL."],
  webhook: ["Webhook", "https://example.org/hook", "A POST with JSON, signed by the Standard Webhooks scheme. The signing secret is shown once."],
  email: ["E-mail", "mailto:you@example.org", "Addresses after mailto:, with commas between. The service needs a mail server (--smtp-url)."],
  pagerduty: ["PagerDuty", "integration key", "In PagerDuty: the service, Integrations, Events API V2, copy the Integration Key."],
  alertmanager: ["Alertmanager", "https://alertmanager.example.org", "Alerts are posted to /api/v2/alerts."],
};

function targetCard(target) {
  const outcome = h("div", { role: "status" }), deliveries = h("div", {});
  const fixed = target.source === "file";
  const act = (work, again = true) => async event => {
    const button = event.currentTarget;
    button.disabled = true;
    try {
      await work();
      if (again) await showTargets();
    } catch (error) { fill(outcome, trouble(error)); } finally { button.disabled = false; }
  };
  const path = `/v1/targets/${encodeURIComponent(target.id)}`;
  const test = act(async () => {
    fill(outcome, h("p", { class: "quiet" }, "Sending …"));
    const result = await call("POST", `${path}/test`);
    fill(outcome, h("p", { class: result.delivered ? "notice" : "error" }, result.delivered ? "It arrived" : "It did not arrive", result.status ? `: ${result.status}` : "", result.detail ? ` ${result.detail}` : "", ` (${number(Math.round(result.duration_ms))} ms)`));
  }, false);
  const state = target.state === "active" ? "is-healthy" : target.state === "failing" ? "is-warning" : "is-waiting";
  const only = [target.conditions.length ? `only ${target.conditions.map(words).join(", ")}` : null, ...Object.entries(target.tags).map(([name, value]) => `tag ${name}=${value}`)].filter(Boolean);
  return h("article", { class: "box" },
    h("h3", {}, target.name || KINDS[target.kind]?.[0] || target.kind, " ", h("span", { class: `badge ${state}` }, target.state), " ", fixed ? h("span", { class: "badge" }, "from the targets file") : null),
    h("p", { class: "quiet" }, `${KINDS[target.kind]?.[0] ?? target.kind} at ${target.url}, from ${target.min_severity} on`, only.length ? `, ${only.join("; ")}` : "",
      `; again after ${duration(target.repeat_interval_s)} while it is open`, target.send_resolved ? "; also when it is over" : ""),
    target.disabled_reason ? h("p", { class: "error" }, target.disabled_reason) : null,
    target.failing_since ? h("p", {}, "Nothing has arrived since ", exactTime(target.failing_since), ".") : null,
    h("div", { class: "actions" },
      h("button", { class: "button small", type: "button", on: { click: test } }, "Send a test"),
      h("button", { class: "button small", type: "button", on: { click: act(() => showDeliveries(path, deliveries), false) } }, "Deliveries"),
      fixed ? null : h("button", { class: "button small", type: "button", on: { click: act(() => call("PATCH", path, { body: { enabled: target.state === "disabled" } })) } }, target.state === "disabled" ? "Switch on" : "Switch off"),
      fixed ? null : h("button", { class: "button small", type: "button", on: { click: act(async () => { if (confirm(`Remove ${target.name || target.kind}?`)) await call("DELETE", path); }) } }, "Remove")),
    outcome, deliveries);
}

async function showDeliveries(path, host) {
  if (host.childElementCount) { host.replaceChildren(); return; }
  const { deliveries } = await get(`${path}/deliveries`, { limit: 25 });
  const again = one => h("button", { class: "button small", type: "button", on: { click: async event => {
    event.currentTarget.disabled = true;
    await call("POST", `${path}/deliveries/${encodeURIComponent(one.id)}/redeliver`).catch(error => { host.prepend(trouble(error)); });
    host.replaceChildren();
    await showDeliveries(path, host);
  } } }, "Send again");
  fill(host, deliveries.length ? h("table", { class: "numbers plain stacked" },
    h("thead", {}, h("tr", {}, ["When", "What", "Why it was sent", "What became of it", "Again"].map(name => h("th", { scope: "col" }, name)))),
    h("tbody", {}, deliveries.map(one => h("tr", {},
      h("td", {}, h("time", { datetime: one.created_at, title: exactTime(one.created_at) }, ago(one.created_at))),
      h("td", {}, one.title, h("div", {}, one.runs.slice(0, 5).map(run => [h("a", { href: runPage(run) }, run), " "]))),
      h("td", {}, words(one.reason)),
      h("td", {}, h("b", { class: one.state === "delivered" ? "is-healthy" : one.state === "failed" ? "is-critical" : "is-waiting" }, one.state), one.status ? ` ${one.status}` : "", one.tries > 1 ? ` after ${one.tries} tries` : "", one.detail ? h("div", { class: "quiet" }, one.detail) : null),
      h("td", {}, ["failed", "delivered"].includes(one.state) ? again(one) : null))))) : h("p", { class: "quiet" }, "Nothing has been sent to it yet."));
}

async function showTargets() {
  const { targets } = await get("/v1/targets", { limit: 500 });
  fill($("#targets"), targets.length ? targets.map(targetCard) : h("p", { class: "quiet" }, "Nobody is told of anything yet. Add a target below: it takes a minute."));
}

function addForm() {
  const kind = h("select", { name: "kind" }, Object.entries(KINDS).map(([name, [title]]) => h("option", { value: name }, title)));
  const where = h("input", { name: "where", required: true, autocomplete: "off" }), called = h("input", { name: "name", autocomplete: "off", placeholder: "team channel" });
  const severity = h("select", {}, ["warning", "critical", "info"].map(one => h("option", {}, one)));
  const hint = h("p", { class: "quiet" }), outcome = h("div", { role: "status" }), label = h("span", {});
  const chosen = () => {
    label.textContent = kind.value === "pagerduty" ? "Integration key" : "Address";
    where.placeholder = KINDS[kind.value][1];
    hint.textContent = KINDS[kind.value][2];
  };
  kind.addEventListener("change", chosen);
  chosen();
  const form = h("form", { class: "box" },
    h("div", { class: "fields" }, h("label", {}, "Kind", kind), h("label", { class: "wide" }, label, where), h("label", {}, "Name", called), h("label", {}, "From severity", severity)),
    hint, h("div", { class: "actions" }, h("button", { class: "button main" }, "Add")), outcome);
  form.addEventListener("submit", async event => {
    event.preventDefault();
    const address = kind.value === "pagerduty" ? { routing_key: where.value.trim() } : { url: where.value.trim() };
    try {
      const target = await call("POST", "/v1/targets", { body: { kind: kind.value, ...address, min_severity: severity.value, ...(called.value ? { name: called.value } : {}) } });
      where.value = called.value = "";
      fill(outcome, h("div", { class: "notice" }, "Added. Send a test above.", target.secret ? h("p", {}, "Its signing secret, shown only now: ", h("code", {}, target.secret), " ", copyButton(target.secret)) : null));
      await showTargets();
    } catch (error) { fill(outcome, trouble(error)); }
  });
  return form;
}

const matchers = list => list.map(one => `${one.field} ${words(one.operator)} ${one.value}`).join(" and ");

async function showSilences() {
  const { silences } = await get("/v1/silences", { limit: 100 });
  const field = h("select", {}, ["run", "group", "condition", "severity"].map(one => h("option", {}, one)));
  const operator = h("select", {}, ["is", "is_not", "starts_with", "contains"].map(one => h("option", { value: one }, words(one))));
  const value = h("input", { required: true }), hours = h("input", { type: "number", min: "0.1", max: "8760", step: "any", value: "2", size: "5" }), comment = h("input", { placeholder: "the cluster is being moved" });
  const outcome = h("div", { role: "status" });
  const form = h("form", { class: "box" }, h("div", { class: "fields" }, h("label", {}, "Where", field), h("label", {}, "How", operator), h("label", {}, "What", value), h("label", {}, "For hours", hours), h("label", { class: "wide" }, "Why", comment), h("button", { class: "button" }, "Silence")), outcome);
  form.addEventListener("submit", async event => {
    event.preventDefault();
    try {
      await call("POST", "/v1/silences", { body: { matchers: [{ field: field.value, operator: operator.value, value: value.value }], duration_s: Number(hours.value) * 3600, comment: comment.value } });
      await showSilences();
    } catch (error) { fill(outcome, trouble(error)); }
  });
  const end = one => h("button", { class: "button small", type: "button", on: { click: async () => { await call("DELETE", `/v1/silences/${encodeURIComponent(one.id)}`); await showSilences(); } } }, "End it");
  fill($("#silences"), silences.length ? h("div", { class: "box" }, h("table", { class: "numbers plain stacked" }, h("tbody", {}, silences.map(one => h("tr", {},
    h("td", {}, matchers(one.matchers)), h("td", {}, one.active ? `until ${plain(one.ends_at)}` : `over since ${plain(one.ends_at)}`), h("td", {}, one.comment), h("td", {}, one.active ? end(one) : null)))))) : h("p", { class: "quiet" }, "None. A silence keeps notifications back for a time; findings are still found."), form);
}

put($("#add"), addForm());
projects().catch(() => {});
try {
  await Promise.all([showTargets(), showSilences()]);
} catch (error) { fill($("#targets"), trouble(error)); }
page.ready = "yes";
