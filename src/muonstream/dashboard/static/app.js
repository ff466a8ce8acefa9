// The live page: one message a snapshot, drawn by BokehJS into plots that are embedded once.

const STALE_S = 5;
const RETRY_MS = [500, 1000, 2000, 4000];
const SECTIONS = ["overview", "occupancy", "timing", "orbits", "course", "system"];
const root = document.documentElement;
const $ = (id) => document.getElementById(id);
const page = { header: null, arrays: null, received: 0, plots: [], shown: new Set(), scope: "run", hits: "all", section: "overview", tries: 0, connected: false };

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 1, notation: "compact" });

function rate(hz) {
  return hz >= 1e5 ? `${short.format(hz)}Hz` : `${hz >= 100 ? whole.format(hz) : hz.toFixed(1)} Hz`;
}

function duration(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const s = Math.floor(seconds);
  const parts = [Math.floor(s / 3600), Math.floor(s / 60) % 60, s % 60].map((n) => String(n).padStart(2, "0"));
  return parts.join(":");
}

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// cards are made once and their texts replaced, so that nothing flickers
function card(parent, key, label, value, small) {
  let dl = parent.querySelector(`[data-key="${key}"]`);
  if (!dl) {
    dl = element("dl", undefined, "card");
    dl.dataset.key = key;
    dl.append(element("dt"), element("dd"), element("dd", "", "small"));
    dl.children[1].dataset.testid = key;
    parent.append(dl);
  }
  dl.children[0].textContent = label;
  dl.children[1].textContent = value;
  dl.children[2].textContent = small || "";
  return dl;
}

function decode(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const values = new Float32Array(buffer, 4 + length);
  const arrays = {};
  for (const [name, [at, n]] of Object.entries(header.arrays)) arrays[name] = values.subarray(at, at + n);
  return [header, arrays];
}

function arrayOf(name) {
  if (name.startsWith("*")) {
    let rest = name.slice(1);
    if (rest.startsWith("?")) rest = page.hits === "all" ? rest.slice(1) : rest.slice(1).replace("cells_", "cells_scintillator_");
    return page.arrays[`${page.scope}/${rest}`];
  }
  return page.arrays[name];
}

const CHAMBER_COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9"];

function showNumbers() {
  const h = page.header;
  $("run").textContent = h.run || "unnamed run";
  $("source").textContent = h.source === h.run ? "" : h.source;
  document.title = `${h.run || "muonstream"} · muonstream`;
  const cards = $("cards");
  card(cards, "hits", "Hits", whole.format(h.account.hits), `of ${whole.format(h.account.words)} words`);
  card(cards, "hit_rate", "Hit rate", rate(h.hit_rate_hz), `last ${h.recent_s.toFixed(0)} s of data`);
  card(cards, "scintillator", "Scintillator", rate(h.scintillator_rate_hz), `${whole.format(h.account.scintillator)} words`);
  card(cards, "orbits", "Orbits with hits", whole.format(h.orbits_with_hits), `${whole.format(h.orbits_with_scintillator)} with a passage`);
  card(cards, "live", "Live time", duration(h.live_time_s), h.gaps || h.resets ? `${h.gaps} gaps, ${h.resets} resets` : "no gap");
  h.chambers.forEach((chamber, c) => {
    const dl = card($("chambers"), `chamber_${c}`, chamber.name, whole.format(chamber.hits), `${rate(chamber.rate_hz)} · ${whole.format(chamber.hits_with_scintillator)} with scintillator`);
    dl.style.setProperty("--colour", CHAMBER_COLOURS[c % CHAMBER_COLOURS.length]);
  });
  const rows = Object.entries(h.account).map(([name, n]) => {
    const row = element("tr", undefined, name === "words" ? "sum" : n && ["late", "stray", "malformed"].includes(name) ? "warn" : "");
    const number = element("td", whole.format(n));
    number.dataset.testid = `account-${name}`;
    row.append(number, element("td", name === "words" ? "words in" : name));
    return row;
  });
  $("account").replaceChildren(...rows);
  const lost = h.account.late + h.account.stray + h.account.malformed;
  const balance = $("balance");
  balance.textContent = h.residual ? `unbalanced by ${whole.format(h.residual)}` : lost ? `balanced, ${whole.format(lost)} not used` : "balanced";
  balance.className = `badge ${h.residual ? "bad" : lost ? "warn" : "good"}`;
  const late = Object.entries(h.late_by_input).map(([name, n]) => `${whole.format(n)} late words of source/board ${name}`);
  $("faults").replaceChildren(...[...h.faults, ...late].map((fault) => element("li", fault)));
  const system = $("system");
  card(system, "throughput", "Throughput", `${short.format(h.words_per_second)} words/s`, "by the wall clock");
  card(system, "data_time", "Data time", duration(h.data_time_s), "gaps included");
  card(system, "newest_orbit", "Newest orbit", whole.format(h.newest_orbit), `epoch ${h.epoch}`);
  card(system, "sequence", "Snapshot", whole.format(h.sequence), `detector ${h.detector}`);
  card(system, "rate_bin", "Rate bins", `${h.rate_bin_s.toFixed(1)} s`, "of data");
}

function showPlots() {
  if (!page.arrays) return;
  for (const plot of page.plots) {
    if (plot.section !== page.section || !plot.source) continue;
    const data = { ...plot.source.data };
    for (const [column, name] of Object.entries(plot.columns)) data[column] = arrayOf(name);
    plot.source.data = data;
    if (plot.colours) {
      let high = 1;
      for (const value of data.value) if (value > high) high = value;
      plot.colours.high = high;
    }
  }
  root.dataset.sequence = page.header.sequence;
}

