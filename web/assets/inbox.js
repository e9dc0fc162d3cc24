// One person's inbox, kept up to date: its items, its counts, and the user's changes. It draws nothing; `bell.js` is one way to
// show it.
//
//   const inbox = new Inbox({ src: "/notifications" });
//   const stop = inbox.subscribe((state) => draw(state));
//   inbox.start();

import { Live, backOff } from "./live.js";

const PAGE = 20;
const MAX_PAGE = 100;
// Limits for a page that is open for weeks: how many items a list keeps when it is read again, how many new ones it takes before
// that, and how many ids of announced items are remembered.
const MAX_KEPT = 500;
const MAX_JOINED = 50;
const MAX_KNOWN = 1_000;
// The server's limit for ids in `since`.
const MAX_NAMED = 100;
// The server's limit for counts.
const CAP = 100;
const REQUEST_TIMEOUT_MS = 15_000;
const POLL_EVERY = 20_000;
const FRESH_FOR = 60_000;

// Why a request failed: an error of the server or of the network. `code` is the end of the problem's type, or "no-answer".
export class Problem extends Error {
  constructor(code, detail, status = 0, retryAfter = 0) {
    super(detail);
    this.code = code;
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

const VIEWS = {
  all: (item) => !item.archivedAt,
  unread: (item) => !item.archivedAt && !item.readAt,
  archived: (item) => Boolean(item.archivedAt),
};

const PAGE_EVENTS = [
  [window, "online"],
  [window, "offline"],
  [window, "pagehide"],
  [window, "pageshow"],
  [document, "visibilitychange"],
];

const now = () => new Date().toISOString();

// Whether two changes must reach the server in the order in which they were made: two changes of one item, or one of them of
// `ALL`. Two changes that mark as read do not need an order.
const ALL = "*";
const inOrder = (one, other) => (one.of === other.of || [one.of, other.of].includes(ALL)) && !(one.reads && other.reads);

const isUnread = VIEWS.unread;
const isUnseen = (item) => isUnread(item) && !item.seenAt;

// The feed's own order: ids are ordered by time.
const newestFirst = (one, other) => (one.id < other.id ? 1 : -1);

// Where a click may lead, or null: a link from the server is checked once more before it is put into a page.
// A path stays on this origin, whatever `<base>` the page has.
export function safeLink(text) {
  if (typeof text !== "string" || !/^(\/(?![/\\])|https?:\/\/|mailto:)/i.test(text) || !URL.canParse(text, location.origin)) return null;
  const url = new URL(text, location.origin);
  if (!["https:", "http:", "mailto:"].includes(url.protocol) || url.username || url.password) return null;
  return text[0] === "/" && url.origin !== location.origin ? null : url.href;
}

export class Inbox extends EventTarget {
  #src;
  // The organization as a query parameter, if there is one.
  #part;
  #live;
  #state = null;
  #telling = false;
  #view = "all";
  // The server's state: id -> { item, at }, where `at` is when it was received.
  #base = new Map();
  #counts = { value: { unread: 0, unseen: 0, total: 0 }, at: 0 };
  #now = 0;
  // The server's `asOf` of the head, and the ids of the items that were added to the list since.
  #asOf = "";
  #since = new Set();
  // How many items the user loaded.
  #loadedItems = PAGE;
  // The cursor of the items older than `#end`, the last item that was loaded.
  #next = null;
  #end = "";
  // The user's changes that the server has not answered yet.
  #changes = [];
  // Resolved when the page is left.
  #leaving = Promise.withResolvers();
  #known = new Set();
  #newest = 0;
  #loaded = false;
  #older = false;
  #problem = null;
  #started = false;
  // Counts changes of the view: a head that was requested for an earlier view is dropped.
  #turn = 0;
  #stale = true;
  #fetching = null;
  #fetchedAt = 0;
  #failures = 0;
  #timer;

  // `src` is where the routes are nested. `org` narrows the inbox to one organization. `user` is only a name under
  // which the tabs of one person share a stream; it is never sent. Without it they do not share.
  constructor({ src, org = null, user = "" }) {
    super();
    this.#src = new URL(src, document.baseURI).href.replace(/\/$/, "");
    this.#part = org ? { org } : {};
    const url = this.#url("/inbox/events");
    this.#live = new Live(url, user && `campanile ${user} ${url}`, (type, data) => this.#hear(type, data));
  }

  // The whole state of the inbox. It is the same object until something changes.
  get state() {
    this.#state ??= this.#look();
    return this.#state;
  }

  // Calls the listener after every change, with the state. Returns a function that unsubscribes it.
  subscribe(listener) {
    const tell = () => listener(this.state);
    this.addEventListener("change", tell);
    return () => this.removeEventListener("change", tell);
  }

  // Loads the head and follows live changes.
  start() {
    if (this.#started) return;
    this.#started = true;
    for (const [target, type] of PAGE_EVENTS) target.addEventListener(type, this.#onPage);
    this.#live.start();
    this.refresh();
  }

  stop() {
    this.#started = false;
    for (const [target, type] of PAGE_EVENTS) target.removeEventListener(type, this.#onPage);
    clearTimeout(this.#timer);
    this.#live.stop();
  }

  // Which items: "all" that are not archived, "unread", or "archived".
  show(view) {
    if (!Object.hasOwn(VIEWS, view)) throw new TypeError(`there is no view "${view}": all, unread, archived`);
    if (view === this.#view) return;
    this.#view = view;
    this.#base.clear();
    this.#next = null;
    this.#end = "";
    this.#since.clear();
    this.#loadedItems = PAGE;
    this.#loaded = false;
    this.#problem = null;
    this.#turn += 1;
    this.#older = false;
    this.#fetching = null;
    this.refresh();
  }

  // Reads the head again, with as many items as are shown. It never rejects: a failure is in the state, and is retried.
  refresh() {
    this.#stale = true;
    this.#fetching ??= this.#fetchHead();
    this.#change();
    return this.#fetching;
  }

  // Adds a page of older items.
  async loadOlder() {
    if (!this.#next || this.#older) return;
    const turn = this.#turn;
    this.#older = true;
    this.#change();
    try {
      await this.#fetchOlder(turn);
    } finally {
      if (turn === this.#turn) this.#older = false;
      this.#change();
    }
  }

  setRead(id, read) {
    const marks = read ? { readAt: now(), seenAt: now() } : { readAt: null };
    return this.#mark(id, { read }, (item) => (Boolean(item.readAt) === read ? item : { ...item, ...marks }));
  }

  setArchived(id, archived) {
    const archivedAt = archived ? now() : null;
    return this.#mark(id, { archived }, (item) => (Boolean(item.archivedAt) === archived ? item : { ...item, archivedAt }));
  }

  // Marks all items as read that are shown or older. Items that arrive in the meantime stay unread.
  readAll() {
    return this.#markAll("/inbox/read-all", ["readAt", "seenAt"]);
  }

  // Marks the shown items as seen. They stay unread.
  seen() {
    return this.#markAll("/inbox/seen", ["seenAt"]);
  }

  #look() {
    let items = [...this.#base.values()].map(({ item }) => item);
    let counts = this.#counts.value;
    for (const change of this.#changes) [items, counts] = change.apply(items, counts);
    items = items.filter(VIEWS[this.#view]).sort(newestFirst);
    return Object.freeze({
      view: this.#view,
      items: Object.freeze(items),
      counts: Object.freeze({ ...counts, badge: counts.unread < CAP ? String(counts.unread) : `${CAP - 1}+` }),
      loading: !this.#loaded,
      more: this.#next !== null,
      loadingOlder: this.#older,
      online: navigator.onLine,
      live: this.#live.up,
      problem: this.#problem,
    });
  }

  // Listeners are called once for all changes of the same task.
  #change() {
    this.#state = null;
    if (this.#telling) return;
    this.#telling = true;
    queueMicrotask(() => {
      this.#telling = false;
      this.dispatchEvent(new Event("change"));
    });
  }

  // Only one read of the head is running at a time, and only the latest one counts.
  async #fetchHead() {
    const turn = this.#turn;
    while (this.#stale) {
      this.#stale = false;
      const since = this.#now;
      // An older page may be added in the meantime. Items that were added one by one are dropped if there are too many.
      const shown = () => Math.min(this.#isFull() ? this.#loadedItems : Math.max(this.state.items.length, PAGE), MAX_KEPT);
      const limit = Math.min(shown(), MAX_PAGE);
      try {
        let page = await call(this.#url("/inbox", { status: this.#view, limit }));
        while (turn === this.#turn && page.next && page.items.length < shown()) {
          const more = await call(this.#url("/inbox", { status: this.#view, limit, cursor: page.next }));
          page = { ...more, asOf: page.asOf, items: [...page.items, ...more.items] };
        }
        if (turn !== this.#turn) return;
        this.#takeHead(page, since);
        this.#change();
        this.#failures = 0;
        this.#problem = null;
      } catch (problem) {
        if (turn !== this.#turn) return;
        this.#failures += 1;
        this.#problem = problem;
        break;
      }
    }
    this.#fetching = null;
    this.#plan();
    this.#change();
  }

  // What was received while the page was loading is newer than the page.
  #takeHead(page, since) {
    const newest = this.#newest;
    const newer = [...this.#base].filter(([, { at }]) => at > since);
    this.#base = new Map([...page.items.map((item) => [item.id, { item, at: since }]), ...newer]);
    if (this.#counts.at <= since) this.#counts = { value: page.counts, at: since };
    this.#asOf = page.asOf;
    const read = new Set(page.items.map(({ id }) => id));
    this.#since = new Set([...this.#since].filter((id) => this.#base.has(id) && !read.has(id)));
    this.#takeEnd(page);
    const follows = this.#loaded;
    this.#loaded = true;
    this.#fetchedAt = Date.now();
    for (const item of page.items) {
      if (this.#know(item) && follows && Date.parse(item.createdAt) >= newest && isUnseen(item)) this.#tellOf(item);
    }
  }

  #takeEnd(page) {
    this.#next = page.next;
    this.#end = page.next ? page.items.at(-1).id : "";
  }

  async #fetchOlder(turn) {
    for (let fresh = false; this.#next; ) {
      const [next, since] = [this.#next, this.#now];
      try {
        const page = await call(this.#url("/inbox", { status: this.#view, limit: PAGE, cursor: next }));
        if (turn !== this.#turn) return;
        // The head was read again in the meantime, so the page may not fit the list.
        if (next !== this.#next) continue;
        for (const item of page.items) {
          if (!this.#base.has(item.id)) this.#base.set(item.id, { item, at: since });
          this.#know(item);
        }
        this.#takeEnd(page);
        this.#loadedItems = this.#base.size;
        return;
      } catch (problem) {
        if (turn !== this.#turn) return;
        // The server does not accept the cursor, after an upgrade for example: the head has a new one.
        if (problem.code !== "invalid-cursor" || fresh) throw problem;
        fresh = true;
        await this.refresh();
        if (this.#problem) throw this.#problem;
      }
    }
  }

  #mark(id, body, apply) {
    return this.#write({
      of: id,
      reads: body.read,
      send: () => call(this.#url(`/inbox/${encodeURIComponent(id)}`), "PATCH", body),
      apply: (items, counts) => {
        const old = items.find((item) => item.id === id);
        if (!old) return [items, counts];
        const item = apply(old);
        const moved = (count, is) => (count >= CAP ? count : Math.max(0, count + is(item) - is(old)));
        return [
          items.map((it) => (it === old ? item : it)),
          { unread: moved(counts.unread, isUnread), unseen: moved(counts.unseen, isUnseen), total: moved(counts.total, VIEWS.all) },
        ];
      },
    });
  }

  async #markAll(path, marks) {
    const shown = new Set(this.state.items.map(({ id }) => id));
    if (!shown.size || !this.#asOf || this.#view === "archived") return;
    const at = now();
    const marked = (item) => (!shown.has(item.id) || item.archivedAt ? item : { ...item, ...Object.fromEntries(marks.map((mark) => [mark, item[mark] ?? at])) });
    const apply = (items, counts) => {
      // Older items that are not loaded are marked too; only items that arrived since are left.
      const left = (is) => items.filter((item) => !shown.has(item.id) && is(item)).length;
      const unread = marks.includes("readAt") ? left(isUnread) : counts.unread;
      return [items.map(marked), { ...counts, unread, unseen: left(isUnseen) }];
    };
    const body = { asOf: this.#asOf, since: [...this.#since].filter((id) => shown.has(id)).slice(-MAX_NAMED), ...this.#part };
    await this.#write({ of: ALL, reads: true, send: () => call(this.#src + path, "POST", body), apply });
    for (const { item } of [...this.#base.values()]) this.#learn(marked(item));
    this.#change();
    // With a live stream the server sends the changes.
    if (!this.#live.up && marks.includes("readAt")) this.refresh();
  }

  // Shows a change at once, and undoes it if the server refuses it. The request is sent at once, because a click may leave the
  // page. Only where the order matters it waits for earlier changes, so that the user's last change wins, and at most until the
  // page is left.
  async #write(change) {
    const before = this.#changes.filter((other) => inOrder(other, change));
    for (const other of this.#changes) other.overlaps = change.overlaps = true;
    this.#changes.push(change);
    this.#change();
    const turn = Promise.race([Promise.all(before.map(({ done }) => done)), this.#leaving.promise]);
    const answer = before.length ? turn.then(change.send) : change.send();
    change.done = answer.catch(() => {});
    try {
      const { item, counts } = await answer;
      if (item) this.#learn(item);
      // The counts of overlapping answers may lack a change: they are requested again after the last answer.
      this.#learnCounts(change.overlaps ? change.apply([...this.#base.values()].map((it) => it.item), this.#counts.value)[1] : counts);
    } finally {
      this.#changes.splice(this.#changes.indexOf(change), 1);
      if (change.overlaps && !this.#changes.length) this.#recount();
      this.#change();
    }
  }

  // Without an answer the counts stay as they are until the next read.
  async #recount() {
    const since = this.#now;
    const value = await call(this.#url("/inbox/counts")).catch(() => null);
    if (!value || this.#counts.at > since) return;
    this.#counts = { value, at: since };
    this.#change();
  }

  #learn(item) {
    this.#now += 1;
    // An item beyond the last loaded page is loaded with its own page.
    if (!this.#base.has(item.id) && item.id < this.#end) return;
    if (!this.#base.has(item.id) && this.#isFull()) this.#lookAgain();
    else {
      if (!this.#base.has(item.id)) this.#since.add(item.id);
      this.#base.set(item.id, { item, at: this.#now });
    }
  }

  #isFull() {
    return this.#base.size >= this.#loadedItems + MAX_JOINED;
  }

  #learnCounts(value) {
    this.#now += 1;
    this.#counts = { value, at: this.#now };
  }

  #hear(type, data) {
    if (type === "counts") this.#learnCounts(data);
    else if (type === "up" || type === "reset") this.#lookAgain();
    else if (type === "created" || type === "updated") {
      this.#learn(data);
      if (this.#know(data) && type === "created") this.#tellOf(data);
    }
    this.#plan();
    this.#change();
  }

  // Whether the item is new to this page. The newest time is of the database's clock, because many machines make ids.
  #know({ id, createdAt }) {
    const isNew = !this.#known.has(id);
    this.#known.add(id);
    if (this.#known.size > MAX_KNOWN) this.#known.delete(this.#known.values().next().value);
    this.#newest = Math.max(this.#newest, Date.parse(createdAt));
    return isNew;
  }

  #tellOf(item) {
    this.dispatchEvent(new CustomEvent("created", { detail: item }));
  }

  // A hidden page waits until it is visible.
  #lookAgain() {
    this.#stale = true;
    if (!document.hidden) this.refresh();
  }

  // Schedules the next read: after failures with growing pauses, without a live connection every now and then, with one not at
  // all.
  #plan() {
    clearTimeout(this.#timer);
    if (!this.#started || !navigator.onLine || this.#fetching) return;
    const wait = this.#failures ? Math.max(this.#problem?.retryAfter ?? 0, backOff(this.#failures)) : POLL_EVERY * (0.75 + Math.random() / 2);
    if (this.#failures || !this.#live.up) this.#timer = setTimeout(() => this.#lookAgain(), wait);
  }

  #onPage = ({ type, persisted }) => {
    if (type === "pagehide") {
      const { resolve } = this.#leaving;
      this.#leaving = Promise.withResolvers();
      resolve();
      this.#live.stop();
    }
    if (type === "pageshow" && persisted) this.#live.start();
    // A stream that was open reconnects, and its first event leads to a read.
    const returned = (type === "online" && !this.#live.up) || (type === "pageshow" && persisted);
    const longAgo = Date.now() - this.#fetchedAt > FRESH_FOR;
    if (returned || (type === "visibilitychange" && !document.hidden && (this.#stale || longAgo))) this.#lookAgain();
    this.#change();
  };

  #url(path, query) {
    const url = new URL(this.#src + path);
    url.search = new URLSearchParams({ ...this.#part, ...query });
    return url.href;
  }
}

// With `keepalive` a change is sent even if the page is left in the meantime.
async function call(url, method = "GET", body) {
  let response;
  try {
    response = await fetch(url, {
      method,
      headers: { Accept: "application/json", ...(body && { "Content-Type": "application/json" }) },
      body: body && JSON.stringify(body),
      keepalive: Boolean(body),
      redirect: "manual",
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
  } catch {
    throw new Problem("no-answer", "the server does not answer");
  }
  const json = await response.json().catch(() => null);
  if (response.ok && json) return json;
  // A host may redirect users who are not signed in; a redirect has no status here.
  const code = [401, 0].includes(response.status) ? "signed-out" : (json?.type?.split(":").pop() ?? "unknown");
  const retryAfter = Number(response.headers.get("Retry-After")) * 1000 || 0;
  throw new Problem(code, json?.detail ?? `the server answered ${response.status}`, response.status, retryAfter);
}
