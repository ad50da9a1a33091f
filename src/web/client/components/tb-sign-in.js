// `<tb-sign-in>`: a name, or a token, or an invite. Set `server` and, from `/j/`, `invite`.
// Events: `tb-signed-in` (detail: the account, `mic` the microphone that was chosen).

import { config, guest, redeem } from "../account.js";
import { INSECURE_CURES, TurnbellError } from "../errors.js";
import { Part, define, h, icon, sheet } from "./base.js";
import { text } from "./texts.js";
import "./tb-mic-test.js";

const STYLE = sheet(`
:host { display: block; width: min(27rem, 100%); margin-inline: auto; }
section { padding: clamp(1.5rem, 5vw, 2.5rem); }
.mark {
  display: grid;
  place-items: center;
  width: 4rem;
  height: 4rem;
  margin-bottom: 1.25rem;
  border-radius: 1.25rem;
  background: linear-gradient(145deg, #12916a, #07503a);
  color: #ffffff;
}
.mark .icon { width: 2rem; height: 2rem; }
h1 { font-size: 1.625rem; line-height: 1.25; letter-spacing: -0.015em; }
.lead { margin: 0.375rem 0 1.5rem; color: var(--quiet); }
form { display: grid; gap: 0.375rem; }
form button { margin-top: 0.75rem; min-height: 3.125rem; border-radius: 1rem; }
details { margin-top: 1rem; }
summary { display: flex; align-items: center; min-height: 2.75rem; color: var(--quiet); cursor: pointer; }
summary::before { content: "+"; width: 1.25rem; }
details[open] summary::before { content: "–"; }
tb-mic-test { margin-top: 1.25rem; padding-top: 1.25rem; border-top: 1px solid var(--line); }
.notice { margin-bottom: 1.25rem; }
.cures { display: grid; gap: 0.75rem; margin-top: 1rem; padding-left: 1.25rem; }
`);

export class TbSignIn extends Part {
  server = "";
  /** @type {string | null} The token of an invite. */
  invite = null;

  constructor() {
    super(STYLE);
  }

  /** @param {TurnbellError | null} [problem] */
  show(problem = null) {
    if (globalThis.isSecureContext === false) return this.#showInsecure();
    const { invite } = this;
    const submit = (/** @type {() => Promise<unknown>} */ act) => async (/** @type {Event} */ event) => {
      event.preventDefault();
      const button = this.root.activeElement;
      try {
        await act();
      } catch (error) {
        this.#problem(error);
        if (button instanceof HTMLElement) button.focus();
      }
    };
    this.root.replaceChildren(h("section", { class: "card" },
      h("div", { class: "mark" }, icon("phone")),
      h("h1", {}, text(invite ? "invited" : "title")),
      h("p", { class: "lead" }, text(invite ? "invited_hint" : "tagline")),
      h("div", { id: "problem", class: "notice", role: "alert", hidden: true }),
      h("form", { id: "guest", onsubmit: submit(() => this.#enter()) },
        h("label", { for: "name" }, text("your_name")),
        h("input", { id: "name", autocomplete: "name", maxlength: "64", required: true, "aria-describedby": "name-hint" }),
        h("p", { id: "name-hint", class: "quiet small" }, text("name_hint")),
        h("button", { class: "primary", id: "start" }, icon("phone"), text(invite ? "join" : "start"))),
      invite && h("tb-mic-test", { id: "mic" }),
      !invite && h("details", { id: "with-token" }, h("summary", {}, text("have_token")),
        h("form", { onsubmit: submit(() => this.#enterWith()) },
          h("label", { for: "token" }, text("token_label")),
          h("input", { id: "token", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "token-hint" }),
          h("p", { id: "token-hint", class: "quiet small" }, text("token_hint")),
          h("button", { id: "use" }, text("use_token"))))));
    if (problem) this.#problem(problem);
    if (!invite) this.#askWhetherGuestsMay();
    this.#get("name").focus();
  }

  /** @param {string} id @returns {any} */
  #get(id) {
    return this.root.getElementById(id);
  }

  #showInsecure() {
    const { message } = new TurnbellError("insecure_context");
    this.root.replaceChildren(h("section", { class: "card" },
      h("div", { class: "mark" }, icon("lock")),
      h("h1", {}, text("insecure_title")),
      h("p", { class: "lead" }, message),
      h("ul", { class: "cures", id: "cures" }, ...INSECURE_CURES.map((cure) => h("li", {}, cure)))));
  }

  async #askWhetherGuestsMay() {
    const known = await config(this.server).catch(() => null);
    if (known?.guests !== false || !this.#get("guest")) return;
    this.#get("guest").hidden = true;
    this.#get("with-token").open = true;
    this.#problem({ message: text("no_guests"), cure: text("no_guests_cure") });
  }

  async #enter() {
    const name = this.#get("name").value.trim();
    if (!name) return;
    const account = this.invite ? await redeem(this.server, this.invite, name) : await guest(this.server, name);
    const mic = this.#get("mic")?.deviceId;
    this.#get("mic")?.stop();
    this.tell("tb-signed-in", { ...account, mic });
  }

  async #enterWith() {
    this.tell("tb-signed-in", { token: this.#get("token").value.trim(), user: "", name: "" });
  }

  /** @param {any} error */
  #problem({ message, cure }) {
    const place = this.#get("problem");
    place?.replaceChildren(h("div", {}, h("p", {}, message), h("p", {}, cure ?? "")));
    if (place) place.hidden = false;
  }
}

define("tb-sign-in", TbSignIn);
