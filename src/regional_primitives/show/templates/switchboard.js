// The switchboard and the player of the build-up. Both stay hidden where a browser cannot run them.

// A share of 1 with two digits, more between 90 % and 100 %: as numerals.py writes it.
function percent(share) {
  const value = 100 * (share ?? NaN);
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return "not finite";
  if (size > 0 && size < 0.001) return "<\u00a00.001\u00a0%";
  let digits = 0;
  if (size > 0 && size < 0.995) digits = 1 - Math.floor(Math.log10(size));
  else if (size > 0 && (size < 9.95 || (size >= 90 && size < 99.95))) digits = 1;
  const text = digits ? value.toFixed(digits) : Math.round(value).toLocaleString("en");
  return `${text}\u00a0%`;
}

const byId = (id) => document.getElementById(id);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

function draw(canvas, bytes, sums) {
  const { width, height } = sums.data;
  canvas.getContext("2d").putImageData(new ImageData(bytes, width, height), 0, 0);
}

function showImage(figure, source, label) {
  figure.querySelector("use").setAttribute("href", `#image-${source}`);
  figure.querySelector("svg").setAttribute("aria-label", label);
}

function trace(selector, path) {
  for (const line of all(selector)) line.setAttribute("d", path);
}

function switchboard(sums) {
  const { data } = sums;
  const board = byId("switchboard");
  const tiles = all(".tile", board);
  const rest = byId("switch-rest");
  const patches = all(".patch", board);
  const asked = all("[data-demand]", board);
  const state = { on: new Set(), rest: false, demand: new Set() };
  const name = (on, more) => `${[...on].sort((a, b) => a - b).join()}${more ? "+" : ""}`;
  const held = new Map();
  for (const step of data.steps) if (step.on) held.set(name(step.on, false), step.frame);
  for (const one of data.held) held.set(name(one.on, one.rest), one.frame);
  const demands = new Map(data.demands.map((one) => [name(one.patches, false), one]));

  function generated() {
    const demand = demands.get(name(state.demand, false));
    if (demand) return demand.frame;
    // A demand also wakes components whose patterns are not here.
    return state.demand.size ? undefined : held.get(name(state.on, state.rest));
  }

  function tell(id, value) {
    byId(id).textContent = value ?? "";
    byId(id).parentElement.hidden = value === undefined;
  }

  function show() {
    const sum = sums.sum(state.on, state.rest);
    const frame = generated();
    const known = frame !== undefined;
    const beside = known ? sums.frame(frame) : sums.picture;
    draw(byId("sum").querySelector("canvas"), sums.colours(sum), sums);
    draw(byId("gap").querySelector("canvas"), sums.difference(sum, beside), sums);
    showImage(byId("beside"), known ? data.frames[frame].source : "x", known
      ? "The picture generated from these components" : "The picture x");
    byId("beside").classList.toggle("unknown", !known);
    byId("beside-caption").textContent = known
      ? "Generated" + (state.demand.size ? " for these patches, G(u(S))" : " from what is on")
      : "The picture x; none was generated for just this";
    byId("gap-caption").textContent = known ? "|sum − generated|" : "|sum − x|";

    tiles.forEach((tile, i) => tile.setAttribute("aria-pressed", state.on.has(i)));
    rest.setAttribute("aria-pressed", state.rest);
    patches.forEach((patch, i) => patch.setAttribute("aria-pressed", state.demand.has(i)));
    const now = name(state.demand, false);
    for (const button of asked) {
      const { patches: these } = data.demands[Number(button.dataset.demand)];
      button.setAttribute("aria-pressed", state.demand.size > 0 && name(these, false) === now);
    }
    trace(".demanded", sums.outline(state.demand));

    const here = `${state.on.size} of ${tiles.length} patterns`;
    const parts = state.rest ? `${here}, and all else` : here;
    tell("told-on", parts);
    const gap = sums.error(sum, beside);
    const beyond = gap > 2 * sums.rounding(state.on.size + 2);
    tell("told-gap", known ? (beyond ? percent(gap) : "0\u00a0% but for rounding") : undefined);
    byId("told").textContent = `On: ${parts}. ` + (state.demand.size
      ? tellAnswer(sum) : tellError(sum, known ? data.frames[frame].error : undefined));
  }

  // How far from the picture.
  function tellError(sum, generated) {
    const error = percent(sums.error(sum, sums.picture));
    tell("told-sum", error);
    tell("told-generated", generated === undefined ? undefined : percent(generated));
    for (const id of ["told-woken", "told-inside", "told-leak"]) tell(id, undefined);
    return `Error of the sum ${error}.`;
  }

  // How well the demand is answered: what was not asked for should be far from the picture.
  function tellAnswer(sum) {
    const wakes = (field) => field.some((patch) => state.demand.has(patch));
    const missing = data.elsewhere.filter(wakes).length;
    const own = sums.answer(sum, state.demand);
    const theirs = demands.get(name(state.demand, false));
    const both = (which) =>
      percent(own[which]) + (theirs ? `; generated ${percent(theirs[which])}` : "");
    tell("told-woken", missing
      ? `${state.on.size + missing}; the patterns of ${missing} are not here, the sum lacks them`
      : `${state.on.size}, all of them here`);
    tell("told-inside", both("inside"));
    tell("told-leak", state.demand.size === data.patches
      ? "none, nothing is outside" : both("leak"));
    for (const id of ["told-sum", "told-generated"]) tell(id, undefined);
    return `Patches asked for: ${state.demand.size}. Inside error of the sum ${percent(own.inside)}.`;
  }

  // By hand: what is on is no longer the answer to a demand.
  function byHand(change) {
    state.demand.clear();
    change();
    show();
  }

  function ask(chosen) {
    state.demand = new Set(chosen);
    state.on = new Set(data.fields.flatMap((field, i) =>
      field.some((patch) => state.demand.has(patch)) ? [i] : []));
    state.rest = false;
    show();
  }

  const flip = (set, one) => (set.has(one) ? set.delete(one) : set.add(one));
  const starts = {
    none: () => { state.on.clear(); state.rest = false; },
    patterns: () => { state.on = new Set(tiles.keys()); state.rest = false; },
    everything: () => { state.on = new Set(tiles.keys()); state.rest = true; },
  };
  for (const button of all("[data-start]", board)) {
    button.addEventListener("click", () => byHand(starts[button.dataset.start]));
  }
  for (const button of asked) {
    button.addEventListener("click", () => {
      const pressed = button.getAttribute("aria-pressed") === "true";
      ask(pressed ? [] : data.demands[Number(button.dataset.demand)].patches);
    });
  }
  rest.addEventListener("click", () => byHand(() => { state.rest = !state.rest; }));
  tiles.forEach((tile, i) => {
    tile.addEventListener("click", () => byHand(() => flip(state.on, i)));
    const light = () => trace(".lit", tile.querySelector(".line").getAttribute("d") ?? "");
    const dark = () => trace(".lit", "");
    for (const type of ["pointerenter", "focus"]) tile.addEventListener(type, light);
    for (const type of ["pointerleave", "blur"]) tile.addEventListener(type, dark);
  });

  // Patches are one stop of the tab key; arrows walk from patch to patch.
  function walk(from, key) {
    const columns = data.columns || 1;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key];
    const to = key === "Home" ? 0 : key === "End" ? patches.length - 1 : from + step;
    if (!(to >= 0 && to < patches.length)) return step !== undefined;
    patches[from].setAttribute("tabindex", -1);
    patches[to].setAttribute("tabindex", 0);
    patches[to].focus();
    return true;
  }
  patches.forEach((patch, i) => {
    const toggle = () => ask((flip(state.demand, i), state.demand));
    patch.addEventListener("click", toggle);
    patch.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") toggle();
      else if (!walk(i, event.key)) return;
      event.preventDefault();
    });
    const serve = (yes) => tiles.forEach((tile, k) =>
      tile.classList.toggle("serves", yes && data.fields[k].includes(i)));
    for (const type of ["pointerenter", "focus"]) patch.addEventListener(type, () => serve(true));
    for (const type of ["pointerleave", "blur"]) patch.addEventListener(type, () => serve(false));
  });
  // To begin with, some components of which the run holds the generated picture.
  state.on = new Set(data.steps.findLast((step) => step.on && step.count <= 8).on);
  show();
}

