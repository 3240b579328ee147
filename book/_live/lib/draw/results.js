// What was found, as lists.
import { element } from "./element.js";

/** A line with a bar: how near something is, the nearest one all the way. */
function line(children, score, most) {
  const item = element("li", {}, [...children,
    element("span", { className: "draw-score", textContent: score.toFixed(2) })]);
  item.style.setProperty("--near", `${Math.max(0, 100 * score / most)}%`);
  return item;
}

function list(title, note, className, items) {
  return element("section", { className }, [element("h2", { textContent: title }),
    element("ol", {}, items), element("p", { className: "draw-note", textContent: note })]);
}

/** Elements that show what `Seer.see` found. */
export function showResults({ words, emoji, classes, seconds, credit }) {
  const made = [
    list("Words", "The number is the cosine with the picture's place among the words.",
      "draw-words", words.map(({ text, score }) => line(
        [element("span", { textContent: text })], score, words[0].score))),
    list("Emoji", `${credit}.`, "draw-emoji", emoji.map(({ name, url, score }) => line(
      [element("img", { src: url, alt: "", width: 48, height: 48 }),
        element("span", { className: "draw-name", textContent: name })], score,
      emoji[0].score)))];
  const said = classes.map(({ text, share }) => `${text} (${Math.round(100 * share)} %)`);
  const took = `The network took ${seconds.toFixed(2)} s.`;
  made.push(element("p", { className: "draw-note", textContent:
    `Left to its own thousand names, the network would say: ${said.join(", ")}. ${took}` }));
  return made;
}
