// The event display: one muon, hit by hit, in both views. Drawn as SVG; nothing in it is ever markup.

import { element, format } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const LEAST_CELLS = 7; // shown of a chamber at least
const OVERHANG = 0.6; // how far lines are drawn beyond a chamber, in cells' heights
const DOT_MM = 2.2;

function shape(name, attributes, classes = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (classes) made.setAttribute("class", classes);
  return made;
}

/** A drawing with height upwards: from (x, z) in mm; box: { left, right, low, high }. */
function drawing(box, label) {
  const made = shape("svg", {
    viewBox: `${box.left} ${-box.high} ${box.right - box.left} ${box.high - box.low}`,
    role: "img",
    "aria-label": label,
  });
  return made;
}

const dot = (x, z, classes, r = DOT_MM) => shape("circle", { cx: x, cy: -z, r }, classes);

/** The line of a segment or track from one height to another. */
function line({ x, z, tan }, low, high, classes) {
  const at = (height) => x + tan * (z - height);
  return shape("line", { x1: at(high), y1: -high, x2: at(low), y2: -low }, classes);
}

/** The box of the whole telescope, the same for both views, with room at the sides. */
function boxOf(telescope) {
  const x = telescope.flatMap((chamber) => chamber.x.flatMap((wire) => [wire - chamber.width / 2, wire + chamber.width / 2]));
  const z = telescope.flatMap((chamber) => [top(chamber), bottom(chamber)]);
  const room = 60;
  return { left: Math.min(...x) - room, right: Math.max(...x) + room, low: Math.min(...z) - room, high: Math.max(...z) + room };
}

const top = (chamber) => chamber.middle + (chamber.layers * chamber.height) / 2;
const bottom = (chamber) => chamber.middle - (chamber.layers * chamber.height) / 2;
const chosen = (hit) => (hit.side > 0 ? hit.high : hit.low);

/** A view of the whole telescope, true to scale: chambers, hits, track. */
export function wholeView(telescope, view, event) {
  const chambers = telescope.filter((chamber) => chamber.view === view);
  const box = boxOf(telescope);
  const hits = event.hits.filter((hit) => chambers.some(({ number }) => number === hit.chamber));
  const tracks = event.tracks.filter((track) => track.view === view);
  const made = drawing(box, `View ${view}, whole: ${hits.length} hits, ${tracks.length ? `slope ${tracks[0].tan.toFixed(3)}` : "no track"}`);
  for (const chamber of chambers) {
    const left = Math.min(...chamber.x) - chamber.width / 2;
    const right = Math.max(...chamber.x) + chamber.width / 2;
    made.append(shape("rect", { x: left, y: -top(chamber), width: right - left, height: top(chamber) - bottom(chamber) }, "chamber"));
  }
  for (const track of tracks) made.append(line(track, box.low, box.high, "track"));
  for (const hit of hits) made.append(dot(hit.side ? chosen(hit) : (hit.low + hit.high) / 2, hit.z, hit.side ? "taken" : "loose", 18));
  return made;
}

/** A chamber's cells near its hits, enlarged: both images of each hit, segment and track. */
function chamberView(chamber, event) {
  const hits = event.hits.filter((hit) => hit.chamber === chamber.number);
  const segments = event.segments.filter((segment) => segment.chamber === chamber.number);
  const tracks = event.tracks.filter((track) => track.view === chamber.view);
  const x = [...hits.flatMap((hit) => [chamber.x[hit.cell] - chamber.width / 2, chamber.x[hit.cell] + chamber.width / 2]), ...segments.map((segment) => segment.x)];
  const half = Math.max((Math.max(...x) - Math.min(...x)) / 2 + chamber.width / 2, (LEAST_CELLS / 2) * chamber.width);
  const ends = [Math.min(...chamber.x) - chamber.width + half, Math.max(...chamber.x) + chamber.width - half];
  const wanted = (Math.min(...x) + Math.max(...x)) / 2;
  const middle = ends[0] < ends[1] ? Math.min(Math.max(wanted, ends[0]), ends[1]) : (ends[0] + ends[1]) / 2;
  const over = OVERHANG * chamber.height;
  const box = { left: middle - half, right: middle + half, low: bottom(chamber) - over, high: top(chamber) + over };
  const taken = hits.filter((hit) => hit.side).length;
  const made = drawing(box, `${chamber.name}: ${hits.length} hits, ${taken} of them in a segment`);
  const cells = shape("g", {});
  const marks = shape("g", {});
  const hitCells = new Map(hits.map((hit) => [hit.cell, hit.side]));
  chamber.x.forEach((wire, cell) => {
    if (wire + chamber.width / 2 < box.left || wire - chamber.width / 2 > box.right) return;
    const kind = hitCells.has(cell) ? (hitCells.get(cell) ? "cell taken" : "cell loose") : "cell";
    const z = chamber.z[cell];
    cells.append(shape("rect", { x: wire - chamber.width / 2, y: -z - chamber.height / 2, width: chamber.width, height: chamber.height }, kind));
    cells.append(dot(wire, z, "wire", 0.7));
  });
  for (const hit of hits) {
    marks.append(shape("line", { x1: hit.low, y1: -hit.z, x2: hit.high, y2: -hit.z }, hit.side ? "drift" : "drift loose"));
    for (const side of [-1, 1]) {
      const at = side < 0 ? hit.low : hit.high;
      const mark = dot(at, hit.z, hit.side === side ? "taken" : hit.side ? "image" : "loose");
      const title = document.createElementNS(SVG, "title");
      title.textContent = `${chamber.name}, cell ${hit.cell}: drift time ${hit.drift.toFixed(1)} ns`;
      mark.append(title);
      marks.append(mark);
    }
  }
  made.append(cells);
  for (const track of tracks) made.append(line(track, box.low, box.high, "track"));
  for (const segment of segments) made.append(line(segment, box.low, box.high, "segment"));
  made.append(marks);
  return made;
}

