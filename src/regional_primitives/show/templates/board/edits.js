// Edits of what was asked for: removed, amplified, or as in another picture; and what they do where.

import { ask, page } from "./server.js";
import { MOST_SCALE } from "./state.js";
import { $, escaped, make, patches, percent } from "./words.js";

const AMPLIFIED = 1.5;
const WAIT_MILLISECONDS = 250; // until nothing moves any more

export class Edits {
  constructor(board) {
    this.board = board;
    const edit = (made) => (event) => this.add(made(), event.timeStamp);
    $("edit-remove").addEventListener("click", edit(() => ({ scale: 0 })));
    $("edit-amplify").addEventListener("click", edit(() => ({ scale: AMPLIFIED })));
    $("edit-other").addEventListener("change", edit(() => ({ other: $("edit-other").value })));
    for (const kind of ["click", "change"]) $("edits").addEventListener(kind, (event) => this.act(event));
    window.addEventListener("explorer:picture", () => {
      clearTimeout(this.waiting);
      this.waiting = setTimeout(() => this.measure(), WAIT_MILLISECONDS);
    });
    board.watch = (state) => this.show(state);
  }

  open(run) {
    Object.assign(this, { run, measured: null });
    const first = run.others.length ? "As in another picture …" : "As in another picture: none of these regions is open";
    $("edit-other").replaceChildren(new Option(first, ""), ...run.others.map(({ name, title }) => new Option(title, name)));
  }

  // One edit of what is asked for, which shows in the whole picture then.
  add(made, time) {
    this.board.change((state) => {
      const edit = { patches: [...state.asked].sort((a, b) => a - b), ...made };
      const others = made.other ? state.edits.filter(({ other }) => !other || other === made.other) : state.edits;
      state.edits = [...others.filter((one) => String(one.patches) !== String(edit.patches)), edit];
      state.asked.clear();
      Object.assign(state, { first: null }).solo.clear();
    }, time);
    $("edits").lastElementChild.querySelector("button").focus({ preventScroll: true }); // that of before is disabled now
  }

  act({ type, target, timeStamp }) {
    const i = Number(target.closest("li")?.dataset.edit);
    if (type === "click" && target.tagName === "BUTTON") {
      this.board.change((state) => { state.edits = state.edits.filter((_, at) => at !== i); }, timeStamp);
      $("undo").focus({ preventScroll: true });
    } else if (type === "change" && target.value.trim() !== "" && Math.abs(target.value) <= MOST_SCALE) {
      this.board.change((state) => { state.edits = state.edits.with(i, { ...state.edits[i], scale: Number(target.value) }); }, timeStamp);
    } else if (type === "change") {
      this.board.failed(`A scale is a number from −${MOST_SCALE} to ${MOST_SCALE}.`);
    }
  }

  show(state) {
    const { run } = this;
    const none = !state.asked.size || Boolean(state.first) || Boolean(state.solo.size);
    for (const id of ["edit-remove", "edit-amplify"]) $(id).disabled = none;
    $("edit-other").disabled = none || !run.others.length;
    $("edit-other").value = "";
    $("edit-what").textContent = none ? "What you ask for can be edited:" : `Edit ${patches(run, [...state.asked].sort((a, b) => a - b))}:`;
    if (state.text() !== this.measured) {
      this.measured = null;
      $("effects-region").textContent = "Measuring …";
    }
    const now = JSON.stringify(state.edits);
    if (now === this.now && run === this.shown) return;
    Object.assign(this, { now, shown: run });
    $("edits").replaceChildren(...state.edits.map((edit, i) => {
      const name = escaped(patches(run, edit.patches));
      const how = edit.other ? `as in ${escaped(titleOf(run, edit.other))}`
        : `× <input type="number" step="0.1" min="${-MOST_SCALE}" max="${MOST_SCALE}" value="${edit.scale}" aria-label="Scale of ${name}">`;
      const chip = make("li", { innerHTML: `<b>${name}</b> ${how} <button type="button" aria-label="Take back the edit of ${name}">Take back</button>` });
      chip.dataset.edit = i;
      return chip;
    }));
    if (!state.edits.length) $("effects").hidden = true;
  }

  // What the edit does, beside what one would do without components.
  async measure() {
    const { board } = this;
    const { state, source } = board;
    const text = state.text();
    if (!state.edits.length || state.solo.size || text === this.measured) return;
    try {
      const found = await ask(`runs/${source.run.name}/effects`, { state: state.question(), page });
      if (text !== board.state.text() || source !== board.source) return;
      this.measured = text;
      const share = (value) => (value === null ? "–" : percent(value));
      $("effects-body").replaceChildren(...found.ways.map((way) => make("tr", { innerHTML: `
        <th scope="row"><span><img class="pixels" alt="" src="${way.picture}">${way.words}</span></th>
        ${[way.inside, way.outside, way.outside_share, way.seam, way.target_error].map((value) => `<td>${share(value)}</td>`).join("")}` })));
      $("effects-region").textContent = `Meant to change: ${patches(this.run, found.patches)}, ${percent(found.pixels)} of the picture; seam before: ${share(found.seam_before)}.`;
      $("effects").hidden = false;
    } catch (error) {
      if (!error.superseded) board.failed(error.message);
    }
  }
}

const titleOf = (run, name) => run.others.find((one) => one.name === name)?.title ?? "a picture that is not open";

// The edits of a state in words.
export function inWords(run, edits) {
  return edits.map(({ patches: field, scale, other }) => {
    const what = patches(run, field);
    if (other) return `${what} as in ${titleOf(run, other)}`;
    return scale ? `${what} × ${scale}` : `${what} removed`;
  }).join("; ");
}
