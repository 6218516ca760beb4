// Tables, figures, warnings and alarms: rows are made anew only where something changed.

import { bytes, byId, el, number, plural, say, time } from "./text.js";

// Replaces the children of an element if what they are made from changed.
function renew(element, from, make) {
  const now = JSON.stringify(from);
  if (element.madeFrom === now) return;
  element.madeFrom = now;
  const focused = element.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  element.replaceChildren(...make());
  if (focused !== undefined) [...element.querySelectorAll("[data-key]")].find((one) => one.dataset.key === focused)?.focus();
}

export function warnings({ warnings, left_out }) {
  const section = document.querySelector(".warnings");
  section.classList.toggle("calm", warnings.length === 0);
  const signs = { critical: "✖ critical", warning: "▲ warning", note: "● note" };
  renew(byId("warnings"), warnings, () =>
    warnings.map((warning) =>
      el(
        "li",
        { "data-level": warning.level, "data-code": warning.code },
        el("span", { class: "level" }, signs[warning.level]),
        el("span", {}, warning.text),
        el("span", { class: "way" }, warning.way_out),
      ),
    ),
  );
  say(byId("warnings-count"), warnings.length ? String(warnings.length + left_out) : "none");
  byId("warnings-more").hidden = left_out === 0;
  say(byId("warnings-more"), `and ${number(left_out)} more: see /v1/structures/…/warnings`);
}

// The last step is not over yet: it is no rate.
const rate = (steps, ms) => (steps.length < 2 ? null : (steps[steps.length - 2] * 1000) / ms);

function spark(steps) {
  const whole = steps.slice(0, -1);
  if (whole.length < 2) return null;
  const most = Math.max(1, ...whole);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 100 22");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  const x = (place) => (place * 100) / (whole.length - 1);
  line.setAttribute("points", whole.map((value, place) => `${x(place).toFixed(1)},${(20.5 - (value * 19) / most).toFixed(1)}`).join(" "));
  svg.append(line);
  return svg;
}

export function figures(structure, status) {
  const { rates } = status;
  const per = (steps) => {
    const is = rate(steps, rates.step_ms);
    return is === null ? "…" : number(is < 10 ? Math.round(is * 10) / 10 : Math.round(is));
  };
  const { active, failed_persistent: failed } = structure.connectors;
  const rows = [
    ["Stacks", number(active + failed), failed ? `${number(active)} active, ${number(failed)} failed` : "all active"],
    ["Lists", number(structure.lists), `${number(structure.groups_in_use)} of ${number(structure.groups_max)} groups in use`],
    ["Ports held", number(structure.held), ""],
    ["In quarantine", number(structure.quarantined), ""],
    ["Grants per second", per(rates.grants), "", rates.grants],
    ["Releases per second", per(rates.releases), "", rates.releases],
    ["Store", bytes(structure.size_bytes), status.file_system],
  ];
  if (active + failed === 0) rows[0][2] = "";
  renew(byId("figures"), rows, () =>
    rows.map(([name, value, more, steps]) => el("div", {}, el("dt", {}, name), el("dd", {}, value), steps ? spark(steps) : el("dd", {}, el("small", {}, more)))),
  );
}

// What of a list is gone, in percent of what could be granted.
export function used(list) {
  if (list.grantable_max === null || list.grantable_max === 0) return (100 * (list.held + list.quarantined)) / 65536;
  return (100 * (list.grantable_max - list.grantable)) / list.grantable_max;
}

function gauge(list) {
  const whole = list.grantable_max || 65536;
  const gone = Math.max(1, list.held + list.quarantined);
  const width = (ports) => `${((used(list) * ports) / gone).toFixed(2)}%`;
  const part = (kind, ports) => {
    const element = el("span", { class: kind });
    element.style.setProperty("width", width(ports));
    return element;
  };
  return el("div", { class: "gauge", role: "img", "aria-label": `${Math.round(used(list))} percent of ${number(whole)}` }, part("held", list.held), part("rest", list.quarantined));
}

