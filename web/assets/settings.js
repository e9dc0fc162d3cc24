// The settings page with JavaScript: a switch turns at once and is saved in the background; if that fails, it turns back.

const REQUEST_TIMEOUT_MS = 10_000;
const SEEN = 10_000;

const table = document.getElementById("matrix");
const words = table.dataset;
const forms = new Map([...table.querySelectorAll("form")].map((form) => [key(valuesOf(form)), form]));

// The position of each switch on the server, and the position that is being saved.
const saved = new Map([...forms.values()].map((form) => [form, isOn(form)]));
const wanted = new Map();

class Refusal extends Error {
  constructor(why, stale = false) {
    super(why);
    this.stale = stale;
  }
}

let version = forms.values().next().value?.elements.version.value;
let queue = Promise.resolve();
let fading;

table.addEventListener("submit", (event) => {
  event.preventDefault();
  turn(event.target);
});

table.addEventListener("click", (event) => {
  const locked = event.target.closest("[aria-disabled=true]");
  if (locked) say(whyLocked(locked), "warm");
});

// When the user navigates back, the browser shows the page as it was left.
addEventListener("pageshow", (event) => {
  if (event.persisted) queue = queue.then(() => ask("GET")).then(learn, () => {});
});

document.documentElement.dataset.ready = "true";

function key({ category, channel }) {
  return JSON.stringify([category, channel]);
}

function valuesOf(form) {
  return { category: form.elements.category.value, channel: form.elements.channel.value };
}

function switchOf(form) {
  return form.querySelector("[role=switch]");
}

function isOn(form) {
  return switchOf(form).getAttribute("aria-checked") === "true";
}

function turn(form) {
  const turned = { on: !isOn(form) };
  wanted.set(form, turned);
  for (const note of table.querySelectorAll(".note")) note.textContent = "";
  show(form);
  // Changes are sent one after the other, because each one names the version that the previous one made.
  queue = queue.then(() => save(form, turned));
}

async function save(form, turned) {
  let why = "";
  try {
    learn(await ask("PATCH", { ...valuesOf(form), enabled: turned.on }));
  } catch (error) {
    why = error instanceof Refusal ? error.message : words.wrong;
    if (error.stale) await ask("GET").then(learn, () => {});
  }
  // The switch was turned again in the meantime; that change reports its own result.
  if (wanted.get(form) !== turned) return;
  wanted.delete(form);
  show(form);
  tell(form, why);
}

function tell(form, why) {
  const name = switchOf(form).getAttribute("aria-label");
  const now = (isOn(form) ? words.on : words.off).replace("{switch}", () => name);
  form.querySelector(".note").textContent = why ? words.failed : words.saved;
  form.dataset.tone = why ? "bad" : "good";
  if (why) say(`${words.failed}. ${why} ${now}`, "bad");
  else say(`${words.saved}. ${now}`, "good");
}

// Takes over the server's preferences; a switch that is being saved stays as it was turned.
function learn({ etag, preferences }) {
  version = etag;
  for (const { category, channels } of preferences.categories) {
    for (const { channel, enabled } of channels) {
      const form = forms.get(key({ category, channel }));
      if (form) saved.set(form, enabled);
    }
  }
  for (const form of forms.values()) show(form);
}

function show(form) {
  const on = wanted.get(form)?.on ?? saved.get(form);
  switchOf(form).setAttribute("aria-checked", String(on));
  // Keeps the form's hidden fields correct, for a submit without this script.
  form.elements.enabled.value = String(!on);
  form.elements.version.value = version;
}

async function ask(method, change) {
  const headers = change ? { "Content-Type": "application/json", "If-Match": `"${version}"` } : {};
  const body = change && JSON.stringify(change);
  let answer;
  try {
    answer = await fetch(new URL("preferences", import.meta.url), {
      method, headers, body, redirect: "manual", signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    if (answer.ok) {
      // A proxy that compresses makes the ETag weak; the version is the same.
      const etag = answer.headers.get("ETag").replace(/^W\/|"/g, "");
      return { etag, preferences: await answer.json() };
    }
  } catch {
    throw new Refusal(words.unreachable);
  }
  // A host may redirect users who are not signed in.
  if (answer.type === "opaqueredirect" || answer.status === 401) throw new Refusal(words.signedOut);
  if (answer.status === 412) throw new Refusal(words.changed, true);
  throw new Refusal(words.wrong);
}

function whyLocked(button) {
  const ids = button.getAttribute("aria-describedby").split(" ");
  return ids.map((id) => document.getElementById(id).textContent).join(" ").trim();
}

function say(text, tone) {
  const status = document.getElementById("status");
  clearTimeout(fading);
  status.dataset.tone = tone;
  status.textContent = text;
  if (tone !== "bad") fading = setTimeout(() => { status.textContent = ""; }, SEEN);
}
