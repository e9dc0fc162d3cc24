/** `<campanile-bell src="/notifications">`: a button with the number of unread notifications, and a popover with the list. */

import { Inbox, Item } from "./inbox.js";

/** A text, or one for each plural category of `Intl.PluralRules`. `{count}`, `{title}` and the like are filled in. */
export type Text = string | ({ other: string } & Partial<Record<Intl.LDMLPluralRule, string>>);

/** Texts that replace the English ones. The placeholders of each are named beside it. */
export interface Strings {
  /** The button's name if nothing is unread. */
  bell?: Text;
  /** The button's name otherwise: `{count}`, up to `99+`. */
  bellUnread?: Text;
  title?: Text;
  close?: Text;
  /** The name of the group of views. */
  show?: Text;
  all?: Text;
  unread?: Text;
  archived?: Text;
  readAll?: Text;
  read?: Text;
  unreadAgain?: Text;
  archive?: Text;
  restore?: Text;
  /** The full name of a button of one notification: `{action}`, `{title}`. */
  action?: Text;
  loading?: Text;
  older?: Text;
  empty?: Text;
  emptyUnread?: Text;
  emptyArchived?: Text;
  retry?: Text;
  failed?: Text;
  offline?: Text;
  unreachable?: Text;
  signedOut?: Text;
  /** Above a list that could not be refreshed: `{problem}` is one of the four texts above. */
  outdated?: Text;
  notLoaded?: Text;
  notSaved?: Text;
  /** `{title}`. */
  wasArchived?: Text;
  undo?: Text;
  /** What a screen reader announces for new notifications: `{count}`, and the `{title}` of the first. */
  arrived?: Text;
}

export class CampanileBell extends HTMLElement {
  /** The inbox that is shown; null outside of a document. */
  readonly inbox: Inbox | null;
  readonly open: boolean;
  strings: Strings;
  show(): void;
  hide(): void;
}

/**
 * The user clicked a notification. `preventDefault()` keeps the link from being followed, for an app that routes itself. A click
 * that opens the link in another tab (the middle button, or with Ctrl, Cmd or Shift) marks it as read and does not fire this.
 */
export type CampanileOpenEvent = CustomEvent<Item>;

declare global {
  interface HTMLElementTagNameMap {
    "campanile-bell": CampanileBell;
  }
  interface GlobalEventHandlersEventMap {
    "campanile-open": CampanileOpenEvent;
  }
}
