// The one sentence: is it all there, how far is it, what is wrong. Pure: a status in, words out.

import { count, estimate, moment, size } from "./format.js";

const DONE = ["complete", "unchanged", "adopted"];

/** Entries and bytes of these outcomes together. */
function sum(outcomes, names) {
  const found = names.map((name) => outcomes[name] ?? { count: 0, bytes: 0 });
  return { count: found.reduce((all, each) => all + each.count, 0), bytes: found.reduce((all, each) => all + each.bytes, 0) };
}

const entries = (number) => (number === 1 ? "1 entry" : `${count(number)} entries`);
const files = (number) => (number === 1 ? "1 file" : `${count(number)} files`);

/** {state, headline, detail, mood, done, wrong}: the last two in percent. */
export function verdict(status) {
  const { run, phase } = status;
  const done = sum(run.outcomes, DONE);
  if (phase === "opening" && !run.number) {
    return { state: "Opening", headline: "Opening the store", detail: "The journal is read and the store is asked.", mood: "calm", done: 0, wrong: 0 };
  }
  if (phase === "running") return going(run, done);
  const { waiting } = status;
  if (!waiting) return over(status, done);
  if (waiting.why) {
    const state = `Waiting; it is tried again ${moment(waiting.until)}`;
    return { state, headline: "It can’t go on", detail: waiting.why, mood: "wrong", done: 0, wrong: 0 };
  }
  const told = over(status, done);
  return { ...told, state: `${told.state}; the next run begins ${moment(waiting.until)}` };
}

/** What is told while objects are deleted, which is after all else. */
function deleting({ erasing, problems, paused }, done) {
  const state = paused ? "Paused" : "Deleting objects whose file is gone";
  const wrong = problems ? 1.2 : 0;
  const there = `${files(done.count)}, ${size(done.bytes)} are in the bucket`;
  if (!erasing.objects) {
    const detail = `${count(erasing.looked)} objects on record looked for among the files so far; ${there}.`;
    return { state, headline: "Looking for what is gone", detail, mood: "calm", done: 0, wrong };
  }
  const share = erasing.done / erasing.objects;
  const left = erasing.left_seconds === null ? "" : `, ${estimate(erasing.left_seconds)} left`;
  const detail = `${count(erasing.done)} of ${count(erasing.objects)} objects${left}; ${there}.`;
  return { state, headline: `${Math.min(99, Math.floor(100 * share))} %`, detail, mood: "calm", done: Math.min(100 - wrong, 100 * share), wrong };
}

function going(run, done) {
  if (run.erasing) return deleting(run, done);
  const excluded = run.outcomes.excluded?.count ?? 0;
  const of = Math.max(1, run.scanned.count - excluded);
  const share = run.share ?? done.count / of;
  const wrong = run.problems ? Math.max(0.6, (100 * run.problems) / of) : 0;
  const problems = run.problems ? `${entries(run.problems)} need a look` : "nothing wrong so far";
  const state = run.paused ? "Paused" : run.scanning ? "Mirroring; still finding files" : "Mirroring";
  const bar = { done: Math.min(100 - wrong, 100 * share), wrong };
  if (run.scanning) {
    const detail = `${size(done.bytes)} are in the bucket, of ${entries(run.scanned.count)} and ${size(run.scanned.bytes)} found so far; ${problems}.`;
    return { state, headline: files(done.count), detail, mood: "calm", ...bar };
  }
  const left = run.left_seconds === null ? "" : `, ${estimate(run.left_seconds)} left`;
  const detail = `${size(done.bytes)} of ${size(run.scanned.bytes)}, ${count(done.count)} of ${entries(run.scanned.count)}${left}; ${problems}.`;
  // 100 % is said when it is true.
  return { state, headline: `${Math.min(99, Math.floor(100 * share))} %`, detail, mood: "calm", ...bar };
}

function over(status, done) {
  const { run } = status;
  const there = `${files(done.count)}, ${size(done.bytes)} are in ${status.destination}`;
  const when = run.ended ? `; ended ${moment(run.ended)}` : "";
  const wrong = run.problems ? 1.2 : 0;
  const bar = { done: 100 - wrong, wrong };
  if (run.result === "success") {
    return { state: "Done", headline: "All there", detail: `${there}${when}.`, mood: "good", ...bar };
  }
  if (run.result === "incomplete" && !run.problems && run.deletions) {
    const why = run.deletions.refusal ? ` Nothing was deleted: ${run.deletions.refusal}.` : "";
    return { state: "Done", headline: "All there, not all deleted", detail: `${there}${when}.${why}`, mood: "wrong", ...bar };
  }
  if (run.result === "incomplete") {
    const headline = run.problems ? `${entries(run.problems)} not there` : "Not all there";
    return { state: "Done, with problems", headline, detail: `${there}${when}.`, mood: "wrong", ...bar };
  }
  const of = Math.max(1, run.scanned.count);
  const part = { done: (100 * done.count) / of, wrong: 0 };
  if (run.result === "stopped") {
    return { state: "Stopped", headline: "Stopped before its end", detail: `${there}${when}. The same command goes on from there.`, mood: "calm", ...part };
  }
  const detail = run.error || "The process says nothing more.";
  return { state: "Ended by an error", headline: "It needs a person", detail, mood: "wrong", ...part };
}
