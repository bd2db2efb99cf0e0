// What to do when there is no run yet: the first point, in the language of whoever reads.

import { page } from "./api.js";
import { copyButton, h, put } from "./dom.js";

/** Each way with its code; `address` is that of this service, `project` its project. */
export function ways(address, project) {
  const query = project === "default" ? "" : `?project=${project}`;
  const client = project === "default" ? `url="${address}"` : `url="${address}", project="${project}"`;
  return [
    ["curl", "A point is a line of JSON; the answer is the report.",
      `curl -sS -d '{"step": 1, "loss": 2.31, "grad_norm": 1.9}' '${address}/v1/runs/my-run/points${query}'`],
    ["Any language, as lines", "One request may hold many points: a JSON list, gzip accepted.",
      `POST ${address}/v1/runs/my-run/points${query}
{"points": [{"step": 1, "loss": 2.31}, {"step": 2, "loss": "NaN"}],
 "context": {"optimizer": "sgd", "learning_rate": 0.01}}`],
    ["Python", "The client, by pip install ./clients/python in the source. It never blocks, and never raises.",
      `import losswatch

run = losswatch.Run("my-run", ${client}, optimizer="adam", learning_rate=1e-3)
for step, loss in enumerate(train(), 1):
    run.log(step, loss=loss)
    if run.should_stop:
        break
run.finish()`],
    ["Frameworks", "Two lines; the gradient norm, the learning rate and what the model is come by themselves.",
      `import losswatch, os
os.environ["LOSSWATCH_URL"] = "${address}"${project === "default" ? "" : `\nos.environ["LOSSWATCH_PROJECT"] = "${project}"`}

# PyTorch
run = losswatch.torch.watch(model, optimizer)   # then run.log(loss=loss)
# Hugging Face
losswatch.transformers.watch(trainer)           # then trainer.train()
# Lightning
Trainer(callbacks=[losswatch.lightning.LosswatchCallback()])
# Keras
model.fit(x, y, callbacks=[losswatch.keras.LosswatchCallback()])`],
  ];
}

export function firstSteps(host) {
  put(host,
    h("h1", {}, "Send the first point"),
    h("p", { class: "lead" }, "No run has reported to this project yet. As soon as one does it appears here by itself, with what is wrong with it and which number to change."),
    h("div", { class: "steps" }, ways(location.origin, page.project).map(([name, why, code]) => h("section", { class: "box" },
      h("h2", {}, name), h("p", { class: "quiet" }, why), h("pre", { tabindex: "0" }, h("code", {}, code)), copyButton(code)))),
    h("p", {}, h("a", { href: "/docs/getting-started" }, "Getting started"), " has the rest."),
    h("h2", {}, "Or paste a log that you have"),
    h("p", { class: "quiet" }, "Console output, CSV, JSON lines, a notebook: as it is. Nothing of it is stored."),
    h("div", { id: "paste" }), h("div", { id: "result", "aria-live": "polite" }));
  import("./paste.js");
}
