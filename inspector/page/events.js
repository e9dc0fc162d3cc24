// The form: which event, to whom, about what, with which payload. It holds the drafts and checks the JSON.

import { byId, duration, el } from "./dom.js";

const drafts = new Map();
let events = [];

const chosen = () => events.find((event) => byId("fire-form").elements.event.value === event.eventType);

export function build(allEvents, people, names) {
  // Events without a critical channel first, because they are the simplest to start with.
  events = allEvents.toSorted((left, right) => Boolean(left.criticalChannel) - Boolean(right.criticalChannel));
  byId("events").append(...events.map(choice));
  byId("recipients").append(...people.map(check));
  for (const { eventType, example } of events) drafts.set(eventType, draft(example));
  byId("events").addEventListener("change", load);
  byId("subject").addEventListener("input", save);
  byId("payload").addEventListener("input", () => { save(); validate(); });
  byId("reset").addEventListener("click", () => {
    const event = chosen();
    drafts.set(event.eventType, draft(event.example));
    load();
  });
  for (const id of events[0]?.example.recipientUserIds ?? []) {
    const box = byId("recipients").querySelector(`[value="${CSS.escape(id)}"]`);
    if (box) box.checked = names.has(id);
  }
  load();
}

// The request that the form describes, or `undefined`, with the focus on the invalid payload.
export function request() {
  const payload = validate();
  if (payload === undefined) {
    byId("payload").focus();
    return undefined;
  }
  const { eventType, example } = chosen();
  const recipients = [...byId("recipients").querySelectorAll(":checked")].map((box) => box.value);
  const subject = byId("subject").value.trim();
  return {
    type: eventType,
    recipientUserIds: recipients,
    subjectId: subject === "" ? null : subject,
    orgId: example.orgId,
    payload,
  };
}

const draft = (example) => ({
  subject: example.subjectId,
  payload: JSON.stringify(example.payload, null, 2),
});

function choice(event, index) {
  const tags = event.channels.map((channel) =>
    el("span", { class: "tag" }, channel === event.criticalChannel ? `${channel}, critical` : channel));
  if (event.expiresAfterSeconds !== null) {
    tags.push(el("span", { class: "tag" }, `expires after ${duration(event.expiresAfterSeconds)}`));
  }
  return el("label", { class: "choice" },
    el("input", { type: "radio", name: "event", value: event.eventType, checked: index === 0 }),
    el("span", { class: "choice-name" }, event.eventType),
    el("span", { class: "choice-text" }, event.description),
    el("span", { class: "tags" }, el("span", { class: "tag category" }, event.category), ...tags));
}

const check = ({ id, name }) =>
  el("label", { class: "check" }, el("input", { type: "checkbox", value: id }), el("span", {}, name));

function load() {
  const { eventType, dedup } = chosen();
  const { subject, payload } = drafts.get(eventType);
  byId("subject").value = subject;
  byId("payload").value = payload;
  byId("payload").rows = payload.split("\n").length;
  byId("subject-hint").textContent =
    `What the event is about. Within ${duration(dedup.windowSeconds)} a second event with the same ${dedup.by.join(" and ")} is a repeat.`;
  validate();
}

function save() {
  drafts.set(chosen().eventType, { subject: byId("subject").value, payload: byId("payload").value });
}

function validate() {
  const [field, problem] = [byId("payload"), byId("payload-problem")];
  let payload;
  let mistake = "";
  try {
    payload = JSON.parse(field.value);
    if (typeof payload !== "object" || payload === null || Array.isArray(payload)) {
      mistake = "The payload is a JSON object: { .. }";
    }
  } catch (error) {
    mistake = `This is not JSON yet: ${error.message}`;
  }
  field.setAttribute("aria-invalid", String(mistake !== ""));
  problem.hidden = mistake === "";
  problem.textContent = mistake;
  return mistake === "" ? payload : undefined;
}
