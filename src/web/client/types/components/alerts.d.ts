export class Alerts {
    ringer: Ringer;
    /** @param {import("../call.js").Call} call */
    ring(call: import("../call.js").Call): void;
    /** We call: what is heard until somebody answers. @param {import("../call.js").Call} call */
    ringback(call: import("../call.js").Call): void;
    #private;
}
import { Ringer } from "../sound.js";
