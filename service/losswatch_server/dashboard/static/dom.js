// Elements from values. Text is only ever set as text: nothing that a run is called can become markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element. `props`: `class`, `on` (event name -> handler), `data`, properties of inputs, else attributes. */
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") node.className = value;
    else if (name === "on") for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
    else if (name === "data") Object.assign(node.dataset, value);
    else if (["value", "checked", "disabled", "selected", "open"].includes(name)) node[name] = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  return put(node, ...children);
}

/** Children appended to a node; null and false are left out. */
export function put(node, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

/** The children of a node replaced. */
export function fill(node, ...children) {
  node.replaceChildren();
  return put(node, ...children);
}

/** An icon of the page's own set. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** A status or severity: icon, colour and word. */
export function status(word) {
  const known = ["healthy", "warning", "critical", "waiting", "info"].includes(word) ? word : "waiting";
  return h("span", { class: `status is-${known}` }, icon(known), word);
}

export const $ = selector => document.querySelector(selector);

/** A button that copies a text and says so. */
export function copyButton(text, label = "Copy") {
  const button = h("button", { class: "button small", type: "button", "aria-label": `${label}: ${text}` }, label);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch { // not a secure context: the old way
      const area = h("textarea", { class: "hidden" });
      area.value = text;
      button.after(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 1500);
  });
  return button;
}

/** A line of code with its copy button. */
export function codeLine(text) {
  return h("div", { class: "change" }, h("code", {}, text), copyButton(text));
}
