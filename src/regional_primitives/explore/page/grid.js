// The patches over the picture: click, brush, or the keyboard; and the field that is lit.

import { borders, boxes, drawn, edges, surroundings } from "/page/outline.js";

export class Grid {
  // changed(asked) while a brush moves, settled() when it is lifted, compare(on) while B is held.
  constructor(element, overlay, { changed, settled, compare }) {
    Object.assign(this, { element, overlay, changed, settled, compare });
    this.asked = new Set();
    this.lit = null;
    this.brush = null;
    element.addEventListener("pointerdown", (event) => this.down(event));
    element.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) element.addEventListener(end, () => this.lift());
    element.addEventListener("keydown", (event) => this.key(event));
    element.addEventListener("keyup", (event) => { if (event.key.toLowerCase() === "b") this.compare(false); });
    element.addEventListener("focusout", () => this.compare(false));
  }

  open(run) {
    this.run = run;
    this.lit = null;
    this.overlay.setAttribute("viewBox", `0 0 ${run.width} ${run.height}`);
    this.lines = borders(run);
    const columns = run.columns ?? run.count;
    this.cells = boxes(run).map(([left, top, right, bottom], patch) => {
      const cell = document.createElement("div");
      cell.className = "patch";
      cell.setAttribute("role", "gridcell");
      cell.tabIndex = patch === 0 ? 0 : -1;
      cell.dataset.patch = patch;
      const place = run.columns ? `, row ${Math.floor(patch / columns) + 1}, column ${(patch % columns) + 1}` : "";
      cell.setAttribute("aria-label", `Patch ${patch}${place}`);
      Object.assign(cell.style, {
        left: `${(100 * left) / run.width}%`,
        top: `${(100 * top) / run.height}%`,
        width: `${(100 * (right - left)) / run.width}%`,
        height: `${(100 * (bottom - top)) / run.height}%`,
      });
      return cell;
    });
    const rows = [];
    for (let start = 0; start < run.count; start += columns) {
      const row = document.createElement("div");
      row.setAttribute("role", "row");
      row.append(...this.cells.slice(start, start + columns));
      rows.push(row);
    }
    this.element.replaceChildren(...rows);
    this.show(new Set());
  }

  show(asked) {
    this.asked = new Set(asked);
    this.cells.forEach((cell, patch) => cell.setAttribute("aria-selected", String(asked.has(patch))));
    this.draw();
  }

  light(field) {
    this.lit = field;
    this.draw();
  }

  draw() {
    const paths = [drawn("lines", this.lines)];
    if (this.lit) paths.push(drawn("dim", surroundings(this.run, this.lit)));
    if (this.asked.size) {
      const outline = edges(this.run, this.asked);
      paths.push(drawn("rim", outline), drawn("asked", outline));
    }
    if (this.lit) {
      const outline = edges(this.run, this.lit);
      paths.push(drawn("thin", outline), drawn("field", outline));
    }
    this.overlay.replaceChildren(...paths);
  }

  under(event) {
    const box = this.element.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * this.run.width);
    const y = Math.floor(((event.clientY - box.top) / box.height) * this.run.height);
    if (x < 0 || y < 0 || x >= this.run.width || y >= this.run.height) return -1;
    return this.run.labels[y * this.run.width + x];
  }

  down(event) {
    if (event.button !== 0) return;
    const patch = this.under(event);
    if (patch < 0) return;
    event.preventDefault();
    this.element.setPointerCapture(event.pointerId);
    this.brush = { adds: !this.asked.has(patch) };
    this.focus(patch);
    this.paint(patch, event);
  }

  move(event) {
    if (!this.brush) return;
    const patch = this.under(event);
    if (patch >= 0) this.paint(patch, event);
  }

  lift() {
    if (!this.brush) return;
    this.brush = null;
    this.settled();
  }

  paint(patch, event) {
    if (this.asked.has(patch) === this.brush.adds) return;
    if (this.brush.adds) this.asked.add(patch);
    else this.asked.delete(patch);
    this.changed(this.asked, event.timeStamp);
  }

  focus(patch) {
    for (const cell of this.cells) cell.tabIndex = Number(cell.dataset.patch) === patch ? 0 : -1;
    this.cells[patch].focus({ preventScroll: true });
  }

  key(event) {
    const patch = Number(event.target.dataset?.patch);
    if (!Number.isInteger(patch)) return;
    const columns = this.run.columns ?? this.run.count;
    const column = patch % columns;
    const steps = {
      ArrowLeft: column > 0 ? -1 : 0,
      ArrowRight: column < columns - 1 ? 1 : 0,
      ArrowUp: -columns,
      ArrowDown: columns,
      Home: -column,
      End: columns - 1 - column,
    };
    const set = (change) => {
      change();
      event.preventDefault();
      this.changed(this.asked, event.timeStamp);
      this.settled();
    };
    if (event.key in steps) {
      event.preventDefault();
      const there = patch + steps[event.key];
      if (there < 0 || there >= this.run.count || there === patch) return;
      this.focus(there);
      if (event.shiftKey) set(() => this.asked.add(patch).add(there));
    } else if (event.key === " " || event.key === "Enter") {
      set(() => { if (!this.asked.delete(patch)) this.asked.add(patch); });
    } else if (event.key === "Escape" && this.asked.size) {
      set(() => this.asked.clear());
    } else if (event.key.toLowerCase() === "a" && (event.ctrlKey || event.metaKey)) {
      set(() => { for (let i = 0; i < this.run.count; i++) this.asked.add(i); });
    } else if (event.key.toLowerCase() === "b" && !event.ctrlKey && !event.metaKey) {
      this.compare(true);
    }
  }
}
