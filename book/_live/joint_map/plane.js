// The map on a canvas: it is dragged, zoomed and pinched (d3-zoom), and its points move from one
// space to the next. A few thousand points need no WebGL, and so pictures can be points.

import { select } from "d3-selection";
import { zoom, zoomIdentity } from "d3-zoom";

import { button, stillness } from "./dom.js";
import { precedence, Room } from "./labels.js";

const MOST = 30, MOVE = 1100, MARGIN = 26, REACH = 22;
const COLORS = { texts: "--mmfuse-text", pictures: "--mmfuse-image", words: "--mmfuse-control",
                 ink: "--pst-color-text-base", said: "--pst-color-primary",
                 quiet: "--pst-color-text-muted", paper: "--pst-color-background" };

export class Plane {
  constructor(model, canvas, buttons) {
    Object.assign(this, { model, canvas, pen: canvas.getContext("2d"), view: zoomIdentity,
                          widths: new Map() });
    this.order = Array.from({ length: model.size }, (_, item) => item)
      .sort((a, b) => precedence(a) - precedence(b));
    canvas.role = "img";
    canvas.ariaLabel = "Map of texts and pictures as points. The list below holds the same items.";
    this.listen(buttons);
    this.fit();
  }

  listen(buttons) {
    this.zoom = zoom().scaleExtent([1, MOST]).filter((event) => this.heeds(event))
      .on("zoom", ({ transform }) => this.look(transform));
    const { canvas } = this, surface = select(canvas).call(this.zoom);
    const by = (factor) => () => this.travel((target) => this.zoom.scaleBy(target, factor));
    buttons.append(button("zoom", "+", by(2)), button("zoom", "−", by(1 / 2)), button(
      "zoom", "Whole map", () => this.travel((target) => this.zoom.transform(
        target, zoomIdentity))));
    ["Zoom in", "Zoom out", "Show the whole map"].forEach((text, i) => {
      buttons.children[i].ariaLabel = text;
    });
    surface.on("click", (event) => this.click(event))
      .on("pointerdown.wake", () => { this.awake = true; })
      .on("pointerleave", () => { this.awake = false; this.hover(null); })
      .on("pointermove.hover", (event) => this.hover(this.itemAt(event)));
    new ResizeObserver(() => this.fit()).observe(canvas);
    new MutationObserver(() => this.draw()).observe(
      document.documentElement, { attributeFilter: ["data-theme"] });
    this.model.onChange((what) => ("space" in what ? this.move() : this.draw()));
  }

  /** The wheel and a single finger belong to the page until the reader has turned to the map. */
  heeds(event) {
    if (event.type === "wheel") return this.awake || event.ctrlKey || event.metaKey;
    if (event.type === "touchstart") return event.touches.length > 1 || this.view.k > 1;
    return !event.ctrlKey && !event.button;
  }

  look(transform) {
    this.view = transform;
    this.canvas.style.touchAction = transform.k > 1 ? "none" : "pan-y";
    this.draw();
  }

  travel(change) {
    const target = select(this.canvas);
    change(stillness.matches ? target : target.transition().duration(500));
  }

  fit() {
    const { clientWidth: wide, clientHeight: high } = this.canvas, ratio = devicePixelRatio || 1;
    if (wide === this.wide && high === this.high && ratio === this.ratio) return;
    Object.assign(this.canvas, { width: wide * ratio, height: high * ratio });
    Object.assign(this, { wide, high, ratio });
    cancelAnimationFrame(this.moving);
    this.places = this.goal();
    this.zoom.extent([[0, 0], [wide, high]]).translateExtent([[0, 0], [wide, high]]);
    this.paint();
  }

  /** Places of all items on the whole map in pixels, as large as the canvas has room for. */
  goal() {
    const { places } = this.model.spaces[this.model.space], size = [this.wide, this.high];
    const margin = Math.min(MARGIN, this.wide / 25);
    const ends = size.map((_, axis) => {
      const along = places.filter((_, i) => i % 2 === axis);
      return [Math.min(...along), Math.max(...along)];
    });
    const scale = Math.min(...ends.map(([low, high], axis) => (
      (size[axis] - 2 * margin) / (high - low))));
    return Float64Array.from(places, (place, i) => size[i % 2] / 2
      + scale * (place - (ends[i % 2][0] + ends[i % 2][1]) / 2));
  }

  /** Where an item lies on the canvas, in pixels. */
  at(item) { return this.view.apply([this.places[2 * item], this.places[2 * item + 1]]); }

  /** Bring an item into view, near enough to see what lies around it. */
  show(item) {
    const place = this.view.invert(this.at(item)), scale = Math.max(this.view.k, 5);
    this.travel((target) => this.zoom.transform(target, zoomIdentity
      .translate(this.wide / 2, this.high / 2).scale(scale).translate(-place[0], -place[1])));
  }

