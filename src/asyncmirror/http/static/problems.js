// The table of problems: what the journal has on record, by outcome and by text, a page at a time.

import { id, make, say } from "./dom.js";
import { count } from "./format.js";

const PAUSE = 250; // milliseconds after the last key
const OUTCOMES = ["failed", "unreadable", "changed", "refused", "unsupported"];
const LOOKS = 20; // pages without a find before the reader is asked

export class Problems {
  constructor() {
    this.wanted = new Set();
    this.after = null;
    this.turn = 0;
    this.timer = null;
    for (const outcome of OUTCOMES) {
      const button = make("button", { type: "button", "aria-pressed": "false", hidden: true }, outcome);
      button.addEventListener("click", () => this.#toggle(outcome, button));
      id("outcome-filter").append(button);
    }
    id("find").addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.load(), PAUSE);
    });
    id("more").addEventListener("click", () => this.#page());
  }

  #toggle(outcome, button) {
    if (!this.wanted.delete(outcome)) this.wanted.add(outcome);
    button.setAttribute("aria-pressed", this.wanted.has(outcome));
    this.load();
  }

  /** What the last message of a process said of the run's newest, where the journal can no longer be asked. */
  last(problems, total) {
    this.turn += 1;
    if (id("problem-rows").childElementCount < Math.min(total, problems.length)) {
      id("problem-rows").replaceChildren(...problems.map(row));
    }
    this.total = total;
    id("more").hidden = true;
    document.querySelector(".filters").hidden = true;
    this.#note();
  }

  /** Begin anew. What is shown stays until there is something else to show. */
  async load() {
    this.after = null;
    await this.#page(true);
  }

  async #page(anew = false) {
    const turn = ++this.turn;
    const found = [];
    let record = null;
    for (let look = 0; look < LOOKS && !found.length; look += 1) {
      const page = await ask(this.wanted, id("find").value.trim(), this.after);
      if (turn !== this.turn) return; // somebody asked for something else meanwhile
      if (page === null) return this.#unknown();
      found.push(...page.problems);
      record ??= page.on_record ?? null;
      this.after = page.after;
      if (!this.after) break;
    }
    const rows = found.map(row);
    document.querySelector(".filters").hidden = false;
    if (anew) id("problem-rows").replaceChildren(...rows);
    else id("problem-rows").append(...rows);
    id("more").hidden = !this.after;
    if (record) this.#record(record);
    this.#note();
  }

  #record(record) {
    this.total = Object.values(record).reduce((sum, each) => sum + each, 0);
    for (const [at, outcome] of OUTCOMES.entries()) {
      const button = id("outcome-filter").children[at];
      say(button, `${outcome} ${count(record[outcome] ?? 0)}`);
      button.hidden = !record[outcome] && !this.wanted.has(outcome);
    }
  }

  #unknown() {
    if (!id("problem-rows").childElementCount) say(id("problems-note"), "The journal is not open at this moment.");
  }

  #note() {
    const shown = id("problem-rows").childElementCount;
    const picked = this.wanted.size || id("find").value.trim();
    let text = this.after ? `${count(shown)} shown.` : "";
    if (!shown) text = picked ? "None of them matches." : "None. Nothing needs a look.";
    else if (!picked && this.total !== undefined) text = `${count(shown)} of ${count(this.total)} shown.`;
    say(id("problems-note"), text);
    document.querySelector("table.problems").hidden = !shown;
  }
}

async function ask(outcomes, text, after) {
  const query = new URLSearchParams([...outcomes].map((outcome) => ["outcome", outcome]));
  if (text) query.set("q", text);
  if (after) query.set("after", after);
  try {
    const answer = await fetch(`api/problems?${query}`);
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

function row(problem) {
  return make(
    "tr",
    {},
    make("td", {}, problem.outcome),
    make("td", {}, make("span", { class: "name" }, problem.name)),
    make("td", {}, problem.reason),
  );
}
