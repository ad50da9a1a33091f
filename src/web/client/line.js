// `Line`: one signed-in user on this page. Requests and their answers, presence, the calls there are.

import { Call } from "./call.js";
import { Emitter } from "./emitter.js";
import { deviceLabel, environment } from "./environment.js";
import { TurnbellError, ensureSecureContext, fromRefusal } from "./errors.js";
import { Link } from "./link.js";

/** An acknowledgement goes out with every request, and alone after so many events. */
const EVENTS_PER_ACK = 8;
/** Requests that wait for a connection; one more is refused. */
const REQUESTS_WAITING_MAX = 256;

/**
 * @typedef {"connecting" | "online" | "waiting" | "closed"} LineState
 * @typedef {{ user: string, name: string, role: string | null, status: PresenceStatus, note: string | null }} Person
 * @typedef {"online" | "away" | "busy" | "dnd" | "offline"} PresenceStatus
 * @typedef {{ user: string, name: string, verified: boolean, number?: string | null, display?: string | null }} Caller
 *
 * @typedef {object} LineEvents
 * @property {LineState} state
 * @property {ReadonlyMap<string, Person>} presence those of the subscription who are there
 * @property {Call} incoming it rings, until its `ended`
 * @property {Call} call any new call, either way
 * @property {Call} rejoinable the user is in this call, on no page or on another: `call.rejoin()` brings it here
 * @property {{ call: string, from: Caller, reason: string }} missed
 * @property {TurnbellError} problem worth showing; the line goes on trying
 * @property {TurnbellError | undefined} closed for good
 *
 * @typedef {object} ConnectOptions
 * @property {string} [token] of the user; or:
 * @property {(isFresh: boolean) => string | Promise<string>} [getToken] asked for each connection; `isFresh`
 *   means that the last one has expired
 * @property {string | URL} [server] where turnbell is; by default, where this module came from
 * @property {string} [label] how the user's other devices name this one
 */

/**
 * Opens a line; it connects, and connects again after every loss, by itself.
 * @param {ConnectOptions} options
 * @returns {Line}
 */
export function connect(options) {
  ensureSecureContext();
  return new Line(options, environment());
}

/**
 * Where this module came from: `/client/turnbell.js` or `/client/<hash>/turnbell.js`.
 * @param {string} [from]
 */
export function serverOf(from = import.meta.url) {
  const at = from.lastIndexOf("/client/");
  return at < 0 ? null : from.slice(0, at + 1);
}

/** @extends {Emitter<LineEvents>} */
export class Line extends Emitter {
  /** @type {LineState} */
  state = "connecting";
  /** Who we are, once online. */
  user = "";
  name = "";
  tenant = "";
  features = { voice: true, turn: true };
  /** For `new RTCPeerConnection()`; the server renews it. @type {RTCConfiguration} */
  ice = {};
  /** Why it is closed. @type {TurnbellError | undefined} */
  error;
  /** @type {Map<string, Person>} */
  people = new Map();
  /** Live calls. @type {Map<string, Call>} */
  calls = new Map();
  /** Resolves with the line when it is online for the first time; rejects when it is closed before. */
  ready;

  #env;
  #link;
  /** @type {string} */
  #server;
  #session = "";
  #clockOffsetMs = 0;
  #lastAck = 0;
  #count = 0;
  #prefix;
  /** @type {Map<string, { frame: import("./link.js").Frame, isSent: boolean, resolve: (d: any) => void, reject: (e: TurnbellError) => void }>} */
  #pending = new Map();
  /** @type {Record<string, unknown> | null} */
  #subscription = null;
  /** @type {Record<string, unknown> | null} */
  #presence = null;

