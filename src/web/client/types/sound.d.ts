/** @extends {Emitter<{ unlocked: boolean }>} */
export class Ringer extends Emitter<{
    unlocked: boolean;
}> {
    constructor();
    /** Whether the browser lets this page make a sound. */
    get isUnlocked(): boolean;
    /** Listens for the first tap or key in `page`, which lets sound out. @param {EventTarget} page */
    listen(page: EventTarget): void;
    /** Run it in a tap. */
    unlock(): Promise<void>;
    /** @param {keyof typeof PATTERNS} name */
    play(name: keyof typeof PATTERNS): void;
    stop(): void;
    get isPlaying(): boolean;
    #private;
}
import { Emitter } from "./emitter.js";
declare namespace PATTERNS {
    namespace ring {
        let length: number;
        let notes: number[][];
        let volume: number;
    }
    namespace ringback {
        let length_1: number;
        export { length_1 as length };
        let notes_1: number[][];
        export { notes_1 as notes };
        let volume_1: number;
        export { volume_1 as volume };
    }
}
export {};
