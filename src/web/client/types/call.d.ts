/**
 * @typedef {import("./call_types.js").CallOptions} CallOptions
 * @typedef {import("./call_types.js").Host} Host
 * @typedef {import("./call_types.js").Other} Other
 */
export class Call extends Controls {
    /** @param {Host} host @param {string} user @param {CallOptions} options */
    static outgoing(host: Host, user: string, options: CallOptions): Call;
    /** @param {Host} host @param {any} incoming the `d` of `call.incoming` */
    static incoming(host: Host, incoming: any): Call;
    /** A call that the user is in, but not this page. @param {Host} host @param {any} view */
    static elsewhere(host: Host, view: any): Call;
    /** Milliseconds of talk so far, by the server's clock. */
    talkMs(): number;
    /** What the other side sends. */
    get remoteStream(): MediaStream | null;
    /** The connection itself, for whoever wants more of it. */
    get peerConnection(): RTCPeerConnection | null;
    /** Used by `line.call`. */
    invite(): Promise<void>;
    /**
     * Takes the call. Run it in a click handler: the browser asks for the microphone, and sound may start.
     * @param {CallOptions} [options]
     */
    accept(options?: CallOptions): Promise<void>;
    /**
     * @param {{ scope?: "all" | "device", reason?: "declined" | "busy" | "dnd" }} [how] `device` silences this
     *   device only
     */
    reject({ scope, reason }?: {
        scope?: "all" | "device";
        reason?: "declined" | "busy" | "dnd";
    }): void;
    /** Ends the call, whatever its state. @param {"hangup" | "media_failed"} [reason] */
    hangup(reason?: "hangup" | "media_failed"): void;
    /**
     * A new page takes the user's place in the call. Run it in a click handler if there was one.
     * @param {CallOptions} [options]
     */
    rejoin(options?: CallOptions): Promise<void>;
    /**
     * Lets an element play what the other side sends, as long as the call lasts. If the browser wants a tap first,
     * `blocked` says so, and the call goes on.
     * @param {HTMLMediaElement} element
     */
    attach(element: HTMLMediaElement): void;
    /** Looks for a new way for the media: the network has changed. */
    restart(): void;
    /** Used by the line. @param {string} t @param {any} d */
    take(t: string, d: any): void;
    /** Used by the line: events were lost, this is how the call stands. @param {any} view */
    sync(view: any): void;
    /** Used by the line. @param {RTCConfiguration} ice */
    setIce(ice: RTCConfiguration): void;
    /** Used by the line: it is over. @param {string} reason @param {string | null} [by] */
    end(reason: string, by?: string | null): void;
    #private;
}
export type CallOptions = import("./call_types.js").CallOptions;
export type Host = import("./call_types.js").Host;
export type Other = import("./call_types.js").Other;
import { Controls } from "./controls.js";
