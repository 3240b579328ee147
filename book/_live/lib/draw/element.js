/** An element with properties (ARIA ones and role by attribute) and children. */
export function element(tag, properties = {}, children = []) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "role") made.setAttribute("role", value);
    else if (name.startsWith("aria"))
      made.setAttribute(`aria-${name.slice(4).toLowerCase()}`, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}
