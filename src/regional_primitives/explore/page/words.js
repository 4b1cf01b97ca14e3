// Numbers in words, as the report writes them.

export function percent(share) {
  if (share === null || share === undefined) return "–";
  const value = 100 * share;
  const size = Math.abs(value);
  const digits = size >= 9.95 || size === 0 ? 0 : size >= 0.995 ? 1 : 2;
  return `${value.toFixed(digits).replace("-", "−")} %`;
}

export function plural(count, one, many) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}
