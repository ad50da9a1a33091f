// The account that this browser has here: a reload, and tomorrow's visit, are the same user.

/** @typedef {{ token: string, user: string, name: string, expires_at?: number }} Kept */

export class AccountStore {
  #key;

  /** @param {string} server */
  constructor(server) {
    this.#key = `turnbell:account:${server}`;
  }

  /** This tab's own (from an invite) before the profile's. @returns {Kept | null} */
  load() {
    for (const storage of stores()) {
      try {
        const kept = JSON.parse(storage.getItem(this.#key) ?? "null");
        if (kept?.token && !(kept.expires_at <= Date.now())) return kept;
      } catch {
        // not ours
      }
    }
    return null;
  }

  /** @param {Kept} account @param {boolean} isForTab */
  save({ token, user, name, expires_at }, isForTab) {
    const [tab, profile] = stores();
    (isForTab ? tab : profile)?.setItem(this.#key, JSON.stringify({ token, user, name, expires_at }));
  }

  forget() {
    for (const storage of stores()) storage.removeItem(this.#key);
  }
}

/** @returns {Storage[]} */
function stores() {
  try {
    return [sessionStorage, localStorage];
  } catch {
    return []; // closed to this page
  }
}
