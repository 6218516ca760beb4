// Making elements and words. Text never becomes markup.

const numbers = new Intl.NumberFormat("en");

export const number = (value) => (value === null || value === undefined ? "–" : numbers.format(value));

export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

// Sets a text only where it changes, so that nothing flickers and nobody is told twice.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

// 93000 ms: "1:33".
export function clock(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (part) => String(part).padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

// How long ago, in the largest unit that fits.
export function ago(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ago`;
  return `${number(Math.floor(seconds / 86400))} days ago`;
}

// A time as its reader's clock shows it; the full one is in `title`.
export function time(iso) {
  const at = new Date(iso);
  const shown = at.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
  return el("time", { datetime: iso, title: iso }, shown);
}

export function bytes(count) {
  for (const [unit, size] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]]) {
    if (count >= size) return `${(count / size).toFixed(count >= 10 * size ? 0 : 1)} ${unit}`;
  }
  return `${count} bytes`;
}

// The ports of a mask as ranges: "44800–44807, 44810".
export function ranges(mask, first) {
  const bits = BigInt(mask);
  const found = [];
  for (let bit = 0; bit < 64; bit += 1) {
    if (((bits >> BigInt(bit)) & 1n) === 0n) continue;
    const last = found[found.length - 1];
    if (last && last[1] === first + bit - 1) last[1] = first + bit;
    else found.push([first + bit, first + bit]);
  }
  return found.map(([from, to]) => (from === to ? `${from}` : `${from}–${to}`)).join(", ");
}

export function count(mask) {
  let [bits, ports] = [BigInt(mask), 0];
  for (; bits > 0n; bits &= bits - 1n) ports += 1;
  return ports;
}

export const address = (list) => (list.dvipa === "ANY" ? "ANY" : list.dvipa);
export const key = (list) => `${list.dvipa}/${list.transport}`;
