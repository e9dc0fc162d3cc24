// One person: the preference matrix and the inbox.

import { call, read, user } from "./api.js";
import { byId, el, empty, paint, say, time, toggle } from "./dom.js";

let refreshAll = async () => {};

export const chosen = () => byId("person").value;

const name = () => byId("person").selectedOptions[0]?.textContent ?? "";

export const load = () =>
  Promise.all([read(user(chosen(), "preferences")), read(user(chosen(), "inbox"))]);

export function build(people, refresh) {
  refreshAll = refresh;
  byId("person").append(...people.map((person) => el("option", { value: person.id }, person.name)));
  byId("person").addEventListener("change", refresh);
}

export function show([matrix, inbox]) {
  paint(byId("preferences"), { person: chosen(), ...matrix }, preferences);
  const badge = byId("unread");
  badge.hidden = inbox.unread === 0;
  badge.dataset.unread = String(inbox.unread);
  badge.textContent = `${inbox.unread} unread`;
  paint(byId("inbox"), { person: chosen(), ...inbox }, feed);
}

async function act(promise, done) {
  try {
    await promise;
    say(done);
  } catch (problem) {
    say(problem.message, "bad");
  }
  await refreshAll();
}

function preferences({ categories }) {
  const all = categories.flatMap((category) => category.channels.map((cell) => cell.channel));
  const channels = [...new Set(all)].sort();
  return el("table", { class: "matrix" },
    el("caption", { class: "unseen" }, `What ${name()} wants to hear, by category and channel`),
    el("thead", {}, el("tr", {},
      el("th", { scope: "col" }, el("span", { class: "unseen" }, "Category")),
      channels.map((channel) => el("th", { scope: "col" }, channel)))),
    el("tbody", {}, categories.flatMap((category) => categoryRows(category, channels))));
}

function categoryRows({ category, description, channels: cells }, channels) {
  const reasonId = `why-${category}`;
  const reasons = cells.filter((cell) => cell.reason);
  const cellOf = (channel) => cells.find((cell) => cell.channel === channel);
  const rows = [el("tr", {},
    el("th", { scope: "row" }, el("span", { class: "category-name" }, category), el("span", { class: "hint" }, description ?? "")),
    channels.map((channel) => el("td", {}, control(category, cellOf(channel), reasonId))))];
  if (reasons.length > 0) {
    rows.push(el("tr", { class: "why" }, el("td", { colspan: channels.length + 1, id: reasonId },
      reasons.map((cell) => el("p", { class: "hint", "data-reason": `${category}.${cell.channel}` }, sentence(cell))))));
  }
  return rows;
}

function sentence({ channel, reason, locked, enabled }) {
  const kept = locked && !enabled ? " Off was chosen; that is kept, and does not apply." : "";
  return `${channel}: ${reason}.${kept}`;
}

function control(category, cell, reasonId) {
  if (!cell) return el("span", { class: "none" }, el("span", { "aria-hidden": "true" }, "–"), el("span", { class: "unseen" }, "not used"));
  const { channel, enabled, locked, reason } = cell;
  // A locked cell is sent whatever was chosen, so it shows as on.
  const on = locked || enabled;
  return toggle({
    key: `${category}.${channel}`,
    label: `${category} by ${channel}`,
    on,
    locked,
    describedBy: reason ? reasonId : null,
    category,
    channel,
    enabled: String(enabled),
  }, () => {
    if (locked) {
      say(`${category} by ${channel} is locked. ${sentence(cell)}`, "warm");
      return;
    }
    const change = { category, channel, enabled: !enabled };
    act(call("PUT", user(chosen(), "preferences"), change),
      `${name()}: ${category} by ${channel} is ${enabled ? "off" : "on"} now.`);
  });
}

function feed({ items }) {
  if (items.length === 0) return empty(`${name()} has no notifications yet.`);
  return el("ul", { class: "rows" }, items.map(item));
}

function item({ id, title, body, eventType, readAt, createdAt, actionUrl }) {
  const mark = readAt
    ? el("span", { class: "hint done" }, "read")
    : el("button", {
      type: "button",
      "data-key": `read-${id}`,
      "aria-label": `Mark as read: ${title}`,
      onclick: () => act(call("POST", user(chosen(), `inbox/${encodeURIComponent(id)}/read`)), `Read: ${title}`),
    }, "Mark as read");
  return el("li", { class: "row item", "data-id": id, "data-read": String(Boolean(readAt)), "data-event": eventType },
    el("div", { class: "grow" },
      el("p", { class: "first" }, title),
      el("p", {}, body),
      el("p", { class: "hint" }, el("code", {}, eventType), ", ", time(createdAt),
        actionUrl ? [", leads to ", el("code", {}, actionUrl)] : null)),
    mark);
}

