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
let lostCalled = false; // attention was called to the verdicts that are not known
const LOST_S = 15; // an engine that is started again is away for less

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
  const more = alarms.length > 1 ? ` (and ${alarms.length - 1} more)` : "";
  notify(`${first.level === "bad" ? "Bad" : "Medium"}: ${first.subject}: ${first.check}${more}`, first.reason);
}

/** Call for attention, once, where verdicts have not been known for a while; why: "" where they are known. */
export function callLost(why, run, seconds) {
  if (why && (lostCalled || seconds < LOST_S)) return;
  lostCalled = Boolean(why);
  if (!why) return;
  if (isOn("sound")) beep(3);
  notify(`Verdicts are not known${run ? `: ${run}` : ""}`, why);
}

/** A notification of the browser, in place of the one before; it is to call again, as the first may still be there. */
function notify(title, body) {
  if (!isOn("notify") || !("Notification" in window) || Notification.permission !== "granted") return;
  new Notification(title, { body, tag: "muonstream", renotify: true, icon: plain });
}

/** Make the two switches work; a browser lets sounds and notifications begin only where somebody pressed something. */
export function initAttention() {
  if (isOn("sound")) unmute();
  for (const which of Object.keys(CHOICES)) {
    const button = byId(which);
    button.setAttribute("aria-pressed", String(isOn(which)));
    button.onclick = async () => {
      const on = !isOn(which);
      if (on && which === "notify" && !(await allowed(button))) return;
      browserStorage.keep(CHOICES[which], on ? "on" : "off");
      button.setAttribute("aria-pressed", String(on));
      if (which === "sound") showMuted();
      if (on && which === "sound") beep(1);
    };
  }
}

async function allowed(button) {
  const can = "Notification" in window && (await Notification.requestPermission()) === "granted";
  if (!can) button.title = "This browser does not allow notifications from this page: they need https or this machine's own address, and your permission.";
  return can;
}

/** After a reload a browser is silent until somebody presses something: say so, and sound again from then on. */
function unmute() {
  audio ??= new AudioContext();
  audio.onstatechange = showMuted;
  showMuted();
  for (const pressed of ["pointerdown", "keydown"]) addEventListener(pressed, () => audio.resume(), { once: true });
}

function showMuted() {
  const button = byId("sound");
  const muted = isOn("sound") && audio?.state === "suspended";
  button.textContent = muted ? "Sound: press any key" : "Sound";
  button.title = muted ? "Since it was loaded, the browser lets this page make no sound until you press something" : "Beep when an alarm is new or worse";
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
