// What happens, as it happens. Only the tab that is seen listens: a browser has six connections for all of its tabs.

import { address } from "./api.js";
import { $, fill } from "./dom.js";

const AWAY_MS = 2500;
const AGAIN_MS = [2000, 4000, 8000, 15000];
const KINDS = ["run.created", "run.deleted", "run.finished", "run.failed", "run.cancelled", "run.silent", "run.returned",
  "finding.opened", "finding.worsened", "finding.resolved", "finding.superseded", "finding.acknowledged",
  "finding.unacknowledged", "finding.muted", "finding.unmuted"];

/** Listens until the page is left. `report(run)`, `happened(event)`; `refresh()` when anything may have been missed. */
export function listen(path, { report = () => {}, happened = () => {}, refresh = () => {} }) {
  let source = null, away = null, tries = 0, first = true, again = null;

  const open = () => {
    if (source || document.hidden) return;
    source = new EventSource(address(path));
    source.addEventListener("hello", () => {
      tries = 0;
      clearTimeout(away);
      away = null;
      show(true);
      if (!first) refresh(); // after a pause: what was missed is read anew, whatever it was
      first = false;
    });
    source.addEventListener("reset", refresh);
    source.addEventListener("report", event => report(JSON.parse(event.data)));
    for (const kind of KINDS) source.addEventListener(kind, event => happened(JSON.parse(event.data)));
    source.addEventListener("error", () => {
      away ??= setTimeout(() => show(false), AWAY_MS);
      if (source?.readyState !== EventSource.CLOSED) return; // it tries again by itself
      close();
      clearTimeout(again);
      again = setTimeout(open, AGAIN_MS[Math.min(tries++, AGAIN_MS.length - 1)]);
    });
  };
  const close = () => { source?.close(); source = null; };
  const seen = () => {
    if (document.hidden) { close(); clearTimeout(again); } else open();
  };
  document.addEventListener("visibilitychange", seen);
  addEventListener("pagehide", close);
  addEventListener("pageshow", seen);
  open();
}

function show(here) {
  const live = $("#live");
  live.hidden = false;
  live.classList.toggle("off", !here);
  live.textContent = here ? "live" : "away";
  const notice = $("#away");
  notice.hidden = here;
  fill(notice, here ? "" : "The service does not answer. What you see is what it last said; this page tries again by itself.");
}

/** `work` at most once in `ms`, the last call never lost. */
export function throttled(work, ms) {
  let timer = null, last = 0;
  return () => {
    if (timer !== null) return;
    timer = setTimeout(() => { timer = null; last = Date.now(); work(); }, Math.max(0, last + ms - Date.now()));
  };
}
