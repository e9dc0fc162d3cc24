// One person's inbox, kept up to date: its items, its counts, and what the person does with them. It draws nothing;
// `bell.js` is one way to show it.
//
//   const inbox = new Inbox({ src: "/notifications" });
//   const stop = inbox.subscribe((state) => draw(state));
//   inbox.start();

import { Live, backOff } from "./live.js";

const PAGE = 20;
const MAX_PAGE = 100;
// What a list keeps that is read again, what may join it before that, and of how many ids it is known that they were told of: a page
// may be open for weeks.
const MAX_KEPT = 500;
const MAX_JOINED = 50;
const MAX_KNOWN = 1_000;
// The server takes no more ids.
const MAX_NAMED = 100;
// The server counts no further.
const CAP = 100;
const ANSWER_WITHIN = 15_000;
const LOOK_EVERY = 20_000;
const FRESH_FOR = 60_000;

// What the server, or the way to it, had against a request. `code` is the end of the problem's type, or "no-answer".
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

// Whether two changes must reach the server in the order in which they were made: those of one item, or of it and of `ALL`. Two
// that mark as read need no order.
const ALL = "*";
const inOrder = (one, other) => (one.of === other.of || [one.of, other.of].includes(ALL)) && !(one.reads && other.reads);

const isUnread = VIEWS.unread;
const isUnseen = (item) => isUnread(item) && !item.seenAt;

// The feed's own order: ids tell the time.
const newestFirst = (one, other) => (one.id < other.id ? 1 : -1);

// Where a click may lead, or null: what the server lets through is looked at once more before it is put into a page.
// A path stays on this origin, whatever `<base>` the page has.
export function safeLink(text) {
  if (typeof text !== "string" || !/^(\/(?![/\\])|https?:\/\/|mailto:)/i.test(text) || !URL.canParse(text, location.origin)) return null;
  const url = new URL(text, location.origin);
  if (!["https:", "http:", "mailto:"].includes(url.protocol) || url.username || url.password) return null;
  return text[0] === "/" && url.origin !== location.origin ? null : url.href;
}

export class Inbox extends EventTarget {
  #src;
  // The organization, if there is one, as requests name it.
  #part;
  #live;
  #state = null;
  #telling = false;
  #view = "all";
  // What the server said: id -> { item, at }, where `at` is when it was learnt.
  #base = new Map();
  #counts = { value: { unread: 0, unseen: 0, total: 0 }, at: 0 };
  #now = 0;
  // When the head was read, as the server says it, and which items joined the list since.
  #asOf = "";
  #since = new Set();
  // How many items the person asked for.
  #loadedItems = PAGE;
  // The cursor of what is older than `#end`, the last item that was loaded.
  #next = null;
  #end = "";
  // What the person did and the server has not answered yet.
  #changes = [];
  // Resolved when the page goes.
  #leaving = Promise.withResolvers();
  #known = new Set();
  #newest = 0;
  #loaded = false;
  #older = false;
  #problem = null;
  #started = false;
  // A head that was asked for before the turn is not taken after it.
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

  // All there is to show. It is the same object until something changes.
  get state() {
    this.#state ??= this.#look();
    return this.#state;
  }

  // Calls back after every change, with the state. Gives the function that ends it.
  subscribe(listener) {
    const tell = () => listener(this.state);
    this.addEventListener("change", tell);
    return () => this.removeEventListener("change", tell);
  }

  // Loads the head and follows what happens.
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

  // Reads the head again, with as many items as are shown. It never rejects: a failure is in the state, and is tried again.
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

  // Marks all as read that is shown, or older: what arrives meanwhile stays unread.
  readAll() {
    return this.#markAll("/inbox/read-all", ["readAt", "seenAt"]);
  }

  // The person has the list before them. What was seen stays unread.
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

  // Listeners hear of it once, when all that belongs together has happened.
  #change() {
    this.#state = null;
    if (this.#telling) return;
    this.#telling = true;
    queueMicrotask(() => {
      this.#telling = false;
      this.dispatchEvent(new Event("change"));
    });
  }

