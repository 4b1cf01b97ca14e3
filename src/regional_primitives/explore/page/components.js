// The list of components: sorted, filtered, and each with its switch, slider and solo button.

import { drawn, edges } from "/page/outline.js";
import { ask } from "/page/server.js";
import { MOST_SCALE } from "/page/state.js";
import { percent, plural } from "/page/words.js";

const ROWS = 40;
const PATTERNS = 4; // asked for at once

export class Components {
  // act(kind, k, value, time) for every change; light(field or null) on hover and focus;
  // idle() resolves when no picture is under way.
  constructor(elements, { act, light, idle, failed }) {
    Object.assign(this, { ...elements, act, light, idle, failed });
    this.fetching = null;
    this.stale = false;
    this.shown = ROWS;
    this.patterns = new Map();
    for (const choice of [this.sort, this.size, this.which]) {
      choice.addEventListener("change", () => { this.shown = ROWS; this.fill(); });
    }
    this.more.addEventListener("click", () => {
      const before = this.shown;
      this.shown += ROWS;
      this.fill();
      this.list.children[before]?.querySelector(".thumb").focus();
    });
    this.list.addEventListener("keydown", (event) => this.key(event));
  }

  open(run, state) {
    this.run = run;
    this.state = state;
    this.shown = ROWS;
    this.rows = new Map();
    this.patterns.clear();
    this.most = { strength: Math.max(...run.strengths), visible: Math.max(...run.visible, 1e-9) };
    this.fill();
  }

  // Follow the state. Where the list has other rows then, it waits for `settle`: laying rows out
  // takes longer than a picture, and would hold it up.
  show(state) {
    this.state = state;
    this.stale = this.demand() !== this.sorted || ["meet", "on", "changed"].includes(this.which.value);
    if (!this.stale) for (const k of this.order) this.refresh(k);
  }

  settle() {
    if (this.stale) this.fill();
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
    const [least, most] = this.size.value.split("-").map((text) => (text ? Number(text) : Infinity));
    const wanted = {
      every: () => true,
      meet: (k) => run.fields[k].some((patch) => state.asked.has(patch)),
      on: (k) => state.scale(k, run) !== 0,
      changed: (k) => state.changed(k),
    }[this.which.value];
    const found = run.fields
      .map((_, k) => k)
      .filter((k) => run.fields[k].length >= least && run.fields[k].length <= most && wanted(k));
    const sizes = (k) => run.fields[k].length;
    const compare = {
      strength: (a, b) => a - b,
      visible: (a, b) => run.rank.visible[a] - run.rank.visible[b],
      small: (a, b) => sizes(a) - sizes(b) || a - b,
      wide: (a, b) => sizes(b) - sizes(a) || a - b,
    }[this.sort.value];
    const asleep = (k) => (this.sorted && !state.based(k, run) ? 1 : 0);
    found.sort((a, b) => asleep(a) - asleep(b) || compare(a, b));
    this.order = found.slice(0, this.shown);
    this.more.hidden = found.length <= this.shown;
    this.more.textContent = `Show ${Math.min(ROWS, found.length - this.shown)} more`;
    const first = this.sorted ? "awake first; " : "";
    this.count.textContent = found.length > this.shown
      ? `${first}the first ${this.shown} of ${found.length.toLocaleString("en")}`
      : `${first}${found.length.toLocaleString("en")} of ${run.fields.length.toLocaleString("en")}`;
    const rows = this.order.map((k) => this.row(k));
    const same = rows.length === this.list.children.length && rows.every((row, i) => row === this.list.children[i]);
    if (!found.length) {
      const empty = document.createElement("li");
      empty.className = "empty";
      empty.textContent = this.which.value === "meet" && !state.asked.size
        ? "No patch is chosen; click some in the picture."
        : "No component is of this kind.";
      this.list.replaceChildren(empty);
    } else if (!same) {
      this.list.replaceChildren(...rows);
    }
    for (const k of this.order) this.refresh(k);
    this.fetch();
  }

