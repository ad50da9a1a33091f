export const PROTOCOL: "turnbell.v1";
/**
 * @typedef {{ t: string, id?: string, re?: string, seq?: number, ts?: number, ack?: number, d?: any }} Frame
 * @typedef {"connecting" | "online" | "waiting" | "closed"} LinkState
 *
 * @typedef {object} LinkOptions
 * @property {string} server base URL, with a slash at its end
 * @property {(isFresh: boolean) => Promise<string>} token `isFresh`: the last one has expired
 * @property {{ id: string, kind: string, label: string }} device
 * @property {import("./environment.js").Environment} env
 * @property {(welcome: any) => void} onWelcome
 * @property {(frame: Frame) => void} onFrame
 * @property {(state: LinkState, error?: TurnbellError) => void} onState
 * @property {(problem: TurnbellError) => void} onProblem
 */
export class Link {
    /** @param {LinkOptions} options */
    constructor(options: LinkOptions);
    /** `seq` of the last event that was dealt with. */
    lastSeq: number;
    start(): void;
    /** @param {Frame} frame */
    send(frame: Frame): boolean;
    /** @param {TurnbellError} [error] */
    stop(error?: TurnbellError): void;
    /** Makes sure that the socket lives, or replaces it. */
    probe(): void;
    #private;
}
export type Frame = {
    t: string;
    id?: string;
    re?: string;
    seq?: number;
    ts?: number;
    ack?: number;
    d?: any;
};
export type LinkState = "connecting" | "online" | "waiting" | "closed";
export type LinkOptions = {
    /**
     * base URL, with a slash at its end
     */
    server: string;
    /**
     * `isFresh`: the last one has expired
     */
    token: (isFresh: boolean) => Promise<string>;
    device: {
        id: string;
        kind: string;
        label: string;
    };
    env: import("./environment.js").Environment;
    onWelcome: (welcome: any) => void;
    onFrame: (frame: Frame) => void;
    onState: (state: LinkState, error?: TurnbellError) => void;
    onProblem: (problem: TurnbellError) => void;
};
import { TurnbellError } from "./errors.js";