export function lists(all, chosen, more, choose) {
  const words = byId("lists-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (list) => `${list.dvipa} ${list.transport} ${list.state} ${list.stacks.map((stack) => stack.connector).join(" ")}`.toLowerCase();
  const shown = all.filter((list) => words.every((word) => text(list).includes(word)));
  shown.sort((one, other) => used(other) - used(one) || one.list - other.list);
  say(byId("lists-count"), words.length ? `${number(shown.length)} of ${number(all.length)}` : number(all.length));
  byId("lists-none").hidden = shown.length > 0;
  byId("lists-more").hidden = !more;
  say(byId("lists-more"), `Only the first ${number(all.length)} lists are shown here.`);
  const rows = shown.map(({ dvipa, transport, state, held, quarantined, grantable, grantable_max, stacks }) => ({ dvipa, transport, state, held, quarantined, grantable, grantable_max, stacks: stacks.length, chosen: chosen === `${dvipa}/${transport}` }));
  const tags = (list) => [
    list.transport === "udp" ? el("span", { class: "tag" }, "UDP") : null,
    list.state === "closed" ? el("span", { class: "tag warn" }, "CLOSED") : null,
    list.grantable === 0 && list.held > 0 ? el("span", { class: "tag bad" }, "FULL") : null,
  ];
  renew(byId("lists").tBodies[0], rows, () =>
    rows.map((list) => {
      const key = `${list.dvipa}/${list.transport}`;
      const button = el("button", { type: "button", "data-key": key, "aria-current": list.chosen ? "true" : null, onclick: () => choose(key) }, list.dvipa);
      return el(
        "tr",
        { class: list.chosen ? "chosen" : null },
        el("td", { class: "name" }, button, ...tags(list)),
        el("td", { class: "num" }, number(list.stacks)),
        el("td", { class: "num" }, number(list.held)),
        el("td", { class: "num" }, number(list.quarantined)),
        el("td", { class: "num" }, number(list.grantable)),
        el("td", { class: "fill" }, gauge(list)),
      );
    }),
  );
}

export function stacks(all, more) {
  const words = byId("stacks-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = all.filter((stack) => words.every((word) => `${stack.connector} ${stack.state}`.toLowerCase().includes(word)));
  // Those that want somebody come first.
  const rank = (stack) => (stack.state === "active" ? 1 : 0);
  shown.sort((one, other) => rank(one) - rank(other) || one.connector.localeCompare(other.connector, "en", { numeric: true }));
  say(byId("stacks-count"), words.length ? `${number(shown.length)} of ${number(all.length)}` : number(all.length));
  byId("stacks-none").hidden = shown.length > 0;
  say(byId("stacks-none"), all.length ? "No stack fits the filter." : "No stack has connected yet.");
  byId("stacks-more").hidden = !more;
  say(byId("stacks-more"), `Only the first ${number(all.length)} stacks are shown here.`);
  renew(byId("stacks").tBodies[0], shown, () =>
    shown.map((stack) =>
      el(
        "tr",
        {},
        el("td", { class: "name" }, stack.connector),
        el("td", { class: "word" }, stack.state === "active" ? el("span", { class: "state-active" }, "● active") : el("span", { class: "state-failed" }, `▲ ${stack.state}`)),
        el("td", { class: "num" }, number(stack.lists)),
        el("td", { class: "num" }, number(stack.grants)),
        el("td", { class: "num" }, number(stack.ports)),
        el("td", { class: "num" }, stack.promise_ms ? `${number(stack.promise_ms / 1000)} s` : "–"),
        el("td", { class: "num" }, String(stack.incarnation)),
      ),
    ),
  );
}

export function alarms({ alarms, recovery }) {
  const all = [...recovery.warnings.map((text) => ({ text })), ...alarms].reverse();
  say(byId("alarms-count"), all.length ? String(all.length) : "");
  byId("alarms-none").hidden = all.length > 0;
  renew(byId("alarms"), all, () => all.map((alarm) => el("li", {}, alarm.time ? time(alarm.time) : el("span", { class: "quiet" }, "at the start "), alarm.text)));
}

export function about(status) {
  const took = `${number(Math.round(status.recovery.took_us / 1000))} ms`;
  say(byId("about"), `Store ${status.store}, open no. ${status.epoch}: ${plural(status.records, "record")} in ${plural(status.frames, "frame")} since, recovered in ${took}.`);
}
