// Patches as SVG paths: the exact pixel edges between what is in a field and what is not.

// The edges of the pixels whose patch is in `field`, as path data to stroke.
export function edges(run, field) {
  const inside = within(run, field);
  const { width, height } = run;
  const at = (x, y) => x >= 0 && y >= 0 && x < width && y < height && inside[y * width + x];
  const path = [];
  for (let x = 0; x <= width; x++) {
    runs(height, (y) => at(x - 1, y) !== at(x, y), (from, to) => path.push(`M${x} ${from}V${to}`));
  }
  for (let y = 0; y <= height; y++) {
    runs(width, (x) => at(x, y - 1) !== at(x, y), (from, to) => path.push(`M${from} ${y}H${to}`));
  }
  return path.join("");
}

// All pixels outside of `field`, as path data to fill.
export function surroundings(run, field) {
  const inside = within(run, field);
  const path = [];
  for (let y = 0; y < run.height; y++) {
    runs(run.width, (x) => !inside[y * run.width + x], (from, to) => path.push(`M${from} ${y}H${to}V${y + 1}H${from}Z`));
  }
  return path.join("");
}

// The borders between patches.
export function borders(run) {
  const { width, height, labels } = run;
  const path = [];
  for (let x = 1; x < width; x++) {
    runs(height, (y) => labels[y * width + x - 1] !== labels[y * width + x], (from, to) => path.push(`M${x} ${from}V${to}`));
  }
  for (let y = 1; y < height; y++) {
    runs(width, (x) => labels[(y - 1) * width + x] !== labels[y * width + x], (from, to) => path.push(`M${from} ${y}H${to}`));
  }
  return path.join("");
}

// The box around each patch, in pixels: [left, top, right, bottom].
export function boxes(run) {
  const found = Array.from({ length: run.count }, () => [Infinity, Infinity, 0, 0]);
  run.labels.forEach((patch, i) => {
    if (patch < 0) return;
    const [x, y] = [i % run.width, Math.floor(i / run.width)];
    const box = found[patch];
    found[patch] = [Math.min(box[0], x), Math.min(box[1], y), Math.max(box[2], x + 1), Math.max(box[3], y + 1)];
  });
  return found;
}

function within(run, field) {
  const chosen = new Uint8Array(run.count);
  for (const patch of field) chosen[patch] = 1;
  return run.labels.map((patch) => patch >= 0 && chosen[patch] === 1);
}

function runs(length, marked, found) {
  let from = -1;
  for (let i = 0; i <= length; i++) {
    const here = i < length && marked(i);
    if (here && from < 0) from = i;
    if (!here && from >= 0) {
      found(from, i);
      from = -1;
    }
  }
}

export function drawn(kind, data) {
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("class", kind);
  path.setAttribute("d", data);
  return path;
}
