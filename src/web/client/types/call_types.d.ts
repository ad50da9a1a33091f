/** @param {any} view @param {string} me */
export function otherParty(view: any, me: string): any;
/**
 * @typedef {"new" | "initiated" | "ringing" | "connecting" | "active" | "held" | "reconnecting" | "ended"} CallState
 *
 * @typedef {object} CallOptions
 * @property {boolean} [audio] by default true
 * @property {boolean} [video] by default false
 * @property {string | false} [microphone] which; false: listen only
 * @property {string | false} [camera] which; false: watch only
 * @property {string} [display] words of the caller's own ("about invoice 7"); shown as unverified
 * @property {number} [ring_ms]
 * @property {string} [metadata]
 * @property {string} [contact]
 * @property {string} [external_id]
 * @property {string} [to_number]
 * @property {string} [conversation]
 *
 * @typedef {object} Other the other side
 * @property {string} user
 * @property {string} name
 * @property {boolean} verified whether an issuer vouches for the name
 * @property {string | null} [number]
 * @property {string | null} [display]
 * @property {boolean} muted
 * @property {boolean} video_muted
 * @property {boolean} hold
 * @property {boolean} screen
 * @property {boolean} signaling_lost its connection to the server is lost; its media may flow
 *
 * @typedef {import("./stats.js").Sample & { mark: "good" | "fair" | "poor" | null }} Quality
 *
 * @typedef {object} CallEvents
 * @property {CallState} state
 * @property {void} update somebody muted, held, shared; devices changed
 * @property {MediaStream} remote what the other side sends
 * @property {MediaStream} local our own picture and sound
 * @property {string[]} words the four words are known, or have changed
 * @property {Quality} quality
 * @property {{ party: number, metric: string, value: number, cleared: boolean }} warning
 * @property {() => Promise<void>} blocked the browser wants a tap before sound: run this in it
 * @property {import("./errors.js").TurnbellError} problem
 * @property {import("./media.js").Unplugged} unplugged
 * @property {{ reason: string, by: string | null }} ended `by`: the user's own device that was first
 *
 * @typedef {object} Host what a call needs of its line
 * @property {(t: string, d: Record<string, unknown>) => Promise<any>} request
 * @property {() => RTCConfiguration} ice
 * @property {() => string} me
 * @property {() => number} serverNow
 * @property {(call: import("./call.js").Call) => void} begins it has an id
 * @property {(call: import("./call.js").Call) => void} isOver
 * @property {EventTarget | null} page
 */
/** Talk so far, by the server's clock: it runs on between two words of the server. */
export class TalkClock {
    /** @param {() => number} now the server's clock */
    constructor(now: () => number);
    /** @param {{ state: CallState, talk_ms: number, at?: number }} view `at`: when that was so */
    set({ state, talk_ms, at }: {
        state: CallState;
        talk_ms: number;
        at?: number;
    }): void;
    stop(): void;
    ms(): number;
    #private;
}
export type CallState = "new" | "initiated" | "ringing" | "connecting" | "active" | "held" | "reconnecting" | "ended";
export type CallOptions = {
    /**
     * by default true
     */
    audio?: boolean | undefined;
    /**
     * by default false
     */
    video?: boolean | undefined;
    /**
     * which; false: listen only
     */
    microphone?: string | false | undefined;
    /**
     * which; false: watch only
     */
    camera?: string | false | undefined;
    /**
     * words of the caller's own ("about invoice 7"); shown as unverified
     */
    display?: string | undefined;
    ring_ms?: number | undefined;
    metadata?: string | undefined;
    contact?: string | undefined;
    external_id?: string | undefined;
    to_number?: string | undefined;
    conversation?: string | undefined;
};
/**
 * the other side
 */
export type Other = {
    user: string;
    name: string;
    /**
     * whether an issuer vouches for the name
     */
    verified: boolean;
    number?: string | null | undefined;
    display?: string | null | undefined;
    muted: boolean;
    video_muted: boolean;
    hold: boolean;
    screen: boolean;
    /**
     * its connection to the server is lost; its media may flow
     */
    signaling_lost: boolean;
};
export type Quality = import("./stats.js").Sample & {
    mark: "good" | "fair" | "poor" | null;
};
export type CallEvents = {
    state: CallState;
    /**
     * somebody muted, held, shared; devices changed
     */
    update: void;
    /**
     * what the other side sends
     */
    remote: MediaStream;
    /**
     * our own picture and sound
     */
    local: MediaStream;
    /**
     * the four words are known, or have changed
     */
    words: string[];
    quality: Quality;
    warning: {
        party: number;
        metric: string;
        value: number;
        cleared: boolean;
    };
    /**
     * the browser wants a tap before sound: run this in it
     */
    blocked: () => Promise<void>;
    problem: import("./errors.js").TurnbellError;
    unplugged: import("./media.js").Unplugged;
    /**
     * `by`: the user's own device that was first
     */
    ended: {
        reason: string;
        by: string | null;
    };
};
/**
 * what a call needs of its line
 */
export type Host = {
    request: (t: string, d: Record<string, unknown>) => Promise<any>;
    ice: () => RTCConfiguration;
    me: () => string;
    serverNow: () => number;
    /**
     * it has an id
     */
    begins: (call: import("./call.js").Call) => void;
    isOver: (call: import("./call.js").Call) => void;
    page: EventTarget | null;
};
