// The calls of tests/languages/test_conformance.py, in JavaScript.
import { Run } from "../../clients/javascript/losswatch.mjs";

const [scenario, name] = process.argv.slice(2);
if (scenario === "story") {
  const run = new Run(name, { learning_rate: 0.01, optimizer: "sgd", tags: { team: "a" } });
  run.log(0, { loss: 450.0, grad_norm: 1.5 });
  await run.flush();
  run.amend({ batch_size: 20 });
  run.logAll([1, 2, 3].map((step) => ({ step, loss: 450.0 * 3.55 ** step, accuracy: 0.5 })));
  await run.flush();
  for (let step = 4; step < 100; step++) {
    run.log(step, { loss: 450.0 * 3.55 ** step });
    await run.flush();
    if (run.shouldStop) {
      console.log(`stopped at ${step}`);
      break;
    }
  }
  await run.finish("failed");
  console.log((await run.report()).state);
} else if (scenario === "odd") {
  const run = new Run(name);
  [NaN, Infinity, -Infinity, 0.1 + 0.2].forEach((loss, step) => run.log(step, { loss }));
  await run.finish();
} else if (scenario === "refused") {
  const run = new Run(name);
  run.log(-1, { loss: 0.5 });
  await run.flush();
  run.log(0, { loss: 0.5 });
  await run.finish();
  console.log("went on");
} else {
  const run = new Run(name);
  for (let step = 0; step < 3; step++) {
    run.log(step, { loss: 1 / (step + 1) });
    await run.flush();
  }
  console.log("trained");
  await run.finish("finished", { waitMs: Number(process.env.PATIENCE_S ?? 5) * 1000 });
}
