// `<tb-active-call>`: a call that is made or going on. Set `call`. Events: `tb-ended` (detail: the call).

import { Meter, onDevices } from "../media.js";
import { Part, avatar, define, h, icon } from "./base.js";
import { chosen, choices } from "./device_choice.js";
import { STAGE } from "./stage_style.js";
import { clock, text } from "./texts.js";

/** @typedef {import("../call.js").Call} Call */

export class TbActiveCall extends Part {
  /** @type {Call | null} */
  #call = null;
  /** @type {Meter | null} */
  #meter = null;
  #frame = 0;
  #announced = "";

  constructor() {
    super(STAGE);
  }

  get call() {
    return this.#call;
  }

  /** @param {Call | null} call */
  set call(call) {
    this.#end();
    this.#call = call;
    if (!call) return;
    this.#build(call);
    this.until(
      call.on("state", () => this.#update()),
      call.on("update", () => this.#update()),
      call.on("remote", () => this.#update()),
      call.on("words", () => this.#update()),
      call.on("quality", () => this.#update()),
      call.on("local", (stream) => this.#showLocal(stream)),
      call.on("blocked", (play) => this.#blocked(play)),
      call.on("unplugged", ({ device, isReplaced, error }) => this.#say(error?.code.endsWith("_denied")
        ? `${error.message} ${text("no_device")}`
        : `${text(`unplugged_${device}`)} ${text(isReplaced ? "replaced_device" : "no_device")}`)),
      onDevices(() => this.#list()),
      call.on("warning", ({ metric, cleared }) => {
        if (metric === "one_way_audio") this.#say(cleared ? "" : text("one_way"));
      }),
      call.on("ended", () => {
        this.#end();
        this.tell("tb-ended", call);
      }),
    );
    // The sound has an element of its own: with the picture it would wait for a camera that sends nothing.
    this.#get("far").muted = true;
    call.attach(this.#get("far"));
    call.attach(this.#get("sound"));
    this.#useSpeaker();
    this.#showLocal(new MediaStream([call.local.audio, call.local.video].filter((track) => track !== null)));
    this.#update();
    this.#paint();
    this.#get("stage").focus();
  }

  disconnectedCallback() {
    this.#end();
  }

  /** @param {string} id @returns {any} */
  #get(id) {
    return this.root.getElementById(id);
  }

  #end() {
    this.release();
    cancelAnimationFrame(this.#frame);
    this.#meter?.close();
    this.#meter = null;
    this.#call = null;
    this.#announced = "";
    this.root.replaceChildren();
  }

  /** @param {Call} call */
  #build(call) {
    const name = call.peer.name || call.peer.user;
    const control = (/** @type {string} */ id, /** @type {() => unknown} */ act, more = {}) =>
      h("button", { id, class: "control", onclick: () => this.#try(act), ...more }, h("span", { class: "disc" }), h("span", { class: "name" }));
    this.root.append(h("section", { id: "stage", part: "stage", tabindex: "-1", "aria-label": text("in_call", { name }) },
      h("video", { id: "far", part: "video", playsinline: true, muted: true }),
      h("audio", { id: "sound" }),
      h("header", {},
        h("div", { class: "title" }, h("h2", { id: "name" }, name), h("p", { id: "state" })),
        h("p", { id: "quality", hidden: true })),
      h("div", { id: "face" }, h("div", { class: "who", id: "who" }, avatar(name)), h("p", { id: "hint", class: "hint" })),
      h("video", { id: "near", muted: true, autoplay: true, playsinline: true, "aria-hidden": "true", hidden: true }),
      h("div", { id: "notices", role: "status" }),
      h("button", { id: "tap", class: "primary", hidden: true }, icon("sound"), text("tap_to_hear", { name })),
      h("div", { id: "words", hidden: true }, icon("lock"), h("span", { class: "sr" }, text("words_label")),
        h("b", { id: "four" }), h("span", { class: "hint" }, text("words_hint"))),
      h("footer", {},
        h("div", { id: "panel", class: "panel", hidden: true, onkeydown: (/** @type {KeyboardEvent} */ { key }) => key === "Escape" && this.#closePanel() }),
        h("div", { class: "level", "aria-hidden": "true" }, h("i", { id: "level" })),
        h("div", { class: "controls" },
          control("mute", () => (call.local.audio ? call.mute(!call.isMuted) : call.useMicrophone().then(() => call.mute(false)))),
          control("camera", () => call.setCamera(!call.isCameraOn)),
          control("screen", () => call.shareScreen(!call.isSharing)),
          control("hold", () => call.hold(!call.isOnHold)),
          control("devices", () => this.#choose(), { "aria-expanded": "false", "aria-controls": "panel" }),
          control("hangup", () => call.hangup(), { class: "control end" }))),
      h("p", { id: "announce", class: "sr", role: "status" })));
    if (!("getDisplayMedia" in (navigator.mediaDevices ?? {}))) this.#get("screen").hidden = true;
  }

  #update() {
    const call = this.#call;
    if (!call || call.state === "ended") return;
    const name = call.peer.name || call.peer.user;
    const isUp = call.answeredAt !== null;
    if (this.#get("name").textContent !== name) {
      this.#get("name").textContent = name;
      this.#get("who").replaceChildren(avatar(name));
      this.#get("stage").setAttribute("aria-label", text("in_call", { name }));
    }
    this.#button("mute", call.isSilent ? "mic_off" : "mic", !call.local.audio ? "microphone_on" : call.isMuted ? "unmute" : "mute", call.isSilent, true);
    this.#button("camera", call.isCameraOn ? "video" : "video_off", call.isCameraOn ? "camera_off" : "camera_on", call.isCameraOn, true);
    this.#button("screen", "screen", call.isSharing ? "stop_sharing" : "share_screen", call.isSharing, isUp);
    this.#button("hold", call.isOnHold ? "play" : "pause", call.isOnHold ? "resume" : "hold", call.isOnHold, isUp);
    this.#button("devices", "devices", "devices", null, true);
    this.#button("hangup", "end", isUp ? "hang_up" : "cancel", null, true);
    const picture = call.remoteStream?.getVideoTracks().some((track) => !track.muted && track.readyState === "live");
    const isSeen = Boolean(picture) && isUp && !call.peer.hold && (!call.peer.video_muted || call.peer.screen);
    this.#get("stage").classList.toggle("picture", isSeen);
    this.#get("stage").classList.toggle("waits", !isUp);
    this.#get("far").classList.toggle("contain", call.peer.screen);
    this.#get("hint").textContent = call.peer.hold ? text("held_by", { name })
      : call.isOnHold ? text("on_hold")
        : call.peer.signaling_lost ? text("signaling_lost", { name })
          : call.peer.screen ? text("shares_other", { name })
            : call.peer.muted ? text("muted_other", { name }) : "";
    this.#get("four").textContent = call.words?.join(" · ") ?? "";
    this.#get("words").hidden = !call.words;
    this.#get("sound").muted = call.isOnHold || call.peer.hold;
    this.#showQuality(call);
    this.#announce(call, name);
  }

  /** @param {Call} call @param {string} name */
  #announce(call, name) {
    const state = this.#stateText(call);
    const spoken = state || text("in_call", { name });
    if (spoken === this.#announced) return;
    this.#announced = spoken;
    this.#get("announce").textContent = spoken;
  }

  /** Empty while they talk: the timer stands there then. @param {Call} call */
  #stateText({ state }) {
    const keys = /** @type {Record<string, string>} */ ({
      new: "calling", initiated: "calling", ringing: "ringing", connecting: "connecting_call", reconnecting: "reconnecting",
      held: "on_hold",
    });
    return keys[state] ? text(keys[state]) : "";
  }

  /** @param {string} id @param {string} sign @param {string} key @param {boolean | null} isPressed @param {boolean} isEnabled */
  #button(id, sign, key, isPressed, isEnabled) {
    const button = this.#get(id);
    const label = text(key);
    button.disabled = !isEnabled;
    if (isPressed !== null) button.classList.toggle("pressed", isPressed);
    if (button.dataset.sign === sign && button.dataset.label === label) return;
    Object.assign(button.dataset, { sign, label });
    button.querySelector(".disc").replaceChildren(icon(sign));
    button.querySelector(".name").textContent = label;
  }

  /** @param {Call} call */
  #showQuality({ quality }) {
    const mark = this.#get("quality");
    mark.hidden = !quality?.mark;
    if (!quality?.mark) return;
    mark.className = `mark ${quality.mark}`;
    const isRelayed = quality.pair?.local === "relay" || quality.pair?.remote === "relay";
    const path = text(isRelayed ? "path_relay" : "path_direct");
    const detail = text("quality_detail", {
      rtt: Math.round(quality.rtt_ms ?? 0), loss: (quality.loss_percent ?? 0).toFixed(1), path,
    });
    mark.replaceChildren(h("span", { class: "bars", "aria-hidden": "true" }, h("i"), h("i"), h("i")),
      h("span", {}, text(`quality_${quality.mark}`)), h("span", { class: "detail" }, detail));
  }

  /** Timer and level, as often as the browser paints. */
  #paint() {
    this.#frame = requestAnimationFrame(() => this.#paint());
    const call = this.#call;
    if (!call) return;
    const said = this.#stateText(call) || clock(call.talkMs());
    const state = this.#get("state");
    if (state.textContent !== said) state.textContent = said;
    const level = call.isMuted || !this.#meter ? 0 : this.#meter.level();
    this.#get("level").style.setProperty("transform", `scaleX(${level.toFixed(3)})`);
  }

  /** @param {MediaStream} stream */
  #showLocal(stream) {
    const near = this.#get("near");
    if (!near) return;
    const hasPicture = stream.getVideoTracks().length > 0;
    near.hidden = !hasPicture;
    near.muted = true;
    near.srcObject = hasPicture ? stream : null;
    near.classList.toggle("mirror", !this.#call?.isSharing);
    this.#meter?.close();
    this.#meter = stream.getAudioTracks().length ? new Meter(stream) : null;
  }

  /** @param {() => Promise<void>} play */
  #blocked(play) {
    const tap = this.#get("tap");
    tap.hidden = false;
    tap.onclick = () => play().then(() => (tap.hidden = true), () => {});
  }

  /** @param {() => unknown} act */
  async #try(act) {
    try {
      await act();
    } catch (error) {
      const { code, message, cure } = /** @type {any} */ (error);
      if (code !== "screen_denied") this.#say(`${message} ${cure ?? ""}`);
    }
  }

  /** @param {string} words */
  #say(words) {
    this.#get("notices")?.replaceChildren(...(words ? [h("p", {}, words)] : []));
  }

  async #choose() {
    const panel = this.#get("panel");
    const opens = panel.hidden;
    if (!opens) return this.#closePanel();
    this.#get("devices").setAttribute("aria-expanded", "true");
    this.#get("stage").classList.add("chooses");
    panel.hidden = false;
    await this.#list();
    panel.querySelector("select")?.focus();
  }

  #closePanel() {
    this.#get("panel").hidden = true;
    this.#get("stage").classList.remove("chooses");
    this.#get("devices").setAttribute("aria-expanded", "false");
    this.#get("devices").focus();
  }

  /** The devices there are, in the panel if it is open. */
  async #list() {
    const call = this.#call;
    const panel = this.#get("panel");
    if (!call || !panel || panel.hidden) return;
    const of = (/** @type {MediaStreamTrack | null} */ track) => track?.getSettings().deviceId;
    const focused = this.root.activeElement?.id;
    const speaker = this.#get("sound").sinkId;
    const lists = await choices({
      microphone: of(call.local.audio), ...(call.isCameraOn && { camera: of(call.local.camera) }), ...(speaker && { speaker }),
    }, (kind, id) => this.#try(() => (kind === "microphone" ? call.useMicrophone(id)
      : kind === "camera" ? call.useCamera(id) : this.#get("sound").setSinkId(id))));
    panel.replaceChildren(...lists);
    if (focused?.startsWith("choose-")) this.#get(focused)?.focus();
  }

  /** The one that was chosen before, where the browser lets choose. */
  async #useSpeaker() {
    const { speaker } = await chosen();
    const sound = this.#get("sound");
    if (speaker && sound && "setSinkId" in sound) await sound.setSinkId(speaker).catch(() => {});
  }
}

define("tb-active-call", TbActiveCall);
