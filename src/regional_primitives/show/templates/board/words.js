// Numbers in words, as numerals.py writes them; and elements of the page.

export const $ = (id) => document.getElementById(id);

export function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// A share of 1 with two digits, more between 90 % and 100 %; null is what JSON cannot hold.
export function percent(share) {
  if (share === undefined) return "–";
  const value = 100 * (share ?? NaN);
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return "not finite";
  if (size > 0 && size < 0.001) return value > 0 ? "<\u00a00.001\u00a0%" : ">\u00a0−0.001\u00a0%";
  let digits = 0;
  if (size > 0 && size < 0.995) digits = 1 - Math.floor(Math.log10(size));
  else if (size > 0 && (size < 9.95 || (size >= 90 && size < 99.95))) digits = 1;
  const text = digits ? value.toFixed(digits) : Math.round(value).toLocaleString("en");
  return `${text.replace("-", "−")}\u00a0%`;
}

export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

// Some patches in words: by their names, where they have some, else how many there are.
export function patches(run, field) {
  const names = [...field].map((patch) => run.names?.[patch]);
  if (!run.names || !names.length) return plural(names.length, run.names ? "region" : "patch", run.names ? "regions" : "patches");
  const more = names.length - 4;
  return more > 1 ? `${names.slice(0, 4).join(" + ")} + ${more} more` : names.join(" + ");
}

// What one patch is called.
export function patchName(run, patch) {
  if (run.names) return run.names[patch];
  const place = run.columns ? `, row ${Math.floor(patch / run.columns) + 1}, column ${(patch % run.columns) + 1}` : "";
  return `Patch ${patch}${place}`;
}

// A text as HTML: names are other people's words.
export const escaped = (text) => text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
