// The source of the report's board: pictures are sums of patterns, x0 + Σ scale Δx, of what the page
// holds. The arrays come from packing.py, in whole quanta; their meaning is switchboard.py's.

import { Board, nameOf, ranks } from "./board.js";
import { $, percent } from "./words.js";

async function unpacked(text, length) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  const values = new Int16Array(length);
  for (let i = 0; i < length; i++) values[i] = planes[i] | (planes[length + i] << 8);
  return values;
}

const image = (source) => $(`image-${source}`).getAttribute("href");
const named = (numbers) => [...numbers].sort((a, b) => a - b).join();

class Stored {
  static async read(data) {
    const stored = Object.assign(new Stored(), { data, pixels: data.width * data.height });
    const array = (text) => unpacked(text, stored.pixels * data.channels);
    const rest = data.fields.length; // "all else" is one more component, of no patch
    data.labels = await unpacked(data.labels, stored.pixels);
    stored.x0 = Float64Array.from(await array(data.x0));
    stored.changes = new Map([[rest, await array(data.rest)]]);
    for (const [i, k] of data.shown.entries()) stored.changes.set(k, await array(data.changes[i]));
    stored.x = stored.sum([...stored.changes.keys()].map((k) => [k, 1]));
    stored.departure = stored.squares(stored.x, stored.x0);
    stored.run = {
      ...data,
      total: rest,
      fields: [...data.fields, []],
      listed: [...data.shown, rest],
      rank: { visible: [...ranks(data.visible), Infinity] },
      counts: data.steps.map(({ count }) => count),
      page: Infinity,
      milliseconds: 900,
      before: image("x"),
      baseline: image("x0"),
      called: (k) => (k === rest ? { title: "All else", about: `${data.others} other components, and what does not add up` } : nameOf(data, k)),
    };
    await stored.hold([...Array(rest + 1).keys()], array);
    return stored;
  }

  // Know the generated pictures that the run holds, by the components that are on in them.
  async hold(every, array) {
    const { data, run: { fields, rank } } = this;
    this.held = new Map();
    this.demands = new Map();
    const hold = async (on, { source, error, change }, start) => {
      const values = change && await array(change);
      const made = () => (values ? start.map((value, i) => value + values[i]) : this.sum(on.map((k) => [k, 1])));
      this.held.set(named(on), { source, error, made });
    };
    for (const one of data.demands) {
      const on = every.filter((k) => fields[k].some((patch) => one.patches.includes(patch)));
      await hold(on, one, this.x0);
      this.demands.set(named(one.patches), { ...one, ...this.held.get(named(on)) });
    }
    for (const one of data.alone) await hold([one.component], one);
    for (const one of data.without) await hold(every.filter((k) => k !== one.component), one, this.x);
    for (const one of data.steps) await hold(every.filter((k) => rank.visible[k] < one.count), one, this.x0);
    await hold([], { source: "x0", error: 1 });
    await hold(every, { source: "x", error: 0 });
  }

  patterns(components) {
    const { bounded, shown } = this.data;
    return components.map((k) => ({ component: k, picture: image(`alone-${k}`), map: image(`change-${k}`), bounded: bounded[shown.indexOf(k)] }));
  }

  steps() {
    return this.data.steps.map((step) => ({ ...step, image: image(step.source) }));
  }

  // x0 plus these patterns, each times its scale.
  sum(scales) {
    const total = Float64Array.from(this.x0);
    for (const [k, scale] of scales) {
      const pattern = this.changes.get(k) ?? [];
      for (let i = 0; i < pattern.length; i++) total[i] += scale * pattern[i];
    }
    return total;
  }

  // Σ (a − b)² over all channels of the pixels that count.
  squares(a, b, counts = () => true) {
    let total = 0;
    for (let p = 0; p < this.pixels; p++) {
      if (!counts(this.data.labels[p])) continue;
      for (let i = p; i < a.length; i += this.pixels) total += (a[i] - b[i]) ** 2;
    }
    return total;
  }

