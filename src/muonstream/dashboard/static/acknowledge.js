// Saying that an alarm is known, and taking it back: who may, the buttons, the form, the sending.

import { dateTime } from "./clock.js";
import { element, setText } from "./format.js";

const NAME = "muonstream-name";
const byId = (id) => document.getElementById(id);

let access = null; // { user, may_act, why_not, … }; null until the server has said it: nothing is offered that it may refuse
let learned = () => {};

/** Learn whether whoever looks may act; changed() is called when that is something else than before. */
export async function learnAccess(changed = learned, address = "api/access") {
  learned = changed;
  const answer = await fetch(address, { cache: "no-store" });
  if (!answer.ok) return; // 401 is shown elsewhere, and what was known may be true again
  const found = await answer.json();
  if (JSON.stringify(found) === JSON.stringify(access)) return;
  access = found;
  changed();
}

/** Who looks, and what they may do; of an archived run also which one it is; null while that is not known. */
export const caller = () => access;
const mayAcknowledge = () => Boolean(access?.may_act && !access.archived); // what is over has no alarms to be acknowledged

/** What a row must show again when it changes. */
export const answerKey = (acknowledged) => JSON.stringify([acknowledged, access]);

/** Show in an alarm's row who knows of it, and what whoever looks may do about that. */
export function showAnswer(place, { check, subject, acknowledged }) {
  const known = acknowledged ? `known: ${acknowledged.why}${acknowledged.name ? ` (${acknowledged.name})` : ""}` : "";
  place.title = known ? `since ${dateTime(acknowledged.time)}` : "";
  const parts = known ? [element("span", "known", known), " "] : [];
  if (mayAcknowledge()) parts.push(...(known ? undo(check, subject) : [acknowledgeButton(check, subject, place)]));
  place.replaceChildren(...parts);
}

/**
 * Offer to acknowledge everything at once where there is more than one alarm that has not been acknowledged; to whoever may not,
 * say why where there is one.
 */
export function showAll(alarms) {
  const open = alarms.filter(({ acknowledged }) => !acknowledged).length;
  const why = byId("may-not-act");
  why.hidden = !access?.why_not || Boolean(access.archived) || alarms.length === 0;
  setText(why, access?.why_not ?? "");
  const place = byId("all-alarms");
  place.hidden = open < 2 || !mayAcknowledge();
  if (!mayAcknowledge()) place.replaceChildren();
  else if (!place.hidden && !place.childElementCount) place.replaceChildren(allButton(place));
}

function allButton(place) {
  const button = element("button", "", "Acknowledge all");
  button.type = "button";
  button.onclick = () => place.replaceChildren(form("", "all alarms", place, true));
  return button;
}

function undo(check, subject) {
  const button = element("button", "", "Undo");
  button.type = "button";
  button.setAttribute("aria-label", `Take back that ${check} of ${subject} is known`);
  const refused = element("span", "known");
  button.onclick = async () => setText(refused, await send("api/retract", { check, subject }));
  return [refused, " ", button];
}

/** Send what somebody decided; gives "", or why it was not taken. */
export async function send(address, content) {
  try {
    const headers = { "Content-Type": "application/json" };
    const response = await fetch(address, { method: "POST", headers, body: JSON.stringify(content) });
    if (response.status === 403) learnAccess().catch(console.error);
    return response.ok ? "" : (await response.text()).trim() || `refused: ${response.status}`;
  } catch {
    return "not sent: the server does not answer";
  }
}

/** The name under which somebody acknowledges, asked for once and kept in this browser; a proxy's user is asked nothing. */
export function nameField() {
  const field = element("input", "name");
  field.maxLength = 100;
  field.placeholder = "your name";
  field.setAttribute("aria-label", "Your name");
  field.autocomplete = "name";
  field.value = access?.user || (browserStorage.kept(NAME) ?? "");
  field.readOnly = Boolean(access?.user);
  field.title = access?.user ? "your name as given by the proxy" : "";
  field.onchange = () => browserStorage.keep(NAME, field.value.trim());
  return field;
}

function acknowledgeButton(check, subject, answer) {
  const button = element("button", "", "Acknowledge");
  button.type = "button";
  button.setAttribute("aria-label", `Acknowledge ${check} of ${subject}`);
  button.onclick = () => answer.replaceChildren(form(check, subject, answer));
  return button;
}

function form(check, subject, answer, all = false) {
  const made = element("form");
  const why = element("input");
  why.required = true;
  why.maxLength = 500;
  why.placeholder = "why it is known";
  why.setAttribute("aria-label", all ? "Why all alarms are known" : `Why ${check} of ${subject} is known`);
  const name = nameField();
  const back = (text = "") => {
    const button = all ? allButton(answer) : acknowledgeButton(check, subject, answer);
    answer.replaceChildren(...(text ? [element("span", "known", text), " "] : []), button);
    button.focus();
  };
  made.onkeydown = (event) => {
    if (event.key === "Escape") back();
  };
  made.onsubmit = async (event) => {
    event.preventDefault();
    const given = { why: why.value, name: name.value.trim() };
    const refused = all ? await send("api/acknowledge-all", given) : await send("api/acknowledge", { check, subject, ...given });
    if (refused || all) back(refused); // the button for all is hidden when none is left
    else answer.replaceChildren(element("span", "known", `known: ${why.value}`));
  };
  made.append(why, name, element("button", "", all ? "Acknowledge all" : "Acknowledge"));
  queueMicrotask(() => why.focus());
  return made;
}
