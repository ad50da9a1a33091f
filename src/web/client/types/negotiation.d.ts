export class Negotiation {
    /** @param {NegotiationOptions} options */
    constructor(options: NegotiationOptions);
    /** The offer that goes with an invite: generation 1. Candidates wait for `release`. */
    firstOffer(): Promise<string>;
    /** The answer that goes with an accept. Candidates wait for `release`. @param {string} sdp */
    firstAnswer(sdp: string): Promise<string>;
    /** The server knows of our first description. */
    release(): void;
    /** Offers by itself from here on: the other side is a new page that has nothing. */
    open(): Promise<void>;
    /**
     * A new way for the media. @param {number} [gen] if the server names one
     */
    restart(gen?: number): Promise<void>;
    /** Our offer got lost with the page that it was for. */
    offerIsLost(): void;
    /** @param {any} signal from the other side */
    take(signal: any): Promise<void>;
    close(): void;
    #private;
}
export type SignalOut = {
    kind: "offer" | "answer" | "candidates" | "end_of_candidates";
    gen: number;
    sdp?: string | undefined;
    cands?: RTCIceCandidateInit[] | undefined;
    restart?: boolean | undefined;
};
export type NegotiationOptions = {
    pc: RTCPeerConnection;
    isPolite: boolean;
    /**
     * of the last offer that is known
     */
    generation: number;
    send: (signal: SignalOut) => Promise<{
        delivered: boolean;
    }>;
    /**
     * our tracks take their places
     */
    beforeAnswer: (pc: RTCPeerConnection) => Promise<void>;
    /**
     * an offer was answered
     */
    onSettled?: (() => void) | undefined;
};
