// <campanile-bell src="/notifications">: a button with the number of unread notifications, and a popover with the list.
//
// Attributes: `src` (where the routes are nested), `org`, `user` (keeps the tabs of different people apart), `theme`
// (`light` or `dark`; else the page's own `color-scheme`), `strings` (JSON, see STRINGS), `lang` (else the page's).
// Slots: `icon`, `footer`. Parts and variables: see STYLE. A click on a notification fires `campanile-open`, cancelable.

import { Inbox, safeLink } from "./inbox.js";

// A text, or one for each plural category of `Intl.PluralRules`.
const STRINGS = {
  bell: "Notifications",
  bellUnread: "Notifications, {count} unread",
  title: "Notifications",
  close: "Close",
  show: "Show",
  all: "All",
  unread: "Unread",
  archived: "Archived",
  readAll: "Mark all as read",
  read: "Mark as read",
  unreadAgain: "Mark as unread",
  archive: "Archive",
  restore: "Move to inbox",
  action: "{action}: {title}",
  loading: "Loading…",
  older: "Load older",
  empty: "No notifications yet",
  emptyUnread: "You’re all caught up",
  emptyArchived: "Nothing archived",
  retry: "Try again",
  failed: "Your notifications couldn’t be loaded",
  offline: "You’re offline",
  unreachable: "The server can’t be reached",
  signedOut: "You’re signed out",
  outdated: "{problem}. This may be out of date.",
  notLoaded: "Older notifications couldn’t be loaded.",
  notSaved: "That couldn’t be saved, and was undone.",
  wasArchived: "Archived: {title}",
  undo: "Undo",
  arrived: { one: "New notification: {title}", other: "{count} new notifications" },
};

// At most one announcement in this time, of all that came meanwhile.
const ANNOUNCE_EVERY = 5_000;
const COLLECT_FOR = 500;
const TICK = 30_000;
const EDGE = 8;