  // Only the latest look counts, and one is under way at a time.
  async #fetchHead() {
    const turn = this.#turn;
    while (this.#stale) {
      this.#stale = false;
      const since = this.#now;
      // An older page may join the list meanwhile. What came one by one goes again when it is too much.
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

  // What was learnt while the page was on its way is newer than the page.
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
        // The list began anew meanwhile: the page may not join it.
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
        // The server was started anew with another key: the head has a cursor that fits.
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
      // What is older and not loaded is marked too: what is left came since.
      const left = (is) => items.filter((item) => !shown.has(item.id) && is(item)).length;
      const unread = marks.includes("readAt") ? left(isUnread) : counts.unread;
      return [items.map(marked), { ...counts, unread, unseen: left(isUnseen) }];
    };
    const body = { asOf: this.#asOf, since: [...this.#since].filter((id) => shown.has(id)).slice(-MAX_NAMED), ...this.#part };
    await this.#write({ of: ALL, reads: true, send: () => call(this.#src + path, "POST", body), apply });
    for (const { item } of [...this.#base.values()]) this.#learn(marked(item));
    this.#change();
    // The stream says by itself that there is more to see anew.
    if (!this.#live.up && marks.includes("readAt")) this.refresh();
  }

  // Shows a change at once, and takes it back when the server refuses it. It is sent at once: a click may end the page. Only where
  // the order matters it waits for those before it, so that the person's last word is the server's too; and never longer than the
  // page lives.
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
      // Counts of answers that crossed each other may lack a change: they are asked for once all of them are there.
      this.#learnCounts(change.overlaps ? change.apply([...this.#base.values()].map((it) => it.item), this.#counts.value)[1] : counts);
    } finally {
      this.#changes.splice(this.#changes.indexOf(change), 1);
      if (change.overlaps && !this.#changes.length) this.#recount();
      this.#change();
    }
  }

  // Without an answer the counts stay as they are: the next look has them.
  async #recount() {
    const since = this.#now;
    const value = await call(this.#url("/inbox/counts")).catch(() => null);
    if (!value || this.#counts.at > since) return;
    this.#counts = { value, at: since };
    this.#change();
  }

  #learn(item) {
    this.#now += 1;
    // What lies beyond the last page is loaded with its own page.
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

  // Whether it is known for the first time. What is newest the database's clock says: ids are made by many.
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

  // A page that nobody looks at waits until somebody does.
  #lookAgain() {
    this.#stale = true;
    if (!document.hidden) this.refresh();
  }

  // When to look next: after a failure ever later, without the live connection every now and then, with it not at all.
  #plan() {
    clearTimeout(this.#timer);
    if (!this.#started || !navigator.onLine || this.#fetching) return;
    const wait = this.#failures ? Math.max(this.#problem?.retryAfter ?? 0, backOff(this.#failures)) : LOOK_EVERY * (0.75 + Math.random() / 2);
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
    // A stream that was there is made anew, and tells when to look.
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

// A change goes through although the page is left meanwhile.
async function call(url, method = "GET", body) {
  let response;
  try {
    response = await fetch(url, {
      method,
      headers: { Accept: "application/json", ...(body && { "Content-Type": "application/json" }) },
      body: body && JSON.stringify(body),
      keepalive: Boolean(body),
      redirect: "manual",
      signal: AbortSignal.timeout(ANSWER_WITHIN),
    });
  } catch {
    throw new Problem("no-answer", "the server does not answer");
  }
  const json = await response.json().catch(() => null);
  if (response.ok && json) return json;
  // A host sends those who are not signed in away in its own manner: no status.
  const code = [401, 0].includes(response.status) ? "signed-out" : (json?.type?.split(":").pop() ?? "unknown");
  const retryAfter = Number(response.headers.get("Retry-After")) * 1000 || 0;
  throw new Problem(code, json?.detail ?? `the server answered ${response.status}`, response.status, retryAfter);
}
