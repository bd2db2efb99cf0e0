// What happens, as it happens. Only the tab that is seen listens: a browser has six connections for all of its tabs.

import { address, get } from "./api.js";
import { $, fill } from "./dom.js";
import { named } from "./trouble.js";

const AWAY_MS = 2500;
const NO_ANSWER = { status: 0 };
const AGAIN_MS = [2000, 4000, 8000, 15000];
const KINDS = ["run.created", "run.deleted", "run.finished", "run.failed", "run.cancelled", "run.silent", "run.returned",
  "finding.opened", "finding.worsened", "finding.resolved", "finding.superseded", "finding.acknowledged",
  "finding.unacknowledged", "finding.muted", "finding.unmuted"];

/**
 * Listens until the page is left, or until what it listens to is gone. `report(run)`, `happened(event)`; `refresh()`
 * when anything may have been missed; `gone()` when that is no longer there. `about`: a small call that says why the
 * stream is refused, which the stream itself cannot. Returns what ends the listening.
 */
export function listen(path, { report = () => {}, happened = () => {}, refresh = () => {}, gone = () => {}, about = "/v1/projects" }) {
  let source = null, away = null, tries = 0, first = true, again = null, reason = NO_ANSWER;

  const open = () => {
    if (source || document.hidden) return;
    source = new EventSource(address(path));
    source.addEventListener("hello", () => {
      tries = 0;
      reason = NO_ANSWER;
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
      away ??= setTimeout(() => show(false, reason), AWAY_MS);
      if (source?.readyState !== EventSource.CLOSED) { reason = NO_ANSWER; return; } // it tries again by itself
      close();
      clearTimeout(again);
      again = setTimeout(open, AGAIN_MS[Math.min(tries++, AGAIN_MS.length - 1)]);
      get(about).catch(error => {
        reason = error;
        if (error.status === 404) { leave(); gone(); } else if (!$("#away").hidden) show(false, reason);
      });
    });
  };
  const close = () => { source?.close(); source = null; };
  const seen = () => {
    if (document.hidden) { close(); clearTimeout(again); } else open();
  };
  const leave = () => {
    clearTimeout(again);
    clearTimeout(away);
    close();
    document.removeEventListener("visibilitychange", seen);
    removeEventListener("pagehide", close);
    removeEventListener("pageshow", seen);
  };
  document.addEventListener("visibilitychange", seen);
  addEventListener("pagehide", close);
  addEventListener("pageshow", seen);
  open();
  return leave;
}

function show(here, error = NO_ANSWER) {
  const live = $("#live");
  live.hidden = false;
  live.classList.toggle("off", !here);
  live.textContent = here ? "live" : "away";
  const notice = $("#away");
  notice.hidden = here;
  const [title] = named(error);
  fill(notice, here ? "" : `${title}. What you see is what it said last; this page tries again by itself.`);
}

/** `work` at most once in `ms`, the last call never lost. */
export function throttled(work, ms) {
  let timer = null, last = 0;
  return () => {
    if (timer !== null) return;
    timer = setTimeout(() => { timer = null; last = Date.now(); work(); }, Math.max(0, last + ms - Date.now()));
  };
}
