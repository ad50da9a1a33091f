// Browser globals that calls touch: streams, tracks, devices, peer connections. Imported for its effect.

import { FakePeerConnection } from "./rtc.mjs";

export class FakeTrack extends EventTarget {
  enabled = true;
  readyState = "live";
  muted = false;

  constructor(kind, deviceId = "default") {
    super();
    this.kind = kind;
    this.deviceId = deviceId;
  }

  stop() {
    this.readyState = "ended";
  }

  getSettings() {
    return { deviceId: this.deviceId };
  }
}

export const devices = { refuse: null, opened: [] };
/** Every connection that was made. */
export const connections = [];

globalThis.MediaStream = class {
  #tracks;
  constructor(tracks = []) {
    this.#tracks = [...tracks];
  }

  getTracks() {
    return this.#tracks;
  }

  getAudioTracks() {
    return this.#tracks.filter(({ kind }) => kind === "audio");
  }

  getVideoTracks() {
    return this.#tracks.filter(({ kind }) => kind === "video");
  }

  addTrack(track) {
    this.#tracks.push(track);
  }
};

globalThis.RTCPeerConnection = class extends FakePeerConnection {
  constructor(configuration) {
    super(configuration);
    connections.push(this);
  }
};

Object.defineProperty(globalThis, "navigator", {
  configurable: true,
  value: { mediaDevices: {
    async getUserMedia({ audio, video }) {
      if (devices.refuse) throw Object.assign(new Error("no"), { name: devices.refuse });
      const track = new FakeTrack(audio ? "audio" : "video", (audio ?? video).deviceId?.exact);
      devices.opened.push(track);
      return new MediaStream([track]);
    },
  } },
});

export function reset() {
  devices.refuse = null;
  devices.opened.length = 0;
  connections.length = 0;
}