const STYLE = `
:host { display: inline-block; position: relative; font-size: .9375rem; line-height: 1.45; }
:host([hidden]), [hidden] { display: none !important; }
:host([theme="light"]) { color-scheme: light; }
:host([theme="dark"]) { color-scheme: dark; }
:host {
  --accent: var(--campanile-accent, light-dark(#2457c5, #93b4ff));
  --wash: var(--campanile-unread, light-dark(#f1f5fe, #1d2536));
  --surface: var(--campanile-surface, light-dark(#fff, #1b1d22));
  --text: var(--campanile-text, light-dark(#1a1d23, #eceef2));
  --soft: var(--campanile-soft, light-dark(#5a6170, #a6adbb));
  --line: var(--campanile-line, light-dark(#e3e6ec, #343841));
  --hover: var(--campanile-hover, light-dark(#f0f2f6, #282c34));
  --badge: var(--campanile-badge, #c8202f);
  --on-badge: var(--campanile-on-badge, #fff);
  --danger: var(--campanile-danger, light-dark(#a3261d, #f5a59c));
  --radius: var(--campanile-radius, 12px);
}
*, ::before, ::after { box-sizing: border-box; }
h2, p, ul { margin: 0; padding: 0; list-style: none; }
button { margin: 0; padding: 0; border: 0; background: none; color: inherit; font: inherit; text-align: inherit; cursor: pointer; }
svg { display: block; inline-size: 1.25rem; block-size: 1.25rem; fill: none; stroke: currentColor; stroke-width: 1.75; stroke-linecap: round; stroke-linejoin: round; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: -2px; }
.unseen { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

.bell { position: relative; display: grid; place-items: center; inline-size: 2.5rem; block-size: 2.5rem; border-radius: 50%; }
.bell:hover, .bell[aria-expanded="true"] { background: color-mix(in srgb, currentColor 11%, transparent); }
.bell:focus-visible { outline-color: currentColor; }
.bell svg, ::slotted([slot="icon"]) { inline-size: 1.5rem; block-size: 1.5rem; }
.badge { position: absolute; inset-block-start: 0; inset-inline-start: 50%; min-inline-size: 1.2rem; padding: 0 .32rem; border-radius: 1rem; background: var(--badge); color: var(--on-badge); font: 700 .7rem/1.2rem system-ui, sans-serif; text-align: center; }

.panel { position: fixed; inset: auto; margin: 0; padding: 0; inline-size: min(var(--campanile-width, 26rem), 100vw - 16px); flex-direction: column; overflow: hidden; border: 1px solid var(--line); border-radius: var(--radius); background: var(--surface); color: var(--text); box-shadow: 0 12px 32px rgb(0 0 0 / 18%), 0 2px 6px rgb(0 0 0 / 8%); overflow-wrap: anywhere; text-align: start; }
.panel:popover-open { display: flex; }
.panel:focus-visible { outline: none; }
.head, .tools { display: flex; align-items: center; padding-block: .6rem .1rem; padding-inline: 1rem .5rem; }
h2 { flex: 1; font-size: 1.1rem; font-weight: 650; }
.tools { flex-wrap: wrap; justify-content: space-between; gap: .1rem .5rem; padding: .25rem .5rem .6rem; border-block-end: 1px solid var(--line); }
.views { display: flex; flex-wrap: wrap; gap: .2rem; }
.views button, .text { padding: .3rem .6rem; border-radius: 8px; color: var(--soft); font-size: .875rem; font-weight: 500; }
.views button:hover, .text:hover, .icon:hover { background: var(--hover); color: var(--text); }
.views [aria-pressed="true"] { background: var(--hover); color: var(--text); font-weight: 650; }
.text { color: var(--accent); font-weight: 600; }
.text:hover { color: var(--accent); }
[aria-disabled="true"], [aria-disabled="true"]:hover { color: var(--soft); background: none; cursor: default; }
.icon { flex: none; display: grid; place-items: center; inline-size: 2rem; block-size: 2rem; border-radius: 8px; color: var(--soft); }

.scroll { flex: 1; min-block-size: 0; overflow-y: auto; overscroll-behavior: contain; scrollbar-width: thin; }
.item { position: relative; display: grid; grid-template-columns: 1fr auto; gap: 0 .5rem; padding-block: .75rem; padding-inline: 1.75rem .5rem; border-block-end: 1px solid var(--line); }
.item:hover { background: var(--hover); }
.item.new { background: var(--wash); }
.item.new::before { content: ""; position: absolute; inset-block-start: 1.1rem; inset-inline-start: .7rem; inline-size: .5rem; block-size: .5rem; border-radius: 50%; background: var(--accent); }
.title { color: inherit; text-decoration: none; }
.title::after { content: ""; position: absolute; inset: 0; }
.title:hover { text-decoration: underline; text-underline-offset: 2px; }
.title:focus-visible { outline: none; }
.title:focus-visible::after { outline: 2px solid var(--accent); outline-offset: -2px; }
.new .title { font-weight: 650; }
.body { color: var(--soft); font-size: .875rem; text-align: -webkit-match-parent; text-align: match-parent; white-space: pre-line; display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 4; overflow: hidden; }
.time { color: var(--soft); font-size: .8125rem; }
.actions { position: relative; display: flex; align-self: start; margin-block-start: -.3rem; }

.older { display: block; margin: .5rem auto; }
.state { display: grid; justify-items: center; gap: .5rem; padding: 2.75rem 1.5rem; color: var(--soft); text-align: center; }
.state svg { inline-size: 2.25rem; block-size: 2.25rem; stroke-width: 1.4; }
.bone { block-size: .75rem; margin: .4rem 0; border-radius: 4px; background: var(--line); }
.bone:last-child { inline-size: 60%; }
.bones .item:hover { background: none; }
.bar { display: flex; align-items: center; gap: .5rem; padding: .5rem 1rem; border-block: 1px solid var(--line); background: var(--hover); font-size: .875rem; }
.bar:empty { display: none; }
.bar span { flex: 1; }
.bar.bad { color: var(--danger); }

@media (max-height: 26rem) { .panel { overflow-y: auto; scroll-padding-block-end: 3.5rem; } .scroll { flex: none; overflow: visible; } [role="status"] { position: sticky; inset-block-end: 0; } }
@media (prefers-reduced-motion: no-preference) {
  .bone { animation: pulse 1.4s ease-in-out infinite alternate; }
  @keyframes pulse { to { opacity: .45; } }
}
@media (forced-colors: active) {
  .badge, .item.new::before { forced-color-adjust: none; background: Highlight; color: HighlightText; }
  .views [aria-pressed="true"] { outline: 2px solid Highlight; outline-offset: -2px; }
  .bone { background: GrayText; }
  [aria-disabled="true"] { color: GrayText; }
}
`;

