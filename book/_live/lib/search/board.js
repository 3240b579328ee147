// The search on a page: a form, what it says about the words, and a row of pictures a method.

import { advice } from "./advice.js";
import { Engine } from "./engine.js";
import { button, clipList, make, pictureList, sumLine } from "./hits.js";

export const EXAMPLES = ["red apple", "animal that lives in the sea", "something to write with",
                         "happy face", "a house where people live", "fast vehicle"];
const TITLES = { concat: "Concatenation", conse: "ConSE", ridge: "Ridge",
                 best: "Kernel and class names", seen: "Ridge that has seen these pictures",
                 clips: "Clips, by ridge" };
const OFFERS = { methods: "Three more methods, and look-alikes", clips: "Clips that move",
                 words: "Rarer words", chinese: "Chinese words" };

/** Bytes as people say them. */
function said(bytes) {
  return bytes < 950_000 ? `${Math.round(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function count(number) {
  return number.toLocaleString("en");
}

/** What was measured when the page was built, with the very numbers that it loads. */
function factsText({ ids, facts: { methods, words, sizes } }) {
  const share = (value) => `${(100 * value).toFixed(1)} %`;
  const hits = ["conse", "ridge", "best"].map((name) => `${TITLES[name]} ${
    share(methods[name].hit)} (${share(methods[name].full)} in full precision)`);
  const same = Object.values(methods).map((method) => method.same);
  return `Measured when this page was built: asked by its name and keywords, a concept finds its `
    + `picture among the first ten of all ${ids.length} by ${hits.join(", ")}; chance is `
    + `${share(10 / ids.length)}. Numbers are loaded in few bits; of the first ten, `
    + `${share(Math.min(...same))} to ${share(Math.max(...same))} are those of full precision. `
    + `${count(words.first)} words come with the page, ${count(words.more)} more on demand; all `
    + `pictures together have ${said(sizes["pictures shown"])}, and only what shows is loaded.`;
}

export class Board {
  /** root: the element to fill; methods: those shown, in order; whole: with all there is. */
  constructor(root, { methods, whole }) {
    Object.assign(this, { root, methods, whole });
    this.about = {};
    for (const method of Object.keys(TITLES)) {
      this.about[method] = root.querySelector(`.mmfuse-about-${method}`);
    }
    this.after = root.querySelector(".mmfuse-after");
    this.build();
  }

  build() {
    const id = `mmfuse-query-${this.whole ? "page" : "box"}`, form = make("form", "mmfuse-ask");
    const hidden = this.whole ? "mmfuse-hidden" : "";       // the page's title says it
    const label = make("label", hidden, "Search pictures with words");
    this.input = make("input");
    Object.assign(this.input, { id, type: "search", autocomplete: "off", spellcheck: false,
                                enterKeyHint: "search", placeholder: "Type a phrase" });
    label.htmlFor = id;
    form.setAttribute("role", "search");
    form.append(label, this.input);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.ask(this.input.value);
    });
    this.input.addEventListener("input", () => this.ask(this.input.value, true));
    this.examples = make("p", "mmfuse-examples");
    this.status = make("p", "mmfuse-status");
    this.status.setAttribute("role", "status");     // read out when it changes
    this.words = make("div", "mmfuse-advice");
    this.results = make("div", "mmfuse-results");
    this.offers = make("div", "mmfuse-offers");
    this.facts = make("p", "mmfuse-after");
    this.root.replaceChildren(form, this.examples, this.words, this.status, this.results,
                              this.offers, this.after ?? this.facts);
  }

  /** Load the words and the first method, once. */
  start() {
    this.starting ??= this.load(Engine.start(), (engine) => {
      this.engine = engine;
      if (!this.whole) return;
      this.showOffers();
      this.facts.textContent = factsText(engine);
    });
    return this.starting;
  }

  /** Wait for something, and say so; what goes wrong is said as well. */
  async load(promise, then) {
    const waiting = setTimeout(() => { this.status.textContent = "Loading …"; }, 300);
    try {
      then(await promise);
      if (this.status.textContent === "Loading …") this.status.textContent = "";
    } catch (error) {
      this.starting = undefined;            // so that a further try may succeed
      this.status.textContent = `${error.message} Try again.`;
    } finally {
      clearTimeout(waiting);
    }
  }

  showExamples(texts) {
    this.examples.replaceChildren("Try: ", ...texts.flatMap(
      (text) => [button("mmfuse-chip", text, () => this.ask(text)), " "]));
  }

  /** A button that loads a part, its size said. */
  loader(part) {
    const { sizes } = this.engine.facts, size = said(sizes[part]);
    const shown = sizes[`${part} shown`];
    const text = `${OFFERS[part]} (${size}${shown ? `, and ${said(shown)} as they show` : ""})`;
    const element = button("mmfuse-load", text, () => {
      element.disabled = true;
      this.load(this.engine.load(part), () => {
        this.showOffers();
        this.show(this.query);
        this.input.focus({ preventScroll: true });
      }).then(() => { element.disabled = false; });
    });
    return element;
  }

  showOffers() {
    const left = Object.keys(OFFERS).filter((part) => !this.engine.loaded.has(part));
    this.offers.replaceChildren(...(left.length ? [make("span", "", "Load more: ")] : []),
                                ...left.map((part) => this.loader(part)));
  }

  /** Search by a phrase; typed: it is in the field already, and more may follow. */
  async ask(text, typed = false) {
    if (!typed) this.input.value = text;
    await this.start();
    if (!this.engine || this.input.value !== text) return;      // overtaken by a later key
    this.show({ text, ...this.engine.lexicon.read(text) }, typed);
  }

  /** Search by one of the pictures; pressed: the press was on one that is gone now. */
  async choose(row, pressed = false) {
    await this.start();
    if (!this.engine) return;
    this.input.value = "";
    this.show({ picture: row, known: [], unknown: [], small: [] });
    if (pressed) this.root.querySelector(".mmfuse-asked button").focus();
  }

  show(query, typed = false) {
    if (!query) return;
    if (query.text !== undefined) query = { ...query, ...this.engine.lexicon.read(query.text) };
    this.query = query;
    this.results.replaceChildren(...this.asked(query), ...this.rows(query));
    clearTimeout(this.pause);               // what may wait for the end of a word
    this.pause = setTimeout(() => this.settle(query), typed ? 350 : 0);
  }

  settle(query) {
    const act = { ask: (text) => this.ask(text), loader: (part) => this.loader(part) };
    this.words.replaceChildren(...advice(this.engine, query, act, this.whole));
    this.status.textContent = this.summary(query);
    this.onSettle?.(query);
  }

  /** The picture that asks, if one does. */
  asked({ picture }) {
    if (picture === undefined) return [];
    const line = make("div", "mmfuse-asked", make("p", "", "Asked by this picture:"));
    line.append(pictureList(this.engine, "ridge", { picture }, [{ row: picture }], () => (
      this.ask(this.engine.names[picture])), "Search by its name"));
    return [line];
  }

  rows(query) {
    const ready = query.picture !== undefined || query.told;
    return ready ? this.methods.filter((name) => this.canShow(name)).map(
      (name) => this.row(name, query)) : [];
  }

  canShow(name) {
    return name === "concat" || name in this.engine.methods;
  }

  row(name, query) {
    const row = make("section", `mmfuse-method mmfuse-method-${name}`);
    if (this.whole) row.append(make("h2", "", TITLES[name]), this.about[name] ?? "");
    if (name === "concat" && !(query.picture !== undefined && this.engine.looks)) {
      row.append(make("p", "mmfuse-nothing", query.picture === undefined
        ? "It finds nothing: a phrase has no picture half and a picture no words, so all "
          + `${this.engine.ids.length} pictures score exactly 0.`
        : "Asked by a picture it finds look-alikes. They come with the other methods below."));
      return row;
    }
    const hits = this.engine.find(name, query);
    row.append(name === "clips" ? clipList(this.engine, query, hits)
      : pictureList(this.engine, name, query, hits, (found) => this.choose(found, true)));
    const sum = this.whole ? sumLine(this.engine, name, query, hits[0]) : null;
    if (sum) row.append(sum);
    return row;
  }

  /** One sentence for who does not see the rows. */
  summary(query) {
    if (query.picture === undefined && !query.told) {
      if (query.unknown.length) return "None of these words is known.";
      return query.small.length ? "These words only hold a sentence together; add one that says "
        + "what you look for." : "";
    }
    const first = this.engine.find("ridge", query, 3).map(({ row }) => this.engine.names[row]);
    const what = query.picture === undefined ? `“${query.text.trim()}”`
      : `the picture ${this.engine.names[query.picture]}`;
    return `For ${what}, ridge puts first: ${first.join(", ")}.`;
  }
}
