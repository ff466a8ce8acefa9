// The page: what a shifter sees of the newest message, and the choices they make.

import { format } from "./format.js";
import { Muons } from "./muons.js";
import { showNumbers } from "./numbers.js";
import { Plots } from "./plots.js";
import { decode, follow } from "./stream.js";
import { showVerdicts } from "./verdicts.js";

const STALE_SECONDS = 5;
const AGAIN_MS = 2000;
const root = document.documentElement;
const byId = (id) => document.getElementById(id);
const tabs = [...document.querySelectorAll("[role=tab]")].map((button) => button.id.slice(4));
const choiceGroups = [...document.querySelectorAll("[data-choice]")];
const allowed = Object.fromEntries(
  choiceGroups.map((group) => [group.dataset.choice, [...group.children].map((button) => button.dataset.value)]),
);

const plots = new Plots();
const muons = new Muons(() => writeAddress());
const choices = { ...Object.fromEntries(Object.entries(allowed).map(([key, [first]]) => [key, first])), theme: root.dataset.theme };
let tab = tabs[0];
let newest = null; // the last message, or the one that is held
let next = null; // what came while it was held
let paused = false;
let reference = null; // the arrays of the reference
let connected = false;
let refused = false; // the server answers, but with 401
let starting = "";
let clock = { server: Date.now() / 1000, here: performance.now() };
let turn = Promise.resolve(); // what changes the plots goes one after another
let again = null; // when it will be tried again

const serverTime = () => clock.server + (performance.now() - clock.here) / 1000;
const age = (dataTime) => Math.max(0, serverTime() - dataTime);

// --- state and age ---------------------------------------------------------------------------------------------------

function stateNow() {
  if (paused) return ["paused", `since ${clockTime(newest.numbers.wall_time)}; what you see does not change`];
  if (newest?.numbers.state === "ended") return ["ended", "the run is complete"];
  if (refused) return ["refused", "401: the token is missing or no longer valid; open this page's address with ?token=… again"];
  if (!connected) return [newest ? "disconnected" : "connecting", newest ? "trying again; what you see is old" : ""];
  if (!newest) return ["starting", ""];
  if (newest.numbers.state === "waiting") return ["waiting", "no words yet"];
  const seconds = age(newest.numbers.data_wall_time);
  if (seconds > STALE_SECONDS) return ["stale", `no new data since ${clockTime(newest.numbers.data_wall_time)}`];
  return ["running", ""];
}

const clockTime = (unixSeconds) => new Date(unixSeconds * 1000).toLocaleTimeString("en-GB");

function emptyTexts(state) {
  switch (state) {
    case "connecting":
      return ["Connecting", "If this lasts, muonstream is not running any more, or not at this address."];
    case "refused":
      return ["401: this page needs its token", "Open its address once with ?token=… at the end; muonstream says where the token is."];
    case "starting":
      return ["Starting", starting || "Getting ready for the first words."];
    case "ended":
      return ["The run has ended without any words", `Nothing came from ${newest.numbers.source}.`];
    default:
      return ["Waiting for the first words", `Plots appear as soon as data arrive from ${newest.numbers.source}.`];
  }
}

function setText(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text; // what has not changed is not read out again
}

function showState() {
  const [state, text] = stateNow();
  const hasData = newest !== null && newest.numbers.account.words > 0;
  if (root.dataset.state !== state) root.dataset.state = state;
  setText("state", state);
  setText("state-text", text);
  root.dataset.empty = String(!hasData);
  setText("age", hasData ? format(age(newest.numbers.data_wall_time), "age") : "–");
  if (!hasData) {
    const [title, more] = emptyTexts(state);
    setText("empty-title", title);
    setText("empty-text", more);
  }
  plots.showAges(tab, (dataTime) => `${format(age(dataTime), "age")} old`);
}

// --- plots -----------------------------------------------------------------------------------------------------------

/** Bring the open tab's plots up to date, after what is under way. */
function refresh() {
  const work = async () => {
    if (!newest) return;
    const { numbers, arrays } = newest;
    const shown = { tab, ...choices };
    showNumbers(numbers, plots.colors);
    showVerdicts(newest.verdicts, numbers, arrays, age);
    showState(); // before the plots, since hidden ones have no size to be drawn in
    await muons.show(numbers, plots.colors);
    if (numbers.account.words > 0 && (shown.tab !== "muons" || numbers.muons)) {
      await plots.draw(shown.tab, shown, numbers.detector.key);
      plots.fill(shown.tab, newest, shown, numbers.data_wall_time, reference);
      if (shown.tab === "muons") await muons.show(numbers, plots.colors); // now the colours are known
    }
    if (shown.tab === "overview") showNumbers(numbers, plots.colors);
    showState();
    root.dataset.sequence = numbers.sequence;
    root.dataset.shown = Object.values(shown).join(" ");
  };
  turn = turn.then(work).catch(failed);
  return turn;
}

/** Say what went wrong, and try again: there may be no further message that would. */
function failed(error) {
  console.error(error);
  const loading = document.querySelector(`.plots[data-tab="${tab}"] .loading`);
  if (loading) loading.textContent = `The plots cannot be had (${error.message}); trying again.`;
  if (!connected) return; // a new connection will
  again ??= setTimeout(() => {
    again = null;
    refresh();
  }, AGAIN_MS);
}

// --- choices, which the address keeps --------------------------------------------------------------------------------

function readAddress() {
  const [name, query] = location.hash.slice(1).split("?");
  if (tabs.includes(name)) tab = name;
  for (const [key, value] of new URLSearchParams(query ?? "")) {
    if (allowed[key]?.includes(value)) choices[key] = value;
    if (key === "muon") muons.restore(value);
  }
}

