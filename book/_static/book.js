// Pages opened straight from the disk may not fetch one another: show search hits without excerpts.
if (window.location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
}

// A figure is shown large on a click or by its button; a further click or Escape closes it.
function enlarge(figure) {
  const large = document.createElement("dialog");
  large.className = "mmfuse-large";
  large.setAttribute("aria-label", figure.querySelector("figcaption").textContent);
  const close = document.createElement("button");
  close.className = "mmfuse-close";
  close.textContent = "Close";
  large.append(close, figure.querySelector(".mmfuse-panels").cloneNode(true),
               figure.querySelector("figcaption").cloneNode(true));
  large.addEventListener("click", () => large.close());
  large.addEventListener("keydown", (event) => {
    if (event.key === "Escape") large.close();
  });
  large.addEventListener("close", () => large.remove());
  document.body.append(large);
  large.showModal();
}

function addButton(figure) {
  const button = document.createElement("button");
  button.className = "mmfuse-enlarge";
  button.textContent = "Enlarge";
  button.addEventListener("click", () => enlarge(figure));
  figure.querySelector(".mmfuse-panels").addEventListener("click", () => enlarge(figure));
  figure.append(button);
}

// Interactive plots take the page's colors, and follow when the theme changes.
function colorPlots() {
  const ink = getComputedStyle(document.body).color, line = "rgba(128, 128, 128, 0.35)";
  document.querySelectorAll(".mmfuse-plotly.js-plotly-plot").forEach((plot) => {
    Plotly.relayout(plot, {
      paper_bgcolor: "rgba(0, 0, 0, 0)", plot_bgcolor: "rgba(0, 0, 0, 0)", "font.color": ink,
      "xaxis.gridcolor": line, "yaxis.gridcolor": line, "xaxis.zerolinecolor": line,
      "yaxis.zerolinecolor": line,
    });
  });
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("figure.mmfuse-figure").forEach(addButton);
  colorPlots();
  new MutationObserver(colorPlots).observe(
    document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  // Wide formulas, tables and listings scroll within themselves; let the keyboard reach them.
  document.querySelectorAll("div.highlight pre, .mmfuse-scroll").forEach((box) => {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  });
});
