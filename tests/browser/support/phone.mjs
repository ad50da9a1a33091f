// People with a phone of ours in a browser: each a profile of their own, a microphone that plays a tone.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Conversation } from "../../client/support/schema.mjs";
import { openChromium } from "./browser.mjs";

export const TONE_HZ = 440;
/** Title of the tab that is shared, where the browser was started to choose it. */
export const SCREEN = "Slides to share";

/** A browser whose microphone hears a tone for ever, on and off: what never changes is filtered out as noise. */
export async function openPhoneBrowser(more = []) {
  const directory = await mkdtemp(join(tmpdir(), "turnbell-tone-"));
  const tone = join(directory, "tone.wav");
  await writeFile(tone, wav(TONE_HZ, 4));
  const browser = await openChromium(undefined, [
    "--use-fake-device-for-media-stream", `--use-file-for-fake-audio-capture=${tone}`, ...more,
  ]);
  return { browser, close: async () => {
    await browser.close();
    await rm(directory, { recursive: true, force: true });
  } };
}

function wav(hertz, seconds, rate = 48_000) {
  const samples = rate * seconds;
  const bytes = Buffer.alloc(44 + 2 * samples);
  bytes.write("RIFF", 0);
  bytes.writeUInt32LE(36 + 2 * samples, 4);
  bytes.write("WAVEfmt ", 8);
  bytes.writeUInt32LE(16, 16);
  bytes.writeUInt16LE(1, 20);
  bytes.writeUInt16LE(1, 22);
  bytes.writeUInt32LE(rate, 24);
  bytes.writeUInt32LE(2 * rate, 28);
  bytes.writeUInt16LE(2, 32);
  bytes.writeUInt16LE(16, 34);
  bytes.write("data", 36);
  bytes.writeUInt32LE(2 * samples, 40);
  for (let at = 0; at < samples; at += 1) {
    const volume = at % (rate / 2) < rate / 4 ? 12_000 : 0;
    bytes.writeInt16LE(Math.round(volume * Math.sin((2 * Math.PI * hertz * at) / rate)), 44 + 2 * at);
  }
  return bytes;
}

export class Person {
  /** `relayOnly`: the page's connections may use relayed candidates only. */
  static async arrive(browser, url, name, { relayOnly = false, microphone = true, init, path = "", ...options } = {}) {
    const person = new Person();
    person.name = name;
    person.context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    if (microphone) await person.context.grantPermissions(["microphone", "camera"], { origin: new URL(url).origin });
    if (relayOnly) await person.context.addInitScript(forceRelay);
    await person.context.addInitScript(watchPolicy);
    if (init) await person.context.addInitScript(init);
    await person.open(url + path);
    if (name) await person.signIn();
    return person;
  }

  async open(url) {
    this.complaints ??= [];
    this.page = await this.context.newPage();
    this.page.on("console", (message) => {
      const { url: of } = message.location();
      // A browser asks for its icon where it likes.
      if (message.type() === "error" && !of.endsWith("/favicon.ico")) this.complaints.push(`${message.text()} ${of}`);
    });
    this.page.on("pageerror", (error) => this.complaints.push(String(error)));
    /** The server has let the page in. */
    this.isOnline = new Promise((resolve) => {
      this.page.on("websocket", (socket) => {
        const said = new Conversation(); // what is against the schema is a complaint
        said.faults = this.complaints;
        socket.on("framesent", ({ payload }) => said.toServer(JSON.parse(payload)));
        socket.on("framereceived", ({ payload }) => {
          const frame = JSON.parse(payload);
          said.toClient(frame);
          if (frame.t === "welcome") resolve();
        });
      });
    });
    await this.page.goto(url);
  }

  async signIn() {
    await this.page.getByLabel("Your name").fill(this.name).catch((cause) => {
      throw new Error(`no form for ${this.name} at ${this.page.url()}: ${JSON.stringify(this.complaints)}`, { cause });
    });
    await this.page.getByRole("button", { name: /^(Start|Join the call)$/ }).click();
  }

  sees(name) {
    return this.page.locator("tb-dialer li").filter({ hasText: name }).waitFor();
  }

  async calls(name, video = false) {
    await this.page.getByRole("button", { name: `${video ? "Video call" : "Call"} ${name}`, exact: true }).first().click();
  }

  incoming() {
    return this.page.getByRole("alertdialog");
  }

  async accepts() {
    await this.incoming().getByRole("button", { name: "Accept", exact: true }).click();
  }

  /** The button of an active call. */
  control(name) {
    return this.page.locator("tb-active-call").getByRole("button", { name, exact: true });
  }

  hangsUp() {
    return this.control("Hang up").click();
  }

