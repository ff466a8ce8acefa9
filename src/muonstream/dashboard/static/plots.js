// The plots: drawn by BokehJS from what the server describes, filled with the arrays of each message.

import { element, prefixed, setText } from "./format.js";
import { saveSlide, saveTable } from "./files.js";

const TICK_PX = 95; // a time of day at an axis, with what is between two of them
const PATIENCE_MS = 60_000; // a description that has not come by then is asked for again

/** Plots of the whole page; a tab's are drawn when it is opened, and again for another theme, scale or detector. */
export class Plots {
  constructor() {
    this.tabs = new Map(); // by tab: { key, plots: [{ plot, canvas, age, source, model, view, message }] }
    this.colors = [];
    this.onPaper = {}; // what the plots' colours are on paper, which is light
    this.about = () => null; // what is shown, for files: { numbers, choices, reference }
  }

  /** Draw the plots of a tab, unless they are there. Raises an Error when the server has none. */
  async draw(tab, { theme, scale, reference, factor }, detector) {
    const place = document.querySelector(`.plots[data-tab="${tab}"]`);
    const key = [theme, scale, reference, factor, detector].join();
    if (!place || this.tabs.get(tab)?.key === key) return;
    this.announce(tab);
    const address = `plots.json?tab=${tab}&theme=${theme}&scale=${scale}&reference=${reference}`;
    const answer = await fetch(address, { signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!answer.ok) throw new Error(`plots.json: ${answer.status}`);
    const description = await answer.json();
    this.colors = description.chamber_colors;
    this.onPaper = description.on_paper;
    const hidden = new Set([...place.querySelectorAll('.legend [aria-pressed="false"]')].map((button) => button.dataset.curve));
    const height = place.offsetHeight;
    place.style.minHeight = `${height}px`; // so that the page does not jump while it is drawn again
    for (const shown of this.tabs.get(tab)?.plots ?? []) shown.view.clear();
    this.tabs.delete(tab);
    place.replaceChildren();
    const plots = [];
    for (const plot of description.plots) plots.push(await this.embed(plot, place, hidden, factor));
    place.style.minHeight = "";
    this.tabs.set(tab, { key, plots });
  }

  /** Say that the plots of a tab are to come, where it has none. */
  announce(tab) {
    const place = document.querySelector(`.plots[data-tab="${tab}"]`);
    if (place && !place.children.length) place.append(element("p", "loading", "Loading the plots …"));
  }

  async embed(plot, place, hidden, factor) {
    const parts = frame(plot, factor);
    place.append(parts.figure);
    const drawn = await drawing(plot, parts.canvas, { text: factor, height: factor });
    for (const [button, glyph] of parts.legend) {
      const renderer = drawn.document.get_model_by_name(glyph);
      const show = (visible) => {
        renderer.visible = visible;
        button.setAttribute("aria-pressed", String(visible));
      };
      button.onclick = () => show(!renderer.visible);
      if (hidden.has(button.dataset.curve)) show(false);
    }
    const shown = { ...parts, ...drawn, plot, message: null };
    const [csv, png] = parts.files;
    csv.onclick = () => saveTable(shown, this.about());
    png.onclick = () => saveSlide(shown, this.about(), drawing);
    return shown;
  }

  /** Fill the plots of a tab with a message, and with the arrays of the reference if there are some. */
  fill(tab, message, choices, reference) {
    const { arrays, remarks, numbers } = message;
    const seconds = { run: numbers.live_time_s, recent: numbers.recent_seconds };
    for (const shown of this.tabs.get(tab)?.plots ?? []) {
      const data = { ...shown.source.data };
      for (const [column, name] of Object.entries(shown.plot.columns)) {
        const hits = name.replace("{hits}", choices.hits);
        const array = arrays.get(hits.replace("{period}", choices.period));
        if (array) data[column] = array;
        if (shown.plot.compared.includes(column)) compare(data, column, reference.counts(hits));
      }
      const live = seconds[choices.period];
      for (const [column, counts] of Object.entries(shown.plot.per_second)) {
        data[column] = Float64Array.from(data[counts], (n) => (live > 0 ? n / live : NaN));
      }
      shown.source.data = data;
      if (shown.mapper) scaleColors(shown, data.hits, choices.scale);
      for (const [mark, name] of Object.entries(shown.plot.marks)) {
        const place = arrays.get(name.replace("{period}", choices.period))?.[0] ?? NaN;
        const model = shown.document.get_model_by_name(mark);
        if (Number.isFinite(place)) model.location = place;
        model.visible = Number.isFinite(place);
      }
      if (shown.resets) markResets(shown, arrays.get("time.resets") ?? [], numbers.resets);
      shown.message = message;
      setText(shown.remark, remarks[shown.plot.name]?.[choices.period] ?? "");
    }
  }

  /** Write on each plot of a tab how old its data are: text(message) gives the words. */
  showAges(tab, text) {
    for (const { age, message } of this.shown(tab)) setText(age, message === null ? "" : text(message));
  }

  /** The plots of a tab that are drawn. */
  shown(tab) {
    return this.tabs.get(tab)?.plots ?? [];
  }

  /** The data of one column of a plot that is drawn, as an array; null when it is not. */
  values(name, column) {
    for (const { plots } of this.tabs.values()) {
      const shown = plots.find(({ plot }) => plot.name === name);
      if (shown) return Array.from(shown.source.data[column] ?? []);
    }
    return null;
  }
}

/** Set a map's colours: the linear scale ends where most cells are, so that a hot one does not make the rest look alike. */
function scaleColors(shown, hits, scale) {
  const sorted = Float64Array.from(hits).filter((n) => n > 0).sort();
  const most = sorted.at(-1) ?? 1;
  const usual = sorted[Math.floor(0.95 * (sorted.length - 1))] ?? 1;
  shown.mapper.high = Math.max(1, scale === "linear" && most > 2 * usual ? 1.25 * usual : most);
  const over = sorted.filter((n) => n > shown.mapper.high).length;
  shown.over.hidden = !over;
  if (over) shown.over.textContent = `${over === 1 ? "1 cell is" : `${over} cells are`} over the scale, up to ${prefixed(Number(most.toPrecision(3)), true)} hits.`;
}

/** Mark where the orbit counter was reset, and say how many of the resets are marked. */
function markResets(shown, places, resets) {
  shown.resets.data = { x: Array.from(places) };
  const unmarked = resets - places.length;
  const some = unmarked > 0 ? ` ${unmarked} more ${unmarked === 1 ? "is" : "are"} not marked.` : "";
  setText(shown.resetNote, places.length || unmarked > 0 ? `Vertical lines: ${places.length} counter reset${places.length === 1 ? "" : "s"}.${some}` : "");
}

/** Fill the columns of the reference: its counts scaled to the same sum, and the ratio to them. */
function compare(data, column, reference) {
  const counts = data[column];
  const sum = (array) => array.reduce((total, n) => total + n, 0);
  const scale = reference ? sum(counts) / Math.max(sum(reference), 1) : 0;
  data[`ref_${column}`] = Float64Array.from(counts, (_, i) => (reference ? (reference[i] ?? 0) * scale : NaN));
  data[`ratio_${column}`] = Float64Array.from(counts, (n, i) => (reference?.[i] ? n / (reference[i] * scale) : NaN));
}

/**
 * Draw a plot in a place, its texts and its height so many times as large: { view, model, document, source, ... }.
 *
 * fill: is given the document before it is drawn
 */
export async function drawing(plot, place, factors, fill = () => {}) {
  const room = place.clientWidth || innerWidth / (plot.size === "map" ? 3 : 2); // out of sight it has no width
  const item = enlarged(plot.item, factors, Math.floor(room / (TICK_PX * factors.text)));
  const document = Bokeh.require("document/document").Document.from_json(item.doc);
  fill(document);
  // not embed_item, which waits for the next task: whoever prints waits for no task
  const view = await Bokeh.embed.add_document_standalone(document, place);
  const { model } = view.roots[0];
  for (const each of document._all_models.values()) {
    // Bokeh has no ticks with metric prefixes, and code of its own for them would need eval
    if (each.name === "prefixed") each.doFormat = (ticks) => ticks.map((tick) => prefixed(tick, true));
  }
  const named = (name) => document.get_model_by_name(name);
  return { view, model, document, source: named("data"), mapper: named("colors"), resets: named("resets") };
}

const LENGTHS = /^(line_width|size|width|padding|(min|max)_border_(left|right|top|bottom)|axis_label_standoff|label_standoff)$/;

/** What describes a plot, with texts, lines and height so many times as large, and no more times at its axis than fit. */
function enlarged(item, factors, ticks) {
  const described = structuredClone(item);
  const exact = (key) => key === "line_width" || key === "size"; // the others are whole pixels
  const times = (key, value, factor) => (exact(key) ? value * factor : Math.round(value * factor));
  const visit = (node) => {
    if (node === null || typeof node !== "object") return;
    const { attributes, name } = node;
    if (attributes) {
      for (const [key, value] of Object.entries(attributes)) {
        if (key.endsWith("font_size")) {
          const size = typeof value === "string" ? value : value?.value;
          const large = typeof size === "string" ? size.replace(/^[\d.]+/, (n) => String(Number(n) * factors.text)) : size;
          attributes[key] = typeof value === "string" ? large : { ...value, value: large };
        } else if (key === "desired_num_ticks" && name === "AdaptiveTicker") {
          attributes[key] = Math.max(2, Math.min(value, ticks));
        } else if (key === "desired_num_ticks" && name === "BasicTicker") {
          attributes[key] = Math.max(2, Math.min(value, Math.floor(1.6 * ticks))); // numbers are shorter than times
        } else if (key === "height" && name === "Figure") {
          attributes[key] = times(key, value, factors.height);
        } else if (LENGTHS.test(key) && (key !== "width" || name === "ColorBar")) {
          if (typeof value === "number") attributes[key] = times(key, value, factors.text);
          else if (typeof value?.value === "number") attributes[key] = { ...value, value: times(key, value.value, factors.text) };
        }
      }
    }
    for (const inside of Object.values(node)) visit(inside);
  };
  visit(described.doc);
  return described;
}

function frame(plot, factor) {
  const figure = element("figure", `plot ${plot.size}`);
  figure.dataset.plot = plot.name;
  // without reconstruction there is nothing to show in them
  if (Object.values(plot.columns).every((name) => name.startsWith("muon."))) figure.classList.add("with-muons");
  const caption = element("figcaption");
  const age = element("span", "plot-age");
  const files = ["CSV", "PNG"].map((text) => {
    const button = element("button", "", text);
    button.type = "button";
    button.setAttribute("aria-label", `Save ${plot.title} as ${text}`);
    return button;
  });
  caption.append(element("span", "title", plot.title), age, ...files);
  const legend = [];
  const names = element("div", "legend");
  for (const { label, color, glyph, dash } of plot.legend) {
    const button = element("button", "", label);
    button.type = "button";
    button.style.setProperty("--color", color);
    button.dataset.dash = dash;
    button.setAttribute("aria-pressed", "true");
    button.dataset.curve = `${plot.name} ${glyph}`;
    button.title = "Show or hide";
    names.append(button);
    legend.push([button, glyph]);
  }
  const canvas = element("div", "canvas");
  canvas.style.minHeight = `${plot.height * factor}px`;
  figure.append(caption);
  if (legend.length) figure.append(names);
  figure.append(canvas);
  if (plot.note) figure.append(element("p", "note", plot.note));
  const remark = element("p", "note remark");
  const resetNote = element("p", "note resets");
  const over = element("p", "note over");
  over.hidden = true;
  figure.append(over, remark, resetNote);
  return { figure, canvas, age, legend, files, remark, resetNote, over };
}
