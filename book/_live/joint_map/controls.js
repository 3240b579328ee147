// The switch between the spaces, the gap as a distance that can be seen, and the filters.

import { choice, make } from "./dom.js";

const ARTICLES = { before: "Before fusion", joined: "Joined", shuffled: "Shuffled pairs" };
const SEEN = [["texts", "Texts"], ["pictures", "Pictures"], ["words", "Single words"],
              ["held", "Held out"], ["training", "Training"]];

function addSwitch(model) {
  const box = make("fieldset", "switch");
  box.append(make("legend", "", "Space"));
  for (const space of Object.keys(model.spaces)) {
    box.append(choice("radio", "joint-space", ARTICLES[space], space === model.space,
                      () => model.set({ space })));
  }
  return box;
}

/** Two points as far apart as the centers are, on a line of length 1. */
function addGauge(model) {
  const box = make("div", "gauge"), line = make("div", "line"), text = make("p", "said");
  const [left, right, mark] = ["text", "image", "mark"].map((name) => make("span", name));
  line.setAttribute("aria-hidden", "true");
  text.setAttribute("aria-live", "polite");
  line.append(mark, left, right);
  box.append(line, text);
  const tell = () => {
    const { gap, no_gap: none, found, told } = model.spaces[model.space];
    const place = (part, share) => { part.style.left = `${50 + 50 * share}%`; };
    place(left, -gap);
    place(right, gap);
    mark.style.width = `${100 * none}%`;
    const said = `${told} The centers of texts and pictures are ${gap.toFixed(2)} apart `
      + `(${none.toFixed(2)} expected with no gap). Among the first ten of ${model.parts.test} `
      + `pictures, ${(100 * found).toFixed(1)}% of the test texts find theirs.`;
    if (text.textContent !== said) text.textContent = said;
  };
  tell();
  model.onChange(tell);
  return box;
}

function addGroups(model) {
  const label = make("label", "groups", "Group "), list = make("select");
  const names = ["All groups", ...model.group_names];
  names.forEach((name, i) => list.append(new Option(name, i - 1)));
  list.addEventListener("change", () => model.set({ group: Number(list.value) }));
  label.append(list);
  return label;
}

export function addControls(model, top, filters) {
  const box = make("fieldset", "seen");
  top.append(addSwitch(model), addGauge(model));
  box.append(make("legend", "", "Shown"));
  for (const [key, text] of SEEN) {
    box.append(choice("checkbox", key, text, model.shown[key], (on) => {
      model.set({ shown: { ...model.shown, [key]: on } });
      if (key === "training" && on) model.loadSheet("training");
    }));
  }
  filters.append(box, addGroups(model));
}
