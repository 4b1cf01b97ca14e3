// Draw what you mean: regions brushed or outlined over the picture, named, and explained.

import { $, make, percent } from "./words.js";

const MOST_STEPS = 60; // of undo
const REST = "everything else";
// As in the palette of region_maps.py.
const colour = (i) => `hsl(${(360 * i * 0.618) % 360} 60% ${55 + 15 * ((i % 3) - 1)}%)`;

export class Draw {
  constructor(explain) {
    Object.assign(this, { explain, surface: $("draw-surface"), tool: "brush" });
    const listen = (id, kind, act) => $(id).addEventListener(kind, act);
    listen("draw-open", "click", () => { $("draw").showModal(); this.show(); });
    listen("draw-close", "click", () => $("draw").close());
    listen("draw-undo", "click", () => this.undo());
    listen("draw-add", "click", () => {
      this.change(() => this.add());
      $("draw-list").querySelector("li:last-child input").select();
    });
    listen("draw-own", "click", () => this.change(() => this.begin(this.run.names, this.run.labels)));
    listen("draw-start", "click", () => this.send());
    listen("draw-tools", "change", ({ target }) => Object.assign(this, { tool: target.value, corners: [] }).cursor());
    listen("draw-size", "input", () => this.cursor());
    listen("draw", "keydown", (event) => this.key(event));
    listen("draw-list", "click", ({ target }) => {
      const [act, i] = [target.closest("button")?.className, Number(target.closest("li")?.dataset.region)];
      if (act === "swatch") Object.assign(this, { current: i }).show();
      if (act === "delete") this.change(() => this.drop(i));
    });
    listen("draw-list", "change", ({ target }) => this.change(() => { this.names[target.closest("li").dataset.region] = target.value.trim(); }));
    for (const kind of ["pointerdown", "pointermove", "pointerup", "pointercancel", "dblclick"]) listen("draw-surface", kind, (event) => this.point(event));
  }

  open(run) {
    const { width, height } = run;
    Object.assign(this, { run, steps: [], at: [width, height].map((side) => Math.floor(side / 2) + 0.5) });
    $("draw-picture").src = run.before;
    Object.assign(this.surface, { width, height });
    $("draw-mark").setAttribute("viewBox", `0 0 ${width} ${height}`);
    Object.assign($("draw-size"), { max: Math.ceil(Math.max(width, height) / 3), value: Math.ceil(Math.max(width, height) / 12) });
    $("draw-own").hidden = !run.names;
    $("draw-start").disabled = !run.explain.can;
    if (!run.explain.can) this.alert(run.explain.why);
    this.begin(["region 1"], new Int16Array(width * height).fill(-1));
  }

  // Names that are null are those of regions that were deleted: each keeps its colour.
  begin(names, labels) {
    Object.assign(this, { names: [...names], labels: Int16Array.from(labels), current: 0, corners: [] });
    this.show();
  }

  add() {
    this.current = this.names.push(`region ${this.names.length + 1}`) - 1;
  }

  drop(i) {
    this.names[i] = null;
    this.labels = this.labels.map((label) => (label === i ? -1 : label));
    if (this.names.every((name) => name === null)) this.add();
    this.current = this.names.findLastIndex((name) => name !== null);
  }

  // What `act` does is one step of undo.
  change(act) {
    const { names, labels, current } = this;
    this.steps = [...this.steps, { names: [...names], labels: labels.slice(), current }].slice(-MOST_STEPS);
    act();
    this.show();
  }

  undo() {
    if (this.corners.pop()) this.cursor();
    else if (this.steps.length) Object.assign(this, this.steps.pop()).show();
  }

  // Colours and outlines, the list, and what can be done.
  show() {
    const { names, labels, run } = this;
    const pixels = names.map(() => 0);
    for (const label of labels) if (label >= 0) pixels[label]++;
    $("draw-list").replaceChildren(...names.flatMap((name, i) => {
      if (name === null) return [];
      const row = make("li", { innerHTML: `
        <button type="button" class="swatch" aria-pressed="${i === this.current}"><i></i></button><input type="text" maxlength="40">
        <span class="note">${percent(pixels[i] / labels.length)}</span><button type="button" class="delete">Delete</button>` });
      row.dataset.region = i;
      row.querySelector("i").style.background = colour(i);
      row.querySelector(".swatch").ariaLabel = `Draw ${name}`;
      row.querySelector(".delete").ariaLabel = `Delete ${name}`;
      Object.assign(row.querySelector("input"), { value: name, ariaLabel: `Name of region ${i + 1}` });
      return [row];
    }));
    $("draw-undo").disabled = !this.steps.length && !this.corners.length;
    $("draw-start").disabled = !run.explain.can || !pixels.some(Boolean);
    this.paint();
    this.cursor();
  }

  paint() {
    const { width, height } = this.run;
    const context = this.surface.getContext("2d");
    context.clearRect(0, 0, width, height);
    this.labels.forEach((label, i) => {
      if (label < 0) return;
      context.fillStyle = colour(label);
      context.fillRect(i % width, Math.floor(i / width), 1, 1);
    });
  }

