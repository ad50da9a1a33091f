// What a page leaves to itself for after a reload: its resume token, guarded by a lock, so that a
// duplicated tab (which inherits the storage) starts a session of its own.

/** How long the page before may take to let go of its lock. */
const HAND_OVER_MS = 500;

export class SessionStore {
  #env;
  #key;
  /** @type {{ session: string, release: () => void } | null} */
  #held = null;

  /**
   * @param {import("./environment.js").Environment} env
   * @param {string} server
   */
  constructor(env, server) {
    this.#env = env;
    this.#key = `turnbell:session:${server}`;
  }

  /**
   * The token that this tab had before its page was loaded again; null if there is none, or if another page
   * uses it.
   * @returns {Promise<string | null>}
   */
  async claim() {
    const kept = this.#read();
    if (!kept) return null;
    if (await this.#hold(kept.session, HAND_OVER_MS)) return kept.token;
    this.forget();
    return null;
  }

  /**
   * After every welcome: tokens are good once.
   * @param {string} session
   * @param {string} token
   */
  async keep(session, token) {
    const { session: storage, locks } = this.#env;
    if (!storage || !locks) return; // without a lock two pages could use one token
    storage.setItem(this.#key, JSON.stringify({ session, token }));
    if (this.#held?.session !== session) {
      this.#held?.release();
      await this.#hold(session, HAND_OVER_MS);
    }
  }

  forget() {
    this.#env.session?.removeItem(this.#key);
    this.#held?.release();
    this.#held = null;
  }

  /** @returns {{ session: string, token: string } | null} */
  #read() {
    if (!this.#env.locks) return null;
    try {
      const kept = JSON.parse(this.#env.session?.getItem(this.#key) ?? "null");
      return typeof kept?.session === "string" && typeof kept.token === "string" ? kept : null;
    } catch {
      return null;
    }
  }

  /**
   * @param {string} session
   * @param {number} patienceMs
   * @returns {Promise<boolean>}
   */
  #hold(session, patienceMs) {
    const { locks, setTimeout, clearTimeout } = this.#env;
    if (!locks) return Promise.resolve(false);
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), patienceMs);
    return new Promise((resolve) => {
      const whileHeld = () => new Promise((/** @type {(value?: unknown) => void} */ release) => {
        clearTimeout(timer);
        this.#held = { session, release };
        resolve(true);
      });
      locks.request(`turnbell:session:${session}`, { signal: late.signal }, whileHeld)
        .catch(() => resolve(false));
    });
  }
}
