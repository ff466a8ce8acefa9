// The verdict board: the detector, its chambers and cells, what is wrong and who knows of it.

import { answerKey, showAll, showAnswer } from "./acknowledge.js";
import { call, showInTab } from "./attention.js";
import { dateTime, moment } from "./clock.js";
import { element, format, renew, setText } from "./format.js";

const byId = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const LEVELS = ["null", "good", "medium", "bad"];
// told apart by shape as well as by colour
const SIGNS = { null: "–", good: "✓", medium: "!", bad: "✗", unknown: "?" };
const MEANING = { null: "too little data", good: "good", medium: "medium", bad: "bad" };

/** Write the verdicts of a message; arrays hold the cells' levels, now() is the server's unix time. */
export function showVerdicts(verdicts, numbers, arrays, now) {
  showBoard(verdicts, numbers.chambers, arrays);
  showAlarms(verdicts.alarms, now);
  setText(byId("no-alarms"), verdicts.level === "null" && verdicts.reason ? `Not judged: ${verdicts.reason}.` : "No alarms.");
  showHistory(verdicts.history, now);
  showChecks([...verdicts.alarms, ...verdicts.checks]);
}

/** Write the verdict on the detector; lostSince: text with the time of the last verdict, where there is none of now. */
export function showHeadline({ level, reason, headline }, lostSince, run) {
  showInTab(lostSince ? "unknown" : level, run);
  for (const [id, of] of [["verdict", ""], ["headline", "detector "]]) {
    if (lostSince) showLevel(byId(id), "unknown", `${of}not known; ${MEANING[level]} at ${lostSince}`);
    else showLevel(byId(id), level, `${of}${MEANING[level]}`);
    byId(id).title = reason || headline || "Verdict on the detector";
  }
  setText(byId("of-the-run"), headline ? `Of the whole run: ${headline}` : "");
}

function showLevel(target, level, text = "") {
  setText(target, `${SIGNS[level]} ${text || MEANING[level]}`);
  target.dataset.level = level;
}

function showBoard(verdicts, chambers, arrays) {
  const board = byId("board");
  renew(board, chambers.map(({ cells, layers, shifts }) => [cells, layers, shifts]), () => chambers.map(chamberBoard));
  chambers.forEach((chamber, c) => {
    const part = board.children[c];
    const pill = part.querySelector(".verdict");
    showLevel(pill, verdicts.chambers[chamber.name] ?? "null", chamber.name);
    pill.title = chamber.name;
    part.querySelector("svg").setAttribute("aria-label", `Verdicts on the cells of ${chamber.name}`);
    const levels = arrays.get(`levels.${c}`) ?? [];
    part.querySelectorAll("[data-cell]").forEach((cell, i) => {
      const level = LEVELS[levels[i] ?? 0];
      if (cell.dataset.level === level) return;
      cell.dataset.level = level;
      cell.querySelector("title").textContent = `${chamber.name} cell ${i}: ${MEANING[level]}`;
    });
  });
}

function chamberBoard(chamber) {
  const part = element("div", "chamber-board");
  part.append(element("span", "verdict"));
  const wires = Math.ceil(chamber.cells / chamber.layers);
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", `0 0 ${10 * (wires + Math.max(...chamber.shifts))} ${7 * chamber.layers}`);
  drawing.setAttribute("role", "img");
  for (let n = 0; n < chamber.cells; n += 1) {
    const layer = chamber.layer_of_channel[n % chamber.layers];
    const x = 10 * (Math.floor(n / chamber.layers) + chamber.shifts[layer]);
    const cell = document.createElementNS(SVG, "g");
    cell.dataset.cell = n;
    cell.setAttribute("transform", `translate(${x} ${7 * layer})`);
    const box = document.createElementNS(SVG, "rect");
    for (const [key, value] of Object.entries({ x: 0.5, y: 0.5, width: 9, height: 6, rx: 0.8 })) box.setAttribute(key, value);
    const cross = document.createElementNS(SVG, "path");
    cross.setAttribute("d", "M3 1.5 7 5.5M7 1.5 3 5.5");
    cell.append(document.createElementNS(SVG, "title"), box, cross);
    drawing.append(cell);
  }
  part.append(drawing);
  return part;
}

