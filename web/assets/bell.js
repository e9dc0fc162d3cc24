// <campanile-bell src="/notifications">: a button with the number of unread notifications, and a popover with the list.
//
// Attributes: `src` (where the routes are nested), `org`, `user` (whose tabs share a stream), `theme` (`light` or `dark`;
// default: the page's own `color-scheme`), `strings` (JSON, see `bell-texts.js`), `lang` (default: the page's).
// Slots: `icon`, `footer`. Parts and variables: see `bell-style.js`. A click on a notification fires `campanile-open`, cancelable,
// unless it opens the link in another tab.

import { Row, button, el, icon, name, putText } from "./bell-parts.js";
import { styles } from "./bell-style.js";
import { Texts, parse } from "./bell-texts.js";
import { Inbox, safeLink } from "./inbox.js";

const VIEWS = ["all", "unread", "archived"];

// At most one announcement in this time, for all notifications that arrived.
const ANNOUNCE_EVERY = 5_000;
const COLLECT_FOR = 500;
const TICK = 30_000;
const EDGE = 8;

// Whether the browser opens the link of this click in another tab or window, and leaves this page as it is.
const opensElsewhere = ({ currentTarget, button, ctrlKey, metaKey, shiftKey }) => currentTarget.href && (button === 1 || ctrlKey || metaKey || shiftKey);

export class CampanileBell extends HTMLElement {
  static observedAttributes = ["src", "org", "user", "strings", "lang"];

  #inbox = null;
  #stop = null;
  #strings = {};
  #rows = new Map();
  // The ids in the list when it was last marked as seen.
  #toldAsSeen = new Set();
  #arrived = [];
  #announcing = null;
  // Aborts the listeners and timers that run only while the list is open.
  #idle = null;
  #texts;
  #ui;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = styles();
    this.#ui = this.#build();
    root.append(this.#ui.bell, this.#ui.panel, this.#ui.status);
  }

  // The inbox that is shown, for a page that uses more of it.
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

  // Texts that replace the English ones.
  get strings() {
    return this.#strings;
  }

  set strings(strings) {
    this.#strings = strings ?? {};
    this.#relabel();
  }

