// The explorer: a board whose source is the server; runs, links and edits that are saved.

import { Board } from "./board.js";
import { Draw } from "./draw.js";
import { Edits } from "./edits.js";
import { Explain } from "./explain.js";
import { ask, Server } from "./server.js";
import { $ } from "./words.js";

const board = new Board((text) => {
  window.history.replaceState(null, "", `#run=${board.run.name}${text && `&${text}`}`);
});
const told = (error) => board.failed(error.message);
const explain = new Explain(board, (name) => open(name, "").catch(told));
const draw = new Draw(explain);
const edits = new Edits(board);

async function open(name, text) {
  const source = await Server.open(name);
  const { run } = source;
  document.title = `${run.title}: explorer`;
  $("title").textContent = run.title;
  $("question").textContent = `This run answers: ${run.question}`
    + (run.purpose === "generate" ? " For edits that leave the rest as it is, explain the picture again with the other question." : "");
  $("about").textContent = `${run.total.toLocaleString("en")} components, ${run.patches}, ${run.method} form. ${run.place} ${run.channel_note}`;
  edits.open(run);
  board.open(source, text);
  explain.open(run);
  draw.open(run);
  const { runs, explanation } = await ask("runs");
  $("run").replaceChildren(...runs.map((one) => new Option(one.title, one.name, false, one.name === name)));
  $("run-choice").hidden = runs.length < 2;
  if (explanation?.state === "running") explain.follow(explanation);
}

async function openLink() {
  const fields = window.location.hash.slice(1);
  const named = new URLSearchParams(fields).get("run");
  const { first, runs } = await ask("runs");
  const known = runs.some(({ name }) => name === named);
  await open(known ? named : first, known || !named ? fields : "");
  if (named && !known) board.failed("The link belongs to a run that is not open here; this is the one that is.");
}

async function copyLink() {
  try {
    await navigator.clipboard.writeText(window.location.href);
    board.say("The link is copied.");
    $("speed").textContent = "The link is copied; it opens this state while the explorer runs on this port.";
  } catch {
    board.failed("The browser lets no page copy here; the link is in the address bar.");
  }
}

async function saveEdit() {
  const edit = await ask(`runs/${board.run.name}/edit`, board.state.question());
  board.save("json", `data:application/json;charset=utf-8,${encodeURIComponent(`${JSON.stringify(edit, null, 2)}\n`)}`);
}

$("link").addEventListener("click", copyLink);
$("save-edit").addEventListener("click", () => saveEdit().catch(told));
$("run").addEventListener("change", () => open($("run").value, "").catch(told));
window.addEventListener("hashchange", () => openLink().catch(told));
openLink().catch(told);