  picture(state) {
    const { run, x, x0, data: { shown } } = this;
    const scales = run.fields.map((_, k) => [k, state.scale(k, run)]).filter(([, scale]) => scale !== 0);
    const on = scales.map(([k]) => k);
    const sum = this.sum(scales);
    const asked = state.asked.size && !state.solo.size && !state.first ? state.asked : null;
    const demand = asked && !state.scales.size && !state.muted.size && this.demands.get(named(asked));
    const whole = scales.every(([, scale]) => scale === 1) && this.held.get(named(on));
    const known = demand || whole || undefined;
    const beside = known ? known.made() : x;
    const gap = this.error(sum, beside);
    // Storing alone makes an error: one spread evenly over a quantum has the variance of a twelfth,
    // in each of the arrays that were added up.
    const rounding = ((on.length + 2) * x0.length) / 12 / this.departure;
    const here = on.filter((k) => shown.includes(k)).length;
    const rest = on.includes(run.total);
    const missing = rest ? 0 : on.length - here;
    const told = rest ? ", and all else" : missing ? `; those of ${missing} more are not here, the sum lacks them` : "";
    return {
      on: on.length,
      picture: this.colours(sum),
      difference: this.map(sum, beside),
      beside: {
        known: Boolean(known),
        source: known?.source ?? "x",
        image: image(known?.source ?? "x"),
        caption: known ? `Generated${demand ? " for these patches, G(u(S))" : " from what is on"}` : "The picture x; none was generated for just this",
        difference: known ? "|sum − generated|" : "|sum − x|",
      },
      readings: [
        ["on", "On", `${here} of ${shown.length} patterns${told}`],
        ...(asked ? this.answer(sum, asked, demand) : []),
        ["sum", "Error of the sum", percent(this.error(sum, x))],
        ...(known ? [["generated", "Error of the generated", percent(known.error)]] : []),
        ...(known ? [["gap", "Sum against generated", gap > 2 * rounding ? percent(gap) : "0\u00a0% but for rounding"]] : []),
      ],
    };
  }

  // ‖a − b‖² over ‖x − x0‖².
  error(a, b) {
    return this.squares(a, b) / this.departure;
  }

  // The inside error and the leak of a sum that answers a demand, as measured in scores: what was
  // not asked for should be far from the picture.
  answer(sum, asked, generated) {
    const reading = (name, label, reference, counts) => {
      const whole = Math.max(this.squares(this.x, this.x0, counts), 1e-6 * this.departure);
      const own = percent(this.squares(sum, reference, counts) / whole);
      return [name, label, generated ? `${own}; generated ${percent(generated[name])}` : own];
    };
    return [
      reading("inside", "Inside error of the sum", this.x, (patch) => asked.has(patch)),
      asked.size === this.data.count ? ["leak", "Leak of the sum", "none, nothing is outside"]
        : reading("leak", "Leak of the sum", this.x0, (patch) => !asked.has(patch)),
    ];
  }

  // Pixels of a picture, clipped to the image range: red, green, blue, opaque.
  colours(values) {
    const { channels, level } = this.data;
    return this.drawn((p) => {
      let mean = 0;
      for (let i = p; i < values.length; i += this.pixels) mean += values[i] / channels;
      return [0, 1, 2].map((c) => level * (channels === 3 ? values[c * this.pixels + p] : mean));
    });
  }

  // Pixels of a map of the difference of two pictures, in the page's one colour scale.
  map(a, b) {
    const { channels, share, limit } = this.data;
    this.palette ??= Uint8Array.from(atob(this.data.colours), (letter) => letter.charCodeAt(0));
    return this.drawn((p) => {
      let total = 0;
      for (let i = p; i < a.length; i += this.pixels) total += (a[i] - b[i]) ** 2;
      const value = Math.sqrt(total / channels) * share;
      const place = 3 * Math.round(255 * Math.sqrt(Math.min(value / limit, 1)));
      return this.palette.subarray(place, place + 3);
    });
  }

  drawn(colour) {
    const drawing = new ImageData(this.data.width, this.data.height);
    for (let p = 0; p < this.pixels; p++) drawing.data.set([...colour(p), 255], 4 * p);
    return drawing;
  }
}

// The board stays hidden where a browser cannot run it.
async function start() {
  const text = $("switchboard-data")?.textContent;
  if (!text || !("DecompressionStream" in window)) return;
  const stored = await Stored.read(JSON.parse(text));
  const { demands, start: first } = stored.data;
  const asks = [...document.querySelectorAll("[data-demand]")];
  const board = new Board(() => asks.forEach((button, i) => {
    button.ariaPressed = named(board.state.asked) === named(demands[i].patches);
  }));
  asks.forEach((button, i) => button.addEventListener("click", (event) => {
    board.start(button.ariaPressed === "true" ? "first=visible:0" : `ask=${demands[i].patches.join(".")}`, event.timeStamp);
  }));
  $("patterns").addEventListener("click", (event) => board.start(`mute=${stored.run.total}`, event.timeStamp));
  for (const part of document.querySelectorAll(".live")) part.hidden = false;
  board.open(stored, first);
}
start();

// On paper nothing can be opened.
const closed = [];
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details:not([open])")) closed.push(part), (part.open = true);
});
addEventListener("afterprint", () => {
  for (const part of closed.splice(0)) part.open = false;
});
