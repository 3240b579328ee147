// How found pictures and clips stand on the page: lists of buttons with pictures and words.

import { dataFile } from "../data.js";

/** An element with a class and content: texts or elements. */
export function make(tag, name, ...content) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...content.filter((part) => part !== null && part !== undefined));
  return element;
}

/** A button that does something. */
export function button(name, text, act) {
  const element = make("button", name, text);
  element.type = "button";
  element.addEventListener("click", act);
  return element;
}

/** A word to which a hit owes most, as a bar with its share; nothing for a query of one word. */
function owedLine(engine, method, query, row) {
  if (query.picture !== undefined || query.known.length < 2) return null;
  const owed = engine.owed(method, query, row);
  if (!owed) return null;
  const share = Math.round(100 * owed.share), line = make("span", "mmfuse-owed", owed.word);
  line.style.setProperty("--share", `${share}%`);
  line.title = `${share} % of what adds to this score comes from “${owed.word}”`;
  return line;
}

/** Pictures that a method found; a press searches by the picture. */
export function pictureList(engine, method, query, hits, choose, does = "Search by this picture") {
  const list = make("ol", "mmfuse-hits");
  for (const { row } of hits) {
    const picture = make("img");
    Object.assign(picture, { width: 96, height: 96, loading: "lazy", decoding: "async",
                             alt: `${engine.names[row]}, drawn by ${engine.style[row]}`,
                             src: dataFile(`search-pictures/${engine.ids[row]}.webp`) });
    const name = make("span", "mmfuse-hit-name", engine.names[row]);
    name.setAttribute("aria-hidden", "true");       // the picture's text says it
    const hit = button("mmfuse-hit", "", () => choose(row));
    hit.append(picture, name);
    hit.title = does;
    list.append(make("li", "", hit, owedLine(engine, method, query, row)));
  }
  return list;
}

/** Clips that were found: they play while the pointer or the keyboard is on them, or pressed. */
export function clipList(engine, query, hits) {
  const list = make("ol", "mmfuse-hits");
  for (const { row } of hits) {
    const { caption, style } = engine.clips[row];
    const film = make("span", "mmfuse-film");
    film.setAttribute("role", "img");
    film.setAttribute("aria-label", `${caption}, drawn by ${style}`);
    film.style.backgroundImage = `url("${dataFile(`search-clips/${row}.webp`)}")`;
    const name = make("span", "mmfuse-hit-name", caption);
    name.setAttribute("aria-hidden", "true");
    const hit = button("mmfuse-hit", "", () => {
      hit.setAttribute("aria-pressed", hit.getAttribute("aria-pressed") !== "true");
    });
    hit.setAttribute("aria-pressed", "false");
    hit.title = "Play, or stop";
    hit.append(film, name);
    list.append(make("li", "", hit, owedLine(engine, "clips", query, row)));
  }
  return list;
}

/** How the first hit's score adds up, word by word. */
export function sumLine(engine, method, query, hit) {
  if (query.picture !== undefined || method === "concat" || !hit) return null;
  const shares = engine.methods[method].shares(query, hit.row), common = shares.pop();
  const number = (value) => Math.abs(value).toFixed(2);
  const terms = query.known.map(({ word }, w) => (
    `${shares[w] < 0 ? "−" : w ? "+" : ""} ${number(shares[w])} ${word}`));
  terms.push(`${common < 0 ? "−" : "+"} ${number(common)} what all texts share`);
  const sign = hit.score < 0 ? "−" : "";
  return make("p", "mmfuse-sum", `First: ${sign}${number(hit.score)} = ${terms.join(" ")}`);
}
