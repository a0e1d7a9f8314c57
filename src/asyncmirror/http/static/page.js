// The page: takes what the server tells, and puts it where it belongs.

import { Chart } from "./chart.js";
import { id, make, say, widen } from "./dom.js";
import { count, duration, estimate, moment, short, size, unit } from "./format.js";
import { Problems } from "./problems.js";
import { Series, stepFor } from "./series.js";
import { listen } from "./stream.js";
import { verdict } from "./verdict.js";

const RANGES = [["10 min", 600], ["2 h", 7200], ["24 h", 86400], ["4 weeks", 28 * 86400]];
const SETTLE = 3000; // milliseconds between two looks at the problems on record
const SHARE = 20; // and so many times what a look takes: the journal has a run to serve
const MEANING = {
  complete: "sent, and confirmed by the store",
  unchanged: "in the bucket already",
  adopted: "found in the bucket, proven equal",
  excluded: "left out by a rule",
  pending: "seen, not finished",
  failed: "the store would not take it",
  unreadable: "the file system refused it",
  changed: "changed while it was read",
  refused: "must not be sent",
  unsupported: "a link, a device, on tape",
};

const FATES = {
  deleted: { name: "deleted", meaning: "objects whose file is gone" },
  planned: { name: "to be deleted", meaning: "objects whose file is gone; a dry run deletes none" },
  left: { name: "left", meaning: "objects whose file is gone, but they are not as we stored them" },
  failed: { name: "not deleted", meaning: "the store would not delete them" },
};

const problems = new Problems();
const series = new Series();
const perSecond = (bytes) => `${size(bytes)}/s`;
const flat = (name) => () => ({ divisor: 1, name });
const charts = [
  new Chart(id("chart-bytes"), {
    title: "Throughput",
    lines: [{ key: "bytes_per_second", area: true }, { key: "bytes_allowed", style: "ceiling", bound: true }],
    scale: (top) => {
      const { divisor, name } = unit(top);
      return { divisor, name: `${name}/s` };
    },
    tell: (point) => `${perSecond(point.bytes_per_second)}${point.bytes_allowed ? ` of ${perSecond(point.bytes_allowed)}` : ""}`,
  }),
  new Chart(id("chart-files"), {
    title: "Files",
    lines: [{ key: "files_per_second", area: true }],
    scale: flat("files/s"),
    tell: (point) => `${short(point.files_per_second)} files/s`,
  }),
  new Chart(id("chart-flight"), {
    title: "Requests in flight",
    lines: [{ key: "limit", area: true }, { key: "most", style: "ceiling" }, { key: "refused_per_second", style: "refusals", seldom: true }],
    scale: flat("allowed"),
    tell: (point) => {
      const refused = point.refused_per_second >= 0.05 ? `, ${short(point.refused_per_second)}/s refused` : "";
      return `${count(point.limit)} allowed, ${count(point.most)} at most${refused}`;
    },
  }),
];

let range = 7200;
let latest = null; // the last status
let loading = false;
let again = 0; // when the problems on record may be looked at again
let shownProblems = "";
let shownRun = "";
let runs = []; // on record, the newest first

/** How much is shown: the range, or as long as the process lives. */
const span = () => Math.max(60, Math.min(range, latest.time - latest.since));

async function loadHistory() {
  if (loading) return;
  loading = true;
  try {
    const seconds = Math.ceil(span());
    const answer = await fetch(`api/history?seconds=${seconds}&points=600`);
    if (answer.ok) series.begin(await answer.json());
  } catch {
    // the stream will tell when somebody is there again
  }
  loading = false;
  drawCharts();
}

function drawCharts() {
  if (latest === null) return;
  const end = latest.time;
  const start = end - span();
  series.trim(start);
  for (const chart of charts) chart.show(series.points, series.step, start, end);
}

async function loadRuns() {
  try {
    const answer = await fetch("api/runs?limit=20");
    if (answer.ok) runs = (await answer.json()).runs;
  } catch {
    // as above
  }
  showRuns();
}

function showRuns() {
  id("runs").replaceChildren(...runs.map(runRow));
  id("runs-none").hidden = runs.length > 0;
}

