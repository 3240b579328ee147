// What a page's frame does: light and dark, search field, side bars, the list of contents. It takes
// the place of the theme's own scripts and of Bootstrap, which are twenty times as long.

const dark = window.matchMedia("(prefers-color-scheme: dark)");

// The mode is light, dark, or what the device asks for; the first lines of each page set it.
function setMode(mode) {
  const theme = mode === "auto" ? (dark.matches ? "dark" : "light") : mode;
  Object.assign(document.documentElement.dataset, { mode, theme });
  localStorage.setItem("mode", mode);
  localStorage.setItem("theme", theme);
}

function nextMode() {
  const order = dark.matches ? ["auto", "light", "dark"] : ["auto", "dark", "light"];
  setMode(order[(order.indexOf(document.documentElement.dataset.mode) + 1) % 3]);
}

dark.addEventListener("change", () => {
  if (document.documentElement.dataset.mode === "auto") setMode("auto");
});

// The search page has a field of its own; elsewhere one is laid over the page.
function toggleSearch() {
  const over = document.querySelector(".search-button__wrapper");
  const field = document.querySelector(".bd-search-container input[type=search]")
    ?? over.querySelector("input");
  if (over.contains(field)) over.classList.toggle("show");
  if (document.activeElement === field) field.blur();
  else { field.focus(); field.select(); }
}

function onKey(event) {
  const mac = /^(Mac|iPhone|iPad)/.test(navigator.platform);
  const control = mac ? event.metaKey && !event.ctrlKey : event.ctrlKey && !event.metaKey;
  const over = document.querySelector(".search-button__wrapper");
  if (control && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k") {
    event.preventDefault();
    toggleSearch();
  } else if (event.key === "Escape" && over.classList.contains("show")) toggleSearch();
}

// A side bar is shown or hidden by a box that is not seen; focus goes in with it, and back.
function connectSidebar(which) {
  const box = document.getElementById(`pst-${which}-sidebar-checkbox`);
  const bar = document.querySelector(`.bd-sidebar-${which}`);
  const button = document.querySelector(`.${which}-toggle`);
  if (!bar || !button) return;
  button.addEventListener("click", () => {
    box.checked = !box.checked;
    if (box.checked) setTimeout(() => bar.querySelector("a, button")?.focus(), 100);
  });
  box.addEventListener("change", () => { if (!box.checked) button.focus(); });
  bar.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !box.checked) return;
    box.checked = false;
    button.focus();
  });
}

// A button with a list below it, such as the one for downloads.
function connectMenu(button) {
  const list = button.nextElementSibling;
  const show = (open) => {
    [button, list].forEach((part) => part.classList.toggle("show", open));
    button.setAttribute("aria-expanded", String(open));
  };
  button.addEventListener("click", () => show(!list.classList.contains("show")));
  button.parentElement.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !list.classList.contains("show")) return;
    show(false);
    button.focus();
  });
  document.addEventListener("click", (event) => {
    if (!button.parentElement.contains(event.target)) show(false);
  });
}

// In the list of contents the sections in view are marked, and those that lead to them.
function followReading() {
  const links = new Map();
  document.querySelectorAll(".bd-toc-nav a[href^='#']").forEach((link) => {
    const place = document.getElementById(decodeURIComponent(link.hash.slice(1)));
    const heading = place?.querySelector(":scope > :is(h2, h3, h4)");
    if (heading) links.set(heading, link);
  });
  let current = null;
  const watch = new IntersectionObserver((entries) => {
    const first = entries.find((entry) => entry.isIntersecting);
    if (!first) return;
    current?.classList.remove("active");
    current?.parentElement.classList.remove("active");
    current = links.get(first.target);
    current.classList.add("active");
    current.parentElement.classList.add("active");
  }, { rootMargin: "0px 0px -60%" });
  links.forEach((link, heading) => watch.observe(heading));
}

// The list of pages opens where it was left, or at this page.
function placeSidebar() {
  const bar = document.querySelector(".bd-sidebar-primary");
  if (!bar) return;
  window.addEventListener("pagehide", () => {
    sessionStorage.setItem("sidebar-scroll-top", bar.scrollTop);
  });
  new IntersectionObserver(([entry], watch) => {      // not before it is seen: on a phone, later
    if (!entry.isIntersecting) return;
    watch.disconnect();
    const left = sessionStorage.getItem("sidebar-scroll-top");
    const here = [...bar.querySelectorAll("li.active")].pop();
    if (left !== null) bar.scrollTop = Number(left);
    else if (here?.offsetTop > bar.clientHeight / 2) {
      bar.scrollTop = here.offsetTop - bar.clientHeight / 4;
    }
  }).observe(bar);
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".theme-switch-button").forEach((button) => {
    button.addEventListener("click", nextMode);
  });
  document.querySelectorAll(".search-button__button, .search-button__overlay").forEach((part) => {
    part.addEventListener("click", toggleSearch);
  });
  document.addEventListener("keydown", onKey);
  ["primary", "secondary"].forEach(connectSidebar);
  document.querySelectorAll("[data-bs-toggle=dropdown]").forEach(connectMenu);
  followReading();
  placeSidebar();
});
