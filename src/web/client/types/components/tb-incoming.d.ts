export class TbIncoming extends Part {
    constructor();
    /** @param {import("../call.js").Call | null} call */
    set call(call: import("../call.js").Call | null);
    get call(): import("../call.js").Call | null;
    #private;
}
import { Part } from "./base.js";
