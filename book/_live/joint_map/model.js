// What the map knows: items (texts of the concepts, their pictures, single words), where they lie
// in each space, what is shown of them, and which one is chosen. Made by tools/live/joint_map.py.

import { loadData } from "../lib/data.js";

const NONE = 65535;

class Model {
  constructor(data) {
    Object.assign(this, data);
    this.n = data.names.length;
    this.size = 2 * this.n + data.words.length;
    this.nTraining = data.parts.training;
    this.shown = { texts: true, pictures: true, words: false, held: true, training: false };
    Object.assign(this, { space: "joined", group: -1, chosen: null, near: null, sheets: {} });
    this.listeners = [];
  }

  onChange(listener) { this.listeners.push(listener); }

  changed(what = {}) { this.listeners.forEach((listener) => listener(what)); }

  set(values) {
    Object.assign(this, values);
    this.changed(values);
  }

  kind(item) {
    return item < this.n ? "texts" : item < 2 * this.n ? "pictures" : "words";
  }

  concept(item) { return item % this.n; }

  name(item) {
    return item < 2 * this.n ? this.names[item % this.n] : this.words[item - 2 * this.n];
  }

  /** "test", "validation" or "training"; a single word belongs to none of them. */
  part(item) {
    if (this.kind(item) === "words") return "";
    const row = this.concept(item), { test, validation } = this.parts;
    return row < test ? "test" : row < test + validation ? "validation" : "training";
  }

  isShown(item) {
    const kind = this.kind(item);
    if (!this.shown[kind]) return false;
    if (kind === "words") return this.group < 0;
    const held = this.part(item) !== "training";
    return this.shown[held ? "held" : "training"]
      && (this.group < 0 || this.groups[this.concept(item)] === this.group);
  }

  items() {
    return Array.from({ length: this.size }, (_, item) => item)
      .filter((item) => this.isShown(item));
  }

  /** Load what a picture needs to be drawn; a change is told when it is there. */
  async loadSheet(part) {
    if (this.sheets[part]) return;
    this.sheets[part] = { image: null };
    try {
      const bytes = await loadData(`joint_map_${part}`), image = new Image();
      image.src = URL.createObjectURL(new Blob([bytes], { type: "image/webp" }));
      await image.decode();
      this.sheets[part] = { image };
      this.changed({ sheet: part });
    } catch (error) {           // without their pictures, the points are dots
      this.changed({ problem: error.message });
    }
  }

  /** The sheet that holds a concept's picture, and the picture's column and row in it. */
  sprite(row) {
    const held = this.parts.test + this.parts.validation, part = row < held ? "held" : "training";
    const at = row < held ? row : row - held, { columns } = this.sheet;
    return { part, image: this.sheets[part]?.image, rows: Math.ceil(
      (part === "held" ? held : this.nTraining) / columns),
             column: at % columns, row: Math.floor(at / columns) };
  }

  async choose(item) {
    try {
      this.near ??= new Uint16Array((await loadData("joint_map_near")).buffer);
      this.set({ chosen: item });
    } catch (error) {
      this.changed({ problem: error.message });
    }
  }

  /** What lies nearest to an item in the full space: {partner, texts, pictures, words}. */
  around(item) {
    const { kinds, nearest } = this, each = 2 * nearest, step = 1 + kinds.length * each;
    const spaces = Object.keys(this.spaces).indexOf(this.space);
    const start = (spaces * this.size + item) * step, found = { partner: null };
    if (this.near[start] !== NONE) found.partner = this.near[start];
    kinds.forEach((kind, k) => {
      const from = start + 1 + k * each;
      found[kind] = Array.from({ length: nearest }, (_, i) => ({
        item: this.near[from + i], cosine: this.near[from + nearest + i] / 100 - 1,
      })).filter((entry) => entry.item !== NONE);
    });
    return found;
  }
}

export async function loadMap() {
  return new Model(JSON.parse(new TextDecoder().decode(await loadData("joint_map"))));
}
