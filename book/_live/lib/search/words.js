// From a phrase to its words, and from words to their vectors.

const DIM = 100, WORD = /\p{L}[\p{L}\p{M}]*(?:'\p{L}[\p{L}\p{M}]*)*/gu, HAN = /\p{Script=Han}/u;

/** Lower-case words of letters, as the book's `tokenize` finds them. */
export function tokens(text) {
  return text.normalize("NFKC").replace(/[‘’‛ʹʻʼ´`]/g, "'").toLowerCase().match(WORD) ?? [];
}

/** Words that are stored in order, each as how many letters it shares with the one before. */
export function unfold(text) {
  const words = [];
  for (const line of text.split("\n")) {
    const shared = parseInt(line[0], 36);
    words.push((words.at(-1) ?? "").slice(0, shared) + line.slice(1));
  }
  return words;
}

/** Words with their vectors, which come in blocks: the first, and what is loaded on demand. */
export class Lexicon {
  constructor(small) {
    this.small = new Set(small);
    this.words = [];
    this.place = new Map();
    this.blocks = [];
  }

  /** Add words, and a quantized table with a row for each. */
  add(words, { codes, levels }) {
    const lengths = new Float64Array(words.length);
    for (let i = 0; i < words.length; i++) {
      let square = 0;
      for (let j = i * DIM; j < (i + 1) * DIM; j++) square += levels[codes[j]] ** 2;
      lengths[i] = Math.sqrt(square);
    }
    this.blocks.push({ start: this.words.length, codes, levels, lengths });
    for (const word of words) this.place.set(word, this.words.push(word) - 1);
  }

  /** A word's vector, of length 1. */
  vector(word) {
    const row = this.place.get(word);
    const block = this.blocks.findLast(({ start }) => start <= row);
    const i = row - block.start, codes = block.codes.subarray(i * DIM, (i + 1) * DIM);
    return Float64Array.from(codes, (code) => block.levels[code] / block.lengths[i]);
  }

  /** What a phrase says: known words with counts and vectors, unknown ones, small ones. */
  read(text) {
    const counts = new Map();
    for (const word of tokens(text).flatMap((run) => this.cut(run))) {
      counts.set(word, (counts.get(word) ?? 0) + 1);
    }
    const all = [...counts.keys()], content = all.filter((word) => !this.small.has(word));
    const known = content.filter((word) => this.place.has(word)).map(
      (word) => ({ word, count: counts.get(word), vector: this.vector(word) }));
    return { known, unknown: content.filter((word) => !this.place.has(word)),
             small: all.filter((word) => this.small.has(word)), ...sum(known) };
  }

  /** Chinese is written without spaces: take the longest known words, from the left. */
  cut(run) {
    if (!HAN.test(run)) return [run];
    const letters = [...run], words = [];
    for (let at = 0; at < letters.length;) {
      let size = Math.min(6, letters.length - at);
      while (size > 1 && !this.place.has(letters.slice(at, at + size).join(""))) size--;
      words.push(letters.slice(at, at += size).join(""));
    }
    return words;
  }

  /** The k words of largest cosine with a vector, without those left out. */
  nearest(vector, k, without = []) {
    const best = [], left = new Set(without);
    for (const { start, codes, levels, lengths } of this.blocks) {
      for (let i = 0; i < lengths.length; i++) {
        let dot = 0;
        for (let d = 0, j = i * DIM; d < DIM; d++, j++) dot += vector[d] * levels[codes[j]];
        const cosine = dot / lengths[i], word = this.words[start + i];
        if ((best.length < k || cosine > best[k - 1].cosine) && !left.has(word)) {
          best.push({ word, cosine });
          best.sort((a, b) => b.cosine - a.cosine);
          best.length = Math.min(k, best.length);
        }
      }
    }
    return best;
  }
}

/** The sum of words' vectors at length 1, and its length before; told is null without words. */
function sum(known) {
  if (!known.length) return { told: null, length: 0 };
  const told = new Float64Array(DIM);
  for (const { count, vector } of known) {
    for (let d = 0; d < DIM; d++) told[d] += count * vector[d];
  }
  const length = Math.sqrt(told.reduce((square, value) => square + value ** 2, 0));
  return { told: told.map((value) => value / length), length };
}