const ICONS = {
  bell: "M18 9a6 6 0 1 0-12 0c0 6-2.5 7.5-2.5 7.5h17S18 15 18 9M13.8 20a2.1 2.1 0 0 1-3.6 0",
  check: "m5 12.5 4.5 4.5L19 7.5",
  dot: "M12 7a5 5 0 1 0 0 10 5 5 0 0 0 0-10",
  archive: "M3.5 4.5h17v4h-17zM5 8.5V19.5h14V8.5M10 12.5h4",
  restore: "M4 13.5h4.5l1.5 3h4l1.5-3H20M4 13.5V19.5h16V13.5M12 3.5v7.5M8.8 7.8 12 11l3.2-3.2",
  close: "m6 6 12 12M18 6 6 18",
  cloud: "M7 18.5a4.5 4.5 0 0 1-.5-9 6 6 0 0 1 11.3 1.4A3.9 3.9 0 0 1 17.5 18.5zM12 8.5V13M12 15.8v.1",
};

// One sheet for every bell of a page. A policy without inline styles lets it through.
let sheet;

function styles() {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
  }
  return [sheet];
}

// el("li", { class: "row", onclick: f, hidden: true }, "text", child, null): text becomes text nodes and nothing else.
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(svg.namespaceURI, "path");
  svg.append(path);
  draw(svg, name);
  return svg;
}

const draw = (svg, name) => svg.firstChild.setAttribute("d", ICONS[name]);

const button = (part, act, ...children) => el("button", { type: "button", class: part, part, onclick: act }, ...children);

export class CampanileBell extends HTMLElement {
  static observedAttributes = ["src", "org", "user", "strings", "lang"];

  #inbox = null;
  #stop = null;
  #strings = {};
  #rows = new Map();
  #seenUpTo = "";
  #arrived = [];
  #announcing = null;
  // Ends what goes on only while the list is open.
  #idle = null;
  #format;
  #ui;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = styles();
    this.#ui = this.#build();
    root.append(this.#ui.bell, this.#ui.panel, this.#ui.status);
  }

  // The inbox that is shown, for whoever wants more of it.
  get inbox() {
    return this.#inbox;
  }

  get open() {
    return this.#ui.panel.matches(":popover-open");
  }

  show() {
    if (this.isConnected && !this.open) this.#ui.panel.showPopover();
  }

  hide() {
    if (this.open) this.#ui.panel.hidePopover();
  }

  // Texts in place of the ones of STRINGS.
  get strings() {
    return this.#strings;
  }

  set strings(strings) {
    this.#strings = strings ?? {};
    this.#relabel();
  }

  connectedCallback() {
    // What was set before this file was loaded.
    if (Object.hasOwn(this, "strings")) {
      const { strings } = this;
      delete this.strings;
      this.strings = strings;
    }
    this.#begin();
  }

  disconnectedCallback() {
    this.#end();
  }

  attributeChangedCallback(name, _, value) {
    if (name === "strings") this.strings = parse(value);
    else if (name === "lang") this.#relabel();
    else if (this.#inbox) {
      this.#end();
      this.#begin();
    }
  }

  #begin() {
    const inbox = new Inbox({ src: this.getAttribute("src") ?? "", org: this.getAttribute("org"), user: this.getAttribute("user") ?? "" });
    this.#inbox = inbox;
    this.#stop = inbox.subscribe(() => this.#draw());
    inbox.addEventListener("created", ({ detail }) => this.#announce(detail));
    inbox.start();
    this.#relabel();
  }

  #end() {
    this.hide();
    this.#idle?.abort();
    this.#stop?.();
    this.#inbox?.stop();
    this.#inbox = null;
    clearTimeout(this.#announcing);
    this.#announcing = null;
    this.#arrived = [];
    this.#seenUpTo = "";
  }

