/** POST ./preview: one request at a time, and the token that it may need, which stands in a variable here alone. */

/** Under a path, there is a proxy in between, and the API server's own takes `Authorization` for itself. */
const PROXIED_TOKEN_HEADER = "X-Model-Injector-Token";

const WITHOUT_WORDS = {
  401: "a token is needed",
  403: "this token's account may not do that",
  413: "the manifest is too large",
  429: "too many requests",
  503: "the webhook can't answer at present",
};

let token = null;
let underway = null;

/** Why there is no preview, in words for its reader. `status` is HTTP's; 0 where nothing has been answered. */
export class NoPreview extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

/** Use this token from now on; null forgets it. */
export function useToken(given) {
  token = given;
}

/** Whether a token is in use. */
export function hasToken() {
  return token !== null;
}

/**
 * The previews of a manifest's documents. A request that is still under way is given up, and its promise comes to null.
 * Throws NoPreview.
 */
export async function preview(manifest, namespace, mostBytes) {
  underway?.abort();
  const own = (underway = new AbortController());
  try {
    const body = new TextEncoder().encode(manifest);
    if (body.length > mostBytes) {
      throw new NoPreview(413, `the manifest has ${body.length} bytes; ${mostBytes} are the most that is previewed`);
    }
    const answer = await ask(body, namespace, own.signal);
    return own.signal.aborted ? null : answer;
  } catch (error) {
    if (own.signal.aborted) {
      return null;
    }
    throw error;
  } finally {
    if (underway === own) {
      underway = null;
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
  const [response, text] = await reached(url, options);
  const content = parsed(text);
  if (!response.ok) {
    throw new NoPreview(response.status, told(response, content));
  }
  if (!Array.isArray(content?.documents)) {
    throw new NoPreview(response.status, "the answer is no preview; is there a proxy in between?");
  }
  return content.documents;
}

async function reached(url, options) {
  try {
    const response = await fetch(url, options);
    return [response, await response.text()];
  } catch (error) {
    throw new NoPreview(0, `the webhook can't be reached: ${error.message}`);
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function told(response, content) {
  if (typeof content?.error === "string") {
    return content.error;
  }
  const seconds = response.headers.get("Retry-After");
  const words = WITHOUT_WORDS[response.status] ?? `the answer is HTTP ${response.status}`;
  return seconds ? `${words}; try again in ${seconds} s` : words;
}
