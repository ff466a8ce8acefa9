// What is said of an archived run: which one it is, its comments and flags, and forms to add some.

import { nameField, send } from "./acknowledge.js";
import { dateTime, zoneName } from "./clock.js";
import { element, format, renew, setText } from "./format.js";

const EFFECTS = { bad: "bad: not to be used", limited: "limited: use with care", good: "good: checked and found good", keep: "keep: never prune" };
const byId = (id) => document.getElementById(id);

/** A flag as a small sign. */
export function flagBadge(flag) {
  const badge = element("span", "flag", flag.part ? `${flag.effect}: ${flag.part}` : flag.effect);
  badge.dataset.effect = flag.effect;
  badge.title = [flag.cause, flag.name].filter(Boolean).join(", ");
  return badge;
}

/** Show what there is of an archive: the way to its runs, and of an archived run which it is and what is said of it. */
export function showArchive({ runs, archived, live, may_act: mayAct, why_not: whyNot }) {
  byId("to-runs").hidden = !runs;
  if (!runs) return;
  byId("to-runs").href = runs;
  byId("archived").hidden = !archived;
  if (!archived) return;
  byId("archived-live").hidden = !live;
  const states = { ended: "", running: ", which is still running", interrupted: ", which was interrupted" };
  const at = `${dateTime(archived.written)} ${zoneName(archived.written)}`;
  setText(byId("archived-text"), `Archived run${states[archived.state]}: its state at ${at}.`);
  const address = `../../api/runs/${encodeURIComponent(archived.run)}`;
  const place = byId("say");
  if (mayAct && !place.childElementCount) place.append(commentForm(address), flagForm(address));
  else if (!mayAct) place.replaceChildren(element("p", "muted", whyNot));
  showSaid(address).catch(console.error);
}

async function showSaid(address) {
  const answer = await fetch(address, { cache: "no-store" });
  if (!answer.ok) return;
  const { comments, flags } = await answer.json();
  byId("people").hidden = false;
  const said = [
    ...comments.map(({ text, name, time }) => ({ name, time, what: text })),
    ...flags.map((flag) => ({ name: flag.name, time: flag.time, flag, what: flag.cause })),
  ].sort((one, other) => one.time - other.time);
  renew(byId("said"), said, () => (said.length ? said.map(line) : [element("li", "none", "This run has no comments or flags.")]));
}

function line({ name, time, flag, what }) {
  const made = element("li", "box-row");
  if (flag) made.append(flagBadge(flag));
  const range = flag ? stretch(flag) : "";
  made.append(element("span", "what", [range, what].filter(Boolean).join(": ")));
  made.append(element("span", "who", [name, time ? dateTime(time).slice(0, 16) : ""].filter(Boolean).join(", ")));
  return made;
}

function stretch({ from_s: from, to_s: to }) {
  if (from === null && to === null) return "the whole run";
  return `data time ${from === null ? "0 s" : format(from, "duration")} to ${to === null ? "the end" : format(to, "duration")}`;
}

function commentForm(address) {
  const text = field("a comment", "Comment", "grow", { required: true, maxLength: 500 });
  return form([text], "Add comment", () => ({ text: text.value }), `${address}/comment`);
}

function flagForm(address) {
  const effect = element("select");
  effect.setAttribute("aria-label", "Effect of the flag");
  effect.append(...Object.entries(EFFECTS).map(([value, label]) => new Option(label, value)));
  const cause = field("cause", "Cause", "grow", { maxLength: 500 });
  const part = field("part, or all", "Part of the detector", "part", { maxLength: 100 });
  const [from, to] = ["from s", "to s"].map((text) => field(text, `Data time in seconds, ${text.slice(0, -2)}`, "seconds", { type: "number", min: 0, step: "any" }));
  const seconds = ({ value }) => (value === "" ? null : Number(value));
  const given = () => ({ effect: effect.value, cause: cause.value, part: part.value, from_s: seconds(from), to_s: seconds(to) });
  return form([effect, cause, part, from, to], "Add flag", given, `${address}/flag`);
}

function field(placeholder, label, classes, properties) {
  const made = element("input", classes);
  made.placeholder = placeholder;
  made.setAttribute("aria-label", label);
  return Object.assign(made, properties);
}

function form(fields, label, given, address) {
  const made = element("form");
  const name = nameField();
  const refused = element("span", "refused");
  made.append(...fields, name, element("button", "", label), refused);
  made.onsubmit = async (event) => {
    event.preventDefault();
    const text = await send(address, { ...given(), name: name.value.trim() });
    setText(refused, text);
    if (text) return;
    const kept = name.value;
    made.reset();
    name.value = kept;
    await showSaid(address.replace(/\/[^/]+$/, ""));
  };
  return made;
}
