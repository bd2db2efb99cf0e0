// Runs before the page is drawn, so that no page flashes in the other theme. The switch is in page.js.
(() => {
  let chosen = null;
  try { chosen = localStorage.getItem("losswatch-theme"); } catch { /* storage may be forbidden */ }
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const show = () => { document.documentElement.dataset.theme = chosen ?? (dark.matches ? "dark" : "light"); };
  show();
  dark.addEventListener("change", () => { if (chosen === null) { show(); dispatchEvent(new Event("theme")); } });
  addEventListener("theme-chosen", event => { chosen = event.detail; show(); dispatchEvent(new Event("theme")); });
})();
