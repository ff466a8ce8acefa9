// The page: what a shifter sees of the newest message, and the choices they make.

import { caller, learnAccess } from "./acknowledge.js";
import { clockTime, dateTime, moment, Pulse, zoneName } from "./clock.js";
import { format, runName, setText } from "./format.js";
import { listen } from "./keys.js";
import { offerLink } from "./link.js";
import { Muons } from "./muons.js";
import { showNumbers } from "./numbers.js";
import { onPaper } from "./paper.js";
import { showArchive } from "./people.js";
import { Plots } from "./plots.js";
import { Reference } from "./reference.js";
import { follow } from "./stream.js";
import { callLost, initAttention } from "./attention.js";
import { showHeadline, showVerdicts } from "./verdicts.js";
import { Wall } from "./wall.js";

const STALE_SECONDS = 5;
const AGAIN_MS = 2000;
const OLD = ["stale", "hung", "disconnected", "refused"]; // states in which the data that are shown are not of now
const LOST = ["hung", "disconnected", "refused"]; // and those in which verdicts are not either
const root = document.documentElement;
const byId = (id) => document.getElementById(id);
const tabs = [...document.querySelectorAll("[role=tab]")].map((button) => button.id.slice(4));
const choiceGroups = [...document.querySelectorAll("[data-choice]")];
const allowed = Object.fromEntries(
  choiceGroups.map((group) => [group.dataset.choice, [...group.children].map((button) => button.dataset.value)]),
);

const plots = new Plots();
const muons = new Muons(() => writeAddress());
const pulse = new Pulse();
const reference = new Reference();
const choices = { ...Object.fromEntries(Object.entries(allowed).map(([key, [first]]) => [key, first])), theme: root.dataset.theme };
let tab = tabs[0];
let newest = null; // the last message: verdicts and numbers are always its
let held = null; // the message whose plots are held; null when they follow the newest
let connected = false;
let refused = false; // the server answers, but with 401
let starting = "";
let drawing = null; // the drawing of plots that is under way
let following = null; // and the one that will follow it
let again = null; // when it will be tried again

// --- state and age ---------------------------------------------------------------------------------------------------

function stateNow() {
  const { numbers } = newest ?? {};
  if (numbers?.state === "ended") return ["ended", `reading is complete, at ${moment(numbers.wall_time, pulse.now())}`];
  if (refused) return ["refused", "401: the token is missing or has changed; open the page with\u00a0?\u2060token=… again"];
  if (!connected) return [newest ? "disconnected" : "connecting", newest ? "trying again; what you see is out of date" : ""];
  if (!newest) return ["starting", ""];
  if (pulse.hung) {
    const since = moment(pulse.now() - pulse.silence(), pulse.now());
    return ["hung", `the engine does not answer since ${since}`];
  }
  if (numbers.state === "waiting") return ["waiting", "no words yet"];
  if (pulse.age(newest) > STALE_SECONDS) {
    const since = moment(pulse.lastWords(), pulse.now());
    const all = pulse.readAhead && !numbers.inputs?.waiting;
    return ["stale", all ? `all there is has been read; no more since ${since}` : `no new data from the detector since ${since}`];
  }
  const { restarts } = numbers;
  return ["running", restarts ? `restarted ${restarts === 1 ? "once" : `${format(restarts)} times`}` : ""];
}

function emptyTexts(state) {
  switch (state) {
    case "connecting":
      return ["Connecting", "If this does not change, muonstream is no longer running, or not at this address."];
    case "refused":
      return ["401: this page needs its token", "Open its address once with ?token=… at the end; muonstream says where the token is."];
    case "starting":
      return ["Starting", starting || "Getting ready for the first words."];
    case "ended":
      return ["The run has ended without any words", `Nothing came from ${newest.numbers.source}.`];
    case "hung":
      return ["The engine does not answer", `It was waiting for the first words from ${newest.numbers.source}.`];
    default:
      return ["Waiting for the first words", `Plots appear as soon as data arrive from ${newest.numbers.source}.`];
  }
}

/** How old the data are; where they were stored, which nothing tells the age of, how far they are read. */
function ageTexts() {
  const { numbers } = newest;
  if (numbers.state === "ended") return ["data time", format(numbers.data_time_s, "duration"), "complete"];
  if (!pulse.readAhead) return ["data age", format(pulse.age(newest), "age"), ""];
  const quiet = pulse.age(newest) > STALE_SECONDS;
  const more = quiet ? `nothing new for ${format(pulse.age(newest), "age")}` : `read ${Math.round(pulse.pace)} times as fast as taken`;
  return ["data time", format(numbers.data_time_s, "duration"), more];
}

