// The line of code that does what an advice says, in the framework of the run.

import { address as assetAddress } from "./asset.js";

const table = fetch(assetAddress("code-changes.json")).then(answer => answer.json()).catch(() => ({}));

const FRAMEWORKS = [
  ["transformers", /transformers|hugging|trainer_state/], ["lightning", /lightning/], ["pytorch", /torch|fairseq|detectron|mmcv|timm/],
  ["keras", /keras|tensorflow/], ["jax", /jax|flax|optax/],
];

export function frameworkOf(context) {
  const said = String(context?.framework ?? "").toLowerCase();
  return FRAMEWORKS.find(([, pattern]) => pattern.test(said))?.[0] ?? "any";
}

/** A line of code, or null where no line says it. Lightning and transformers train with PyTorch underneath. */
export async function change(advice, context) {
  const ways = (await table)[advice.action];
  if (!ways) return null;
  const framework = frameworkOf(context);
  const pattern = ways[framework] ?? (["lightning", "transformers"].includes(framework) ? ways.pytorch : null) ?? ways.any;
  const line = typeof pattern === "object" ? pattern?.[advice.value] : pattern;
  if (!line || (line.includes("{value}") && (advice.value === null || advice.value === undefined))) return null;
  const optimizer = String(context?.optimizer ?? "").toLowerCase().replace(/\W/g, "") || "adam";
  return line.replaceAll("{value}", String(advice.value)).replaceAll("{optimizer}", optimizer);
}
