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

// A film strip is a clip frame by frame. A button plays the strips of a figure, larger, at their
// left; nothing moves before it is pressed, and it stops what it has started.
const FRAME_MS = 150;

function isStrip(row) {     // as film_strip in mmfuse_utils/viz.py writes it
  const tile = row.querySelector(".mmfuse-tile");
  return row.querySelectorAll("img").length > 2 && tile.style.maxWidth === "64px"
    && tile.parentElement.style.gridTemplateColumns.includes("minmax(0");
}

function makeScreen(row) {
  const frames = [...row.querySelectorAll("img")], screen = frames[0].cloneNode();
  screen.className = "mmfuse-screen";
  screen.hidden = true;
  row.querySelector(".mmfuse-tile").parentElement.before(screen);
  return { screen, frames };
}

function addPlayer(figure) {
  const strips = [...figure.querySelectorAll(".mmfuse-row")].filter(isStrip);
  if (!strips.length) return;
  const button = document.createElement("button");
  let timer = null, shown = 0, shows = null;
  const step = () => {
    shows.forEach(({ screen, frames }) => { screen.src = frames[shown % frames.length].src; });
    shown += 1;
  };
  const toggle = () => {
    shows ??= strips.map(makeScreen);
    clearInterval(timer);
    timer = timer === null ? setInterval(step, FRAME_MS) : null;
    shows.forEach(({ screen }) => { screen.hidden = timer === null; });
    button.textContent = timer === null ? "Play" : "Stop";
  };
  button.className = "mmfuse-play";
  button.textContent = "Play";
  button.addEventListener("click", toggle);
  figure.querySelector("figcaption").before(button);
}

// Interactive plots take the page's colors, and follow when the theme changes.
function plotColors() {
  const ink = getComputedStyle(document.body).color, line = "rgba(128, 128, 128, 0.35)";
  return {
    paper_bgcolor: "rgba(0, 0, 0, 0)", plot_bgcolor: "rgba(0, 0, 0, 0)", "font.color": ink,
    "xaxis.gridcolor": line, "yaxis.gridcolor": line, "xaxis.zerolinecolor": line,
    "yaxis.zerolinecolor": line,
  };
}

function colorPlots() {
  document.querySelectorAll(".mmfuse-plotly.js-plotly-plot").forEach((plot) => {
    Plotly.relayout(plot, plotColors());
  });
}

// The script that draws them has a megabyte: it is loaded when the first one comes near.
function loadPlotly() {
  loadPlotly.done ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `${document.documentElement.dataset.content_root}_static/plotly/plotly.min.js`;
    script.onload = resolve;
    script.onerror = () => reject(new Error("The script that draws this figure did not load."));
    document.head.append(script);
  });
  return loadPlotly.done;
}

async function drawPlot(plot) {
  const [data, layout] = JSON.parse(plot.querySelector("script").textContent);
  const text = plot.querySelector("p");
  try {
    await loadPlotly();
  } catch (error) {
    text.textContent = `${error.message} Load the page again to have it drawn.`;
    return;
  }
  text.remove();
  await Plotly.newPlot(plot, data, layout, { responsive: true });
  await Plotly.relayout(plot, plotColors());
}

function watchPlots() {
  const watch = new IntersectionObserver((entries) => {
    entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
      watch.unobserve(entry.target);
      drawPlot(entry.target);
    });
  }, { rootMargin: "600px" });
  document.querySelectorAll(".mmfuse-plotly").forEach((plot) => watch.observe(plot));
}

// A copied formula is its TeX, between dollars.
function copyFormulas(event) {
  const selected = window.getSelection();
  if (selected.isCollapsed) return;
  const range = selected.getRangeAt(0);
  // A formula is copied whole: what is not seen of it begins and ends where it does.
  const [first, last] = [range.startContainer, range.endContainer].map((node) => (
    (node.parentElement ?? node).closest?.(".katex")));
  if (first) range.setStartBefore(first);
  if (last) range.setEndAfter(last);
  const part = range.cloneContents();
  const formulas = part.querySelectorAll(".katex");
  if (formulas.length === 0) return;
  formulas.forEach((formula) => {
    const mark = formula.querySelector("math[display=block]") ? "$$" : "$";
    formula.replaceWith(mark + formula.querySelector("annotation").textContent + mark);
  });
  event.clipboardData.setData("text/plain", part.textContent);
  event.preventDefault();
}

// Wide tables and listings scroll within themselves; let the keyboard reach those that do. They are
// looked at once they are laid out: asking before would lay out the whole page.
function watchWide() {
  const watch = new ResizeObserver((entries) => {
    entries.forEach(({ target }) => {
      if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    });
  });
  document.querySelectorAll(
    "div.highlight pre, .mmfuse-scroll, .output pre, .cell_output > .output",
  ).forEach((box) => watch.observe(box));
}

// Sections out of sight are laid out when they come near (mmfuse-late in book.css). Their heights
// are guesses till then, so a link into the page has all of it laid out before it is followed.
function layOutAll() {
  document.documentElement.classList.remove("mmfuse-late");
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href*='#']");
  if (link?.pathname === location.pathname) layOutAll();
}, true);
window.addEventListener("hashchange", () => {
  if (!document.documentElement.classList.contains("mmfuse-late")) return;
  layOutAll();
  document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
});
window.addEventListener("beforeprint", layOutAll);
document.addEventListener("copy", copyFormulas);
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("figure.mmfuse-figure").forEach((figure) => {
    addButton(figure);
    addPlayer(figure);
  });
  watchPlots();
  watchWide();
  new MutationObserver(colorPlots).observe(
    document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
});
