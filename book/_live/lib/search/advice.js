// What the page says about the words of a query: unknown ones, near ones, and what may help.

import { button, make } from "./hits.js";
import { nearSpellings } from "./spelling.js";

const HAN = /\p{Script=Han}/u, LATIN = /^[\p{Script=Latin}']+$/u;

/** The phrase with one of its words replaced. */
function replaced(text, word, other) {
  return text.replace(new RegExp(`(?<!\\p{L})${word}(?!\\p{L})`, "giu"), other);
}

/** A kind word for one that is not known: near spellings, or what else there is to load. */
function unknownLine(engine, text, word, act) {
  const line = make("p", "mmfuse-unknown", `“${word}” is not among my words. `);
  if (HAN.test(word)) {
    const known = engine.loaded.has("chinese");
    line.append(known ? "The dictionary that I carry is a small one." : "Is it Chinese? ");
    if (!known) line.append(act.loader("chinese"));
    return line;
  }
  if (!LATIN.test(word)) {
    line.append("I read English and, once it is loaded, Chinese.");
    return line;
  }
  const near = nearSpellings(word, engine.lexicon.words, engine.named);
  if (near.length) line.append("Did you mean ");
  near.forEach((other, i) => line.append(i ? " or " : "", button(
    "mmfuse-chip", other, () => act.ask(replaced(text, word, other)))));
  if (near.length) line.append("? ");
  if (!engine.loaded.has("words")) line.append("Or look further: ", act.loader("words"));
  return line;
}

/** What is to be said about a query's words, as a list of elements; withNear: also near words. */
export function advice(engine, query, act, withNear) {
  const lines = query.picture === undefined ? query.unknown.slice(0, 3).map(
    (word) => unknownLine(engine, query.text, word, act)) : [];
  const vector = engine.vectorOf(query);
  if (!vector || !withNear) return lines;
  const own = query.picture === undefined ? query.known.map(({ word }) => word) : [];
  const near = make("p", "mmfuse-near", query.picture === undefined
    ? "Nearest words: " : "Words nearest to this picture's place: ");
  for (const { word } of engine.lexicon.nearest(vector, 8, own)) {
    near.append(button("mmfuse-chip", word, () => act.ask(word)), " ");
  }
  return [...lines, near];
}
