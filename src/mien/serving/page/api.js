// Talks to the server that the page came from, and to no other.

const KEY = "mien-token";

/** An error that is told to the user; `status` is 0 where the server did not answer. */
export class ServerError extends Error {
  constructor(status, message, retryAfter = 0) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** Keep the token for this tab; one in the address (#token=…) is taken and removed from there. */
export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    setToken(given);
    history.replaceState(null, "", location.pathname);
  }
}

export function setToken(token) {
  sessionStorage.setItem(KEY, token);
}

/**
 * Return the result of one picture: {width, height, faces, …, model}; throw a ServerError.
 * `search`: false takes the whole picture as one face.
 */
export async function analyze(blob, signal, search = true) {
  const headers = { "Content-Type": blob.type || "application/octet-stream" };
  const token = sessionStorage.getItem(KEY);
  if (token) headers.Authorization = `Bearer ${token}`;
  const request = { method: "POST", headers, body: blob, signal };
  let response;
  try {
    response = await fetch(`v1/analyze${search ? "" : "?detect=false"}`, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError(0, "The server does not answer. Is it still running?");
  }
  if (!response.ok) {
    const problem = await response.json().catch(() => ({}));
    const text = [problem.title ?? `Error ${response.status}`, problem.detail].filter(Boolean);
    const wait = Number(response.headers.get("Retry-After")) || 0;
    throw new ServerError(response.status, `${text.join(": ")}.`, wait);
  }
  const { model, pictures } = await response.json();
  return { ...pictures[0], model };
}
