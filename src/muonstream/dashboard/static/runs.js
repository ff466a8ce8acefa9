// The page of archived runs: the table with filter and sort, trends, overlays. The address has all that was chosen.

import { caller, learnAccess, nameField, send } from "./acknowledge.js";
import { dateTime, zoneName } from "./clock.js";
import { element, format, prefixed, setText } from "./format.js";
import { offerLink } from "./link.js";
import { flagBadge } from "./people.js";
import { onPaper } from "./paper.js";
import { drawing } from "./plots.js";

const ROWS = 50;
const MOST_OVERLAID = 8;
const SPARK = { width: 104, height: 26 };
const DELAY_MS = 200; // after the last letter typed
const AGAIN_MS = 20_000; // running runs go on
const root = document.documentElement;
const byId = (id) => document.getElementById(id);
const tabs = [...document.querySelectorAll("[role=tab]")].map((button) => button.id.slice(4));
const START = {
  view: "table", matching: "", state: "", level: "", flag: "", sort: "-begun", offset: "0",
  quantity: "hit rate", of: "", against: "time", runs: "", histogram: "drift_tdc", histogram_of: "", counts: "linear",
};
const FIELDS = {
  matching: "matching", state: "of-state", level: "of-level", flag: "of-flag", quantity: "quantity", of: "of",
  against: "against", histogram: "histogram", histogram_of: "histogram-of", counts: "counts",
};
const COLUMNS = [
  ["check", "", ""], ["name", "Run", "name"], ["number", "Number", "number"], ["begun", "Begun", "begun"],
  ["state-cell", "State", ""], ["live", "Live time", "live_time_s"], ["words", "Words", "words"],
  ["rate", "Hit rate", ""], ["worst", "Worst verdict", "worst"], ["flagged", "Flags", "flags"], ["comments", "Comments", "comments"],
];
const TO_RIGHT = ["number", "live", "words", "comments"];

const chosen = { ...START };
const names = new Map(); // of runs that were in the table, by address
const sparks = new Map(); // rates by address and the time at which the run was written
let shown = null; // the answer that the table shows
let turn = 0; // the newest question; answers to older ones are not shown
let quantities = null;
let loading = null; // BokehJS
const drawn = {}; // the plot of each view: { key, view, source, ... }

const selected = () => chosen.runs.split(",").filter(Boolean);
const hrefOf = (run) => `${encodeURIComponent(run)}/`;
const nameOf = (run) => names.get(run) ?? run.replace(/^\d{8}T\d{6}Z_/, "");

// --- the address -----------------------------------------------------------------------------------------------------

function readAddress() {
  Object.assign(chosen, START);
  for (const [key, value] of new URLSearchParams(location.hash.slice(1))) if (key in START) chosen[key] = value;
  if (!tabs.includes(chosen.view)) chosen.view = START.view;
}

