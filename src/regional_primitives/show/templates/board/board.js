// The board: one state; everything shown follows from it, every action changes it. Where pictures
// come from is the source's business: a server that generates them, or patterns that the page holds.

import { BuildUp } from "./buildup.js";
import { Components } from "./components.js";
import { Grid } from "./grid.js";
import { History, State } from "./state.js";
import { $, make, patches, percent, plural } from "./words.js";

const VIEWS = {
  after: "The picture of what is on",
  before: "The picture before any change",
  beside: "The picture generated from what is on",
  difference: "Map of the difference",
};

// Of pictures, one is under way at a time and only the newest waits.
class Pictures {
  constructor(show, failed) {
    Object.assign(this, { show, failed, busy: false, next: null, waiting: [] });
  }

  // Wait until no picture is under way: what is less urgent comes after.
  async idle() {
    while (this.busy) await new Promise((resolve) => this.waiting.push(resolve));
  }

  async ask(question) {
    this.next = question;
    if (this.busy) return;
    this.busy = true;
    while (this.next) {
      const asked = this.next;
      this.next = null;
      try {
        const answer = await asked.source.picture(asked.state);
        if (!this.next) await this.show(answer, asked);
      } catch (error) {
        if (!this.next && !error.superseded) this.failed(error);
      }
    }
    this.busy = false;
    for (const resume of this.waiting.splice(0)) resume();
  }
}

