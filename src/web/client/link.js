// The socket: hello, welcome, and again after every loss. It knows frames, not what they mean.

import { delayMs } from "./backoff.js";
import { TurnbellError, fromRefusal } from "./errors.js";
import { SessionStore } from "./session_store.js";

export const PROTOCOL = "turnbell.v1";

/** Longest from opening the socket to the welcome. */
const WELCOME_MS = 15_000;
/** Longest for the answer to a ping, when there is reason to doubt that the socket lives. */
const PONG_MS = 5_000;
/** "I know of nothing": the server answers with all that is. */
const KNOWS_NOTHING = Number.MAX_SAFE_INTEGER;

/** After these the page does not connect again by itself. */
const FINAL = new Map([
  [4000, "closed"], [4001, "unauthenticated"], [4003, "revoked"], [4004, "tenant_suspended"], [4009, "replaced"],
]);
const TOKEN_EXPIRED = 4002;
const RATE = 4029;
const DRAINING = 4090;

/**
 * @typedef {{ t: string, id?: string, re?: string, seq?: number, ts?: number, ack?: number, d?: any }} Frame
 * @typedef {"connecting" | "online" | "waiting" | "closed"} LinkState
 *
 * @typedef {object} LinkOptions
 * @property {string} server base URL, with a slash at its end
 * @property {(isFresh: boolean) => Promise<string>} token `isFresh`: the last one has expired
 * @property {{ id: string, kind: string, label: string }} device
 * @property {import("./environment.js").Environment} env
 * @property {(welcome: any) => void} onWelcome
 * @property {(frame: Frame) => void} onFrame
 * @property {(state: LinkState, error?: TurnbellError) => void} onState
 * @property {(problem: TurnbellError) => void} onProblem
 */

export class Link {
  #options;
  #env;
  #store;
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {LinkState} */
  #state = "waiting";
  #attempt = 0;
  /** @type {any} */
  #timer = null;
  /** @type {any} */
  #watchdog = null;
  /** @type {string | null} */
  #resumeToken = null;
  #isFirst = true;
  #isTokenStale = false;
  /** @type {(() => void)[]} */
  #listening = [];
  /** `seq` of the last event that was dealt with. */
  lastSeq = KNOWS_NOTHING;
  /** @type {TurnbellError | null} What was said in place of a welcome. */
  #refusal = null;

  /** @param {LinkOptions} options */
  constructor(options) {
    this.#options = options;
    this.#env = options.env;
    this.#store = new SessionStore(options.env, options.server);
  }

  start() {
    const { page, document } = this.#env;
    const wake = () => {
      if (document && document.visibilityState === "hidden") return;
      this.#wake();
    };
    for (const [target, name] of /** @type {const} */ ([
      [page, "online"], [page, "pageshow"], [document, "visibilitychange"],
    ])) {
      target?.addEventListener(name, wake);
      this.#listening.push(() => target?.removeEventListener(name, wake));
    }
    this.#open();
  }

