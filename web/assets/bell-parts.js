// The parts of the bell: elements, icons, and the row of one notification. Text becomes text nodes only, so a notification is
// never parsed as markup.

import { safeLink } from "./inbox.js";

const ICONS = {
  bell: "M18 9a6 6 0 1 0-12 0c0 6-2.5 7.5-2.5 7.5h17S18 15 18 9M13.8 20a2.1 2.1 0 0 1-3.6 0",
  check: "m5 12.5 4.5 4.5L19 7.5",
  dot: "M12 7a5 5 0 1 0 0 10 5 5 0 0 0 0-10",
  archive: "M3.5 4.5h17v4h-17zM5 8.5V19.5h14V8.5M10 12.5h4",
  restore: "M4 13.5h4.5l1.5 3h4l1.5-3H20M4 13.5V19.5h16V13.5M12 3.5v7.5M8.8 7.8 12 11l3.2-3.2",
  close: "m6 6 12 12M18 6 6 18",
  cloud: "M7 18.5a4.5 4.5 0 0 1-.5-9 6 6 0 0 1 11.3 1.4A3.9 3.9 0 0 1 17.5 18.5zM12 8.5V13M12 15.8v.1",
};

// el("li", { class: "row", onclick: f, hidden: true }, "text", child, null)
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(svg.namespaceURI, "path");
  svg.append(path);
  draw(svg, name);
  return svg;
}

export const draw = (svg, name) => svg.firstChild.setAttribute("d", ICONS[name]);

export const button = (part, act, ...children) => el("button", { type: "button", class: part, part, onclick: act }, ...children);

// The name of a control that shows an icon only.
export function name(control, short, long = short) {
  control.title = short;
  control.setAttribute("aria-label", long);
}

export function putText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// One notification of the list.
export class Row {
  element;
  #item;
  #texts;
  #parts;

  // `acts` are the actions of a row: `open(event, item)`, `read(item)`, `archive(item)`.
  constructor(item, texts, acts) {
    this.#texts = texts;
    const [readIcon, archiveIcon] = [icon("check"), icon("archive")];
    const read = button("icon action", () => acts.read(this.#item), readIcon);
    const archive = button("icon action", () => acts.archive(this.#item), archiveIcon);
    const title = heading(item, (event) => acts.open(event, this.#item));
    const unread = el("span", { class: "unseen", id: `unread-${item.id}` });
    title.setAttribute("aria-describedby", unread.id);
    const body = el("p", { class: "body", part: "body", dir: "auto" });
    const time = el("time", { class: "time", part: "time" });
    Object.entries({ title, read, archive }).forEach(([act, control]) => { control.dataset.act = act; });
    const text = el("div", {}, el("div", {}, unread, title), body, time);
    this.element = el("li", { class: "item", "data-id": item.id }, text, el("div", { class: "actions" }, read, archive));
    this.#parts = { read, archive, readIcon, archiveIcon, title, unread, body, time };
  }

  show(item) {
    this.#item = item;
    const { read, archive, readIcon, archiveIcon, title, unread, body, time } = this.#parts;
    const isNew = !item.readAt && !item.archivedAt;
    this.element.classList.toggle("new", isNew);
    this.element.setAttribute("part", isNew ? "item item-unread" : "item");
    putText(unread, isNew ? `${this.#texts.get("unread")}: ` : "");
    putText(title, item.title);
    putText(body, item.body);
    body.hidden = !item.body;
    this.#texts.show(time, item.createdAt);
    this.#label(read, item.readAt ? "unreadAgain" : "read");
    this.#label(archive, item.archivedAt ? "restore" : "archive");
    draw(readIcon, item.readAt ? "dot" : "check");
    draw(archiveIcon, item.archivedAt ? "restore" : "archive");
  }

  #label(control, act) {
    const action = this.#texts.get(act);
    name(control, action, this.#texts.get("action", { action, title: this.#item.title }));
  }
}

// A link if the notification has a usable one, else a button. A middle click is an `auxclick`.
function heading({ actionUrl }, act) {
  const href = safeLink(actionUrl);
  const title = href ? el("a", { class: "title", part: "title", href, rel: "noreferrer", onclick: act, onauxclick: act }) : button("title", act);
  title.dir = "auto";
  return title;
}