  // Where the brush is and how large, or the corners of the polygon so far.
  cursor() {
    const { at: [x, y], corners } = this;
    const circle = (cx, cy, r) => `<circle cx="${cx}" cy="${cy}" r="${r}"/>`;
    $("draw-mark").innerHTML = this.tool === "polygon"
      ? `<polyline points="${[...corners, [x, y]].join(" ")}"/>${corners.length ? circle(...corners[0], this.run.width / 60) : ""}${circle(x, y, this.run.width / 200)}`
      : circle(x, y, Number($("draw-size").value) / 2);
    $("draw-undo").disabled = !this.steps.length && !corners.length;
  }

  point(event) {
    const box = this.surface.getBoundingClientRect();
    const { width, height } = this.run;
    const from = this.at;
    this.at = [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
    if (event.type === "pointerdown" && event.button === 0) {
      event.preventDefault();
      this.surface.focus({ preventScroll: true });
      this.surface.setPointerCapture(event.pointerId);
      if (this.tool === "polygon") this.corner();
      else this.change(() => { this.stroke = true; this.brush(this.at); });
    } else if (event.type === "pointermove" && this.stroke) {
      this.brush(from);
      this.paint();
    } else if (event.type === "dblclick" && this.tool === "polygon") {
      this.close();
    } else if (event.type !== "pointermove" && this.stroke) {
      this.stroke = false;
      this.show();
    }
    this.cursor();
  }

  get colour() {
    return this.tool === "eraser" ? -1 : this.current;
  }

  // Colour the pixels under the brush, along the way to where it is.
  brush([fromX, fromY]) {
    const [toX, toY] = this.at;
    const radius = Number($("draw-size").value) / 2;
    const steps = Math.ceil(Math.hypot(toX - fromX, toY - fromY) / Math.max(radius / 2, 0.5)) || 1;
    for (let i = 0; i <= steps; i++) {
      const [x, y] = [fromX + ((toX - fromX) * i) / steps, fromY + ((toY - fromY) * i) / steps];
      // A brush of one pixel colours the one that it is in.
      this.fill((px, py) => Math.hypot(px + 0.5 - x, py + 0.5 - y) <= radius || (Math.floor(x) === px && Math.floor(y) === py), [x - radius, y - radius, x + radius, y + radius]);
    }
  }

  fill(inside, [left, top, right, bottom]) {
    const { width, height } = this.run;
    for (let y = Math.max(0, Math.floor(top)); y <= Math.min(height - 1, bottom); y++) {
      for (let x = Math.max(0, Math.floor(left)); x <= Math.min(width - 1, right); x++) {
        if (inside(x, y)) this.labels[y * width + x] = this.colour;
      }
    }
  }

  corner() {
    const [[x, y], { width }, [first]] = [this.at, this.run, this.corners];
    if (first && this.corners.length > 2 && Math.hypot(x - first[0], y - first[1]) < width / 40) this.close();
    else this.corners.push([x, y]);
  }

  // Colour what lies within the corners, by the even-odd rule.
  close() {
    const corners = this.corners.splice(0);
    if (corners.length < 3) return;
    this.change(() => this.fill((px, py) => {
      let inside = false;
      corners.forEach(([x, y], i) => {
        const [lastX, lastY] = corners.at(i - 1);
        if ((y > py + 0.5) !== (lastY > py + 0.5) && px + 0.5 < x + ((py + 0.5 - y) * (lastX - x)) / (lastY - y)) inside = !inside;
      });
      return inside;
    }, [0, 0, this.run.width, this.run.height]));
  }

  key(event) {
    event.stopPropagation(); // the board behind has keys of its own
    const typing = event.target.matches("input[type='text']");
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && !typing) {
      event.preventDefault();
      this.undo();
    }
    if (typing && event.key === "Enter") event.target.blur();
    if (event.target !== this.surface) return;
    const { width, height } = this.run;
    const step = Math.max(1, Math.round(width / 64));
    const move = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    const size = { "+": 1, "=": 1, "-": -1 }[event.key];
    if (move) {
      const from = this.at;
      this.at = [width, height].map((side, i) => Math.min(Math.max(from[i] + move[i], 0.5), side - 0.5));
      if (event.shiftKey && this.tool !== "polygon") this.change(() => this.brush(from));
    } else if (size) $("draw-size").value = Number($("draw-size").value) + size;
    else if (event.key === " ") this.tool === "polygon" ? this.corner() : this.change(() => this.brush(this.at));
    else if (event.key === "Enter") this.close();
    else if (event.key === "Escape" && this.corners.length) this.corners = [];
    else return;
    event.preventDefault();
    this.cursor();
  }

  alert(text) {
    $("draw-alert").textContent = text;
    $("draw-alert").hidden = !text;
  }

  // Send the regions as runs of pixels: region, how many, region, how many, …
  async send() {
    const rest = $("draw-rest").value;
    const kept = this.names.flatMap((name, i) => (name === null ? [] : [i]));
    const names = kept.map((i) => this.names[i]);
    if (rest && this.labels.includes(-1)) names.push(REST);
    const runs = [];
    this.labels.forEach((label) => {
      const number = label >= 0 ? kept.indexOf(label) : rest ? names.length - 1 : -1;
      if (runs.at(-2) === number) runs[runs.length - 1]++;
      else runs.push(number, 1);
    });
    const wish = { seed: null, layer: this.run.layer, quality: $("draw-quality").value, purpose: $("draw-purpose").value };
    try {
      await this.explain.start({ ...wish, regions: { names, runs } });
      this.alert("");
      $("draw").close();
    } catch (error) {
      this.alert(error.message);
    }
  }
}
