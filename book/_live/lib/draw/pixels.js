// From any picture to what the network is shown, step by step as Pillow does it for the book: laid
// on white, the middle square, cubic resampling that averages over all pixels it covers.

const WHITE = 255;

/** Pixels of a drawable on white: {width, height, data} with three bytes a pixel. */
export function onWhite(source, width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(source, 0, 0, width, height);
  const rgba = context.getImageData(0, 0, width, height).data;
  const data = new Uint8Array(width * height * 3);
  for (let i = 0, j = 0; i < rgba.length; i += 4) {
    const alpha = rgba[i + 3] / 255;
    for (let color = 0; color < 3; color++)
      data[j++] = Math.round(rgba[i + color] * alpha + WHITE * (1 - alpha));
  }
  return { width, height, data };
}

function cubic(x) {     // Pillow's, with a = -0.5
  const a = -0.5, d = Math.abs(x);
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? (((d - 5) * d + 8) * d - 4) * a : 0;
}

/** For each of `size` places along a side: the first pixel that counts, and the weights. */
function weights(length, start, end, size) {
  const scale = (end - start) / size, wide = Math.max(scale, 1), support = 2 * wide;
  return Array.from({ length: size }, (_, place) => {
    const center = start + (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const last = Math.min(length, Math.trunc(center + support + 0.5));
    const found = Array.from({ length: last - first },
      (_, i) => cubic((i + first - center + 0.5) / wide));
    const sum = found.reduce((a, b) => a + b, 0);
    return { first, taps: found.map((weight) => weight / sum) };
  });
}

/** One pass: `count` lines of which each becomes `plan.length` pixels. */
function pass(data, count, plan, stepIn, lineIn, stepOut, lineOut) {
  const out = new Uint8ClampedArray(count * plan.length * 3);
  for (let line = 0; line < count; line++) {
    plan.forEach(({ first, taps }, place) => {
      for (let color = 0; color < 3; color++) {
        let sum = 0, at = line * lineIn + first * stepIn + color;
        for (let i = 0; i < taps.length; i++, at += stepIn) sum += taps[i] * data[at];
        out[line * lineOut + place * stepOut + color] = Math.floor(sum + 0.5);
      }
    });
  }
  return out;
}

/** The middle square of a picture at size × size pixels: bytes, three a pixel. */
export function fit({ width, height, data }, size) {
  const side = Math.min(width, height), left = (width - side) / 2, top = (height - side) / 2;
  const across = weights(width, left, left + side, size);
  const down = weights(height, top, top + side, size);
  const narrow = pass(data, height, across, 3, width * 3, 3, size * 3);
  return pass(narrow, size, down, size * 3, 3, size * 3, 3);
}

/** What the network takes: colors from -1 to 1, one plane each. */
export function normalize(bytes, size) {
  const planes = new Float32Array(bytes.length), area = size * size;
  for (let i = 0; i < area; i++)
    for (let color = 0; color < 3; color++)
      planes[color * area + i] = (bytes[3 * i + color] / 255 - 0.5) / 0.5;
  return planes;
}

/** The square around all that is not white, with a narrow margin; null on an empty sheet. */
export function inkBox({ width, height, data }) {
  let left = width, right = -1, top = height, bottom = -1;
  for (let i = 0; i < width * height; i++) {
    if (data[3 * i] > 245 && data[3 * i + 1] > 245 && data[3 * i + 2] > 245) continue;
    const x = i % width, y = Math.floor(i / width);
    left = Math.min(left, x); right = Math.max(right, x);
    top = Math.min(top, y); bottom = Math.max(bottom, y);
  }
  if (right < 0) return null;
  const side = Math.round(1.06 * Math.max(right - left, bottom - top) + 2);
  return { side, left: Math.round((left + right - side) / 2),
    top: Math.round((top + bottom - side) / 2) };
}
