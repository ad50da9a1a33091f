// `<tb-incoming>`: the dialog of a call that rings. Set `call`; it closes itself when the call is over.
// Events: `tb-accepted` (detail: the call), `tb-block` (detail: {user, name}), `tb-problem` (detail: the error).

import { Part, avatar, define, h, icon, sheet } from "./base.js";
import { forCalls } from "./device_choice.js";
import { text } from "./texts.js";

const STYLE = sheet(`
dialog {
  width: min(23rem, calc(100vw - 2rem));
  padding: 2rem 1.25rem 1.25rem;
  border: 1px solid var(--line);
  border-radius: 1.5rem;
  background: var(--card);
  box-shadow: 0 24px 80px rgb(0 0 0 / 0.35);
  text-align: center;
}
dialog:focus { outline: none; }
.who { position: relative; display: inline-grid; margin-bottom: 1.25rem; }
.who .avatar { --size: 6rem; position: relative; }
.who::before, .who::after {
  content: "";
  position: absolute;
  inset: 0;
  border-radius: 50%;
  border: 2px solid var(--accent);
  opacity: 0;
  animation: ring 2s ease-out infinite;
}
.who::after { animation-delay: 1s; }
@keyframes ring { 0% { transform: scale(1); opacity: 0.7; } 100% { transform: scale(1.7); opacity: 0; } }
h2 { font-size: 1.375rem; line-height: 1.3; }
.words { display: grid; gap: 0.25rem; margin-top: 0.375rem; min-height: 1.5rem; }
.answers { display: grid; grid-template-columns: 1fr 1fr; gap: 0.75rem; margin-top: 1.5rem; }
.answers button { min-height: 3.25rem; border-radius: 1.625rem; }
.more { display: grid; gap: 0.25rem; margin-top: 0.75rem; }
.wide { grid-column: 1 / -1; }
.notice { margin-top: 1rem; text-align: left; }
`);

export class TbIncoming extends Part {
  /** @type {import("../call.js").Call | null} */
  #call = null;
  /** @type {(HTMLElement & Record<string, any>) | null} */
  #dialog = null;

  constructor() {
    super(STYLE);
  }

  get call() {
    return this.#call;
  }

  /** @param {import("../call.js").Call | null} call */
  set call(call) {
    this.release();
    this.#dialog?.close();
    this.#dialog?.remove();
    this.#dialog = null;
    this.#call = call;
    if (!call || call.state === "ended") return;
    this.until(call.on("ended", () => {
      if (this.#call === call) this.call = null;
    }));
    this.#open(call);
  }

  /** @param {import("../call.js").Call} call */
  #open(call) {
    const { name, user, verified, display, number } = call.peer;
    const shown = name || user;
    const title = text(call.media.video ? "incoming_video" : "incoming_audio", { name: shown });
    const lines = [number, display && `“${display}”`, !verified && text("unverified"), call.isWaiting && text("incoming_waiting")];
    const accept = (/** @type {import("../call.js").CallOptions} */ options) => () => this.#accept(call, options);
    const dialog = h("dialog", {
      role: "alertdialog", "aria-labelledby": "title", "aria-describedby": "words", tabindex: "-1", part: "dialog",
      // Escape: this device only, for the others may be nearer.
      oncancel: (/** @type {Event} */ event) => {
        event.preventDefault();
        call.reject({ scope: "device" });
      },
    },
    h("div", { class: "who" }, avatar(shown)),
    h("h2", { id: "title" }, title),
    h("div", { id: "words", class: "words quiet small" }, ...lines.map((line) => line && h("p", {}, line)),
      h("p", { class: "sr" }, text("incoming_keys"))),
    h("div", { id: "problem", class: "notice", role: "alert", hidden: true }),
    h("div", { class: "answers" },
      h("button", { class: "danger", id: "decline", onclick: () => call.reject() }, icon("end"), text("decline")),
      h("button", { class: "primary", id: "accept", onclick: accept({ video: false }) }, icon("phone"), text("accept")),
      call.media.video && h("button", { class: "primary wide", id: "accept-video", onclick: accept({ video: true }) },
        icon("video"), text("accept_video"))),
    h("div", { class: "more" },
      h("button", { class: "plain small", id: "listen", hidden: true, onclick: accept({ video: false, microphone: false }) },
        text("accept_listen")),
      h("button", { class: "plain small quiet", id: "silence", onclick: () => call.reject({ scope: "device" }) },
        icon("bell_off"), text("silence")),
      h("button", { class: "plain small quiet", id: "block", onclick: () => this.tell("tb-block", { user, name: shown }) },
        text("block", { name: shown }))));
    this.#dialog = dialog;
    this.root.append(dialog);
    dialog.showModal();
    dialog.focus(); // never onto Accept: a key that was meant for something else must not take the call
  }

  /** @param {import("../call.js").Call} call @param {import("../call.js").CallOptions} options */
  async #accept(call, options) {
    const buttons = this.root.querySelectorAll("button");
    for (const button of buttons) button.disabled = true;
    this.tell("tb-accepting", call); // in the tap: sound may start
    try {
      await call.accept({ ...(await forCalls()), ...options });
      this.call = null; // first: a dialog that closes takes the focus back to where it was
      this.tell("tb-accepted", call);
    } catch (error) {
      for (const button of buttons) button.disabled = false;
      const { code = "", message, cure = "" } = /** @type {any} */ (error);
      if (call.state === "ended") return;
      const problem = this.root.getElementById("problem");
      problem?.replaceChildren(h("div", {}, h("p", {}, message), h("p", {}, cure)));
      if (problem) problem.hidden = false;
      const listen = this.root.getElementById("listen");
      if (listen && code.startsWith("microphone")) listen.hidden = false;
    }
  }
}

define("tb-incoming", TbIncoming);
