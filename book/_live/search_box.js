// The search in small, for the first page: one method, loaded when a reader turns to it.

import { Board, EXAMPLES } from "./lib/search/board.js";

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
