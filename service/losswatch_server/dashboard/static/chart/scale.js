// From values to pixels and back, linear or logarithmic, and the round numbers between.

/** A scale over [low, high] onto [from, to] pixels. */
export function scale(low, high, from, to, logarithmic = false) {
  const warp = logarithmic ? value => Math.log10(value) : value => value;
  const a = warp(low), b = warp(high);
  const size = b - a || 1;
  const at = value => from + ((warp(value) - a) / size) * (to - from);
  at.back = pixel => {
    const value = a + ((pixel - from) / (to - from)) * size;
    return logarithmic ? 10 ** value : value;
  };
  at.low = low;
  at.high = high;
  at.logarithmic = logarithmic;
  return at;
}

/** About `count` round numbers within the scale; `label` writes one of them. */
export function ticks(at, count) {
  return at.logarithmic ? decades(at.low, at.high, count) : round(at.low, at.high, count);
}

function round(low, high, count) {
  const rough = (high - low) / Math.max(1, count);
  if (!(rough > 0) || !Number.isFinite(rough)) return [{ value: low, label: short(low, 3) }];
  const power = 10 ** Math.floor(Math.log10(rough));
  const size = [1, 2, 5, 10].map(factor => factor * power).find(one => one >= rough * 0.999);
  const found = [];
  for (let n = Math.ceil(low / size - 1e-9); n * size <= high + size * 1e-9; n += 1) found.push(n * size);
  const largest = Math.max(Math.abs(low), Math.abs(high));
  const digits = Math.max(1, Math.ceil(Math.log10(largest / size)) + 1);
  return found.map(value => ({ value, label: Math.abs(value) < size * 1e-6 ? "0" : short(value, Math.min(digits, 12)) }));
}

function decades(low, high, count) {
  const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
  if (last - first < 1) { // less than two powers of ten are seen: round numbers between
    for (const finer of [1, 2, 4]) {
      const found = round(low, high, count * finer).filter(one => one.value >= low);
      if (found.length > 1) return found;
    }
  }
  const every = Math.max(1, Math.ceil((last - first + 1) / count));
  const found = [];
  const withBetween = last - first < 2 && count >= 4;
  for (let n = first - 1; n <= last; n += 1) {
    for (const factor of withBetween ? [1, 2, 5] : [1]) {
      const value = factor * 10 ** n;
      if (value < low * 0.999 || value > high * 1.001 || (n - first) % every) continue;
      found.push({ value, label: value >= 1e4 && value < 1e6 ? `${short(value / 1000, 2)}k` : short(value, 2) });
    }
  }
  return found;
}

const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 12 });

/** A tick's label: 0.001, 2,500, 150k, 1e13. */
export function short(value, digits) {
  const size = Math.abs(value);
  if (size >= 1e6 || (size > 0 && size < 1e-4)) return value.toExponential(Math.max(0, digits - 1)).replace(/\.?0+e/, "e").replace("e+", "e").replace(/^-/, "−");
  if (size >= 1e5 && value % 1000 === 0) return `${grouped.format(value / 1000)}k`.replace(/^-/, "−");
  return grouped.format(Number(value.toPrecision(digits))).replace(/^-/, "−");
}

/** The extent of finite values between two steps, [low, high]; positive ones alone where `logarithmic`. Null: none. */
export function extent(lines, from, to, logarithmic) {
  let low = Infinity, high = -Infinity;
  for (const { x, y } of lines) {
    for (let n = 0; n < x.length; n += 1) {
      const value = y[n];
      if (x[n] < from || x[n] > to || !Number.isFinite(value) || (logarithmic && value <= 0)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return low <= high ? [low, high] : null;
}

/** An extent with room around it, and some height where all is equal. */
export function roomy([low, high], logarithmic) {
  if (logarithmic) {
    const margin = Math.max((Math.log10(high) - Math.log10(low)) * 0.06, 0.04);
    return [10 ** Math.max(-300, Math.log10(low) - margin), 10 ** Math.min(300, Math.log10(high) + margin)];
  }
  const margin = high > low ? (high - low) * 0.07 : Math.abs(high) * 0.1 || 1;
  return [Math.max(-Number.MAX_VALUE, low - margin), Math.min(Number.MAX_VALUE, high + margin)];
}

/** Whether a logarithmic axis shows these lines better: all positive, over more than a factor of 30. */
export function looksLogarithmic(lines) {
  let low = Infinity, high = 0;
  for (const { y } of lines) {
    for (const value of y) {
      if (!Number.isFinite(value)) continue;
      if (value <= 0) return false;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return high / low > 30;
}
