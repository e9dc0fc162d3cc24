// Makes elements. Text becomes text nodes only, so a payload is never parsed as markup.

export const byId = (id) => document.getElementById(id);

// el("li", { class: "row", onclick: f, hidden: true }, "text", child, null)
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null));
  return element;
}

const painted = new WeakMap();

// Fills a container, unless it shows the same data already. The focus stays on the element of the same `data-key`, or
// goes to the container.
export function paint(container, data, build) {
  const state = JSON.stringify(data);
  if (painted.get(container) === state) return;
  painted.set(container, state);
  const inside = container.contains(document.activeElement) && document.activeElement !== container;
  const key = inside ? document.activeElement.dataset.key : undefined;
  container.replaceChildren(...[build(data)].flat());
  if (!inside) return;
  const again = key && [...container.querySelectorAll("[data-key]")].find((it) => it.dataset.key === key);
  (again || container).focus();
}

const SEEN = 10_000;

let fading;

// Shows a message at the bottom of the page, which screen readers announce. An error stays until the next message.
export function say(text, tone = "good") {
  const status = byId("status");
  clearTimeout(fading);
  status.dataset.tone = tone;
  status.textContent = text;
  if (tone !== "bad") fading = setTimeout(() => { status.textContent = ""; }, SEEN);
}

export const empty = (text) => el("p", { class: "empty" }, text);

export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

const UNITS = [["day", 86_400], ["hour", 3_600], ["minute", 60]];

// A duration in the largest unit that divides it evenly: "1 day", "90 seconds".
export function duration(seconds) {
  const [unit, length] = UNITS.find(([, length]) => seconds > 0 && seconds % length === 0) ?? ["second", 1];
  return plural(seconds / length, unit);
}

const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

export const time = (text) => el("time", { datetime: text }, clock.format(new Date(text)));

// A switch is a button with two positions.
export function toggle({ key, label, on, ...data }, act) {
  const attributes = {
    type: "button",
    class: "toggle",
    role: "switch",
    "aria-checked": String(on),
    "aria-label": label,
    "data-key": key,
    onclick: act,
  };
  for (const [name, value] of Object.entries(data)) attributes[`data-${name}`] = value;
  return el("button", attributes, el("span", { class: "knob", "aria-hidden": "true" }));
}
