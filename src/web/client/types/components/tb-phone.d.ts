/** @typedef {import("../call.js").Call} Call */
export class TbPhone extends Part {
    constructor();
    /** @type {import("../line.js").Line | null} */
    line: import("../line.js").Line | null;
    /** @type {Call | null} */
    call: Call | null;
    connectedCallback(): void;
    /**
     * Calls somebody and shows it.
     * @param {string} user
     * @param {{ name?: string, video?: boolean, microphone?: string | false }} [how]
     */
    dial(user: string, { name, video, microphone }?: {
        name?: string;
        video?: boolean;
        microphone?: string | false;
    }): Promise<void>;
    #private;
}
export type Call = import("../call.js").Call;
import { Part } from "./base.js";
