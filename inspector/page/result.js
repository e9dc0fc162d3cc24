// The report: three numbers, then one line for each recipient and channel with the outcome and the rule that decided.

import { byId, duration, el, empty, plural } from "./dom.js";

let names = new Map();

export const build = (people) => { names = people; };

// The totals that are always shown, and those that are shown if they are not zero.
const TOTALS = ["sent", "deduped", "suppressedByPrefs"];
const RARE = ["queued", "failed", "unreachable", "suppressedAddresses"];

const OUTCOMES = {
  sent: ["sent", "good"],
  queued: ["queued", "calm"],
  failed: ["failed", "bad"],
  deduped: ["deduped", "calm"],
  suppressedByPrefs: ["muted", "warm"],
  suppressedAddress: ["address suppressed", "warm"],
  unreachable: ["no address", "warm"],
};

const RULES = {
  critical: "critical: preferences do not apply",
  defaultOn: "on by default",
  optedIn: "switched on",
  optedOut: "switched off",
};

export function showReports(title, explanation, reports) {
  const total = (name) => reports.reduce((sum, report) => sum + report[name], 0);
  const shown = [...TOTALS, ...RARE.filter((name) => total(name) > 0)];
  byId("result-of").textContent = `${explanation.eventType}, ${title}`;
  byId("result-body").replaceChildren(
    el("dl", { class: "totals" }, shown.map((name) => tile(name, total(name)))),
    key(explanation),
    account(explanation, (user, channel) => tally(reports, user, channel)),
    rendered(explanation),
  );
  const words = shown.map((name) => `${name} ${total(name)}`).join(", ");
  return [`${explanation.eventType}: ${words}.`, total("failed") > 0 ? "warm" : "good"];
}

export function showExplanation(explanation) {
  byId("result-of").textContent = `${explanation.eventType}, nothing was written`;
  byId("result-body").replaceChildren(
    key(explanation, "; whether this is a repeat is decided when it is fired"),
    account(explanation, (_user, _channel, sends) =>
      [chip(sends ? "would be sent" : "would be muted", sends ? "good" : "warm", sends ? "sent" : "suppressedByPrefs")]),
    rendered(explanation),
  );
  return [`${explanation.eventType}: explained, and nothing was written.`];
}

export function showProblem(problem) {
  byId("result-of").textContent = "";
  byId("result-body").replaceChildren(
    el("div", { class: "refusal", "data-code": problem.code },
      el("strong", {}, problem.code), el("p", {}, problem.message)),
  );
}

const tile = (name, count) =>
  el("div", { class: "tile", "data-zero": String(count === 0) },
    el("dt", {}, name), el("dd", { "data-total": name }, String(count)));

const key = ({ dedupKey, windowSeconds }, more = "") =>
  el("p", { class: "hint" }, "Dedup key ", el("code", {}, dedupKey), `, window ${duration(windowSeconds)}${more}`);

function account({ recipients }, chips) {
  if (recipients.length === 0) return empty("No recipients. The dispatch is valid and does nothing.");
  return el("div", { class: "account" }, recipients.map(({ recipientUserId: user, channels }) => [
    el("h3", {}, names.get(user) ?? user),
    el("ul", { class: "lines" }, channels.map(({ channel, rule, sends }) =>
      el("li", { class: "line", "data-user": user, "data-channel": channel },
        el("span", { class: "channel" }, channel),
        el("span", { class: "chips" }, chips(user, channel, sends)),
        el("span", { class: "rule", "data-rule": rule }, RULES[rule] ?? rule)))),
  ]).flat());
}

// For several dispatches: the number of each outcome, and the reasons of failures.
function tally(reports, user, channel) {
  const counts = new Map();
  const reasons = new Set();
  for (const line of reports.flatMap((report) => report.outcomes)) {
    if (line.recipientUserId !== user || line.channel !== channel) continue;
    counts.set(line.outcome, (counts.get(line.outcome) ?? 0) + 1);
    if (line.reason) {
      const later = line.retry === "scheduled" ? "It is retried." : "It is not retried.";
      reasons.add(`${line.reason}. ${later}`);
    }
  }
  return [
    ...[...counts].map(([outcome, count]) => {
      const [word, tone] = OUTCOMES[outcome] ?? [outcome, "calm"];
      return chip(reports.length > 1 ? `${count} ${word}` : word, tone, outcome);
    }),
    ...[...reasons].map((reason) => el("span", { class: "reason" }, reason)),
  ];
}

const chip = (text, tone, outcome) =>
  el("span", { class: "chip", "data-tone": tone, "data-outcome": outcome }, text);

function rendered({ content }) {
  const channels = Object.entries(content);
  if (channels.length === 0) return empty("Every channel is muted for everybody, so nothing was rendered.");
  const part = ([name, text]) => [
    el("dt", {}, name),
    el("dd", {}, name === "html" ? `${plural(text.length, "character")} of HTML` : text),
  ];
  return el("details", { class: "rendered" },
    el("summary", {}, "What was rendered"),
    channels.map(([channel, parts]) => [
      el("h3", {}, channel),
      el("dl", { class: "parts" }, Object.entries(parts).flatMap(part)),
    ]).flat());
}