/** Draw a muon into a place: for each view the whole telescope and its chambers enlarged. */
export function drawMuon(place, telescope, event) {
  const views = ["x", "y"].filter((view) => telescope.some((chamber) => chamber.view === view));
  place.replaceChildren(
    ...views.map((view) => {
      const part = element("div", "event-view");
      const chambers = element("div", "event-chambers");
      const track = event.tracks.find((one) => one.view === view);
      chambers.append(element("p", "event-title", `View ${view}${track ? `: slope ${track.tan.toFixed(3)}` : ": no track"}`));
      for (const chamber of telescope.filter((one) => one.view === view)) {
        const strip = element("div", "event-chamber");
        const hits = event.hits.filter((hit) => hit.chamber === chamber.number);
        const segment = event.segments.find((one) => one.chamber === chamber.number);
        const found = segment ? `, chi2 ${segment.chi2.toFixed(1)}` : hits.length ? ", no segment" : "";
        strip.append(element("span", "event-name", `${chamber.name}: ${hits.length} hit${hits.length === 1 ? "" : "s"}${found}`));
        if (hits.length) strip.append(chamberView(chamber, event));
        chambers.append(strip);
      }
      const whole = element("div", "event-whole");
      whole.append(wholeView(telescope, view, event));
      part.append(whole, chambers);
      return part;
    }),
  );
}

/** A muon as the page has it, of what the server or a link gave. Raises an Error for what is none. */
export function muonOf(given) {
  const number = (value) => {
    if (typeof value !== "number" || !Number.isFinite(value)) throw new Error("no number");
    return value;
  };
  const known = (value) => (value === null || value === undefined ? null : number(value));
  const view = (value) => {
    if (value !== "x" && value !== "y") throw new Error("no view");
    return value;
  };
  if (given.hits.length > 1000 || given.segments.length > 100 || given.tracks.length > 2) throw new Error("too much");
  const straight = ([chamber, ofView, x, z, tan, chi2]) => ({
    chamber: number(chamber),
    view: view(ofView),
    x: number(x),
    z: number(z),
    tan: number(tan),
    chi2: number(chi2),
  });
  return {
    id: String(given.id),
    run: String(given.run ?? ""),
    detector: String(given.detector ?? ""),
    orbit: number(given.orbit),
    epoch: number(given.epoch),
    t0: number(given.t0_ns),
    time: known(given.data_time_s),
    zenith: known(given.zenith_deg),
    hits: given.hits.map(([chamber, cell, drift, low, high, z, side]) => ({
      chamber: number(chamber),
      cell: number(cell),
      drift: number(drift),
      low: number(low),
      high: number(high),
      z: number(z),
      side: number(side),
    })),
    segments: given.segments.map(straight),
    tracks: given.tracks.map(straight),
    given,
  };
}

/** What is said of a muon's direction: the angle, and in which view where it is known in one alone. */
export function direction(muon) {
  if (muon.zenith !== null) return [`${muon.zenith.toFixed(1)}°`, ""];
  const [track] = muon.tracks;
  return track ? [`${((Math.atan(track.tan) * 180) / Math.PI).toFixed(1)}°`, `in view ${track.view}`] : ["–", ""];
}

/** When a muon came. */
export const when = (muon) => (muon.time === null ? `orbit ${format(muon.orbit)} of epoch ${muon.epoch}` : format(muon.time, "duration"));

/** A muon as a text for a link, and back. */
export async function packed(muon) {
  const text = JSON.stringify({ ...muon.given, run: muon.run, detector: muon.detector });
  const bytes = await through(new TextEncoder().encode(text), new CompressionStream("deflate-raw"));
  const base64 = btoa(String.fromCharCode(...bytes));
  return base64.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** The muon that a link's text holds. Raises an Error for anything else. */
export async function unpacked(text) {
  if (text.length > 20_000) throw new Error("too long");
  const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
  return muonOf(JSON.parse(new TextDecoder().decode(await through(bytes, new DecompressionStream("deflate-raw")))));
}

const through = async (bytes, stream) => new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
