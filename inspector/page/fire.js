// The buttons: once, five in a row, five at once, or only the explanation.

import { call } from "./api.js";
import { byId, say } from "./dom.js";
import * as events from "./events.js";
import * as result from "./result.js";

const MANY = 5;

const inARow = async (request) => {
  const reports = [];
  for (let i = 0; i < MANY; i += 1) reports.push(await dispatch(request));
  return reports;
};

const atOnce = (request) => Promise.all(Array.from({ length: MANY }, () => dispatch(request)));

const once = async (request) => [await dispatch(request)];

const dispatch = (request) => call("POST", "/api/dispatch", request);

export function build(refresh) {
  let busy = false;
  const run = (act) => async (event) => {
    event.preventDefault();
    if (busy) return;
    const request = events.request();
    if (!request) {
      say("The payload is not valid JSON.", "bad");
      return;
    }
    busy = true;
    byId("result").setAttribute("aria-busy", "true");
    try {
      say(...await act(request));
    } catch (problem) {
      result.showProblem(problem);
      say(problem.message, "bad");
    } finally {
      busy = false;
      byId("result").removeAttribute("aria-busy");
    }
    await refresh();
  };

  // The explanation comes first: it is the plan that the dispatch then executes.
  const fire = (how, title) => run(async (request) => {
    const explanation = await call("POST", "/api/explain", request);
    return result.showReports(title, explanation, await how(request));
  });

  byId("fire-form").addEventListener("submit", fire(once, "one dispatch"));
  byId("fire-row").addEventListener("click", fire(inARow, "five dispatches, one after the other"));
  byId("fire-burst").addEventListener("click", fire(atOnce, "five dispatches at once"));
  byId("explain").addEventListener("click", run(async (request) =>
    result.showExplanation(await call("POST", "/api/explain", request))));
}
