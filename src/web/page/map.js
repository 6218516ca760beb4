// The map of one list: a cell for each of its 1,024 groups, its legend, and one group in detail.

import { ago, byId, clock, count, el, number, plural, ranges, say, time } from "./text.js";

const GROUPS = 1024;
const COLOURS = 8;
const OTHER_SIGNS = [
  ["+", "shared", "several stacks"],
  ["~", "rest", "quarantine"],
  [" ", "out", "not for this pool"],
  [".", "free", "free"],
];

export class GroupMap {
  // `now()` is the service's clock.
  constructor(now) {
    this.now = now;
    this.map = byId("map");
    this.detail = byId("detail");
    this.cells = [];
    this.kinds = [];
    this.groups = new Map();
    this.stacks = [];
    this.places = new Map();
    this.at = 0;
    this.pinned = null;
    this.looked = null;
    for (let group = 0; group < GROUPS; group += 1) {
      const cell = el("div", { role: "option", tabindex: group === 0 ? 0 : -1, "aria-selected": "false", id: `g${group}` });
      cell.dataset.group = group;
      this.cells.push(cell);
    }
    this.map.append(...this.cells);
    const of = (event) => event.target.closest("[data-group]");
    this.map.addEventListener("pointerover", (event) => of(event) && event.pointerType !== "touch" && this.peek(Number(of(event).dataset.group)));
    this.map.addEventListener("pointerleave", () => this.unpeek());
    this.map.addEventListener("click", (event) => of(event) && this.open(Number(of(event).dataset.group)));
    this.map.addEventListener("focusin", (event) => of(event) && this.peek(Number(of(event).dataset.group)));
    this.map.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.close());
    setInterval(() => this.tick(), 1000);
    new ResizeObserver(() => this.rule()).observe(this.map);
    this.hide();
  }

  // Another list is shown: nothing of the last one stays.
  clear() {
    this.close(false);
    this.pressed = null;
    this.move(0, false);
  }

  show(answer, states) {
    this.answer = answer;
    this.states = states;
    this.groups = new Map(answer.groups.map((group) => [group.group, group]));
    this.stacks = answer.stacks;
    this.places = new Map(answer.stacks.map((stack, place) => [stack.connector, place]));
    for (let group = 0; group < GROUPS; group += 1) this.paint(group, answer.signs[group]);
    this.legend();
    if (this.pinned !== null) this.tell(this.pinned, true);
    else if (this.looked !== null) this.tell(this.looked, false);
    this.look();
  }

  paint(group, sign) {
    const cell = this.cells[group];
    const used = this.groups.get(group);
    const colour = used?.holders.length ? this.colour(used.holders[0].connector) : "";
    const kind = this.kind(sign);
    const now = `${sign}${colour}`;
    if (this.kinds[group] !== now) {
      this.kinds[group] = now;
      cell.dataset.kind = kind;
      cell.dataset.colour = kind === "whole" || kind === "part" ? colour : "";
      say(cell, sign === "." ? "·" : sign.trim());
    }
    cell.setAttribute("aria-label", this.label(group, sign, used));
  }

  kind(sign) {
    if (sign === ".") return "free";
    if (sign === "~") return "rest";
    if (sign === "+") return "shared";
    if (sign === " ") return "out";
    return sign === sign.toLowerCase() && sign !== "#" ? "part" : "whole";
  }

  colour(connector) {
    return String((this.places.get(connector) ?? 7) % COLOURS);
  }

  label(group, sign, used) {
    const ports = `group ${group}, ports ${group * 64} to ${group * 64 + 63}`;
    if (sign === ".") return `${ports}: free`;
    if (sign === " ") return `${ports}: not for this pool`;
    const parts = (used?.holders ?? []).map((holder) => `${holder.connector} holds ${plural(count(holder.mask), "port")}`);
    const resting = used ? count(used.quarantined) : 0;
    if (resting) parts.push(`${plural(resting, "port")} in quarantine`);
    return `${ports}: ${parts.join(", ")}`;
  }

  legend() {
    const legend = byId("legend");
    const holding = this.stacks.filter((stack) => stack.groups > 0);
    const wanted = JSON.stringify([holding, this.answer.signs.includes("+"), this.answer.signs.includes("~"), this.answer.signs.includes(" "), this.pressed]);
    if (this.legendIs === wanted) return;
    this.legendIs = wanted;
    const focused = document.activeElement?.dataset?.connector;
    const stack = ({ sign, connector, groups, ports }) =>
      el(
        "button",
        { type: "button", "aria-pressed": String(this.pressed === connector), "data-connector": connector, onclick: () => this.press(connector) },
        el("span", { class: "chip", "data-colour": this.colour(connector), "aria-hidden": "true" }, sign),
        el("span", { class: "who" }, connector),
        el("span", { class: "quiet" }, `${plural(groups, "group")}, ${plural(ports, "port")}`),
      );
    const signs = OTHER_SIGNS.filter(([sign]) => this.answer.signs.includes(sign));
    const sign = ([sign, kind, meaning]) =>
      el("span", { class: "sign" }, el("span", { class: "chip", "data-kind": kind, "aria-hidden": "true" }, sign === "." ? "·" : sign), meaning);
    const part = /[a-z]/.test(this.answer.signs) ? [el("span", { class: "sign" }, "small letter: part of a group")] : [];
    legend.replaceChildren(...holding.map(stack), ...signs.map(sign), ...part);
    if (focused) [...legend.querySelectorAll("button")].find((button) => button.dataset.connector === focused)?.focus();
  }

  // One stack's groups stand out.
  press(connector) {
    this.pressed = this.pressed === connector ? null : connector;
    this.legend();
    this.look();
  }

  look() {
    this.map.classList.toggle("looking", Boolean(this.pressed));
    for (let group = 0; group < GROUPS; group += 1) {
      const theirs = this.pressed && this.groups.get(group)?.holders.some((holder) => holder.connector === this.pressed);
      this.cells[group].classList.toggle("theirs", Boolean(theirs));
    }
  }

  columns() {
    return getComputedStyle(this.map).gridTemplateColumns.split(" ").length;
  }

  key(event) {
    const columns = this.columns();
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, PageDown: columns * 8, PageUp: -columns * 8 };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in steps) {
      const to = this.at + steps[event.key];
      if (to >= 0 && to < GROUPS) this.move(to);
    } else if (event.key === "Home") this.move(0);
    else if (event.key === "End") this.move(GROUPS - 1);
    else if (event.key === "Enter" || event.key === " ") this.open(this.at);
    else return;
    event.preventDefault();
  }

  move(to, focus = true) {
    this.cells[this.at].tabIndex = -1;
    this.at = to;
    this.cells[to].tabIndex = 0;
    if (focus) this.cells[to].focus();
  }

  peek(group) {
    this.looked = group;
    if (this.pinned === null) this.tell(group, false);
  }

  unpeek() {
    this.looked = null;
    if (this.pinned === null && !this.map.contains(document.activeElement)) this.hide();
  }

  open(group) {
    if (!this.answer) return;
    this.select(group);
    this.pinned = group;
    this.move(group);
    this.tell(group, true);
  }

  close(focus = true) {
    if (this.pinned === null && this.looked === null) return;
    const was = this.pinned;
    this.select(null);
    this.pinned = null;
    this.looked = null;
    this.hide();
    if (focus && was !== null) this.cells[was].focus({ preventScroll: true });
    this.hide();
    this.looked = null;
  }

  select(group) {
    if (this.pinned !== null) this.cells[this.pinned].setAttribute("aria-selected", "false");
    if (group !== null) this.cells[group].setAttribute("aria-selected", "true");
  }

  // Nothing is looked at: how to look at something.
  hide() {
    this.detail.classList.remove("pinned");
    this.detail.replaceChildren(el("p", { class: "quiet" }, "Point at a group, or choose one, to see who holds its 64 ports, since when, and what is in quarantine."));
  }

  // The first port of each row.
  rule() {
    const columns = this.columns();
    if (columns === this.ruled) return;
    this.ruled = columns;
    const rows = Array.from({ length: GROUPS / columns }, (_, row) => el("span", {}, String(row * columns * 64)));
    byId("ruler").replaceChildren(...rows);
  }

  tell(group, pinned) {
    const used = this.groups.get(group);
    const first = group * 64;
    const sign = this.answer?.signs[group] ?? ".";
    const close = pinned ? [el("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => this.close() }, "×")] : [];
    const focused = this.detail.contains(document.activeElement);
    this.detail.replaceChildren(
      el("div", { class: "head" }, el("h3", {}, `Group ${group}`), ...close),
      el("p", { class: "quiet" }, `ports ${first}–${first + 63}`),
      this.strip(used),
      ...this.byStack(used).map((grants) => this.holder(grants, first)),
      ...(used?.quarantine ?? []).map((resting) => this.resting(resting, first)),
      ...(used ? [] : [el("p", {}, sign === " " ? "The explicit-bind pool cannot give ports of this group." : "Free: nobody holds a port of it.")]),
    );
    this.detail.classList.toggle("pinned", pinned);
    if (focused) this.detail.querySelector("button")?.focus();
    this.tick();
  }

  strip(used) {
    const owner = new Array(64).fill(null);
    for (const holder of used?.holders ?? []) {
      const mask = BigInt(holder.mask);
      for (let bit = 0; bit < 64; bit += 1) if ((mask >> BigInt(bit)) & 1n) owner[bit] = this.colour(holder.connector);
    }
    const resting = BigInt(used?.quarantined ?? 0);
    const square = (colour, bit) => el("i", (resting >> BigInt(bit)) & 1n ? { "data-kind": "rest" } : { "data-colour": colour });
    return el("div", { class: "strip", "aria-hidden": "true" }, ...owner.map(square));
  }

  // The grants of a group, those of one stack together.
  byStack(used) {
    const stacks = new Map();
    for (const holder of used?.holders ?? []) stacks.set(holder.connector, [...(stacks.get(holder.connector) ?? []), holder]);
    return [...stacks.values()];
  }

  since(holder) {
    if (holder.since) return [time(holder.since), el("span", { class: "quiet" }, ` (${ago(this.now() - new Date(holder.since))})`)];
    return [holder.adopted ? "adopted from the stack's report" : "before what the log still tells"];
  }

  holder(grants, first) {
    const [holder] = grants;
    const stack = this.stacks[this.places.get(holder.connector)];
    const state = this.states.get(holder.connector);
    const failed = state && state !== "active" ? [el("p", { class: "state-failed" }, `▲ ${state}`)] : [];
    const head = el("h3", {}, el("span", { class: "chip", "data-colour": this.colour(holder.connector), "aria-hidden": "true" }, stack?.sign ?? "#"), holder.connector);
    if (grants.length > 1) {
      const row = (grant) => el("tr", {}, el("td", {}, ranges(grant.mask, first)), el("td", {}, ...this.since(grant).slice(0, 1)), el("td", { class: "mono" }, String(grant.lsn)));
      const titles = el("tr", {}, el("th", { scope: "col" }, "ports"), el("th", { scope: "col" }, "since"), el("th", { scope: "col" }, "token"));
      return el("div", { class: "who" }, head, ...failed, el("table", { class: "grants" }, el("thead", {}, titles), el("tbody", {}, ...grants.map(row))));
    }
    return el(
      "div",
      { class: "who" },
      head,
      ...failed,
      el(
        "dl",
        {},
        el("dt", {}, "holds"),
        el("dd", {}, count(holder.mask) === 64 ? "the whole group" : `${plural(count(holder.mask), "port")}: ${ranges(holder.mask, first)}`),
        el("dt", {}, "since"),
        el("dd", {}, ...this.since(holder)),
        el("dt", {}, "token"),
        el("dd", { class: "mono" }, String(holder.lsn)),
      ),
    );
  }

  resting(resting, first) {
    const ends = resting.ends
      ? el("dd", {}, el("span", { class: "count-down", "data-ends": resting.ends }, ""))
      : el("dd", {}, "not while granting is stopped");
    return el(
      "div",
      { class: "who" },
      el("h3", {}, el("span", { class: "chip", "data-kind": "rest", "aria-hidden": "true" }, "~"), "quarantine"),
      el(
        "dl",
        {},
        el("dt", {}, "ports"),
        el("dd", {}, ranges(resting.mask, first)),
        el("dt", {}, "free"),
        ends,
        el("dt", {}, "held by"),
        el("dd", { class: "mono" }, resting.connector ?? "nobody known"),
        ...(resting.since ? [el("dt", {}, "since"), el("dd", {}, time(resting.since))] : []),
      ),
    );
  }

  tick() {
    for (const place of document.querySelectorAll("[data-ends]")) {
      const left = new Date(place.dataset.ends) - this.now();
      say(place, left > 0 ? `in ${clock(left)}` : "any moment");
    }
  }

  table() {
    const row = (group) => {
      const until = group.quarantine.length ? group.quarantine[group.quarantine.length - 1].ends : null;
      const lines = (cells) => cells.flatMap((cell, place) => (place === 0 ? [cell] : [el("br"), cell]));
      return el(
        "tr",
        {},
        el("td", { class: "num" }, el("button", { type: "button", onclick: () => this.open(group.group) }, String(group.group))),
        el("td", {}, `${group.first}–${group.last}`),
        el("td", { class: "mono" }, ...lines(group.holders.map((holder) => `${holder.connector} (${count(holder.mask)})`))),
        el("td", {}, ...lines(group.holders.map((holder) => (holder.since ? time(holder.since) : "–")))),
        el("td", {}, until ? time(until) : group.quarantine.length ? "granting goes on" : "–"),
      );
    };
    return this.answer ? this.answer.groups.map(row) : [];
  }

  summary() {
    const { held, quarantined, signs, groups } = this.answer;
    const free = [...signs].filter((sign) => sign === ".").length;
    const ends = groups.flatMap((group) => group.quarantine.map((resting) => resting.ends)).filter(Boolean).sort();
    return { held: number(held), quarantined: number(quarantined), free, next: ends[0] ?? null };
  }
}
