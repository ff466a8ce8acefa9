// Numbers as people read them.

const whole = new Intl.NumberFormat("en-US");

/** Three significant digits with a prefix: 1.23 k, 45.6 M; short ones, for ticks, without trailing zeros and blanks. */
export function prefixed(value, short = false) {
  const size = Math.abs(value);
  const text = short ? (x) => String(Number(x.toPrecision(4))) : significant;
  for (const [step, prefix] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (size >= 0.9995 * step) return `${text(value / step)}${short ? "" : " "}${prefix}`;
  }
  return `${text(value)}${short ? "" : " "}`;
}

function significant(value) {
  const size = Math.abs(value);
  return value.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2);
}

/** Seconds as 12.3 s, 4:05 min or 2:03:04 h. */
function duration(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const s = Math.floor(seconds);
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(s / 3600);
  const minutes = Math.floor(s / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(s % 60)} h` : `${minutes}:${two(s % 60)} min`;
}

const formats = {
  whole: (value) => whole.format(value),
  rate: (value) => `${prefixed(value)}Hz`,
  per_second: (value) => `${prefixed(value)}/s`,
  duration,
  ns: (value) => `${value.toFixed(1)} ns`,
  percent: (value) => `${(100 * value).toFixed(value && value < 0.001 ? 3 : 1)} %`,
  age: (value) => (value < 10 ? `${value.toFixed(1)} s` : value < 120 ? `${value.toFixed(0)} s` : duration(value)),
};

/** The value as text, a dash when it is not known. */
export function format(value, name = "whole") {
  return value === null || value === undefined ? "–" : formats[name](value);
}

/** A run as a sentence has it. */
export const runName = (run) => (!run ? "a run without a name" : /^run/i.test(run) ? run : `run ${run}`);

/** An element with a class and a text; the text is never markup. */
export function element(name, classes = "", text = "") {
  const made = document.createElement(name);
  if (classes) made.className = classes;
  if (text) made.textContent = text;
  return made;
}

/** Set a text, unless it is the same: what has not changed is not read out again, and stays selected. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

const shown = new WeakMap(); // what each place shows

/** Replace what a place shows, unless it is the same: it keeps what is selected, scrolled to and focused. */
export function renew(place, content, make) {
  const key = JSON.stringify(content);
  if (shown.get(place) === key) return;
  shown.set(place, key);
  place.replaceChildren(...make());
}
