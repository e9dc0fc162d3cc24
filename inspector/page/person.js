// One person, as they would see it in an app: the bell, the inbox and the settings page of campanile-web, unchanged.

import { as } from "./api.js";
import { byId, el, empty, paint, plural, say, time } from "./dom.js";

let Inbox;
let inbox;
let sizing;

const chosen = () => byId("person").value;

const name = () => byId("person").selectedOptions[0]?.textContent ?? "";

export async function build(people) {
  byId("person").append(...people.map((person) => el("option", { value: person.id }, person.name)));
  // The scripts are the same for every person; the page loads them once.
  [{ Inbox }] = await Promise.all(["inbox.js", "bell.js"].map((file) => import(as(chosen(), file))));
  byId("person").addEventListener("change", meet);
  byId("older").addEventListener("click", older);
  // A notification's link leads into an app, which does not exist here.
  document.addEventListener("campanile-open", (event) => {
    event.preventDefault();
    const { title, actionUrl } = event.detail;
    say(actionUrl ? `${title}: an app would go to ${actionUrl}` : `${title}: it has no link.`);
  });
  meet();
}

function meet() {
  const [user, src] = [chosen(), as(chosen())];
  byId("bell").replaceChildren(el("campanile-bell", { src, user }));
  inbox?.stop();
  inbox = new Inbox({ src, user });
  inbox.subscribe(follow(inbox));
  inbox.start();
  frame();
}

// The inbox of the previous person may still receive an answer.
const follow = (mine) => (state) => { if (mine === inbox) show(state); };

// The settings page, as high as its content.
function frame() {
  const page = el("iframe", { src: as(chosen(), "settings"), title: `Settings page of ${name()}` });
  byId("settings").replaceChildren(page);
  byId("settings-link").href = page.src;
  sizing?.disconnect();
  sizing = new ResizeObserver(([{ target }]) => { page.style.blockSize = `${target.offsetHeight}px`; });
  // If the server does not answer, the browser shows a page of its own that cannot be read.
  page.addEventListener("load", () => { if (page.contentDocument) sizing.observe(page.contentDocument.body); });
}

function show({ items, counts, loading, more, problem }) {
  const badge = byId("unread");
  badge.hidden = counts.unread === 0;
  badge.dataset.unread = String(counts.unread);
  badge.textContent = `${counts.badge} unread`;
  byId("older").hidden = !more;
  paint(byId("inbox"), { person: chosen(), items, loading, problem: problem?.message }, list);
}

function list({ items, loading, problem }) {
  if (loading) return problem ? empty(`The inbox could not be read: ${problem}`) : [];
  if (items.length === 0) return empty(`${name()} has no notifications yet.`);
  return el("ul", { class: "rows items" }, items.map(row));
}

// Seen, read and archived are three things: opening the bell marks its items as seen, using them as read or archived.
const stage = ({ seenAt, readAt }) => (readAt ? "read" : seenAt ? "seen" : "new");

function row(item) {
  const { id, title, body, eventType, readAt, createdAt, actionUrl } = item;
  return el("li", { class: "row item", "data-id": id, "data-stage": stage(item), "data-event": eventType },
    el("div", { class: "grow" },
      el("p", { class: "first" }, title),
      el("p", {}, body),
      el("p", { class: "hint" }, el("span", { class: "stage" }, stage(item)), " ", el("code", {}, eventType), ", ", time(createdAt),
        actionUrl ? [", leads to ", el("code", {}, actionUrl)] : null)),
    readAt ? null : el("button", {
      type: "button",
      "data-key": `read-${id}`,
      "aria-label": `Mark as read: ${title}`,
      onclick: () => attempt(inbox.setRead(id, true), `Read: ${title}`),
    }, "Mark as read"));
}

async function older() {
  const before = inbox.state.items.length;
  await attempt(inbox.loadOlder(), "");
  const more = inbox.state.items.length - before;
  if (more > 0) say(`${plural(more, "older notification")} loaded.`);
}

async function attempt(promise, done) {
  try {
    await promise;
    if (done) say(done);
  } catch (problem) {
    say(problem.message, "bad");
  }
}
