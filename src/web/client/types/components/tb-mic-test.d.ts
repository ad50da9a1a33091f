export class TbMicTest extends Part {
    constructor();
    /** The device that was chosen. */
    get deviceId(): any;
    /** @param {string} [id] of a device */
    start(id?: string): Promise<void>;
    stop(): void;
    #private;
}
import { Part } from "./base.js";