  /** Let the points move to where they lie in the space that is now shown. */
  move() {
    const from = this.places.slice(), to = this.goal();
    const begin = performance.now(), length = stillness.matches ? 0 : MOVE;
    cancelAnimationFrame(this.moving);
    const step = (now) => {
      const t = length ? Math.min(1, Math.max(0, now - begin) / length) : 1;
      const eased = t < 0.5 ? 4 * t ** 3 : 1 - (2 - 2 * t) ** 3 / 2;
      this.places = from.map((place, i) => place + eased * (to[i] - place));
      this.paint();
      if (t < 1) this.moving = requestAnimationFrame(step);
    };
    step(begin);
  }

  itemAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = event.clientX - box.left, y = event.clientY - box.top;
    let best = null, least = REACH;
    for (const item of this.model.items()) {
      const [left, top] = this.at(item), far = Math.hypot(left - x, top - y);
      if (far < least) [best, least] = [item, far];
    }
    return best;
  }

  click(event) {
    const item = this.itemAt(event);
    if (item !== null) this.model.choose(item);
  }

  hover(item) {
    if (item === this.hovered) return;
    this.hovered = item;
    this.canvas.style.cursor = item === null ? "grab" : "pointer";
    this.draw();
  }

  draw() {
    cancelAnimationFrame(this.waiting);
    this.waiting = requestAnimationFrame(() => this.paint());
  }

  paint() {
    const style = getComputedStyle(document.documentElement), { pen, model } = this;
    this.colors = {};
    for (const [name, variable] of Object.entries(COLORS)) {
      this.colors[name] = style.getPropertyValue(variable).trim();
    }
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.clearRect(0, 0, this.wide, this.high);
    const near = model.chosen === null ? [] : model.kinds.flatMap(
      (kind) => model.around(model.chosen)[kind].map((entry) => entry.item));
    const raised = [...new Set([model.chosen, this.hovered, ...near])]
      .filter((item) => item !== null && item !== undefined);
    const plain = this.order.filter((item) => model.isShown(item) && this.isInView(item));
    for (const kind of ["words", "texts", "pictures"]) {
      for (const item of plain) if (model.kind(item) === kind) this.point(item);
    }
    if (model.chosen !== null) this.lines(model.chosen, near);
    raised.forEach((item) => this.point(item, item === model.chosen || item === this.hovered));
    this.names(raised, plain);
  }

  isInView(item) {
    const [x, y] = this.at(item);
    return x > -30 && y > -30 && x < this.wide + 30 && y < this.high + 30;
  }

  /** Side of a picture in pixels: small on the whole map, at most as large as its sheet has it. */
  pictureSize() {
    const whole = this.wide < 600 ? 15 : 20;
    return Math.min(40, whole * this.view.k ** 0.5);
  }

  point(item, ringed = false) {
    const kind = this.model.kind(item), [x, y] = this.at(item), { pen, colors } = this;
    const sprite = kind === "pictures" ? this.model.sprite(this.model.concept(item)) : {};
    const side = this.pictureSize(), radius = kind === "words" ? 1.8 : 2.8;
    pen.fillStyle = colors[kind];
    if (sprite.image) {
      const { side: from } = this.model.sheet;
      pen.drawImage(sprite.image, from * sprite.column, from * sprite.row, from, from,
                    x - side / 2, y - side / 2, side, side);
    }
    pen.beginPath();
    pen.arc(x, sprite.image ? y + side / 2 + 3 : y, sprite.image ? 2 : radius, 0, 2 * Math.PI);
    pen.fill();
    if (ringed) this.ring(x, y, sprite.image ? side / 2 + 6 : 8);
  }

  ring(x, y, radius) {
    const { pen } = this;
    pen.strokeStyle = this.colors.ink;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    pen.stroke();
  }

  lines(chosen, near) {
    const { pen } = this;
    pen.strokeStyle = this.colors.quiet;
    pen.lineWidth = 1;
    pen.beginPath();
    for (const item of near) {
      pen.moveTo(...this.at(chosen));
      pen.lineTo(...this.at(item));
    }
    pen.stroke();
  }

  /** Names where there is room: those that are raised first, then texts and single words. */
  names(raised, plain) {
    const room = new Room();
    this.pen.font = `13px ${getComputedStyle(this.canvas).fontFamily}`;
    this.pen.lineJoin = "round";
    raised.forEach((item) => this.nameOf(item, room, true));
    plain.filter((item) => this.model.kind(item) !== "pictures" && !raised.includes(item))
      .forEach((item) => this.nameOf(item, room, false));
  }

  nameOf(item, room, raised) {
    const { pen, colors, model } = this, kind = model.kind(item), text = model.name(item);
    if (!this.widths.has(item)) this.widths.set(item, pen.measureText(text).width);
    const [x, y] = this.at(item), width = this.widths.get(item);
    const drop = kind === "pictures" ? this.pictureSize() / 2 + 16 : 16;
    const left = Math.min(Math.max(x - width / 2, 3), this.wide - width - 3);
    if (!room.take([left - 4, y + drop - 13, left + width + 4, y + drop + 5])) return;
    pen.strokeStyle = colors.paper;
    pen.lineWidth = 3.5;
    pen.strokeText(text, left, y + drop);
    pen.fillStyle = raised ? colors.ink : kind === "texts" ? colors.said : colors.quiet;
    pen.fillText(text, left, y + drop);
  }
}
