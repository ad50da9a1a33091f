// `<tb-call-button to="alice" server="https://turn.example.org" token="...">`: one button on any page.
// It shows nothing where calls are switched off, and says so when nobody is there. Events: `tb-ready` (detail: {voice}).

import { connect } from "../line.js";
import { Part, define, h, icon, sheet } from "./base.js";
import { endText, text } from "./texts.js";
import "./tb-active-call.js";

const STYLE = sheet(`
:host { display: inline-block; }
:host([hidden]) { display: none; }
button { border-radius: 1.5rem; }
dialog { width: min(30rem, 100vw); height: min(40rem, 100dvh); max-width: none; max-height: none; padding: 0; border: 0; border-radius: 1.25rem; overflow: hidden; }
p { font-size: 0.875rem; color: var(--quiet); }
`);

export class TbCallButton extends Part {
  /** @type {import("../line.js").Line | null} */
  #line = null;

  constructor() {
    super(STYLE);
  }

  connectedCallback() {
    const to = this.getAttribute("to") ?? "";
    const label = this.getAttribute("label") ?? text("call");
    const button = h("button", { class: "primary", part: "button", disabled: true, onclick: () => this.#dial(to) }, icon("phone"), label);
    const said = h("p", { id: "said", role: "status", part: "status" });
    const dialog = h("dialog", { "aria-label": label, part: "dialog", oncancel: (/** @type {Event} */ event) => event.preventDefault() });
    this.root.replaceChildren(button, said, dialog);
    this.hidden = true; // until it is known whether calls are switched on
    const server = this.getAttribute("server") ?? undefined;
    const line = (this.#line = connect({ server, token: this.getAttribute("token") ?? "" }));
    line.ready.then(() => {
      this.hidden = !line.features.voice;
      line.subscribe({ users: [to] }).catch(() => {});
      this.tell("tb-ready", { voice: line.features.voice });
    }, (error) => {
      this.hidden = false;
      said.textContent = error.message;
    });
    /** @type {boolean | null} */
    let isThere = null;
    this.until(line.on("presence", (people) => {
      if (people.has(to) === isThere) return; // what was said of the last call stays
      isThere = people.has(to);
      button.disabled = !isThere;
      said.textContent = isThere ? "" : text("nobody_there");
    }));
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.#line?.close();
  }

  /** @param {string} to */
  async #dial(to) {
    const dialog = this.root.querySelector("dialog");
    const said = this.root.getElementById("said");
    if (!dialog || !said || !this.#line) return;
    const off = this.#line.on("call", (call) => {
      off();
      const active = /** @type {any} */ (h("tb-active-call"));
      dialog.replaceChildren(active);
      dialog.showModal();
      active.call = call;
      call.on("ended", ({ reason, by }) => {
        dialog.close();
        said.textContent = endText(reason, call.peer.name, by, call.talkMs());
      });
    });
    await this.#line.call(to, { video: this.hasAttribute("video") })
      .catch((error) => (said.textContent = `${error.message} ${error.cure ?? ""}`));
  }
}

define("tb-call-button", TbCallButton);
