// Offers and answers by the pattern of perfect negotiation: either side may offer at any time; of two that meet
// the polite one takes its own back. `gen` numbers offers; the server passes on no older ones.

/**
 * @typedef {object} SignalOut
 * @property {"offer" | "answer" | "candidates" | "end_of_candidates"} kind
 * @property {number} gen
 * @property {string} [sdp]
 * @property {RTCIceCandidateInit[]} [cands]
 * @property {boolean} [restart]
 *
 * @typedef {object} NegotiationOptions
 * @property {RTCPeerConnection} pc
 * @property {boolean} isPolite
 * @property {number} generation of the last offer that is known
 * @property {(signal: SignalOut) => Promise<{ delivered: boolean }>} send
 * @property {(pc: RTCPeerConnection) => Promise<void>} beforeAnswer our tracks take their places
 * @property {() => void} [onSettled] an offer was answered
 */

/** Candidates in one frame. */
const CANDIDATES_MAX = 32;

export class Negotiation {
  #options;
  #pc;
  /** Everything happens in order. @type {Promise<void>} */
  #chain = Promise.resolve();
  #generation;
  /** Generation of our offer that waits for its answer; 0: none does. */
  #offered = 0;
  #isOfferLost = false;
  /** Generation of an offer that was not listened to. */
  #ignored = 0;
  /** @type {{ gen: number } | null} */
  #restart = null;
  /** May we offer? Not before the first offer was answered. */
  #isOpen = false;
  #isClosed = false;
  /** Nothing of ours goes out before the description it belongs to. */
  #isHeld = true;
  #isSending = false;
  /** @type {RTCIceCandidateInit[]} */
  #out = [];
  #isGathered = false;
  /** @type {{ gen: number, cands: (RTCIceCandidateInit | null)[] }[]} */
  #early = [];

  /** @param {NegotiationOptions} options */
  constructor(options) {
    this.#options = options;
    this.#generation = options.generation;
    const pc = (this.#pc = options.pc);
    pc.onnegotiationneeded = () => {
      if (this.#isOpen) this.#then(() => this.#offer());
    };
    pc.onicecandidate = ({ candidate }) => {
      if (candidate?.candidate) this.#out.push(candidate.toJSON());
      else if (!candidate) this.#isGathered = true;
      this.#flush();
    };
  }

  /** The offer that goes with an invite: generation 1. Candidates wait for `release`. */
  async firstOffer() {
    this.#generation = 1;
    this.#offered = 1;
    await this.#pc.setLocalDescription();
    return this.#pc.localDescription?.sdp ?? "";
  }

  /** The answer that goes with an accept. Candidates wait for `release`. @param {string} sdp */
  async firstAnswer(sdp) {
    this.#generation = 1;
    await this.#pc.setRemoteDescription({ type: "offer", sdp });
    await this.#options.beforeAnswer(this.#pc);
    await this.#pc.setLocalDescription();
    return this.#pc.localDescription?.sdp ?? "";
  }

  /** The server knows of our first description. */
  release() {
    this.#isHeld = false;
    if (!this.#offered) this.#settle();
    this.#then(() => this.#takeEarly());
    this.#flush();
  }

  /** Offers by itself from here on: the other side is a new page that has nothing. */
  open() {
    this.#isOpen = true;
    return this.#then(() => this.#offer());
  }

  /**
   * A new way for the media. @param {number} [gen] if the server names one
   */
  restart(gen = 0) {
    this.#isOpen = true;
    return this.#then(async () => {
      this.#restart = { gen };
      // An offer whose answer never came must not stand in the way.
      if (this.#pc.signalingState === "have-local-offer") await this.#pc.setLocalDescription({ type: "rollback" });
      this.#pc.restartIce();
      await this.#offer();
    });
  }

  /** Our offer got lost with the page that it was for. */
  offerIsLost() {
    this.#isOfferLost = true;
  }

  /** @param {any} signal from the other side */
  take(signal) {
    return this.#then(() => {
      switch (signal.kind) {
        case "offer": return this.#takeOffer(signal);
        case "answer": return this.#takeAnswer(signal);
        case "candidates": return this.#takeCandidates(signal.gen, signal.cands);
        case "end_of_candidates": return this.#takeCandidates(signal.gen, [null]);
        default: return undefined; // a rollback: the offer that follows says all
      }
    });
  }

