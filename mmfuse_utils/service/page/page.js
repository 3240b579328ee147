// The page of the service. What is asked stands in the address, so that back, forward and
// bookmarks work. Whatever the service says is put in as text, never as HTML.
"use strict";
(() => {
  const FIRST = 12, STEP = 24, MOST = 100, LARGEST = 10e6, PATIENCE = 10;
  const get = id => document.getElementById(id);
  const form = get("form"), field = get("q"), group = get("group"), main = get("results");
  const given = new Map();      // pictures that the reader gave, by number: history keeps numbers
  let running = new AbortController(), serial = 0, shown = null;
  let served = null, known = null;      // what is served, and the promise of it

  class Problem extends Error {
    constructor(detail, request = "") {
      super(detail);
      this.request = request;
    }
  }

  function make(tag, properties = {}, ...inside) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...inside);
    return element;
  }

  // What is asked: words, a hit taken as example (its id), or a picture given (its number).

  function readAddress(state) {
    const address = new URLSearchParams(location.search);
    const k = Math.round(Number(address.get("k")));
    return { q: (address.get("q") || "").trim(), group: address.get("group") || "",
      like: address.get("like") || "", k: k >= 1 && k <= MOST ? k : FIRST,
      picture: address.has("picture") ? (state && state.picture) || -1 : 0 };
  }

  function address(asked) {
    const parts = new URLSearchParams();
    if (asked.picture) parts.set("picture", "");
    else if (asked.like) parts.set("like", asked.like);
    else if (asked.q) parts.set("q", asked.q);
    if (asked.group && parts.size) parts.set("group", asked.group);
    if (asked.k > FIRST && parts.size) parts.set("k", asked.k);
    return parts.size ? `/?${parts}` : "/";
  }

  function go(change, replace = false) {
    const nothing = { q: "", like: "", picture: 0, k: FIRST, group: group.value };
    const asked = { ...nothing, ...change };
    history[replace ? "replaceState" : "pushState"]({ picture: asked.picture }, "", address(asked));
    return show(asked);
  }

  // Asking the service

  async function fail(answer) {
    const told = await answer.json().catch(() => ({}));
    return new Problem(told.detail || told.title || `The service answered ${answer.status}.`,
      told.instance || "");
  }

  async function ask(url, options) {
    for (let again = true; ; again = false) {
      const answer = await fetch(url, options);
      if (answer.ok) return answer;
      if (answer.status !== 503 || !again) throw await fail(answer);
      const seconds = Math.min(Number(answer.headers.get("Retry-After")) || 1, PATIENCE);
      say("The service is busy; asking once more.");
      await new Promise((resume, stop) => {
        setTimeout(resume, 1000 * seconds);
        options.signal.addEventListener("abort", () => stop(options.signal.reason));
      });
    }
  }

  async function search(asked, signal) {
    const own = asked.like ? 1 : 0;       // an example finds itself first, which says nothing
    const parts = new URLSearchParams({ k: Math.min(asked.k + own, MOST) });
    if (asked.group) parts.set("group", asked.group);
    if (!asked.like && !asked.picture) {
      parts.set("q", asked.q);
      return (await ask(`/v1/search?${parts}`, { signal })).json();
    }
    const body = await examplePicture(asked, signal);
    const answer = await ask(`/v1/search/picture?${parts}`, { method: "POST", body, signal,
      headers: { "Content-Type": "application/octet-stream" } });
    return answer.json();
  }

  async function examplePicture(asked, signal) {
    let body = given.get(asked.picture);
    if (asked.like) {
      const answer = await ask(`/v1/pictures/${encodeURIComponent(asked.like)}`, { signal });
      body = await answer.blob();
    }
    if (!body) throw new Problem("That picture is no longer here. Choose it once more.");
    if (body.size > LARGEST) {
      throw new Problem(`This picture has ${(body.size / 1e6).toFixed(1)} MB; at most ` +
        `${LARGEST / 1e6} MB are taken. Make it smaller and give it again.`);
    }
    await drawPreview(body);
    return body;
  }

  async function drawPreview(body) {
    const canvas = get("preview");
    canvas.width = canvas.height = 96;
    try {
      const picture = await createImageBitmap(body);
      const scale = 96 / Math.max(picture.width, picture.height);
      const width = scale * picture.width, height = scale * picture.height;
      canvas.getContext("2d").drawImage(picture, (96 - width) / 2, (96 - height) / 2,
        width, height);
    } catch {     // the browser cannot draw it; whether the service can read it, it will say
      canvas.width = 0;
    }
  }

  // Showing

  function say(...parts) {
    get("status").replaceChildren(...parts);
  }

  function clear() {
    get("hits").replaceChildren();
    get("error").replaceChildren();
    get("method").textContent = "";
    get("more").hidden = get("welcome").hidden = true;
  }

  async function show(asked) {
    running.abort();
    running = new AbortController();
    const { signal } = running, byPicture = Boolean(asked.like || asked.picture);
    shown = asked;
    field.value = asked.q;
    if (group.value !== asked.group) offer(asked.group);
    document.title = `${asked.q ? `${asked.q} · ` : ""}Words Meet Pixels: search`;
    main.classList.toggle("by-picture", byPicture);
    get("example").hidden = !byPicture;
    get("name").textContent = asked.like ? asked.title || "" : (given.get(asked.picture) || {}).name;
    if (!byPicture && !asked.q) return welcome();
    main.setAttribute("aria-busy", "true");
    try {
      const answer = await search(asked, signal);
      await known;
      if (!signal.aborted) showAnswer(answer, asked);
    } catch (error) {
      if (!signal.aborted) showProblem(error, asked);
    } finally {
      if (!signal.aborted) main.removeAttribute("aria-busy");
    }
  }

  function welcome() {
    main.removeAttribute("aria-busy");
    clear();
    say();
    get("welcome").hidden = false;
  }

  function showProblem(error, asked) {
    clear();
    say();
    const told = error instanceof Problem ? error.message :
      "The service does not answer. See that it runs, then try again.";
    const again = make("button", { type: "button", textContent: "Try again" });
    again.addEventListener("click", () => show(asked));
    const request = error.request ? [make("p", { className: "request" },
      `Request ${error.request}`)] : [];
    get("error").append(make("p", { textContent: told }), ...request, again);
  }

  function showAnswer(answer, asked) {
    clear();
    const own = answer.hits.find(hit => asked.like && hit.id === asked.like);
    if (own) asked.title = own.title;
    if (asked.like) get("name").textContent = asked.title || "this picture";
    const hits = answer.hits.filter(hit => hit !== own).slice(0, asked.k);
    get("hits").append(...hits.map(hit => showHit(hit, answer.query.kind)));
    get("more").hidden = hits.length < asked.k || asked.k >= MOST;
    const nothing = answer.query.kind === "phrase" && !(answer.query.known || []).length;
    get("welcome").hidden = !nothing;
    get("method").textContent = nothing ? "" : answer.method;
    say(...sentence(answer.query, hits.length, asked));
  }

  function sentence(query, n, asked) {
    const pictures = `${n || "No"} ${n === 1 ? "picture" : "pictures"} `;
    const place = asked.group ? ` in ${nameGroup(asked.group)}` : "";
    if (query.kind === "picture") {
      const name = asked.like ? make("b", { textContent: asked.title || "this picture" }) :
        make("b", { textContent: "your picture" });
      return [`${pictures}like `, name, place];
    }
    const known = query.known || [], unknown = query.unknown || [];
    const words = make("b", { textContent: known.join(" ") });
    if (!known.length) return ["None of these words is known.", ...notKnown(unknown)];
    return [`${pictures}for `, words, place, ...notKnown(unknown)];
  }

  function notKnown(words) {
    if (!words.length) return [];
    return [make("span", { className: "unknown" }, " not known: ",
      make("b", { textContent: words.join(", ") }))];
  }

  function showHit(hit, kind) {
    const bar = make("i");
    bar.style.width = `${100 * Math.min(Math.max(hit.score, 0), 1)}%`;
    const score = make("p", { className: "score" },
      make("span", { className: "quiet" }, "score "),
      make("span", {}, hit.score.toFixed(2).replace(/^-0\.00$/, "0.00")),
      make("span", { className: "bar", ariaHidden: "true" }, bar));
    const picture = make("img", { src: hit.picture, alt: hit.title, width: 128, height: 128,
      loading: "lazy", decoding: "async" });
    const like = make("a", { className: "like", href: address({ like: hit.id, group: group.value }) },
      "More like this", make("span", { className: "quiet" }, `: ${hit.title}`));
    like.addEventListener("click", event => follow(event, { like: hit.id, title: hit.title }));
    const credit = make("p", { className: "credit", textContent: hit.credit || "" });
    return make("li", {}, picture, make("h3", { textContent: hit.title }), score,
      ...because(hit.word, kind), credit, like);
  }

  function because(word, kind) {
    if (!word) return [];
    const text = make("b", { textContent: word.text });
    if (kind === "picture") return [make("p", {}, "nearest word: ", text)];
    const share = word.share > 0 && word.share <= 1 ? ` (${Math.round(100 * word.share)}%)` : "";
    return [make("p", {}, "owes most to ", text, share)];
  }

  // What can be asked

  function follow(event, change) {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;  // a new tab
    event.preventDefault();
    scrollTo({ top: 0 });
    get("heading").focus({ preventScroll: true });      // the link that had the focus goes away
    go(change);
  }

  // The emoji's groups have names such as "food-drink"; a folder's are the reader's own.
  const nameGroup = name => served && served.source === "emoji" ?
    name.replaceAll("-", " and ") : name;

  function offer(chosen) {
    const names = (served && served.groups) || [];
    const known = !chosen || names.includes(chosen) ? names : [...names, chosen];
    group.replaceChildren(make("option", { value: "", textContent: "all groups" }),
      ...known.map(name => make("option", { value: name, textContent: nameGroup(name) })));
    group.value = chosen;
    get("choice").hidden = known.length < 2;
  }

  function exampleLink(phrase) {
    const place = make("span", { className: "place" });
    const link = make("a", { href: address({ q: phrase }) }, place,
      make("span", { textContent: phrase }));
    link.addEventListener("click", event => follow(event, { q: phrase }));
    illustrate(place, phrase);
    return make("li", {}, link);
  }

  async function illustrate(place, phrase) {
    try {
      const answer = await fetch(`/v1/search?${new URLSearchParams({ q: phrase, k: 1 })}`);
      const [hit] = (await answer.json()).hits;
      place.append(make("img", { src: hit.picture, alt: "", width: 128, height: 128 }));
    } catch {       // an example without a picture is an example, too
    }
  }

  async function introduce() {
    try {
      served = await (await fetch("/v1/artefact")).json();
    } catch {       // the page works without; a search will say what is wrong
      return;
    }
    offer(shown.group);
    get("examples").replaceChildren(...(served.examples || []).map(exampleLink));
    get("tries").hidden = !(served.examples || []).length;
    const of = served.source === "emoji" ? "emoji, openly licensed" :
      "the folder that this service was started with";
    if (served.pictures) {
      get("about").textContent = `${served.pictures.toLocaleString("en")} pictures: ${of}.`;
    }
  }

  function give(files) {
    const file = [...files].find(one => one.type.startsWith("image/")) || files[0];
    if (!file) return;
    serial += 1;
    given.set(serial, file);
    go({ picture: serial });
  }

  function startAnew() {
    go({});
    field.focus();
  }

  function pressKey(event) {
    if (event.key === "Escape" && !event.defaultPrevented) {
      event.preventDefault();
      startAnew();
    } else if (event.key === "/" && !event.ctrlKey && !event.metaKey && !event.altKey &&
               !event.target.matches("input, select, textarea")) {
      event.preventDefault();
      field.focus();
      field.select();
    }
  }

  form.addEventListener("submit", event => {
    event.preventDefault();
    if (matchMedia("(pointer: coarse)").matches) field.blur();    // the keyboard hides the answer
    go({ q: field.value.trim() });
  });
  group.addEventListener("change", () => go({ ...shown, group: group.value, k: FIRST }));
  get("more").addEventListener("click", () => {
    const next = get("hits").children.length;
    go({ ...shown, k: Math.min(shown.k + STEP, MOST) }, true).then(() => {
      const link = get("hits").children[next];
      if (link) link.querySelector("a").focus({ preventScroll: true });
    });
  });
  get("give").addEventListener("click", () => get("file").click());
  get("file").addEventListener("change", event => {
    give(event.target.files);
    event.target.value = "";
  });
  get("remove").addEventListener("click", startAnew);
  addEventListener("keydown", pressKey);
  addEventListener("paste", event => {
    if (!event.clipboardData.files.length) return;
    event.preventDefault();
    give(event.clipboardData.files);
  });
  const carriesFiles = event => event.dataTransfer && event.dataTransfer.types.includes("Files");
  addEventListener("dragover", event => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  addEventListener("dragleave", event => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
  });
  addEventListener("drop", event => {
    document.body.classList.remove("dropping");
    if (!carriesFiles(event)) return;
    event.preventDefault();
    give(event.dataTransfer.files);
  });
  addEventListener("popstate", event => show(readAddress(event.state)));

  show(readAddress(history.state));
  known = introduce();
})();