function writeAddress() {
  const query = new URLSearchParams();
  for (const [key, [first]] of Object.entries(allowed)) {
    if (key !== "theme" && choices[key] !== first) query.set(key, choices[key]);
  }
  if (tab === "muons" && muons.address) query.set("muon", muons.address);
  const text = query.toString();
  history.replaceState(null, "", `#${tab}${text ? `?${text}` : ""}`);
}

function showChoices() {
  for (const group of choiceGroups) {
    for (const button of group.children) {
      button.setAttribute("aria-pressed", String(choices[group.dataset.choice] === button.dataset.value));
    }
  }
  root.dataset.theme = choices.theme;
  root.dataset.tab = tab;
  for (const name of tabs) {
    const button = byId(`tab-${name}`);
    button.setAttribute("aria-selected", String(name === tab));
    button.tabIndex = name === tab ? 0 : -1;
    byId(`panel-${name}`).hidden = name !== tab;
  }
  // on a phone the tabs are wider than the screen
  const [open, list] = [byId(`tab-${tab}`), document.querySelector(".tabs")];
  list.scrollLeft = open.offsetLeft - list.offsetLeft - (list.clientWidth - open.offsetWidth) / 2;
}

function chosen() {
  showChoices();
  writeAddress();
  return refresh();
}

for (const group of choiceGroups) {
  group.addEventListener("click", ({ target }) => {
    const value = target.closest("button")?.dataset.value;
    if (!value) return;
    choices[group.dataset.choice] = value;
    if (group.dataset.choice === "theme") {
      try {
        localStorage.setItem("muonstream.theme", value);
      } catch {
        // it will not be remembered
      }
    }
    chosen();
  });
}

const tabList = document.querySelector("[role=tablist]");
tabList.addEventListener("click", ({ target }) => {
  const button = target.closest("[role=tab]");
  if (!button) return;
  tab = button.id.slice(4);
  chosen();
});
tabList.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const to = { Home: 0, End: tabs.length - 1 }[event.key] ?? (step && (tabs.indexOf(tab) + step + tabs.length) % tabs.length);
  if (to === undefined) return;
  event.preventDefault();
  tab = tabs[to];
  chosen();
  byId(`tab-${tab}`).focus();
});
addEventListener("hashchange", () => {
  readAddress();
  chosen();
});

function pause(on) {
  if (on && !newest) return;
  paused = on;
  byId("pause").setAttribute("aria-pressed", String(paused));
  byId("pause").textContent = paused ? "Go on" : "Pause";
  if (!paused && next) newest = next;
  next = null;
  showState();
  refresh();
}

byId("pause").addEventListener("click", () => pause(!paused));
byId("link").addEventListener("click", async ({ target }) => {
  try {
    await navigator.clipboard.writeText(location.href);
    target.textContent = "Copied";
  } catch {
    target.textContent = "It is the address above";
  }
  setTimeout(() => (target.textContent = "Copy link"), 2000);
});
byId("keep").addEventListener("click", () => {
  if (!newest) return;
  reference = new Map(newest.arrays);
  // what is compared with is always a whole run's counts: those of the period that is shown stand in for them
  for (const [name, array] of newest.arrays) {
    if (name.endsWith(`.${choices.period}`)) reference.set(name.replace(/[^.]*$/, "run"), array);
  }
  choices.reference = "on";
  chosen();
});
const keys = { " ": () => pause(!paused), l: () => press("scale"), r: () => press("period"), t: () => press("theme"), f: () => press("reference") };
addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, button, a, [role=tab]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const number = Number(event.key);
  if (number >= 1 && number <= tabs.length) {
    tab = tabs[number - 1];
    chosen();
  } else if (tab === "muons" && muonKeys[event.key]) {
    event.preventDefault();
    muonKeys[event.key]();
  } else if (keys[event.key]) {
    event.preventDefault();
    keys[event.key]();
  }
});
const muonKeys = { s: () => muons.follow(!muons.live), ArrowLeft: () => muons.step(-1), ArrowRight: () => muons.step(1), k: () => muons.keep() };
byId("event-controls").addEventListener("keydown", (event) => {
  if (!muonKeys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  muonKeys[event.key]();
});
const press = (choice) => document.querySelector(`[data-choice="${choice}"] [aria-pressed="false"]`).click();

/** Fetch the reference that the server has, unless one was set here. */
async function fetchReference() {
  const answer = await fetch("reference");
  if (answer.status === 200 && !reference) reference = (await decode(await answer.arrayBuffer())).arrays;
}

// --- start -----------------------------------------------------------------------------------------------------------

// what tests and benchmarks use: the data each plot holds, times of frames in ms, the newest message
window.muonstream = {
  values: (name, column) => plots.values(name, column),
  frames: async (n) => {
    const times = [];
    for (let i = 0; i < n; i += 1) {
      const begun = performance.now();
      await refresh();
      await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      times.push(performance.now() - begun);
    }
    return times;
  },
  received: () => (next ?? newest)?.numbers.sequence ?? 0,
};
readAddress();
showChoices();
showState();
setInterval(showState, 250);
follow({
  opened: (greeting) => {
    connected = true;
    refused = false;
    starting = greeting.starting;
    clock = { server: greeting.server_time, here: performance.now() };
    fetchReference().then(refresh, console.error);
    showState();
  },
  message: (decoded) => {
    if (paused) {
      next = decoded;
      return undefined;
    }
    newest = decoded;
    byId("message-bytes").textContent = `${format(decoded.bytes)} bytes`;
    return refresh();
  },
  closed: (unauthorized) => {
    connected = false;
    refused = unauthorized ?? refused;
    showState();
  },
});
