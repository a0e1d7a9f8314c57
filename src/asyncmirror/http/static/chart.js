// A chart over time: lines with gaps where nothing was measured, an axis with its unit, and a hair line that tells values.

import { draw, make, say } from "./dom.js";
import { short, tick } from "./format.js";

const TICKS = [5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400, 172800, 604800];
const LEFT = 46;
const RIGHT = 8;
const TOP = 24;
const BOTTOM = 20;
const LABEL = 74; // pixels that a label takes

export class Chart {
  /**
   * @param figure The element to draw in.
   * @param options title; lines: [{key, style, area, seldom, bound}], a bound being 0 where there is none; scale(top): {divisor, name} of the axis; tell(point): text.
   */
  constructor(figure, options) {
    this.options = options;
    this.output = make("output");
    this.svg = draw("svg", { role: "img", tabindex: "0" });
    figure.replaceChildren(make("figcaption", {}, make("span", {}, options.title), this.output), this.svg);
    this.at = null;
    this.points = [];
    this.svg.addEventListener("pointermove", (event) => this.#point(event.offsetX));
    this.svg.addEventListener("pointerleave", () => this.#pick(null));
    this.svg.addEventListener("blur", () => this.#pick(null));
    this.svg.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.#draw()).observe(this.svg);
  }

  /** Show these points, a step apart, from a start to an end. */
  show(points, step, start, end) {
    Object.assign(this, { points, step, start, end });
    this.#draw();
  }

  #x(time) {
    return LEFT + ((time - this.start) / (this.end - this.start)) * (this.width - LEFT - RIGHT);
  }

  #draw() {
    this.width = this.svg.clientWidth;
    this.height = this.svg.clientHeight;
    if (!this.width || this.start === undefined) return;
    const seen = this.points.filter((point) => point.time + this.step > this.start);
    const drawn = this.options.lines.filter((line) => !line.bound);
    const top = Math.max(0, ...seen.flatMap((point) => drawn.map((line) => point[line.key])));
    const axis = ticks(top, this.options.scale(top));
    this.y = (value) => TOP + (1 - value / axis.top) * (this.height - TOP - BOTTOM);
    const parts = [...this.#grid(axis), ...this.#times()];
    for (const line of this.options.lines) {
      if (line.seldom && !seen.some((point) => point[line.key] > 0)) continue;
      // A bound far above what is reached is no reason to make that small.
      const shown = line.bound ? seen.filter((point) => point[line.key] > 0 && point[line.key] <= axis.top) : seen;
      for (const run of runs(shown, this.step)) parts.push(...this.#line(run, line));
    }
    const at = this.at === null ? null : seen.find((point) => point.time === this.at);
    if (at) parts.push(...this.#hair(at));
    this.svg.replaceChildren(...parts);
    const told = at ?? this.options.now?.() ?? seen.at(-1);
    say(this.output, told ? `${at ? `${tick(at.time, Math.min(this.step, 59))}  ` : ""}${this.options.tell(told)}` : "");
    this.svg.setAttribute("aria-label", `${this.options.title}, now ${this.output.textContent || "nothing"}`);
  }

  *#grid(axis) {
    for (const value of axis.values) {
      const y = Math.round(this.y(value)) + 0.5;
      yield draw("line", { class: "grid", x1: LEFT, x2: this.width - RIGHT, y1: y, y2: y });
      yield draw("text", { x: LEFT - 6, y: y + 3.5, "text-anchor": "end" }, short(value / axis.divisor));
    }
    yield draw("text", { x: 0, y: 10 }, axis.name);
  }

  *#times() {
    const most = Math.max(1, Math.floor((this.width - LEFT) / LABEL));
    const step = TICKS.find((each) => (this.end - this.start) / each <= most) ?? TICKS.at(-1);
    const zone = new Date(this.end * 1000).getTimezoneOffset() * 60;
    for (let time = Math.ceil((this.start - zone) / step) * step + zone; time <= this.end; time += step) {
      const x = this.#x(time);
      if (x < LEFT + 14 || x > this.width - 22) continue;
      yield draw("text", { x, y: this.height - 5, "text-anchor": "middle" }, tick(time, step));
    }
  }

  *#line(run, line) {
    const places = run.map((point) => [this.#x(point.time + this.step / 2), this.y(point[line.key])]);
    const path = places.map(([x, y], at) => `${at ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
    const first = places[0][0].toFixed(1);
    const last = places.at(-1)[0].toFixed(1);
    const floor = this.y(0).toFixed(1);
    if (line.area) yield draw("path", { class: "area", d: `${path}L${last} ${floor}L${first} ${floor}Z` });
    // A point that stands alone is a dot: a line of no length with round ends.
    const alone = places.length === 1;
    yield draw("path", { class: `curve ${line.style ?? ""} ${alone ? "dot" : ""}`, d: alone ? `${path}h0.01` : path });
  }

  *#hair(point) {
    const x = this.#x(point.time + this.step / 2);
    yield draw("line", { class: "hair", x1: x, x2: x, y1: TOP, y2: this.height - BOTTOM });
    yield draw("circle", { class: "spot", cx: x, cy: this.y(point[this.options.lines[0].key]), r: 3 });
  }

  #point(x) {
    const time = this.start + ((x - LEFT) / (this.width - LEFT - RIGHT)) * (this.end - this.start);
    let best = null;
    for (const point of this.points) {
      const far = Math.abs(point.time + this.step / 2 - time);
      if (best === null || far < best.far) best = { far, time: point.time };
    }
    this.#pick(best?.time ?? null);
  }

  #key(event) {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!way || !this.points.length) return;
    event.preventDefault();
    const here = this.points.findIndex((point) => point.time === this.at);
    const next = here < 0 ? this.points.length - 1 : Math.max(0, Math.min(this.points.length - 1, here + way));
    this.#pick(this.points[next].time);
  }

  #pick(time) {
    this.at = time;
    this.#draw();
  }
}

/** Points that follow one another without a gap. */
function runs(points, step) {
  const found = [];
  let last = null;
  for (const point of points) {
    // A second that was missed now and then is no gap.
    if (last === null || point.time - last > 2.5 * step) found.push([]);
    found.at(-1).push(point);
    last = point.time;
  }
  return found;
}

/** Round values for an axis up to a value. */
function ticks(top, { divisor, name }) {
  const reach = Math.max(top / divisor, 1e-9);
  const power = 10 ** Math.floor(Math.log10(reach / 2));
  const step = ([1, 2, 5, 10].find((each) => reach / (each * power) <= 3.4) ?? 10) * power;
  const values = [];
  for (let at = 0; at * step < reach + step; at += 1) values.push(at * step * divisor);
  return { top: values.at(-1), values, divisor, name };
}
