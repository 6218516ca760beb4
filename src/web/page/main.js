// The page: what is chosen, what is read, and who shows it.

import { GroupMap } from "./map.js";
import { Follower, pages, read } from "./source.js";
import { byId, el, key, number, plural, say } from "./text.js";
import * as views from "./views.js";

const ROWS_MAX = 4096;

const state = { structure: null, list: null, lists: [], stacks: [], more: {}, skew: 0, lsn: null, goneSince: null };
const now = () => Date.now() + state.skew;
const map = new GroupMap(now);
const follower = new Follower(refresh, line);
const path = (rest = "") => `/structures/${encodeURIComponent(state.structure)}${rest}`;

// The choice is in the address, so that it can be kept and passed on.
function fromAddress() {
  const [structure, ...list] = decodeURIComponent(location.hash.slice(1)).split("/");
  return { structure, list: list.length === 2 ? list.join("/") : null };
}

function toAddress() {
  const hash = `#${state.structure}${state.list ? `/${state.list}` : ""}`;
  if (decodeURIComponent(location.hash) !== hash) history.replaceState(null, "", hash);
}

async function begin() {
  const select = byId("structure");
  try {
    const { structures } = await read("/structures");
    select.replaceChildren(...structures.map(({ structure }) => el("option", { value: structure }, structure)));
    select.disabled = structures.length < 2;
    const wanted = fromAddress();
    const found = structures.find(({ structure }) => structure === wanted.structure) ?? structures[0];
    line("polling");
    if (found) chooseStructure(found.structure, wanted.list);
    else line("gone", new Error("the service hosts no structure"));
  } catch (error) {
    line("gone", error);
    setTimeout(begin, 3000);
  }
}

function chooseStructure(structure, list = null) {
  Object.assign(state, { structure, list, lists: [], stacks: [], lsn: null });
  byId("structure").value = structure;
  map.clear();
  follower.follow(structure);
}

function chooseList(list) {
  if (state.list === list) return;
  state.list = list;
  toAddress();
  map.clear();
  showLists();
  follower.wake();
}

async function refresh() {
  const asked = state.structure;
  const [structure, status, heeded, lists, stacks] = await Promise.all([
    read(path()),
    read(path("/status")),
    read(path("/warnings")),
    pages(path("/lists"), "lists", ROWS_MAX),
    pages(path("/connectors"), "connectors", ROWS_MAX),
  ]);
  if (asked !== state.structure) return;
  state.skew = new Date(status.time) - Date.now();
  Object.assign(state, { lists: lists.rows, stacks: stacks.rows, more: { lists: lists.more, stacks: stacks.more } });
  if (!state.lists.some((list) => key(list) === state.list)) {
    const fullest = [...state.lists].sort((one, other) => views.used(other) - views.used(one))[0];
    state.list = fullest ? key(fullest) : null;
    map.clear();
  }
  toAddress();
  views.warnings(heeded);
  tellCritical(heeded.warnings);
  views.figures(structure, status);
  views.alarms(status);
  views.about(status);
  views.stacks(state.stacks, state.more.stacks);
  byId("empty").hidden = state.lists.length > 0;
  byId("work").hidden = state.lists.length === 0;
  showLists();
  if (state.list) await showMap();
  state.lsn = status.lsn;
  say(byId("asof"), `as of lsn ${number(status.lsn)}`);
}

function showLists() {
  views.lists(state.lists, state.list, state.more.lists, chooseList);
}

async function showMap() {
  const [dvipa, transport] = state.list.split("/");
  const asked = state.list;
  let answer;
  try {
    answer = await read(path(`/lists/${encodeURIComponent(dvipa)}/${transport}/groups?limit=1024`));
  } catch (error) {
    // It went between two reads: the next one chooses another.
    if (error.status === 404) return;
    throw error;
  }
  if (asked !== state.list) return;
  map.show(answer, new Map(state.stacks.map((stack) => [stack.connector, stack.state])));
  say(byId("map-title"), `${answer.dvipa} ${answer.transport.toUpperCase()}${answer.state === "closed" ? ", closed" : ""}`);
  const { held, quarantined, free, next } = map.summary();
  const told = byId("map-told");
  told.replaceChildren(`${held} ports held, ${quarantined} in quarantine, ${plural(free, "group")} free`);
  if (next) told.append(", the next free ", el("span", { class: "count-down", "data-ends": next }));
  map.tick();
  if (byId("alternative").open) showTable();
}

function showTable() {
  byId("groups").tBodies[0].replaceChildren(...map.table());
}

// Only what is new and critical is spoken.
const told = new Set();
function tellCritical(all) {
  const critical = all.filter((warning) => warning.level === "critical").map((warning) => `${warning.code} ${warning.subject ?? ""}`);
  const fresh = all.filter((warning) => warning.level === "critical" && !told.has(`${warning.code} ${warning.subject ?? ""}`));
  if (fresh.length) say(byId("said"), fresh.map((warning) => warning.text).join(" "));
  told.clear();
  critical.forEach((one) => told.add(one));
}

function line(is, error) {
  const shown = { live: "live", polling: "polling", gone: "not reachable" };
  byId("line").dataset.state = is;
  say(byId("line-text"), shown[is]);
  const gone = byId("gone");
  if (is === "gone") {
    state.goneSince ??= new Date();
    const since = state.goneSince.toLocaleTimeString("en-GB");
    const asOf = state.lsn === null ? "" : ` What is shown is as of lsn ${number(state.lsn)}.`;
    const why = error?.status ? ` It says: ${error.message}.` : "";
    say(gone, `The service cannot be reached since ${since}.${why}${asOf} This page goes on by itself when it is back.`);
    gone.hidden = false;
  } else if (state.goneSince) {
    state.goneSince = null;
    gone.hidden = true;
    say(byId("said"), "The service is back.");
  }
}

async function findPort(event) {
  event.preventDefault();
  const input = byId("port");
  const port = Number(input.value);
  const fits = /^[0-9]{1,5}$/.test(input.value.trim()) && port <= 65535;
  input.setAttribute("aria-invalid", String(!fits));
  if (!fits) return say(byId("said"), "A port is a whole number from 0 to 65535.");
  map.open(Math.floor(port / 64));
  const [dvipa, transport] = state.list.split("/");
  const owner = await read(path(`/lists/${encodeURIComponent(dvipa)}/${transport}/ports/${port}`)).catch(() => null);
  if (!owner) return undefined;
  const words = { held: `is held by ${owner.connector}`, quarantined: `is in quarantine, ${owner.connector} held it`, free: "is free" };
  const text = `Port ${port} ${words[owner.state]}.`;
  byId("detail").querySelector(".head").after(el("p", { class: "found" }, text));
  say(byId("said"), text);
  return undefined;
}

byId("structure").addEventListener("change", (event) => chooseStructure(event.target.value));
byId("lists-filter").addEventListener("input", showLists);
byId("stacks-filter").addEventListener("input", () => views.stacks(state.stacks, state.more.stacks));
byId("port-form").addEventListener("submit", findPort);
byId("alternative").addEventListener("toggle", showTable);
addEventListener("hashchange", () => {
  const wanted = fromAddress();
  if (wanted.structure && wanted.structure !== state.structure) chooseStructure(wanted.structure, wanted.list);
  else if (wanted.list) chooseList(wanted.list);
});
begin();