  #build() {
    const ui = {};
    ui.badge = el("span", { class: "badge", part: "badge", "aria-hidden": "true", hidden: true });
    ui.bell = button("bell", null, el("slot", { name: "icon" }, icon("bell")), ui.badge);
    ui.bell.setAttribute("aria-haspopup", "dialog");
    ui.bell.setAttribute("aria-expanded", "false");
    ui.title = el("h2", { id: "title", part: "heading" });
    ui.readAll = button("text read-all", () => this.#readAll());
    ui.close = button("icon close", () => this.hide(), icon("close"));
    ui.views = ["all", "unread", "archived"].map((view) => button("view", () => this.#turnTo(view)));
    ui.group = el("div", { class: "views", part: "views", role: "group" }, ...ui.views);
    const tools = el("div", { class: "tools", part: "tools" }, ui.group, ui.readAll);
    ui.list = el("ul", { part: "list", role: "list", onkeydown: (event) => this.#walk(event) });
    ui.older = button("text older", () => this.#loadOlder());
    ui.rest = el("div", {});
    ui.banner = el("div", { class: "bar bad", part: "banner" });
    ui.message = el("div", { class: "bar", part: "message", role: "status" });
    ui.scroll = el("div", { class: "scroll", part: "scroll" }, ui.list, ui.older, ui.rest);
    ui.panel = el(
      "div",
      { class: "panel", part: "panel", id: "panel", popover: "auto", role: "dialog", tabindex: "-1", "aria-labelledby": "title", ontoggle: () => this.#toggled() },
      el("div", { class: "head", part: "header" }, ui.title, ui.close),
      tools,
      ui.banner,
      ui.scroll,
      ui.message,
      el("slot", { name: "footer" }),
    );
    ui.panel.addEventListener("beforetoggle", (event) => this.#toggling(event));
    ui.panel.addEventListener("focusout", (event) => this.#left(event));
    ui.panel.addEventListener("keydown", (event) => this.#escape(event));
    ui.bell.popoverTargetElement = ui.panel;
    ui.status = el("p", { class: "unseen", role: "status" });
    return ui;
  }

  // Opening and closing.

  #toggling({ newState }) {
    const { panel, bell } = this.#ui;
    const inside = panel.contains(this.shadowRoot.activeElement) || this.contains(document.activeElement);
    if (newState === "closed" && inside) bell.focus();
  }

  #toggled() {
    const { panel, bell } = this.#ui;
    bell.setAttribute("aria-expanded", String(this.open));
    this.#idle?.abort();
    if (!this.open) return;
    this.#idle = new AbortController();
    const { signal } = this.#idle;
    window.addEventListener("resize", this.#place, { signal });
    window.addEventListener("scroll", this.#place, { signal, capture: true });
    const ticking = setInterval(() => this.#draw(), TICK);
    signal.addEventListener("abort", () => clearInterval(ticking));
    this.#say("");
    this.#draw();
    this.#place();
    panel.focus();
  }

  #escape(event) {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    event.preventDefault();
    this.hide();
  }

  // Whoever tabs on leaves the list behind: it would cover what has the focus now.
  #left({ relatedTarget }) {
    const { panel, bell } = this.#ui;
    const stays = !relatedTarget || relatedTarget === bell || panel.contains(relatedTarget) || this.contains(relatedTarget);
    if (!stays) this.hide();
  }

  // Below the button and ending where it ends, as far as there is room.
  #place = () => {
    const { panel, bell } = this.#ui;
    const at = bell.getBoundingClientRect();
    const [wide, high] = [document.documentElement.clientWidth, window.innerHeight];
    const width = panel.offsetWidth;
    const most = Math.max(EDGE, wide - width - EDGE);
    const wanted = getComputedStyle(this).direction === "rtl" ? at.left : at.right - width;
    const below = high - at.bottom - 2 * EDGE;
    const above = at.top - 2 * EDGE;
    const over = below < 280 && above > below;
    panel.style.left = `${Math.min(Math.max(wanted, EDGE), most)}px`;
    panel.style.top = over ? "auto" : `${Math.max(EDGE, at.bottom + EDGE)}px`;
    panel.style.bottom = over ? `${high - at.top + EDGE}px` : "auto";
    panel.style.maxHeight = `${Math.min(Math.max(over ? above : below, 160), 640)}px`;
  };

  // Texts.

  #text(name, values = {}, count = undefined) {
    let text = this.#strings[name] ?? STRINGS[name];
    if (typeof text !== "string") text = text[this.#format.plural.select(count ?? 0)] ?? text.other ?? "";
    return text.replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
  }

  #relabel() {
    if (!this.#inbox) return;
    this.#format = formats(this.closest("[lang]")?.lang || document.documentElement.lang || navigator.language);
    const ui = this.#ui;
    ui.title.textContent = this.#text("title");
    ui.readAll.textContent = this.#text("readAll");
    ui.group.setAttribute("aria-label", this.#text("show"));
    name(ui.close, this.#text("close"));
    ["all", "unread", "archived"].forEach((view, at) => { ui.views[at].textContent = this.#text(view); });
    this.#rows.clear();
    ui.list.replaceChildren();
    this.#draw();
  }

  // Drawing.

  #draw() {
    const state = this.#inbox?.state;
    if (!state) return;
    const ui = this.#ui;
    const { unread, badge } = state.counts;
    ui.badge.textContent = badge;
    ui.badge.hidden = unread === 0;
    ui.bell.setAttribute("aria-label", unread ? this.#text("bellUnread", { count: badge }, unread) : this.#text("bell"));
    if (!this.open) return;
    ui.views.forEach((it, at) => it.setAttribute("aria-pressed", String(["all", "unread", "archived"][at] === state.view)));
    ui.readAll.setAttribute("aria-disabled", String(unread === 0 || state.view === "archived" || !state.items.length));
    this.#drawList(state.items);
    this.#drawOlder(state);
    this.#drawRest(state);
    this.#see(state);
  }

  #see({ loading, items, counts, view }) {
    const newest = items[0]?.id ?? "";
    if (loading || document.hidden || !counts.unseen || view === "archived" || newest <= this.#seenUpTo) return;
    this.#seenUpTo = newest;
    // What could not be told now is told with the next one.
    this.#inbox.seen().catch(() => {});
  }

  // Rows stay the elements they are, so that the focus and the reader's place stay too.
  #drawList(items) {
    const { list } = this.#ui;
    const ids = new Set(items.map(({ id }) => id));
    const gone = [...this.#rows].filter(([id]) => !ids.has(id));
    const refuge = this.#refuge(gone.map(([, row]) => row.element));
    for (const [id, row] of gone) {
      row.element.remove();
      this.#rows.delete(id);
    }
    let place = list.firstElementChild;
    for (const item of items) {
      const row = this.#rows.get(item.id) ?? this.#row(item.id);
      row.show(item);
      if (row.element === place) place = place.nextElementSibling;
      else list.insertBefore(row.element, place);
    }
    refuge?.focus();
  }

  // Where the focus goes when the row it is in goes: to the same place of the next row, or of the one before.
  #refuge(rows) {
    const active = this.shadowRoot.activeElement;
    const row = rows.find((it) => it.contains(active));
    if (!row) return null;
    const all = [...this.#ui.list.children];
    const at = all.indexOf(row);
    const stays = (it) => !rows.includes(it);
    const next = all.slice(at).find(stays) ?? all.slice(0, at).findLast(stays);
    return next?.querySelector(`[data-act="${active.dataset.act}"]`) ?? this.#ui.panel;
  }

  #row(id) {
    const item = () => this.#inbox.state.items.find((it) => it.id === id);
    const dot = el("span", { class: "unseen" });
    const body = el("p", { class: "body", part: "body", dir: "auto" });
    const time = el("time", { class: "time", part: "time" });
    const readIcon = icon("check");
    const read = button("icon action", () => this.#write((it) => this.#inbox.setRead(id, !it.readAt), item()), readIcon);
    const putIcon = icon("archive");
    const put = button("icon action", () => this.#archive(item()), putIcon);
    read.dataset.act = "read";
    put.dataset.act = "archive";
    const text = el("div", {}, body, time);
    const element = el("li", { class: "item", "data-id": id }, text, el("div", { class: "actions" }, read, put));
    const row = { element, title: null };
    row.show = (it) => {
      const isNew = !it.readAt && !it.archivedAt;
      element.classList.toggle("new", isNew);
      element.setAttribute("part", isNew ? "item item-unread" : "item");
      if (!row.title) {
        row.title = this.#title(it, item);
        text.prepend(el("div", {}, dot, row.title));
      }
      putText(dot, isNew ? `${this.#text("unread")}: ` : "");
      putText(row.title, it.title);
      putText(body, it.body);
      body.hidden = !it.body;
      this.#format.show(time, it.createdAt);
      this.#label(read, it.readAt ? "unreadAgain" : "read", it);
      this.#label(put, it.archivedAt ? "restore" : "archive", it);
      draw(readIcon, it.readAt ? "dot" : "check");
      draw(putIcon, it.archivedAt ? "restore" : "archive");
    };
    this.#rows.set(id, row);
    return row;
  }

  // A link where there is a place to go, else a button.
  #title({ actionUrl }, item) {
    const href = safeLink(actionUrl);
    const act = (event) => this.#open(event, item());
    const link = el("a", { class: "title", part: "title", "data-act": "title", dir: "auto", href, rel: "noopener noreferrer", onclick: act });
    if (href) return link;
    const own = button("title", act);
    own.dataset.act = "title";
    own.dir = "auto";
    return own;
  }

  #label(control, action, { title }) {
    name(control, this.#text(action), this.#text("action", { action: this.#text(action), title }));
  }

  #drawOlder(state) {
    const { older } = this.#ui;
    older.hidden = state.loading || !state.more;
    older.setAttribute("aria-disabled", String(state.loadingOlder));
    putText(older, this.#text(state.loadingOlder ? "loading" : "older"));
  }

  // What stands in place of a list, and what is wrong.
  #drawRest(state) {
    const { rest, banner, scroll } = this.#ui;
    const problem = this.#problem(state);
    const nothing = !state.items.length;
    scroll.setAttribute("aria-busy", String(state.loading && !problem));
    const kind = !nothing ? "" : state.loading ? (problem ? "failed" : "loading") : state.more ? "" : "empty";
    const told = `${kind} ${problem} ${state.view}`;
    putText(banner, problem && kind !== "failed" ? this.#text("outdated", { problem }) : "");
    if (rest.dataset.told === told) return;
    rest.dataset.told = told;
    const had = rest.contains(this.shadowRoot.activeElement);
    rest.replaceChildren(...this.#rest(kind, problem, state.view));
    if (had) this.#ui.panel.focus();
  }

  #rest(kind, problem, view) {
    if (kind === "loading") {
      const bone = () => el("li", { class: "item" }, el("div", {}, ...["", "", ""].map(() => el("div", { class: "bone" }))));
      return [el("p", { class: "unseen" }, this.#text("loading")), el("ul", { class: "bones", part: "skeleton", "aria-hidden": "true" }, bone(), bone(), bone())];
    }
    if (kind === "empty") {
      const text = { all: "empty", unread: "emptyUnread", archived: "emptyArchived" }[view];
      return [el("div", { class: "state", part: "empty" }, icon(view === "archived" ? "archive" : "bell"), el("p", {}, this.#text(text)))];
    }
    if (kind === "failed") {
      const retry = button("text retry", () => this.#inbox.refresh());
      retry.textContent = this.#text("retry");
      return [el("div", { class: "state", part: "error" }, icon("cloud"), el("p", {}, problem), retry)];
    }
    return [];
  }

  #problem({ problem, online }) {
    if (!online) return this.#text("offline");
    if (!problem) return "";
    return this.#text({ "no-answer": "unreachable", "signed-out": "signedOut" }[problem.code] ?? "failed");
  }

  // What the person does.

  #open(event, item) {
    if (!item) return;
    const wanted = this.dispatchEvent(new CustomEvent("campanile-open", { detail: item, bubbles: true, composed: true, cancelable: true }));
    if (!wanted) event.preventDefault();
    if (!wanted || safeLink(item.actionUrl)) this.hide();
    if (!item.readAt) this.#write(() => this.#inbox.setRead(item.id, true), item);
  }

  async #archive(item) {
    const archived = !item.archivedAt;
    const done = await this.#write(() => this.#inbox.setArchived(item.id, archived), item);
    if (done && archived) this.#say(this.#text("wasArchived", { title: item.title }), "", () => this.#write(() => this.#inbox.setArchived(item.id, false), item));
  }

  #turnTo(view) {
    this.#say("");
    this.#inbox?.show(view);
  }

  #readAll() {
    if (this.#ui.readAll.getAttribute("aria-disabled") === "false") this.#write(() => this.#inbox.readAll(), {});
  }

  async #loadOlder() {
    const { list } = this.#ui;
    const last = list.lastElementChild;
    try {
      await this.#inbox.loadOlder();
      this.#draw();
      last?.nextElementSibling?.querySelector(".title").focus();
    } catch {
      this.#say(this.#text("notLoaded"), "bad");
    }
  }

  // Whether it was saved. What was not has been taken back already, and is told.
  async #write(act, item) {
    if (!item) return false;
    this.#say("");
    try {
      await act(item);
      return true;
    } catch {
      this.#say(this.#text("notSaved"), "bad");
      return false;
    }
  }

  // A line at the foot of the list, read out too.
  #say(text, tone = "", undo = null) {
    const { message, panel } = this.#ui;
    const had = message.contains(this.shadowRoot.activeElement);
    message.className = `bar ${tone}`;
    message.replaceChildren(...(text ? [el("span", {}, text)] : []));
    if (undo) {
      const back = button("text undo", undo);
      back.textContent = this.#text("undo");
      message.append(back);
    }
    if (had) panel.focus();
  }

  // Up and down, to the same place of another row; to the first and the last one.
  #walk(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
    const row = event.target.closest(".item");
    if (!step || !row || event.altKey || event.ctrlKey || event.metaKey) return;
    const rows = [...this.#ui.list.children];
    const next = rows[Math.min(Math.max(rows.indexOf(row) + step, 0), rows.length - 1)];
    event.preventDefault();
    next.querySelector(`[data-act="${event.target.dataset.act}"]`).focus();
  }

  // Tells a screen reader what came, once and not too often. A page in the background says nothing.
  #announce(item) {
    if (document.hidden) return;
    this.#arrived.push(item);
    this.#announcing ??= setTimeout(() => this.#tell(), COLLECT_FOR);
  }

  #tell() {
    const { status } = this.#ui;
    const count = this.#arrived.length;
    status.textContent = count ? this.#text("arrived", { count, title: this.#arrived[0].title }, count) : "";
    this.#arrived = [];
    this.#announcing = count ? setTimeout(() => this.#tell(), ANNOUNCE_EVERY) : null;
  }
}

function parse(text) {
  try {
    return text ? JSON.parse(text) : {};
  } catch (error) {
    console.warn(`campanile-bell: the attribute "strings" is not JSON: ${error.message}`);
    return {};
  }
}

// The name of a control that shows an icon only.
function name(control, short, long = short) {
  control.title = short;
  control.setAttribute("aria-label", long);
}

function putText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const UNITS = [["day", 86_400], ["hour", 3_600], ["minute", 60]];
const WEEK = 7 * 86_400;

// Numbers and times as the language has them.
function formats(lang) {
  let locale = lang;
  try {
    Intl.getCanonicalLocales(lang);
  } catch {
    locale = undefined;
  }
  const near = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  const far = new Intl.DateTimeFormat(locale, { dateStyle: "medium" });
  const full = new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "short" });
  const since = (date) => {
    const seconds = Math.max(0, (Date.now() - date) / 1_000);
    if (seconds >= WEEK) return far.format(date);
    const [unit, length] = UNITS.find(([, least]) => seconds >= least) ?? ["second", Infinity];
    return near.format(-Math.floor(seconds / length), unit);
  };
  return {
    plural: new Intl.PluralRules(locale),
    show(time, text) {
      const date = new Date(text);
      putText(time, since(date));
      time.dateTime = text;
      time.title = full.format(date);
    },
  };
}

customElements.define("campanile-bell", CampanileBell);