function showState() {
  const h = page.header;
  let state = "connecting", age = "", notice = "";
  if (h) {
    const seconds = Math.max(0, h.wall_time - h.data_wall_time + (performance.now() - page.received) / 1000);
    age = h.account.words ? `data ${seconds < 1.5 ? "now" : `${duration(seconds)} old`}` : "no data yet";
    state = !page.connected ? "disconnected" : h.state === "running" && seconds > STALE_S ? "stale" : h.state;
    if (state === "stale") notice = `No new words for ${duration(seconds)}. What is shown is the state of then.`;
    if (state === "waiting") notice = "Waiting for the first words.";
    if (state === "ended") age = `ended, ${whole.format(h.account.words)} words`;
  }
  if (!page.connected && page.tries) {
    state = "disconnected";
    notice = "The connection is lost; trying again. What is shown is the last that was received.";
  }
  if (root.dataset.state !== state) root.dataset.state = state;
  if ($("state").textContent !== state) $("state").textContent = state;
  $("age").textContent = age;
  $("notice").textContent = notice;
  $("notice").hidden = !notice;
  for (const tag of document.querySelectorAll(".plot .age")) tag.textContent = state === "running" || state === "stale" || state === "disconnected" ? age.replace("data ", "") : "";
}

function colours() {
  const style = getComputedStyle(root);
  return { text: style.getPropertyValue("--text").trim(), muted: style.getPropertyValue("--muted").trim(), line: style.getPropertyValue("--line").trim() };
}

function paint(figure) {
  const c = colours();
  for (const axis of [...figure.below, ...figure.left]) {
    if (!axis.major_label_text_color) continue;
    axis.setv({ axis_label_text_color: c.muted, major_label_text_color: c.muted, axis_line_color: c.line, major_tick_line_color: c.line, minor_tick_line_color: null });
  }
  for (const grid of figure.center) if (grid.grid_line_color !== undefined) grid.grid_line_color = c.line;
  for (const legend of [...figure.above, ...figure.center]) if (legend.label_text_color !== undefined) legend.label_text_color = c.text;
}

async function embedSection(section) {
  for (const plot of page.plots) {
    if (plot.section !== section || plot.embedded) continue;
    plot.embedded = true;
    const holder = element("article", undefined, plot.wide ? "plot wide" : "plot");
    const title = element("h2");
    title.append(element("span", plot.title), element("span", "", "muted age"));
    const canvas = element("div", undefined, "canvas");
    canvas.id = `plot-${plot.name}`;
    holder.append(title, canvas);
    document.querySelector(`section[data-section="${section}"] .plots`).append(holder);
    const views = await Bokeh.embed.embed_item(plot.item, canvas.id);
    const model = (Array.isArray(views) ? views : [...views])[0].model;
    plot.figure = model;
    plot.source = model.document.get_model_by_name(`${plot.name}_source`);
    plot.colours = model.document.get_model_by_name(`${plot.name}_colours`);
    paint(model);
  }
  root.dataset.embedded = section;
}

let embedding = Promise.resolve();
function choose(section) {
  page.section = section;
  for (const name of SECTIONS) {
    document.querySelector(`section[data-section="${name}"]`).hidden = name !== section;
    $(`tab-${name}`).setAttribute("aria-selected", name === section);
    $(`tab-${name}`).tabIndex = name === section ? 0 : -1;
  }
  if (location.hash !== `#${section}`) history.replaceState(null, "", `#${section}`);
  embedding = embedding.then(() => embedSection(section)).then(showPlots);
}

async function load() {
  const answer = await fetch("/plots.json");
  if (!answer.ok) return;
  const plots = await answer.json();
  for (const area of document.querySelectorAll(".plots")) area.replaceChildren();
  page.plots = plots;
  choose(page.section);
}

function connect() {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => { page.connected = true; page.tries = 0; showState(); };
  socket.onmessage = async (event) => {
    [page.header, page.arrays] = decode(event.data);
    page.received = performance.now();
    showNumbers();
    showState();
    if (page.detector !== page.header.detector) {
      page.detector = page.header.detector;
      await load();
    } else {
      embedding = embedding.then(showPlots);
    }
  };
  socket.onclose = () => {
    page.connected = false;
    page.tries += 1;
    showState();
    setTimeout(connect, RETRY_MS[Math.min(page.tries, RETRY_MS.length) - 1]);
  };
}

function group(id, key) {
  $(id).addEventListener("click", (event) => {
    const value = event.target.dataset.value;
    if (!value) return;
    page[key] = value;
    for (const button of $(id).children) button.setAttribute("aria-pressed", button.dataset.value === value);
    showPlots();
  });
}

for (const name of SECTIONS) {
  const tab = element("button", name[0].toUpperCase() + name.slice(1));
  tab.id = `tab-${name}`;
  tab.type = "button";
  tab.setAttribute("role", "tab");
  tab.addEventListener("click", () => choose(name));
  $("tabs").append(tab);
}
$("tabs").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const next = SECTIONS[(SECTIONS.indexOf(page.section) + step + SECTIONS.length) % SECTIONS.length];
  choose(next);
  $(`tab-${next}`).focus();
});
group("scope", "scope");
group("hits", "hits");
$("theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("muonstream-theme", root.dataset.theme); } catch { /* kept for this visit only */ }
  for (const plot of page.plots) if (plot.figure) paint(plot.figure);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const plot of page.plots) if (plot.figure) paint(plot.figure);
});
if (SECTIONS.includes(location.hash.slice(1))) page.section = location.hash.slice(1);
// what the tests read: the data each plot holds
window.muonstream = { page, values: (plot, column) => Array.from(page.plots.find((p) => p.name === plot).source.data[column]) };
choose(page.section);
setInterval(showState, 250);
connect();
