// `<tb-phone>`: a whole telephone. Attributes: `server`, `token` (both optional), `invite` (reads one from the
// address). Events: `tb-call`, `tb-ended`.

import { config, endCall, history, invite } from "../account.js";
import { TurnbellError } from "../errors.js";
import { connect, serverOf } from "../line.js";
import { AccountStore } from "./account_store.js";
import { Alerts } from "./alerts.js";
import { Part, avatar, define, h, icon } from "./base.js";
import { forCalls } from "./device_choice.js";
import { PHONE } from "./phone_style.js";
import { endText, text } from "./texts.js";
import "./tb-active-call.js";
import "./tb-dialer.js";
import "./tb-history.js";
import "./tb-incoming.js";
import "./tb-invite.js";
import "./tb-mic-test.js";
import "./tb-sign-in.js";

/** @typedef {import("../call.js").Call} Call */

export class TbPhone extends Part {
  /** @type {import("../line.js").Line | null} */
  line = null;
  /** @type {Call | null} */
  call = null;
  /** @type {Call[]} */
  #ringing = [];
  #alerts = new Alerts();
  /** @type {string} */
  #server = "";
  /** @type {AccountStore} */
  #accounts = new AccountStore("");
  /** @type {import("./account_store.js").Kept | null} */
  #account = null;
  #isStarted = false;

