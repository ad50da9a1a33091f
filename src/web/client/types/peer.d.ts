/**
 * @typedef {object} PeerOptions
 * @property {RTCConfiguration} ice
 * @property {boolean} isPolite
 * @property {number} generation
 * @property {boolean} makesOffer
 * @property {{ audio: boolean, video: boolean }} media
 * @property {import("./media.js").LocalMedia} local
 * @property {(signal: import("./negotiation.js").SignalOut) => Promise<{ delivered: boolean }>} signal
 * @property {(t: "call.media" | "quality.report", d: Record<string, unknown>) => void} report
 * @property {(stream: MediaStream) => void} onRemote
 * @property {() => void} onChange the other side's tracks went silent or came back
 * @property {(words: string[]) => void} onWords
 * @property {(quality: import("./call_types.js").Quality) => void} onQuality
 * @property {() => import("./call_types.js").CallState} state
 */
export class Peer {
    /** @param {PeerOptions} options */
    constructor(options: PeerOptions);
    remote: MediaStream;
    pc: RTCPeerConnection;
    negotiation: Negotiation;
    /** @param {RTCConfiguration} ice @param {RTCIceTransportPolicy} [policy] */
    setIce(ice: RTCConfiguration, policy?: RTCIceTransportPolicy): void;
    /** Puts these tracks in place of what was sent before. @param {import("./media.js").LocalMedia} local */
    send(local: import("./media.js").LocalMedia): void;
    /** The last report of the call. */
    reportFinal(): void;
    close(): void;
    #private;
}
export type PeerOptions = {
    ice: RTCConfiguration;
    isPolite: boolean;
    generation: number;
    makesOffer: boolean;
    media: {
        audio: boolean;
        video: boolean;
    };
    local: import("./media.js").LocalMedia;
    signal: (signal: import("./negotiation.js").SignalOut) => Promise<{
        delivered: boolean;
    }>;
    report: (t: "call.media" | "quality.report", d: Record<string, unknown>) => void;
    onRemote: (stream: MediaStream) => void;
    /**
     * the other side's tracks went silent or came back
     */
    onChange: () => void;
    onWords: (words: string[]) => void;
    onQuality: (quality: import("./call_types.js").Quality) => void;
    state: () => import("./call_types.js").CallState;
};
import { Negotiation } from "./negotiation.js";
