// Points of the API as curves.

import { real } from "./format.js";

export const SERIES = ["loss", "validation_loss", "grad_norm", "learning_rate"];

/** One series of points as {x, y}: those that stand, apart from those that were superseded; and what is not finite. */
export function curvesOf(points, name) {
  const standing = { x: [], y: [] }, gone = [], marks = [];
  let old = null;
  for (const point of points) {
    const value = real(point[name]);
    if (value === null || value === undefined || point.rank) continue;
    if (point.superseded) {
      if (!old || old.attempt !== point.attempt) gone.push(old = { attempt: point.attempt, x: [], y: [] });
      old.x.push(point.step);
      old.y.push(value);
      continue;
    }
    standing.x.push(point.step);
    standing.y.push(value);
    if (!Number.isFinite(value)) marks.push({ step: point.step, value });
  }
  return { standing: sorted(standing), gone: gone.map(sorted), marks };
}

/** Which attempt stands at a step: a later one supersedes what came at or past its start. */
export function ownerOf(points) {
  const starts = new Map();
  for (const { step, attempt, superseded } of points) {
    if (!superseded && !(starts.get(attempt) <= step)) starts.set(attempt, step);
  }
  const latest = [...starts].sort(([a], [b]) => b - a);
  return step => latest.find(([, start]) => start <= step)?.[0] ?? latest.at(-1)?.[0] ?? 1;
}

/** By ascending step: attempts come one after another. */
function sorted({ x, y }) {
  if (x.every((step, n) => n === 0 || x[n - 1] <= step)) return { x, y };
  const order = x.map((_, n) => n).sort((a, b) => x[a] - x[b]);
  return { x: order.map(n => x[n]), y: order.map(n => y[n]) };
}

/**
 * Puts the newest point of a run, as an event brings it, at the end of a curve of at most `most` points. False where it has
 * no place there, and the curve must be read anew.
 */
export function grow(line, point, most) {
  const value = real(point.loss), last = line.x.at(-1) ?? -1;
  if (value === null || point.step < last) return false; // null: not finite, of unknown kind
  if (value === undefined) return true; // it measured something else
  if (point.step === last) { line.y[line.y.length - 1] = value; return true; }
  line.x.push(point.step);
  line.y.push(value);
  if (line.x.length > most) Object.assign(line, halved(line));
  return true;
}

/** About half of the points: of every four the lowest and the highest, and all that are not finite. */
function halved({ x, y }) {
  const kept = [];
  for (let n = 0; n < y.length; n += 4) {
    const four = [n, n + 1, n + 2, n + 3].filter(one => one < y.length), finite = four.filter(one => Number.isFinite(y[one]));
    const low = finite.reduce((a, b) => (y[b] < y[a] ? b : a), finite[0]), high = finite.reduce((a, b) => (y[b] >= y[a] ? b : a), finite[0]);
    kept.push(...four.filter(one => one === low || one === high || !Number.isFinite(y[one]) || one === y.length - 1));
  }
  return { x: kept.map(n => x[n]), y: kept.map(n => y[n]) };
}

/** The exponential moving average, as good at the start as later: weights of the values seen so far sum to one. */
export function smoothed({ x, y }, weight) {
  let sum = 0, total = 0;
  const found = y.map(value => {
    if (!Number.isFinite(value)) { sum = 0; total = 0; return value; }
    sum = weight * sum + (1 - weight) * value;
    total = weight * total + (1 - weight);
    return sum / total;
  });
  return { x, y: found };
}

/** The raw curve faint with the smoothed one over it; alone where nothing is smoothed. */
export function linesWithSmoothing(line, weight, { name, colour, ...rest }) {
  if (!weight) return [{ ...line, name, colour, ...rest }];
  return [
    { ...line, name, colour, alpha: 0.28, width: 1, quiet: true, ...rest },
    { ...smoothed(line, weight), name: `${name}, smoothed`, colour, width: 2, ...rest },
  ];
}

const JUMP = 20; // times the median step: of a thousand steps of normal noise the largest is about 5 times it

/** How much to smooth at first: nothing that has few points, little noise beside its trend, or a jump, which would look like
 * a climb. */
export function usualSmoothing({ y }, logarithmic) {
  const finite = y.filter(value => Number.isFinite(value) && (!logarithmic || value > 0)).map(value => (logarithmic ? Math.log(value) : value));
  if (finite.length < 150) return 0;
  const steps = finite.slice(1).map((value, n) => Math.abs(value - finite[n])).sort((a, b) => a - b);
  if (steps.at(-1) > JUMP * steps[steps.length >> 1]) return 0;
  let turns = 0;
  for (let n = 2; n < finite.length; n += 1) {
    if ((finite[n] - finite[n - 1]) * (finite[n - 1] - finite[n - 2]) < 0) turns += 1;
  }
  return turns / finite.length > 0.25 ? 0.8 : 0;
}

/** Every metric that the points have, by name: {x, y}. */
export function metricsOf(points) {
  const found = new Map();
  for (const { step, metrics, superseded } of points) {
    if (superseded) continue;
    for (const [name, value] of Object.entries(metrics ?? {})) {
      if (!found.has(name)) found.set(name, { x: [], y: [] });
      found.get(name).x.push(step);
      found.get(name).y.push(real(value));
    }
  }
  return new Map([...found].sort(([a], [b]) => a.localeCompare(b)).map(([name, line]) => [name, sorted(line)]));
}

/** The layers' gradient norms: {columns, layers}; null where no point has any. `order`: their names by depth. */
export function layersOf(points, order) {
  const having = points.filter(point => point.layers && !point.superseded).sort((a, b) => a.step - b.step);
  if (!having.length) return null;
  const names = new Set(order ?? []);
  for (const { layers } of having) for (const name of Object.keys(layers)) names.add(name);
  const layers = [...names].filter(name => having.some(point => name in point.layers));
  return { layers, columns: having.map(point => ({ step: point.step, values: layers.map(name => real(point.layers[name] ?? null)) })) };
}