/** The run that goes on, or was the last of a process that has ended, has no summary on record: it is told of as it goes. */
function summaryOf(run, at) {
  if (at || run.summary.exit_code !== undefined || !latest || !["running", "ended"].includes(latest.phase)) return run.summary;
  const { seconds, bytes_sent, exit_code, result, outcomes } = latest.run;
  const counts = Object.fromEntries(Object.entries(outcomes).map(([name, { count: entries }]) => [name, entries]));
  return { ...counts, seconds, bytes_sent, exit_code: exit_code ?? undefined, stopped: result === "stopped" };
}

function runRow(run, at) {
  const told = summaryOf(run, at);
  const wrong = ["failed", "unreadable", "changed", "refused", "unsupported"].reduce((sum, name) => sum + (told[name] ?? 0), 0);
  const known = told.seconds !== undefined;
  const seconds = told.seconds ?? null;
  const result = resultOf(run, told);
  const cell = (text, kind = "n") => make("td", { class: kind }, text);
  return make(
    "tr",
    {},
    make("td", {}, moment(run.started)),
    make("td", { class: result.bad ? "bad" : "" }, result.text),
    cell(seconds === null ? "–" : duration(seconds)),
    cell(known ? count((told.complete ?? 0) + (told.adopted ?? 0)) : "–"),
    cell(known ? size(told.bytes_sent) : "–"),
    cell(known && seconds > 0.5 ? perSecond(told.bytes_sent / seconds) : "–", "n wide"),
    cell(known ? count(wrong) : "–", wrong ? "n bad" : "n"),
  );
}

function resultOf(run, told) {
  if (told.exit_code === undefined) {
    const going = latest?.phase === "running" && run.ended === null && run.started >= latest.run.started - 60;
    return going ? { text: "going on" } : { text: "broken off", bad: run.ended === null };
  }
  if (told.stopped) return { text: "stopped" };
  if (told.exit_code === 0) return { text: "all there" };
  return told.exit_code === 4 ? { text: "error", bad: true } : { text: "problems", bad: true };
}

function showVerdict(status) {
  const told = verdict(status);
  id("verdict").dataset.mood = told.mood;
  for (const part of ["state", "headline", "detail"]) say(id(part), told[part]);
  widen(id("fill"), told.done);
  widen(id("wrong"), told.wrong);
  id("track").setAttribute("aria-valuenow", Math.round(told.done));
  document.title = `${told.headline} · asyncmirror`;
  const alarm = !status.health.good && status.phase === "running"; // else the verdict says it already
  id("alarm").hidden = !alarm;
  if (alarm) say(id("alarm"), status.health.reason);
}

function showFacts(status) {
  const { run } = status;
  const running = status.phase === "running";
  const rate = running ? status.now : status.average;
  const facts = [
    [running ? "now" : "on average", perSecond(rate.bytes_per_second)],
    [running ? "files now" : "files", `${short(rate.files_per_second)}/s`],
    ["sent", size(run.bytes_sent)],
    ["found", `${count(run.scanned.count)} entries`],
    running && !run.erasing && run.left_seconds !== null ? ["left", estimate(run.left_seconds)] : [running ? "for" : "lasted", duration(run.seconds)],
    ["problems", count(run.problems), run.problems ? "bad" : ""],
  ];
  const list = id("facts");
  facts.forEach(([name, value, kind], at) => {
    const item = list.children[at] ?? list.appendChild(make("div", {}, make("dt"), make("dd")));
    item.className = kind ?? "";
    say(item.children[0], name);
    say(item.children[1], value);
  });
}

function showOutcomes(status) {
  const known = status.run.outcomes;
  const names = Object.keys(MEANING).filter((name) => known[name]);
  const rows = names.map((name) => {
    const { count: entries, bytes, problem } = known[name];
    const label = make("td", {}, name, make("small", {}, MEANING[name]));
    return make("tr", { class: problem ? "bad" : null }, label, make("td", { class: "n" }, count(entries)), make("td", { class: "n" }, size(bytes)));
  });
  for (const [fate, { count: objects, bytes }] of Object.entries(status.run.deletions?.fates ?? {})) {
    const label = make("td", {}, FATES[fate]?.name ?? fate, make("small", {}, FATES[fate]?.meaning ?? ""));
    const bad = fate === "left" || fate === "failed";
    rows.push(make("tr", { class: bad ? "bad" : null }, label, make("td", { class: "n" }, count(objects)), make("td", { class: "n" }, size(bytes))));
  }
  id("outcomes").replaceChildren(...rows);
}

