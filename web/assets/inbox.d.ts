/** One person's inbox, kept up to date. It draws nothing: `bell.js` is one way to show it. */

/** A notification, as `GET /inbox` has it. Times are RFC 3339 in UTC. */
export interface Item {
  readonly id: string;
  readonly eventType: string;
  readonly category: string;
  readonly subjectId: string | null;
  readonly orgId: string | null;
  /** One line of plain text. */
  readonly title: string;
  /** Plain text. */
  readonly body: string;
  /** The event's fields. */
  readonly payload: unknown;
  /** Where a click leads. Pass it through `safeLink` before you put it into a page. */
  readonly actionUrl: string | null;
  readonly seenAt: string | null;
  readonly readAt: string | null;
  readonly archivedAt: string | null;
  readonly createdAt: string;
}

/** How many items are not archived. Each number is at most 100, which means a hundred or more. */
export interface Counts {
  readonly unread: number;
  readonly unseen: number;
  readonly total: number;
  /** The text of a bell's badge: the unread items, `0` to `99`, or `99+`. */
  readonly badge: string;
}

/** `all` items that are not archived, only the `unread` ones of these, or the `archived` items. */
export type View = "all" | "unread" | "archived";

/** The whole state of the inbox. It is the same object until something changes. */
export interface State {
  readonly view: View;
  /** Newest first. A change of the user's shows at once, and is undone if the server refuses it. */
  readonly items: readonly Item[];
  readonly counts: Counts;
  /** Nothing was loaded yet. With a `problem` loading failed and is retried. */
  readonly loading: boolean;
  /** There are older items. */
  readonly more: boolean;
  readonly loadingOlder: boolean;
  /** What the browser says of the network. */
  readonly online: boolean;
  /**
   * Events arrive live; otherwise the server is polled every now and then. A hidden page has no stream, and all pages of an
   * origin have at most two.
   */
  readonly live: boolean;
  /** Why the head could not be read the last time. */
  readonly problem: Problem | null;
}

/** Why a request failed: an error of the server or of the network. */
export class Problem extends Error {
  /** The end of the problem's type, `invalid-cursor` for example; `no-answer`, `signed-out` (a redirect too) or `unknown`. */
  readonly code: string;
  /** The HTTP status, or 0 without an answer. */
  readonly status: number;
  /** How many milliseconds to wait, as the server said; else 0. */
  readonly retryAfter: number;
}

export interface Options {
  /** Where the routes are nested: `/notifications`. */
  src: string;
  /** Only the items of this organization. */
  org?: string | null;
  /** An id of the user, which is never sent. With it the tabs of one person share a live connection. */
  user?: string;
}

export interface InboxEvents {
  /** The state has changed. */
  change: Event;
  /** A new item arrived; fired once for each item. */
  created: CustomEvent<Item>;
}

export class Inbox extends EventTarget {
  constructor(options: Options);
  readonly state: State;
  /** Calls the listener after every change. Returns a function that unsubscribes it. */
  subscribe(listener: (state: State) => void): () => void;
  /** Loads the head and follows live changes, together with the other tabs of the `user`. */
  start(): void;
  stop(): void;
  show(view: View): void;
  /** Reads the head again. It never rejects: a failure is in the state. */
  refresh(): Promise<void>;
  /** Adds a page of older items. Rejects with a `Problem`. */
  loadOlder(): Promise<void>;
  /** Rejects with a `Problem` if the server refuses, after the change was undone. So do the methods below. */
  setRead(id: string, read: boolean): Promise<void>;
  setArchived(id: string, archived: boolean): Promise<void>;
  /** Marks all items as read that are shown or older. */
  readAll(): Promise<void>;
  /** Marks the shown items as seen. */
  seen(): Promise<void>;
  addEventListener<K extends keyof InboxEvents>(
    type: K,
    listener: (event: InboxEvents[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof InboxEvents>(
    type: K,
    listener: (event: InboxEvents[K]) => void,
    options?: boolean | EventListenerOptions,
  ): void;
}

/** Where a click may lead, or null: `http`, `https`, `mailto`, or a path on this origin. */
export function safeLink(text: string | null): string | null;
