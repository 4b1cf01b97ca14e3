// The list of components: sorted, filtered, and each with its switch, slider and solo button.

import { drawn, edges } from "./outline.js";
import { MOST_SCALE } from "./state.js";
import { $, escaped, make, percent } from "./words.js";

const PATTERNS = 4; // asked for at once

export class Components {
  constructor(board) {
    this.board = board;
    this.list = $("list");
    for (const id of ["sort", "size", "which"]) {
      $(id).addEventListener("change", () => { this.shown = this.run.page; this.fill(); });
    }
    $("thumbs").addEventListener("change", () => { for (const k of this.painted) this.drawThumb(this.row(k)); });
    $("more").addEventListener("click", () => {
      const before = this.shown;
      this.shown += this.run.page;
      this.fill();
      this.list.children[before]?.querySelector(".thumb").focus();
    });
    for (const kind of ["click", "input", "change", "focusout"]) this.list.addEventListener(kind, (event) => this.act(event));
    this.list.addEventListener("keydown", (event) => this.key(event));
  }

  open(run, state) {
    Object.assign(this, { run, state, shown: run.page, rows: new Map(), painted: new Set() });
    const most = (values) => Math.max(...values.filter(Number.isFinite), 1e-9);
    this.most = { strength: most(run.strengths), visible: most(run.visible) };
    this.fill();
  }

  // Follow the state. Where the list has other rows then, it waits for `settle`: laying rows out
  // takes longer than a picture, and would hold it up.
  show(state) {
    this.state = state;
    this.stale = this.demand() !== this.sorted || ["meet", "on", "changed"].includes($("which").value);
    if (!this.stale) for (const k of this.order) this.refresh(k);
  }

  settle() {
    if (this.stale) this.fill();
  }

  // Mark the components that serve a patch; none where no patch is given.
  serve(patch) {
    for (const k of this.order) this.rows.get(k).classList.toggle("serves", this.run.fields[k].includes(patch));
  }

  // The patches asked for, as long as they decide what wakes; those that wake come first then.
  demand() {
    const { asked, solo, first } = this.state;
    return solo.size || first ? "" : [...asked].sort().join();
  }

  fill() {
    const { run, state } = this;
    this.stale = false;
    this.sorted = this.demand();
    const size = (k) => run.fields[k].length;
    const [least, most] = $("size").value.split("-").map((text) => (text ? Number(text) : Infinity));
    const wanted = {
      every: () => true,
      meet: (k) => run.fields[k].some((patch) => state.asked.has(patch)),
      on: (k) => state.scale(k, run) !== 0,
      changed: (k) => state.changed(k),
    }[$("which").value];
    const compare = {
      strength: (a, b) => a - b,
      visible: (a, b) => run.rank.visible[a] - run.rank.visible[b],
      small: (a, b) => size(a) - size(b) || a - b,
      wide: (a, b) => size(b) - size(a) || a - b,
    }[$("sort").value];
    const asleep = (k) => (this.sorted && !state.based(k, run) ? 1 : 0);
    const found = run.listed.filter((k) => size(k) >= least && size(k) <= most && wanted(k));
    found.sort((a, b) => asleep(a) - asleep(b) || compare(a, b));
    this.order = found.slice(0, this.shown);
    const left = found.length - this.order.length;
    $("more").hidden = !left;
    $("more").textContent = `Show ${Math.min(run.page, left)} more`;
    const [some, all] = left ? [`the first ${this.shown}`, found] : [found.length.toLocaleString("en"), run.listed];
    $("parts-count").textContent = `${this.sorted ? "awake first; " : ""}${some} of ${all.length.toLocaleString("en")}`;
    const rows = this.order.map((k) => this.row(k));
    if (!found.length) {
      const none = $("which").value === "meet" && !state.asked.size;
      const textContent = none ? "Nothing is asked for; click in the picture." : "No component is of this kind.";
      this.list.replaceChildren(make("li", { className: "empty", textContent }));
    } else if (rows.length !== this.list.children.length || rows.some((row, i) => row !== this.list.children[i])) {
      this.list.replaceChildren(...rows);
    }
    for (const k of this.order) this.refresh(k);
    this.load();
  }