  /** Waits until `tb-phone`'s call is in this state. */
  callIs(state) {
    return this.page.waitForFunction((wanted) => {
      const { call } = document.querySelector("tb-phone");
      return (call?.state ?? "none") === wanted;
    }, state, { timeout: 30_000 }).catch(async (error) => {
      const known = await this.page.evaluate(() => {
        const { call, line } = document.querySelector("tb-phone");
        const { signalingState, iceConnectionState, iceGatheringState, connectionState } = call?.peerConnection ?? {};
        return { line: line?.state, call: call?.state, signalingState, iceConnectionState, iceGatheringState, connectionState };
      });
      throw new Error(`${this.name}'s call is not ${state}: ${JSON.stringify(known)}`, { cause: error });
    });
  }

  /** Waits until `found` says true. (`waitForFunction` takes a promise for true.) */
  async until(found, what, patienceMs = 20_000) {
    const late = performance.now() + patienceMs;
    while (!(await found())) {
      if (performance.now() > late) throw new Error(`${this.name}: never ${what}`);
      await this.page.waitForTimeout(100);
    }
  }

  /** Waits until what is heard has grown as a tone makes it grow. */
  async hearsMore() {
    const { energy } = await this.hears();
    await this.until(async () => (await this.hears()).energy > energy + 0.02, "heard more");
  }

  /** Waits until the loudest pitch that arrives is this one, Hz; sound that came late has another. */
  async hearsTone(hertz) {
    await this.until(async () => Math.abs((await this.page.evaluate(pitchOf)) - hertz) < 30, `heard ${hertz} Hz`);
  }

  /** Waits until a second (two beats of the tone) brought nothing. */
  async hearsNothing() {
    await this.until(async () => {
      const { energy } = await this.hears();
      await this.page.waitForTimeout(1_000);
      return (await this.hears()).energy - energy < 0.0005;
    }, "heard nothing");
  }

  /** What getStats says of the sound that comes in, and by which way. */
  hears() {
    return this.page.evaluate(async () => {
      const { call } = document.querySelector("tb-phone");
      const all = [...(await call.peerConnection.getStats()).values()];
      const byId = new Map(all.map((stat) => [stat.id, stat]));
      const inbound = all.find(({ type, kind }) => type === "inbound-rtp" && kind === "audio");
      const transport = all.find(({ type }) => type === "transport");
      const pair = byId.get(transport?.selectedCandidatePairId);
      return {
        energy: inbound?.totalAudioEnergy ?? 0,
        local: byId.get(pair?.localCandidateId)?.candidateType,
        remote: byId.get(pair?.remoteCandidateId)?.candidateType,
      };
    });
  }

  /** The token of whoever is signed in. */
  token() {
    return this.page.evaluate(() => {
      const key = Object.keys(localStorage).find((name) => name.startsWith("turnbell:account:"));
      return JSON.parse(localStorage.getItem(key)).token;
    });
  }

  /** A tab to share; it moves, as captures of what stands still send nothing. */
  async openScreen(viewport) {
    const tab = await this.context.newPage();
    await tab.setViewportSize(viewport);
    await tab.setContent(`<title>${SCREEN}</title><h1 id="count">0</h1>`);
    await tab.evaluate(() => setInterval(() => (document.getElementById("count").textContent += "."), 200));
    return tab;
  }

  words() {
    return this.page.locator("tb-active-call #four").textContent();
  }

  close() {
    return this.context.close();
  }
}

/** In a page in a call: the loudest pitch that arrives, Hz. */
async function pitchOf() {
  const { call } = document.querySelector("tb-phone");
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  analyser.fftSize = 4096;
  context.createMediaStreamSource(call.remoteStream).connect(analyser);
  const bins = new Uint8Array(analyser.frequencyBinCount);
  const late = performance.now() + 15_000;
  let loudest = 0;
  do {
    await new Promise((resolve) => requestAnimationFrame(resolve));
    analyser.getByteFrequencyData(bins);
    loudest = bins.indexOf(Math.max(...bins));
  } while (bins[loudest] < 100 && performance.now() < late);
  const hertz = (loudest * context.sampleRate) / analyser.fftSize;
  await context.close();
  return hertz;
}

function forceRelay() {
  const Plain = globalThis.RTCPeerConnection;
  globalThis.RTCPeerConnection = class extends Plain {
    constructor(config) {
      super({ ...config, iceTransportPolicy: "relay" });
    }

    setConfiguration(config) {
      super.setConfiguration({ ...config, iceTransportPolicy: "relay" });
    }
  };
}

function watchPolicy() {
  addEventListener("securitypolicyviolation", (event) => {
    console.error(`content security policy: ${event.violatedDirective} ${event.blockedURI}`);
  });
}
