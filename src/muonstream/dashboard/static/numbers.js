// The numbers of the page: cards, the account, lists.

import { dateTime, zoneName } from "./clock.js";
import { element, format, renew, setText } from "./format.js";

const byId = (id) => document.getElementById(id);

const KINDS = {
  hits: "signals of the chambers' cells",
  scintillator: "scintillator signals",
  trigger: "boards' internal triggers",
  ancillary: "words with a HEAD other than that of hits",
  unmapped: "hits of channels that the detector file does not mention",
  malformed: "rows or bytes that cannot be a word",
  late: "came after their window was closed: counted, not analysed",
  stray: "with a time that nothing else confirmed: counted, not analysed",
  held: "waiting for others to confirm their time",
};
const BYTES = {
  words: "words, including malformed ones",
  run_words: "run words of DMA transfers",
  headers: "header lines, comments, blank lines, brackets",
  padding: "zeros or ones where no data were written",
  passed_over: "not data: garbage, repeated content, bytes out of step",
  waiting: "not decoded yet",
};
const SUSPECT = {
  malformed: ["row or piece that cannot be a word", "rows or pieces that cannot be words"],
  late: ["word came late and is missing from the histograms", "words came late and are missing from the histograms"],
  stray: ["word has a time that nothing confirms and is missing from the histograms", "words have times that nothing confirms and are missing from the histograms"],
};

/** Write all numbers of a message; colors: those of the chambers. */
export function showNumbers(numbers, colors) {
  for (const target of document.querySelectorAll("[data-number]")) {
    const value = target.dataset.number.split(".").reduce((inside, key) => inside?.[key], numbers);
    showNumber(target, value, target.dataset.format);
  }
  setText(byId("run"), numbers.run || "unnamed run");
  setText(byId("source"), numbers.source === numbers.run ? "" : numbers.source);
  byId("source").title = numbers.source;
  const begun = numbers.begun_wall_time;
  setText(byId("begun"), begun ? `begun ${dateTime(begun)} ${zoneName(begun)}` : "");
  setText(byId("begun-system"), begun ? `${dateTime(begun)} ${zoneName(begun)}` : "not known");
  setText(byId("detector"), numbers.detector.name);
  setText(
    byId("breaks"),
    [
      numbers.gaps || numbers.resets ? `${count(numbers.gaps, "gap")}, ${count(numbers.resets, "reset")}` : "no gap",
      ...(numbers.forced ? [`${count(numbers.forced, "window")} closed early to save memory`] : []),
    ].join(", "),
  );
  showChambers(numbers.chambers, colors);
  showInputs(numbers.inputs);
  showAccount(numbers.account, numbers.inputs?.suspect ?? []);
  showList("late", Object.entries(numbers.late_by_input).map(([input, n]) => `${input}: ${format(n)}`), "none");
  showList("faults", numbers.faults, "none");
  showEngine(numbers.engine ?? []);
}

const count = (n, what) => `${format(n)} ${what}${n === 1 ? "" : "s"}`;

/** What an engine says of itself: names and values. */
function showEngine(pairs) {
  byId("engine-box").hidden = !pairs.length;
  renew(byId("engine"), pairs, () =>
    pairs.flatMap(([name, value]) => [element("dt", "", name), element("dd", "", value)]),
  );
}

function showNumber(target, value, name) {
  const text = format(value, name);
  setText(target, text);
  target.dataset.value = value ?? "";
  if (target.classList.contains("value")) target.style.setProperty("--letters", text.length); // long ones are smaller
}

function showChambers(chambers, colors) {
  const place = byId("chambers");
  if (place.children.length !== chambers.length) {
    place.replaceChildren(
      ...chambers.map((_, c) => {
        const card = element("div", "card");
        card.dataset.chamber = c;
        const sub = element("span", "sub");
        sub.append(element("span", "", "last 30 s: "), element("span", "recent"));
        card.append(element("span", "label"), element("span", "value rate"), element("span", "sub hits"), sub);
        return card;
      }),
    );
  }
  chambers.forEach((chamber, c) => {
    const card = place.children[c];
    card.style.setProperty("--color", colors[c] ?? "transparent");
    card.dataset.dashed = String(colors.indexOf(colors[c]) < c); // as its curve, where there are more than colours
    setText(card.querySelector(".label"), chamber.name);
    card.querySelector(".label").title = chamber.name;
    showNumber(card.querySelector(".rate"), chamber.hit_rate_hz, "rate");
    card.querySelector(".hits").dataset.value = chamber.hits;
    setText(card.querySelector(".hits"), `${format(chamber.hits)} hits`);
    showNumber(card.querySelector(".recent"), chamber.recent_hit_rate_hz, "rate");
  });
}

