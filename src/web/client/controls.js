// What a person can see of a call and do in it: mute, hold, camera, screen, other devices.

import { Emitter } from "./emitter.js";
import { LocalMedia } from "./media.js";

/**
 * @typedef {import("./call_types.js").CallEvents} CallEvents
 * @typedef {import("./call_types.js").CallOptions} CallOptions
 * @typedef {import("./call_types.js").CallState} CallState
 * @typedef {import("./call_types.js").Host} Host
 * @typedef {import("./call_types.js").Other} Other
 * @typedef {import("./call_types.js").Quality} Quality
 */

/** @extends {Emitter<CallEvents>} */
export class Controls extends Emitter {
  /** Empty before the server has named it. */
  id = "";
  /** @type {CallState} */
  state = "new";
  /** Why it ended. */
  reason = "";
  /** @type {"outgoing" | "incoming"} */
  direction;
  /** What it was made for; either side may add a camera later. */
  media = { audio: true, video: false };
  /** @type {Other} */
  peer;
  /** This tab was in it, before its page was loaded again. */
  wasHere = false;
  /** The user is in another call. */
  isWaiting = false;
  /** When it was accepted, by the server's clock. @type {number | null} */
  answeredAt = null;
  isMuted = false;
  isOnHold = false;
  /** The same on both sides if nobody sits between. @type {string[] | null} */
  words = null;
  /** @type {Quality | null} */
  quality = null;
  /** Own devices. */
  local = new LocalMedia();

  /** @protected @type {CallOptions} */
  chosen = {};
  /** What the other side was told of us. @type {Record<string, boolean>} */
  #told = {};
  #hadPicture = false;
  #host;

  /** @param {Host} host @param {"outgoing" | "incoming"} direction @param {Partial<Other>} peer */
  constructor(host, direction, peer) {
    super();
    this.#host = host;
    this.direction = direction;
    this.peer = {
      user: "", name: "", verified: false, muted: false, video_muted: false, hold: false, screen: false,
      signaling_lost: false, ...peer,
    };
    // They end with `local.close`.
    this.local.on("change", () => this.#localChanged());
    this.local.on("unplugged", (what) => {
      this.chosen = { ...this.chosen, [what.device]: undefined };
      this.emit("unplugged", what);
    });
  }

  get isCameraOn() {
    return this.local.camera !== null;
  }

  /** Nothing is heard of us: muted, or there is no microphone. */
  get isSilent() {
    return this.isMuted || this.local.audio === null;
  }

  get isSharing() {
    return this.local.screen !== null;
  }

  /** @param {boolean} isMuted */
  mute(isMuted) {
    this.isMuted = isMuted;
    this.apply();
    this.#tellSeen();
  }

  /** Both sides hear nothing until it is taken back. @param {boolean} isOnHold */
  async hold(isOnHold) {
    await this.#host.request("call.update", { call: this.id, hold: isOnHold });
    this.isOnHold = isOnHold;
    this.apply();
    this.emit("update", undefined);
  }

  /** @param {boolean} isOn */
  async setCamera(isOn) {
    if (isOn) await this.local.openCamera(this.chosen.camera || undefined);
    else this.local.closeCamera();
  }

  /** @param {boolean} isOn */
  async shareScreen(isOn) {
    if (isOn) await this.local.openScreen();
    else this.local.closeScreen();
  }

  /** Also for who has none so far. @param {string} [id] the default one without */
  async useMicrophone(id) {
    await this.local.openMicrophone(id);
    this.chosen = { ...this.chosen, microphone: id };
  }

  /** @param {string} id */
  async useCamera(id) {
    this.chosen = { ...this.chosen, camera: id };
    if (this.isCameraOn) await this.local.openCamera(id);
  }

  /** @param {number} score 1 (bad) to 5 @param {string} [issue] */
  feedback(score, issue) {
    return this.#host.request("feedback", { call: this.id, score, issue });
  }

  #localChanged() {
    this.apply();
    this.#tellSeen();
    this.emit("local", new MediaStream([this.local.audio, this.local.video].filter((track) => track !== null)));
    this.emit("update", undefined);
  }

  /**
   * What has changed of what the other side sees and hears. That a picture stops is told with the end of a screen, too:
   * it is not to be seen from the track (Firefox shows the last one for ever).
   */
  #tellSeen() {
    if (this.answeredAt === null) return this.emit("update", undefined);
    this.#hadPicture ||= this.media.video || this.local.video !== null;
    const seen = { muted: this.isSilent, screen: this.isSharing, video_muted: this.#hadPicture && !this.isCameraOn };
    const changes = Object.entries(seen).filter(([name, is]) => is !== (this.#told[name] ?? false));
    this.#told = seen;
    if (changes.length) this.tell(Object.fromEntries(changes));
    else this.emit("update", undefined);
  }

  /** @protected Who holds or is held is neither heard nor seen. */
  apply() {
    const flows = !this.isOnHold && !this.peer.hold;
    if (this.local.audio) this.local.audio.enabled = flows && !this.isMuted;
    for (const track of [this.local.camera, this.local.screen]) {
      if (track) track.enabled = flows;
    }
  }

  /** @protected What the other side could not know before. */
  tellAll() {
    this.#told = {};
    this.#tellSeen();
  }

  /** @protected @param {Record<string, boolean>} changes */
  tell(changes) {
    if (this.answeredAt !== null) this.#host.request("call.update", { call: this.id, ...changes }).catch(() => {});
    this.emit("update", undefined);
  }
}
