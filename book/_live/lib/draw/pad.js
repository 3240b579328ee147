// A sheet to draw on. It keeps what was done as a list, so that any of it can be undone.

export const SHEET = 512;       // pixels of its side, however large it is shown

export class Pad {
  /** canvas: an empty one; changed: called when there is something new to look at. */
  constructor(canvas, changed) {
    Object.assign(canvas, { width: SHEET, height: SHEET });
    Object.assign(this, { canvas, changed, done: [], color: "#1a1a1a", width: 12 });
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.follow(event));
    for (const name of ["pointerup", "pointercancel"])
      canvas.addEventListener(name, (event) => this.end(event));
    this.show();
  }

  /** The picture that lies on the sheet with nothing drawn over it, else null. */
  get picture() {
    return this.done.at(-1)?.picture ?? null;
  }

  begin(event) {
    if (event.button !== 0 || this.stroke) return;
    event.preventDefault();
    this.canvas.setPointerCapture(event.pointerId);
    this.pointer = event.pointerId;
    this.stroke = { color: this.color, width: this.width, points: [this.at(event)] };
    this.done.push(this.stroke);
    this.show();
  }

  follow(event) {
    if (!this.stroke || event.pointerId !== this.pointer) return;
    const passed = event.getCoalescedEvents?.() ?? [];
    for (const each of passed.length ? passed : [event]) this.stroke.points.push(this.at(each));
    this.show();
  }

  end(event) {
    if (!this.stroke || event.pointerId !== this.pointer) return;
    this.stroke = null;
    this.changed();
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * SHEET / box.width,
      (event.clientY - box.top) * SHEET / box.height];
  }

  /** Lay a picture on the sheet. source: a drawable with its width and height. */
  lay(picture) {
    this.done.push({ picture });
    this.show();
    this.changed();
  }

  get isEmpty() {
    return !this.done.length || Boolean(this.done.at(-1).empty);
  }

  undo() {
    this.done.pop();
    this.show();
    this.changed();
  }

  /** An empty sheet; what was on it comes back by undoing. */
  clear() {
    this.done.push({ empty: true });
    this.show();
    this.changed();
  }

  show() {
    this.context.fillStyle = "#ffffff";
    this.context.fillRect(0, 0, SHEET, SHEET);
    const start = this.done.findLastIndex?.((each) => !each.points) ?? 0;
    this.done.slice(Math.max(0, start)).forEach((each) => this.draw(each));
  }

  draw({ picture, points, color, width, empty }) {
    if (empty) return this.context.fillRect(0, 0, SHEET, SHEET);
    if (picture) return this.drawPicture(picture);
    Object.assign(this.context, { strokeStyle: color, lineWidth: width, lineCap: "round",
      lineJoin: "round" });
    this.context.beginPath();
    this.context.moveTo(points[0][0] + 0.01, points[0][1]);     // so that a point is a dot
    points.forEach((point) => this.context.lineTo(...point));
    this.context.stroke();
  }

  /** The middle square, which is what the network sees. */
  drawPicture({ source, width, height }) {
    const side = Math.min(width, height);
    this.context.fillStyle = "#ffffff";
    this.context.fillRect(0, 0, SHEET, SHEET);
    this.context.drawImage(source, (width - side) / 2, (height - side) / 2, side, side,
      0, 0, SHEET, SHEET);
  }
}
