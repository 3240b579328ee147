// The page "Search pictures with words": all methods, and an address for each search.

import { Board, EXAMPLES } from "./lib/search/board.js";

const board = new Board(document.querySelector('[data-live="search"]'), {
  methods: ["concat", "conse", "ridge", "best", "seen", "clips"], whole: true });

/** The search that the page's address names: #q=red+apple or #picture=1F34E. */
function searchOfAddress() {
  const named = new URLSearchParams(window.location.hash.slice(1));
  return { q: named.get("q"), picture: named.get("picture") };
}

function follow() {
  const { q, picture } = searchOfAddress(), row = board.engine.ids.indexOf(picture);
  if (row >= 0) board.choose(row);
  else board.ask(q ?? EXAMPLES[0]);
}

board.onSettle = ({ text, picture }) => {
  const named = picture === undefined ? { q: text } : { picture: board.engine.ids[picture] };
  const hash = `#${new URLSearchParams(named)}`;
  if (hash !== window.location.hash) window.history.replaceState(null, "", hash);
};

board.start().then(() => {
  if (!board.engine) return;
  board.showExamples(EXAMPLES);
  if (board.input.value) board.ask(board.input.value);      // typed before the words had come
  else follow();
  window.addEventListener("hashchange", follow);
});