  constructor() {
    super(PHONE);
    this.root.addEventListener("tb-call", (event) => {
      const { user, name, video } = /** @type {CustomEvent} */ (event).detail;
      this.dial(user, { name, video });
    });
    this.root.addEventListener("tb-block", (event) => this.#block(/** @type {CustomEvent} */ (event).detail));
    this.root.addEventListener("tb-problem", (event) => this.#notice(/** @type {CustomEvent} */ (event).detail));
    this.root.addEventListener("tb-accepting", (event) => this.#makeRoom(/** @type {CustomEvent} */ (event).detail));
    this.root.addEventListener("tb-accepted", (event) => this.#show(/** @type {CustomEvent} */ (event).detail));
  }

  connectedCallback() {
    if (this.#isStarted) return;
    this.#isStarted = true;
    this.#server = new URL(this.getAttribute("server") ?? serverOf() ?? ".", location.href).href;
    this.#accounts = new AccountStore(this.#server);
    const token = this.getAttribute("token");
    const invited = this.hasAttribute("invite") ? this.#takeInvite() : null;
    const kept = token ? { token, user: "", name: "" } : this.#accounts.load();
    if (globalThis.isSecureContext === false || invited || !kept) this.#signIn(null, invited);
    else this.#open(kept);
  }

  /**
   * Calls somebody and shows it.
   * @param {string} user
   * @param {{ name?: string, video?: boolean, microphone?: string | false }} [how]
   */
  async dial(user, { name = user, video = false, microphone } = {}) {
    if (this.call || !this.line) return;
    this.#clearNotices();
    try {
      const devices = await forCalls();
      await this.line.call(user, { video, ...devices, ...(microphone !== undefined && { microphone }) });
    } catch (error) {
      const { code, message, cure } = /** @type {any} */ (error);
      if (code === "call_ended") return;
      const end = endText(code, name, null, 0);
      const isEnd = end !== text("ended");
      this.#notice({ message: isEnd ? end : message, cure: isEnd && !code.includes("microphone") ? "" : cure });
      if (code.startsWith("microphone_")) this.#offer(text("call_listen"), () => this.dial(user, { name, video, microphone: false }));
      if (code.startsWith("camera_")) this.#offer(text("call_no_camera"), () => this.dial(user, { name, microphone }));
    }
  }

  /** @param {string} id @returns {any} */
  #get(id) {
    return this.root.getElementById(id);
  }

  /** The invite stands behind the #, which leaves the address at once. */
  #takeInvite() {
    const token = decodeURIComponent(location.hash.slice(1));
    if (token) globalThis.history.replaceState(null, "", location.pathname + location.search);
    return token || null;
  }

  /** @param {TurnbellError | null} problem @param {string | null} [invited] */
  #signIn(problem, invited = null) {
    const form = /** @type {any} */ (h("tb-sign-in", { id: "sign-in" }));
    form.server = this.#server;
    form.invite = invited;
    form.addEventListener("tb-signed-in", (/** @type {any} */ { detail }) => {
      this.#accounts.save(detail, invited !== null);
      this.#open(detail, detail.to ?? null, detail.mic);
    });
    this.root.replaceChildren(h("main", { class: "page out" }, form));
    form.show(problem);
  }

  /** @param {import("./account_store.js").Kept} account @param {string | null} [to] whom to call at once @param {string} [mic] */
  #open(account, to = null, mic) {
    this.#account = account;
    const line = (this.line = connect({ server: this.#server, token: account.token }));
    this.#home(line);
    this.until(
      line.on("state", () => this.#showLine()),
      line.on("incoming", (call) => this.#ring(call)),
      line.on("call", (call) => {
        if (call.direction === "outgoing") this.#show(call);
        this.tell("tb-call-begins", call);
      }),
      line.on("rejoinable", (call) => this.#offerReturn(call)),
      line.on("missed", () => this.#get("history")?.refresh()),
      line.on("problem", (problem) => this.#notice(problem)),
      line.on("closed", (error) => this.#closed(error)),
    );
    line.subscribe({ role: "member" }).catch(() => {});
    line.ready.then(() => {
      this.#showLine();
      this.#get("history").nameOf = (/** @type {string} */ user) => line.people.get(user)?.name ?? "";
      this.#get("history").load = (/** @type {string | null} */ cursor) => history(this.#server, account.token, 10, cursor);
      if (to) this.dial(to, { microphone: mic });
      this.#showBlocked();
      // An older server does not say; then the button does.
      config(this.#server, account.token).then(({ invites }) => (this.#get("invite").may = invites !== false), () => {});
    }, () => {});
  }

  /** @param {import("../line.js").Line} line */
  #home(line) {
    const status = h("select", { id: "status", "aria-label": text("status_label"),
      onchange: (/** @type {any} */ { target }) => line.setPresence(target.value).catch((error) => this.#notice(error)) },
    h("option", { value: "online" }, text("status_online")), h("option", { value: "dnd" }, text("status_dnd")));
    this.root.replaceChildren(
      h("div", { class: "page", id: "page" },
        h("header", {},
          h("div", { class: "brand" }, h("span", { class: "logo" }, icon("phone")), h("h1", {}, text("title"))),
          h("div", { class: "me", id: "me" }), status),
        h("main", {},
          h("p", { id: "state", role: "status" }),
          h("button", { id: "sound", hidden: this.#alerts.ringer.isUnlocked, onclick: () => this.#alerts.ringer.unlock() }, icon("bell"), text("sound_off")),
          h("div", { id: "notices", role: "alert" }),
          h("div", { class: "columns" },
            h("tb-dialer", { id: "dialer" }),
            h("div", { class: "side" },
              h("tb-history", { id: "history" }),
              h("div", { class: "card tools" }, h("tb-invite", { id: "invite" }), h("tb-mic-test", { id: "mic" }),
                h("details", { id: "blocked", hidden: true }, h("summary", {}, text("blocked")), h("ul", { id: "blocked-list" })))))),
        h("footer", { class: "bottom" },
          h("button", { id: "notify", class: "plain small quiet", hidden: globalThis.Notification?.permission !== "default", onclick: () => this.#askToNotify() }, icon("bell"), text("notify")),
          h("button", { id: "sign-out", class: "plain small quiet", onclick: () => this.#signOut() }, text("sign_out")))),
      h("tb-incoming", { id: "incoming" }),
      h("div", { id: "stage", hidden: true }));
    this.#get("dialer").line = line;
    this.#get("invite").make = async () => invite(this.#server, this.#account?.token ?? "", { to: line.user, uses: 2 });
    this.until(this.#alerts.ringer.on("unlocked", (isUnlocked) => (this.#get("sound").hidden = isUnlocked)));
    this.#showLine();
  }

  #showLine() {
    const { line } = this;
    if (!line || !this.#get("me")) return;
    const shown = line.name || line.user || this.#account?.name || "";
    this.#get("me").replaceChildren(avatar(shown), h("b", { title: line.user }, shown));
    const key = line.state === "online" ? (line.features.voice ? "" : "voice_off") : line.user ? "waiting" : "connecting";
    this.#get("state").textContent = key && text(key);
    if (line.state === "online") this.#clearNotices("line");
  }

  /** @param {Call} call */
  #ring(call) {
    this.#ringing.push(call);
    this.#alerts.ring(call);
    call.on("ended", ({ reason, by }) => {
      this.#ringing = this.#ringing.filter((other) => other !== call);
      const isSilent = ["declined", "silenced", "merged", "hangup", "cancelled"].includes(reason) || this.call === call;
      if (!isSilent) this.#notice({ message: endText(reason === "callee_offline" ? "timeout" : reason, call.peer.name || call.peer.user, by, 0), cure: "" }, "info");
      this.#nextRing();
      this.#get("history")?.refresh();
    });
    this.#nextRing();
  }

  /** @param {{ user: string, name: string }} who */
  async #block({ user, name }) {
    try {
      for (const call of [...this.#ringing]) if (call.peer.user === user) call.end("silenced");
      await this.line?.block(user);
      this.#notice({ message: text("blocked_now", { name }), cure: "" }, "info");
      this.#offer(text("undo"), () => this.#unblock(user));
      await this.#showBlocked();
    } catch (error) {
      this.#notice(error);
    }
  }

  /** @param {string} user */
  async #unblock(user) {
    this.#clearNotices();
    await this.line?.unblock(user).catch((error) => this.#notice(error));
    await this.#showBlocked();
  }

  async #showBlocked() {
    const users = (await this.line?.blocked().catch(() => [])) ?? [];
    const list = this.#get("blocked-list");
    if (!list) return;
    this.#get("blocked").hidden = users.length === 0;
    list.replaceChildren(...users.map((user) => {
      const name = this.line?.people.get(user)?.name || user;
      return h("li", {}, h("button", { class: "plain small", onclick: () => this.#unblock(user) }, text("unblock", { name })));
    }));
  }

  /** One dialog at a time. */
  #nextRing() {
    const dialog = this.#get("incoming");
    if (!dialog || dialog.call) return;
    const next = this.#ringing.find((call) => call.state === "ringing");
    if (next) dialog.call = next;
  }

  /** A call that is taken ends the one before. @param {Call} call */
  #makeRoom(call) {
    if (this.call && this.call !== call) this.call.hangup();
  }

  /** @param {Call} call */
  #show(call) {
    if (call.state === "ended") return;
    this.#clearNotices("info"); // how the one before ended is not how this one does
    this.call = call;
    this.#ringing = this.#ringing.filter((other) => other !== call);
    if (call.direction === "outgoing" && call.answeredAt === null) this.#alerts.ringback(call);
    const stage = this.#get("stage");
    const active = /** @type {any} */ (h("tb-active-call", { id: "active" }));
    stage.replaceChildren(active);
    stage.hidden = false;
    this.#get("page").inert = true;
    this.#get("mic")?.stop();
    active.call = call;
    call.on("ended", ({ reason, by }) => {
      if (this.call !== call) return;
      this.call = null;
      stage.hidden = true;
      stage.replaceChildren();
      this.#get("page").inert = false;
      // What keeps a call from ringing is said by `dial`, with its cure.
      if (call.id && call.answeredAt === null ? call.reason !== "cancelled" : call.answeredAt !== null) {
        const words = endText(reason, call.peer.name || call.peer.user, by, call.talkMs());
        if (!this.root.querySelector("#notices .notice")) this.#notice({ message: words, cure: "" }, "info");
      }
      this.#get("history")?.refresh();
      this.#get("dialer")?.focusInput();
      this.tell("tb-ended", call);
    });
  }

  /** This user is in a call that this page does not have. @param {Call} call */
  async #offerReturn(call) {
    const name = call.peer.name || call.peer.user;
    const back = async (/** @type {string | false | undefined} */ microphone) => {
      this.#clearNotices();
      try {
        await call.rejoin({ video: false, ...(await forCalls()), ...(microphone !== undefined && { microphone }) });
        this.#show(call);
      } catch (error) {
        const { code = "" } = /** @type {any} */ (error);
        if (!code.startsWith("microphone_") || microphone === false) return this.#notice(error);
        // Whoever talked without one, or has lost it, hears on; others may want to cure it first.
        if (call.wasHere) return back(false);
        this.#notice(error);
        this.#offer(text("rejoin_listen"), () => back(false));
      }
    };
    // This tab was in it before it was loaded again: go on without a question.
    if (call.wasHere) return back(undefined);
    this.#notice({ message: text("rejoin", { name }), cure: "" }, "info");
    this.#offer(text("rejoin_here"), () => back(undefined));
    this.#offer(text("rejoin_leave"), () => {
      this.#clearNotices();
      endCall(this.#server, this.#account?.token ?? "", call.id).catch((error) => this.#notice(error));
    });
  }

  /** @param {any} problem @param {"info" | "line" | ""} [kind] */
  #notice(problem, kind = "") {
    const place = this.#get("notices");
    if (!place || !problem) return;
    const { message, cure } = problem;
    if ([...place.children].some((child) => child.dataset.message === message)) return;
    const isOfLine = ["unreachable", "proxy_blocks_websocket", "not_turnbell", "draining"].includes(problem.code);
    const notice = h("div", { class: `notice ${kind}`, "data-message": message, "data-kind": isOfLine ? "line" : kind },
      h("div", {}, h("p", {}, message), cure && h("p", {}, cure)),
      h("button", { class: "plain round", "aria-label": text("close"), onclick: () => notice.remove() }, icon("close")));
    place.append(notice);
  }

  /** A button in the last notice. @param {string} words @param {() => unknown} act */
  #offer(words, act) {
    this.#get("notices")?.lastElementChild?.querySelector("div")?.append(h("button", { class: "small", onclick: act }, words));
  }

  /** @param {string} [kind] */
  #clearNotices(kind) {
    for (const notice of [...(this.#get("notices")?.children ?? [])]) {
      if (!kind || notice.dataset.kind === kind) notice.remove();
    }
  }

  /** @param {TurnbellError | undefined} error */
  #closed(error) {
    this.release();
    this.line = null;
    if (!error) return;
    const isOurs = error.code === "replaced";
    if (!isOurs) this.#accounts.forget();
    this.#signIn(error);
  }

  async #signOut() {
    const { line } = this;
    this.release();
    this.line = null;
    this.#accounts.forget();
    await line?.close();
    this.#signIn(null);
  }

  async #askToNotify() {
    await Notification.requestPermission();
    this.#get("notify").hidden = true;
  }
}

define("tb-phone", TbPhone);
