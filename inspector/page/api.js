// Calls the API. A problem of the server, or of the way there, is thrown as a `Problem`.

const KEY = "campanile-token";

// The token is in the fragment, which is never sent, and is removed from the address bar at once.
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem(KEY, given);
  history.replaceState(null, "", location.pathname);
}

export class Problem extends Error {
  constructor(code, detail, status = 0) {
    super(detail);
    this.code = code;
    this.status = status;
  }
}

export async function call(method, path, body) {
  const headers = {};
  const token = sessionStorage.getItem(KEY);
  if (token) headers["X-Campanile-Token"] = token;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  } catch {
    throw new Problem("NO_ANSWER", "The inspector does not answer. Is it still running?");
  }
  const json = await response.json().catch(() => ({}));
  if (response.ok) return json;
  const detail = response.status === 401
    ? "Open the whole address that was printed at the start: it holds the token."
    : json.detail ?? response.statusText;
  throw new Problem(json.code ?? "UNKNOWN", detail, response.status);
}

// A component, a frame and an `EventSource` cannot send the header: every answer to a call with the token sets a cookie for them.
export const read = (path) => call("GET", path);

// The path of a person's inbox and preferences, and of the scripts and the page that show them.
export const as = (id, what = "") => `/as/${encodeURIComponent(id)}${what && `/${what}`}`;
