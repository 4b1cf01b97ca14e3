// The patches over the picture: click, brush, or the keyboard; and the field that is lit.

import { borders, boxes, drawn, edges } from "./outline.js";
import { $, make, patchName } from "./words.js";

export class Grid {
  constructor(board) {
    this.board = board;
    this.element = $("patches");
    const listen = (kind, act) => this.element.addEventListener(kind, (event) => act(event));
    listen("pointerdown", (event) => this.down(event));
    listen("pointermove", (event) => {
      const patch = this.under(event);
      if (this.brush) this.paint(patch, event);
      this.point(patch);
    });
    for (const end of ["pointerup", "pointercancel"]) listen(end, () => this.lift());
    listen("keydown", (event) => this.key(event));
    listen("keyup", (event) => { if (event.key.toLowerCase() === "b") board.compare(false); });
    listen("focusout", () => board.compare(false));
    listen("focusin", ({ target }) => target.dataset.patch && this.point(Number(target.dataset.patch)));
    for (const kind of ["pointerleave", "focusout"]) listen(kind, () => this.point());
  }

  open(run) {
    this.run = run;
    this.asked = new Set();
    this.lit = null;
    this.brush = null;
    this.point();
    this.element.classList.toggle("shapes", !run.columns);
    $("overlay").setAttribute("viewBox", `0 0 ${run.width} ${run.height}`);
    this.lines = borders(run);
    const columns = this.columns = run.columns ?? run.count;
    const share = (length, whole) => `${(100 * length) / whole}%`;
    this.cells = boxes(run).map(([left, top, right, bottom], patch) => {
      const cell = make("div", { className: "patch", role: "gridcell", tabIndex: patch ? -1 : 0, ariaLabel: patchName(run, patch) });
      cell.dataset.patch = patch;
      Object.assign(cell.style, { left: share(left, run.width), top: share(top, run.height) });
      Object.assign(cell.style, { width: share(right - left, run.width), height: share(bottom - top, run.height) });
      return cell;
    });
    const rows = [];
    for (let start = 0; start < run.count; start += columns) {
      rows.push(make("div", { role: "row" }, ...this.cells.slice(start, start + columns)));
    }
    this.element.replaceChildren(...rows);
  }

  show(asked) {
    this.asked = new Set(asked);
    this.cells.forEach((cell, patch) => { cell.ariaSelected = asked.has(patch); });
    this.draw();
  }

  // Tell what is at the pointer, and which components serve it; nothing for no patch.
  point(patch) {
    if (!(patch >= 0)) patch = undefined;
    if (patch === this.pointed) return;
    this.pointed = patch;
    $("under").hidden = patch === undefined;
    $("under").textContent = patch === undefined ? "" : patchName(this.run, patch);
    this.board.components.serve(patch);
    this.draw();
  }

  light(field) {
    this.lit = field;
    this.draw();
  }

  draw() {
    const paths = [drawn("lines", this.lines)];
    const outlined = (field, ...kinds) => {
      const outline = edges(this.run, field);
      paths.push(...kinds.map((kind) => drawn(kind, outline)));
    };
    if (this.asked.size) outlined(this.asked, "rim", "asked");
    if (this.pointed !== undefined && !this.run.columns) outlined([this.pointed], "thin", "field");
    if (this.lit) outlined(this.lit, "thin", "field");
    $("overlay").replaceChildren(...paths);
  }

  // The patch at the pointer; negative or undefined where there is none.
  under(event) {
    const { width, height, labels } = this.run;
    const box = this.element.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * width);
    const y = Math.floor(((event.clientY - box.top) / box.height) * height);
    return x >= 0 && x < width ? labels[y * width + x] : -1;
  }

  down(event) {
    const patch = this.under(event);
    if (event.button !== 0 || !(patch >= 0)) return;
    event.preventDefault();
    this.element.setPointerCapture(event.pointerId);
    this.brush = { adds: !this.asked.has(patch) };
    this.focus(patch);
    this.paint(patch, event);
  }

  lift() {
    if (!this.brush) return;
    this.brush = null;
    this.board.settle();
  }

  paint(patch, event) {
    if (!(patch >= 0) || this.asked.has(patch) === this.brush.adds) return;
    if (this.brush.adds) this.asked.add(patch);
    else this.asked.delete(patch);
    this.board.base({ asked: new Set(this.asked) }, event.timeStamp);
  }

  focus(patch) {
    this.cells.forEach((cell, i) => { cell.tabIndex = i === patch ? 0 : -1; });
    this.cells[patch].focus({ preventScroll: true });
  }

  key(event) {
    const patch = Number(event.target.dataset?.patch);
    if (!Number.isInteger(patch)) return;
    const { asked, columns, run: { count } } = this;
    const column = patch % columns;
    const steps = {
      ArrowLeft: -(column > 0), ArrowRight: +(column < columns - 1), ArrowUp: -columns, ArrowDown: columns,
      Home: -column, End: columns - 1 - column,
    };
    const set = (change) => {
      event.preventDefault();
      change();
      this.board.base({ asked: new Set(asked) }, event.timeStamp);
      this.board.settle();
    };
    const key = event.key.toLowerCase();
    const command = event.ctrlKey || event.metaKey;
    if (event.key in steps) {
      event.preventDefault();
      const there = patch + steps[event.key];
      if (there < 0 || there >= count || there === patch) return;
      this.focus(there);
      if (event.shiftKey) set(() => asked.add(patch).add(there));
    } else if (key === " " || key === "enter") {
      set(() => { if (!asked.delete(patch)) asked.add(patch); });
    } else if (key === "escape" && asked.size) {
      set(() => asked.clear());
    } else if (key === "a" && command) {
      set(() => this.cells.forEach((_, i) => asked.add(i)));
    } else if (key === "b" && !command) {
      this.board.compare(true);
    }
  }
}
