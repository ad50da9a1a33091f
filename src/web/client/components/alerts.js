// How a page draws attention to a call: sound, its title and, where allowed, a notification.

import { Ringer } from "../sound.js";
import { text } from "./texts.js";

export class Alerts {
  ringer = new Ringer();
  /** @type {Notification | null} */
  #notification = null;
  #title = document.title;
  /** @type {Set<import("../call.js").Call>} */
  #ringing = new Set();

  constructor() {
    this.ringer.listen(document);
  }

  /** @param {import("../call.js").Call} call */
  ring(call) {
    this.#ringing.add(call);
    const name = call.peer.name || call.peer.user;
    const said = text("incoming_audio", { name });
    document.title = `☎ ${said}`;
    this.ringer.play("ring");
    if (document.visibilityState === "hidden" && globalThis.Notification?.permission === "granted") {
      this.#notification = new Notification(said, { tag: call.id, requireInteraction: true });
      this.#notification.onclick = () => globalThis.focus();
    }
    const off = call.on("state", () => {
      off();
      this.#stop(call);
    });
    call.on("ended", () => this.#stop(call));
  }

  /** We call: what is heard until somebody answers. @param {import("../call.js").Call} call */
  ringback(call) {
    const hear = () => {
      if (call.state === "ringing") this.ringer.play("ringback");
      else if (this.#ringing.size === 0) this.ringer.stop();
    };
    call.on("state", hear);
  }

  /** @param {import("../call.js").Call} call */
  #stop(call) {
    if (!this.#ringing.delete(call) || this.#ringing.size) return;
    this.ringer.stop();
    document.title = this.#title;
    this.#notification?.close();
    this.#notification = null;
  }
}
