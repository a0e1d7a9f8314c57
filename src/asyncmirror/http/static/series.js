// What was measured, in the steps that a chart shows. The server tells of the past once, and of each second as it passes.

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
const MOST = 600;

/** The step that shows so many seconds in at most MOST points. */
export function stepFor(seconds) {
  return STEPS.find((step) => step * MOST >= seconds) ?? STEPS.at(-1);
}

/** Columns to objects. */
function rows(columns) {
  const names = Object.keys(columns).filter((name) => Array.isArray(columns[name]));
  return (columns.time ?? []).map((_, at) => Object.fromEntries(names.map((name) => [name, columns[name][at]])));
}

export class Series {
  constructor() {
    this.step = 1;
    this.points = [];
    this.through = 0; // the last second that is in
  }

  /** Take what the server tells of the past. */
  begin(told) {
    this.step = told.step;
    this.through = Math.floor(told.end) - 1;
    this.points = rows(told).filter((point) => point.time <= this.through);
    for (const point of this.points) point.seconds = Math.min(this.step, this.through + 1 - point.time);
  }

  /** Take seconds as they pass; those that are in already are passed over. */
  add(columns) {
    for (const second of rows(columns)) {
      if (second.time <= this.through) continue;
      this.through = second.time;
      const time = Math.floor(second.time / this.step) * this.step;
      const last = this.points.at(-1);
      if (last?.time === time) merge(last, second);
      else this.points.push({ ...second, time, seconds: 1 });
    }
  }

  /** Forget what is older. */
  trim(start) {
    const keep = this.points.findIndex((point) => point.time + this.step >= start);
    if (keep > 0) this.points.splice(0, keep);
  }
}

function merge(point, second) {
  for (const name of Object.keys(second)) {
    if (name !== "time") point[name] = (point[name] * point.seconds + second[name]) / (point.seconds + 1);
  }
  point.seconds += 1;
}
