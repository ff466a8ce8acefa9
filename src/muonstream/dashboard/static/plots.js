// The plots: drawn by BokehJS from what the server describes, filled with the arrays of each message.

import { element, prefixed } from "./format.js";

/** Plots of the whole page; a tab's are drawn when it is opened, and again for another theme, scale or detector. */
export class Plots {
  constructor() {
    this.tabs = new Map(); // by tab: { key, plots: [{ plot, canvas, age, source, model, view, dataTime }] }
    this.colors = [];
  }

  /** Draw the plots of a tab, unless they are there. Raises an Error when the server has none. */
  async draw(tab, { theme, scale, reference }, detector) {
    const place = document.querySelector(`.plots[data-tab="${tab}"]`);
    const key = [theme, scale, reference, detector].join();
    if (!place || this.tabs.get(tab)?.key === key) return;
    if (!place.children.length) place.append(element("p", "loading", "The plots are on their way …"));
    const answer = await fetch(`plots.json?tab=${tab}&theme=${theme}&scale=${scale}&reference=${reference}`);
    if (!answer.ok) throw new Error(`plots.json: ${answer.status}`);
    const description = await answer.json();
    this.colors = description.chamber_colors;
    const hidden = new Set([...place.querySelectorAll('.legend [aria-pressed="false"]')].map((button) => button.dataset.curve));
    const height = place.offsetHeight;
    place.style.minHeight = `${height}px`; // so that the page does not jump while it is drawn anew
    for (const shown of this.tabs.get(tab)?.plots ?? []) shown.view.clear();
    this.tabs.delete(tab);
    place.replaceChildren();
    const plots = [];
    for (const plot of description.plots) plots.push(await embed(plot, place, hidden));
    place.style.minHeight = "";
    this.tabs.set(tab, { key, plots });
  }

  /** Fill the plots of a tab with arrays and remarks, and with the arrays of the reference if there are some. */
  fill(tab, { arrays, remarks, numbers }, choices, dataTime, reference) {
    const seconds = { run: numbers.live_time_s, recent: numbers.recent_seconds };
    for (const shown of this.tabs.get(tab)?.plots ?? []) {
      const data = { ...shown.source.data };
      for (const [column, name] of Object.entries(shown.plot.columns)) {
        const wanted = name.replace("{period}", choices.period).replace("{hits}", choices.hits);
        const array = arrays.get(wanted);
        if (array) data[column] = array;
        if (shown.plot.compared.includes(column)) compare(data, column, reference?.get(name.replace("{period}", "run").replace("{hits}", choices.hits)));
      }
      const live = seconds[choices.period];
      for (const [column, counts] of Object.entries(shown.plot.per_second)) {
        data[column] = Float64Array.from(data[counts], (n) => (live > 0 ? n / live : NaN));
      }
      shown.source.data = data;
      if (shown.mapper) scaleColors(shown, data.hits, choices.scale);
      for (const [mark, name] of Object.entries(shown.plot.marks)) {
        const place = arrays.get(name.replace("{period}", choices.period))?.[0] ?? NaN;
        const model = shown.model.document.get_model_by_name(mark);
        if (Number.isFinite(place)) model.location = place;
        model.visible = Number.isFinite(place);
      }
      shown.dataTime = dataTime;
      const remark = remarks[shown.plot.name]?.[choices.period] ?? "";
      if (shown.remark.textContent !== remark) shown.remark.textContent = remark;
    }
  }

  /** Write on each plot of a tab how old its data are: text(dataTime) gives the words. */
  showAges(tab, text) {
    for (const { age, dataTime } of this.tabs.get(tab)?.plots ?? []) age.textContent = dataTime === null ? "" : text(dataTime);
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

/** Fill the columns of the reference: its counts scaled to the same sum, and the ratio to them. */
function compare(data, column, reference) {
  const counts = data[column];
  const sum = (array) => array.reduce((total, n) => total + n, 0);
  const scale = reference ? sum(counts) / Math.max(sum(reference), 1) : 0;
  data[`ref_${column}`] = Float64Array.from(counts, (_, i) => (reference ? (reference[i] ?? 0) * scale : NaN));
  data[`ratio_${column}`] = Float64Array.from(counts, (n, i) => (reference?.[i] ? n / (reference[i] * scale) : NaN));
}

async function embed(plot, place, hidden) {
  const parts = frame(plot);
  place.append(parts.figure);
  const view = await Bokeh.embed.embed_item(plot.item, parts.canvas);
  const model = view.roots[0].model;
  const document = model.document;
  for (const each of document._all_models.values()) {
    // Bokeh has no ticks with metric prefixes, and code of its own for them would need eval
    if (each.name === "prefixed") each.doFormat = (ticks) => ticks.map((tick) => prefixed(tick, true));
  }
  for (const [button, glyph] of parts.legend) {
    const renderer = document.get_model_by_name(glyph);
    const show = (visible) => {
      renderer.visible = visible;
      button.setAttribute("aria-pressed", String(visible));
    };
    button.onclick = () => show(!renderer.visible);
    if (hidden.has(button.dataset.curve)) show(false);
  }
  const source = document.get_model_by_name("data");
  const [csv, png] = parts.files;
  csv.onclick = () => save(new Blob([table(source.data)], { type: "text/csv" }), `${plot.name}.csv`);
  png.onclick = () => view.roots[0].export("png").canvas.toBlob((blob) => save(blob, `${plot.name}.png`));
  return { ...parts, plot, view, model, source, mapper: document.get_model_by_name("colors"), dataTime: null };
}

function frame(plot) {
  const figure = element("figure", `plot ${plot.size}`);
  figure.dataset.plot = plot.name;
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
  for (const { label, color, glyph } of plot.legend) {
    const button = element("button", "", label);
    button.type = "button";
    button.style.setProperty("--color", color);
    button.setAttribute("aria-pressed", "true");
    button.dataset.curve = `${plot.name} ${glyph}`;
    button.title = "Show or hide";
    names.append(button);
    legend.push([button, glyph]);
  }
  const canvas = element("div", "canvas");
  canvas.style.minHeight = `${plot.height}px`;
  figure.append(caption);
  if (legend.length) figure.append(names);
  figure.append(canvas);
  if (plot.note) figure.append(element("p", "note", plot.note));
  const remark = element("p", "note remark");
  const over = element("p", "note over");
  over.hidden = true;
  figure.append(over, remark);
  return { figure, canvas, age, legend, files, remark, over };
}

/** The columns of a plot as CSV, with their names. */
function table(data) {
  const columns = Object.entries(data).filter(([, values]) => values.length);
  const rows = Math.max(...columns.map(([, values]) => values.length));
  const cell = (value) => (typeof value === "string" ? `"${value.replaceAll('"', '""')}"` : Number.isNaN(value) ? "" : value);
  const lines = [columns.map(([name]) => name).join()];
  for (let i = 0; i < rows; i += 1) lines.push(columns.map(([, values]) => cell(values[i] ?? "")).join());
  return `${lines.join("\n")}\n`;
}

function save(blob, name) {
  const link = element("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
