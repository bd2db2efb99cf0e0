// Numbers and times for people.

const grouped = new Intl.NumberFormat("en-US");
const absolute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** A number from JSON: NaN and infinities come as strings. */
export const real = value => (typeof value === "string" ? Number(value) : value);

/** To so many significant digits, without a tail of zeros: 0.00347, 41.7, 1.31e13, 10,000. */
export function number(value, digits = 4) {
  value = real(value);
  if (value === null || value === undefined) return "–";
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e7) return grouped.format(value).replace("-", "−");
  if (size >= 1e6 || size < 1e-4) return value.toExponential(digits - 1).replace(/\.?0+e/, "e").replace("e+", "e").replace(/^-/, "−");
  const text = String(Number(value.toPrecision(digits)));
  return (size >= 1e3 ? grouped.format(Number(text)) : text).replace(/^-/, "−");
}

/** A value of evidence: numbers, pairs, words. */
export function plain(value) {
  if (Array.isArray(value)) return value.map(plain).join(" to ");
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string" && /^\d{4}-\d\d-\d\dT/.test(value)) return absolute.format(new Date(value));
  if (typeof value === "string" && !["NaN", "Infinity", "-Infinity"].includes(value)) return value.replaceAll("_", " ");
  return number(value);
}

export const percent = share => (share > 0.995 && share < 1 ? ">\u00a099\u00a0%" : `${Math.round(share * 100)}\u00a0%`);
export const words = name => (name === "non_finite" ? "not finite" : String(name).replaceAll("_", " "));
export const sentence = name => words(name).replace(/^./, first => first.toUpperCase());

/** "3 minutes ago"; `now` for tests. */
export function ago(iso, now = Date.now()) {
  const seconds = Math.max(0, (now - Date.parse(iso)) / 1000);
  if (seconds < 5) return "now";
  return `${duration(seconds)} ago`;
}

export function duration(seconds) {
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= 1.5 * size) return `${Math.round(seconds / size)} ${unit}`;
  }
  return `${Math.round(seconds)} s`;
}

export const exactTime = iso => absolute.format(new Date(iso));

/** Steps per second of the whole run; null where that says nothing. */
export function speed(run) {
  const seconds = (Date.parse(run.last_seen_at) - Date.parse(run.created_at)) / 1000;
  return run.step && seconds >= 2 ? run.step / seconds : null;
}

export function pace(perSecond) {
  if (perSecond === null) return "–";
  if (perSecond >= 1) return `${number(perSecond, 3)}/s`;
  if (perSecond * 60 >= 1) return `${number(perSecond * 60, 3)}/min`;
  return `${number(perSecond * 3600, 3)}/h`;
}