  /**
   * @param {ConnectOptions} options
   * @param {import("./environment.js").Environment} env
   */
  constructor(options, env) {
    super();
    const server = options.server ?? serverOf();
    if (!server) throw new TurnbellError("bad_request", { message: "connect needs `server`" });
    this.#server = new URL(server, globalThis.location?.href).href.replace(/\/?$/, "/");
    this.#env = env;
    this.#prefix = env.uuid().slice(0, 8);
    const line = this;
    this.#link = new Link({
      server: this.#server,
      env,
      device: device(env, options.label),
      token: async (isFresh) => {
        if (options.getToken) return options.getToken(isFresh);
        if (isFresh) line.#link.stop(new TurnbellError("token_expired"));
        return options.token ?? "";
      },
      onWelcome: (welcome) => this.#welcome(welcome),
      onFrame: (frame) => this.#take(frame),
      onState: (state, error) => this.#enter(state, error),
      onProblem: (problem) => this.emit("problem", problem),
    });
    this.#getToken = options.getToken;
    this.ready = new Promise((resolve, reject) => {
      const off = this.on("state", (state) => {
        if (state === "online") resolve(this);
        if (state === "closed") reject(this.error ?? new TurnbellError("closed"));
        if (state === "online" || state === "closed") off();
      });
    });
    this.ready.catch(() => {}); // whoever does not wait for it hears `closed`
    this.#link.start();
  }

  /** @type {ConnectOptions["getToken"]} */
  #getToken;

  /** Base URL of the server, with a slash at its end. */
  get server() {
    return this.#server;
  }

  /** The server's clock, Unix milliseconds. */
  serverNow() {
    return this.#env.now() + this.#clockOffsetMs;
  }

  /**
   * Calls somebody. The promise resolves when the server lets it ring, and rejects with what keeps it from that.
   * Run it in a click handler: the browser asks for the microphone.
   * @param {string} user
   * @param {import("./call.js").CallOptions} [options]
   * @returns {Promise<Call>}
   */
  async call(user, options = {}) {
    const call = Call.outgoing(this.#host(), user, options);
    call.peer.name = this.people.get(user)?.name || user;
    this.emit("call", call);
    await call.invite();
    return call;
  }

  /**
   * Who is to be seen in `people`: users, everybody in a role, or (null) nobody.
   * @param {{ users: string[] } | { role: string } | null} whom
   */
  subscribe(whom) {
    this.#subscription = whom ?? {};
    return this.request("presence.subscribe", this.#subscription);
  }

  /**
   * @param {PresenceStatus} status
   * @param {{ note?: string, when_busy?: "refuse" | "wait" }} [more]
   */
  setPresence(status, more = {}) {
    this.#presence = { status, ...more };
    return this.request("presence.set", this.#presence);
  }

  /** His calls ring nowhere any more, and he cannot tell. @param {string} user @returns {Promise<void>} */
  block = (user) => this.request("user.block", { user }).then(() => {});
  /** Lets him ring again. @param {string} user @returns {Promise<void>} */
  unblock = (user) => this.request("user.unblock", { user }).then(() => {});
  /** Who is blocked. @returns {Promise<string[]>} */
  blocked = () => this.request("user.blocked").then(({ users }) => users);

  /**
   * Any request of `turnbell.v1`. One that waits while the connection is lost is sent later, and done once.
   * @param {string} t
   * @param {Record<string, unknown>} [d]
   * @returns {Promise<any>} the `d` of its answer
   */
  request(t, d = {}) {
    if (this.state === "closed") return Promise.reject(this.error ?? new TurnbellError("closed"));
    if (this.#pending.size >= REQUESTS_WAITING_MAX) return Promise.reject(new TurnbellError("rate_limited"));
    const id = `${this.#prefix}${++this.#count}`;
    return new Promise((resolve, reject) => {
      const waiting = { frame: { t, id, d }, isSent: false, resolve, reject };
      this.#pending.set(id, waiting);
      this.#send(waiting);
    });
  }

  /** Signs off; calls end. The line cannot be used again. */
  async close() {
    for (const call of [...this.calls.values()]) call.hangup();
    const bye = this.state === "online" ? this.request("bye").catch(() => {}) : null;
    await bye;
    this.#link.stop();
  }

  /** @param {{ frame: import("./link.js").Frame, isSent: boolean }} waiting */
  #send(waiting) {
    const ack = this.#lastAck < this.#link.lastSeq ? { ack: this.#link.lastSeq } : {};
    if (!this.#link.send({ ...waiting.frame, ...ack })) return;
    waiting.isSent = true;
    if (ack.ack !== undefined) this.#lastAck = ack.ack;
  }

  /** @param {any} welcome */
  #welcome(welcome) {
    const isSameSession = welcome.session === this.#session;
    this.#session = welcome.session;
    this.user = welcome.user;
    this.name = welcome.name;
    this.tenant = welcome.tenant;
    this.features = welcome.features;
    this.#clockOffsetMs = welcome.server_time - this.#env.now();
    this.#setIce(welcome.ice);
    this.#link.lastSeq = welcome.next_seq - 1;
    this.#lastAck = this.#link.lastSeq;
    for (const [id, waiting] of [...this.#pending]) {
      // Done or not: with another session nobody knows.
      if (waiting.isSent && !isSameSession) {
        this.#pending.delete(id);
        waiting.reject(new TurnbellError("session_lost"));
      } else {
        this.#send(waiting);
      }
    }
    if (isSameSession) return;
    if (this.#presence) this.request("presence.set", this.#presence).catch(() => {});
    if (this.#subscription) this.request("presence.subscribe", this.#subscription).catch(() => {});
  }

  /** @param {LineState} state @param {TurnbellError} [error] */
  #enter(state, error) {
    if (state === this.state) return;
    this.state = state;
    if (state === "closed") {
      this.error = error;
      for (const { reject } of this.#pending.values()) reject(error ?? new TurnbellError("closed"));
      this.#pending.clear();
      for (const call of [...this.calls.values()]) call.end("lost");
    }
    this.emit("state", state);
    if (state === "closed") this.emit("closed", error);
  }

  /** @param {import("./link.js").Frame} frame */
  #take(frame) {
    if (frame.t === "ok" || frame.t === "error") {
      const waiting = this.#pending.get(frame.re ?? "");
      if (!waiting) return;
      this.#pending.delete(frame.re ?? "");
      if (frame.t === "ok") waiting.resolve(frame.d);
      else waiting.reject(fromRefusal(frame.d));
      return;
    }
    if (frame.seq === undefined || frame.seq <= this.#link.lastSeq) return;
    this.#link.lastSeq = frame.seq;
    try {
      this.#happened(frame.t, { ...frame.d, at: frame.ts });
    } catch (error) {
      console.error(error);
    }
    // Here, not by a timer: those of a hidden page are slow (and nobody closes us for being late).
    if (this.#link.lastSeq - this.#lastAck >= EVENTS_PER_ACK
      && this.#link.send({ t: "ack", ack: this.#link.lastSeq })) {
      this.#lastAck = this.#link.lastSeq;
    }
  }

  /** @param {string} t @param {any} d */
  #happened(t, d) {
    switch (t) {
      case "state.sync": return this.#sync(d.calls);
      case "auth.expiring": return this.#refreshToken();
      case "ice.update": return this.#setIce(d);
      case "presence.snapshot": return this.#see(d.users, true);
      case "presence.diff": return this.#see(d.users, false);
      case "call.incoming": return this.#incoming(d);
      case "call.cancelled": return this.calls.get(d.call)?.end(d.reason, d.by);
      case "call.missed": return this.emit("missed", d);
      case "call.state":
      case "call.signal":
      case "call.update":
      case "quality.warning": return this.calls.get(d.call)?.take(t, d);
      case "call.restart":
        this.#setIce(d.ice);
        return this.calls.get(d.call)?.take(t, d);
      default: // of a newer server
    }
  }

  /** @param {any} d */
  #incoming(d) {
    this.request("call.ringing", { call: d.call }).catch(() => {});
    if (this.calls.has(d.call)) return; // it rang before the connection was lost
    const call = Call.incoming(this.#host(), d);
    this.calls.set(d.call, call);
    this.emit("call", call);
    this.emit("incoming", call);
  }

  /**
   * All calls of the user, after events were lost or in a new session.
   * @param {any[]} views
   */
  #sync(views) {
    const ids = new Set(views.map(({ call }) => call));
    for (const [id, call] of [...this.calls]) {
      if (!ids.has(id)) call.end("lost");
    }
    for (const view of views) {
      const known = this.calls.get(view.call);
      const isAnswered = view.answered_at !== null;
      if (known) {
        known.sync(view);
      } else if (isAnswered) {
        this.emit("rejoinable", Call.elsewhere(this.#host(), view));
      } else if (view.you !== null) {
        // It called before this page was loaded; nothing of that is left.
        this.request("call.cancel", { call: view.call }).catch(() => {});
      }
    }
  }

  async #refreshToken() {
    if (!this.#getToken) return;
    try {
      await this.request("auth.refresh", { token: await this.#getToken(true) });
    } catch (cause) {
      const error = cause instanceof TurnbellError ? cause : new TurnbellError("token_expired", { cause });
      this.emit("problem", error);
    }
  }

  /** @param {any} ice */
  #setIce(ice) {
    if (!ice?.iceServers) return;
    const { iceServers, iceTransportPolicy } = ice;
    this.ice = { iceServers, iceTransportPolicy };
    for (const call of this.calls.values()) call.setIce(this.ice);
  }

  /** @param {Person[]} users @param {boolean} isAll */
  #see(users, isAll) {
    if (isAll) this.people = new Map();
    for (const person of users) {
      if (person.status === "offline" || person.user === this.user) this.people.delete(person.user);
      else this.people.set(person.user, person);
    }
    this.emit("presence", this.people);
  }

  /** What calls need of their line. @returns {import("./call.js").Host} */
  #host() {
    return {
      request: (t, d) => this.request(t, d),
      ice: () => this.ice,
      me: () => this.user,
      serverNow: () => this.serverNow(),
      begins: (call) => {
        this.calls.get(call.id)?.end("merged"); // both called each other: one call is left
        this.calls.set(call.id, call);
      },
      isOver: (call) => {
        if (this.calls.get(call.id) === call) this.calls.delete(call.id);
      },
      page: this.#env.page,
    };
  }
}

/**
 * @param {import("./environment.js").Environment} env
 * @param {string} [label]
 */
function device(env, label) {
  const key = "turnbell:device";
  let id = env.local?.getItem(key);
  if (!id) {
    id = env.uuid();
    env.local?.setItem(key, id);
  }
  return { id, kind: "browser", label: label ?? deviceLabel(env.userAgent) };
}