function showState() {
  const [state, text] = stateNow();
  const hasData = newest !== null && newest.numbers.account.words > 0;
  const now = pulse.now();
  if (root.dataset.state !== state) {
    root.dataset.state = state;
    root.dataset.old = String(OLD.includes(state));
    root.dataset.lost = String(LOST.includes(state));
  }
  if (newest) callLost(LOST.includes(state) ? text : "", newest.numbers.run, pulse.silence());
  setText(byId("state"), state);
  setText(byId("state-text"), text);
  root.dataset.empty = String(!hasData);
  const [label, age, more] = hasData ? ageTexts() : ["data age", "–", ""];
  setText(byId("age-label"), label);
  setText(byId("age"), age);
  setText(byId("age-more"), more);
  setText(byId("clock"), clockTime(now));
  setText(byId("zone"), `${zoneName(now)}, ${dateTime(now).slice(0, 10)}`);
  if (newest) {
    const lostSince = LOST.includes(state) ? moment(pulse.now() - pulse.silence(), now) : "";
    showHeadline(newest.verdicts, lostSince, newest.numbers.run);
  }
  if (!hasData) {
    const [title, about] = emptyTexts(state);
    setText(byId("empty-title"), title);
    setText(byId("empty-text"), about);
  }
  plots.showAges(tab, (message) => {
    if (message.numbers.state === "ended") return "complete";
    const old = pulse.readAhead ? `data time ${format(message.numbers.data_time_s, "duration")}` : `${format(pulse.age(message), "age")} old`;
    return held ? `paused, ${old}` : old;
  });
}

// --- what is shown ---------------------------------------------------------------------------------------------------

/** The message that plots show. */
const plotted = () => held ?? newest;
const detector = () => newest?.numbers.detector.key;
const withReference = () => (choices.reference === "on" && reference.fits(detector()) ? "on" : "off");

/** Show all that must never wait, neither for plots nor for people: verdicts, alarms, numbers, state and age. */
function showNow() {
  if (!newest) return;
  showNumbers(newest.numbers, plots.colors);
  // a run that has ended, archived ones too, has its alarms up to its end, not up to now
  const ended = newest.numbers.state === "ended" ? newest.numbers.wall_time : null;
  showVerdicts(newest.verdicts, newest.numbers, newest.arrays, () => ended ?? pulse.now());
  setText(byId("message-bytes"), `${format(newest.buffer.byteLength)} bytes`);
  wall.follow();
  wall.count();
  root.dataset.judged = newest.numbers.sequence;
  showReference();
  showState();
}

/** Who looks is known now: what they may do, and whether there are archived runs. */
function learned() {
  showArchive(caller());
  showNow();
}

/** Bring the open tab's plots up to date, after what is under way; calls meanwhile are one. */
function refresh() {
  showNow();
  if (drawing) {
    following ??= drawing.then(() => {
      following = null;
      return refresh();
    });
    return following;
  }
  drawing = showPlots()
    .catch(failed)
    .finally(() => {
      drawing = null;
    });
  return drawing;
}

async function showPlots() {
  if (!newest) return;
  const { numbers } = newest;
  const shown = { tab, ...choices, reference: withReference(), factor: wall.factor };
  await muons.show(numbers, plots.colors, held !== null);
  if (numbers.account.words > 0 && (shown.tab !== "muons" || numbers.muons)) {
    await plots.draw(shown.tab, shown, numbers.detector.key);
    plots.fill(shown.tab, plotted(), shown, reference);
    if (shown.tab === "muons") await muons.show(numbers, plots.colors, held !== null); // now the colours are known
  }
  showNumbers(newest.numbers, plots.colors);
  wall.fit(plots);
  wall.count();
  showState();
  root.dataset.sequence = plotted().numbers.sequence;
  root.dataset.shown = Object.values({ tab: shown.tab, ...choices }).join(" ");
}

/** Say what went wrong, and try again: there may be no further message that would. */
function failed(error) {
  console.error(error);
  const loading = document.querySelector(`.plots[data-tab="${tab}"] .loading`);
  if (loading) loading.textContent = `The plots are not available (${error.message}); trying again.`;
  if (!connected) return; // a new connection will
  again ??= setTimeout(() => {
    again = null;
    refresh();
  }, AGAIN_MS);
}

function showReference() {
  byId("reference-line").hidden = choices.reference !== "on";
  byId("forget").hidden = reference.here === null;
  setText(byId("reference-text"), reference.text(detector()));
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
  history.replaceState(null, "", `${location.pathname}${wall.query}#${tab}${text ? `?${text}` : ""}`);
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
  showReference();
  return refresh();
}

function openTab(name) {
  tab = name;
  // those of the tab before may still be under way
  if (newest && (tab !== "muons" || newest.numbers.muons)) plots.announce(tab);
  return chosen();
}

for (const group of choiceGroups) {
  group.addEventListener("click", ({ target }) => {
    const value = target.closest("button")?.dataset.value;
    if (!value) return;
    choices[group.dataset.choice] = value;
    if (group.dataset.choice === "theme") {
      browserStorage.keep("muonstream.theme", value);
    }
    chosen();
  });
}