function writeAddress() {
  const query = new URLSearchParams(Object.entries(chosen).filter(([key, value]) => value !== START[key]));
  history.replaceState(null, "", `${location.pathname}${query.size ? `#${query}` : ""}`);
}

function change(changes) {
  Object.assign(chosen, changes);
  writeAddress();
  return show();
}

// --- asking ----------------------------------------------------------------------------------------------------------

async function ask(address) {
  const answer = await fetch(`../api/runs${address}`, { cache: "no-store" });
  if (answer.status === 401) throw new Error("401: the token is missing or has changed; open the page with ?token=… again");
  if (!answer.ok) throw new Error((await answer.text()).trim() || `${answer.status}`);
  return answer.json();
}

/** Do something, and say what went wrong with it where something did. */
async function saying(work) {
  try {
    await work();
    byId("trouble").hidden = true;
  } catch (error) {
    if (error.name === "AbortError") return;
    setText(byId("trouble"), error instanceof TypeError ? "The server does not answer." : error.message);
    byId("trouble").hidden = false;
  }
}

// --- the table -------------------------------------------------------------------------------------------------------

async function showTable() {
  const mine = ++turn;
  const query = new URLSearchParams({ sort: chosen.sort, offset: chosen.offset, limit: ROWS });
  for (const key of ["matching", "state", "level", "flag"]) if (chosen[key]) query.set(key, chosen[key]);
  const answer = await ask(`?${query}`);
  if (mine !== turn) return;
  for (const { run, name } of answer.runs) names.set(run, name);
  const same = JSON.stringify(answer) === JSON.stringify(shown);
  shown = answer;
  if (!same) drawTable(); // what has not changed keeps its focus
  root.dataset.rows = answer.runs.length;
  await drawSparks(mine);
}

function drawTable() {
  const { runs, matching, total, live, refers, reference } = shown;
  byId("to-live").hidden = !live;
  const by = reference?.by ? `, set by ${reference.by}` : "";
  const since = reference?.since ? ` ${dateTime(reference.since)}` : "";
  setText(byId("reference-of"), reference ? `Reference of verdicts: ${reference.runs.join(", ")}${by}${since}` : "");
  document.querySelector("#runs thead tr").replaceChildren(...COLUMNS.map(heading));
  document.querySelector("#runs tbody").replaceChildren(...runs.map(row));
  const none = total ? "No run matches." : "The archive has no runs yet.";
  byId("no-runs").hidden = runs.length > 0;
  setText(byId("no-runs"), none);
  const from = Number(chosen.offset);
  const last = from + runs.length;
  const of = matching === total ? `${format(total)} runs` : `${format(matching)} matching runs, of ${format(total)}`;
  setText(byId("page-place"), runs.length ? `${format(from + 1)} to ${format(last)} of ${of}` : of);
  byId("page-back").disabled = from === 0;
  byId("page-on").disabled = last >= matching;
  byId("refer-selected").hidden = !refers || !caller()?.may_act;
  showSelection();
}

function heading([key, title, sort]) {
  const cell = element("th", `${key}${TO_RIGHT.includes(key) ? " n" : ""}`);
  cell.scope = "col";
  if (!sort) {
    cell.append(key === "check" ? element("span", "unseen", "Select") : title);
    return cell;
  }
  const [down, name] = [chosen.sort.startsWith("-"), chosen.sort.replace("-", "")];
  const button = element("button", "", title);
  button.type = "button";
  if (name === sort) cell.setAttribute("aria-sort", down ? "descending" : "ascending");
  button.onclick = async () => {
    const first = ["name", "number"].includes(sort) ? sort : `-${sort}`;
    const turned = chosen.sort.startsWith("-") ? sort : `-${sort}`;
    await change({ sort: name === sort ? turned : first, offset: "0" });
    document.querySelector(`#runs thead .${key} button`)?.focus();
  };
  cell.append(button);
  return cell;
}

function row(run) {
  const made = element("tr", selected().includes(run.run) ? "picked-row" : "");
  made.dataset.run = run.run;
  if (run.problem) {
    const fault = element("td", "fault", run.problem);
    fault.colSpan = COLUMNS.length - 1;
    made.append(element("td", "check"), fault);
    return made;
  }
  const check = element("input");
  check.type = "checkbox";
  check.checked = selected().includes(run.run);
  check.setAttribute("aria-label", `Select ${run.name}`);
  check.onchange = () => select(run.run, check.checked);
  const link = element("a", "", run.name || "unnamed run");
  link.href = hrefOf(run.run);
  const name = element("th", "name");
  name.scope = "row";
  name.append(link);
  if (run.source && run.source !== run.name) name.append(element("span", "from", run.source));
  const state = element("span", "row-state", run.state);
  state.dataset.state = run.state;
  const verdict = element("span", "verdict", { null: "Null", good: "Good", medium: "Medium", bad: "Bad" }[run.worst]);
  verdict.dataset.level = run.worst;
  verdict.title = run.headline;
  const flags = element("span", "flags");
  for (const flag of run.flags) flags.append(flagBadge(flag));
  const content = {
    check, number: run.number ? String(run.number) : "–", begun: run.begun ? dateTime(run.begun).slice(0, 16) : "–",
    "state-cell": state, live: format(run.live_time_s, "duration"), words: format(run.words), rate: element("span", "spark-place"),
    worst: verdict, flagged: flags, comments: run.comments ? String(run.comments) : "",
  };
  for (const [key] of COLUMNS) {
    if (key === "name") made.append(name);
    else {
      const cell = element("td", `${key}${TO_RIGHT.includes(key) ? " n" : ""}`);
      cell.append(content[key]);
      made.append(cell);
    }
  }
  return made;
}

/** Draw the rate in the course of each run that is shown: it comes after the table, out of the runs' files. */
async function drawSparks(mine) {
  const key = ({ run, written }) => `${run} ${written}`;
  const missing = shown.runs.filter((run) => !run.problem && !sparks.has(key(run)));
  if (missing.length) {
    const { rates } = await ask(`/rates?${new URLSearchParams(missing.map(({ run }) => ["run", run]))}`);
    for (const run of missing) sparks.set(key(run), rates[run.run] ?? []);
  }
  if (mine !== turn) return;
  for (const run of shown.runs) {
    const place = document.querySelector(`tr[data-run="${CSS.escape(run.run)}"] .spark-place`);
    const rates = sparks.get(key(run));
    const mean = rates?.length ? rates.reduce((sum, rate) => sum + rate, 0) / rates.length : 0;
    if (place && rates?.length) place.replaceChildren(spark(rates), element("span", "mean", `${prefixed(mean)}Hz`));
  }
  root.dataset.sparks = String(mine);
}

function spark(rates) {
  const most = Math.max(...rates);
  const y = (rate) => SPARK.height - 2 - (most > 0 ? (rate / most) * (SPARK.height - 4) : 0);
  const x = (i) => (rates.length > 1 ? (i / (rates.length - 1)) * SPARK.width : 0);
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  made.setAttribute("class", "spark");
  made.setAttribute("viewBox", `0 0 ${SPARK.width} ${SPARK.height}`);
  made.setAttribute("role", "img");
  const [low, high] = [Math.min(...rates), most].map((rate) => prefixed(rate));
  made.setAttribute("aria-label", `hit rate from ${low}Hz to ${high}Hz`);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const points = rates.map((rate, i) => `${x(i).toFixed(1)} ${y(rate).toFixed(1)}`);
  if (rates.length === 1) points.push(`${SPARK.width} ${y(rates[0]).toFixed(1)}`);
  path.setAttribute("d", `M${points.join("L")}`);
  const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
  title.textContent = `${low}Hz to ${high}Hz`;
  made.append(title, path);
  return made;
}

// --- what is selected ------------------------------------------------------------------------------------------------

function select(run, on) {
  const runs = selected().filter((other) => other !== run);
  if (on) runs.push(run);
  chosen.runs = runs.join(",");
  writeAddress();
  document.querySelector(`tr[data-run="${CSS.escape(run)}"]`)?.classList.toggle("picked-row", on);
  showSelection();
}

function showSelection() {
  const runs = selected();
  setText(byId("selected"), runs.length ? `${runs.length} selected` : "Nothing selected");
  byId("overlay-selected").disabled = runs.length < 1 || runs.length > MOST_OVERLAID;
  byId("overlay-selected").title = `Overlay a histogram of up to ${MOST_OVERLAID} runs, with ratios`;
  byId("refer-selected").disabled = !runs.length;
  byId("refer-selected").title = "Reference for the verdicts of the live run, and for everybody who views it";
  byId("clear-selected").disabled = !runs.length;
}

byId("overlay-selected").addEventListener("click", () => change({ view: "overlay" }));
byId("clear-selected").addEventListener("click", () => change({ runs: "" }));
byId("refer-selected").addEventListener("click", () => {
  const form = element("form");
  const name = nameField();
  const refused = element("span", "refused");
  const make = element("button", "", `Compare verdicts with ${selected().length === 1 ? nameOf(selected()[0]) : `these ${selected().length} runs`}`);
  form.append(name, make, refused);
  form.onsubmit = async (event) => {
    event.preventDefault();
    const text = await send("../api/reference", { runs: selected(), name: name.value.trim() });
    if (text) setText(refused, text);
    else {
      form.remove();
      await saying(showTable);
    }
  };
  form.onkeydown = ({ key }) => key === "Escape" && form.remove();
  byId("refer-form").replaceChildren(form);
  name.focus();
});
byId("page-back").addEventListener("click", () => change({ offset: String(Math.max(0, Number(chosen.offset) - ROWS)) }));
byId("page-on").addEventListener("click", () => change({ offset: String(Number(chosen.offset) + ROWS) }));

// --- plots -----------------------------------------------------------------------------------------------------------

/** BokehJS, which only plots need: the table does not wait for it. */
const bokeh = () =>
  (loading ??= new Promise((done, failed) => {
    const script = element("script");
    script.src = "../bokeh/bokeh.min.js";
    script.onload = done;
    script.onerror = () => failed(new Error("BokehJS could not be loaded"));
    document.head.append(script);
  }));

/** The plot of a view, described by the server, drawn again when it is another one. */
async function plot(view, name, runs = 1) {
  const theme = root.dataset.theme;
  const key = `${name} ${theme} ${runs}`;
  if (drawn[view]?.key === key) return drawn[view];
  await bokeh();
  const answer = await fetch(`plots.json?plot=${name}&theme=${theme}&runs=${runs}`);
  if (!answer.ok) throw new Error(`plots.json: ${answer.status}`);
  const description = await answer.json();
  drawn[view]?.view.clear();
  const canvas = byId(`${view}-plot`);
  canvas.style.minHeight = `${description.height}px`;
  drawn[view] = { ...(await drawing(description, canvas, { text: 1, height: 1 })), key, plot: description, canvas };
  return drawn[view];
}

/** Unix seconds as an axis of times of day in this browser's zone has them. */
const localMs = (seconds) => 1000 * seconds - 60_000 * new Date(1000 * seconds).getTimezoneOffset();

async function showTrend() {
  quantities ??= await ask("/quantities");
  if (!quantities.length) throw new Error("No run of the archive has quantities yet.");
  if (!quantities.some(({ name }) => name === chosen.quantity)) chosen.quantity = quantities[0].name;
  const subjects = quantities.filter(({ name }) => name === chosen.quantity).map(({ subject }) => subject);
  if (!subjects.includes(chosen.of)) chosen.of = subjects[0];
  fillSelect(byId("quantity"), [...new Set(quantities.map(({ name }) => name))].map((name) => [name, name]), chosen.quantity);
  fillSelect(byId("of"), subjects.map((subject) => [subject, subject || "whole detector"]), chosen.of);
  byId("against").value = chosen.against;
  const mine = ++turn;
  const found = await ask(`/trend?${new URLSearchParams({ quantity: chosen.quantity, of: chosen.of })}`);
  const made = await plot("trend", chosen.against === "run" ? "trend_by_run" : "trend");
  if (mine !== turn) return;
  const errors = found.errors.map((error) => error ?? 0);
  const x = found.begun.map((begun, i) => (chosen.against === "run" ? i + 1 : localMs(begun)));
  const unit = found.unit ? ` ${found.unit}` : "";
  found.runs.forEach((run, i) => names.set(run, found.names[i]));
  made.source.data = {
    x, y: found.values,
    low: found.values.map((value, i) => value - errors[i]), high: found.values.map((value, i) => value + errors[i]),
    name: found.names,
    text: found.values.map((value, i) => `${Number(value.toPrecision(6))}${errors[i] ? ` ± ${Number(errors[i].toPrecision(2))}` : ""}${unit}`),
  };
  made.document.get_model_by_name("y").axis_label = `${found.quantity}${found.unit ? ` [${found.unit}]` : ""}`;
  setText(byId("trend-title"), `${found.subject ? `${found.subject}: ` : ""}${found.quantity}`);
  const bars = found.errors.some((error) => error !== null) ? "Bars are one standard deviation." : "No errors are known.";
  setText(byId("trend-note"), `${format(found.runs.length)} runs. ${bars}`);
  made.source.selected.indices = [];
  if (!made.listening) {
    made.listening = true;
    made.source.selected.properties.indices.change.connect(() => pick(made));
  }
  made.runs = found.runs;
  root.dataset.points = found.runs.length;
}

function pick({ source, runs }) {
  const [first] = source.selected.indices;
  if (first === undefined) return;
  const link = element("a", "", source.data.name[first] || "unnamed run");
  link.href = hrefOf(runs[first]);
  byId("picked").replaceChildren(link, ` ${source.data.text[first]}`);
}

async function showOverlay() {
  const runs = selected().slice(0, MOST_OVERLAID);
  byId("overlay-none").hidden = runs.length > 0;
  byId("overlay-some").hidden = !runs.length;
  if (!runs.length) return;
  const mine = ++turn;
  const query = new URLSearchParams(runs.map((run) => ["run", run]));
  query.set("histogram", chosen.histogram);
  query.set("of", chosen.histogram_of);
  const found = await ask(`/overlay?${query}`);
  const made = await plot("overlay", chosen.counts === "log" ? "overlay_log" : "overlay", runs.length);
  if (mine !== turn) return;
  fillSelect(byId("histogram"), found.histograms.map(({ name, title }) => [name, title]), chosen.histogram);
  const { subjects } = found.histograms.find(({ name }) => name === chosen.histogram);
  fillSelect(byId("histogram-of"), subjects.map((one) => [one, one || "whole detector"]), chosen.histogram_of || subjects[0]);
  byId("counts").value = chosen.counts;
  const data = { x: found.edges };
  found.curves.forEach(({ y, ratio }, i) => {
    const counts = chosen.counts === "log" ? y.map((n) => (n > 0 ? n : NaN)) : y;
    data[`y${i}`] = [...counts, counts.at(-1)];
    data[`ratio${i}`] = [...ratio, ratio.at(-1)].map((value) => value ?? NaN);
  });
  made.source.data = data;
  made.document.get_model_by_name("x").axis_label = found.label;
  setText(byId("overlay-title"), found.title);
  const body = document.querySelector("#overlaid tbody");
  body.replaceChildren(...found.curves.map((curve, i) => overlaidRow(curve, made.plot.legend[i], i)));
  root.dataset.overlaid = found.curves.length;
}

function overlaidRow({ run, name, begun, entries, sigma }, { color, dash }, i) {
  names.set(run, name);
  const made = element("tr");
  const key = element("span", "key-line");
  key.style.setProperty("--color", color);
  key.dataset.dash = dash;
  const link = element("a", "", name || "unnamed run");
  link.href = hrefOf(run);
  const head = element("th");
  head.scope = "row";
  head.append(key, link);
  const remove = element("button", "", "Remove");
  remove.type = "button";
  remove.setAttribute("aria-label", `Remove ${name}`);
  remove.onclick = () => change({ runs: selected().filter((other) => other !== run).join(",") });
  const last = element("td");
  last.append(remove);
  const shape = i ? `${sigma.toFixed(1)} sigma` : "–";
  made.append(head, element("td", "begun", dateTime(begun).slice(0, 16)), element("td", "n", format(entries)), element("td", "n", shape), last);
  return made;
}

function fillSelect(place, options, value) {
  if (JSON.stringify(options) !== place.dataset.options) {
    place.dataset.options = JSON.stringify(options);
    place.replaceChildren(...options.map(([key, text]) => new Option(text, key)));
  }
  place.value = value;
}

// --- what is shown ---------------------------------------------------------------------------------------------------

function show() {
  for (const name of tabs) {
    const button = byId(`tab-${name}`);
    button.setAttribute("aria-selected", String(name === chosen.view));
    button.tabIndex = name === chosen.view ? 0 : -1;
    byId(`panel-${name}`).hidden = name !== chosen.view;
  }
  for (const button of byId("themes").children) button.setAttribute("aria-pressed", String(button.dataset.value === root.dataset.theme));
  for (const key of ["matching", "state", "level", "flag"]) if (byId(FIELDS[key]).value !== chosen[key]) byId(FIELDS[key]).value = chosen[key];
  return saying({ table: showTable, trend: showTrend, overlay: showOverlay }[chosen.view]);
}

let typing = null;
for (const [key, id] of Object.entries(FIELDS)) {
  byId(id).addEventListener("input", ({ target }) => {
    clearTimeout(typing);
    const changes = { [key]: target.value };
    if (["matching", "state", "level", "flag"].includes(key)) changes.offset = "0";
    typing = setTimeout(() => change(changes), target.type === "search" ? DELAY_MS : 0);
  });
}
byId("filters").addEventListener("submit", (event) => event.preventDefault());
const tabList = document.querySelector("[role=tablist]");
tabList.addEventListener("click", ({ target }) => target.closest("[role=tab]") && change({ view: target.id.slice(4) }));
tabList.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  change({ view: tabs[(tabs.indexOf(chosen.view) + step + tabs.length) % tabs.length] });
  byId(`tab-${chosen.view}`).focus();
});
byId("themes").addEventListener("click", ({ target }) => {
  const value = target.closest("button")?.dataset.value;
  if (!value) return;
  root.dataset.theme = value;
  browserStorage.keep("muonstream.theme", value);
  show();
});
offerLink(byId("link"));
onPaper(() => (drawn[chosen.view] ? [drawn[chosen.view]] : []), () => drawn[chosen.view]?.plot.on_paper ?? {});
addEventListener("hashchange", () => {
  readAddress();
  show();
});
document.querySelector("#runs").setAttribute("aria-label", `Archived runs; times are in ${zoneName(Date.now() / 1000)}`);
setInterval(() => chosen.view === "table" && !document.hidden && saying(showTable), AGAIN_MS);
window.muonstream = { values: (view, column) => Array.from(drawn[view]?.source.data[column] ?? []) };
new ResizeObserver(([{ target }]) => root.style.setProperty("--header", `${target.offsetHeight}px`)).observe(document.querySelector("header"));
readAddress();
show();
learnAccess(() => shown && drawTable(), "../api/access").catch(console.error);
