/** Sends POST ./preview, one request at a time. The token is kept only in a variable of this module. */

/** Used if the page has a path prefix: it is then behind a proxy, and the API server's consumes `Authorization`. */
const PROXIED_TOKEN_HEADER = "X-Model-Injector-Token";

/** Messages for responses without an error message, such as those of a proxy. */
const DEFAULT_MESSAGES = {
  401: "a token is needed",
  403: "the token's account lacks the permission to create pods",
  413: "the manifest is too large",
  429: "too many requests",
  503: "the webhook is unavailable; try again",
};

let token = null;
let pending = null;

/** A failed preview. The message is shown to the user. `status` is the HTTP status, or 0 without a response. */
export class NoPreview extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

/** Sets the token of later requests; null removes it. */
export function useToken(value) {
  token = value;
}

/** Whether a token is set. */
export function hasToken() {
  return token !== null;
}

/**
 * Returns the previews of a manifest's documents. Aborts a pending request, whose promise then resolves to null. Throws
 * NoPreview.
 */
export async function preview(manifest, namespace, mostBytes) {
  pending?.abort();
  const own = (pending = new AbortController());
  try {
    const body = new TextEncoder().encode(manifest);
    if (body.length > mostBytes) {
      throw new NoPreview(413, `the manifest has ${body.length} bytes; preview a part of at most ${mostBytes} bytes`);
    }
    const answer = await ask(body, namespace, own.signal);
    return own.signal.aborted ? null : answer;
  } catch (error) {
    if (own.signal.aborted) {
      return null;
    }
    throw error;
  } finally {
    if (pending === own) {
      pending = null;
    }
  }
}

async function ask(body, namespace, signal) {
  const headers = { Accept: "application/json", "Content-Type": "application/yaml" };
  if (token !== null && location.pathname === "/") {
    headers.Authorization = `Bearer ${token}`;
  } else if (token !== null) {
    headers[PROXIED_TOKEN_HEADER] = token;
  }
  const url = `./preview?${new URLSearchParams({ namespace })}`;
  const options = { method: "POST", headers, body, signal, cache: "no-store", credentials: "same-origin" };
  const [response, text] = await send(url, options);
  const content = parsed(text);
  if (!response.ok) {
    throw new NoPreview(response.status, errorMessage(response, content));
  }
  if (!Array.isArray(content?.documents)) {
    throw new NoPreview(response.status, "the response is not a preview; check whether a proxy replaced it");
  }
  return content.documents;
}

async function send(url, options) {
  try {
    const response = await fetch(url, options);
    return [response, await response.text()];
  } catch (error) {
    throw new NoPreview(0, `the webhook cannot be reached: ${error.message}`);
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function errorMessage(response, content) {
  if (typeof content?.error === "string") {
    return content.error;
  }
  const seconds = response.headers.get("Retry-After");
  const message = DEFAULT_MESSAGES[response.status] ?? `the webhook responded with HTTP ${response.status}`;
  return seconds ? `${message}; try again in ${seconds} s` : message;
}