const tabList = document.querySelector("[role=tablist]");
tabList.addEventListener("click", ({ target }) => {
  const button = target.closest("[role=tab]");
  if (button) openTab(button.id.slice(4));
});
tabList.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const to = { Home: 0, End: tabs.length - 1 }[event.key] ?? (step && (tabs.indexOf(tab) + step + tabs.length) % tabs.length);
  if (to === undefined) return;
  event.preventDefault();
  openTab(tabs[to]);
  byId(`tab-${tab}`).focus();
});
addEventListener("hashchange", () => {
  readAddress();
  chosen();
});

/** Hold the plots as they are, or let them follow again; nothing else is ever held. */
function pause(on) {
  if (on && !newest) return;
  held = on ? newest : null;
  root.dataset.paused = String(on);
  byId("pause").setAttribute("aria-pressed", String(on));
  setText(byId("pause"), on ? "Resume" : "Pause");
  byId("paused").hidden = !on;
  if (on) {
    const { run, data_time_s: time } = newest.numbers;
    const which = `${runName(run)}, data time ${format(time, "duration")}`;
    setText(byId("paused"), `Plots are paused since ${clockTime(pulse.now())} (${which}). Verdicts, alarms and numbers continue.`);
  }
  refresh();
}

byId("pause").addEventListener("click", () => pause(held === null));
offerLink(byId("link"));
byId("keep").addEventListener("click", () => {
  if (!newest) return;
  reference.keep(plotted(), choices.period, pulse.now());
  choices.reference = "on";
  chosen();
});
byId("forget").addEventListener("click", () => {
  reference.forget();
  chosen();
});

const press = (choice) => document.querySelector(`[data-choice="${choice}"] [aria-pressed="false"]`).click();
const onMuons = () => tab === "muons" && !wall.on;
const showKeys = listen(
  byId("keys"),
  [
    { keys: tabs.map((_, i) => String(i + 1)), shown: ["1 to 8"], text: "open a view", run: (key) => openTab(tabs[key - 1]), when: () => !wall.on },
    { keys: [" ", "p"], text: "pause or resume the plots; verdicts and numbers always continue", run: () => pause(held === null) },
    { keys: ["r"], text: "histograms of the whole run, or of its last 30 s", run: () => press("period") },
    { keys: ["h"], text: "all hits, or those with a scintillator word", run: () => press("hits") },
    { keys: ["l"], text: "linear or logarithmic", run: () => press("scale") },
    { keys: ["f"], text: "with the reference, or alone", run: () => press("reference") },
    { keys: ["t"], text: "light or dark", run: () => press("theme") },
    { keys: ["w"], text: "the wall: a large display on which the views alternate", run: () => wall.toggle() },
    { keys: ["Escape"], text: "leave the wall", run: () => wall.toggle(), when: () => wall.on },
    { keys: ["ArrowLeft", "ArrowRight"], text: "on the wall: the previous view, the next one", run: (key) => wall.step(key === "ArrowLeft" ? -1 : 1), when: () => wall.on },
    { keys: ["s"], text: "in Muons: stop at this muon, or show the newest", run: () => muons.follow(!muons.live), when: onMuons },
    { keys: ["ArrowLeft", "ArrowRight"], text: "in Muons: the previous muon, the next one", run: (key) => muons.step(key === "ArrowLeft" ? -1 : 1), when: onMuons },
    { keys: ["k"], text: "in Muons: keep this muon in the link", run: () => muons.keep(), when: onMuons },
    { keys: ["?"], text: "this list", run: () => showKeys() },
  ],
  [[["Tab", "Enter"], "move through buttons and fields, and press them; arrows, Home and End move through the names of the views"]],
);
byId("to-keys").addEventListener("click", showKeys);

// --- start -----------------------------------------------------------------------------------------------------------

const wall = new Wall((name) => openTab(name), () => newest?.numbers);
byId("to-wall").addEventListener("click", () => wall.toggle());
onPaper(() => plots.shown(tab), () => plots.onPaper);
plots.about = () => ({ numbers: plotted().numbers, choices: { ...choices, reference: withReference() }, reference: reference.text(detector()) });

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
  received: () => newest?.numbers.sequence ?? 0,
};
// the choices stay below the header, whatever height it has
new ResizeObserver(([{ target }]) => root.style.setProperty("--header", `${target.offsetHeight}px`)).observe(document.querySelector("header"));
readAddress();
wall.begin();
showChoices();
showState();
setInterval(showState, 250);
reference.restore().then(chosen, console.error);
initAttention();
// who has shown the operators' token in another tab may act in this one too
addEventListener("visibilitychange", () => connected && !document.hidden && learnAccess(learned).catch(console.error));
follow({
  opened: (greeting) => {
    connected = true;
    refused = false;
    starting = greeting.starting;
    pulse.opened(greeting.server_time);
    reference.fetch().then(refresh, console.error);
    learnAccess(learned).catch(console.error);
    showState();
  },
  message: (decoded) => {
    pulse.beat(decoded);
    newest = decoded;
    // plots of another detector are other plots: there is nothing to hold
    if (held && held.numbers.detector.key !== detector()) pause(false);
    else refresh();
  },
  closed: (unauthorized) => {
    connected = false;
    refused = unauthorized ?? refused;
    showState();
  },
});
