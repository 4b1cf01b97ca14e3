// The picture built up component by component: a strip to choose from, a slider, and a player.

import { $, make, percent } from "./words.js";

export class BuildUp {
  constructor(board) {
    Object.assign(this, { board, slider: $("build-count"), order: $("build-order"), play: $("play"), timer: null });
    this.play.addEventListener("click", () => (this.timer ? this.stop() : this.start()));
    this.slider.addEventListener("input", (event) => {
      this.halt();
      this.move(this.counts[this.slider.value], event.timeStamp);
    });
    this.slider.addEventListener("change", () => board.settle());
    this.order.addEventListener("change", (event) => {
      this.stop();
      this.load();
      if (this.at === null) return;
      this.move(this.at, event.timeStamp);
      board.settle();
    });
  }

  open(run) {
    this.halt();
    Object.assign(this, { run, at: null, counts: run.counts ?? [...Array(run.total + 1).keys()] });
    this.slider.max = this.counts.length - 1;
    this.load();
  }

  // Follow the state: null where the picture is not part of a build-up.
  show(first) {
    this.at = first ? first.count : null;
    if (!first) this.halt();
    if (first && this.order.value !== first.order) {
      this.order.value = first.order;
      this.load();
    }
    this.slider.value = this.place();
    const total = this.run.total.toLocaleString("en");
    const told = first ? `${first.count.toLocaleString("en")} of ${total}` : "not playing";
    $("build-output").textContent = told;
    this.slider.ariaValueText = first ? `${told} components` : `all ${total} components`;
    this.mark();
  }

  // Which of the counts is shown, or the last one below it.
  place() {
    return this.counts.findLastIndex((count) => count <= (this.at ?? Infinity));
  }

  mark() {
    for (const step of $("strip").querySelectorAll("button")) {
      step.ariaCurrent = Number(step.dataset.count) === this.at ? "true" : null;
    }
  }

  async load() {
    const { run, order: { value } } = this;
    try {
      const steps = await this.board.source.steps(value);
      if (run !== this.run || value !== this.order.value) return;
      $("strip").replaceChildren(...steps.map((step) => this.step(step)));
      this.mark();
    } catch (error) {
      this.board.failed(error.message);
    }
  }

  step({ count, image, error }) {
    const item = make("li", { innerHTML: `
      <button type="button" data-count="${count}"><img src="${image}" alt="Picture of the first ${count} components,">
      <span>${count.toLocaleString("en")}</span><small title="distance from the picture: 0 % is exact, 100 % the baseline"></small></button>` });
    item.querySelector("small").textContent = percent(error);
    item.firstElementChild.addEventListener("click", ({ timeStamp }) => {
      this.halt();
      this.move(count, timeStamp);
      this.board.settle();
    });
    return item;
  }

  move(count, time) {
    this.at = count;
    this.board.base({ first: { order: this.order.value, count } }, time);
  }

  start() {
    const last = this.counts.length - 1;
    let place = this.at === null || this.place() >= last ? -1 : this.place();
    Object.assign(this.play, { ariaPressed: true, textContent: "Pause" });
    const frame = () => {
      // One by one as long as single components show, then faster.
      place = Math.min(last, place + Math.max(1, Math.round(place * 0.05)));
      this.move(this.counts[place], performance.now());
      if (place >= last) this.stop();
    };
    this.timer = setInterval(frame, this.run.milliseconds);
    frame();
  }

  halt() {
    clearInterval(this.timer);
    this.timer = null;
    Object.assign(this.play, { ariaPressed: false, textContent: "Play" });
  }

  stop() {
    if (this.timer === null) return;
    this.halt();
    this.board.settle();
  }
}
