// The muons' page: its cards, and which muon the event display shows: the newest, one that was stopped at, or a kept one.

import { direction, drawMuon, muonOf, packed, unpacked, when, wholeView } from "./events.js";
import { element, format } from "./format.js";

const byId = (id) => document.getElementById(id);
const REMEMBERED = 200; // muons that can be stepped through

export class Muons {
  /** changed(): called when what the address should say is another. */
  constructor(changed) {
    this.changed = changed;
    this.telescope = []; // where cells are
    this.placesOf = ""; // of which detector that is
    this.seen = []; // the oldest first
    this.shown = null;
    this.kept = null;
    this.keptText = "";
    this.live = true;
    this.run = "";
    this.detector = "";
    this.note = "";
    byId("event-live").onclick = () => this.follow(!this.live);
    byId("event-back").onclick = () => this.step(-1);
    byId("event-forward").onclick = () => this.step(1);
    byId("event-keep").onclick = () => this.keep();
    byId("event-kept").onclick = () => this.showKept();
  }

  /**
   * Take a message: its numbers, and the colours of chambers; hold: leave the display at the muon that it shows. Raises
   * an Error when cells' places are not available.
   */
  async show(numbers, colors, hold) {
    const { muons } = numbers;
    document.documentElement.dataset.muons = String(muons !== null);
    if (muons === null) return;
    if (numbers.run !== this.run || numbers.detector.key !== this.detector) {
      this.seen = [];
      this.run = numbers.run;
      this.detector = numbers.detector.key;
      if (this.shown && this.shown !== this.kept) this.shown = null;
    }
    if (this.placesOf !== this.detector) {
      const answer = await fetch("telescope.json");
      if (!answer.ok) throw new Error(`telescope.json: ${answer.status}`);
      const places = await answer.json();
      this.telescope = places.chambers;
      this.placesOf = places.detector;
      this.drawn = null;
    }
    showChambers(muons.chambers, numbers.chambers, colors, this.telescope);
    if (muons.last) this.remember([muons.last]);
    if (this.live && this.seen.length && !(hold && this.shown)) this.shown = this.seen.at(-1);
    this.draw();
    if (muons.last && this.telescope.length) showLast(this.seen.at(-1), this.telescope);
  }

  /** Note muons; each once, in order of time. */
  remember(given) {
    const known = new Map(this.seen.map((muon) => [muon.id, muon]));
    for (const one of given) {
      if (!known.has(one.id)) known.set(one.id, muonOf({ ...one, run: this.run, detector: this.detector }));
    }
    this.seen = [...known.values()].sort((a, b) => a.epoch - b.epoch || a.orbit - b.orbit || a.t0 - b.t0).slice(-REMEMBERED);
  }

  /** Show the newest from now on, or stop at the one that is shown. */
  async follow(live) {
    this.live = live;
    this.note = "";
    if (live && this.seen.length) this.shown = this.seen.at(-1);
    this.changed();
    this.draw();
    if (!live) await this.fetchRing();
  }

  /** The newest muons that the server has, for steps back. */
  async fetchRing() {
    const answer = await fetch("api/muons");
    if (!answer.ok) return;
    const ring = await answer.json();
    if (ring.run === this.run) this.remember(ring.muons);
    this.draw();
  }

  /** Go to the muon before or after the one shown. */
  async step(by) {
    if (this.live) await this.follow(false);
    const at = this.place();
    const to = this.seen[Math.min(Math.max((at < 0 ? this.seen.length : at) + by, 0), this.seen.length - 1)];
    if (to) this.shown = to;
    this.note = "";
    this.changed();
    this.draw();
  }

  place() {
    return this.shown ? this.seen.findIndex(({ id }) => id === this.shown.id) : -1;
  }

  /** Keep the muon that is shown, or let go of it. */
  async keep() {
    if (!this.shown) return;
    if (this.isKept()) {
      this.kept = null;
      this.keptText = "";
    } else {
      this.kept = this.shown;
      this.keptText = await packed(this.kept);
      this.live = false;
    }
    this.note = "";
    this.changed();
    this.draw();
    if (this.kept) await this.fetchRing();
  }

  isKept() {
    return this.kept !== null && this.shown !== null && this.kept.id === this.shown.id && this.kept.run === this.shown.run;
  }

  showKept() {
    if (!this.kept) return;
    this.live = false;
    this.shown = this.kept;
    this.note = "";
    this.changed();
    this.draw();
  }

  /** What the address says of it: the kept muon, while it is shown. */
  get address() {
    return this.isKept() ? this.keptText : "";
  }

  /** Show the muon that an address has. */
  async restore(text) {
    if (!text || text === this.keptText) return;
    try {
      const muon = await unpacked(text);
      this.kept = muon;
      this.keptText = text;
      this.shown = muon;
      this.note = "";
    } catch {
      this.note = "The link's muon cannot be read; the link may be incomplete.";
    }
    this.live = false;
    this.draw();
  }

