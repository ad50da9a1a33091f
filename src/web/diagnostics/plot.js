// Line plots as SVG: as wide as their place, drawn anew when it or the data change.

import { moment } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 168;
const EDGE = { left: 74, right: 8, top: 8, bottom: 24 };

/** A plot of one or more series; `{title, lines: [{name, of}], shown, most}`, see page.js. */
export class Plot {
  #wanted;
  #samples = [];
  #span = 3600_000;
  #figure = document.createElement("figure");
  #legend = document.createElement("figcaption");
  #place = document.createElement("div");
  #values = [];
  #pointed = null;

  constructor(wanted) {
    this.#wanted = wanted;
    const title = document.createElement("strong");
    title.textContent = wanted.title;
    this.#legend.append(title);
    for (const [at, line] of wanted.lines.entries()) {
      const name = document.createElement("span");
      name.className = `key line-${at}`;
      const value = document.createElement("b");
      name.append(`${line.name} `, value);
      this.#values.push(value);
      this.#legend.append(name);
    }
    this.#place.className = "plot";
    this.#figure.append(this.#legend, this.#place);
    new ResizeObserver(() => this.#draw()).observe(this.#place);
    this.#place.addEventListener("pointermove", (event) => this.#point(event));
    this.#place.addEventListener("pointerdown", (event) => this.#point(event));
    this.#place.addEventListener("pointerleave", () => this.#point(null));
  }

  get element() {
    return this.#figure;
  }

  /** `samples` oldest first; `span` is how much time is shown, milliseconds. */
  show(samples, span) {
    this.#samples = samples;
    this.#span = span;
    this.#draw();
  }

  #point(event) {
    this.#pointed = event && event.clientX - this.#place.getBoundingClientRect().left;
    this.#draw();
  }

  #draw() {
    const width = this.#place.clientWidth;
    if (!width) return;
    const { lines, shown, title, least = 1, round = nice } = this.#wanted;
    const samples = this.#samples;
    const end = samples.at(-1)?.at ?? Date.now();
    const begin = end - this.#span;
    const most = round(Math.max(least, ...samples.flatMap((sample) => lines.map(({ of }) => of(sample)))));
    const x = (at) => EDGE.left + ((at - begin) / this.#span) * (width - EDGE.left - EDGE.right);
    const y = (value) => HEIGHT - EDGE.bottom - (value / most) * (HEIGHT - EDGE.top - EDGE.bottom);
    const last = samples.at(-1);
    const peak = (of) => shown(samples.reduce((top, sample) => Math.max(top, of(sample)), 0));
    const said = lines.map(({ name, of }) => `${name} ${last ? shown(of(last)) : "unknown"}, at most ${peak(of)}`);
    const svg = node("svg", {
      viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img",
      "aria-label": `${title}: ${said.join("; ")}`,
    });
    for (const part of [0, 0.5, 1]) {
      const at = y(most * part);
      svg.append(node("line", { class: "grid", x1: EDGE.left, x2: width - EDGE.right, y1: at, y2: at }));
      svg.append(node("text", { x: EDGE.left - 8, y: at + 4, "text-anchor": "end" }, shown(most * part)));
    }
    for (const [at, part] of [0, 0.5, 1].entries()) {
      const anchor = ["start", "middle", "end"][at];
      const word = part === 1 && samples.length ? "now" : moment(begin + part * this.#span);
      svg.append(node("text", { x: x(begin + part * this.#span), y: HEIGHT - 6, "text-anchor": anchor }, word));
    }
    lines.forEach(({ of }, at) => {
      const points = samples.map((sample) => `${x(sample.at).toFixed(1)},${y(of(sample)).toFixed(1)}`);
      if (points.length === 0) return;
      const [from, to] = [x(samples[0].at).toFixed(1), x(end).toFixed(1)];
      if (at === 0) {
        svg.append(node("polygon", { class: "area", points: `${from},${y(0)} ${points.join(" ")} ${to},${y(0)}` }));
      }
      svg.append(node("polyline", { class: `line line-${at}`, points: points.join(" ") }));
      if (points.length === 1) svg.append(node("circle", { class: `dot line-${at}`, cx: from, cy: y(of(last)), r: 3 }));
    });
    const picked = this.#pointed === null ? last : nearest(samples, (sample) => Math.abs(x(sample.at) - this.#pointed));
    if (this.#pointed !== null && picked) {
      svg.append(node("line", { class: "pointer", x1: x(picked.at), x2: x(picked.at), y1: EDGE.top, y2: HEIGHT - EDGE.bottom }));
    }
    lines.forEach(({ of }, at) => {
      const when = this.#pointed === null || !picked ? "" : ` at ${moment(picked.at)}`;
      this.#values[at].textContent = picked ? shown(of(picked)) + when : "nothing measured yet";
    });
    this.#place.replaceChildren(svg);
  }
}

function nearest(samples, distance) {
  return samples.reduce((best, sample) => (best && distance(best) <= distance(sample) ? best : sample), undefined);
}

/** 1, 2 or 5 times a power of ten, at or above `value`. */
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

/** A power of two at or above `value`. */
export const twos = (value) => 2 ** Math.ceil(Math.log2(value));

function node(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}