  connectedCallback() {
    // The property was set before this file was loaded.
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
    this.#toldAsSeen.clear();
    this.#say("");
    this.#ui.status.textContent = "";
    this.#ui.bell.setAttribute("aria-expanded", "false");
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
    ui.views = VIEWS.map((view) => button("view", () => this.#turnTo(view)));
    ui.group = el("div", { class: "views", part: "views", role: "group" }, ...ui.views);
    const tools = el("div", { class: "tools", part: "tools" }, ui.group, ui.readAll);
    ui.list = el("ul", { part: "list", role: "list", onkeydown: (event) => this.#walk(event) });
    ui.older = button("text older", () => this.#loadOlder());
    ui.rest = el("div", { role: "status" });
    ui.banner = el("div", { class: "bar bad", part: "banner", role: "status" });
    ui.message = el("div", { class: "bar", part: "message", role: "status" });
    ui.scroll = el("div", { class: "scroll", part: "scroll" }, ui.list, ui.older, ui.rest);
    ui.panel = el(
      "div",
      {
        class: "panel",
        part: "panel",
        popover: "auto",
        role: "dialog",
        tabindex: "-1",
        "aria-labelledby": "title",
        onbeforetoggle: (event) => this.#toggling(event),
        ontoggle: () => this.#toggled(),
        onfocusout: (event) => this.#left(event),
      },
      el("div", { class: "head", part: "header" }, ui.title, ui.close),
      tools,
      ui.banner,
      ui.scroll,
      ui.message,
      el("slot", { name: "footer" }),
    );
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

  // The list closes when the focus leaves it, because it would cover the focused element.
  #left({ relatedTarget }) {
    const { panel, bell } = this.#ui;
    const stays = !relatedTarget || relatedTarget === bell || panel.contains(relatedTarget) || this.contains(relatedTarget);
    if (!stays) this.hide();
  }

  // Places the list below the button, aligned with its end, if there is room.
  #place = () => {
    const { panel, bell } = this.#ui;
    const at = bell.getBoundingClientRect();
    const [wide, high] = [document.documentElement.clientWidth, window.innerHeight];
    const width = panel.offsetWidth;
    const maxLeft = Math.max(EDGE, wide - width - EDGE);
    const wanted = getComputedStyle(this).direction === "rtl" ? at.left : at.right - width;
    const below = high - at.bottom - 2 * EDGE;
    const above = at.top - 2 * EDGE;
    const over = below < 280 && above > below;
    panel.style.left = `${Math.min(Math.max(wanted, EDGE), maxLeft)}px`;
    panel.style.top = over ? "auto" : `${Math.max(EDGE, at.bottom + EDGE)}px`;
    panel.style.bottom = over ? `${high - at.top + EDGE}px` : "auto";
    panel.style.maxHeight = `${Math.min(Math.max(over ? above : below, 160), 640)}px`;
  };

  // Texts.

  #relabel() {
    if (!this.#inbox) return;
    this.#texts = new Texts(this.#strings, this.closest("[lang]")?.lang || document.documentElement.lang || navigator.language);
    const ui = this.#ui;
    ui.title.textContent = this.#texts.get("title");
    ui.readAll.textContent = this.#texts.get("readAll");
    ui.group.setAttribute("aria-label", this.#texts.get("show"));
    name(ui.close, this.#texts.get("close"));
    VIEWS.forEach((view, at) => { ui.views[at].textContent = this.#texts.get(view); });
    this.#rows.clear();
    ui.list.replaceChildren();
    delete ui.rest.dataset.told;
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
    ui.bell.setAttribute("aria-label", unread ? this.#texts.get("bellUnread", { count: badge }, unread) : this.#texts.get("bell"));
    if (!this.open) return;
    ui.views.forEach((it, at) => it.setAttribute("aria-pressed", String(VIEWS[at] === state.view)));
    ui.readAll.setAttribute("aria-disabled", String(unread === 0 || state.view === "archived" || !state.items.length));
    this.#drawList(state.items);
    this.#drawOlder(state);
    this.#drawRest(state);
    this.#see(state);
  }

  #see({ loading, items, counts, view }) {
    if (loading || document.hidden || !counts.unseen || view === "archived" || items.every(({ id }) => this.#toldAsSeen.has(id))) return;
    this.#toldAsSeen = new Set(items.map(({ id }) => id));
    // If it fails, the next call marks these items too.
    this.#inbox.seen().catch(() => {});
  }

  // Rows keep their elements, so that the focus and the reading position are kept.
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
      const row = this.#rows.get(item.id) ?? this.#row(item);
      row.show(item);
      if (row.element === place) place = place.nextElementSibling;
      else list.insertBefore(row.element, place);
    }
    refuge?.focus();
  }

  // The next focus when the row with the focus is removed: the same control of the next row, or of the previous one.
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

  #row(item) {
    const row = new Row(item, this.#texts, {
      open: (event, it) => this.#open(event, it),
      read: (it) => this.#write(() => this.#inbox.setRead(it.id, !it.readAt)),
      archive: (it) => this.#archive(it),
    });
    this.#rows.set(item.id, row);
    return row;
  }

  #drawOlder(state) {
    const { older } = this.#ui;
    older.hidden = state.loading || !state.more;
    older.setAttribute("aria-disabled", String(state.loadingOlder));
    putText(older, this.#texts.get(state.loadingOlder ? "loading" : "older"));
  }

  // The placeholder of an empty list, and the problem if there is one.
  #drawRest(state) {
    const { rest, banner, scroll } = this.#ui;
    const problem = this.#problem(state);
    const nothing = !state.items.length;
    scroll.setAttribute("aria-busy", String(state.loading && !problem));
    const kind = !nothing ? "" : state.loading ? (problem ? "failed" : "loading") : state.more ? "" : "empty";
    const failed = kind === "failed";
    const told = `${kind} ${failed && problem} ${state.view}`;
    putText(banner, problem && !failed ? this.#texts.get("outdated", { problem }) : "");
    if (rest.dataset.told === told) return;
    rest.dataset.told = told;
    const had = rest.contains(this.shadowRoot.activeElement);
    rest.replaceChildren(...this.#rest(kind, problem, state.view));
    if (had) this.#ui.panel.focus();
  }

  #rest(kind, problem, view) {
    if (kind === "loading") {
      const bone = () => el("li", { class: "item" }, el("div", {}, ...["", "", ""].map(() => el("div", { class: "bone" }))));
      return [el("p", { class: "unseen" }, this.#texts.get("loading")), el("ul", { class: "bones", part: "skeleton", "aria-hidden": "true" }, bone(), bone(), bone())];
    }
    if (kind === "empty") {
      const text = { all: "empty", unread: "emptyUnread", archived: "emptyArchived" }[view];
      return [el("div", { class: "state", part: "empty" }, icon(view === "archived" ? "archive" : "bell"), el("p", {}, this.#texts.get(text)))];
    }
    if (kind === "failed") {
      const retry = button("text retry", () => this.#inbox.refresh());
      retry.textContent = this.#texts.get("retry");
      return [el("div", { class: "state", part: "error" }, icon("cloud"), el("p", {}, problem), retry)];
    }
    return [];
  }

  #problem({ problem, online }) {
    if (!online) return this.#texts.get("offline");
    if (!problem) return "";
    return this.#texts.get({ "no-answer": "unreachable", "signed-out": "signedOut" }[problem.code] ?? "failed");
  }

  // Actions of the user.

  #open(event, item) {
    // The right button opens a menu.
    if (event.button > 1) return;
    if (!opensElsewhere(event)) this.#follow(event, item);
    if (!item.readAt) this.#write(() => this.#inbox.setRead(item.id, true));
  }

  #follow(event, item) {
    const wanted = this.dispatchEvent(new CustomEvent("campanile-open", { detail: item, bubbles: true, composed: true, cancelable: true }));
    if (!wanted) event.preventDefault();
    if (!wanted || safeLink(item.actionUrl)) this.hide();
  }

  async #archive(item) {
    const archived = !item.archivedAt;
    const done = await this.#write(() => this.#inbox.setArchived(item.id, archived));
    if (done && archived) this.#say(this.#texts.get("wasArchived", { title: item.title }), "", () => this.#write(() => this.#inbox.setArchived(item.id, false)));
  }

  #turnTo(view) {
    this.#say("");
    this.#inbox?.show(view);
  }

  #readAll() {
    if (this.#ui.readAll.getAttribute("aria-disabled") === "false") this.#write(() => this.#inbox.readAll());
  }

  async #loadOlder() {
    const { list } = this.#ui;
    const last = list.lastElementChild;
    try {
      await this.#inbox.loadOlder();
      this.#draw();
      last?.nextElementSibling?.querySelector(".title").focus();
    } catch {
      this.#say(this.#texts.get("notLoaded"), "bad");
    }
  }

  // Returns whether the change was saved and the inbox is still shown. A failed change was undone already, and is reported.
  async #write(act) {
    const inbox = this.#inbox;
    this.#say("");
    try {
      await act();
      return inbox === this.#inbox;
    } catch {
      if (inbox === this.#inbox) this.#say(this.#texts.get("notSaved"), "bad");
      return false;
    }
  }

  // A line below the list, which screen readers announce.
  #say(text, tone = "", undo = null) {
    const { message, panel } = this.#ui;
    const had = message.contains(this.shadowRoot.activeElement);
    message.className = `bar ${tone}`;
    message.replaceChildren(...(text ? [el("span", {}, text)] : []));
    if (undo) {
      const back = button("text undo", undo);
      back.textContent = this.#texts.get("undo");
      message.append(back);
    }
    if (had) panel.focus();
  }

  // Arrow keys move to the same control of another row, Home and End to the first and the last row.
  #walk(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
    const row = event.target.closest(".item");
    if (!step || !row || event.altKey || event.ctrlKey || event.metaKey) return;
    const rows = [...this.#ui.list.children];
    const next = rows[Math.min(Math.max(rows.indexOf(row) + step, 0), rows.length - 1)];
    event.preventDefault();
    next.querySelector(`[data-act="${event.target.dataset.act}"]`).focus();
  }

  // Announces new notifications to a screen reader, once and not too often. A hidden page is silent.
  #announce(item) {
    if (document.hidden) return;
    this.#arrived.push(item);
    this.#announcing ??= setTimeout(() => this.#tell(), COLLECT_FOR);
  }

  #tell() {
    const { status } = this.#ui;
    const count = this.#arrived.length;
    status.textContent = count ? this.#texts.get("arrived", { count, title: this.#arrived[0].title }, count) : "";
    this.#arrived = [];
    this.#announcing = count ? setTimeout(() => this.#tell(), ANNOUNCE_EVERY) : null;
  }
}

customElements.define("campanile-bell", CampanileBell);
