/** A refused or failed request, in the server's own words (RFC 9457). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly fields: { location?: string; message: string }[] = [],
  ) {
    super(detail || title);
    this.name = "ApiError";
  }
}

async function problem(res: Response): Promise<ApiError> {
  try {
    const p = await res.json();
    return new ApiError(res.status, p.title ?? res.statusText, p.detail ?? "", p.errors ?? []);
  } catch {
    return new ApiError(res.status, res.statusText || `HTTP ${res.status}`, "");
  }
}

async function send<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  let res: Response;
  try {
    res = await fetch(path, {
      method,
      signal,
      headers: body === undefined ? undefined : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (e) {
    if (signal?.aborted) throw e;
    throw new ApiError(0, "Tidegate does not answer", `No connection to ${location.host}.`);
  }
  if (!res.ok) throw await problem(res);
  if (res.status === 204) return undefined as T;
  return (await res.json()) as T;
}

export const get = <T>(path: string, signal?: AbortSignal) => send<T>("GET", path, undefined, signal);
export const post = <T>(path: string, body: unknown) => send<T>("POST", path, body);
export const del = <T>(path: string) => send<T>("DELETE", path);

export type Params = Record<string, string | number | undefined | null | string[]>;

/** Appends the parameters that have a value; arrays repeat. */
export function url(path: string, params: Params = {}): string {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(params)) {
    if (v === undefined || v === null || v === "") continue;
    for (const one of Array.isArray(v) ? v : [v]) q.append(k, String(one));
  }
  const s = q.toString();
  return s ? `${path}?${s}` : path;
}

export const seg = encodeURIComponent;
