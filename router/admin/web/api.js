/** Requests to the admin port. The token lives in this tab's session storage and travels in a header, never in a URL. */

const KEY = "router-admin-token";
const TIMEOUT_MS = 8000;
const BASE = new URL("v1/", document.baseURI);

/** A refusal (problem JSON, RFC 9457), or no answer at all: then `status` is 0. */
export class ApiError extends Error {
  constructor(status, problem = {}, retryAfterS = null) {
    super(problem.detail || problem.title || (status ? `HTTP ${status}` : "The router does not answer."));
    Object.assign(this, { status, slug: problem.slug ?? "", retryAfterS });
  }

  get needsToken() {
    return this.status === 401;
  }
}

export class Api {
  /** The other node that answered for a room last; null: the one that was asked. */
  elsewhere = null;

  get token() {
    return sessionStorage.getItem(KEY);
  }

  set token(value) {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
  }

  /** JSON of a GET; `path` is an array of segments, so that names need no care. */
  async get(path, { query = {}, signal } = {}) {
    const limit = AbortSignal.timeout(TIMEOUT_MS);
    const response = await this.open(path, { query, signal: signal ? AbortSignal.any([signal, limit]) : limit });
    return response.json().catch(() => Promise.reject(new ApiError(0)));
  }

  /** The response of a GET that was not refused. */
  async open(path, { query = {}, signal, headers = {} } = {}) {
    const url = new URL(path.map(encodeSegment).join("/"), BASE);
    for (const [key, value] of Object.entries(query)) [value].flat().forEach((each) => url.searchParams.append(key, each));
    if (this.token) headers = { ...headers, Authorization: `Bearer ${this.token}` };
    const options = { headers, signal, cache: "no-store", credentials: "omit", redirect: "error" };
    const response = await fetch(url, options).catch((error) => {
      throw signal?.aborted && signal.reason?.name !== "TimeoutError" ? error : new ApiError(0);
    });
    if (path[0] === "rooms") this.elsewhere = response.headers.get("Fork-Router-Node");
    if (response.ok) return response;
    const problem = await response.json().catch(() => ({}));
    throw new ApiError(response.status, problem, Number(response.headers.get("Retry-After")) || null);
  }
}

/** Dots alone would be a step up the path. */
const encodeSegment = (text) => encodeURIComponent(text).replace(/^\.{1,2}$/, (dots) => dots.replaceAll(".", "%2E"));
