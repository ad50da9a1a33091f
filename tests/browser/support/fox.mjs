// Somebody with a phone of ours in Firefox.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Firefox } from "./firefox.mjs";

/** What its pretended microphone hums. */
export const FOX_TONE_HZ = 1_000;

export class Fox {
  static async open() {
    const fox = new Fox();
    fox.profile = await mkdtemp(join(tmpdir(), "turnbell-firefox-"));
    fox.firefox = await Firefox.open(fox.profile, {
      "media.navigator.streams.fake": true,
      "media.navigator.permission.disabled": true,
      "media.peerconnection.ice.loopback": true, // the daemon of these tests is on 127.0.0.1 alone
    });
    return fox;
  }

  /** As nobody that the page knows. */
  async startsAt(url) {
    await this.firefox.goto(new URL("/client/turnbell.js", url).href);
    await this.firefox.evaluate(() => [localStorage, sessionStorage].forEach((storage) => storage.clear()));
    await this.firefox.goto(url);
  }

  /**
   * Runs `body`, a function of the phone and of `part` (the inside of one of its components), until it says
   * something; null if it never does.
   */
  until(body, ...args) {
    return this.firefox.evaluate(`async (...args) => {
      const part = (name) => document.querySelector("tb-phone").shadowRoot.querySelector(name)?.shadowRoot;
      const late = performance.now() + 40_000;
      for (;;) {
        const said = await (${body})(document.querySelector("tb-phone"), part, ...args);
        if (said) return said;
        if (performance.now() > late) return null;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }`, ...args);
  }

  /** By a name, or as somebody who has a token. */
  async signIn({ name, token }) {
    await this.until((phone, part, name, token) => {
      const form = part("tb-sign-in");
      if (!form?.getElementById("name")) return false;
      form.getElementById(token ? "token" : "name").value = token ?? name;
      form.getElementById(token ? "use" : "start").click();
      return true;
    }, name, token);
    return this.until((phone) => phone.line?.state === "online" && "online");
  }

  /** "accepted", as soon as it rings. */
  accepts() {
    return this.until((phone, part) => {
      const accept = part("tb-incoming")?.getElementById("accept");
      accept?.click();
      return accept && "accepted";
    });
  }

  /** "sound", as soon as getStats says that there is some. */
  hears() {
    return this.until(async (phone) => {
      const all = [...((await phone.call?.peerConnection?.getStats()) ?? new Map()).values()];
      const inbound = all.find(({ type, kind }) => type === "inbound-rtp" && kind === "audio");
      return inbound?.totalAudioEnergy > 0.02 || inbound?.audioLevel > 0.01 ? "sound" : null;
    });
  }

  /** "quiet", once two seconds brought nothing. (What Firefox counts stays away in silence, and is louder than 0.) */
  hearsNothing() {
    return this.until(async (phone) => {
      const energy = async () => {
        const all = [...(await phone.call.peerConnection.getStats()).values()];
        return all.find(({ type, kind }) => type === "inbound-rtp" && kind === "audio")?.totalAudioEnergy ?? 0;
      };
      const before = await energy();
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      return (await energy()) - before < 0.0005 ? "quiet" : null;
    });
  }

  async close() {
    await this.firefox.close();
    await rm(this.profile, { recursive: true, force: true, maxRetries: 10 });
  }
}