  row(k) {
    if (this.rows.has(k)) return this.rows.get(k);
    const { run, board } = this;
    const [title, about] = Object.values(run.called(k)).map(escaped);
    const name = title.replace("Component", "component");
    const mark = (word) => `<span>${word}</span><span class="gauge"><i></i></span><span>…</span>`;
    const row = make("li", { className: "part", k, innerHTML: `
      <button type="button" class="thumb" title="Switch on or off" aria-label="${title} on, ${about}"><img alt=""><svg viewBox="0 0 ${run.width} ${run.height}" preserveAspectRatio="none" aria-hidden="true"></svg></button>
      <div><p class="name"><b>${title}</b><span class="where note">${about}</span><span class="tag"></span></p>
      <div class="marks">${k < run.total ? ["strength", "visible", "bounded"].map(mark).join("") : ""}</div></div>
      <div class="knobs"><input type="range" min="0" max="2" step="0.05" aria-label="Scale of ${name}"><input type="number" min="${-MOST_SCALE}" max="${MOST_SCALE}" step="0.1" aria-label="Scale of ${name} as a number">
      <div class="pair"><button type="button" class="solo" aria-label="Solo ${name}">Solo</button><button type="button" class="mute" aria-label="Mute ${name}">Mute</button></div></div>` });
    row.dataset.component = k;
    const outline = edges(run, run.fields[k]);
    row.querySelector("svg").append(drawn("rim", outline), drawn("line", outline));
    this.rows.set(k, row);
    if (k < run.total) {
      this.mark(row, 0, run.strengths[k] / this.most.strength, run.strengths[k].toPrecision(3));
      this.mark(row, 1, run.visible[k] / this.most.visible, percent(run.visible[k]));
    }
    for (const kind of ["pointerenter", "focusin"]) row.addEventListener(kind, () => board.grid.light(run.fields[k]));
    for (const kind of ["pointerleave", "focusout"]) row.addEventListener(kind, () => board.grid.light(null));
    return row;
  }

  // One listener for the switches, sliders and buttons of all rows.
  act({ target, type, timeStamp }) {
    const row = target.closest(".part");
    const kind = target.closest(".thumb, .solo, .mute")?.classList[0] ?? target.type;
    if (!row) return;
    const { board, run, state } = this;
    const { k } = row;
    const scale = () => board.change((now) => now.setScale(k, Number(target.value)), timeStamp, type === "change");
    if (type === "click") {
      if (kind === "thumb") board.change((now) => now.toggle(k, run), timeStamp);
      if (kind === "solo") board.change((now) => now.playSolo(k), timeStamp);
      if (kind === "mute") board.change((now) => now.mute(k), timeStamp);
    } else if (kind === "range") {
      if (type === "input") scale();
      if (type === "change") board.settle();
    } else if (kind === "number" && type !== "input") {
      const valid = target.value.trim() !== "" && Math.abs(target.value) <= MOST_SCALE;
      if (type === "change" && valid) scale();
      else if (type === "change") board.failed(`A scale is a number from −${MOST_SCALE} to ${MOST_SCALE}.`);
      target.value = state.wanted(k, run);
    }
  }

  refresh(k) {
    const { state, run } = this;
    const row = this.row(k);
    const scale = state.scale(k, run);
    const [muted, solo] = [state.muted.has(k), state.solo.has(k)];
    const asking = state.asked.size && !state.first && !state.solo.size;
    const now = [scale, state.wanted(k, run), asking, state.scales.has(k), muted, solo].join();
    if (row.now === now) return;
    row.now = now;
    row.classList.toggle("off", scale === 0);
    const tag = row.querySelector(".tag");
    const [on, off] = asking ? ["awake", "asleep"] : ["on", "off"];
    if (muted || solo) tag.textContent = muted ? "muted" : "solo";
    else if (scale !== 0 && scale !== 1) tag.textContent = `× ${scale}`;
    else tag.textContent = scale ? on : off;
    tag.classList.toggle("lit", scale !== 0);
    row.querySelector(".thumb").ariaPressed = scale !== 0;
    const [slider, number] = row.querySelectorAll("input");
    if (document.activeElement !== slider || Number(slider.value) !== state.wanted(k, run)) slider.value = state.wanted(k, run);
    if (document.activeElement !== number) number.value = state.wanted(k, run);
    row.querySelector(".mute").ariaPressed = muted;
    row.querySelector(".solo").ariaPressed = solo;
  }

  mark(row, place, share, text) {
    row.querySelectorAll(".gauge i")[place].style.width = `${Math.max(0, 100 * share)}%`;
    row.querySelectorAll(".marks > span:nth-child(3n)")[place].textContent = text;
  }

  // Patterns of the rows that are listed, a few at a time, so that a click waits for few of them.
  async load() {
    const { run, board } = this;
    if (this.loading === run) return;
    this.loading = run;
    try {
      for (;;) {
        await board.pictures.idle();
        if (run !== this.run) return;
        const some = this.order.filter((k) => k < run.total && !this.painted.has(k)).slice(0, PATTERNS);
        if (!some.length) return;
        const found = await board.source.patterns(some);
        if (run !== this.run) return;
        for (const { component, bounded, ...images } of found) {
          this.painted.add(component);
          const row = Object.assign(this.row(component), { images });
          this.drawThumb(row);
          this.mark(row, 2, bounded ?? 0, percent(bounded));
        }
      }
    } catch (error) {
      board.failed(error.message);
    } finally {
      if (this.loading === run) this.loading = null;
    }
  }

  // What the component alone generates, or the map of its pattern.
  drawThumb(row) {
    row.querySelector("img").src = row.images[$("thumbs").value];
  }

  key(event) {
    if (!event.target.classList.contains("thumb")) return;
    const row = event.target.closest(".part");
    const step = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling }[event.key];
    if (step) {
      event.preventDefault();
      step.querySelector(".thumb").focus();
    } else if (event.key.toLowerCase() === "s" && !event.ctrlKey && !event.metaKey && !event.altKey) {
      this.board.change((state) => state.playSolo(row.k), event.timeStamp);
    }
  }
}
