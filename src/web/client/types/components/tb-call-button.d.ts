export class TbCallButton extends Part {
    constructor();
    connectedCallback(): void;
    #private;
}
import { Part } from "./base.js";
