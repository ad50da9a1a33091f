/**
 * The devices there are. Their names are empty until the browser was allowed to use one.
 * @returns {Promise<{ microphones: MediaDeviceInfo[], cameras: MediaDeviceInfo[], speakers: MediaDeviceInfo[] }>}
 */
export function devices(): Promise<{
    microphones: MediaDeviceInfo[];
    cameras: MediaDeviceInfo[];
    speakers: MediaDeviceInfo[];
}>;
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
 * @typedef {object} MediaEvents
 * @property {void} change which tracks there are
 * @property {{ device: "microphone" | "camera", isReplaced: boolean }} unplugged
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
export type MediaEvents = {
    /**
     * which tracks there are
     */
    change: void;
    unplugged: {
        device: "microphone" | "camera";
        isReplaced: boolean;
    };
};
import { Emitter } from "./emitter.js";
