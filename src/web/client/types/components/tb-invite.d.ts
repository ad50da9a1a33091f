export class TbInvite extends Part {
    constructor();
    /** @type {() => Promise<{ url: string }>} */
    make: () => Promise<{
        url: string;
    }>;
    /** @param {boolean} may */
    set may(may: boolean);
    #private;
}
import { Part } from "./base.js";