  close() {
    this.#isClosed = true;
    this.#pc.onnegotiationneeded = null;
    this.#pc.onicecandidate = null;
  }

  /** @param {() => Promise<void> | undefined} step */
  #then(step) {
    this.#chain = this.#chain.then(() => (this.#isClosed ? undefined : step())).catch((error) => {
      if (!this.#isClosed) console.error("negotiation:", error);
    });
    return this.#chain;
  }

  async #offer() {
    // Once it is stable again the browser asks again, if it still needs to.
    if (this.#pc.signalingState !== "stable") return;
    const restart = this.#restart;
    this.#restart = null;
    const gen = Math.max(this.#generation + 1, restart?.gen ?? 0);
    this.#isHeld = true;
    this.#isGathered = false;
    await this.#pc.setLocalDescription();
    this.#generation = gen;
    this.#offered = gen;
    this.#isOfferLost = false;
    const sdp = this.#pc.localDescription?.sdp ?? "";
    const sent = this.#options.send({ kind: "offer", gen, sdp, restart: restart !== null });
    this.#isHeld = false;
    this.#flush();
    sent.then(({ delivered }) => {
      if (!delivered && this.#offered === gen) this.#isOfferLost = true;
    }, () => {
      if (this.#offered === gen) this.#isOfferLost = true;
    });
  }

  /** @param {{ gen: number, sdp: string }} signal */
  async #takeOffer({ gen, sdp }) {
    if (this.#pc.signalingState !== "stable") {
      const isOursBetter = !this.#options.isPolite && !this.#isOfferLost && gen <= this.#offered;
      if (isOursBetter) {
        this.#ignored = gen;
        return;
      }
      await this.#pc.setLocalDescription({ type: "rollback" });
    }
    this.#offered = 0;
    this.#ignored = 0;
    this.#isHeld = true;
    await this.#pc.setRemoteDescription({ type: "offer", sdp });
    this.#generation = Math.max(this.#generation, gen);
    await this.#options.beforeAnswer(this.#pc);
    await this.#pc.setLocalDescription();
    this.#options.send({ kind: "answer", gen, sdp: this.#pc.localDescription?.sdp ?? "" }).catch(() => {});
    await this.#takeEarly();
    this.#isHeld = false;
    this.#settle();
    this.#flush();
  }

  /** @param {{ gen: number, sdp: string }} signal */
  async #takeAnswer({ gen, sdp }) {
    if (gen !== this.#offered || this.#pc.signalingState !== "have-local-offer") return;
    await this.#pc.setRemoteDescription({ type: "answer", sdp });
    this.#offered = 0;
    this.#ignored = 0;
    await this.#takeEarly();
    this.#settle();
  }

  /** @param {number} gen @param {(RTCIceCandidateInit | null)[]} cands */
  async #takeCandidates(gen, cands) {
    if (gen === this.#ignored) return;
    const isEarly = !this.#pc.remoteDescription || gen > this.#generation || this.#offered === gen;
    if (isEarly) {
      this.#early.push({ gen, cands });
      return;
    }
    for (const candidate of cands) {
      // Those of an older description are refused, and no harm done.
      await this.#pc.addIceCandidate(candidate ?? undefined).catch(() => {});
    }
  }

  async #takeEarly() {
    const early = this.#early;
    this.#early = [];
    for (const { gen, cands } of early) await this.#takeCandidates(gen, cands);
  }

  #settle() {
    this.#isOpen = true;
    this.#options.onSettled?.();
  }

  /** One frame of candidates is under way at a time; the others wait and go together. No timer is needed. */
  async #flush() {
    if (this.#isHeld || this.#isSending || this.#isClosed) return;
    this.#isSending = true;
    while (this.#out.length && !this.#isHeld && !this.#isClosed) {
      const cands = this.#out.splice(0, CANDIDATES_MAX);
      await this.#options.send({ kind: "candidates", gen: this.#generation, cands }).catch(() => {});
    }
    if (this.#isGathered && !this.#out.length && !this.#isHeld && !this.#isClosed) {
      this.#isGathered = false;
      this.#options.send({ kind: "end_of_candidates", gen: this.#generation }).catch(() => {});
    }
    this.#isSending = false;
  }
}
