"use strict";
// Sums of patterns, x0 + Σ Δx over what is on, in whole quanta: exact but for how they were stored.
// Nothing here draws. The arrays come from packing.py, their meaning from switchboard.py.

async function unpacked(text, length) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  const values = new Int16Array(length);
  for (let i = 0; i < length; i++) values[i] = planes[i] | (planes[length + i] << 8);
  return values;
}

class Sums {
  static async read(data) {
    const pixels = data.width * data.height;
    const one = (text) => unpacked(text, pixels * data.channels);
    const sums = new Sums();
    sums.data = data;
    sums.pixels = pixels;
    [sums.baseline, sums.rest, sums.labels] = await Promise.all(
      [one(data.baseline), one(data.rest), unpacked(data.labels, pixels)]);
    sums.patterns = await Promise.all(data.patterns.map(one));
    sums.changes = await Promise.all(data.frames.map((f) => (f.change ? one(f.change) : null)));
    sums.picture = sums.sum(data.patterns.keys(), true);
    sums.departure = sums.squares(sums.picture, sums.baseline);
    return sums;
  }

  // x0 plus the patterns of these tiles, and the rest if asked.
  sum(on, rest) {
    const total = Int32Array.from(this.baseline);
    const parts = Array.from(on, (tile) => this.patterns[tile]);
    if (rest) parts.push(this.rest);
    for (const part of parts) for (let i = 0; i < total.length; i++) total[i] += part[i];
    return total;
  }

  // A generated picture that the run holds.
  frame(index) {
    const frame = this.data.frames[index];
    if ("pattern" in frame) return this.sum([frame.pattern], false);
    const total = Int32Array.from(frame.origin === "baseline" ? this.baseline : this.picture);
    const change = this.changes[index];
    if (change) for (let i = 0; i < total.length; i++) total[i] += change[i];
    return total;
  }

  // Σ (a − b)² over all channels of the pixels that count.
  squares(a, b, counts = () => true) {
    let total = 0;
    for (let p = 0; p < this.pixels; p++) {
      if (!counts(this.labels[p])) continue;
      for (let i = p; i < a.length; i += this.pixels) total += (a[i] - b[i]) ** 2;
    }
    return total;
  }

  // ‖a − b‖² over ‖x − x0‖².
  error(a, b) {
    return this.squares(a, b) / this.departure;
  }

  // About what the error of two equal pictures would be by storing alone: an error spread evenly
  // over one quantum has the variance of a twelfth, in each of so many stored arrays.
  rounding(terms) {
    return (terms * this.baseline.length) / 12 / this.departure;
  }

  // The inside error and the leak of a picture that answers a demand, as measured in scores.
  answer(image, demand) {
    const floor = 1e-6 * this.departure;
    const share = (reference, counts) => this.squares(image, reference, counts)
      / Math.max(this.squares(this.picture, this.baseline, counts), floor);
    return {
      inside: share(this.picture, (patch) => demand.has(patch)),
      leak: share(this.baseline, (patch) => !demand.has(patch)),
    };
  }

  // Bytes of a picture, clipped to the image range: red, green, blue, opaque.
  colours(image) {
    const bytes = new Uint8ClampedArray(4 * this.pixels);
    const { channels, level } = this.data;
    for (let p = 0; p < this.pixels; p++) {
      let mean = 0;
      for (let c = 0; c < channels; c++) mean += image[c * this.pixels + p] / channels;
      for (let c = 0; c < 3; c++) {
        bytes[4 * p + c] = level * (channels === 3 ? image[c * this.pixels + p] : mean);
      }
      bytes[4 * p + 3] = 255;
    }
    return bytes;
  }

  // Bytes of a map of the difference of two pictures, in the page's one colour scale.
  difference(a, b) {
    const bytes = new Uint8ClampedArray(4 * this.pixels);
    const { channels, share, limit } = this.data;
    this.palette ??= Uint8Array.from(atob(this.data.colours), (letter) => letter.charCodeAt(0));
    for (let p = 0; p < this.pixels; p++) {
      let total = 0;
      for (let i = p; i < a.length; i += this.pixels) total += (a[i] - b[i]) ** 2;
      const value = Math.sqrt(total / channels) * share;
      const place = 3 * Math.round(255 * Math.sqrt(Math.min(value / limit, 1)));
      bytes.set([...this.palette.subarray(place, place + 3), 255], 4 * p);
    }
    return bytes;
  }

  // The path round a set of patches: every edge between a patch of it and anything else.
  outline(chosen) {
    const { width, height } = this.data;
    const inside = (x, y) =>
      x >= 0 && y >= 0 && x < width && y < height && chosen.has(this.labels[y * width + x]);
    const runs = (length, marked, path) => {
      let found = "";
      for (let i = 0, start = -1; i <= length; i++) {
        const here = i < length && marked(i);
        if (here && start < 0) start = i;
        if (!here && start >= 0) [found, start] = [found + path(start, i), -1];
      }
      return found;
    };
    let path = "";
    for (let y = 0; y <= height; y++) {
      path += runs(width, (x) => inside(x, y - 1) !== inside(x, y), (a, b) => `M${a} ${y}H${b}`);
    }
    for (let x = 0; x <= width; x++) {
      path += runs(height, (y) => inside(x - 1, y) !== inside(x, y), (a, b) => `M${x} ${a}V${b}`);
    }
    return path;
  }
}
