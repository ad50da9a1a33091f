export class TbSignIn extends Part {
    constructor();
    server: string;
    /** @type {string | null} The token of an invite. */
    invite: string | null;
    /** @param {TurnbellError | null} [problem] */
    show(problem?: TurnbellError | null): void;
    #private;
}
import { Part } from "./base.js";
import { TurnbellError } from "../errors.js";
