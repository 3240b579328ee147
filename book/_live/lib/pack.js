// Reads what tools/packing.py wrote: a header in JSON, then arrays whose entries take a few bits.

function codesOf(bytes, bits, count) {
  const codes = new Uint8Array(count);
  let held = 0, have = 0, at = 0;
  for (let i = 0; i < count; i++) {
    while (have < bits) {
      held = (held << 8 | bytes[at++]) & 0xffff;
      have += 8;
    }
    have -= bits;
    codes[i] = held >> have & (1 << bits) - 1;
  }
  return codes;
}

function read(entry, bytes) {
  const count = entry.shape.reduce((a, b) => a * b, 1);
  if (entry.levels) {
    return { shape: entry.shape, codes: codesOf(bytes, entry.bits, count),
             levels: Float64Array.from(entry.levels) };
  }
  const kinds = { float32: Float32Array, uint16: Uint16Array, uint8: Uint8Array };
  return new kinds[entry.kind](bytes.slice().buffer);       // a copy begins where it may
}

/** {header, arrays}: an array with levels as {shape, codes, levels}, others as typed arrays. */
export function unpack(bytes) {
  const size = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + size)));
  const arrays = {};
  for (const entry of header.arrays) {
    const start = 4 + size + entry.start;
    arrays[entry.name] = read(entry, bytes.subarray(start, start + entry.size));
  }
  return { header, arrays };
}

/** Rows of a quantized table as numbers, each at length 1: (n * dim). */
export function unitRows({ shape: [n, dim], codes, levels }) {
  const rows = new Float64Array(n * dim);
  for (let i = 0; i < n; i++) {
    let square = 0;
    for (let j = i * dim; j < (i + 1) * dim; j++) {
      rows[j] = levels[codes[j]];
      square += rows[j] ** 2;
    }
    for (let j = i * dim; j < (i + 1) * dim; j++) rows[j] /= Math.sqrt(square);
  }
  return rows;
}
