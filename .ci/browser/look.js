// What a careful reader of the page would find: texts without contrast, controls without names. It
// returns sentences; none is good.
() => {
  const found = [];
  const parse = (text) => {
    const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
    return { r, g, b, a };
  };
  const over = (top, under) => {
    const mix = (a, b) => a * top.a + b * (1 - top.a);
    return { r: mix(top.r, under.r), g: mix(top.g, under.g), b: mix(top.b, under.b), a: 1 };
  };
  const light = ({ r, g, b }) => {
    const part = (value) => ((value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const ground = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((under, top) => over(top, under), { r: 255, g: 255, b: 255, a: 1 });
  };
  const shown = (element) => element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) && !element.closest(".visually-hidden, .skip");
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data.trim()).join("");
    if (!text || !shown(element) || ["SCRIPT", "NOSCRIPT", "OPTION"].includes(element.tagName)) continue;
    const style = getComputedStyle(element);
    const below = ground(element);
    const ink = over(parse(style.color), below);
    const [one, other] = [light(ink), light(below)].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) found.push(`contrast ${ratio.toFixed(2)} of "${text.slice(0, 30)}" (${element.tagName}.${element.className})`);
  }
  for (const control of document.querySelectorAll("button, input, select, a[href], summary, [role=option], [tabindex='0']")) {
    const labelled = (control.getAttribute("aria-labelledby") || "").split(" ").map((id) => document.getElementById(id)?.textContent || "").join("");
    const label = control.labels?.length ? control.labels[0].textContent : "";
    const name = (control.getAttribute("aria-label") || labelled || label || control.textContent || "").trim();
    if (!name) found.push(`no name: ${control.outerHTML.slice(0, 80)}`);
  }
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of new Set(ids.filter((id, place) => ids.indexOf(id) !== place))) found.push(`the id ${id} is there twice`);
  for (const [what, count] of [["main", 1], ["h1", 1], ["header", 1], ["footer", 1]])
    if (document.querySelectorAll(what).length !== count) found.push(`not one ${what}`);
  if (!document.documentElement.lang) found.push("no language");
  for (const image of document.images) if (!image.hasAttribute("alt")) found.push("an image without a text");
  if (document.querySelector("[tabindex]:not([tabindex='0']):not([tabindex='-1'])")) found.push("an order of its own");
  for (const id of ["aria-labelledby", "aria-describedby"].flatMap((name) => [...document.querySelectorAll(`[${name}]`)].flatMap((element) => element.getAttribute(name).split(" "))))
    if (!document.getElementById(id)) found.push(`names ${id}, which is not there`);
  let before = 0;
  for (const heading of document.querySelectorAll("h1, h2, h3")) {
    const level = Number(heading.tagName[1]);
    if (level > before + 1) found.push(`a heading of level ${level} after ${before}: ${heading.textContent}`);
    before = level;
  }
  return [...new Set(found)].slice(0, 12);
}