const nameOf = ({ check, subject }) => `${check} ${subject}`;
let announced = null; // the alarms that were read out already, with their level

/**
 * Bring the rows of alarms up to date, each by itself: a row stays the same element as long as its alarm lasts, so that
 * whoever types in one is not disturbed, and holds up none of the others.
 */
function showAlarms(alarms, now) {
  const place = byId("alarms");
  const rows = new Map([...place.querySelectorAll(".alarm")].map((row) => [row.dataset.alarm, row]));
  const wanted = alarms.map((alarm) => {
    const row = rows.get(nameOf(alarm)) ?? alarmRow(alarm);
    rows.delete(nameOf(alarm));
    updateRow(row, alarm, now);
    return row;
  });
  for (const [name, row] of rows) {
    const focused = row.contains(document.activeElement);
    row.remove();
    announced?.delete(name);
    say(`No longer an alarm: ${row.dataset.title}.`);
    if (focused) place.focus({ preventScroll: true });
  }
  arrange(place, wanted);
  byId("no-alarms").hidden = alarms.length > 0;
  showAll(alarms);
  const fresh = announced && alarms.filter((alarm) => announced.get(nameOf(alarm)) !== alarm.level);
  for (const { level, subject, check, reason } of fresh ?? []) say(`${MEANING[level]}: ${subject}, ${check}: ${reason}`);
  call(fresh ?? []);
  announced = new Map(alarms.map((alarm) => [nameOf(alarm), alarm.level]));
}

/** Read something out to those who cannot see it. */
function say(text) {
  const place = byId("announcements");
  place.append(element("p", "", text));
  while (place.children.length > 5) place.firstElementChild.remove();
}

/** Put elements in order, without moving the one that has the focus, which would lose it. */
function arrange(place, wanted) {
  let cursor = place.firstElementChild;
  for (const row of wanted) {
    if (row === cursor) {
      cursor = cursor.nextElementSibling;
    } else if (row.contains(document.activeElement)) {
      while (cursor !== row) {
        const next = cursor.nextElementSibling;
        place.append(cursor);
        cursor = next;
      }
      cursor = row.nextElementSibling;
    } else {
      place.insertBefore(row, cursor);
    }
  }
}

function alarmRow({ check, subject }) {
  const row = element("div", "alarm");
  row.dataset.alarm = `${check} ${subject}`;
  row.dataset.title = `${subject}: ${check}`;
  const what = element("span", "what");
  what.append(element("strong", "", row.dataset.title), " ", element("span", "reason"));
  row.append(element("span", "verdict"), what, element("span", "since"), element("span", "answer"));
  return row;
}

function updateRow(row, alarm, now) {
  const { level, reason, since, acknowledged } = alarm;
  row.dataset.level = level;
  showLevel(row.querySelector(".verdict"), level);
  setText(row.querySelector(".reason"), reason);
  setText(row.querySelector(".since"), `for ${format(Math.max(0, now() - since), "age")}, since ${moment(since, now())}`);
  const key = answerKey(acknowledged);
  if (row.dataset.answer === key) return;
  row.dataset.answer = key;
  showAnswer(row.querySelector(".answer"), alarm);
}

function showHistory(history, now) {
  renew(byId("history"), history, () =>
    history.map(({ time, check, subject, before, after, reason }) => {
      const item = element("li");
      const when = element("time", "n", dateTime(time));
      when.dateTime = new Date(time * 1000).toISOString();
      item.append(when, ` ${subject}: ${check}, ${MEANING[before]} → ${MEANING[after]}: ${reason}`);
      return item;
    }),
  );
  byId("no-history").hidden = history.length > 0;
}

function showChecks(checks) {
  const rows = checks.map(({ level, check, subject, reason }) => [level, check, subject, reason]);
  renew(byId("checks"), rows, () =>
    rows.map(([level, check, subject, reason]) => {
      const row = element("li");
      const verdict = element("span", "verdict");
      showLevel(verdict, level);
      row.append(verdict, element("strong", "", `${subject}: ${check}`), element("span", "meaning", reason));
      return row;
    }),
  );
}
