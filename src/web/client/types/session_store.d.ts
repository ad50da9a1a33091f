export class SessionStore {
    /**
     * @param {import("./environment.js").Environment} env
     * @param {string} server
     */
    constructor(env: import("./environment.js").Environment, server: string);
    /**
     * The token that this tab had before its page was loaded again; null if there is none, or if another page
     * uses it.
     * @returns {Promise<string | null>}
     */
    claim(): Promise<string | null>;
    /**
     * After every welcome: tokens are good once.
     * @param {string} session
     * @param {string} token
     */
    keep(session: string, token: string): Promise<void>;
    forget(): void;
    #private;
}