  /** @param {Frame} frame */
  send(frame) {
    if (this.#state !== "online" || !this.#socket) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  /** @param {TurnbellError} [error] */
  stop(error) {
    if (this.#state === "closed") return;
    for (const off of this.#listening) off();
    this.#env.clearTimeout(this.#timer);
    this.#drop();
    this.#store.forget();
    this.#enter("closed", error);
  }

  /** There is reason to think that the network is back, or that the socket died in the meantime. */
  #wake() {
    if (this.#state === "waiting") {
      this.#env.clearTimeout(this.#timer);
      this.#open();
    } else if (this.#state === "online") {
      this.probe();
    }
  }

  /** Makes sure that the socket lives, or replaces it. */
  probe() {
    if (this.#watchdog !== null) return;
    this.#socket?.send(JSON.stringify({ t: "ping", id: `p${this.#env.uuid().slice(0, 12)}` }));
    this.#watch(PONG_MS);
  }

  async #open() {
    this.#enter("connecting");
    const isFresh = this.#isTokenStale;
    this.#isTokenStale = false;
    let token;
    try {
      if (this.#isFirst) this.#resumeToken = await this.#store.claim();
      this.#isFirst = false;
      token = await this.#options.token(isFresh);
    } catch (cause) {
      if (this.#state !== "connecting") return;
      const error = cause instanceof TurnbellError ? cause : new TurnbellError("unauthenticated", { cause });
      this.#options.onProblem(error);
      return this.#again();
    }
    if (this.#state !== "connecting") return;
    let socket;
    try {
      socket = new this.#env.WebSocket(this.#url(), [PROTOCOL]);
    } catch (cause) { // ws: from an https page, for example
      return this.stop(new TurnbellError("unreachable", { cause }));
    }
    this.#socket = socket;
    this.#watch(WELCOME_MS);
    let wasOpen = false;
    const isCurrent = () => this.#socket === socket;
    socket.onopen = () => {
      wasOpen = true;
      if (isCurrent()) socket.send(JSON.stringify(this.#hello(token)));
    };
    socket.onmessage = ({ data }) => {
      if (isCurrent()) this.#heard(String(data));
    };
    socket.onerror = () => {}; // its close says as much
    socket.onclose = ({ code, reason }) => {
      if (isCurrent()) this.#lost(code, reason, wasOpen);
    };
  }

  #url() {
    return new URL("v1/ws", this.#options.server).href.replace(/^http/, "ws");
  }

  /** @param {string} token @returns {Frame} */
  #hello(token) {
    const resume = this.#resumeToken ? { token: this.#resumeToken, last_seq: this.lastSeq } : undefined;
    return { t: "hello", d: { token, device: this.#options.device, caps: ["media_reports"], resume } };
  }

  /** @param {string} text */
  #heard(text) {
    this.#unwatch();
    /** @type {Frame} */
    const frame = JSON.parse(text);
    if (frame.t === "welcome") {
      this.#attempt = 0;
      this.#resumeToken = frame.d.resume_token;
      this.#store.keep(frame.d.session, frame.d.resume_token);
      this.#state = "online";
      this.#options.onWelcome(frame.d);
      this.#options.onState("online");
    } else if (this.#state !== "online") {
      this.#refusal = frame.t === "error" ? fromRefusal(frame.d) : null;
    } else {
      this.#options.onFrame(frame);
    }
  }

  /** @param {number} code @param {string} reason @param {boolean} wasOpen */
  #lost(code, reason, wasOpen) {
    const refusal = this.#refusal;
    this.#refusal = null;
    this.#drop();
    const final = FINAL.get(code);
    if (final) return this.stop(refusal ?? new TurnbellError(final, { message: reason }));
    if (code === TOKEN_EXPIRED) this.#isTokenStale = true;
    if (refusal) this.#options.onProblem(refusal);
    if (!wasOpen) this.#probeServer();
    if (code === RATE) this.#attempt = Math.max(this.#attempt, 4);
    const asked = code === DRAINING ? Number(/retry_in_ms=(\d+)/.exec(reason)?.[1] ?? NaN) : NaN;
    this.#again(Number.isNaN(asked) ? undefined : asked);
  }

  /** Why did the upgrade fail? The same path by plain HTTP tells. */
  async #probeServer() {
    try {
      const answer = await this.#env.fetch(new URL("v1/ws", this.#options.server).href, { cache: "no-store" });
      const { error } = await answer.json().catch(() => ({}));
      const code = error?.code === "upgrade_required" ? "proxy_blocks_websocket"
        : error?.code === "draining" ? "draining" : "not_turnbell";
      if (this.#state !== "online") this.#options.onProblem(new TurnbellError(code, { message: error?.message }));
    } catch (cause) {
      if (this.#state !== "online") this.#options.onProblem(new TurnbellError("unreachable", { cause }));
    }
  }

  /** @param {number} [afterMs] */
  #again(afterMs = delayMs(this.#attempt++, this.#env.random())) {
    this.#enter("waiting");
    this.#timer = this.#env.setTimeout(() => this.#open(), afterMs);
  }

  /** @param {LinkState} state @param {TurnbellError} [error] */
  #enter(state, error) {
    this.#state = state;
    this.#options.onState(state, error);
  }

  /** Whatever the socket says from here on does not count. */
  #drop() {
    this.#unwatch();
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  /** @param {number} ms */
  #watch(ms) {
    this.#unwatch();
    this.#watchdog = this.#env.setTimeout(() => {
      this.#drop();
      this.#again();
    }, ms);
  }

  #unwatch() {
    this.#env.clearTimeout(this.#watchdog);
    this.#watchdog = null;
  }
}
