/** Requests to the router, and its refusals (RFC 9457) as exceptions. */

const REQUEST_TIMEOUT_MS = 8000;

/** A refusal of the router: problem JSON as an exception; `status` is 0 where no HTTP response was involved. */
export class RouterError extends Error {
  constructor(problem, status = 0, retryAfterSeconds = null) {
    super(problem.detail || problem.title || `HTTP ${status}`);
    this.name = "RouterError";
    this.slug = problem.slug || "unknown";
    this.status = status;
    this.retryAfterSeconds = retryAfterSeconds;
    /** Base URL of the node to ask instead, which may be of another origin. */
    this.nodeUrl = problem.node_url ?? null;
  }

  /** Whether trying again with the same token would change nothing: it has expired, or does not give the right. */
  get isFinal() { return [401, 403].includes(this.status); }
}

/**
 * `fetch` with the token and a time limit, that throws on every refusal. Problems are asked for in place of redirects:
 * a browser follows those to another origin without the token.
 */
export async function request(url, options, token) {
  const headers = { Accept: "application/sdp, application/json, application/problem+json", ...options.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  const response = await fetch(url, { signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS), ...options, headers });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({ title: response.statusText }));
  throw new RouterError(problem, response.status, Number(response.headers.get("Retry-After")) || null);
}