export class Board {
  // remember(text) is told of every state that is settled on.
  constructor(remember = () => {}) {
    this.remember = remember;
    this.history = new History();
    this.pictures = new Pictures((answer, asked) => this.showAnswer(answer, asked), (error) => {
      this.components.settle();
      this.failed(error.message);
    });
    this.grid = new Grid(this);
    this.components = new Components(this);
    this.buildUp = new BuildUp(this);
    const click = (id, act) => $(id).addEventListener("click", act);
    click("undo", () => this.start(this.history.undo()));
    click("redo", () => this.start(this.history.redo()));
    click("reset", (event) => this.start("", event.timeStamp));
    click("nothing", (event) => this.start("first=visible:0", event.timeStamp));
    click("clear", (event) => {
      this.change((state) => state.asked.clear(), event.timeStamp);
      $("patches").querySelector("[tabindex='0']").focus();
    });
    click("save-picture", () => this.savePicture());
    $("view").addEventListener("change", () => this.showPicture());
    for (const kind of ["pointerdown", "pointerup", "pointercancel", "pointerleave", "keydown", "keyup", "blur"]) {
      $("hold").addEventListener(kind, ({ type, key }) => {
        if (!key || key === " " || key === "Enter") this.compare(type.endsWith("down"));
      });
    }
    $("hold").addEventListener("contextmenu", (event) => event.preventDefault());
    document.addEventListener("keydown", (event) => {
      const typing = event.target.matches("input[type='number']");
      if (typing || !(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z") return;
      event.preventDefault();
      this.start(event.shiftKey ? this.history.redo() : this.history.undo());
    });
  }

  // Show a source's run, in the state of a text.
  open(source, text) {
    const { run } = source;
    run.pixels = Array(run.count).fill(0);
    for (const patch of run.labels) if (patch >= 0) run.pixels[patch]++;
    Object.assign(this, { source, run, state: State.parse(text, run), answer: null, comparing: false });
    document.body.dataset.settled = "false"; // what is shown is the run before's, until update()
    this.history.begin(this.state.text());
    $("board").classList.toggle("shrunk", run.width > 512);
    for (const id of ["before", "baseline", "bar"]) $(id).src = run[id];
    $("ticks").replaceChildren(...[0, 3, 5].map((i) => {
      const [value, place] = run.ticks[i];
      const tick = make("span", { textContent: percent(value) });
      tick.style.left = `${100 * place}%`;
      return tick;
    }));
    this.grid.open(run);
    this.components.open(run, this.state);
    this.buildUp.open(run);
    this.update();
    this.settle();
  }

  // Ask for the picture of the state, and show what needs no answer while it is made.
  update(time = performance.now()) {
    const { source, state } = this;
    $("alert").hidden = true;
    document.body.dataset.settled = "false";
    this.pictures.ask({ source, state, text: state.text(), time });
    this.grid.show(state.asked);
    this.components.show(state);
    this.buildUp.show(state.first);
    $("clear").disabled = !state.asked.size;
    this.watch?.(state);
  }

  // One step of undo ends here; the link follows.
  settle() {
    const text = this.state.text();
    this.history.push(text);
    this.remember(text);
    $("undo").disabled = !this.history.at;
    $("redo").disabled = !this.history.undone;
    $("reset").disabled = !text;
  }

  change(alter, time, settled = true) {
    alter(this.state);
    this.update(time);
    if (settled) this.settle();
  }

  // Go to the state of a text; nowhere for null.
  start(text, time) {
    if (text === null) return;
    this.state = State.parse(text, this.run);
    this.change(() => {}, time);
  }

  // Ask for patches, or for the first of a ranking; what was set by hand stays.
  base({ asked = new Set(), first = null }, time) {
    this.change((state) => { Object.assign(state, { asked, first }).solo.clear(); }, time, false);
  }

  compare(on) {
    if (on === this.comparing) return;
    this.comparing = on;
    this.showPicture();
  }

  async showAnswer(answer, asked) {
    if (asked.source !== this.source) return;
    this.answer = answer;
    if (answer.beside) await this.showBeside(answer.beside);
    this.showPicture();
    await Promise.all(["shown", "difference"].map((id) => $(id).decode?.().catch(() => {})));
    const reading = ([name, label, text]) => make("div", {}, make("dt", { textContent: label }), make("dd", { id: `reading-${name}`, textContent: text }));
    $("readings").replaceChildren(...answer.readings.map(reading));
    $("sentence").textContent = this.sentence(answer);
    this.say($("sentence").textContent);
    await new Promise((resolve) => requestAnimationFrame(resolve));
    const milliseconds = performance.now() - asked.time;
    $("speed").textContent = `New picture after ${Math.max(1, Math.round(milliseconds))} ms`;
    Object.assign($("shown").dataset, { digest: answer.digest, milliseconds });
    if (asked.text === this.state.text()) {
      this.components.settle();
      document.body.dataset.settled = "true";
    }
    window.dispatchEvent(new CustomEvent("explorer:picture", { detail: { milliseconds, digest: answer.digest } }));
  }

  async showBeside({ source, image, caption, difference, known }) {
    $("beside").src = image;
    $("beside").alt = known ? VIEWS.beside : VIEWS.before;
    $("beside").dataset.source = source;
    $("beside").parentElement.classList.toggle("unknown", !known);
    $("beside-caption").textContent = caption;
    $("difference-caption").textContent = difference;
    await $("beside").decode().catch(() => {});
  }

  showPicture() {
    if (!this.answer) return;
    const view = this.comparing ? "before" : $("view").querySelector("input:checked").value;
    const { picture: after, difference } = this.answer;
    $("board").classList.toggle("sided", view === "pair");
    paint($("shown"), { difference, before: $("before"), beside: $("beside") }[view] ?? after, VIEWS[view] ?? VIEWS.after);
    paint($("difference"), difference, VIEWS.difference);
  }

  sentence({ on, cost }) {
    const { state } = this;
    const awake = plural(on, "component");
    const extra = state.scales.size + state.muted.size;
    const done = this.source.edited?.(state.edits);
    const edits = (done ? `; ${done}` : "") + (extra ? `, with ${plural(extra, "component")} set by hand` : "");
    if (state.solo.size) return `Solo: ${awake} on, all others off.`;
    if (state.first) return `The first ${plural(state.first.count, "component")}, ${state.first.order === "visible" ? "most visible" : "strongest"} first${edits}.`;
    if (state.asked.size) {
      const spent = cost === undefined ? "" : ` at ${percent(cost)} of the feature's cost`;
      return `Asked for ${patches(this.run, [...state.asked].sort((a, b) => a - b))}: ${awake} ${on === 1 ? "wakes" : "wake"}${spent}${edits}.`;
    }
    if (edits) return `The whole picture${edits}.`;
    return "The whole picture, every component on. Click or brush the picture to ask for a part of it only, or switch components off in the list.";
  }

  say(text) {
    clearTimeout(this.saying);
    this.saying = setTimeout(() => { $("live").textContent = text; }, 350); // not each step of a brush
  }

  failed(text) {
    $("alert").textContent = text;
    $("alert").hidden = false;
  }

  savePicture() {
    const { picture } = this.answer;
    paint($("shown"), picture, VIEWS.after);
    this.save("png", $("shown").src ?? $("shown").toDataURL());
    this.showPicture();
  }

  save(ending, href) {
    make("a", { href, download: `${this.run.title.replace(/[^A-Za-z0-9.]+/g, "-")}-edited.${ending}` }).click();
  }
}

// What a component is called.
export function nameOf(run, k) {
  const field = patches(run, run.fields[k]);
  const [title, about] = run.names ? [field, `component ${k}`] : [`Component ${k}`, field];
  return { title, about: (k === run.remainder ? "remainder, " : "") + about };
}

// The place of each component in a ranking by these values, the largest first.
export function ranks(values) {
  const rank = [];
  values.map((_, k) => k).sort((a, b) => values[b] - values[a] || a - b).forEach((k, place) => { rank[k] = place; });
  return rank;
}

// Put an image into an <img> by its address, or into a <canvas> by its pixels.
function paint(target, image, words) {
  target.ariaLabel = words;
  if (target.tagName === "IMG") target.src = image.src ?? image;
  else if (image instanceof ImageData) target.getContext("2d").putImageData(image, 0, 0);
  else target.getContext("2d").drawImage(image, 0, 0);
}
