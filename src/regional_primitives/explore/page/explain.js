// A new explanation from the page: the dialog that begins it, its progress, and cancelling it.

import { ask } from "/page/server.js";

const WAIT_MILLISECONDS = 400;
const ENDS = { done: "is ready", cancelled: "was cancelled; nothing of it was kept", failed: "did not succeed" };
const COSTS = { fast: "fast: a fifth of the time", balanced: "balanced", best: "best: four times as long" };

export class Explain {
  // opened(name) when a finished run is to be shown; told(text) for screen readers.
  constructor(elements, { opened, failed, told }) {
    Object.assign(this, { ...elements, opened, failed, told });
    this.openButton.addEventListener("click", () => this.dialog.showModal());
    this.close.addEventListener("click", () => this.dialog.close());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.begin();
    });
    this.cancel.addEventListener("click", () => this.ask("/api/explanation/cancel", {}));
    this.hide.addEventListener("click", () => { this.job.hidden = true; });
    this.showIt.addEventListener("click", () => {
      this.job.hidden = true;
      this.opened(this.run.ready);
    });
    this.run = { ready: null };
    this.polling = false;
  }

  open(run) {
    this.name = run.name;
    const { can, why, layers, qualities, purposes } = run.explain;
    const options = (values, words, chosen) => values.map((value) => new Option(words[value] ?? value, value, false, value === chosen));
    this.layer.replaceChildren(...options(layers, {}, run.layer));
    this.quality.replaceChildren(...options(qualities, COSTS, "fast"));
    this.purpose.replaceChildren(...options(Object.keys(purposes), purposes, run.purpose));
    this.seed.value = (run.seed ?? -1) + 1;
    this.start.disabled = !can;
    if (!can) this.note.textContent = why;
  }

  async begin() {
    const seed = Number(this.seed.value);
    const wish = { run: this.name, seed, layer: this.layer.value, quality: this.quality.value, purpose: this.purpose.value };
    this.dialog.close();
    if (await this.ask("/api/explanation", wish)) this.follow();
  }

  async ask(path, body) {
    try {
      this.display(await ask(path, body));
      return true;
    } catch (error) {
      this.failed(error.message);
      return false;
    }
  }

  // Watch the one at work, also one that another page has begun.
  async follow(status) {
    if (status) this.display(status);
    if (this.polling) return;
    this.polling = true;
    try {
      for (;;) {
        const now = await ask("/api/explanation");
        this.display(now);
        if (now?.state !== "running") break;
        await new Promise((resolve) => setTimeout(resolve, WAIT_MILLISECONDS));
      }
    } catch (error) {
      this.failed(error.message);
    } finally {
      this.polling = false;
    }
  }

  display(status) {
    if (!status) return;
    const running = status.state === "running";
    this.job.hidden = false;
    this.job.dataset.state = status.state;
    const title = running ? `Explaining ${status.title}` : `${status.title} ${ENDS[status.state]}`;
    if (this.title.textContent !== title) {
      this.title.textContent = title;
      this.told(title);
    }
    this.bar.hidden = !running;
    this.bar.max = Math.max(status.total, 1);
    this.bar.value = status.done;
    this.noteLine.textContent = running
      ? `${status.stage} ${status.done.toLocaleString("en")} of ${status.total.toLocaleString("en")} ${status.note}, ${Math.round(status.seconds)} s`
      : status.error;
    this.cancel.hidden = !running;
    this.showIt.hidden = status.state !== "done";
    this.hide.hidden = running;
    this.run.ready = status.run;
  }
}
