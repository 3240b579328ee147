// The search itself, without a page: data in, ranked pictures out.

import { loadData } from "../data.js";
import { unitRows, unpack } from "../pack.js";
import { Method, Part, topOf } from "./methods.js";
import { Lexicon, tokens, unfold } from "./words.js";

const NO_MEAN = new Float64Array(100);

/** What is loaded on demand: a name for each file. */
export const PARTS = ["methods", "words", "chinese", "clips"];

export class Engine {
  /** The words and the first method, loaded. */
  static async start() {
    return new Engine(unpack(await loadData("search-first")));
  }

  constructor({ header, arrays }) {
    const { small, words, names, ids, ...rest } = header;
    Object.assign(this, rest, { names: names.split("\n"), ids: ids.split(" ") });
    this.named = new Set(tokens(names));        // words of which there is a picture
    this.style = Array.from(arrays.style, (number) => header.styles[number]);
    this.fold = arrays.fold;
    this.lexicon = new Lexicon(small.split(" "));
    this.lexicon.add(unfold(words), arrays.vectors);
    this.methods = {};
    this.addMethod("ridge", arrays);
    this.loaded = new Set();
  }

  addMethod(method, arrays) {
    const parts = Object.entries(this.recipes[method]).map(([name, weight]) => new Part(
      unitRows(arrays[name]), Float64Array.from(arrays[`${name}_mean`] ?? NO_MEAN),
      this.fold, weight));
    this.methods[method] = new Method(parts);
  }

  /** Load one of `PARTS`. */
  async load(part) {
    if (this.loaded.has(part)) return;
    const { header, arrays } = unpack(await loadData(`search-${part}`));
    if (this.loaded.has(part)) return;          // asked for twice before it came
    if (header.words) this.lexicon.add(unfold(header.words), arrays.vectors);
    if (part === "methods") {
      this.addMethod("conse", arrays);
      this.addMethod("best", arrays);
      this.addMethod("seen", arrays);
      this.looks = arrays.looks;
    }
    if (part === "clips") this.addClips(header, arrays);
    this.loaded.add(part);
  }

  addClips(header, arrays) {
    this.addMethod("clips", arrays);
    const captions = header.captions.split("\n"), styles = header.styles.split(" ");
    this.clips = captions.map((caption, i) => (
      { caption, style: styles[i], subject: arrays.subject[i] }));
  }

  /** The k best of a method for a query, best first: [{row, score}]. */
  find(name, query, k = 10) {
    if (name === "concat") return query.picture === undefined ? [] : this.lookAlikes(query, k);
    const method = this.methods[name];
    const scores = query.picture === undefined ? method.scores(query)
      : method.scoresOfPicture(query.picture, name === "clips" ? this.methods.ridge : method);
    return topOf(scores, k).map((row) => ({ row, score: scores[row] }));
  }

  /** Pictures whose features are nearest: what concatenation compares when pictures ask. */
  lookAlikes({ picture }, k) {
    const size = this.looks.length / this.ids.length;
    const rows = this.looks.subarray(picture * size, picture * size + Math.min(k, size));
    return Array.from(rows, (row) => ({ row }));
  }

  /** The word to which a hit owes most, with its share of all that adds to the score. */
  owed(name, query, row) {
    const shares = this.methods[name].shares(query, row);
    const adding = query.known.map(({ word }, w) => ({ word, part: Math.max(0, shares[w]) }));
    const total = adding.reduce((sum, { part }) => sum + part, 0);
    const best = adding.reduce((a, b) => (b.part > a.part ? b : a));
    return total > 0 ? { word: best.word, share: best.part / total } : null;
  }

  /** The vector at which to look for near words: a phrase's own, or a picture's place. */
  vectorOf(query) {
    if (query.picture === undefined) return query.told;
    return this.methods.ridge.parts[0].places.subarray(query.picture * 100,
                                                       query.picture * 100 + 100);
  }
}
