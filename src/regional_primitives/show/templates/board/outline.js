// Patches as SVG paths: the exact pixel edges between what is in a field and what is not.

// The edges of the pixels whose patch is in `field`, as path data to stroke.
export function edges(run, field) {
  const inside = within(run, field);
  return lines(run, (x, y) => x >= 0 && x < run.width && inside[y * run.width + x] === 1);
}

// The borders between patches; the rim of the picture is none.
export function borders(run) {
  const bounded = (value, size) => Math.min(Math.max(value, 0), size - 1);
  return lines(run, (x, y) => run.labels[bounded(y, run.height) * run.width + bounded(x, run.width)]);
}

// The box around each patch, in pixels: [left, top, right, bottom].
export function boxes(run) {
  const found = Array.from({ length: run.count }, () => [Infinity, Infinity, 0, 0]);
  run.labels.forEach((patch, i) => {
    if (patch < 0) return;
    const [x, y] = [i % run.width, Math.floor(i / run.width)];
    const [left, top, right, bottom] = found[patch];
    found[patch] = [Math.min(left, x), Math.min(top, y), Math.max(right, x + 1), Math.max(bottom, y + 1)];
  });
  return found;
}

export function drawn(kind, data) {
  const path = document.createElementNS(document.getElementById("overlay").namespaceURI, "path");
  path.setAttribute("class", kind);
  path.setAttribute("d", data);
  return path;
}

function within(run, field) {
  const chosen = new Uint8Array(run.count);
  for (const patch of field) chosen[patch] = 1;
  return Uint8Array.from(run.labels, (patch) => chosen[patch]);
}

// Lines between neighbouring pixels of different values.
function lines({ width, height }, value) {
  let path = "";
  for (let x = 0; x <= width; x++) {
    path += runs(height, (y) => value(x - 1, y) !== value(x, y), (from, to) => `M${x} ${from}V${to}`);
  }
  for (let y = 0; y <= height; y++) {
    path += runs(width, (x) => value(x, y - 1) !== value(x, y), (from, to) => `M${from} ${y}H${to}`);
  }
  return path;
}

function runs(length, marked, told) {
  let path = "";
  for (let i = 0, from = -1; i <= length; i++) {
    const here = i < length && marked(i);
    if (here && from < 0) from = i;
    if (!here && from >= 0) [path, from] = [path + told(from, i), -1];
  }
  return path;
}
