// `Peer`: the peer connection of a call, what it says to the server, and what it measures.

import { Negotiation } from "./negotiation.js";
import { mark, measure, pathOf } from "./stats.js";
import { fourWords } from "./words.js";

const FIRST_REPORT_MS = 2_000;
const REPORT_MS = 10_000;
const REPORT_RECONNECTING_MS = 2_000;

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
  remote = new MediaStream();
  #options;
  #stream = new MediaStream();
  /** @type {any} */
  #timer = null;
  /** @type {import("./stats.js").Counters | null} */
  #before = null;
  /** @type {import("./stats.js").Sample | null} */
  #last = null;
  #reported = "";
  #isClosed = false;

  /** @param {PeerOptions} options */
  constructor(options) {
    this.#options = options;
    this.pc = new RTCPeerConnection(options.ice);
    this.negotiation = new Negotiation({
      pc: this.pc,
      isPolite: options.isPolite,
      generation: options.generation,
      send: options.signal,
      beforeAnswer: async () => this.#takePlaces(),
      onSettled: () => {
        this.#spell();
        this.send(options.local); // what the other side's offer had no place for
      },
    });
    this.pc.ontrack = ({ track }) => {
      if (!this.remote.getTracks().includes(track)) this.remote.addTrack(track);
      track.onended = () => this.remote.removeTrack(track);
      track.onmute = track.onunmute = () => options.onChange();
      options.onRemote(this.remote);
    };
    this.pc.onconnectionstatechange = () => this.#connectionChanged();
    if (options.makesOffer) this.#makePlaces();
  }

  /** @param {RTCConfiguration} ice @param {RTCIceTransportPolicy} [policy] */
  setIce(ice, policy = this.pc.getConfiguration().iceTransportPolicy) {
    if (!this.#isClosed) this.pc.setConfiguration({ ...ice, iceTransportPolicy: policy });
  }

  /** Puts these tracks in place of what was sent before. @param {import("./media.js").LocalMedia} local */
  send(local) {
    this.#put("audio", local.audio);
    this.#put("video", local.video);
  }

  /** The last report of the call. */
  reportFinal() {
    if (this.#last) this.#options.report("quality.report", { ...this.#last, final: true });
  }

  close() {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.negotiation.close();
    this.pc.ontrack = this.pc.onconnectionstatechange = null;
    this.pc.close();
  }

  /** Our first offer has a line for all that the call is made of, whether we have the device or not. */
  #makePlaces() {
    const { media, local } = this.#options;
    if (media.audio) this.#place("audio", local.audio);
    if (media.video || local.video) this.#place("video", local.video);
  }

  /** The lines of a remote offer, filled with what we have. */
  async #takePlaces() {
    for (const transceiver of this.pc.getTransceivers()) {
      const { kind } = transceiver.receiver.track;
      const track = kind === "audio" ? this.#options.local.audio : this.#options.local.video;
      if (transceiver.direction === "stopped" || transceiver.sender.track === track) continue;
      if (transceiver.direction === "recvonly") transceiver.direction = "sendrecv";
      if (transceiver.direction === "inactive") transceiver.direction = "sendonly";
      transceiver.sender.setStreams?.(this.#stream);
      await transceiver.sender.replaceTrack(track);
    }
  }

  /** @param {"audio" | "video"} kind @param {MediaStreamTrack | null} track */
  #place(kind, track) {
    this.pc.addTransceiver(track ?? kind, { direction: "sendrecv", streams: [this.#stream] });
  }

  /** @param {"audio" | "video"} kind @param {MediaStreamTrack | null} track */
  #put(kind, track) {
    const place = this.pc.getTransceivers().find((one) => one.receiver.track.kind === kind && one.direction !== "stopped");
    if (!place) {
      if (track) this.#place(kind, track); // negotiated when it is needed
      return;
    }
    if (place.direction === "recvonly" && track) place.direction = "sendrecv";
    place.sender.replaceTrack(track).catch((error) => console.error(error));
  }

  async #connectionChanged() {
    const status = this.pc.connectionState;
    if (this.#isClosed || status === "new" || status === "closed") return;
    const pair = status === "connected" ? pathOf((await this.pc.getStats()).values()) : undefined;
    if (this.#isClosed || this.pc.connectionState !== status) return;
    const said = JSON.stringify([status, pair]);
    if (said === this.#reported) return;
    this.#reported = said;
    this.#options.report("call.media", { status, pair });
    if (status === "connected") {
      this.#spell();
      this.#measureIn(FIRST_REPORT_MS);
    }
  }

  async #spell() {
    const { currentLocalDescription: local, currentRemoteDescription: remote } = this.pc;
    if (!local || !remote) return;
    const words = await fourWords(local.sdp, remote.sdp);
    if (words && !this.#isClosed) this.#options.onWords(words);
  }

  /** @param {number} ms */
  #measureIn(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#measure(), ms);
  }

  async #measure() {
    const all = (await this.pc.getStats()).values();
    if (this.#isClosed) return;
    const { sample, counters } = measure(all, performance.now(), this.#before);
    const isFirst = this.#before === null;
    this.#before = counters;
    this.#last = sample;
    if (!isFirst) this.#options.report("quality.report", { ...sample });
    this.#options.onQuality({ ...sample, mark: mark(sample) });
    this.#measureIn(this.#options.state() === "reconnecting" ? REPORT_RECONNECTING_MS : REPORT_MS);
  }
}
