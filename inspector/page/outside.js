// The remote channels: their switches, captured mails, pushes, and deliveries that wait for a retry.

import { call, read } from "./api.js";
import { byId, el, empty, paint, plural, say, time, toggle } from "./dom.js";

let names = new Map();
let refreshAll = async () => {};
let seen = {};
let mails = [];
let picked = null;

export const load = () => Promise.all([read("/api/state"), read("/api/deliveries")]);

export function build(people, refresh) {
  names = people;
  refreshAll = refresh;
  byId("show-html").addEventListener("click", () => showPart("html"));
  byId("show-text").addEventListener("click", () => showPart("text"));
}

export async function show([state, waiting]) {
  const { database, mail, channels, captured } = state;
  byId("where").textContent = `${database}. ${mail === "capture" ? "Mails are captured, not sent." : `Real mail is sent: ${mail}.`}`;
  paint(byId("channels"), { mail, channels }, () => channels.map((channel) => strip(channel, mail)));
  showWaiting(waiting);
  if (captured.latestMail !== seen.latestMail || captured.mails !== seen.mails) {
    mails = await read("/api/mails");
    showMails(mail);
  }
  if (captured.latestPush !== seen.latestPush || captured.pushes !== seen.pushes) showPushes(await read("/api/pushes"));
  seen = captured;
}

const DOES = {
  inbox: () => "rows in your database, written with the dispatch",
  email: (mail) => (mail === "capture" ? "captured below" : `real mail, sent by ${mail}`),
  push: () => "recorded below",
};

function strip({ name, transport, failing }, mail) {
  const does = DOES[name]?.(mail) ?? (transport === "local" ? "written with the dispatch" : "sent after the commit");
  return el("li", { class: "channel-strip", "data-channel": name, "data-failing": String(failing) },
    el("p", {}, el("strong", {}, name), " ", el("span", { class: "hint" }, failing ? "failing on purpose" : does)),
    transport === "local" ? null : el("span", { class: "fail" },
      el("span", { "aria-hidden": "true" }, `Make ${name} fail`),
      toggle({ key: `fail-${name}`, label: `Make ${name} fail`, on: failing, fail: name }, () => fail(name, !failing))));
}

async function fail(name, failing) {
  try {
    await call("POST", `/api/channels/${encodeURIComponent(name)}/fail`, { failing });
    say(failing
      ? `${name} fails from now on. The other channels still work.`
      : `${name} works again. Failed deliveries are retried in a few seconds.`, failing ? "warm" : "good");
  } catch (problem) {
    say(problem.message, "bad");
  }
  await refreshAll();
}

function showWaiting(waiting) {
  // Whole seconds only, or the list would be redrawn at every poll.
  const rows = waiting.map(({ millisecondsLeft, ...rest }) => ({ ...rest, seconds: Math.ceil(millisecondsLeft / 1000) }));
  paint(byId("waiting"), rows, () => rows.length === 0 ? [] : el("div", { class: "waiting" },
    el("p", { class: "first" }, `${plural(rows.length, "delivery", "deliveries")} to be retried`),
    el("ul", { class: "lines" }, rows.map(({ id, channel, recipientUserId, attempts, lastError, seconds, state }) =>
      el("li", { "data-delivery": id },
        `${channel} to ${names.get(recipientUserId) ?? recipientUserId}: `,
        state === "running" ? "being tried now" : `attempt ${attempts + 1} ${seconds > 0 ? `in ${seconds} s` : "now"}`,
        lastError ? el("span", { class: "reason" }, lastError) : null)))));
}

function showMails(mail) {
  byId("mail-count").textContent = String(mails.length);
  // An older mail that was selected stays selected; otherwise the newest is shown.
  if (!mails.some(({ id }) => id === picked?.id)) picked = null;
  paint(byId("mails"), mails.map(({ id }) => id), () => mails.length === 0
    ? empty(mail === "capture" ? "No mail yet." : "Real mail is sent, so none is kept here.")
    : el("ul", { class: "rows mails" }, mails.slice(0, 50).map(mailRow)));
  preview(picked ?? mails[0]);
}

const mailRow = (mail) => el("li", { "data-mail": mail.id },
  el("button", { type: "button", class: "mail", "data-key": mail.id, onclick: () => pick(mail) },
    el("span", { class: "first" }, mail.subject),
    el("span", { class: "hint" }, `to ${mail.to}, `, mail.capturedAt ? time(mail.capturedAt) : null)));

function pick(mail) {
  picked = mail.id === mails[0]?.id ? null : mail;
  preview(mail);
}

function preview(mail) {
  byId("preview").hidden = !mail;
  if (!mail) return;
  for (const button of byId("mails").querySelectorAll("button")) {
    button.setAttribute("aria-current", String(button.dataset.key === mail.id));
  }
  byId("preview-title").textContent = mail.subject;
  byId("preview-text").textContent = mail.text;
  const frame = byId("preview-html");
  const source = `/api/mails/${encodeURIComponent(mail.id)}/preview`;
  if (frame.getAttribute("src") !== source) frame.setAttribute("src", source);
}

function showPart(part) {
  byId("preview-html").hidden = part !== "html";
  byId("preview-text").hidden = part !== "text";
  byId("show-html").setAttribute("aria-pressed", String(part === "html"));
  byId("show-text").setAttribute("aria-pressed", String(part === "text"));
}

function showPushes(pushes) {
  byId("push-count").textContent = String(pushes.length);
  paint(byId("pushes"), pushes, () => pushes.length === 0
    ? empty("No push yet.")
    : el("ul", { class: "rows" }, pushes.slice(0, 20).map(({ token, title, body }) =>
      el("li", { class: "row" }, el("div", { class: "grow" },
        el("p", { class: "first" }, title), el("p", {}, body), el("p", { class: "hint" }, "on ", el("code", {}, token)))))));
}
