// The page: one state; everything shown follows from it, every action changes it.

import { BuildUp } from "/page/buildup.js";
import { Components } from "/page/components.js";
import { Explain } from "/page/explain.js";
import { Grid } from "/page/grid.js";
import { ask, Pictures } from "/page/server.js";
import { History, State } from "/page/state.js";
import { percent, plural } from "/page/words.js";

const $ = (id) => document.getElementById(id);
const history = new History();
let run = null;
let state = new State();
let answer = null;
let comparing = false;

const pictures = new Pictures(showAnswer, (error) => {
  components.settle();
  failed(error.message);
});

const grid = new Grid($("patches"), $("overlay"), {
  changed: (asked, time) => {
    state.asked = new Set(asked);
    state.first = null;
    state.solo.clear();
    update(time);
  },
  settled: settle,
  compare: (on) => { comparing = on; showPicture(); },
});

const components = new Components(
  { list: $("list"), sort: $("sort"), size: $("size"), which: $("which"), more: $("more"), count: $("parts-count") },
  {
    act: (kind, k, value, time) => {
      if (kind === "settled") return settle();
      if (kind === "toggle") state.toggle(k, run);
      if (kind === "mute" && !state.muted.delete(k)) state.muted.add(k);
      if (kind === "solo") state.toggleSolo(k);
      if (kind === "slide" || kind === "scale") state.setScale(k, value);
      update(time);
      if (kind !== "slide") settle();
    },
    light: (field) => grid.light(field),
    idle: () => pictures.idle(),
    failed,
  },
);

const buildUp = new BuildUp(
  { play: $("play"), slider: $("build-count"), output: $("build-output"), order: $("build-order"), strip: $("strip") },
  {
    show: (first, time) => {
      // The whole picture at the end of the build-up is the picture, not a step of it.
      state.first = first;
      state.solo.clear();
      state.asked.clear();
      update(time);
    },
    settled: settle,
    failed,
  },
);

const explain = new Explain(
  {
    dialog: $("explain"), form: $("explain-form"), openButton: $("explain-open"), close: $("explain-close"),
    start: $("explain-start"), seed: $("explain-seed"), layer: $("explain-layer"), quality: $("explain-quality"), purpose: $("explain-purpose"),
    note: $("explain-note"), job: $("job"), title: $("job-title"), bar: $("job-bar"), noteLine: $("job-note"),
    cancel: $("job-cancel"), showIt: $("job-show"), hide: $("job-hide"),
  },
  { opened: (name) => open(name, ""), failed, told: (text) => say(text) },
);

// Ask for the picture of the state, and show what needs no answer while it is made.
function update(time = performance.now()) {
  $("alert").hidden = true;
  document.body.dataset.settled = "false";
  pictures.ask({ run: run.name, state: state.question(), text: state.text(), time });
  grid.show(state.asked);
  components.show(state);
  buildUp.show(state.first);
  $("clear").disabled = !state.asked.size;
}

// One step of undo ends here; the link follows.
function settle() {
  history.push(state.text());
  remember();
}

function remember() {
  const text = state.text();
  window.history.replaceState(null, "", `#run=${run.name}${text && `&${text}`}`);
  $("undo").disabled = !history.past.length;
  $("redo").disabled = !history.future.length;
  $("reset").disabled = state.untouched;
}

function restore(text) {
  if (text === null) return;
  state = State.parse(text, run);
  update();
  remember();
}

async function showAnswer(found, asked) {
  if (asked.run !== run.name) return;
  answer = found;
  showPicture();
  await Promise.all(["shown", "difference"].map((id) => $(id).decode().catch(() => {})));
  readings(found);
  await new Promise((resolve) => requestAnimationFrame(resolve));
  const milliseconds = performance.now() - asked.time;
  $("speed").textContent = `New picture after ${Math.max(1, Math.round(milliseconds))} ms`;
  $("shown").dataset.digest = found.digest;
  $("shown").dataset.milliseconds = milliseconds;
  if (asked.text === state.text()) {
    components.settle();
    document.body.dataset.settled = "true";
  }
  window.dispatchEvent(new CustomEvent("explorer:picture", { detail: { milliseconds, digest: found.digest } }));
}

function showPicture() {
  if (!answer) return;
  const view = comparing ? "before" : document.querySelector("#view input:checked").value;
  const sources = { after: answer.picture, before: run.before, difference: answer.difference };
  const names = { after: "The picture as the network generates it now", before: "The picture before any change", difference: "Map of the difference between after and before" };
  $("shown").src = sources[view];
  $("shown").alt = names[view];
  $("difference").src = answer.difference;
}

function readings(found) {
  const total = run.strengths.length;
  $("reading-on").textContent = `${found.on.toLocaleString("en")} of ${total.toLocaleString("en")}`;
  $("reading-cost").textContent = percent(found.cost);
  $("reading-inside").textContent = percent(found.inside);
  $("reading-leak").textContent = percent(found.leak);
  $("reading-distance").textContent = percent(found.distance);
  const text = sentence(found);
  $("sentence").textContent = text;
  say(text);
}

