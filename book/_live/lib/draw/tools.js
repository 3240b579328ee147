// What stands below the sheet: colors, pens, undo, clear, a picture file, pictures to try.
import { element } from "./element.js";

const COLORS = [["black", "#1a1a1a"], ["red", "#e0312e"], ["orange", "#f58a1f"],
  ["yellow", "#f7cf2f"], ["green", "#3ba24b"], ["blue", "#2f7fd6"], ["brown", "#8a5a33"],
  ["gray", "#9aa0a6"], ["white", "#ffffff"]];
const PENS = [["thin", 6], ["medium", 12], ["thick", 28], ["very thick", 64]];

/** A row of choices of which one is taken. */
function choice(legend, name, options, chosen, choose, look) {
  return element("fieldset", { className: `draw-choice draw-${name}` }, [
    element("legend", { textContent: legend }),
    ...options.map(([word, value]) => {
      const input = element("input", { type: "radio", name: `draw-${name}`, value,
        checked: value === chosen, ariaLabel: word, title: word,
        onchange: () => choose(value) });
      look(input, value);
      return input;
    })]);
}

function button(text, click, className = "draw-button") {
  return element("button", { type: "button", className, textContent: text, onclick: click });
}

/** One of the pictures to try, as a button. */
function example({ name, kind, credit, picture }, take) {
  const bytes = Uint8Array.from(atob(picture), (letter) => letter.charCodeAt(0));
  const file = new Blob([bytes], { type: bytes[0] === 0x89 ? "image/png" : "image/webp" });
  const image = element("img", { src: URL.createObjectURL(file), alt: "", width: 64, height: 64 });
  return element("button", { type: "button", className: "draw-example", title: credit,
    ariaLabel: `Try ${name}, a ${kind}`, onclick: () => take({ file, kind }) }, [image]);
}

/** All tools, and the pictures to try. take: called with {file, kind} of a chosen picture. */
export function buildTools(pad, examples, take) {
  const colors = choice("Color", "color", COLORS, pad.color, (value) => { pad.color = value; },
    (input, value) => { input.style.setProperty("--ink", value); });
  const pens = choice("Pen", "pen", PENS, pad.width, (value) => { pad.width = value; },
    (input, value) => { input.style.setProperty("--pen", `${Math.max(4, value / 2.6)}px`); });
  const input = element("input", { type: "file", accept: "image/*", hidden: true,
    onchange: () => {
      if (input.files[0]) take({ file: input.files[0] });
      input.value = "";     // so that the same file may be chosen again
    } });
  const actions = element("div", { className: "draw-actions" }, [
    button("Undo", () => pad.undo()), button("Clear", () => pad.clear()),
    button("Choose a picture …", () => input.click()), input]);
  const hint = element("p", { className: "draw-hint",
    textContent: "Or drop a picture here, paste one, or try one of these:" });
  const tries = element("div", { className: "draw-examples", role: "group",
    ariaLabel: "Pictures to try" }, examples.map((each) => example(each, take)));
  return { tools: [element("div", { className: "draw-pens" }, [colors, pens]), actions],
    tries: element("div", { className: "draw-tries" }, [hint, tries]) };
}
