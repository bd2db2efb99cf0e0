// Searching the catalogue: every word must be on the page.

import { $ } from "./dom.js";
import { inAddress, projects } from "./page.js";

const entries = [...document.querySelectorAll("[data-text]")];
const read = inAddress($("form"), search);

function search() {
  const words = read().q.toLowerCase().split(/\s+/).filter(Boolean);
  for (const entry of entries) entry.hidden = !words.every(word => entry.dataset.text.includes(word));
  for (const section of document.querySelectorAll(".entries")) section.hidden = !section.querySelector("li:not([hidden])");
  $("#nothing").hidden = entries.some(entry => !entry.hidden);
}
search();
projects().catch(() => {});
document.body.dataset.ready = "yes";
