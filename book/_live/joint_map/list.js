// The way through the map without a mouse: a search field, and what is shown as a list.

import { button, make } from "./dom.js";
import { itemButton } from "./detail.js";

const AT_ONCE = 24, KINDS = { texts: "text", pictures: "picture", words: "word" };

const { compare } = new Intl.Collator("en");

/** Up and down arrows lead from the field through the list. */
function followArrows(box, event) {
  const steps = { ArrowDown: 1, ArrowUp: -1 };
  if (!(event.key in steps)) return;
  const stops = [...box.querySelectorAll("input, ul button, .joint-more")];
  const next = stops[stops.indexOf(document.activeElement) + steps[event.key]];
  if (next) {
    event.preventDefault();
    next.focus();
  }
}

function entry(model, item, show) {
  const line = make("li"), element = itemButton(model, item, () => {
    model.choose(item);
    show(item);
  });
  element.append(make("span", "kind", KINDS[model.kind(item)]));
  element.dataset.item = item;
  line.append(element);
  return line;
}

export function addList(model, box, show) {
  const label = make("label", "search", "Find in the map"), field = make("input");
  const count = make("p", "count"), list = make("ul");
  const more = button("more", "Show more", () => fill(list.childElementCount + AT_ONCE));
  field.type = "search";
  label.append(field);
  count.setAttribute("aria-live", "polite");
  box.append(label, count, list, more);
  box.addEventListener("keydown", (event) => followArrows(box, event));
  field.addEventListener("input", () => fill());

  function fill(most = AT_ONCE) {
    const sought = field.value.trim().toLowerCase();
    const found = model.items()
      .filter((item) => model.name(item).toLowerCase().includes(sought))
      .sort((a, b) => compare(model.name(a), model.name(b)) || a - b);
    const first = found.slice(0, most), old = list.childElementCount;
    const lines = first.map((item) => entry(model, item, show));
    list.replaceChildren(...lines);
    if (document.activeElement === more && most > AT_ONCE) lines[old]?.firstChild.focus();
    count.textContent = `${first.length} of ${found.length} entries`;
    more.hidden = found.length <= most;
  }

  fill();
  model.onChange((what) => {
    if (Object.keys(what).every((key) => ["shown", "group"].includes(key))) fill();
  });
}
