/**
 * @typedef {import("../account.js").HistoryEntry} Entry
 * @typedef {(cursor: string | null) => Promise<{ items: Entry[], next_cursor: string | null }>} Load
 */
export class TbHistory extends Part {
    constructor();
    /** The name of somebody who had no part in a call: he was busy, or away. @type {(user: string) => string} */
    nameOf: (user: string) => string;
    /** @param {Load | null} load */
    set load(load: Load | null);
    get load(): Load | null;
    /** Now, and once what has just happened is on record. */
    refresh(): Promise<void>;
    #private;
}
export type Entry = import("../account.js").HistoryEntry;
export type Load = (cursor: string | null) => Promise<{
    items: Entry[];
    next_cursor: string | null;
}>;
import { Part } from "./base.js";
