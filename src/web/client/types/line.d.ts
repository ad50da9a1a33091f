/**
 * @typedef {"connecting" | "online" | "waiting" | "closed"} LineState
 * @typedef {{ user: string, name: string, role: string | null, status: PresenceStatus, note: string | null }} Person
 * @typedef {"online" | "away" | "busy" | "dnd" | "offline"} PresenceStatus
 * @typedef {{ user: string, name: string, verified: boolean, number?: string | null, display?: string | null }} Caller
 *
 * @typedef {object} LineEvents
 * @property {LineState} state
 * @property {ReadonlyMap<string, Person>} presence those of the subscription who are there
 * @property {Call} incoming it rings, until its `ended`
 * @property {Call} call any new call, either way
 * @property {Call} rejoinable the user is in this call, on no page or on another: `call.rejoin()` brings it here
 * @property {{ call: string, from: Caller, reason: string }} missed
 * @property {TurnbellError} problem worth showing; the line goes on trying
 * @property {TurnbellError | undefined} closed for good
 *
 * @typedef {object} ConnectOptions
 * @property {string} [token] of the user; or:
 * @property {(isFresh: boolean) => string | Promise<string>} [getToken] asked for each connection; `isFresh`
 *   means that the last one has expired
 * @property {string | URL} [server] where turnbell is; by default, where this module came from
 * @property {string} [label] how the user's other devices name this one
 */
/**
 * Opens a line; it connects, and connects again after every loss, by itself.
 * @param {ConnectOptions} options
 * @returns {Line}
 */
export function connect(options: ConnectOptions): Line;
/**
 * Where this module came from: `/client/turnbell.js` or `/client/<hash>/turnbell.js`.
 * @param {string} [from]
 */
export function serverOf(from?: string): string | null;
/** @extends {Emitter<LineEvents>} */
export class Line extends Emitter<LineEvents> {
    /**
     * @param {ConnectOptions} options
     * @param {import("./environment.js").Environment} env
     */
    constructor(options: ConnectOptions, env: import("./environment.js").Environment);
    /** @type {LineState} */
    state: LineState;
    /** Who we are, once online. */
    user: string;
    name: string;
    tenant: string;
    features: {
        voice: boolean;
        turn: boolean;
    };
    /** For `new RTCPeerConnection()`; the server renews it. @type {RTCConfiguration} */
    ice: RTCConfiguration;
    /** Why it is closed. @type {TurnbellError | undefined} */
    error: TurnbellError | undefined;
    /** @type {Map<string, Person>} */
    people: Map<string, Person>;
    /** Live calls. @type {Map<string, Call>} */
    calls: Map<string, Call>;
    /** Resolves with the line when it is online for the first time; rejects when it is closed before. */
    ready: Promise<any>;
    /** Base URL of the server, with a slash at its end. */
    get server(): string;
    /** The server's clock, Unix milliseconds. */
    serverNow(): number;
    /**
     * Calls somebody. The promise resolves when the server lets it ring, and rejects with what keeps it from that.
     * Run it in a click handler: the browser asks for the microphone.
     * @param {string} user
     * @param {import("./call.js").CallOptions} [options]
     * @returns {Promise<Call>}
     */
    call(user: string, options?: import("./call.js").CallOptions): Promise<Call>;
    /**
     * Who is to be seen in `people`: users, everybody in a role, or (null) nobody.
     * @param {{ users: string[] } | { role: string } | null} whom
     */
    subscribe(whom: {
        users: string[];
    } | {
        role: string;
    } | null): Promise<any>;
    /**
     * @param {PresenceStatus} status
     * @param {{ note?: string, when_busy?: "refuse" | "wait" }} [more]
     */
    setPresence(status: PresenceStatus, more?: {
        note?: string;
        when_busy?: "refuse" | "wait";
    }): Promise<any>;
    /** His calls ring nowhere any more, and he cannot tell. @param {string} user @returns {Promise<void>} */
    block: (user: string) => Promise<void>;
    /** Lets him ring again. @param {string} user @returns {Promise<void>} */
    unblock: (user: string) => Promise<void>;
    /** Who is blocked. @returns {Promise<string[]>} */
    blocked: () => Promise<string[]>;
    /**
     * Any request of `turnbell.v1`. One that waits while the connection is lost is sent later, and done once.
     * @param {string} t
     * @param {Record<string, unknown>} [d]
     * @returns {Promise<any>} the `d` of its answer
     */
    request(t: string, d?: Record<string, unknown>): Promise<any>;
    /** Signs off; calls end. The line cannot be used again. */
    close(): Promise<void>;
    #private;
}
export type LineState = "connecting" | "online" | "waiting" | "closed";
export type Person = {
    user: string;
    name: string;
    role: string | null;
    status: PresenceStatus;
    note: string | null;
};
export type PresenceStatus = "online" | "away" | "busy" | "dnd" | "offline";
export type Caller = {
    user: string;
    name: string;
    verified: boolean;
    number?: string | null;
    display?: string | null;
};
export type LineEvents = {
    state: LineState;
    /**
     * those of the subscription who are there
     */
    presence: ReadonlyMap<string, Person>;
    /**
     * it rings, until its `ended`
     */
    incoming: Call;
    /**
     * any new call, either way
     */
    call: Call;
    /**
     * the user is in this call, on no page or on another: `call.rejoin()` brings it here
     */
    rejoinable: Call;
    missed: {
        call: string;
        from: Caller;
        reason: string;
    };
    /**
     * worth showing; the line goes on trying
     */
    problem: TurnbellError;
    /**
     * for good
     */
    closed: TurnbellError | undefined;
};
export type ConnectOptions = {
    /**
     * of the user; or:
     */
    token?: string | undefined;
    /**
     * asked for each connection; `isFresh`
     * means that the last one has expired
     */
    getToken?: ((isFresh: boolean) => string | Promise<string>) | undefined;
    /**
     * where turnbell is; by default, where this module came from
     */
    server?: string | URL | undefined;
    /**
     * how the user's other devices name this one
     */
    label?: string | undefined;
};
import { Emitter } from "./emitter.js";
import { TurnbellError } from "./errors.js";
import { Call } from "./call.js";