/** Files seen, read and passed over, and what their bytes became; hidden where a run has no files. */
function showInputs(inputs) {
  byId("inputs-box").hidden = !inputs?.seen;
  if (!inputs?.seen) return;
  const parts = [`${format(inputs.read)} read`];
  if (inputs.undecided) parts.push(`${format(inputs.undecided)} undecided`);
  if (inputs.passed_over) parts.push(`${format(inputs.passed_over)} passed over`);
  byId("inputs-line").textContent = `${count(inputs.seen, "input")} seen: ${parts.join(", ")}.`;
  const rows = Object.entries(BYTES).map(([kind, meaning]) => {
    const n = kind === "waiting" ? inputs.waiting : inputs.bytes[kind];
    const row = element("tr", n > 0 && (kind === "padding" || kind === "passed_over") ? "warn" : "");
    const name = element("th", "", kind.replace("_", " "));
    name.scope = "row";
    const share = inputs.size ? format(n / inputs.size, "percent") : "–";
    row.append(name, element("td", "n", format(n)), element("td", "n", share), element("td", "meaning", meaning));
    return row;
  });
  renew(document.querySelector("#bytes tbody"), [inputs.bytes, inputs.waiting, inputs.size], () => rows);
  const balance = byId("bytes-balance");
  balance.textContent = inputs.unbalanced
    ? `✗ The bytes of ${count(inputs.unbalanced, "input")} do not add up.`
    : "✓ Every byte is one of these.";
  balance.className = inputs.unbalanced ? "bad" : "good";
  const shown = [...inputs.over, ...inputs.newest];
  renew(document.querySelector("#inputs tbody"), shown, () => shown.map(inputRow));
}

function inputRow(input) {
  const row = element("tr", input.status === "passed over" ? "warn" : "");
  const name = element("th", "", input.name.split("/").at(-1));
  name.scope = "row";
  name.title = input.name;
  const what = input.status === "read" ? input.format : input.status === "waiting" ? "undecided" : input.status;
  const numbers = [input.size, input.words].map((n) => element("td", "n", format(n)));
  row.append(name, element("td", "", what), ...numbers, element("td", "meaning", input.why));
  return row;
}

function showAccount(account, suspect) {
  const body = document.querySelector("#account tbody");
  if (!body.children.length) {
    for (const [kind, meaning] of Object.entries(KINDS)) {
      const row = element("tr");
      row.dataset.kind = kind;
      const name = element("th", "", kind);
      name.scope = "row";
      row.append(name, element("td", "n number"), element("td", "n share"), element("td", "meaning", meaning));
      body.append(row);
    }
  }
  for (const row of body.children) {
    const n = account[row.dataset.kind];
    showNumber(row.querySelector(".number"), n);
    row.querySelector(".share").textContent = account.words ? format(n / account.words, "percent") : "–";
    row.classList.toggle("warn", row.dataset.kind in SUSPECT && n > 0);
  }
  const unbalanced = `The account does not balance: ${format(account.residual)} words are unaccounted for.`;
  const balance = byId("balance");
  balance.textContent = account.balanced ? "✓ The account balances: every word is one of these." : `✗ ${unbalanced}`;
  balance.className = account.balanced ? "good" : "bad";
  const warnings = account.balanced ? [] : [["bad", `✗ ${unbalanced}`]];
  for (const [kind, [one, many]] of Object.entries(SUSPECT)) {
    const n = account[kind];
    if (n > 0) warnings.push(["warn", `⚠ ${format(n)} ${n === 1 ? one : many}.`]);
  }
  if (suspect.length) {
    const found = suspect.map(([n, what]) => `${format(n)} ${what}`).join(", ");
    warnings.push(["warn", `⚠ Inputs: ${found}; see System for the places.`]);
  }
  const texts = warnings.map(([, text]) => text).join("\n");
  const place = byId("warnings");
  if (place.dataset.texts === texts) return; // what has not changed is not read out again
  place.dataset.texts = texts;
  place.replaceChildren(...warnings.map(([kind, text]) => element("p", kind, text)));
}

function showList(id, texts, otherwise) {
  const items = texts.length ? texts : [otherwise];
  renew(byId(id), items, () => items.map((text) => element("li", texts.length ? "" : "none", text)));
}
