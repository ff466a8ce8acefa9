// Time: what it is and in which zone, how old data are, and whether the engine still answers.

const HUNG_SECONDS = 6; // without a message for so long an engine that sends one a second does not answer
const HUNG_INTERVALS = 3; // one that sends them more seldom is given so many of its own intervals
const INTERVALS_KEPT = 5;
const PACE_SECONDS = 10; // the pace of reading is that of so long
const READ_AHEAD = 2; // data that come so many times faster than they were taken are read, not taken now

const two = (n) => String(n).padStart(2, "0");

/** 14:03:22, in the browser's zone. */
export const clockTime = (unixSeconds) => dateTime(unixSeconds).slice(11);

/** 2026-11-30 14:03:22, in the browser's zone. */
export function dateTime(unixSeconds) {
  const t = new Date(unixSeconds * 1000);
  const day = `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())}`;
  return `${day} ${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}`;
}

const zones = new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" });

/** The browser's zone at that time: CET, UTC, GMT+5:30. */
export const zoneName = (unixSeconds) =>
  zones.formatToParts(new Date(unixSeconds * 1000)).find(({ type }) => type === "timeZoneName").value;

/** The time of day; with the date, unless it is today's. */
export function moment(unixSeconds, now) {
  const text = dateTime(unixSeconds);
  return text.slice(0, 10) === dateTime(now).slice(0, 10) ? text.slice(11) : text;
}

/**
 * The engine's pulse. Each message with a new snapshot is a beat, whether it has new words or not: so an engine that
 * does not answer is told from a detector that sends nothing.
 */
export class Pulse {
  constructor() {
    this.clock = { server: Date.now() / 1000, here: performance.now() };
    this.numbers = null; // those of the newest message
    this.arrived = 0;
    this.intervals = [];
    this.track = []; // [wall time, data time] of the last seconds
    this.first = true;
  }

  /** A connection was opened; the greeting has the server's time, as the browser's clock may be wrong. */
  opened(serverTime) {
    this.clock = { server: serverTime, here: performance.now() };
    this.first = true;
  }

  /** The server's unix time. */
  now() {
    return this.clock.server + (performance.now() - this.clock.here) / 1000;
  }

  /** Take a message: note on it when its snapshot was made, by this page's clock. */
  beat(message) {
    const { numbers } = message;
    const here = performance.now() / 1000;
    const same = this.numbers?.sequence === numbers.sequence && this.numbers.wall_time === numbers.wall_time;
    if (!same) {
      if (this.numbers && !this.first) this.intervals = [...this.intervals, here - this.arrived].slice(-INTERVALS_KEPT);
      // the first message of a connection may have been waiting for long; later ones come as they are made, so that
      // nothing depends on whether the engine's clock and the server's agree
      this.arrived = here - (this.first ? Math.max(0, this.now() - numbers.wall_time) : 0);
      if (this.numbers?.run !== numbers.run || this.numbers.data_time_s > numbers.data_time_s) this.track = [];
      if (this.track.at(-1)?.[1] !== numbers.data_time_s) this.track.push([numbers.data_wall_time, numbers.data_time_s]);
      while (this.track.length > 2 && this.track[1][0] < this.track.at(-1)[0] - PACE_SECONDS) this.track.shift();
    }
    this.first = false;
    this.numbers = numbers;
    message.made = this.arrived;
  }

  /** Seconds since the engine last sent a snapshot. */
  silence() {
    return performance.now() / 1000 - this.arrived;
  }

  get hung() {
    const sorted = this.intervals.toSorted((a, b) => a - b);
    return this.silence() > Math.max(HUNG_SECONDS, HUNG_INTERVALS * (sorted[Math.floor(sorted.length / 2)] ?? 0));
  }

  /** Seconds since the newest words of a message came. */
  age({ numbers, made }) {
    return Math.max(0, performance.now() / 1000 - made + numbers.wall_time - numbers.data_wall_time);
  }

  /** Unix time at which the newest words came. */
  lastWords() {
    return this.now() - this.age({ numbers: this.numbers, made: this.arrived });
  }

  /** How many times faster than they were taken data are read; null where that cannot be told. */
  get pace() {
    const { numbers, track } = this;
    const begin = track.length > 1 ? track[0] : numbers.begun_wall_time ? [numbers.begun_wall_time, 0] : null;
    const seconds = begin ? numbers.data_wall_time - begin[0] : 0;
    return seconds > 0.2 && numbers.data_time_s !== null ? (numbers.data_time_s - begin[1]) / seconds : null;
  }

  /** Whether data are read from where they were stored: then nothing tells how old they are. */
  get readAhead() {
    return this.pace !== null && this.pace > READ_AHEAD;
  }
}
