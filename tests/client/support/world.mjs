// The world around the library in a test: no clock but the test's own, storage and locks in memory.

import { WebSocket } from "ws";

/** Storage and locks of one browser; each tab of it is a `world`. */
export function browser() {
  return { locks: new Locks(), local: storage() };
}

export function world({ profile = browser(), session = storage() } = {}) {
  let last = 0;
  const timers = new Map();
  const page = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState: "visible" });
  const env = {
    WebSocket,
    fetch: (url, init) => fetch(url, init),
    now: () => 1_795_000_000_000,
    random: () => 0.5,
    uuid: () => `id${++ids}-`.padEnd(16, "x"),
    setTimeout: (run, ms) => {
      timers.set(++last, { run, ms });
      return last;
    },
    clearTimeout: (timer) => timers.delete(timer),
    page,
    document,
    session,
    local: profile.local,
    locks: profile.locks,
    userAgent: "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0",
  };
  return {
    env, profile, session, page, document,
    /** Lengths of the timers that run. */
    waits: () => [...timers.values()].map(({ ms }) => ms),
    /** Lets the timer of this length go off. */
    ring: (length) => {
      const [id, timer] = [...timers].find(([, { ms }]) => ms === length) ?? [];
      if (!timer) throw new Error(`no timer of ${length} ms among ${[...timers.values()].map(({ ms }) => ms)}`);
      timers.delete(id);
      timer.run();
    },
  };
}

let ids = 0;

export function storage() {
  const items = new Map();
  return {
    items,
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, String(value)),
    removeItem: (key) => void items.delete(key),
  };
}

/** As much of Web Locks as is needed: exclusive ones, waiting until an abort. */
class Locks {
  held = new Map();
  #waiting = [];

  async request(name, { signal }, run) {
    while (this.held.has(name)) {
      await new Promise((resolve, reject) => {
        signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
        this.#waiting.push(resolve);
      });
    }
    this.held.set(name, true);
    try {
      return await Promise.race([run({ name }), new Promise((resolve) => this.held.set(name, resolve))]);
    } finally {
      this.held.delete(name);
      for (const again of this.#waiting.splice(0)) again();
    }
  }

  /** What the end of a page does. */
  releaseAll() {
    for (const release of [...this.held.values()]) release();
  }
}
