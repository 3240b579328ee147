// What is known of the chosen item: what lies near it in the full space, and how near.

import { button, make } from "./dom.js";

const KINDS = { texts: "text", pictures: "picture", words: "single word" };
const ROWS = { pictures: "Nearest pictures", texts: "Nearest texts",
               words: "Nearest single words" };
const PARTS = { test: "a test concept (held out)", validation: "a validation concept (held out)",
                training: "a training concept" };

/** A concept's picture, cut out of its sheet, which the page's style knows once it has loaded. */
export function thumbnail(model, row) {
  const tile = make("span", "tile"), { part, column, row: line, rows } = model.sprite(row);
  const { columns } = model.sheet;
  model.loadSheet(part);
  tile.setAttribute("aria-hidden", "true");
  tile.style.backgroundImage = `var(--joint-${part})`;
  tile.style.backgroundSize = `${100 * columns}% ${100 * rows}%`;
  tile.style.backgroundPosition = `${100 * column / (columns - 1)}% `
    + `${rows > 1 ? 100 * line / (rows - 1) : 0}%`;
  return tile;
}

/** An item's name with its picture or a dot in its color, as a button that chooses it. */
export function itemButton(model, item, act) {
  const kind = model.kind(item), element = button(`item ${kind}`, "", act);
  element.append(kind === "pictures" ? thumbnail(model, model.concept(item)) : make("span", "dot"),
                 make("span", "name", model.name(item)));
  return element;
}

function about(model, item) {
  const kind = model.kind(item), row = model.concept(item);
  if (kind === "words") return "A word of the vocabulary, by itself.";
  const style = kind === "pictures" ? `, drawn by ${model.styles[model.style[row]]}` : "";
  return `${kind === "texts" ? "Text (name and keywords)" : "Picture"} of ${PARTS[
    model.part(item)]}, from ${model.group_names[model.groups[row]]}${style}.`;
}

function partnership(model, item, partner) {
  const kind = model.kind(item);
  if (kind === "words") return "";
  const other = kind === "texts" ? "picture" : "text";
  return partner === null
    ? `Its cosine with every ${other} is the same, so none of them is the nearest.`
    : `Its own ${other} is number ${partner} of ${model.n} by cosine.`;
}

function nearestRow(model, kind, entries) {
  const row = make("div", "near"), list = make("ul");
  for (const { item, cosine } of entries) {
    const entry = make("li"), element = itemButton(model, item, () => model.choose(item));
    element.dataset.item = item;
    element.append(make("span", "cosine", cosine.toFixed(2)));
    entry.append(element);
    list.append(entry);
  }
  row.dataset.kind = kind;
  row.append(make("h3", "", ROWS[kind]), list);
  return row;
}

function fill(model, box) {
  const { chosen } = model, found = model.around(chosen), head = make("div", "head");
  if (model.kind(chosen) === "pictures") head.append(thumbnail(model, model.concept(chosen)));
  head.append(make("h2", "", `${model.name(chosen)} (${KINDS[model.kind(chosen)]})`));
  const rows = Object.keys(ROWS).filter((kind) => found[kind].length)
    .map((kind) => nearestRow(model, kind, found[kind]));
  box.replaceChildren(
    head, make("p", "", about(model, chosen)), ...rows,
    make("p", "", `${partnership(model, chosen, found.partner)} All this is by the full space; `
      + "the map, a plane, may show others nearer."));
}

export function addDetail(model, box) {
  box.setAttribute("aria-live", "polite");
  box.append(make("p", "", "Choose a point of the map, or an entry of the list: here stands what "
    + "lies nearest to it in the full space, with its cosine."));
  model.onChange((what) => {
    if (what.sheet) {
      document.documentElement.style.setProperty(
        `--joint-${what.sheet}`, `url("${model.sheets[what.sheet].image.src}")`);
    }
    if (what.problem) box.append(make("p", "", `${what.problem} Try again.`));
    const concerns = ["chosen", "space"].some((key) => key in what);
    if (model.chosen !== null && concerns) fill(model, box);
  });
}
