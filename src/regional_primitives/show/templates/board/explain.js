// A new explanation from the page: the dialog that begins it, its progress, and cancelling it.

import { ask } from "./server.js";
import { $ } from "./words.js";

const WAIT_MILLISECONDS = 400;
const ENDS = { done: "is ready", cancelled: "was cancelled; nothing of it was kept", failed: "did not succeed" };
const COSTS = { fast: "fast: a fifth of the time", balanced: "balanced", best: "best: four times as long" };

export class Explain {
  // opened(name) when a finished run is to be shown.
  constructor(board, opened) {
    this.board = board;
    const click = (id, act) => $(id).addEventListener("click", act);
    click("explain-open", () => $("explain").showModal());
    click("explain-close", () => $("explain").close());
    $("explain-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.begin();
    });
    click("job-cancel", () => this.ask("explanation/cancel", {}));
    click("job-hide", () => { $("job").hidden = true; });
    click("job-show", () => {
      $("job").hidden = true;
      opened(this.ready);
    });
  }

  open(run) {
    this.run = run;
    const { can, why, layers, qualities, purposes } = run.explain;
    const fill = (id, values, words, chosen) => $(id).replaceChildren(
      ...values.map((value) => new Option(words[value] ?? value, value, false, value === chosen)));
    fill("explain-layer", layers, {}, run.layer);
    for (const form of ["explain", "draw"]) {
      fill(`${form}-quality`, qualities, COSTS, "fast");
      fill(`${form}-purpose`, Object.keys(purposes), purposes, run.purpose);
    }
    $("explain-seed").value = (run.seed ?? -1) + 1;
    $("explain-start").disabled = !can;
    if (!can) $("explain-note").textContent = why;
  }

  begin() {
    $("explain").close();
    const wish = { seed: Number($("explain-seed").value) };
    for (const name of ["layer", "quality", "purpose"]) wish[name] = $(`explain-${name}`).value;
    this.start(wish).catch((error) => this.board.failed(error.message));
  }

  // Begin one; throws what the server has against it.
  async start(wish) {
    this.display(await ask("explanation", { run: this.run.name, ...wish }));
    this.follow();
  }

  // Show the answer to a question; none where it fails.
  async ask(path, body) {
    try {
      const status = await ask(path, body);
      this.display(status);
      return status;
    } catch (error) {
      this.board.failed(error.message);
      return null;
    }
  }

  // Watch the one at work, also one that another page has begun.
  async follow(status) {
    if (status) this.display(status);
    if (this.polling) return;
    this.polling = true;
    while ((await this.ask("explanation"))?.state === "running") {
      await new Promise((resolve) => setTimeout(resolve, WAIT_MILLISECONDS));
    }
    this.polling = false;
  }

  display(status) {
    if (!status) return;
    this.ready = status.run;
    const running = status.state === "running";
    $("job").hidden = false;
    $("job").dataset.state = status.state;
    const title = running ? `Explaining ${status.title}` : `${status.title} ${ENDS[status.state]}`;
    if ($("job-title").textContent !== title) this.board.say(title);
    $("job-title").textContent = title;
    Object.assign($("job-bar"), { hidden: !running, max: Math.max(status.total, 1), value: status.done });
    $("job-note").textContent = running
      ? `${status.stage} ${status.done.toLocaleString("en")} of ${status.total.toLocaleString("en")} ${status.note}, ${Math.round(status.seconds)} s`
      : status.error || (this.ready ? status.note : "");
    $("job-cancel").hidden = !running;
    $("job-show").hidden = status.state !== "done";
    $("job-hide").hidden = running;
  }
}
