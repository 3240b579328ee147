// Small helpers for making pieces of the page.

/** An element with a class of this part, and text in it. */
export function make(tag, name = "", text = "") {
  const element = document.createElement(tag);
  if (name) element.className = name.split(" ").map((part) => `joint-${part}`).join(" ");
  if (text) element.textContent = text;
  return element;
}

/** A labeled checkbox or radio button; `change` is called when it is turned on or off. */
export function choice(type, name, text, checked, change) {
  const label = make("label", type), input = make("input");
  Object.assign(input, { type, name, checked });
  input.addEventListener("change", () => change(input.checked));
  label.append(input, make("span", "", text));
  return label;
}

/** A button that says what it is, with a function. */
export function button(name, text, act) {
  const element = make("button", name, text);
  element.type = "button";
  element.addEventListener("click", act);
  return element;
}

export const stillness = matchMedia("(prefers-reduced-motion: reduce)");
