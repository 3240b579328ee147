// Pages opened straight from the disk may not fetch one another: show search hits without excerpts.
if (window.location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
}
// Wide formulas, tables and listings scroll within themselves; let the keyboard reach them.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("div.highlight pre, .mmfuse-scroll").forEach((box) => {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  });
});
