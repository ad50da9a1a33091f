// `<tb-dialer>`: who is there, and calling by name. Set `line`. Events: `tb-call` (detail: {user, name, video}).

import { Part, avatar, define, h, icon, sheet } from "./base.js";
import { text } from "./texts.js";

const STYLE = sheet(`
:host { display: block; }
section { padding: 1.25rem; }
.dial { display: flex; gap: 0.5rem; margin-top: 0.375rem; }
.dial input { flex: 1; min-width: 0; border-radius: 1.5rem; padding-inline: 1.125rem; }
.dial button { flex: none; border-radius: 1.5rem; padding-inline: 1.25rem; }
@media (max-width: 30rem) {
  .dial #dial { width: 2.75rem; padding: 0; }
  .dial #dial span { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
}
.hint { min-height: 1.25rem; margin-top: 0.375rem; }
h2 { margin-top: 1rem; display: flex; align-items: baseline; gap: 0.5rem; }
.count { color: var(--quiet); font-weight: 500; font-size: 0.9375rem; }
ul { margin: 0.375rem -0.5rem 0; display: grid; }
li { display: flex; align-items: center; gap: 0.75rem; min-width: 0; padding: 0.5rem; border-radius: 0.875rem; }
li:hover { background: var(--raised); }
.person { flex: 1; min-width: 0; display: grid; line-height: 1.35; }
.person b { font-weight: 600; }
.status { display: flex; align-items: center; gap: 0.375rem; color: var(--quiet); font-size: 0.875rem; }
.dot { width: 0.5625rem; height: 0.5625rem; border-radius: 50%; background: var(--field); flex: none; }
.online .dot { background: #16a26f; }
.busy .dot, .dnd .dot { background: #d2574e; }
.away .dot { background: #c98a12; }
.act { color: var(--accent); }
`);

export class TbDialer extends Part {
  /** @type {import("../line.js").Line | null} */
  #line = null;
  /** The rows there are. */
  #shown = "";

  constructor() {
    super(STYLE);
    const dial = (/** @type {boolean} */ video) => () => this.#dial(video);
    this.root.append(h("section", { class: "card", part: "card" },
      h("form", { onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), this.#dial(false)) },
        h("label", { for: "to" }, text("dial_label")),
        h("div", { class: "dial" },
          h("input", {
            id: "to", autocomplete: "off", autocapitalize: "off", spellcheck: "false", enterkeyhint: "go",
            placeholder: text("dial_placeholder"), "aria-describedby": "hint", oninput: () => this.#update(),
          }),
          h("button", { class: "primary", id: "dial" }, icon("phone"), h("span", {}, text("call"))),
          h("button", { class: "round", type: "button", id: "dial-video", "aria-label": text("video_call"), onclick: dial(true) }, icon("video"))),
        h("p", { id: "hint", class: "hint quiet small" })),
      h("h2", {}, text("people"), h("span", { class: "count", id: "count" })),
      h("ul", { id: "people" }),
      h("div", { id: "empty", class: "empty" }, icon("people"), h("p", {}, text("nobody")), h("p", { class: "small" }, text("nobody_hint")))));
  }

  /** @param {import("../line.js").Line | null} line */
  set line(line) {
    this.release();
    this.#line = line;
    if (line) this.until(line.on("presence", () => this.#update()));
    this.#update();
  }

  focusInput() {
    this.#get("to").focus();
  }

  /** @param {string} id @returns {any} */
  #get(id) {
    return this.root.getElementById(id);
  }

  #people() {
    const people = [...(this.#line?.people.values() ?? [])];
    const word = this.#get("to").value.trim().toLowerCase();
    const fits = people.filter(({ name, user }) => !word || name.toLowerCase().includes(word) || user.toLowerCase() === word);
    fits.sort((a, b) => a.name.localeCompare(b.name) || a.user.localeCompare(b.user));
    return { word, all: people, fits };
  }

  /** @param {boolean} video */
  #dial(video) {
    const { word, fits } = this.#people();
    if (!word) return this.focusInput();
    const exact = fits.filter(({ name, user }) => name.toLowerCase() === word || user.toLowerCase() === word);
    const [only] = exact.length === 1 ? exact : fits.length === 1 ? fits : [];
    if (!only && fits.length > 1) {
      /** @type {HTMLElement | null} */ (this.root.querySelector("li button"))?.focus();
      return;
    }
    const typed = this.#get("to").value.trim();
    this.tell("tb-call", { user: only?.user ?? typed, name: only?.name ?? typed, video });
    this.#get("to").value = "";
    this.#update();
  }

  #update() {
    const { word, all, fits } = this.#people();
    const list = this.#get("people");
    const shown = JSON.stringify(fits);
    const focused = this.root.activeElement?.getAttribute("data-key");
    // A row that is made anew under a finger loses its press.
    if (shown !== this.#shown) list.replaceChildren(...fits.map((person) => this.#row(person)));
    this.#shown = shown;
    if (focused) list.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
    this.#get("count").textContent = all.length ? String(all.length) : "";
    this.#get("empty").hidden = all.length > 0;
    this.#get("hint").textContent = word && !fits.length ? text("no_match") : text("dial_hint");
  }

  /** @param {import("../line.js").Person} person */
  #row({ user, name, status, note }) {
    const shown = name || user;
    const act = (/** @type {boolean} */ video) => h("button", {
      class: "plain round act", "data-key": `${video} ${user}`, title: text(video ? "call_video" : "call_audio", { name: shown }),
      "aria-label": text(video ? "call_video" : "call_audio", { name: shown }),
      onclick: () => this.tell("tb-call", { user, name: shown, video }),
    }, icon(video ? "video" : "phone"));
    return h("li", { class: status, "data-user": user }, avatar(shown),
      h("div", { class: "person" }, h("b", {}, shown),
        h("span", { class: "status" }, h("i", { class: "dot", "aria-hidden": "true" }), note || text(`presence_${status}`))),
      act(false), act(true));
  }
}

define("tb-dialer", TbDialer);