function sentence(found) {
  const awake = plural(found.on, "component", "components");
  const wakes = `${awake} ${found.on === 1 ? "wakes" : "wake"}`;
  const extra = state.scales.size + state.muted.size;
  const edits = extra ? `, with ${plural(extra, "component", "components")} set by hand` : "";
  if (state.solo.size) return `Solo: ${awake} on, all others off.`;
  if (state.first) return `The first ${plural(state.first.count, "component", "components")}, ${state.first.order === "visible" ? "most visible" : "strongest"} first${edits}.`;
  if (state.asked.size) return `Asked for ${plural(state.asked.size, "patch", "patches")}: ${wakes} at ${percent(found.cost)} of the feature's cost${edits}.`;
  if (extra) return `The whole picture${edits}.`;
  return "The whole picture, every component on. Click or brush patches to ask for these only, or switch components off in the list.";
}

let saying = 0;
function say(text) {
  clearTimeout(saying);
  saying = setTimeout(() => { $("live").textContent = text; }, 350); // not each step of a brush
}

function failed(text) {
  $("alert").textContent = text;
  $("alert").hidden = false;
}

function ranks(order) {
  const rank = new Array(order.length);
  order.forEach((k, i) => { rank[k] = i; });
  return rank;
}

async function open(name, text) {
  const found = await ask(`/api/runs/${name}`);
  const all = found.strengths.map((_, k) => k);
  found.rank = { strength: all, visible: ranks([...all].sort((a, b) => found.visible[b] - found.visible[a] || a - b)) };
  run = found;
  answer = null;
  document.body.dataset.settled = "false"; // what is shown is the run before's, until update()
  state = State.parse(text, run);
  history.begin(state.text());
  document.title = `${run.title}: explorer`;
  $("title").textContent = run.title;
  $("question").textContent = `This run answers: ${run.question}`
    + (run.purpose === "generate" ? " For edits that leave the rest as it is, explain the picture again with the other question." : "");
  const frame = $("frame");
  const widest = run.width <= 512 ? Math.floor(512 / run.width) * run.width : 512;
  frame.style.maxWidth = `${widest}px`;
  frame.style.aspectRatio = `${run.width} / ${run.height}`;
  frame.classList.toggle("shrunk", run.width > 512);
  $("before").src = run.before;
  $("baseline").src = run.baseline;
  $("bar").src = run.bar;
  $("ticks").replaceChildren(...run.ticks.filter((_, i) => i === 0 || i === 3 || i === 5).map(([value, place]) => {
    const tick = document.createElement("span");
    tick.textContent = percent(value);
    tick.style.left = `${100 * place}%`;
    return tick;
  }));
  const where = run.folder ? ` Run folder: ${run.folder}.` : "";
  $("about").textContent = `${run.strengths.length.toLocaleString("en")} components, ${run.patches}, ${run.method} form.${where} ${run.channels}`;
  grid.open(run);
  components.open(run, state);
  buildUp.open(run);
  explain.open(run);
  await listRuns();
  update();
  remember();
}

async function listRuns() {
  const { runs, explanation } = await ask("/api/runs");
  $("run").replaceChildren(...runs.map(({ name, title }) => new Option(title, name, false, name === run.name)));
  $("run-choice").hidden = runs.length < 2;
  if (explanation?.state === "running") explain.follow(explanation);
}

async function openLink() {
  const fields = window.location.hash.slice(1);
  const named = new URLSearchParams(fields).get("run");
  const { first, runs } = await ask("/api/runs");
  const known = runs.some(({ name }) => name === named);
  await open(known ? named : first, known || !named ? fields : "");
  if (named && !known) failed("The link belongs to a run that is not open here; this is the one that is.");
}

function download(name, href) {
  const link = document.createElement("a");
  link.href = href;
  link.download = name;
  link.click();
}

function filename(ending) {
  return `${run.title.replace(/[^A-Za-z0-9.]+/g, "-")}-edited.${ending}`;
}

$("undo").addEventListener("click", () => restore(history.undo()));
$("redo").addEventListener("click", () => restore(history.redo()));
$("reset").addEventListener("click", () => { state = new State(); update(); settle(); });
$("clear").addEventListener("click", (event) => { state.asked.clear(); update(event.timeStamp); settle(); $("patches").querySelector("[tabindex='0']").focus(); });
$("view").addEventListener("change", showPicture);
$("link").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(window.location.href);
    say("The link is copied.");
    $("speed").textContent = "The link is copied; it opens this state while the explorer runs on this port.";
  } catch {
    failed("The browser lets no page copy here; the link is in the address bar.");
  }
});
$("save-picture").addEventListener("click", () => { if (answer) download(filename("png"), answer.picture); });
$("save-edit").addEventListener("click", async () => {
  try {
    const edit = await ask(`/api/runs/${run.name}/edit`, state.question());
    const text = `${JSON.stringify(edit, null, 2)}\n`;
    download(filename("json"), `data:application/json;charset=utf-8,${encodeURIComponent(text)}`);
  } catch (error) {
    failed(error.message);
  }
});
$("run").addEventListener("change", () => open($("run").value, "").catch((error) => failed(error.message)));
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input[type='number']");
  if (typing || !(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z") return;
  event.preventDefault();
  restore(event.shiftKey ? history.redo() : history.undo());
});
window.addEventListener("hashchange", () => openLink().catch((error) => failed(error.message)));

openLink().catch((error) => failed(error.message));
