// What tells people who do not look at the page: the tab's title and icon, and where they are switched on a sound and a
// notification of the browser.

const byId = (id) => document.getElementById(id);
const SIGNS = { null: "–", good: "✓", medium: "!", bad: "✗", unknown: "?" };
// the page's own colours of levels, which an icon cannot take from its style sheet
const COLORS = { null: "#8895a3", good: "#2f7fb5", medium: "#d98a00", bad: "#b3261e", unknown: "#8895a3" };
const CHOICES = { sound: "muonstream-sound", notify: "muonstream-notify" };

const icon = document.querySelector("link[rel=icon]");
const plain = icon.href;
let shown = "";
let audio = null;

/** Let the tab's title and icon show the verdict on the detector. */
export function showInTab(level, run) {
  const now = `${level} ${run}`;
  if (now === shown) return;
  shown = now;
  document.title = run ? `${SIGNS[level]} ${run} · muonstream` : "muonstream";
  if (level === "good") {
    icon.href = plain;
    return;
  }
  const mark = `<circle cx="16" cy="16" r="15" fill="${COLORS[level]}"/><text x="16" y="23" font-size="21" font-family="sans-serif" font-weight="700" text-anchor="middle" fill="#fff">${SIGNS[level]}</text>`;
  icon.href = `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">${mark}</svg>`)}`;
}

/** Call for attention to alarms that are new or worse, as far as it is switched on. */
export function call(alarms) {
  const [first] = alarms;
  if (!first) return;
  if (isOn("sound")) beep(first.level === "bad" ? 3 : 1);
  if (isOn("notify") && "Notification" in window && Notification.permission === "granted") {
    const more = alarms.length > 1 ? ` (and ${alarms.length - 1} more)` : "";
    new Notification(`${first.level === "bad" ? "Bad" : "Medium"}: ${first.subject}: ${first.check}${more}`, {
      body: first.reason,
      tag: "muonstream",
      icon: plain,
    });
  }
}

/** Make the two switches work; a browser lets sounds and notifications begin only where somebody pressed something. */
export function initAttention() {
  for (const which of Object.keys(CHOICES)) {
    const button = byId(which);
    button.setAttribute("aria-pressed", String(isOn(which)));
    button.onclick = async () => {
      const on = !isOn(which);
      if (on && which === "notify" && !(await allowed(button))) return;
      browserStorage.keep(CHOICES[which], on ? "on" : "off");
      button.setAttribute("aria-pressed", String(on));
      if (on && which === "sound") beep(1);
    };
  }
}

async function allowed(button) {
  const can = "Notification" in window && (await Notification.requestPermission()) === "granted";
  if (!can) button.title = "This browser does not allow notifications from this page: they need https or this machine's own address, and your permission.";
  return can;
}

const isOn = (which) => browserStorage.kept(CHOICES[which]) === "on";

/** So many short tones. */
function beep(times) {
  audio ??= new AudioContext();
  for (let i = 0; i < times; i += 1) {
    const tone = new OscillatorNode(audio, { frequency: 880 });
    const volume = new GainNode(audio, { gain: 0.15 });
    tone.connect(volume).connect(audio.destination);
    tone.start(audio.currentTime + 0.35 * i);
    tone.stop(audio.currentTime + 0.35 * i + 0.2);
  }
}
