// What the library needs of the world around it; tests hand in a world of their own.

/**
 * @typedef {object} Environment
 * @property {new (url: string, protocols: string[]) => WebSocket} WebSocket
 * @property {(url: string, init?: RequestInit) => Promise<Response>} fetch
 * @property {() => number} now Unix milliseconds
 * @property {() => number} random 0 to 1
 * @property {() => string} uuid
 * @property {(run: () => void, ms: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 * @property {EventTarget | null} page `window`: online, pageshow
 * @property {(EventTarget & { visibilityState: string }) | null} document
 * @property {Pick<Storage, "getItem" | "setItem" | "removeItem"> | null} session what a reload keeps
 * @property {Pick<Storage, "getItem" | "setItem" | "removeItem"> | null} local what the profile keeps
 * @property {Pick<LockManager, "request"> | null} locks
 * @property {string} userAgent
 */

/** @returns {Environment} */
export function environment() {
  const page = typeof window === "undefined" ? null : window;
  return {
    WebSocket: globalThis.WebSocket,
    fetch: (url, init) => fetch(url, init),
    now: () => Date.now(),
    random: () => Math.random(),
    uuid,
    setTimeout: (run, ms) => setTimeout(run, ms),
    clearTimeout: (timer) => clearTimeout(timer),
    page,
    document: page?.document ?? null,
    session: storage(() => page?.sessionStorage),
    local: storage(() => page?.localStorage),
    locks: page?.navigator?.locks ?? null,
    userAgent: page?.navigator?.userAgent ?? "",
  };
}

/** `crypto.randomUUID` is for secure pages only. */
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * A browser may close its storage to a page; asking is an error then.
 * @param {() => Storage | undefined} of
 */
function storage(of) {
  try {
    return of() ?? null;
  } catch {
    return null;
  }
}

/**
 * "Chrome on Android": shown to the user's other devices.
 * @param {string} userAgent
 */
export function deviceLabel(userAgent) {
  const first = (/** @type {[RegExp, string][]} */ names) => names.find(([sign]) => sign.test(userAgent))?.[1];
  const browser = first([[/Edg\//, "Edge"], [/OPR\//, "Opera"], [/Firefox\//, "Firefox"],
    [/Chrom(e|ium)\//, "Chrome"], [/Safari\//, "Safari"]]);
  const system = first([[/Android/, "Android"], [/iPhone/, "iPhone"], [/iPad/, "iPad"], [/Windows/, "Windows"],
    [/Mac OS X/, "Mac"], [/Linux/, "Linux"]]);
  return [browser ?? "Browser", system].filter(Boolean).join(" on ");
}
