// The page "Draw or drop a picture". The sheet works at once; the network comes when asked for.
import { loadData } from "./lib/data.js";
import { element } from "./lib/draw/element.js";
import { Pad } from "./lib/draw/pad.js";
import { Seer } from "./lib/draw/seer.js";
import { takePictures } from "./lib/draw/take.js";
import { buildTools } from "./lib/draw/tools.js";
import { showResults } from "./lib/draw/results.js";
import "./draw.css";

const here = new URL(".", document.currentScript.src);
const KINDS = [["drawing", "a drawing"], ["photograph", "a photograph"]];
const EMPTY = "The sheet is empty. Draw something, or choose a picture.";

/** The style sheet of the part, in place before anything is shown. */
function loadStyle() {
  return new Promise((resolve, reject) => {
    const link = element("link", { rel: "stylesheet", href: new URL("draw.css", here) });
    link.onload = resolve;
    link.onerror = () => reject(new Error("The file draw.css did not load."));
    document.head.append(link);
  });
}

class Page {
  constructor(root, facts) {
    this.seer = new Seer(facts, here);
    this.canvas = element("canvas", { className: "draw-sheet", role: "img",
      ariaLabel: "Sheet to draw on, with mouse, pen or finger" });
    this.pad = new Pad(this.canvas, () => this.look());
    this.kind = "drawing";
    this.status = element("p", { className: "draw-status", role: "status" });
    this.results = element("div", { className: "draw-results" });
    this.loader = this.buildLoader(facts);
    const { tools, tries } = buildTools(this.pad, facts.examples, (file) => this.take(file));
    this.switch = this.buildSwitch();
    const left = element("div", { className: "draw-left" }, [this.canvas, ...tools]);
    const right = element("div", { className: "draw-right" },
      [this.loader, this.switch.box, this.status, this.results]);
    this.box = element("div", { className: "draw" }, [left, right, tries]);
    this.box.dataset.looks = 0;       // how often the network has looked; tests wait for it
    root.replaceChildren(this.box);
    takePictures(this.box, (file) => this.take(file), (error) => this.say(error.message));
  }

  /** The button that loads the network, and its progress. */
  buildLoader({ pieces }) {
    const total = pieces.reduce((sum, { bytes }) => sum + bytes, 0);
    const size = `${(total / 1e6).toFixed(1)} MB`;
    const button = element("button", { type: "button", className: "draw-load",
      textContent: `Load the network (${size})` });
    const bar = element("progress", { max: total, value: 0, hidden: true,
      ariaLabel: "Loading the network" });
    button.onclick = () => this.load(button, bar, size);
    return element("div", { className: "draw-loader" }, [
      element("p", { textContent: "To name what you draw, this page needs the network, the "
        + "program that runs it, the words and the emoji. Nothing of it has been loaded yet." }),
      button, bar]);
  }

  async load(button, bar, size) {
    const hadFocus = document.activeElement === button;
    button.disabled = true;
    bar.hidden = false;
    this.say(`Loading ${size} …`);
    try {
      await this.seer.load((bytes) => { bar.value = bytes; });
      this.loader.remove();
      this.switch.box.hidden = false;
      if (hadFocus) this.switch.inputs[this.kind].focus();      // the button is gone
      await this.look();
    } catch (error) {
      button.disabled = false;
      bar.hidden = true;
      this.say(`That did not work: ${error.message} Nothing is lost; try again.`);
    }
  }

  /** "Look at it as": a drawing or a photograph. */
  buildSwitch() {
    const inputs = Object.fromEntries(KINDS.map(([kind]) => [kind, element("input",
      { type: "radio", name: "draw-kind", value: kind, checked: kind === this.kind,
        onchange: () => this.setKind(kind) })]));
    const box = element("fieldset", { className: "draw-kinds", hidden: true }, [
      element("legend", { textContent: "Look at it as" }),
      ...KINDS.map(([kind, name]) => element("label", {}, [inputs[kind], ` ${name}`]))]);
    return { box, inputs };
  }

  setKind(kind) {
    this.kind = kind;
    this.switch.inputs[kind].checked = true;
    return this.look();
  }

  say(text) {
    this.status.textContent = text;
  }

  /** Put a picture on the sheet. kind: what it is, a photograph if not known. */
  async take({ file, kind = "photograph" }) {
    try {
      const source = await createImageBitmap(file, { colorSpaceConversion: "none" });
      this.kind = kind;
      this.switch.inputs[kind].checked = true;
      this.pad.lay({ source, width: source.width, height: source.height });
    } catch {
      this.say("This is no picture that your browser can read.");
    }
  }

  /** Look at the sheet as it is now; where it changes meanwhile, look again. */
  async look() {
    if (!this.pad.picture && this.pad.isEmpty) this.kind = "drawing";
    this.switch.inputs[this.kind].checked = true;
    if (!this.seer.ready) return this.hint();
    if (this.looking) return void (this.again = true);
    this.looking = true;
    try {
      const found = await this.seer.see(this.pad, this.kind);
      this.results.replaceChildren(...(found ? showResults(found) : []));
      this.say(found ? found.summary : EMPTY);
      this.box.dataset.looks++;
    } finally {
      this.looking = false;
    }
    if (this.again) {
      this.again = false;
      await this.look();
    }
  }

  hint() {
    this.say(this.pad.isEmpty ? "" : "Load the network to see what it makes of this.");
  }
}

async function start(root) {
  const [bytes] = await Promise.all([loadData("draw"), loadStyle()]);
  new Page(root, JSON.parse(new TextDecoder().decode(bytes)));
}

document.querySelectorAll("[data-live=draw]").forEach((root) => start(root).catch((error) => {
  root.append(element("p", { textContent: `The sheet could not be laid out: ${error.message}` }));
}));
