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
  /** Where a click leads. Put it into a page by way of `safeLink`. */
  readonly actionUrl: string | null;
  readonly seenAt: string | null;
  readonly readAt: string | null;
  readonly archivedAt: string | null;
  readonly createdAt: string;
}

/** How many there are that are not archived. Each number ends at 100, which means a hundred or more. */
export interface Counts {
  readonly unread: number;
  readonly unseen: number;
  readonly total: number;
  /** What to write on a bell: the unread ones, `0` to `99`, or `99+`. */
  readonly badge: string;
}

/** `all` that are not archived, the `unread` ones of them, or the `archived` ones. */
export type View = "all" | "unread" | "archived";

/** All there is to show. It is the same object until something changes. */
export interface State {
  readonly view: View;
  /** Newest first. What the person did shows at once, and is taken back when the server refuses it. */
  readonly items: readonly Item[];
  readonly counts: Counts;
  /** Nothing was loaded yet. With a `problem` it could not be; it is tried again. */
  readonly loading: boolean;
  /** There are older items. */
  readonly more: boolean;
  readonly loadingOlder: boolean;
  /** What the browser says of the network. */
  readonly online: boolean;
  /**
   * Events arrive as they happen; without them the server is asked every now and then. A page that is out of view has no stream, and
   * all pages of an origin have two at most.
   */
  readonly live: boolean;
  /** Why the head could not be read the last time. */
  readonly problem: Problem | null;
}

/** What the server, or the way to it, had against a request. */
export class Problem extends Error {
  /** The end of the problem's type, `invalid-cursor` for example; `no-answer`, `signed-out` (a redirect is that too) or `unknown`. */
  readonly code: string;
  /** The HTTP status, or 0 without an answer. */
  readonly status: number;
  /** How many milliseconds to wait, as the server said; else 0. */
  readonly retryAfter: number;
}

export interface Options {
  /** Where the routes are nested: `/notifications`. */
  src: string;
  /** Only what happened in this organization. */
  org?: string | null;
  /** An id of whose inbox it is; it is never sent. The tabs of one person share a live connection; without it they do not. */
  user?: string;
}

export interface InboxEvents {
  /** The state is another one. */
  change: Event;
  /** An item came that was not there before; told once. */
  created: CustomEvent<Item>;
}

export class Inbox extends EventTarget {
  constructor(options: Options);
  readonly state: State;
  /** Calls back after every change. Gives the function that ends it. */
  subscribe(listener: (state: State) => void): () => void;
  /** Loads the head and follows what happens, together with the other tabs of the `user`. */
  start(): void;
  stop(): void;
  show(view: View): void;
  /** Reads the head again. It never rejects: a failure is in the state. */
  refresh(): Promise<void>;
  /** Adds a page of older items. Rejects with a `Problem`. */
  loadOlder(): Promise<void>;
  /** Rejects with a `Problem` when the server refuses; the change has been taken back then. So do those below. */
  setRead(id: string, read: boolean): Promise<void>;
  setArchived(id: string, archived: boolean): Promise<void>;
  /** Marks all as read that is shown, and all that is older. */
  readAll(): Promise<void>;
  /** The person has the list before them. */
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
