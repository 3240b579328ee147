// The network and the joint space in the page: loaded when asked for, then asked what it sees.
import { loadData } from "../data.js";
import { fit, inkBox, normalize, onWhite } from "./pixels.js";
import { SHEET } from "./pad.js";
import { nearest, place, readTables, soften } from "./space.js";

const N_WORDS = 8, N_EMOJI = 9, N_CLASSES = 3;

/** Run a script of this folder once. */
function loadScript(url) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = url;
    script.onload = resolve;
    script.onerror = () => reject(new Error(`The file ${url.pathname.split("/").pop()} `
      + "did not load."));
    document.head.append(script);
  });
}

/** What a stream of pieces holds when it is unpacked. */
async function unpack(pieces) {
  if (!window.DecompressionStream) throw new Error("This browser is too old to unpack it.");
  const stream = new Blob(pieces).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

export class Seer {
  /** facts: of the data script "draw"; folder: where the scripts lie. */
  constructor(facts, folder) {
    Object.assign(this, { facts, folder, ready: false });
  }

  /** Load everything. progress: called with the bytes that have come so far. */
  async load(progress) {
    let come = 0;
    const pieces = await Promise.all(this.facts.pieces.map(async ({ name, bytes }) => {
      const piece = await loadData(name);
      progress(come += bytes);
      return piece;
    }));
    await loadScript(new URL("draw_network.js", this.folder));
    const parts = this.takeApart(await unpack(pieces));
    this.names = JSON.parse(new TextDecoder().decode(parts.names));
    this.tables = readTables(parts.numbers, this.names.shapes);
    this.urls = this.cutPictures(parts.pictures);
    this.run = await window.mmfuseNetwork(parts.runtime, parts.network, this.names.size);
    this.ready = true;
  }

  takeApart(bytes) {
    const parts = {};
    let at = 0;
    for (const [name, length] of Object.entries(this.facts.parts)) {
      parts[name] = bytes.slice(at, at + length);
      at += length;
    }
    return parts;
  }

  cutPictures(bytes) {
    let at = 0;
    return this.names.pictures.map((length) => URL.createObjectURL(
      new Blob([bytes.subarray(at, at += length)], { type: "image/webp" })));
  }

  /** What the network is shown: the picture as it is, or the drawing cut to what is drawn. */
  pixels(pad) {
    const { picture, canvas } = pad;
    if (picture) return onWhite(picture.source, picture.width, picture.height);
    const box = inkBox(onWhite(canvas, SHEET, SHEET));
    if (!box) return null;
    const cut = Object.assign(document.createElement("canvas"),
      { width: box.side, height: box.side });
    cut.getContext("2d").drawImage(canvas, -box.left, -box.top);
    return onWhite(cut, box.side, box.side);
  }

  /** Features and scores of what lies on a sheet; null for an empty one. */
  async look(pad) {
    const shown = this.pixels(pad), { size } = this.names;
    return shown && this.run(normalize(fit(shown, size), size));
  }

  /** Words, emoji and classes nearest to what lies on a sheet, or null. kind: see `facts`. */
  async see(pad, kind) {
    const start = performance.now(), seen = await this.look(pad);
    if (!seen) return null;
    const { names, tables } = this;
    const query = place(seen, tables, names.temperature, names.weights[kind]);
    const words = nearest(query, tables.words, N_WORDS)
      .map(({ row, score }) => ({ text: names.words[row], score }));
    const emoji = nearest(query, tables.emoji, N_EMOJI).map(({ row, score }) => (
      { name: names.emoji[row][1], url: this.urls[row], score }));
    const shares = Array.from(soften(seen.scores), (share, row) => (
      { text: names.labels[row], share })).sort((a, b) => b.share - a.share);
    const summary = `Nearest words: ${words.slice(0, 3).map(({ text }) => text).join(", ")}. `
      + `Nearest emoji: ${emoji.slice(0, 3).map(({ name }) => name).join(", ")}.`;
    return { words, emoji, classes: shares.slice(0, N_CLASSES), summary, credit: names.credit,
      seconds: (performance.now() - start) / 1000 };
  }
}