function player(sums) {
  const { steps, frames } = sums.data;
  const seconds = 0.9;
  const scrub = byId("player-step");
  const play = byId("player-play");
  let timer = null;

  function show() {
    const step = steps[Number(scrub.value)];
    const told = step.count === 0 ? "baseline only" : `${step.count} of ${steps.at(-1).count} components`;
    showImage(byId("player-generated"), frames[step.frame].source, `The picture made of ${told}`);
    byId("player-generated-told").textContent = `error ${percent(frames[step.frame].error)}`;
    const summed = byId("player-sum");
    summed.classList.toggle("absent", !step.on);
    const sum = step.on ? sums.sum(step.on, false) : sums.baseline;
    draw(summed.querySelector("canvas"), sums.colours(sum), sums);
    byId("player-sum-told").textContent = step.on
      ? `error ${percent(sums.error(sum, sums.picture))}` : "not all of their patterns are here";
    byId("player-told").textContent = told;
    scrub.setAttribute("aria-valuetext", told);
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  }

  function advance() {
    scrub.value = Number(scrub.value) + 1;
    show();
    if (Number(scrub.value) === steps.length - 1) stop();
  }

  play.addEventListener("click", () => {
    if (timer) return stop();
    if (Number(scrub.value) === steps.length - 1) scrub.value = 0;
    show();
    play.textContent = "Pause";
    timer = setInterval(advance, 1000 * seconds);
  });
  scrub.addEventListener("input", () => { stop(); show(); });
  show();
}

async function start() {
  const data = byId("switchboard-data");
  if (!data || !("DecompressionStream" in window)) return;
  const sums = await Sums.read(JSON.parse(data.textContent));
  switchboard(sums);
  player(sums);
  for (const part of all(".live")) part.hidden = false;
}
start();

// On paper nothing can be opened.
const closed = [];
addEventListener("beforeprint", () => {
  for (const part of all("details:not([open])")) closed.push(part), (part.open = true);
});
addEventListener("afterprint", () => {
  for (const part of closed.splice(0)) part.open = false;
});
