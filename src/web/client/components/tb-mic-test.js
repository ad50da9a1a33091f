// `<tb-mic-test>`: shows how loud the microphone is, and lets choose it, and camera and speaker, for calls to come.

import { onDevices, testMicrophone } from "../media.js";
import { chosen, choices } from "./device_choice.js";
import { Part, define, h, icon, sheet } from "./base.js";
import { text } from "./texts.js";

const STYLE = sheet(`
:host { display: block; }
.bars { display: grid; grid-template-columns: repeat(20, 1fr); gap: 3px; height: 1.75rem; margin: 0.75rem 0 0.5rem; }
.bars i { border-radius: 3px; background: var(--line); }
.bars i.on { background: var(--accent); }
.bars i.loud { background: #d9a21b; }
#toggle { margin-top: 0.75rem; }
.choices { display: grid; gap: 0.75rem; margin-top: 0.75rem; }
.choices select { margin-top: 0.25rem; }
.notice { margin-top: 0.75rem; }
`);
const HEARD = 0.25;
const BARS = 20;

export class TbMicTest extends Part {
  /** @type {Awaited<ReturnType<typeof testMicrophone>> | null} */
  #test = null;
  #frame = 0;
  #wasHeard = false;

  constructor() {
    super(STYLE);
    this.root.append(
      h("h2", {}, text("mic_test")),
      h("p", { class: "quiet small" }, text("mic_hint")),
      h("button", { id: "toggle", onclick: () => (this.#test ? this.stop() : this.start()) }, icon("mic"), h("span", { id: "label" }, text("mic_start"))),
      h("div", { id: "on", hidden: true },
        h("div", { class: "bars", id: "bars", "aria-hidden": "true" }, ...Array.from({ length: BARS }, () => h("i"))),
        h("p", { id: "verdict", class: "quiet", role: "status" }),
        h("div", { id: "choices", class: "choices" })),
      h("div", { id: "problem", class: "notice", role: "alert", hidden: true }));
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.stop();
  }

  /** The device that was chosen. */
  get deviceId() {
    return this.#get("choose-microphone")?.value || undefined;
  }

  /** @param {string} id @returns {any} */
  #get(id) {
    return this.root.getElementById(id);
  }

  /** @param {string} [id] of a device */
  async start(id) {
    this.stop();
    this.#get("problem").hidden = true;
    try {
      this.#test = await testMicrophone(id ?? (await chosen()).microphone);
    } catch (error) {
      const { message, cure } = /** @type {any} */ (error);
      this.#get("problem").replaceChildren(h("div", {}, h("p", {}, message), h("p", {}, cure)));
      this.#get("problem").hidden = false;
      return;
    }
    this.until(onDevices(() => this.#list()));
    await this.#list();
    this.#wasHeard = false;
    this.#get("on").hidden = false;
    this.#get("label").textContent = text("mic_stop");
    this.#get("verdict").textContent = text("mic_say");
    this.#paint();
  }

  async #list() {
    const microphone = this.#test?.stream.getAudioTracks()[0]?.getSettings().deviceId;
    const focused = this.root.activeElement?.id;
    this.#get("choices").replaceChildren(...await choices({ microphone }, (kind, one) => kind === "microphone" && this.start(one)));
    if (focused?.startsWith("choose-")) this.#get(focused)?.focus();
  }

  stop() {
    this.release();
    cancelAnimationFrame(this.#frame);
    this.#test?.close();
    this.#test = null;
    this.#get("on").hidden = true;
    this.#get("label").textContent = text("mic_start");
  }

  #paint() {
    if (!this.#test) return;
    this.#frame = requestAnimationFrame(() => this.#paint());
    const level = this.#test.level();
    const lit = Math.round(level * BARS);
    [...this.#get("bars").children].forEach((bar, at) => {
      bar.className = at >= lit ? "" : at >= BARS * 0.85 ? "loud" : "on";
    });
    if (level > HEARD && !this.#wasHeard) {
      this.#wasHeard = true;
      this.#get("verdict").textContent = text("mic_good");
    }
  }
}

define("tb-mic-test", TbMicTest);
