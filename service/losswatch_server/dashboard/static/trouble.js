// What went wrong with a call: what it is called, what the service said, and what helps.

import { address } from "./api.js";
import { h } from "./dom.js";

const KNOWN = {
  0: ["The service does not answer", "It is stopped, or the network between is down."],
  403: ["This is not allowed", "An API key with another scope may do it: log out, and in again with that one."],
  404: ["It is not there", "It may have been deleted, or belong to another project."],
  409: ["It has changed meanwhile", "Load the page anew and try again."],
  410: ["It has been deleted", null],
  413: ["That is too large", "Send less at once: every tenth line of a log shows the same."],
  415: ["This format is not read", null],
  422: ["This could not be taken", null],
  429: ["Too many requests", null],
  500: ["An error of the service", "Its log says more."],
  503: ["The service is busy", null],
};
const PASSES = status => [0, 429].includes(status) || status >= 500;

/** The title of an error and what helps, for `error` of a call. `retries`: whether this page tries again by itself. */
export function named({ status, wait }, retries = true) {
  const [title, help] = KNOWN[status] ?? (status >= 500 ? KNOWN[500] : ["That did not work", null]);
  const when = wait ? ` in ${wait} s` : "";
  const again = !PASSES(status) ? null : retries ? `This page tries again by itself${when}.` : `Try again${when}.`;
  return [title, [help, again].filter(Boolean).join(" ")];
}

/** An error as a box. */
export function trouble(error, { retries = false } = {}) {
  const [title, help] = named(error, retries);
  return h("div", { class: "error", role: "alert", data: { status: error.status ?? "" } }, h("strong", {}, title), `: ${error.message.replace(/\.*$/, ".")} ${help}`);
}

/** The page of what is not there, in place of what would be shown. */
export function missing(title, ...said) {
  return h("section", { class: "trouble" }, h("h1", {}, title), said.map(one => h("p", {}, one)),
    h("p", {}, h("a", { class: "button", href: address("/") }, "All runs")));
}
