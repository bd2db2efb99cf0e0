// The public API, as any other client uses it.

export const page = document.body.dataset;

/** An error with the sentence that the service gave for it; `status` 0: it did not answer. `wait`: seconds, or null. */
export class ServiceError extends Error {
  constructor(message, status, wait = null) {
    super(message);
    this.status = status;
    this.wait = wait;
  }
}

/** The address of a call, with the page's project. */
export function address(path, query = {}) {
  const parameters = new URLSearchParams();
  if (page.project !== "default") parameters.set("project", page.project);
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") parameters.set(name, value);
  }
  const text = parameters.toString();
  return text ? `${path}?${text}` : path;
}

/** Calls the service; the answer as JSON, null where there is none. Throws ServiceError. */
export async function call(method, path, { query, body, text, signal } = {}) {
  const headers = { Accept: "application/json" };
  let content;
  if (body !== undefined) { content = JSON.stringify(body); headers["Content-Type"] = "application/json"; }
  if (text !== undefined) { content = text; headers["Content-Type"] = "text/plain"; }
  let answer;
  try {
    answer = await fetch(address(path, query), { method, headers, body: content, signal, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError("Nothing came back.", 0);
  }
  if (answer.status === 401) { // keys are on, and this browser has no session
    location.assign(`/login?${new URLSearchParams({ next: location.pathname + location.search + location.hash })}`);
    return new Promise(() => {});
  }
  if (answer.status === 204) return null;
  const found = await answer.json().catch(() => null);
  if (!answer.ok) {
    const more = (found?.errors ?? []).slice(0, 3).map(one => `${one.pointer} ${one.detail}`).join("; ");
    throw new ServiceError([found?.detail ?? `The service answered ${answer.status}.`, more].filter(Boolean).join(" "), answer.status, Number(answer.headers.get("Retry-After")) || null);
  }
  return found;
}

export const get = (path, query, signal) => call("GET", path, { query, signal });
export const runPath = (run, rest = "") => `/v1/runs/${encodeURIComponent(run)}${rest}`;

/** Addresses of pages. */
export const runPage = (run, hash = "") => address(`/runs/${encodeURIComponent(run)}`) + hash;
export const conditionPage = name => address(`/catalogue/conditions/${encodeURIComponent(name)}`);
export const causePage = name => address(`/catalogue/causes/${encodeURIComponent(name)}`);

const waiting = [];
let busy = 0;
const AT_ONCE = 4; // a browser opens six connections to a service, and the event stream has one

/** Runs `work` when it is its turn: many small calls do not hold back the one that somebody waits for. */
export function inTurn(work) {
  return new Promise((resolve, reject) => {
    waiting.push(() => work().then(resolve, reject).finally(() => { busy -= 1; next(); }));
    next();
  });
}

function next() {
  while (busy < AT_ONCE && waiting.length) { busy += 1; waiting.shift()(); }
}
