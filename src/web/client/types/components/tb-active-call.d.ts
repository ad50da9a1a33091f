/** @typedef {import("../call.js").Call} Call */
export class TbActiveCall extends Part {
    constructor();
    /** @param {Call | null} call */
    set call(call: Call | null);
    get call(): Call | null;
    #private;
}
export type Call = import("../call.js").Call;
import { Part } from "./base.js";
