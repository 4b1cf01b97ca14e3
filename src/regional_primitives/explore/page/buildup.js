// The picture built up component by component: a strip to choose from, a slider, and a player.

import { ask } from "/page/server.js";
import { percent } from "/page/words.js";

const FRAME_MILLISECONDS = 110;

export class BuildUp {
  // show({order, count}, time) while it moves, settled() when it stops.
  constructor(elements, { show, settled, failed }) {
    Object.assign(this, { ...elements, showFirst: show, settled, failed });
    this.timer = null;
    this.play.addEventListener("click", () => (this.timer ? this.stop() : this.start()));
    this.slider.addEventListener("input", (event) => { this.halt(); this.move(Number(this.slider.value), event.timeStamp); });
    this.slider.addEventListener("change", () => this.settled());
    this.order.addEventListener("change", (event) => {
      this.stop();
      this.load();
      if (this.at !== null) {
        this.move(this.at, event.timeStamp);
        this.settled();
      }
    });
  }

  open(run) {
    this.halt();
    this.run = run;
    this.at = null;
    this.slider.max = run.strengths.length;
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
    const total = this.run.strengths.length;
    this.slider.value = first ? first.count : total;
    const told = first ? `${first.count.toLocaleString("en")} of ${total.toLocaleString("en")}` : "not playing";
    this.output.textContent = told;
    this.slider.setAttribute("aria-valuetext", first ? `${told} components` : `all ${total} components`);
    this.mark();
  }

  mark() {
    for (const step of this.strip.querySelectorAll("button")) {
      if (Number(step.dataset.count) === this.at) step.setAttribute("aria-current", "true");
      else step.removeAttribute("aria-current");
    }
  }

  async load() {
    const { run } = this;
    const order = this.order.value;
    try {
      const steps = await ask(`/api/runs/${run.name}/build-up?order=${order}`);
      if (run !== this.run || order !== this.order.value) return;
      this.strip.replaceChildren(...steps.map((step) => this.step(step)));
      this.mark();
    } catch (error) {
      this.failed(error.message);
    }
  }

  step({ count, image, error }) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.count = count;
    const picture = document.createElement("img");
    picture.src = image;
    picture.alt = `Picture of the first ${count} components,`;
    const number = document.createElement("span");
    number.textContent = count.toLocaleString("en");
    const small = document.createElement("small");
    small.textContent = percent(error);
    small.title = "distance from the picture: 0 % is exact, 100 % the baseline";
    button.append(picture, number, small);
    button.addEventListener("click", (event) => {
      this.halt();
      this.move(count, event.timeStamp);
      this.settled();
    });
    item.append(button);
    return item;
  }

  move(count, time) {
    this.at = count;
    this.showFirst({ order: this.order.value, count }, time);
  }

  start() {
    const total = this.run.strengths.length;
    let count = this.at === null || this.at >= total ? -1 : this.at;
    this.play.setAttribute("aria-pressed", "true");
    this.play.textContent = "Pause";
    const frame = () => {
      // One by one as long as single components show, then faster.
      count = Math.min(total, count + Math.max(1, Math.round(count * 0.05)));
      this.move(count, performance.now());
      if (count >= total) this.stop();
    };
    this.timer = setInterval(frame, FRAME_MILLISECONDS);
    frame();
  }

  halt() {
    clearInterval(this.timer);
    this.timer = null;
    this.play.setAttribute("aria-pressed", "false");
    this.play.textContent = "Play";
  }

  stop() {
    const playing = this.timer !== null;
    this.halt();
    if (playing) this.settled();
  }
}
