// Starts the page, and polls the inspector after every action and every 1.5 seconds.

import { read } from "./api.js";
import { byId, say } from "./dom.js";
import * as events from "./events.js";
import * as fire from "./fire.js";
import * as ledger from "./ledger.js";
import * as outside from "./outside.js";
import * as person from "./person.js";
import * as result from "./result.js";

const MOMENT = 1_500;
const WHILE_SILENT = 5_000;

let turn = 0;
let silent = false;

// Answers may arrive out of order; only those of the latest poll are shown.
async function refresh() {
  turn += 1;
  const mine = turn;
  try {
    const [windows, ofOutside] = await Promise.all([ledger.load(), outside.load()]);
    if (mine !== turn) return;
    ledger.show(windows);
    await outside.show(ofOutside);
    if (silent) say("The inspector answers again.");
    silent = false;
  } catch (problem) {
    if (!silent) say(problem.message, "bad");
    silent = true;
  }
}

async function look() {
  if (!document.hidden) await refresh();
  setTimeout(look, silent ? WHILE_SILENT : MOMENT);
}

try {
  const [allEvents, people] = await Promise.all([read("/api/events"), read("/api/users")]);
  const names = new Map(people.map(({ id, name }) => [id, name]));
  result.build(names);
  ledger.build(names, refresh);
  outside.build(names, refresh);
  fire.build(refresh);
  events.build(allEvents, people, names);
  await person.build(people);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  await refresh();
  byId("main").hidden = false;
  document.documentElement.dataset.ready = "true";
  setTimeout(look, MOMENT);
} catch (problem) {
  say(problem.message, "bad");
}
