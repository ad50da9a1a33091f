// `<tb-history>`: the user's calls. Set `load`, a function of a cursor, and `nameOf`; call `refresh()` when there is a new one.
// Events: `tb-call` (detail: {user, name, video}).

import { Part, define, h, icon, sheet } from "./base.js";
import { clock, text } from "./texts.js";

const STYLE = sheet(`
:host { display: block; }
section { padding: 1.25rem; }
ul { margin: 0.5rem -0.5rem 0; display: grid; }
li { display: flex; align-items: center; gap: 0.75rem; padding: 0.375rem 0.5rem; border-radius: 0.875rem; min-width: 0; }
li:hover { background: var(--raised); }
.way { color: var(--quiet); display: grid; }
.way.missed { color: var(--danger); }
.who { flex: 1; min-width: 0; display: grid; line-height: 1.35; }
.who b { font-weight: 600; }
.missed-name { color: var(--danger); }
.act { color: var(--accent); }
#more { margin-top: 0.5rem; width: 100%; }
`);

/** The server writes its record in batches. */
const RECORDED_MS = 500;
/** How often it looks for the end of a call that goes on on another device: this one is not told. */
const GOING_ON_MS = 5_000;
const GOING_ON = ["INITIATED", "RINGING", "ANSWERED"];

/**
 * @typedef {import("../account.js").HistoryEntry} Entry
 * @typedef {(cursor: string | null) => Promise<{ items: Entry[], next_cursor: string | null }>} Load
 */

export class TbHistory extends Part {
  /** The name of somebody who had no part in a call: he was busy, or away. @type {(user: string) => string} */
  nameOf = () => "";
  /** @type {Load | null} */
  #load = null;
  /** @type {string | null} */
  #cursor = null;
  /** @type {any} */
  #later = null;

  constructor() {
    super(STYLE);
    this.root.append(h("section", { class: "card", part: "card" },
      h("h2", {}, text("history")),
      h("ul", { id: "list" }),
      h("div", { id: "empty", class: "empty" }, icon("clock"), h("p", { id: "why" }, text("history_empty")),
        h("p", { id: "hint", class: "small" }, text("history_hint"))),
      h("button", { id: "more", class: "plain", hidden: true, onclick: () => this.#fetch(false) }, text("history_more"))));
  }

  /** @param {Load | null} load */
  set load(load) {
    this.#load = load;
    this.refresh();
  }

  get load() {
    return this.#load;
  }

  /** Now, and once what has just happened is on record. */
  async refresh() {
    await this.#fetch(true);
    this.#again(RECORDED_MS);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    clearTimeout(this.#later);
  }

  /** @param {number} ms */
  #again(ms) {
    clearTimeout(this.#later);
    this.#later = setTimeout(() => this.#fetch(true), ms);
  }

  /** @param {string} id @returns {any} */
  #get(id) {
    return this.root.getElementById(id);
  }

  /** @param {boolean} isFirst */
  async #fetch(isFirst) {
    if (!this.#load) return;
    clearTimeout(this.#later); // what is on its way is as new, or has more than the first page
    try {
      const { items, next_cursor: next } = await this.#load(isFirst ? null : this.#cursor);
      if (!this.isConnected) return;
      this.#cursor = next;
      const list = this.#get("list");
      if (isFirst) list.replaceChildren();
      list.append(...items.map((entry) => this.#row(entry)));
      this.#get("empty").hidden = list.children.length > 0;
      this.#get("why").textContent = text("history_empty");
      this.#get("hint").hidden = false;
      this.#get("more").hidden = !next;
      if (isFirst && items.some(({ status }) => GOING_ON.includes(status))) this.#again(GOING_ON_MS);
    } catch (error) {
      const { code, message } = /** @type {any} */ (error);
      this.#get("empty").hidden = this.#get("list").children.length > 0;
      this.#get("why").textContent = code === "unreachable" ? message : text("history_failed");
      this.#get("hint").hidden = true;
    }
  }

  /** @param {Entry} entry */
  #row({ call, direction, status, peer, started_at: at, talk_ms: talk, media }) {
    const name = peer?.name || this.nameOf(peer?.user ?? "") || peer?.user || "–";
    const isOut = direction === "OUTBOUND";
    const isMissed = status === "MISSED" && !isOut;
    const key = isOut && status === "MISSED" ? "status_MISSED_out" : `status_${status}`;
    const when = new Date(at);
    const isToday = when.toDateString() === new Date().toDateString();
    const shown = isToday ? when.toLocaleTimeString([], { timeStyle: "short" })
      : when.toLocaleString([], { dateStyle: "short", timeStyle: "short" });
    const how = [text(isOut ? "outbound" : "inbound"), text(key, { length: clock(talk ?? 0) })].join(", ");
    return h("li", { "data-call": call, "data-status": status },
      h("span", { class: `way${isMissed ? " missed" : ""}` }, icon(isMissed ? "missed" : isOut ? "out" : "in")),
      h("div", { class: "who" }, h("b", { class: isMissed && "missed-name" }, name),
        h("span", { class: "quiet small" }, h("time", { datetime: when.toISOString() }, shown), ` · ${how}`)),
      h("button", {
        class: "plain round act", "aria-label": text("history_again", { name }), title: text("history_again", { name }),
        onclick: () => this.tell("tb-call", { user: peer?.user, name, video: Boolean(media?.video) }),
      }, icon("phone")));
  }
}

define("tb-history", TbHistory);
