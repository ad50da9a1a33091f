// What we send: microphone, camera or screen, of the user's choice, and what becomes of it when a plug is pulled.

import { Emitter } from "./emitter.js";
import { TurnbellError, ensureSecureContext, fromDevice } from "./errors.js";

/**
 * @typedef {{ device: "microphone" | "camera", isReplaced: boolean, error: TurnbellError | null }} Unplugged
 *   `error`: why the default one is not used in its place
 *
 * @typedef {object} MediaEvents
 * @property {void} change which tracks there are
 * @property {Unplugged} unplugged it was pulled out, or the browser took it away
 */

/** @extends {Emitter<MediaEvents>} */
export class LocalMedia extends Emitter {
  /** @type {MediaStreamTrack | null} */
  audio = null;
  /** @type {MediaStreamTrack | null} */
  camera = null;
  /** @type {MediaStreamTrack | null} */
  screen = null;
  #isClosed = false;

  /** What goes out as picture. */
  get video() {
    return this.screen ?? this.camera;
  }

  /** @param {string} [id] of a device; the default one without */
  async openMicrophone(id) {
    const track = await open("microphone", id);
    this.#replace("audio", track);
  }

  /** @param {string} [id] */
  async openCamera(id) {
    const track = await open("camera", id);
    this.#replace("camera", track);
  }

  closeCamera() {
    this.#replace("camera", null);
  }

  async openScreen() {
    ensureSecureContext();
    let stream;
    try {
      stream = await navigator.mediaDevices.getDisplayMedia({ video: true });
    } catch (cause) {
      throw new TurnbellError("screen_denied", { cause });
    }
    this.#replace("screen", stream.getVideoTracks()[0]);
  }

  closeScreen() {
    this.#replace("screen", null);
  }

  /** Lets go of all devices. */
  close() {
    this.#isClosed = true;
    for (const track of [this.audio, this.camera, this.screen]) track?.stop();
    this.audio = this.camera = this.screen = null;
  }

  /** @param {"audio" | "camera" | "screen"} place @param {MediaStreamTrack | null} track */
  #replace(place, track) {
    if (this.#isClosed) return void track?.stop();
    const before = this[place];
    this[place] = track;
    if (before) {
      before.onended = null;
      before.stop();
      if (track) track.enabled = before.enabled;
    }
    // By the user's pulling a plug, or by the browser's own button; not by `stop`.
    if (track) track.onended = () => this.#ended(place, track);
    this.emit("change", undefined);
  }

  /** @param {"audio" | "camera" | "screen"} place @param {MediaStreamTrack} track */
  async #ended(place, track) {
    if (this.#isClosed || this[place] !== track) return;
    if (place === "screen") return this.closeScreen();
    const device = place === "audio" ? "microphone" : "camera";
    /** @type {TurnbellError | null} */
    let error = null;
    try {
      if (device === "microphone") await this.openMicrophone();
      else await this.openCamera();
    } catch (refusal) {
      error = /** @type {TurnbellError} */ (refusal);
      if (this[place] === track) this.#replace(place, null);
    }
    if (!this.#isClosed) this.emit("unplugged", { device, isReplaced: error === null, error });
  }
}

/**
 * @param {"microphone" | "camera"} device
 * @param {string} [id]
 */
async function open(device, id) {
  ensureSecureContext();
  const chosen = id ? { deviceId: { exact: id } } : {};
  const constraints = device === "microphone"
    ? { audio: { ...chosen, echoCancellation: true, noiseSuppression: true, autoGainControl: true } }
    : { video: { ...chosen, width: { ideal: 1280 }, height: { ideal: 720 } } };
  try {
    const stream = await navigator.mediaDevices.getUserMedia(constraints);
    return stream.getTracks()[0];
  } catch (cause) {
    throw fromDevice(cause, device);
  }
}

/**
 * The devices there are. Names, and all but one of a kind, are kept back until the browser was allowed to use one.
 * @returns {Promise<{ microphones: MediaDeviceInfo[], cameras: MediaDeviceInfo[], speakers: MediaDeviceInfo[] }>}
 */
export async function devices() {
  const all = await (navigator.mediaDevices?.enumerateDevices() ?? []);
  const of = (/** @type {MediaDeviceKind} */ kind) => all.filter((one) => one.kind === kind);
  const canChooseSpeaker = "setSinkId" in HTMLMediaElement.prototype;
  return {
    microphones: of("audioinput"),
    cameras: of("videoinput"),
    speakers: canChooseSpeaker ? of("audiooutput") : [],
  };
}

/**
 * Tells of devices that are plugged in or pulled out.
 * @param {() => void} changed
 * @returns {() => void} ends it
 */
export function onDevices(changed) {
  navigator.mediaDevices?.addEventListener("devicechange", changed);
  return () => navigator.mediaDevices?.removeEventListener("devicechange", changed);
}

/** How loud a stream is, 0 to 1; ask it as often as you paint. */
export class Meter {
  #context;
  #analyser;
  #samples;

  /** @param {MediaStream} stream */
  constructor(stream) {
    this.#context = new AudioContext();
    this.#analyser = this.#context.createAnalyser();
    this.#analyser.fftSize = 512;
    this.#samples = new Float32Array(this.#analyser.fftSize);
    this.#context.createMediaStreamSource(stream).connect(this.#analyser);
  }

  level() {
    this.#analyser.getFloatTimeDomainData(this.#samples);
    const sum = this.#samples.reduce((all, sample) => all + sample * sample, 0);
    const decibels = 10 * Math.log10(sum / this.#samples.length + 1e-10);
    return Math.min(1, Math.max(0, (decibels + 60) / 50)); // -60 dB is silence, -10 dB loud
  }

  close() {
    this.#context.close().catch(() => {});
  }
}

/**
 * Opens a microphone and says how loud it is, until `close`.
 * @param {string} [id] of the device
 * @returns {Promise<{ level: () => number, label: string, stream: MediaStream, close: () => void }>}
 */
export async function testMicrophone(id) {
  const track = await open("microphone", id);
  const stream = new MediaStream([track]);
  const meter = new Meter(stream);
  const close = () => {
    meter.close();
    track.stop();
  };
  return { level: () => meter.level(), label: track.label, stream, close };
}
