/**
 * @typedef {import("./call_types.js").CallEvents} CallEvents
 * @typedef {import("./call_types.js").CallOptions} CallOptions
 * @typedef {import("./call_types.js").CallState} CallState
 * @typedef {import("./call_types.js").Host} Host
 * @typedef {import("./call_types.js").Other} Other
 * @typedef {import("./call_types.js").Quality} Quality
 */
/** @extends {Emitter<CallEvents>} */
export class Controls extends Emitter<import("./call_types.js").CallEvents> {
    /** @param {Host} host @param {"outgoing" | "incoming"} direction @param {Partial<Other>} peer */
    constructor(host: Host, direction: "outgoing" | "incoming", peer: Partial<Other>);
    /** Empty before the server has named it. */
    id: string;
    /** @type {CallState} */
    state: CallState;
    /** Why it ended. */
    reason: string;
    /** @type {"outgoing" | "incoming"} */
    direction: "outgoing" | "incoming";
    /** What it was made for; either side may add a camera later. */
    media: {
        audio: boolean;
        video: boolean;
    };
    /** @type {Other} */
    peer: Other;
    /** This tab was in it, before its page was loaded again. */
    wasHere: boolean;
    /** The user is in another call. */
    isWaiting: boolean;
    /** When it was accepted, by the server's clock. @type {number | null} */
    answeredAt: number | null;
    isMuted: boolean;
    isOnHold: boolean;
    /** The same on both sides if nobody sits between. @type {string[] | null} */
    words: string[] | null;
    /** @type {Quality | null} */
    quality: Quality | null;
    /** Own devices. */
    local: LocalMedia;
    /** @protected @type {CallOptions} */
    protected chosen: CallOptions;
    get isCameraOn(): boolean;
    /** Nothing is heard of us: muted, or there is no microphone. */
    get isSilent(): boolean;
    get isSharing(): boolean;
    /** @param {boolean} isMuted */
    mute(isMuted: boolean): void;
    /** Both sides hear nothing until it is taken back. @param {boolean} isOnHold */
    hold(isOnHold: boolean): Promise<void>;
    /** @param {boolean} isOn */
    setCamera(isOn: boolean): Promise<void>;
    /** @param {boolean} isOn */
    shareScreen(isOn: boolean): Promise<void>;
    /** Also for who has none so far. @param {string} [id] the default one without */
    useMicrophone(id?: string): Promise<void>;
    /** @param {string} id */
    useCamera(id: string): Promise<void>;
    /** @param {number} score 1 (bad) to 5 @param {string} [issue] */
    feedback(score: number, issue?: string): Promise<any>;
    /** @protected Who holds or is held is neither heard nor seen. */
    protected apply(): void;
    /** @protected What the other side could not know before. */
    protected tellAll(): void;
    /** @protected @param {Record<string, boolean>} changes */
    protected tell(changes: Record<string, boolean>): void;
    #private;
}
export type CallEvents = import("./call_types.js").CallEvents;
export type CallOptions = import("./call_types.js").CallOptions;
export type CallState = import("./call_types.js").CallState;
export type Host = import("./call_types.js").Host;
export type Other = import("./call_types.js").Other;
export type Quality = import("./call_types.js").Quality;
import { Emitter } from "./emitter.js";
import { LocalMedia } from "./media.js";
