// The live connection: one stream of events for all tabs of an origin. The tab that holds the lock has the stream and
// passes on what it hears; when it is closed, another one takes over. Without a name, or where a browser cannot share, each tab
// has its own.

const LONGEST_WAIT = 60_000;
const SHORTEST_WAIT = 250;
// A stream begins with the counts; behind a proxy that holds it back they never come.
const FIRST_WORD_WITHIN = 10_000;
// A stream that ends sooner counts as a failure.
const STEADY_AFTER = 30_000;
const EVENTS = ["created", "updated", "reset"];

// How long to wait after so many failures: somewhere up to twice as long as before, so that tabs do not come back all at once.
export function backOff(failures) {
  return SHORTEST_WAIT + Math.random() * Math.min(LONGEST_WAIT, 1_000 * 2 ** failures);
}

export class Live {
  // Whether events arrive.
  up = false;
  #url;
  #name;
  #tell;
  #channel = null;
  #source = null;
  #ending = null;
  #failures = 0;
  #since = 0;
  #timer;

  // `tell` hears "up" when events begin to arrive (and something may have been missed), "down" when they cease, and each
  // event: "counts", "created", "updated", "reset".
  constructor(url, name, tell) {
    this.#url = url;
    this.#name = name;
    this.#tell = tell;
  }

  start() {
    this.#ending = new AbortController();
    const { signal } = this.#ending;
    if (!this.#name || !navigator.locks || !window.BroadcastChannel) {
      this.#lead(signal);
      return;
    }
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data: [type, data] }) => this.#hear(type, data);
    this.#channel.postMessage(["ask"]);
    const ended = new Promise((resolve) => signal.addEventListener("abort", resolve));
    const lead = () => {
      this.#lead(signal);
      return ended;
    };
    // Who stops waiting for the lock does so on purpose.
    navigator.locks.request(this.#name, { signal }, lead).catch(() => {});
  }

  stop() {
    this.#ending?.abort();
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
    this.#channel?.close();
    this.#channel = null;
    this.up = false;
  }

  #lead(signal) {
    if (signal.aborted) return;
    window.addEventListener("online", () => this.#connect(), { signal });
    this.#connect();
  }

  // Whatever stream there was before, here or in another tab, is no more.
  #connect() {
    if (this.up) this.#pass("down");
    this.#since = 0;
    clearTimeout(this.#timer);
    this.#source?.close();
    const source = new EventSource(this.#url);
    this.#source = source;
    this.#timer = setTimeout(() => this.#lose(source), FIRST_WORD_WITHIN);
    source.onerror = () => this.#lose(source);
    source.addEventListener("counts", ({ data }) => this.#arrive("counts", data));
    for (const type of EVENTS) source.addEventListener(type, ({ data }) => this.#arrive(type, data));
  }

  #arrive(type, text) {
    if (!this.#since) {
      clearTimeout(this.#timer);
      this.#since = Date.now();
      this.#pass("up");
    }
    this.#pass(type, JSON.parse(text));
  }

  // The browser would come back by itself, but not after an answer that is no stream, and all tabs at once.
  #lose(source) {
    if (source !== this.#source) return;
    source.close();
    clearTimeout(this.#timer);
    this.#failures = this.#since && Date.now() - this.#since > STEADY_AFTER ? 0 : this.#failures + 1;
    if (this.up) this.#pass("down");
    this.#timer = setTimeout(() => this.#connect(), backOff(this.#failures));
  }

  #pass(type, data) {
    this.#channel?.postMessage([type, data]);
    this.#hear(type, data);
  }

  #hear(type, data) {
    if (type === "ask") {
      if (this.#source && this.up) this.#channel.postMessage(["going"]);
      return;
    }
    if (type === "up" || type === "going") this.up = true;
    if (type === "down") this.up = false;
    this.#tell(type, data);
  }
}
