/**
 * Losswatch from JavaScript: an ES module without dependencies, for Node 18 and newer, Deno, Bun and browsers.
 *
 *   import { Run } from "./losswatch.mjs";
 *   const run = new Run("my-run", { learning_rate: 0.01, optimizer: "sgd" });
 *   for (let step = 0; step < 1000 && !run.shouldStop; step++) {
 *     run.log(step, { loss: await train() });
 *   }
 *   await run.finish();
 *
 * `log` never throws and never waits for the network. What cannot be delivered waits in memory and is sent again; the
 * service counts a point once, however often it comes.
 */

const FIELDS = new Set(["loss", "grad_norm", "learning_rate", "validation_loss", "epoch", "time", "layers", "metrics", "rank"]);
const BATCH = 1000;
const WAITING = 100_000; // points kept while the service is away
const REQUEST_MS = 5_000;
const LONGEST_PAUSE_MS = 30_000;

const env = (name) => globalThis.process?.env?.[name];
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** JSON as the service reads it: JavaScript would turn NaN and infinities into null, which means "not measured". */
function json(value) {
  return JSON.stringify(value, (_, item) => (typeof item === "number" && !Number.isFinite(item) ? String(item) : item));
}

/** A point from what was measured: names that are no field of a point are metrics; null and undefined are left out. */
function point(step, values) {
  const made = { step };
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === undefined) continue;
    if (FIELDS.has(name)) made[name] = value;
    else made.metrics = { ...made.metrics, [name]: value };
  }
  return made;
}

export class Run {
  #root;
  #headers;
  #query;
  #writer;
  #context;
  #waiting = [];
  #left = 0; // points dropped because too many waited
  #sending = null;
  #timer = null;
  #interval;
  #triesFailed = 0;
  #notBefore = 0;
  #said = new Set();
  #say;
  #step = -1;
  #latest = null;

  /**
   * `context` is what is known of the job: learning_rate, optimizer, batch_size, total_steps, tags, …
   * `options`: url, apiKey, project (or LOSSWATCH_URL, LOSSWATCH_API_KEY, LOSSWATCH_PROJECT), flushIntervalMs, and
   * `say`, which gets each of the few sentences for the person at the terminal (console.warn).
   */
  constructor(name, context = {}, options = {}) {
    const url = options.url ?? env("LOSSWATCH_URL") ?? "http://127.0.0.1:8000";
    const key = options.apiKey ?? env("LOSSWATCH_API_KEY");
    const project = options.project ?? env("LOSSWATCH_PROJECT");
    this.name = name;
    this.#root = `${url.replace(/\/+$/, "")}/v1/runs/${encodeURIComponent(name)}`;
    this.#query = project ? `?project=${encodeURIComponent(project)}` : "";
    this.#headers = { "Content-Type": "application/json", ...(key ? { Authorization: `Bearer ${key}` } : {}) };
    this.#writer = `js-${globalThis.crypto?.randomUUID?.() ?? `${Date.now()}-${Math.random().toString(36).slice(2)}`}`;
    this.#context = Object.keys(context).length ? context : null;
    this.#interval = options.flushIntervalMs ?? 250;
    this.#say = options.say ?? ((sentence) => console.warn(`losswatch: ${sentence}`));
  }

