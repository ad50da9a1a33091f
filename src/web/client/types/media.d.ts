/**
 * The devices there are. Names, and all but one of a kind, are kept back until the browser was allowed to use one.
 * @returns {Promise<{ microphones: MediaDeviceInfo[], cameras: MediaDeviceInfo[], speakers: MediaDeviceInfo[] }>}
 */
export function devices(): Promise<{
    microphones: MediaDeviceInfo[];
    cameras: MediaDeviceInfo[];
    speakers: MediaDeviceInfo[];
}>;
/**
 * Tells of devices that are plugged in or pulled out.
 * @param {() => void} changed
 * @returns {() => void} ends it
 */
export function onDevices(changed: () => void): () => void;
/**
 * Opens a microphone and says how loud it is, until `close`.
 * @param {string} [id] of the device
 * @returns {Promise<{ level: () => number, label: string, stream: MediaStream, close: () => void }>}
 */
export function testMicrophone(id?: string): Promise<{
    level: () => number;
    label: string;
    stream: MediaStream;
    close: () => void;
}>;
/**
 * @typedef {{ device: "microphone" | "camera", isReplaced: boolean, error: TurnbellError | null }} Unplugged
 *   `error`: why the default one is not used in its place
 *
 * @typedef {object} MediaEvents
 * @property {void} change which tracks there are
 * @property {Unplugged} unplugged it was pulled out, or the browser took it away
 */
/** @extends {Emitter<MediaEvents>} */
export class LocalMedia extends Emitter<MediaEvents> {
    constructor();
    /** @type {MediaStreamTrack | null} */
    audio: MediaStreamTrack | null;
    /** @type {MediaStreamTrack | null} */
    camera: MediaStreamTrack | null;
    /** @type {MediaStreamTrack | null} */
    screen: MediaStreamTrack | null;
    /** What goes out as picture. */
    get video(): MediaStreamTrack | null;
    /** @param {string} [id] of a device; the default one without */
    openMicrophone(id?: string): Promise<void>;
    /** @param {string} [id] */
    openCamera(id?: string): Promise<void>;
    closeCamera(): void;
    openScreen(): Promise<void>;
    closeScreen(): void;
    /** Lets go of all devices. */
    close(): void;
    #private;
}
/** How loud a stream is, 0 to 1; ask it as often as you paint. */
export class Meter {
    /** @param {MediaStream} stream */
    constructor(stream: MediaStream);
    level(): number;
    close(): void;
    #private;
}
/**
 * `error`: why the default one is not used in its place
 */
export type Unplugged = {
    device: "microphone" | "camera";
    isReplaced: boolean;
    error: TurnbellError | null;
};
export type MediaEvents = {
    /**
     * which tracks there are
     */
    change: void;
    /**
     * it was pulled out, or the browser took it away
     */
    unplugged: Unplugged;
};
import { Emitter } from "./emitter.js";
import { TurnbellError } from "./errors.js";
