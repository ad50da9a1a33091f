export class TbDialer extends Part {
    constructor();
    /** @param {import("../line.js").Line | null} line */
    set line(line: import("../line.js").Line | null);
    focusInput(): void;
    #private;
}
import { Part } from "./base.js";
