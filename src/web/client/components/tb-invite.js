// `<tb-invite>`: makes a link that lets somebody in. Set `make`, which resolves with `{url}`, and `may` to false
// for who is not allowed to.

import { Part, define, h, icon, sheet } from "./base.js";
import { text } from "./texts.js";

const STYLE = sheet(`
:host { display: block; }
.row { display: flex; flex-wrap: wrap; gap: 0.5rem; margin-top: 0.75rem; }
.row input { flex: 1 1 12rem; font-size: 0.9375rem; }
`);

export class TbInvite extends Part {
  /** @type {() => Promise<{ url: string }>} */
  make = () => Promise.reject(new Error("nobody makes links"));

  constructor() {
    super(STYLE);
    this.root.append(
      h("h2", {}, text("invite")),
      h("p", { class: "quiet small", id: "hint" }, text("invite_hint")),
      h("div", { class: "row" },
        h("button", { id: "make", onclick: () => this.#make() }, icon("link"), text("invite_make")),
        h("input", { id: "link", readonly: true, hidden: true, "aria-label": text("invite_link"), onfocus: (/** @type {any} */ { target }) => target.select() }),
        h("button", { id: "copy", hidden: true, onclick: () => this.#copy() }, text("copy")),
        h("button", { id: "share", hidden: true, onclick: () => this.#share() }, text("share"))));
  }

  /** @param {boolean} may */
  set may(may) {
    this.#get("hint").textContent = text(may ? "invite_hint" : "invite_may_not");
    this.#get("make").hidden = !may || !this.#get("link").hidden;
  }

  /** @param {string} id @returns {any} */
  #get(id) {
    return this.root.getElementById(id);
  }

  async #make() {
    try {
      const { url } = await this.make();
      this.#get("link").value = url;
      this.#get("link").hidden = this.#get("copy").hidden = false;
      this.#get("share").hidden = !("share" in navigator);
      this.#get("make").hidden = true;
      this.#get("copy").focus();
    } catch (error) {
      this.tell("tb-problem", error);
    }
  }

  async #copy() {
    const link = this.#get("link");
    await navigator.clipboard.writeText(link.value).catch(() => {
      link.select();
      document.execCommand("copy"); // where the clipboard is closed to pages
    });
    this.#get("copy").textContent = text("copied");
  }

  #share() {
    navigator.share({ url: this.#get("link").value }).catch(() => {});
  }
}

define("tb-invite", TbInvite);
