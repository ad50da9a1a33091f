export class TbInvite extends Part {
    constructor();
    /** @type {() => Promise<{ url: string }>} */
    make: () => Promise<{
        url: string;
    }>;
    #private;
}
import { Part } from "./base.js";
