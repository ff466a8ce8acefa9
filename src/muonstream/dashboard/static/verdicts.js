// The verdict board: the detector, its chambers and cells, what is wrong and who knows of it.

import { element, format } from "./format.js";

const byId = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const LEVELS = ["null", "good", "medium", "bad"];
// told apart by shape as well as by colour
const SIGNS = { null: "–", good: "✓", medium: "!", bad: "✗" };
const MEANING = { null: "too little data", good: "good", medium: "medium", bad: "bad" };

/** Write the verdicts of a message; arrays hold the cells' levels, age(unix seconds) is in seconds. */
export function showVerdicts(verdicts, numbers, arrays, age) {
  showLevel(byId("verdict"), verdicts.level);
  showLevel(byId("headline"), verdicts.level, `detector ${MEANING[verdicts.level]}`);
  showBoard(verdicts, numbers.chambers, arrays);
  showAlarms(verdicts.alarms, age);
  showHistory(verdicts.history);
  showChecks([...verdicts.alarms, ...verdicts.checks]);
}

function showLevel(target, level, text = "") {
  const shown = `${SIGNS[level]} ${text || MEANING[level]}`;
  if (target.textContent !== shown) target.textContent = shown;
  target.dataset.level = level;
}

function showBoard(verdicts, chambers, arrays) {
  const board = byId("board");
  if (board.children.length !== chambers.length) board.replaceChildren(...chambers.map(chamberBoard));
  chambers.forEach((chamber, c) => {
    const part = board.children[c];
    showLevel(part.querySelector(".verdict"), verdicts.chambers[chamber.name] ?? "null", chamber.name);
    const levels = arrays.get(`levels.${c}`) ?? [];
    part.querySelectorAll("[data-cell]").forEach((cell, i) => {
      const level = LEVELS[levels[i] ?? 0];
      if (cell.dataset.level === level) return;
      cell.dataset.level = level;
      cell.querySelector("title").textContent = `${chamber.name} cell ${i}: ${MEANING[level]}`;
    });
  });
}

function chamberBoard(chamber, c) {
  const part = element("div", "chamber-board");
  part.append(element("span", "verdict"));
  const wires = Math.ceil(chamber.cells / chamber.layers);
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", `0 0 ${10 * (wires + Math.max(...chamber.shifts))} ${7 * chamber.layers}`);
  drawing.setAttribute("role", "img");
  drawing.setAttribute("aria-label", `Verdicts on the cells of ${chamber.name}`);
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

function showAlarms(alarms, age) {
  const place = byId("alarms");
  const key = JSON.stringify(alarms.map(({ check, subject, level, acknowledged }) => [check, subject, level, acknowledged]));
  if (place.dataset.key !== key && !place.contains(document.activeElement)) {
    place.dataset.key = key;
    place.replaceChildren(...alarms.map(alarmRow));
    if (!alarms.length) place.append(element("p", "muted", "No alarms."));
  }
  for (const row of place.children) {
    const alarm = alarms.find(({ check, subject }) => row.dataset.alarm === `${check} ${subject}`);
    if (!alarm) continue;
    row.querySelector(".reason").textContent = alarm.reason;
    row.querySelector(".since").textContent = `for ${format(age(alarm.since), "age")}`;
  }
}

function alarmRow({ check, subject, level, acknowledged }) {
  const row = element("div", "alarm");
  row.dataset.alarm = `${check} ${subject}`;
  row.dataset.level = level;
  const verdict = element("span", "verdict");
  showLevel(verdict, level);
  row.append(verdict, element("strong", "", `${subject}: ${check}`), element("span", "reason"), element("span", "since"));
  if (acknowledged) {
    row.append(element("span", "known", `known: ${acknowledged.why}`));
    return row;
  }
  const button = element("button", "", "Acknowledge");
  button.type = "button";
  button.setAttribute("aria-label", `Acknowledge ${check} of ${subject}`);
  button.onclick = () => row.replaceChild(form(check, subject, row), button);
  row.append(button);
  return row;
}

function form(check, subject, row) {
  const made = element("form");
  const why = element("input");
  why.required = true;
  why.maxLength = 500;
  why.placeholder = "why it is known";
  why.setAttribute("aria-label", `Why ${check} of ${subject} is known`);
  const send = element("button", "", "Acknowledge");
  made.append(why, send);
  made.onsubmit = async (event) => {
    event.preventDefault();
    const body = JSON.stringify({ check, subject, why: why.value });
    const answer = await fetch("api/acknowledge", { method: "POST", headers: { "Content-Type": "application/json" }, body });
    why.blur();
    send.blur();
    made.replaceWith(element("span", "known", answer.ok ? `known: ${why.value}` : (await answer.text()).trim()));
    if (!answer.ok) delete row.parentElement?.dataset.key;
  };
  queueMicrotask(() => why.focus());
  return made;
}

function showHistory(history) {
  const items = history.map(({ time, check, subject, before, after, reason }) => {
    const item = element("li");
    item.append(
      element("span", "n", new Date(time * 1000).toLocaleTimeString("en-GB")),
      ` ${subject}: ${check}, ${MEANING[before]} → ${MEANING[after]}: ${reason}`,
    );
    return item;
  });
  byId("history").replaceChildren(...(items.length ? items : [element("li", "none", "none")]));
}

function showChecks(checks) {
  const rows = checks.map(({ level, check, subject, reason }) => {
    const row = element("tr");
    const verdict = element("span", "verdict");
    showLevel(verdict, level);
    const cell = element("td");
    cell.append(verdict);
    row.append(cell, element("td", "", check), element("td", "", subject), element("td", "meaning", reason));
    return row;
  });
  document.querySelector("#checks tbody").replaceChildren(...rows);
}
