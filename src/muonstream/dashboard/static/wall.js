// The wall: one screen, large, without anything to press; views in turn.

import { setText } from "./format.js";

const VIEWS = {
  verdicts: "overview",
  rates: "overview",
  occupancy: "overview",
  timing: "overview",
  muons: "muons",
};
const SECONDS = 15;
const LETTERS = 0.025; // of the screen's height: what can be read from five metres on a screen a metre high
const PLOT_LETTERS_PX = 11; // as the server describes plots

const root = document.documentElement;
const byId = (id) => document.getElementById(id);

/** Rows of alarms that are not wholly in their place: after those that are, in a column of which nothing is seen. */
function outside(rows) {
  const place = byId("alarms").getBoundingClientRect();
  return rows.filter((row) => {
    const { left, bottom } = row.getBoundingClientRect();
    return left > place.left + 1 || bottom > place.bottom + 1;
  });
}

/** The address says ?wall, or which views and how long each: ?wall=verdicts,rates&every=20. */
export class Wall {
  /** open(tab): shows a tab; numbers(): the newest ones, which say whether there are muons. */
  constructor(open, numbers) {
    this.open = open;
    this.numbers = numbers;
    this.on = false;
    this.at = 0;
    this.timer = null;
    this.views = Object.keys(VIEWS);
    this.seconds = SECONDS;
    this.asked = "";
    addEventListener("resize", () => this.on && this.show());
  }

  /** Do what the address says. */
  begin() {
    const asked = new URLSearchParams(location.search);
    if (!asked.has("wall")) return;
    const chosen = asked.get("wall").split(",").filter((name) => name in VIEWS);
    if (chosen.length) this.views = chosen;
    const seconds = Number(asked.get("every"));
    if (seconds >= 2) this.seconds = seconds;
    this.asked = location.search;
    this.toggle();
  }

  /** What the address says of it. */
  get query() {
    return this.on ? this.asked || "?wall" : "";
  }

  /** How many times larger than usual plots are drawn. */
  get factor() {
    if (this.on) return Math.max(1, (LETTERS * innerHeight) / PLOT_LETTERS_PX);
    return innerWidth >= 3000 ? 2 : 1;
  }

  toggle() {
    this.on = !this.on;
    clearInterval(this.timer);
    if (this.on) {
      this.before = root.dataset.tab ?? "overview";
      this.at = 0;
      this.timer = setInterval(() => this.step(1), 1000 * this.seconds);
      this.show();
    } else {
      delete root.dataset.wall;
      this.count();
      this.open(this.before);
    }
  }

  /** The views that have something to show. */
  get possible() {
    const views = this.views.filter((name) => name !== "muons" || this.numbers()?.muons);
    return views.length ? views : ["verdicts"];
  }

  /** Go to the next view, or back. */
  step(by) {
    const { possible } = this;
    this.at = (this.at + by + possible.length) % possible.length;
    clearInterval(this.timer);
    this.timer = setInterval(() => this.step(1), 1000 * this.seconds);
    this.show();
  }

  show() {
    const { name } = this;
    root.dataset.wall = name;
    this.open(VIEWS[name]);
  }

  /** Show another view where there is something to show that was not, as the first muons of a run. */
  follow() {
    if (this.on && root.dataset.wall !== this.name) this.show();
  }

  get name() {
    const { possible } = this;
    return possible[Math.min(this.at, possible.length - 1)];
  }

  /** Show the alarms that fit, whole, and how many more there are: nothing is left out in silence. */
  count() {
    const more = byId("more-alarms");
    more.hidden = true;
    const rows = [...document.querySelectorAll("#alarms .alarm")];
    for (const row of rows) row.classList.remove("no-room");
    if (!this.on || root.dataset.wall !== "verdicts") return;
    if (!outside(rows).length) return;
    more.hidden = false; // takes room itself
    const left = outside(rows);
    for (const row of left) row.classList.add("no-room");
    const bad = left.filter((row) => row.dataset.level === "bad").length;
    setText(more, `${left.length < rows.length ? "and " : ""}${left.length} more alarm${left.length > 1 ? "s" : ""}${bad ? `, ${bad} of them bad` : ""}`);
  }

  /** Make plots as high as their places are. */
  fit(plots) {
    if (!this.on) return;
    for (const { canvas, model } of plots.shown(VIEWS[root.dataset.wall])) {
      const height = canvas.clientHeight;
      if (height > 50 && Math.abs(model.height - height) > 2) model.height = Math.floor(height);
    }
  }
}
