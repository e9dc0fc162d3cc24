// The texts, numbers and times of the bell, in the language of the page.

import { putText } from "./bell-parts.js";

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

const UNITS = [["day", 86_400], ["hour", 3_600], ["minute", 60]];
const WEEK = 7 * 86_400;

export class Texts {
  #strings;
  #plural;
  #near;
  #far;
  #full;

  // `strings` replace those of STRINGS. An unknown `lang` means the browser's own language.
  constructor(strings, lang) {
    const locale = known(lang);
    this.#strings = strings;
    this.#plural = new Intl.PluralRules(locale);
    this.#near = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
    this.#far = new Intl.DateTimeFormat(locale, { dateStyle: "medium" });
    this.#full = new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "short" });
  }

  get(name, values = {}, count = 0) {
    let text = this.#strings[name] ?? STRINGS[name];
    if (typeof text !== "string") text = text[this.#plural.select(count)] ?? text.other ?? "";
    return text.replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
  }

  show(time, text) {
    const date = new Date(text);
    putText(time, this.#since(date));
    time.dateTime = text;
    time.title = this.#full.format(date);
  }

  #since(date) {
    const seconds = Math.max(0, (Date.now() - date) / 1_000);
    if (seconds >= WEEK) return this.#far.format(date);
    const [unit, length] = UNITS.find(([, least]) => seconds >= least) ?? ["second", Infinity];
    return this.#near.format(-Math.floor(seconds / length), unit);
  }
}

function known(lang) {
  try {
    return Intl.getCanonicalLocales(lang);
  } catch {
    return undefined;
  }
}

// Parses the attribute `strings`.
export function parse(text) {
  try {
    return text ? JSON.parse(text) : {};
  } catch (error) {
    console.warn(`campanile-bell: the attribute "strings" is not JSON: ${error.message}`);
    return {};
  }
}
