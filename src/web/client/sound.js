// What is heard of a call that rings, made here: no file to load. It loops by itself; no timer is needed.

import { Emitter } from "./emitter.js";

/** Pairs of tones in Hz, as [from, to] in seconds, and how long the pattern is. */
const PATTERNS = {
  /** Somebody calls. */
  ring: { length: 3, notes: [[659, 0, 0.22], [880, 0.24, 0.46], [659, 0.62, 0.84], [880, 0.86, 1.2]], volume: 0.35 },
  /** We call, and it rings there. */
  ringback: { length: 4, notes: [[425, 0, 1]], volume: 0.12 },
};

/** @extends {Emitter<{ unlocked: boolean }>} */
export class Ringer extends Emitter {
  /** @type {AudioContext | null} */
  #context = null;
  /** @type {AudioBufferSourceNode | null} */
  #playing = null;

  /** Whether the browser lets this page make a sound. */
  get isUnlocked() {
    return this.#context?.state === "running";
  }

  /** Listens for the first tap or key in `page`, which lets sound out. @param {EventTarget} page */
  listen(page) {
    const unlock = () => this.unlock();
    page.addEventListener("pointerdown", unlock, { once: true, capture: true });
    page.addEventListener("keydown", unlock, { once: true, capture: true });
  }

  /** Run it in a tap. */
  async unlock() {
    const context = this.#open();
    if (context.state !== "running") await context.resume().catch(() => {});
  }

  /** @param {keyof typeof PATTERNS} name */
  play(name) {
    this.stop();
    const context = this.#open();
    const source = context.createBufferSource();
    source.buffer = render(context, PATTERNS[name]);
    source.loop = true;
    source.connect(context.destination);
    source.start();
    this.#playing = source;
  }

  stop() {
    this.#playing?.stop();
    this.#playing = null;
  }

  get isPlaying() {
    return this.#playing !== null;
  }

  #open() {
    if (!this.#context) {
      this.#context = new AudioContext();
      this.#context.onstatechange = () => this.emit("unlocked", this.isUnlocked);
    }
    return this.#context;
  }
}

/** @param {BaseAudioContext} context @param {{ length: number, notes: number[][], volume: number }} pattern */
function render(context, { length, notes, volume }) {
  const rate = context.sampleRate;
  const buffer = context.createBuffer(1, length * rate, rate);
  const samples = buffer.getChannelData(0);
  for (const [pitch, from, to] of notes) {
    for (let at = Math.floor(from * rate); at < to * rate; at += 1) {
      const second = at / rate;
      // Soft at both ends, so that nothing clicks.
      const shape = Math.min(1, (second - from) / 0.02, (to - second) / 0.08);
      samples[at] += volume * shape * Math.sin(2 * Math.PI * pitch * second);
    }
  }
  return buffer;
}
