// The dedup ledger: every window with its remaining time, by the database's clock, and a button that ends it.

import { call, read } from "./api.js";
import { byId, el, empty, paint, plural, say, time } from "./dom.js";

const TICK = 250;

const deadlines = new Map();
let names = new Map();

export const load = () => read("/api/dedup");

export function build(people, refresh) {
  names = people;
  const release = async (which, focus) => {
    try {
      const { released } = await call("POST", "/api/dedup/release", which);
      say(`${plural(released, "window")} released: the next dispatch is not a repeat.`);
    } catch (problem) {
      say(problem.message, "bad");
    }
    await refresh();
    focus?.focus();
  };
  byId("release-all").addEventListener("click", (event) => release({}, event.currentTarget));
  byId("ledger").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) release(JSON.parse(button.dataset.window));
  });
  setInterval(tick, TICK);
}

export function show(windows) {
  const now = performance.now();
  deadlines.clear();
  for (const window of windows) deadlines.set(keyOf(window), now + window.millisecondsLeft);
  byId("ledger-count").textContent = String(windows.length);
  // The remaining time changes constantly, so `tick` shows it.
  paint(byId("ledger"), windows.map(({ millisecondsLeft: _, ...window }) => window), (rows) =>
    rows.length === 0
      ? empty("No window is open, so the next dispatch is not a repeat.")
      : el("ul", { class: "rows" }, rows.map(row)));
  tick();
}

const keyOf = ({ eventType, dedupKey, recipientUserId }) =>
  JSON.stringify({ eventType, dedupKey, recipientUserId });

function row(window) {
  const key = keyOf(window);
  const length = new Date(window.windowEndsAt) - new Date(window.firedAt);
  const name = names.get(window.recipientUserId) ?? window.recipientUserId;
  return el("li", { class: "row window", "data-event": window.eventType },
    el("div", { class: "grow" },
      el("p", { class: "first" }, el("code", {}, window.eventType), " ", el("span", {}, name)),
      el("p", { class: "hint" }, "Key ", el("code", {}, window.dedupKey), ", fired at ", time(window.firedAt)),
      el("div", { class: "bar", "aria-hidden": "true" }, el("span", { "data-bar": key, "data-length": length }))),
    el("span", { class: "left", "data-left": key }),
    el("button", {
      type: "button",
      "data-window": key,
      "data-key": key,
      "aria-label": `Release ${window.eventType} for ${name}`,
    }, "Release"));
}

function tick() {
  const now = performance.now();
  const left = (key) => Math.max(0, (deadlines.get(key) ?? 0) - now);
  for (const element of document.querySelectorAll("[data-left]")) {
    const milliseconds = left(element.dataset.left);
    element.textContent = milliseconds > 0 ? `${Math.ceil(milliseconds / 1000)} s left` : "ended";
  }
  for (const element of document.querySelectorAll("[data-bar]")) {
    const share = Number(element.dataset.length) > 0 ? left(element.dataset.bar) / element.dataset.length : 0;
    element.style.inlineSize = `${Math.min(100, share * 100)}%`;
  }
}
