// Numbers and times for people. Sizes are 1024-based, as on the command line.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const DAY = 86400;

export const count = (value) => WHOLE.format(value);

/** A power of 1024 that suits a size, and its name. */
export function unit(bytes) {
  const power = Math.max(0, Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10)));
  return { divisor: 1024 ** power, name: UNITS[power] };
}

/** Three digits, where there are so many. */
export function short(value) {
  if (value >= 100 || Number.isInteger(value)) return count(value);
  return value.toFixed(value >= 10 ? 1 : value >= 1 ? 2 : value >= 0.1 ? 2 : 3);
}

export function size(bytes) {
  const { divisor, name } = unit(bytes);
  return name === "B" ? `${count(bytes)} B` : `${short(bytes / divisor)} ${name}`;
}

const two = (value) => String(value).padStart(2, "0");

/** A time that passed: 0:07, 12:33, 3:04:05, 2 d 3 h. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const days = Math.floor(whole / DAY);
  const hours = Math.floor((whole % DAY) / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  if (days) return `${days} d ${hours} h`;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** A time still to come, as exactly as it is known. */
export function estimate(seconds) {
  if (seconds < 60) return "less than a minute";
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 2 * DAY) return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 600) * 10 % 60} min`;
  return `${Math.round(seconds / DAY)} days`;
}

/** A moment in the reader's time zone: with its day where that is not today's. */
export function moment(seconds, now = Date.now() / 1000) {
  const then = new Date(seconds * 1000);
  const clock = `${two(then.getHours())}:${two(then.getMinutes())}`;
  if (then.toDateString() === new Date(now * 1000).toDateString()) return clock;
  const day = then.toLocaleDateString("en-GB", { weekday: "short", day: "numeric", month: "short" });
  return `${day}, ${clock}`;
}

/** An axis' label: seconds only where they tell something. */
export function tick(seconds, step) {
  const then = new Date(seconds * 1000);
  if (step >= DAY) return then.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  const clock = `${two(then.getHours())}:${two(then.getMinutes())}`;
  return step < 60 ? `${clock}:${two(then.getSeconds())}` : clock;
}