  row(k) {
    if (this.rows.has(k)) return this.rows.get(k);
    const { run } = this;
    const field = run.fields[k];
    const row = document.createElement("li");
    row.className = "part";
    row.dataset.component = k;
    row.innerHTML = `
      <button type="button" class="thumb"><img alt=""><svg preserveAspectRatio="none" aria-hidden="true"></svg></button>
      <div><p class="name"><b></b><span class="where note"></span><span class="tag"></span></p>
      <div class="marks">
      <span>strength</span><span class="gauge"><i></i></span><span></span>
      <span>visible</span><span class="gauge"><i></i></span><span></span>
      <span>bounded</span><span class="gauge"><i></i></span><span>…</span></div></div>
      <div class="knobs"><input type="range" min="0" max="2" step="0.05"><input type="number" min="${-MOST_SCALE}" max="${MOST_SCALE}" step="0.1">
      <div class="pair"><button type="button" class="solo">Solo</button><button type="button" class="mute">Mute</button></div></div>`;
    const svg = row.querySelector("svg");
    svg.setAttribute("viewBox", `0 0 ${run.width} ${run.height}`);
    const outline = edges(run, field);
    svg.append(drawn("rim", outline), drawn("line", outline));
    row.querySelector("b").textContent = `Component ${k}`;
    const remainder = run.remainder === k ? "remainder, " : "";
    row.querySelector(".where").textContent = remainder + plural(field.length, "patch", "patches");
    const [strength, visible] = row.querySelectorAll(".gauge i");
    strength.style.width = `${(100 * run.strengths[k]) / this.most.strength}%`;
    visible.style.width = `${Math.max(0, (100 * run.visible[k]) / this.most.visible)}%`;
    const values = row.querySelectorAll(".marks > span:nth-child(3n)");
    values[0].textContent = run.strengths[k].toPrecision(3);
    values[1].textContent = percent(run.visible[k]);
    const [slider, number] = row.querySelectorAll("input");
    slider.setAttribute("aria-label", `Scale of component ${k}`);
    number.setAttribute("aria-label", `Scale of component ${k} as a number`);
    row.querySelector(".solo").setAttribute("aria-label", `Solo component ${k}`);
    row.querySelector(".mute").setAttribute("aria-label", `Mute component ${k}`);
    const thumb = row.querySelector(".thumb");
    thumb.title = "Switch on or off";
    thumb.addEventListener("click", (event) => this.act("toggle", k, null, event.timeStamp));
    row.querySelector(".mute").addEventListener("click", (event) => this.act("mute", k, null, event.timeStamp));
    row.querySelector(".solo").addEventListener("click", (event) => this.act("solo", k, null, event.timeStamp));
    slider.addEventListener("input", (event) => this.act("slide", k, Number(slider.value), event.timeStamp));
    slider.addEventListener("change", () => this.act("settled", k));
    number.addEventListener("change", (event) => {
      const value = number.value.trim() === "" ? NaN : Number(number.value);
      if (!Number.isFinite(value) || Math.abs(value) > MOST_SCALE) {
        this.failed(`A scale is a number from −${MOST_SCALE} to ${MOST_SCALE}.`);
      } else {
        this.act("scale", k, value, event.timeStamp);
      }
      number.value = this.state.wanted(k);
    });
    number.addEventListener("blur", () => { number.value = this.state.wanted(k); });
    row.addEventListener("pointerenter", () => this.light(field));
    row.addEventListener("pointerleave", () => this.light(null));
    row.addEventListener("focusin", () => this.light(field));
    row.addEventListener("focusout", () => this.light(null));
    this.rows.set(k, row);
    this.paint(k);
    return row;
  }

  refresh(k) {
    const { state, run } = this;
    const row = this.row(k);
    const scale = state.scale(k, run);
    const on = scale !== 0;
    const asking = state.asked.size && !state.first && !state.solo.size;
    const now = [scale, state.wanted(k), asking, state.scales.has(k), state.muted.has(k), state.solo.has(k)].join();
    if (row.now === now) return;
    row.now = now;
    row.classList.toggle("off", !on);
    const tag = row.querySelector(".tag");
    const word = state.muted.has(k) ? "muted"
      : state.solo.has(k) ? "solo"
        : state.scales.has(k) && scale !== 1 ? `× ${scale}`
          : on ? (asking ? "awake" : "on") : (asking ? "asleep" : "off");
    tag.textContent = word;
    tag.classList.toggle("lit", on);
    const thumb = row.querySelector(".thumb");
    thumb.setAttribute("aria-pressed", String(on));
    thumb.setAttribute("aria-label", `Component ${k} on, field of ${plural(run.fields[k].length, "patch", "patches")}`);
    const [slider, number] = row.querySelectorAll("input");
    if (document.activeElement !== slider || Number(slider.value) !== state.wanted(k)) slider.value = state.wanted(k);
    if (document.activeElement !== number) number.value = state.wanted(k);
    row.querySelector(".mute").setAttribute("aria-pressed", String(state.muted.has(k)));
    row.querySelector(".solo").setAttribute("aria-pressed", String(state.solo.has(k)));
  }

  paint(k) {
    const pattern = this.patterns.get(k);
    const row = this.rows.get(k);
    if (!pattern || !row) return;
    row.querySelector("img").src = pattern.image;
    const bounded = pattern.bounded ?? 0;
    row.querySelectorAll(".gauge i")[2].style.width = `${100 * bounded}%`;
    row.querySelectorAll(".marks > span:nth-child(3n)")[2].textContent = percent(bounded);
  }

  // Patterns of the rows that are listed, a few at a time, so that a click waits for few of them.
  async fetch() {
    const { run } = this;
    if (this.fetching === run) return;
    this.fetching = run;
    try {
      for (;;) {
        await this.idle();
        if (run !== this.run) return;
        const some = this.order.filter((k) => !this.patterns.has(k)).slice(0, PATTERNS);
        if (!some.length) return;
        const query = some.map((k) => `component=${k}`).join("&");
        const found = await ask(`/api/runs/${run.name}/patterns?${query}`);
        if (run !== this.run) return;
        for (const pattern of found) {
          this.patterns.set(pattern.component, pattern);
          this.paint(pattern.component);
        }
      }
    } catch (error) {
      this.failed(error.message);
    } finally {
      if (this.fetching === run) this.fetching = null;
    }
  }

  key(event) {
    if (!event.target.classList.contains("thumb")) return;
    const row = event.target.closest(".part");
    const k = Number(row.dataset.component);
    const step = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling }[event.key];
    if (step) {
      event.preventDefault();
      step.querySelector(".thumb").focus();
    } else if (event.key.toLowerCase() === "s" && !event.ctrlKey && !event.metaKey && !event.altKey) {
      this.act("solo", k, null, event.timeStamp);
    }
  }
}
