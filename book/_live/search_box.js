// The search in small, for the first page: one method, started when a reader turns to it.

import { dataFile } from "./lib/data.js";
import { Board, EXAMPLES } from "./lib/search/board.js";
import { make } from "./lib/search/hits.js";

const root = document.querySelector('[data-live="search_box"]');
const board = new Board(root, { methods: ["ridge"], whole: false });
const link = root.querySelector(".mmfuse-after a");

board.showExamples(EXAMPLES.slice(0, 4));
root.addEventListener("pointerover", () => board.start(), { once: true });
root.addEventListener("focusin", () => board.start(), { once: true });
board.onSettle = ({ text, picture }) => {
  const named = picture === undefined ? { q: text } : { picture: board.engine.ids[picture] };
  link.hash = `#${new URLSearchParams(named)}`;
};

/** Let the words come while nothing else does, so that the first key finds them there. */
function fetchAhead() {
  if (navigator.connection?.saveData || window.location.protocol === "file:") return;
  const ahead = make("link");
  Object.assign(ahead, { rel: "prefetch", href: dataFile("search-first.js") });
  document.head.append(ahead);
}

window.addEventListener("load", () => {
  (window.requestIdleCallback ?? window.setTimeout)(fetchAhead);
});
