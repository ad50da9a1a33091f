// Peer connections without a network: as much of the state machine as negotiations need.

/** Runs what is queued in this process until nothing is left to run. */
export const settle = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

export class FakePeerConnection {
  signalingState = "stable";
  connectionState = "new";
  localDescription = null;
  remoteDescription = null;
  currentLocalDescription = null;
  currentRemoteDescription = null;
  candidates = [];
  restarts = 0;
  isClosed = false;
  #number = 0;
  #needed = false;
  static count = 0;

  constructor(configuration) {
    this.configuration = configuration;
    this.name = `pc${++FakePeerConnection.count}`;
    this.transceivers = [];
  }

  addTransceiver(kind) {
    this.transceivers.push({ receiver: { track: { kind: kind.kind ?? kind } }, sender: { replaceTrack: async () => {} }, direction: "sendrecv" });
    this.need();
  }

  getTransceivers() {
    return this.transceivers;
  }

  getConfiguration() {
    return this.configuration;
  }

  setConfiguration(configuration) {
    this.configuration = configuration;
  }

  async getStats() {
    return new Map();
  }

  /** As if a track was added: the event comes later, and again once it is stable. */
  need() {
    this.#needed = true;
    queueMicrotask(() => this.#tellNeeded());
  }

  restartIce() {
    this.restarts += 1;
    this.need();
  }

  #tellNeeded() {
    if (this.#needed && this.signalingState === "stable") this.onnegotiationneeded?.();
  }

  async setLocalDescription(description) {
    await null;
    if (description?.type === "rollback") {
      if (this.signalingState !== "have-local-offer") throw new Error("nothing to roll back");
      this.localDescription = null;
      this.#needed = true;
      return this.#become("stable");
    }
    if (this.signalingState === "have-remote-offer") {
      this.localDescription = { type: "answer", sdp: `answer of ${this.name} to ${this.remoteDescription.sdp}` };
      this.currentLocalDescription = this.localDescription;
      this.currentRemoteDescription = this.remoteDescription;
      return this.#become("stable");
    }
    if (this.signalingState !== "stable") throw new Error(`an offer in ${this.signalingState}`);
    this.localDescription = { type: "offer", sdp: `offer ${++this.#number} of ${this.name}` };
    this.#needed = false;
    this.#become("have-local-offer");
    this.find(`candidate of ${this.name}`);
  }

  async setRemoteDescription({ type, sdp }) {
    await null;
    if (type === "offer") {
      if (this.signalingState !== "stable") throw new Error(`a remote offer in ${this.signalingState}`);
      this.remoteDescription = { type, sdp };
      return this.#become("have-remote-offer");
    }
    if (this.signalingState !== "have-local-offer") throw new Error(`an answer in ${this.signalingState}`);
    if (!sdp.endsWith(this.localDescription.sdp)) throw new Error(`${sdp} is not for ${this.localDescription.sdp}`);
    this.remoteDescription = { type, sdp };
    this.currentLocalDescription = this.localDescription;
    this.currentRemoteDescription = this.remoteDescription;
    this.#become("stable");
  }

  async addIceCandidate(candidate) {
    if (!this.remoteDescription) throw new Error("no remote description");
    this.candidates.push(candidate?.candidate ?? null);
  }

  find(candidate) {
    this.onicecandidate?.({ candidate: { candidate, toJSON: () => ({ candidate, sdpMid: "0" }) } });
  }

  #become(state) {
    this.signalingState = state;
    if (state === "stable") queueMicrotask(() => this.#tellNeeded());
  }

  connect(state = "connected") {
    this.connectionState = state;
    this.onconnectionstatechange?.();
  }

  close() {
    this.isClosed = true;
  }
}
