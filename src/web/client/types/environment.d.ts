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
export function environment(): Environment;
/**
 * "Chrome on Android": shown to the user's other devices.
 * @param {string} userAgent
 */
export function deviceLabel(userAgent: string): string;
export type Environment = {
    WebSocket: new (url: string, protocols: string[]) => WebSocket;
    fetch: (url: string, init?: RequestInit) => Promise<Response>;
    /**
     * Unix milliseconds
     */
    now: () => number;
    /**
     * 0 to 1
     */
    random: () => number;
    uuid: () => string;
    setTimeout: (run: () => void, ms: number) => any;
    clearTimeout: (timer: any) => void;
    /**
     * `window`: online, pageshow
     */
    page: EventTarget | null;
    document: (EventTarget & {
        visibilityState: string;
    }) | null;
    /**
     * what a reload keeps
     */
    session: Pick<Storage, "getItem" | "setItem" | "removeItem"> | null;
    /**
     * what the profile keeps
     */
    local: Pick<Storage, "getItem" | "setItem" | "removeItem"> | null;
    locks: Pick<LockManager, "request"> | null;
    userAgent: string;
};
