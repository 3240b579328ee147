// Which names fit on the map without lying over one another.

const CELL = 64;

/** Keeps boxes apart: `take` says whether a box is free, and takes it if so. */
export class Room {
  constructor() { this.cells = new Map(); }

  *keys([left, top, right, bottom]) {
    for (let x = Math.floor(left / CELL); x <= Math.floor(right / CELL); x++) {
      for (let y = Math.floor(top / CELL); y <= Math.floor(bottom / CELL); y++) yield `${x},${y}`;
    }
  }

  take(box) {
    const keys = [...this.keys(box)];
    const meets = (other) => box[0] < other[2] && other[0] < box[2]
      && box[1] < other[3] && other[1] < box[3];
    if (keys.some((key) => this.cells.get(key)?.some(meets))) return false;
    for (const key of keys) {
      if (!this.cells.has(key)) this.cells.set(key, []);
      this.cells.get(key).push(box);
    }
    return true;
  }
}

/** A number from 0 to 1 for each item, always the same: who is named first where room is short. */
export function precedence(item) {
  return (Math.imul(item + 1, 2654435761) >>> 0) / 2 ** 32;
}