  /** Report what was measured at a step; without a step, at the one after the last. */
  log(step, values) {
    if (values === undefined) [step, values] = [this.#step + 1, step];
    this.#step = step;
    if (this.#waiting.length >= WAITING) {
      this.#once("left", `more than ${WAITING} points wait; the oldest are dropped`);
      this.#waiting.shift();
      this.#left += 1;
    }
    try {
      this.#waiting.push(point(step, values ?? {}));
    } catch (error) {
      this.#once("unreadable", `a point could not be read: ${error.message}`);
    }
    if (this.#timer === null && this.#sending === null) {
      this.#timer = setTimeout(() => void this.#send(), this.#interval);
      this.#timer.unref?.();
    }
  }

  /** Report many points, each an object with its `step`, in as few requests as they fit into. */
  logAll(points) {
    for (const { step, ...values } of points) this.log(step, values);
  }

  /** Add to the context; it holds from the next point on. */
  amend(context) {
    this.#context = { ...this.#context, ...context };
  }

  /** The report in the last answer, or null before the first. */
  get latest() {
    return this.#latest;
  }

  /** Whether going on is pointless, by the last answer. */
  get shouldStop() {
    return this.#latest?.action === "stop";
  }

  /** Send what waits. True when all of it is delivered. */
  async flush() {
    while (this.#sending) await this.#sending;
    await this.#send();
    return this.#waiting.length === 0;
  }

  /** The latest report as the service has it; null where there is none. */
  async report() {
    const answer = await this.#ask("GET", "report");
    return answer.status === 200 ? answer.body : null;
  }

  /** The run has ended: finished, failed or cancelled. Waits `waitMs` at most for a service that is away. */
  async finish(state = "finished", { waitMs = 5_000 } = {}) {
    const until = Date.now() + waitMs;
    for (;;) {
      this.#notBefore = 0;
      if ((await this.flush()) || Date.now() >= until) break;
      await sleep(250);
    }
    if (this.#waiting.length) {
      this.#say(`${this.#waiting.length} points of ${this.name} were not delivered: the service is away`);
      return;
    }
    for (;;) {
      const answer = await this.#ask("POST", "finish", { state });
      if (answer.status === 200 || (answer.status >= 400 && answer.status < 500)) {
        if (answer.status !== 200) this.#once(`end ${answer.status}`, `the end was refused: ${answer.detail}`);
        return;
      }
      if (Date.now() >= until) return this.#say(`the end of ${this.name} was not delivered: ${answer.detail}`);
      await sleep(250);
    }
  }

  async #send() {
    clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#sending || Date.now() < this.#notBefore) {
      if (!this.#sending && this.#waiting.length) this.#later();
      return;
    }
    this.#sending = this.#deliver().finally(() => (this.#sending = null));
    await this.#sending;
    if (this.#waiting.length) this.#later();
  }

  #later() {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => void this.#send(), Math.max(this.#interval, this.#notBefore - Date.now()));
    this.#timer.unref?.();
  }

  async #deliver() {
    while (this.#waiting.length || this.#context) {
      if (!this.#waiting.length) return; // a context goes with the next point
      const points = this.#batch();
      const context = this.#context;
      const before = this.#left;
      const answer = await this.#ask("POST", "points", { writer: this.#writer, points, ...(context ? { context } : {}) });
      const dropped = Math.min(points.length, this.#left - before); // by log, while this was under way
      if (answer.status === 200) {
        this.#triesFailed = 0;
        this.#waiting.splice(0, points.length - dropped);
        if (this.#context === context) this.#context = null;
        this.#latest = answer.body;
      } else if (answer.status === 422) {
        this.#without(points, dropped, answer, context);
      } else if (answer.status >= 400 && answer.status < 500 && answer.status !== 408 && answer.status !== 429) {
        this.#once(`refused ${answer.status}`, `points are refused and dropped: ${answer.detail}`);
        this.#waiting.splice(0, points.length - dropped);
      } else {
        this.#triesFailed += 1;
        const pause = answer.retryMs ?? 250 * 2 ** Math.min(this.#triesFailed, 10);
        this.#notBefore = Date.now() + Math.min(LONGEST_PAUSE_MS, pause);
        this.#once("away", `${answer.detail}; points wait and are sent again`);
        return;
      }
    }
  }

  /** As many as one request may carry: the steps of a request ascend, as the service sorts them. */
  #batch() {
    let size = 1;
    while (size < Math.min(BATCH, this.#waiting.length) && this.#waiting[size].step > this.#waiting[size - 1].step) size += 1;
    return this.#waiting.slice(0, size);
  }

  /** Drop what the service names as bad, and say why. */
  #without(points, dropped, answer, context) {
    const bad = new Map();
    for (const { pointer, detail } of answer.body?.errors ?? []) {
      const place = /^\/points\/(\d+)/.exec(pointer);
      bad.set(place ? Number(place[1]) : pointer.startsWith("/context") ? "context" : "other", detail);
    }
    if (bad.delete("context") && context) {
      this.#once("context", `the context is refused and left out: ${answer.detail}`);
      this.#context = null;
    }
    if (bad.size === 0 && !context) bad.set("other", answer.detail);
    if (bad.has("other")) points.forEach((_, place) => bad.set(place, bad.get("other")));
    for (const [place, why] of bad) {
      if (place in points) this.#once(`bad ${why}`, `the point of step ${points[place].step} is refused and dropped: ${why}`);
    }
    this.#waiting.splice(0, points.length - dropped, ...points.slice(dropped).filter((one) => !bad.has(points.indexOf(one))));
  }

  /** One request: its status (0 where no answer came), its body, and a sentence that says what went wrong. */
  async #ask(method, call, body) {
    const query = this.#query;
    try {
      const answer = await fetch(`${this.#root}/${call}${query}`, {
        method,
        headers: this.#headers,
        body: body === undefined ? undefined : json(body),
        signal: AbortSignal.timeout(REQUEST_MS),
      });
      const told = await answer.json().catch(() => null);
      const retry = Number(answer.headers.get("Retry-After"));
      const detail = `${answer.status}: ${told?.detail ?? "not an answer of Losswatch"}`;
      return { status: answer.status, body: told, detail, retryMs: retry > 0 ? retry * 1000 : undefined };
    } catch (error) {
      return { status: 0, body: null, detail: `no service answers at ${this.#root} (${error.cause?.code ?? error.name})` };
    }
  }

  #once(what, sentence) {
    if (this.#said.has(what)) return;
    this.#said.add(what);
    this.#say(sentence);
  }
}

/**
 * A callback for TensorFlow.js: `model.fit(x, y, { callbacks: tfjs(run, model) })`. Each epoch becomes a point (with
 * `every: "batch"`, each batch); the training ends where going on is pointless, and the run with the training.
 */
export function tfjs(run, model, { every = "epoch" } = {}) {
  let batch = 0;
  const report = async (step, logs, more) => {
    const { loss, val_loss, acc, size, batch: _, ...others } = logs ?? {};
    run.log(step, { loss, validation_loss: val_loss, accuracy: acc, ...others, ...more });
    if (run.shouldStop && model) model.stopTraining = true;
  };
  return {
    onBatchEnd: async (_, logs) => {
      if (every === "batch") await report(batch++, logs);
    },
    onEpochEnd: async (epoch, logs) => {
      if (every === "batch") {
        const { loss, acc, ...validation } = logs ?? {}; // the epoch's mean is no loss of a step
        await report(Math.max(0, batch - 1), validation, { epoch });
      } else await report(epoch, logs, { epoch });
    },
    onTrainEnd: async () => {
      await run.finish();
    },
  };
}