  draw() {
    const { shown } = this;
    const at = this.place();
    byId("event-live").textContent = this.live ? "Stop" : "Go live";
    byId("event-back").disabled = at === 0 || !this.seen.length;
    byId("event-forward").disabled = this.live || at === this.seen.length - 1 || !this.seen.length;
    byId("event-keep").disabled = !shown;
    byId("event-keep").setAttribute("aria-pressed", String(this.isKept()));
    byId("event-keep").textContent = this.isKept() ? "Let go" : "Keep";
    byId("event-kept").hidden = !this.kept || this.isKept();
    const place = this.live ? "the newest" : at < 0 ? "" : `${at + 1} of ${this.seen.length}`;
    byId("event-place").textContent = [place, this.isKept() ? "kept" : ""].filter(Boolean).join(", ");
    byId("event").dataset.mode = this.live ? "live" : this.isKept() ? "kept" : "stopped";
    const foreign = shown && (shown.run !== this.run || shown.detector !== this.detector);
    const notes = [this.note, foreign && shown.run !== this.run ? `From run ${shown.run || "without a name"}, not from the run above.` : ""];
    if (foreign && shown.detector !== this.detector) notes.push("From another detector file: cells may be in other places.");
    byId("event-note").textContent = notes.filter(Boolean).join(" ");
    byId("event-none").hidden = Boolean(shown);
    byId("event-facts").hidden = !shown;
    if (!shown || !this.telescope.length || this.drawn === shown) return;
    this.drawn = shown;
    byId("event").dataset.muon = shown.id;
    byId("event-zenith").textContent = direction(shown).join(" ").trim();
    byId("event-time").textContent = when(shown);
    byId("event-hits").textContent = `${shown.hits.length}, ${shown.hits.filter((hit) => hit.side).length} in segments`;
    byId("event-t0").textContent = `${format(shown.t0, "ns")} into orbit ${format(shown.orbit)}`;
    drawMuon(byId("event-views"), this.telescope, shown);
  }
}

/** The last muon, small, on the overview. */
function showLast(muon, telescope) {
  const card = byId("last-muon");
  if (card.dataset.muon === muon.id) return;
  card.dataset.muon = muon.id;
  const [angle, view] = direction(muon);
  byId("last-zenith").textContent = angle;
  // a number and its unit stay on a line
  const time = `at ${when(muon)}`.replaceAll(" ", "\u00a0");
  byId("last-time").textContent = [view, time].filter(Boolean).join(", ");
  const views = ["x", "y"].filter((view) => telescope.some((chamber) => chamber.view === view));
  byId("last-picture").replaceChildren(...views.map((view) => wholeView(telescope, view, muon)));
}

function showChambers(chambers, named, colors, telescope) {
  const place = byId("muon-chambers");
  if (place.children.length !== chambers.length) {
    place.replaceChildren(
      ...chambers.map(() => {
        const card = element("div", "card");
        card.append(element("span", "label"), element("span", "value rate"), element("span", "sub full"), element("span", "sub share"), element("span", "sub sigma"));
        return card;
      }),
    );
  }
  chambers.forEach((chamber, c) => {
    const card = place.children[c];
    card.style.setProperty("--color", colors[c] ?? "transparent");
    card.dataset.dashed = String(colors.indexOf(colors[c]) < c); // as its curve, where there are more than colours
    const write = (part, text) => (card.querySelector(part).textContent = text);
    write(".label", named[c].name);
    write(".rate", `${format(chamber.segments_hz, "rate")}`);
    card.querySelector(".rate").dataset.value = chamber.segments ?? "";
    write(".full", `segments, ${chamber.segments ? format(chamber.full / chamber.segments, "percent") : "–"} in all layers`);
    // by muons that every other chamber saw, where there are some: the line of one other chamber is wrong more often
    const { tagged } = chamber;
    const byTags = tagged.share !== null;
    const { share, low, high } = byTags ? tagged : { share: chamber.efficiency, low: chamber.efficiency_low, high: chamber.efficiency_high };
    const interval = `(${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)})`;
    const { view } = telescope[c];
    const alone = telescope.filter((other) => other.view === view).length < 2;
    const unknown = `efficiency not known${alone ? `: no other chamber in view ${view}` : ""}`;
    write(".share", share === null ? unknown : `efficiency ${format(share, "percent")} ${interval}`);
    card.querySelector(".share").title = share === null ? "" : byTags ? "Tagged by every other chamber, of both views" : "By lines through other chambers of the view";
    write(".sigma", chamber.sigma_um === null ? "resolution not known" : `resolution ${chamber.sigma_um.toFixed(0)} ± ${chamber.sigma_error_um.toFixed(0)} um, ${(100 * chamber.tail).toFixed(0)} % with a wrong hit`);
  });
}
