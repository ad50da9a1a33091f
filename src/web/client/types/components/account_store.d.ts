/** @typedef {{ token: string, user: string, name: string, expires_at?: number }} Kept */
export class AccountStore {
    /** @param {string} server */
    constructor(server: string);
    /** This tab's own (from an invite) before the profile's. @returns {Kept | null} */
    load(): Kept | null;
    /** @param {Kept} account @param {boolean} isForTab */
    save({ token, user, name, expires_at }: Kept, isForTab: boolean): void;
    forget(): void;
    #private;
}
export type Kept = {
    token: string;
    user: string;
    name: string;
    expires_at?: number;
};
