// What every page has: theme, keyboard, projects.

import { get, page } from "./api.js";
import { $, fill, h } from "./dom.js";

const GO = { r: "/", f: "/findings", p: "/paste", c: "/catalogue", n: "/notifications" };
const keys = new Map();

/** A key of this page; not while somebody writes. */
export const onKey = (key, work) => keys.set(key, work);

function switchTheme() {
  const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  try { localStorage.setItem("losswatch-theme", theme); } catch { /* then for this page alone */ }
  dispatchEvent(new CustomEvent("theme-chosen", { detail: theme }));
}

const isWriting = target => target instanceof Element && target.matches("input:not([type=range]):not([type=checkbox]), textarea, select");
let going = false;

addEventListener("keydown", event => {
  if (event.key === "Escape" && isWriting(event.target)) { event.target.blur(); return; }
  if (event.ctrlKey || event.metaKey || event.altKey || isWriting(event.target) || $("dialog[open]")) return;
  if (going) {
    going = false;
    if (GO[event.key]) location.href = withProject(GO[event.key]);
    return;
  }
  const work = keys.get(event.key);
  if (work) { event.preventDefault(); work(event); }
});
onKey("t", switchTheme);
onKey("?", () => $("#keys").showModal());
onKey("g", () => { going = true; setTimeout(() => { going = false; }, 1500); });
onKey("/", () => $("input[type=search]")?.focus());
$("#theme").addEventListener("click", switchTheme);
$("#help").addEventListener("click", () => $("#keys").showModal());
/** A button that unfolds what it controls, on a narrow screen alone: on a wide one there is nothing to fold. */
function unfolds(button) {
  button?.addEventListener("click", () => button.setAttribute("aria-expanded", String(button.getAttribute("aria-expanded") !== "true")));
}
unfolds($("#menu"));
unfolds($(".fold"));

// Where nothing hovers, a tap on a relative time or a badge says what a mouse would read over it.
addEventListener("click", ({ target }) => {
  const node = target instanceof Element && matchMedia("(hover: none)").matches ? target.closest("time[title], .badge[title]") : null;
  if (!node) return;
  const { title, textContent } = node;
  node.textContent = title;
  node.title = textContent;
});

$("#logout")?.addEventListener("click", async () => {
  await fetch("/logout", { method: "POST", redirect: "manual" }).catch(() => {}); // without an answer the session stays
  location.assign("/login");
});

const withProject = path => (page.project === "default" ? path : `${path}?project=${encodeURIComponent(page.project)}`);

/** Move a mark along the rows of a list, as `j` and `k` do; `Enter` follows the link of the marked one. */
export function walkable(rows, { follow = row => row.querySelector("a")?.click() } = {}) {
  let at = null;
  const go = by => {
    const all = rows();
    if (!all.length) return;
    const place = Math.min(all.length - 1, Math.max(0, all.indexOf(at) + (all.includes(at) ? by : 0)));
    at?.classList.remove("at");
    at = all[place];
    at.classList.add("at");
    at.scrollIntoView({ block: "nearest" });
  };
  onKey("j", () => go(1));
  onKey("k", () => go(-1));
  onKey("Enter", event => {
    if (event.target instanceof Element && event.target.matches("a, button, summary, input")) event.target.click();
    else if (at) follow(at);
  });
}

/** The projects there are, for the selector in the bar; the counts of this one. */
export async function projects() {
  const { projects: found } = await get("/v1/projects");
  const select = $("#project");
  const names = new Set([page.project, ...found.map(one => one.project)]);
  fill(select, [...names].sort().map(name => h("option", { selected: name === page.project }, name)));
  select.closest("label").hidden = names.size < 2;
  return found.find(one => one.project === page.project) ?? null;
}
$("#project").addEventListener("change", event => {
  page.project = event.target.value;
  location.href = withProject(location.pathname.startsWith("/runs/") ? "/" : location.pathname);
});

/** The state of a form, kept in the address so that a link shows the same. */
export function inAddress(form, changed) {
  const names = [...form.elements].map(field => field.name).filter(Boolean);
  const known = new URLSearchParams(location.search);
  for (const name of names) if (known.has(name)) form.elements[name].value = known.get(name);
  const usual = name => form.elements[name].options?.[0]?.value ?? "";
  const count = () => {
    const fold = form.querySelector(".fold");
    const set = names.filter(name => form.elements[name].closest(".folded") && form.elements[name].value !== usual(name)).length;
    if (fold) fold.textContent = set ? `Filters (${set})` : "Filters";
  };
  const keep = () => {
    const query = new URLSearchParams(location.search);
    for (const name of names) {
      const { value } = form.elements[name];
      if (value === usual(name)) query.delete(name); else query.set(name, value);
    }
    setAddress(query);
    count();
    changed();
  };
  count();
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("input", keep);
  return () => Object.fromEntries(names.map(name => [name, form.elements[name].value]));
}

export function setAddress(query) {
  const text = query.toString();
  history.replaceState(null, "", location.pathname + (text ? `?${text}` : "") + location.hash);
}
