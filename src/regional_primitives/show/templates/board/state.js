// What the page is set to: kept as text, which is the link, the step of undo, and nothing else.

export const MOST_SCALE = 10;

const numbers = (text) => (text ?? "").split(".").filter(Boolean).map(Number);
const listed = (set) => [...set].sort((a, b) => a - b).join(".");
const clamped = (scale) => Math.min(MOST_SCALE, Math.max(-MOST_SCALE, Math.round(scale * 1000) / 1000));
const edited = ([text, patches, sign, how]) => ({ patches: numbers(patches), ...(sign === "@" ? { other: how } : { scale: clamped(Number(how)) }) });
const flip = (set, one) => set.delete(one) || set.add(one);

export class State {
  static parse(text, run) {
    const fields = new URLSearchParams(text);
    const below = (most) => (n) => Number.isInteger(n) && n >= 0 && n < most;
    const known = below(run.fields.length);
    const scales = (fields.get("scale") ?? "").split(",").filter(Boolean).map((pair) => pair.split(":").map(Number));
    const [order, count] = (fields.get("first") ?? "").split(":");
    return Object.assign(new State(), {
      asked: new Set(numbers(fields.get("ask")).filter(below(run.count))), // patches
      scales: new Map(scales.filter(([k, scale]) => known(k) && Number.isFinite(scale)).map(([k, scale]) => [k, clamped(scale)])),
      muted: new Set(numbers(fields.get("mute")).filter(known)),
      solo: new Set(numbers(fields.get("solo")).filter(known)),
      edits: [...(fields.get("edit") ?? "").matchAll(/([\d.]+)(?:(@)([0-9a-f]{12})|(?:\*)(-?[\d.]+))(?:,|$)/g)]
        .map(([all, patches, sign, name, scale]) => edited([all, patches, sign, name ?? scale]))
        .filter(({ patches, scale = 0 }) => patches.length && patches.every(below(run.count)) && Number.isFinite(scale)),
      first: Object.hasOwn(run.rank, order) && below(run.total + 1)(Number(count)) ? { order, count: Number(count) } : null,
    });
  }

  text() {
    const scales = [...this.scales].sort((a, b) => a[0] - b[0]);
    return [
      this.asked.size && `ask=${listed(this.asked)}`,
      scales.length && `scale=${scales.map((pair) => pair.join(":")).join(",")}`,
      this.muted.size && `mute=${listed(this.muted)}`,
      this.solo.size && `solo=${listed(this.solo)}`,
      this.edits.length && `edit=${this.edits.map(({ patches, scale, other }) => patches.join(".") + (other ? `@${other}` : `*${scale}`)).join(",")}`,
      this.first && `first=${this.first.order}:${this.first.count}`,
    ].filter(Boolean).join("&");
  }

  // Whether component k is on where nobody has set it.
  based(k, run) {
    if (this.solo.size) return false;
    if (this.first) return run.rank[this.first.order][k] < this.first.count;
    if (this.asked.size) return run.fields[k].some((patch) => this.asked.has(patch));
    return true;
  }

  scale(k, run) {
    if (this.muted.has(k) || (this.solo.size && !this.solo.has(k))) return 0;
    return this.scales.get(k) ?? (this.solo.size ? 1 : this.based(k, run) ? this.share(k, run) : 0);
  }

  // What edits of regions leave of k: as much of it is scaled as its field lies in the region.
  share(k, run) {
    const pixels = (field) => field.reduce((sum, patch) => sum + run.pixels[patch], 0);
    const left = this.edits.reduce((sum, { patches, scale = 0 }) => sum + ((scale - 1) * pixels(run.fields[k].filter((patch) => patches.includes(patch)))) / (pixels(run.fields[k]) || 1), 1);
    return Math.round(left * 1000) / 1000;
  }

  // What the slider shows: the scale that k has, or would have when it is switched on.
  wanted(k, run) {
    return this.scales.get(k) ?? (this.edits.length && !this.solo.size ? this.share(k, run) : 1);
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
    if (this.solo.size) this.solo.add(k);
    else if (this.scale(k, run) === 0) this.scales.set(k, 1);
  }

  mute(k) {
    flip(this.muted, k);
  }

  playSolo(k) {
    if (flip(this.solo, k) !== true) this.muted.delete(k);
  }

  changed(k) {
    return this.scales.has(k) || this.muted.has(k) || this.solo.has(k);
  }

  // As the server is asked for its picture: which are on, and those that are set in spite of it.
  question() {
    const scales = Object.fromEntries([...this.scales, ...[...this.muted].map((k) => [k, 0])]);
    if (this.solo.size) {
      return { base: { kind: "none" }, scales: Object.fromEntries([...this.solo].map((k) => [k, scales[k] ?? 1])) };
    }
    const regions = this.edits;
    if (this.first) return { base: { kind: "first", ...this.first }, scales, regions };
    if (this.asked.size) return { base: { kind: "demand", patches: [...this.asked].sort((a, b) => a - b) }, scales, regions };
    return { base: { kind: "all" }, scales, regions };
  }
}

// The texts of all states that were settled on, and which of them holds.
export class History {
  begin(text) {
    this.texts = [text];
    this.at = 0;
  }

  get undone() {
    return this.at < this.texts.length - 1;
  }

  push(text) {
    if (text === this.texts[this.at]) return;
    this.texts = [...this.texts.slice(0, this.at + 1), text].slice(-501);
    this.at = this.texts.length - 1;
  }

  undo() {
    return this.at > 0 ? this.texts[--this.at] : null;
  }

  redo() {
    return this.undone ? this.texts[++this.at] : null;
  }
}
