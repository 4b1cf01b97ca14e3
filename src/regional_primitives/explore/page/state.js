// What the page is set to: kept as text, which is the link, the step of undo, and nothing else.

const numbers = (text) => (text ?? "").split(".").filter(Boolean).map(Number);

export class State {
  constructor() {
    this.asked = new Set(); // patches
    this.scales = new Map(); // component -> scale, where it was set
    this.muted = new Set();
    this.solo = new Set();
    this.first = null; // {order, count}
  }

  static parse(text, run) {
    const state = new State();
    const fields = new URLSearchParams(text);
    const whole = (most) => (n) => Number.isInteger(n) && n >= 0 && n < most;
    const known = whole(run.strengths.length);
    state.asked = new Set(numbers(fields.get("ask")).filter(whole(run.count)));
    for (const pair of (fields.get("scale") ?? "").split(",").filter(Boolean)) {
      const [k, scale] = pair.split(":").map(Number);
      if (known(k) && Number.isFinite(scale)) state.scales.set(k, clamped(scale));
    }
    state.muted = new Set(numbers(fields.get("mute")).filter(known));
    state.solo = new Set(numbers(fields.get("solo")).filter(known));
    const [order, count] = (fields.get("first") ?? "").split(":");
    if (["visible", "strength"].includes(order) && whole(run.strengths.length + 1)(Number(count))) {
      state.first = { order, count: Number(count) };
    }
    return state;
  }

  text() {
    const listed = (set) => [...set].sort((a, b) => a - b).join(".");
    const scales = [...this.scales].sort((a, b) => a[0] - b[0]);
    return [
      this.asked.size && `ask=${listed(this.asked)}`,
      scales.length && `scale=${scales.map(([k, scale]) => `${k}:${scale}`).join(",")}`,
      this.muted.size && `mute=${listed(this.muted)}`,
      this.solo.size && `solo=${listed(this.solo)}`,
      this.first && `first=${this.first.order}:${this.first.count}`,
    ].filter(Boolean).join("&");
  }

  get untouched() {
    return this.text() === "";
  }

  // Whether component k is on where nobody has set it.
  based(k, run) {
    if (this.solo.size) return false;
    if (this.first) return run.rank[this.first.order][k] < this.first.count;
    if (this.asked.size) return run.fields[k].some((patch) => this.asked.has(patch));
    return true;
  }

  scale(k, run) {
    if (this.muted.has(k)) return 0;
    if (this.solo.size) return this.solo.has(k) ? this.scales.get(k) ?? 1 : 0;
    return this.scales.get(k) ?? (this.based(k, run) ? 1 : 0);
  }

  // What the slider shows: the scale that k has, or would have when it is switched on.
  wanted(k) {
    return this.scales.get(k) ?? 1;
  }

  setScale(k, scale) {
    this.muted.delete(k);
    this.scales.set(k, clamped(scale));
  }

  toggle(k, run) {
    if (this.scale(k, run) !== 0) {
      this.muted.add(k);
      return;
    }
    this.muted.delete(k);
    if (this.solo.size) {
      this.solo.add(k);
    } else if (this.scales.get(k) === 0 || (!this.scales.has(k) && !this.based(k, run))) {
      this.scales.set(k, 1);
    }
  }

  toggleSolo(k) {
    if (!this.solo.delete(k)) {
      this.solo.add(k);
      this.muted.delete(k);
    }
  }

  changed(k) {
    return this.scales.has(k) || this.muted.has(k) || this.solo.has(k);
  }

  question() {
    const scales = {};
    if (this.solo.size) {
      for (const k of this.solo) scales[k] = this.muted.has(k) ? 0 : this.scales.get(k) ?? 1;
      return { base: { kind: "none" }, scales };
    }
    for (const [k, scale] of this.scales) scales[k] = scale;
    for (const k of this.muted) scales[k] = 0;
    if (this.first) return { base: { kind: "first", ...this.first }, scales };
    if (this.asked.size) {
      return { base: { kind: "demand", patches: [...this.asked].sort((a, b) => a - b) }, scales };
    }
    return { base: { kind: "all" }, scales };
  }
}

export const MOST_SCALE = 10;

export function clamped(scale) {
  return Math.min(MOST_SCALE, Math.max(-MOST_SCALE, Math.round(scale * 1000) / 1000));
}

export class History {
  constructor() {
    this.past = [];
    this.future = [];
    this.now = "";
  }

  begin(text) {
    this.past = [];
    this.future = [];
    this.now = text;
  }

  push(text) {
    if (text === this.now) return;
    this.past.push(this.now);
    this.future = [];
    this.now = text;
    if (this.past.length > 500) this.past.shift();
  }

  undo() {
    if (!this.past.length) return null;
    this.future.push(this.now);
    this.now = this.past.pop();
    return this.now;
  }

  redo() {
    if (!this.future.length) return null;
    this.past.push(this.now);
    this.now = this.future.pop();
    return this.now;
  }
}