function showSlowest(status) {
  const items = status.slowest.map((file) => {
    const bar = make("div", { class: "fill" });
    const percent = file.size ? (100 * file.sent) / file.size : 0;
    widen(bar, percent);
    const line = make(
      "span",
      { class: "line" },
      make("span", {}, `${size(file.sent)} of ${size(file.size)}`),
      make("span", {}, `${Math.floor(percent)} %, ${duration(file.seconds)}`),
    );
    // What tells files apart stands at the end: where there is no room, the directories give way.
    const cut = file.name.lastIndexOf("/") + 1;
    const above = make("span", { class: "above" }, file.name.slice(0, cut));
    const name = make("span", { class: "name", title: file.name }, cut ? above : null, make("span", { class: "base" }, file.name.slice(cut)));
    return make("li", {}, name, line, make("div", { class: "track" }, bar));
  });
  id("slowest").replaceChildren(...items);
  id("slowest-none").hidden = items.length > 0;
}

function showBatches({ batches }) {
  id("batches").hidden = !batches;
  if (!batches) return;
  const at = batches.name ? `Number ${count(batches.number)} of ${count(batches.of)} is worked on: ` : `${count(batches.of)} batches: `;
  const failed = batches.failed ? `, ${count(batches.failed)} left something` : "";
  const bytes = batches.size === null ? "" : ` (${size(batches.size)})`;
  const name = batches.name ? [make("span", { class: "name" }, batches.name), `${bytes}; `] : [];
  id("batches-text").replaceChildren(at, ...name, `${count(batches.completed)} completed${failed}.`);
  widen(id("batches-fill"), (100 * batches.completed) / batches.of);
  widen(id("batches-wrong"), (100 * batches.failed) / batches.of);
}

function showNotices({ notices }) {
  id("notices-card").hidden = !notices.length;
  const rows = notices.map(({ time, text }) => make("li", {}, make("time", {}, moment(time)), make("span", {}, text)));
  id("notices").replaceChildren(...rows);
}

function tell(status) {
  const anew = latest?.instance !== status.instance;
  latest = status;
  say(id("source"), status.source);
  say(id("destination"), status.destination);
  say(id("about"), `asyncmirror ${status.version}, process ${status.pid}${status.journal ? `, journal ${status.journal}` : ""}`);
  showVerdict(status);
  showFacts(status);
  showOutcomes(status);
  showSlowest(status);
  showBatches(status);
  showNotices(status);
  if (anew || stepFor(span()) !== series.step) loadHistory();
  else series.add(status.points);
  drawCharts();
  follow(status, anew);
}

/** What is on record is asked for again when it changed, and not more often than anybody can read. */
function follow(status, anew) {
  showRuns();
  if (status.phase === "ended") {
    // Nobody answers any more: the last message stands for what would be on record.
    problems.last(status.problems, status.run.problems);
    return;
  }
  const run = `${status.instance} ${status.run.number} ${status.phase}`;
  const record = `${run} ${status.run.problems}`;
  if (anew || run !== shownRun) {
    shownRun = run;
    loadRuns();
  }
  if (record !== shownProblems && (anew || status.phase !== "running" || Date.now() > again)) {
    shownProblems = record;
    again = Infinity;
    const began = Date.now();
    problems.load().finally(() => {
      again = Date.now() + Math.max(SETTLE, SHARE * (Date.now() - began));
    });
  }
}

function link(state) {
  id("link").dataset.state = state;
  say(id("link"), { live: "live", lost: "connection lost, trying again", ended: "the process has ended" }[state]);
}

for (const [name, seconds] of RANGES) {
  const button = make("button", { type: "button", "aria-pressed": String(seconds === range) }, name);
  button.addEventListener("click", () => {
    range = seconds;
    for (const other of id("range").children) other.setAttribute("aria-pressed", other === button);
    if (latest) loadHistory();
  });
  id("range").append(button);
}
listen(tell, link);
