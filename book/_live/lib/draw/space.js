// Where a picture lies among the words, and what lies near; as tools/drawing.py has it in Python.

/** 16-bit floating-point numbers as 32-bit ones. */
export function fromHalf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float32Array.from({ length: bytes.byteLength / 2 }, (_, i) => {
    const half = view.getUint16(2 * i, true), sign = half & 0x8000 ? -1 : 1;
    const exponent = (half >> 10) & 31, rest = half & 1023;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + rest / 1024) : 2 ** -24 * rest);
  });
}

/** Tables by name from one run of numbers. shapes: {name: [rows, columns]}, in order. */
export function readTables(bytes, shapes) {
  const all = fromHalf(bytes), tables = {};
  let at = 0;
  for (const [name, [rows, columns]] of Object.entries(shapes)) {
    tables[name] = { rows, columns, data: all.subarray(at, at + rows * columns) };
    at += rows * columns;
  }
  return tables;
}

function unit(row) {
  const length = Math.hypot(...row) || 1;
  return row.map((value) => value / length);
}

/** A row times a table: a sum of its rows. */
function through(row, { columns, data }) {
  const sum = new Float64Array(columns);
  for (let i = 0; i < row.length; i++)
    for (let j = 0; j < columns; j++) sum[j] += row[i] * data[i * columns + j];
  return sum;
}

/** Probabilities from scores, evened out by a temperature above 1. */
export function soften(scores, temperature = 1) {
  const most = scores.reduce((a, b) => Math.max(a, b));
  const raised = Float64Array.from(scores, (score) => Math.exp((score - most) / temperature));
  const sum = raised.reduce((a, b) => a + b);
  return raised.map((value) => value / sum);
}

/** Where a picture lies, a row of length 1; `weight` of it comes from the classes' names. */
export function place({ features, scores }, tables, temperature, weight) {
  const centered = Float64Array.from(features, (value, i) => value - tables.middle.data[i]);
  const mapped = unit(through(centered, tables.map));
  const named = unit(through(soften(scores, temperature), tables.classNames)
    .map((value, i) => value - tables.namesMean.data[i]));
  return unit(mapped.map((value, i) => (1 - weight) * value + weight * named[i]));
}

/** The k rows of a table with the largest inner products: [{row, score}], the best first. */
export function nearest(query, { rows, columns, data }, k) {
  const scores = Array.from({ length: rows }, (_, row) => {
    let score = 0;
    for (let j = 0; j < columns; j++) score += query[j] * data[row * columns + j];
    return { row, score };
  });
  return scores.sort((a, b) => b.score - a.score).slice(0, k);
}
