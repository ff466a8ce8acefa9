// What is shown, as files: a table with named columns, and a picture for a slide.

import { dateTime, zoneName } from "./clock.js";
import { element, format, runName } from "./format.js";

const SLIDE = { width: 1600, height: 900, margin: 40, text: 1.9 };
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
const PERIODS = { run: "whole run", recent: "last 30 s" };

/** What is shown, and of when, in lines. */
function lines({ plot }, { numbers, choices, reference }) {
  const made = numbers.wall_time;
  const run = runName(numbers.run);
  const period = plot.by_period ? PERIODS[choices.period] : "";
  const hits = plot.by_hits && choices.hits === "scintillator" ? "orbits with scintillator only" : "";
  const when = `as of ${dateTime(made)} ${zoneName(made)}`;
  const about = [run, period, hits, `data time ${format(numbers.data_time_s, "duration")}`, when].filter(Boolean);
  return { about, reference: choices.reference === "on" && plot.compared.length ? reference : "" };
}

/** Save a plot's data as CSV: lines with # that say what they are, then columns with names and units. */
export function saveTable(shown, about) {
  const { plot, source } = shown;
  const { about: said, reference } = lines(shown, about);
  const { numbers } = about;
  const columns = Object.entries(plot.names).filter(([column]) => source.data[column]?.length);
  const rows = Math.max(...columns.map(([column]) => source.data[column].length));
  const quoted = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const cell = (value) => (typeof value === "string" ? quoted(value) : Number.isNaN(value) ? "" : value);
  const head = [plot.title, ...said, `source ${numbers.source}`, `detector ${numbers.detector.name}`, ...(reference ? [reference] : [])];
  const text = [
    ...head.map((line) => `# ${line.replaceAll(/[\r\n]+/g, " ")}`),
    columns.map(([, name]) => quoted(name)).join(),
    ...Array.from({ length: rows }, (_, i) => columns.map(([column]) => cell(source.data[column][i] ?? "")).join()),
  ];
  save(new Blob([`${text.join("\n")}\n`], { type: "text/csv" }), fileName(plot, numbers, "csv"));
}

/** Save a plot as a picture of 1600 by 900: with title, run, time and legend, in letters that a slide can have. */
export async function saveSlide(shown, about, drawing) {
  const { width, height, margin } = SLIDE;
  const canvas = element("canvas");
  [canvas.width, canvas.height] = [width, height];
  const paper = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  paper.fillStyle = color("--surface");
  paper.fillRect(0, 0, width, height);
  paper.textBaseline = "alphabetic";
  let y = margin + 34;
  const write = (text, size, ink, weight = 400) => {
    paper.font = `${weight} ${size}px ${FONT}`;
    paper.fillStyle = color(ink);
    paper.fillText(text, margin, y, width - 2 * margin);
  };
  write(shown.plot.title, 38, "--text", 650);
  const { about: said, reference } = lines(shown, about);
  y += 38;
  write(said.join(" · "), 24, "--faint");
  if (reference) {
    y += 32;
    write(reference, 22, "--faint");
  }
  y = legend(paper, shown, y, color);
  const notes = [...shown.figure.querySelectorAll(".note:not([hidden])")].map((note) => note.textContent).filter(Boolean);
  const bottom = height - margin / 2 - (notes.length ? 34 : 0);
  const picture = await large(shown, width - 2 * margin, bottom - y - 16, drawing);
  paper.drawImage(picture, margin, y + 16, width - 2 * margin, bottom - y - 16);
  y = height - margin / 2 - 6;
  if (notes.length) write(notes.join(" "), 20, "--faint");
  canvas.toBlob((blob) => save(blob, fileName(shown.plot, about.numbers, "png")));
}

/** Draw the legend of the curves that are shown below y; gives where it ends. */
function legend(paper, { legend: entries }, y, color) {
  const { width, margin } = SLIDE;
  paper.font = `400 24px ${FONT}`;
  let x = width;
  for (const [button] of entries) {
    if (button.getAttribute("aria-pressed") === "false") continue;
    const text = button.textContent;
    const wide = 44 + paper.measureText(text).width + 32;
    if (x + wide > width - margin) [x, y] = [margin, y + 38];
    paper.fillStyle = button.style.getPropertyValue("--color");
    if (button.dataset.dash === "solid") paper.fillRect(x, y - 11, 32, 6);
    else for (let dash = 0; dash < 3; dash += 1) paper.fillRect(x + 12 * dash, y - 11, 8, 6);
    paper.fillStyle = color("--text");
    paper.fillText(text, x + 44, y, width - 2 * margin - 44);
    x += wide;
  }
  return y;
}

/** The plot drawn once more, out of sight, in the size and with the letters of a slide: a canvas. */
async function large(shown, width, height, drawing) {
  const factors = { text: SLIDE.text, height: height / shown.plot.height };
  return drawnAgain(shown, shown.plot, width, factors, drawing);
}

/**
 * A plot that is shown, drawn once more, out of sight: a canvas. Between the call and its end no other task is waited
 * for, so that it is done when a handler of an event has ended.
 *
 * plot: its description, in the same theme or in another; width: in pixels; factors: of its texts and its height
 */
export async function drawnAgain(shown, plot, width, factors, drawing) {
  const place = element("div", "out-of-sight");
  place.style.width = `${width}px`;
  document.body.append(place);
  let view = null;
  try {
    ({ view } = await drawing(plot, place, factors, (again) => copy(shown, again)));
    repaint(view.roots[0]);
    return view.roots[0].export("png").canvas;
  } finally {
    view?.clear();
    place.remove();
  }
}

/** Have axes follow their data, which else happens with the next frame. */
function repaint(view) {
  if (view.paint) view.paint();
  else view.child_views.forEach(repaint);
}

/** Fill a document of the same plot with what is shown. */
function copy(shown, again) {
  for (const each of shown.document._all_models.values()) {
    const other = each.name && again.get_model_by_name(each.name);
    if (!other) continue;
    for (const key of ["visible", "location", "high", "axis_label"]) {
      if (key in each.properties && ["number", "boolean", "string"].includes(typeof each[key])) other[key] = each[key];
    }
    if (each.data) other.data = { ...each.data };
  }
  for (const [button, glyph] of shown.legend ?? []) {
    again.get_model_by_name(glyph).visible = button.getAttribute("aria-pressed") === "true";
  }
}

function fileName(plot, numbers, ending) {
  const run = (numbers.run || "run").replaceAll(/[^\w.-]+/g, "_").slice(0, 60);
  return `${run}.${plot.name}.${ending}`;
}

function save(blob, name) {
  const link = element("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
