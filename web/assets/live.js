// The live connection: one stream of events for all pages of a person, and at most two for all pages of an origin, to which a
// browser opens six connections over http/1.1. Only a visible page has a stream. The pages coordinate over a `BroadcastChannel`:
// a page with a stream announces it repeatedly, and the page that had one first keeps it. In a browser without such a channel
// each visible page has its own stream.

const MAX_WAIT = 60_000;
const MIN_WAIT = 250;
// A stream begins with the counts; behind a proxy that buffers it they never arrive.
const FIRST_EVENT_WITHIN = 10_000;
// A stream that ends sooner counts as a failure.
const STEADY_AFTER = 30_000;
const EVENTS = ["counts", "created", "updated", "reset", "heartbeat"];
const MAX_STREAMS = 2;
// How soon other pages answer, how often a page announces its stream, and after how long a silent page is dropped.
const ANSWER_WITHIN = 150;
const REPEAT_EVERY = 2_000;
const SILENT_AFTER = 7_000;

// How long to wait after so many failures: a random time whose maximum doubles, so that tabs do not all reconnect at once.
export function backOff(failures) {
  return MIN_WAIT + Math.random() * Math.min(MAX_WAIT, 1_000 * 2 ** failures);
}

export class Live {
  // Whether events arrive.
  up = false;
  #url;
  #name;
  #tell;
  #id = Math.random().toString(36).slice(2);
  // The channels of all pages of the origin, and of the pages of one person.
  #pages = null;
  #channel = null;
  // The other pages that have a stream: id -> { id, name, since, up, heard }.
  #others = new Map();
  // When this page took a stream; 0 without one.
  #since = 0;
  #source = null;
  #ending = null;
  #failures = 0;
  #upSince = 0;
  #heartbeat = 0;
  #turn;
  #timer;

  // Pages with the same `name` share a stream, pages without one do not. `tell` is called with "up" when events begin to arrive
  // (and something may have been missed), with "down" when they stop, and with each event: "counts", "created", "updated",
  // "reset".
  constructor(url, name, tell) {
    this.#url = url;
    this.#name = name;
    this.#tell = tell;
  }

  start() {
    this.#ending = new AbortController();
    const { signal } = this.#ending;
    document.addEventListener("visibilitychange", () => this.#begin(), { signal });
    window.addEventListener("online", () => this.#source && this.#connect(), { signal });
    if (window.BroadcastChannel) {
      this.#pages = new BroadcastChannel(`campanile ${new URL(this.#url).origin}`);
      this.#pages.onmessage = ({ data }) => this.#meet(data);
      if (this.#name) {
        this.#channel = new BroadcastChannel(this.#name);
        this.#channel.onmessage = ({ data: [type, data] }) => this.#tell(type, data);
      }
    }
    this.#begin();
  }

  stop() {
    this.#ending?.abort();
    clearTimeout(this.#turn);
    this.#release();
    this.#pages?.close();
    this.#channel?.close();
    this.#pages = this.#channel = null;
    this.#others.clear();
    this.up = false;
  }

  // The page became visible or hidden.
  #begin() {
    clearTimeout(this.#turn);
    if (document.hidden) {
      this.#release();
      return;
    }
    this.#pages?.postMessage({ type: "ask" });
    this.#turn = setTimeout(() => this.#look(), this.#pages ? ANSWER_WITHIN : 0);
  }

  #look() {
    this.#turn = setTimeout(() => this.#look(), REPEAT_EVERY);
    for (const { id, heard } of this.#others.values()) if (performance.now() - heard > SILENT_AFTER) this.#others.delete(id);
    this.#settle();
    this.#say();
  }

  // Another page asks who has a stream, announces its own, or has released it.
  #meet({ type, ...other }) {
    if (type === "ask") this.#say();
    if (type === "have") this.#others.set(other.id, { ...other, heard: performance.now() });
    if (type === "free" && this.#others.delete(other.id) && !document.hidden) {
      clearTimeout(this.#turn);
      this.#turn = setTimeout(() => this.#look(), Math.random() * ANSWER_WITHIN);
    }
    if (this.#since) this.#settle();
    else this.#follow();
  }

  // Decides which pages have a stream; every page comes to the same decision.
  #settle() {
    const isFirst = ({ id, since }) => !this.#since || since < this.#since || (since === this.#since && id < this.#id);
    const first = [...this.#others.values()].filter(isFirst);
    const isTaken = first.length >= MAX_STREAMS || first.some((other) => this.#isMine(other));
    if (isTaken) this.#release();
    else if (!this.#since) this.#take();
    if (!this.#since) this.#follow();
  }

  #isMine({ name }) {
    return this.#name && name === this.#name;
  }

  // A page without a stream is live if the page whose events it receives is.
  #follow() {
    const up = [...this.#others.values()].some((other) => this.#isMine(other) && other.up);
    if (up !== this.up) this.#turnTo(up);
  }

  // Waits before it connects, because another page may have taken a stream at the same moment.
  #take() {
    this.#since = Date.now();
    this.#timer = setTimeout(() => this.#connect(), this.#pages ? ANSWER_WITHIN : 0);
  }

  #release() {
    if (!this.#since) return;
    this.#since = 0;
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
    this.#pages?.postMessage({ type: "free", id: this.#id });
    if (this.up) this.#turnTo(false);
  }

  #say() {
    if (this.#since) this.#pages?.postMessage({ type: "have", id: this.#id, name: this.#name, since: this.#since, up: this.up });
  }

  #turnTo(up) {
    this.up = up;
    this.#say();
    this.#tell(up ? "up" : "down");
  }

  // Replaces the stream, if there is one.
  #connect() {
    if (this.up) this.#turnTo(false);
    this.#upSince = this.#heartbeat = 0;
    clearTimeout(this.#timer);
    this.#source?.close();
    const source = new EventSource(this.#url);
    this.#source = source;
    this.#timer = setTimeout(() => this.#lose(source), FIRST_EVENT_WITHIN);
    source.onerror = () => this.#lose(source);
    for (const type of EVENTS) source.addEventListener(type, ({ data }) => this.#arrive(source, type, JSON.parse(data)));
  }

  #arrive(source, type, data) {
    if (source !== this.#source) return;
    if (!this.up) {
      this.#upSince = Date.now();
      this.#turnTo(true);
    }
    // A stream that broke without an error, for example because the computer slept, is detected by missing heartbeats.
    if (type === "heartbeat") this.#heartbeat = data.everyMs;
    clearTimeout(this.#timer);
    if (this.#heartbeat) this.#timer = setTimeout(() => this.#lose(source), 2 * this.#heartbeat);
    if (type === "heartbeat") return;
    this.#channel?.postMessage([type, data]);
    this.#tell(type, data);
  }

  // The browser would reconnect on its own, but not after an answer that is not a stream, and all tabs at once.
  #lose(source) {
    if (source !== this.#source) return;
    source.close();
    clearTimeout(this.#timer);
    this.#failures = this.#upSince && Date.now() - this.#upSince > STEADY_AFTER ? 0 : this.#failures + 1;
    if (this.up) this.#turnTo(false);
    this.#timer = setTimeout(() => this.#connect(), backOff(this.#failures));
  }
}
