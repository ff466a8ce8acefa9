// The reference: counts to compare with, set in this browser or given to the server, and what is said of them.

import { dateTime } from "./clock.js";
import { format, runName } from "./format.js";
import { decode } from "./stream.js";

const KEPT_AS = "muonstream.reference";
const PERIODS = { run: "the whole run", recent: "its last 30 s" };

/** Holds the reference that was set here, which outlives the page, and the server's; the first goes first. */
export class Reference {
  constructor() {
    this.here = null; // { arrays, numbers, set, period }
    this.servers = null;
    this.trouble = "";
  }

  get current() {
    return this.here ?? this.servers;
  }

  /** Make a message the reference: of its run, or of its last 30 s. */
  keep(message, period, now) {
    this.here = { ...message, set: now, period };
    const whole = JSON.stringify({ set: now, period, message: base64(message.buffer) });
    this.trouble = browserStorage.keep(KEPT_AS, whole) ? "" : " This browser stores nothing, so the reference is lost when you leave the page.";
  }

  forget() {
    this.here = null;
    this.trouble = "";
    browserStorage.keep(KEPT_AS, null);
  }

  /** Bring back the one that was set here. */
  async restore() {
    try {
      const kept = JSON.parse(browserStorage.kept(KEPT_AS));
      if (kept) this.here = { ...(await decode(buffer(kept.message))), set: Number(kept.set), period: kept.period };
    } catch {
      this.trouble = " The reference that was set in this browser can no longer be read.";
    }
  }

  /** Fetch the one that the server has. */
  async fetch() {
    const answer = await fetch("reference");
    this.servers = answer.status === 200 ? { ...(await decode(await answer.arrayBuffer())), set: null, period: "run" } : null;
  }

  fits(detector) {
    return this.current !== null && this.current.numbers.detector.key === detector;
  }

  /** Its counts of an array by name, whose period is left open: {period}. */
  counts(name) {
    return this.current?.arrays.get(name.replace("{period}", this.current.period));
  }

  /** What it is, since when, from which run; or what to do about it where there is none. */
  text(detector) {
    const { current, trouble } = this;
    if (!current) return `There is no reference yet: Set reference uses what is shown now; run --reference uses another run.${trouble}`;
    const { numbers, set, period } = current;
    const from = set === null ? "set in the engine, for verdicts and for everybody" : `set in this browser ${dateTime(set)}`;
    const what = `${PERIODS[period]}, ${format(numbers.account.hits)} hits in the run as of ${dateTime(numbers.wall_time)}`;
    const other = this.fits(detector) ? "" : " It is of another detector file and therefore not shown.";
    return `Reference: ${runName(numbers.run)} (${what}), ${from}.${other}${trouble}`;
  }
}

function base64(buffer) {
  const bytes = new Uint8Array(buffer);
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}

const buffer = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
