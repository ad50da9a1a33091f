// `Call`: one call as this page has it, from the first ring to the end.

import { TalkClock, otherParty } from "./call_types.js";
import { Controls } from "./controls.js";
import { TurnbellError, ensureSecureContext } from "./errors.js";
import { Peer } from "./peer.js";
import { playIn } from "./play.js";

/**
 * @typedef {import("./call_types.js").CallOptions} CallOptions
 * @typedef {import("./call_types.js").Host} Host
 * @typedef {import("./call_types.js").Other} Other
 */

export class Call extends Controls {
  #host;
  /** @type {Peer | null} */
  #peer = null;
  /** @type {string | null} */
  #offer = null;
  #generation = 0;
  /** The other side's number in the call: a new one means a new page. */
  #party = 0;
  #isCaller = false;
  #talk;
  /** @type {(() => void)[]} */
  #listening = [];

  /** @param {Host} host @param {"outgoing" | "incoming"} direction @param {Partial<Other>} peer */
  constructor(host, direction, peer) {
    super(host, direction, peer);
    this.#host = host;
    this.#talk = new TalkClock(() => host.serverNow());
    this.#isCaller = direction === "outgoing";
    const changed = () => this.restart();
    host.page?.addEventListener("online", changed);
    this.#listening.push(
      this.local.on("change", () => this.#peer?.send(this.local)),
      () => host.page?.removeEventListener("online", changed),
    );
  }

  /** @param {Host} host @param {string} user @param {CallOptions} options */
  static outgoing(host, user, options) {
    const call = new Call(host, "outgoing", { user, name: user });
    call.chosen = options;
    call.media = { audio: options.audio ?? true, video: options.video ?? false };
    return call;
  }

  /** @param {Host} host @param {any} incoming the `d` of `call.incoming` */
  static incoming(host, incoming) {
    const call = new Call(host, "incoming", incoming.from);
    call.id = incoming.call;
    call.media = incoming.media;
    call.isWaiting = incoming.waiting;
    call.state = "ringing";
    call.#offer = incoming.offer;
    return call;
  }

  /** A call that the user is in, but not this page. @param {Host} host @param {any} view */
  static elsewhere(host, view) {
    const mine = view.parties.find((/** @type {any} */ party) => party.party === view.you)
      ?? view.parties.find((/** @type {any} */ party) => party.user === host.me());
    const call = new Call(host, mine?.role === "callee" ? "incoming" : "outgoing", {});
    call.id = view.call;
    call.media = view.media;
    call.wasHere = view.you !== null;
    call.isMuted = call.wasHere && Boolean(mine?.muted); // who was not heard before a reload is not heard after it
    call.#see({ ...view, you: mine?.party ?? null });
    return call;
  }

  /** Milliseconds of talk so far, by the server's clock. */
  talkMs() {
    return this.#talk.ms();
  }

  /** What the other side sends. */
  get remoteStream() {
    return this.#peer?.remote ?? null;
  }

  /** The connection itself, for whoever wants more of it. */
  get peerConnection() {
    return this.#peer?.pc ?? null;
  }

  /** Used by `line.call`. */
  async invite() {
    const options = this.chosen;
    await this.#openDevices(options);
    const peer = this.#connect(0, true);
    const offer = await peer.negotiation.firstOffer();
    const { audio, video, microphone, camera, ...more } = options;
    let view;
    try {
      view = await this.#host.request("call.invite", { to: { user: this.peer.user }, media: this.media, offer, ...more });
    } catch (error) {
      this.end(error instanceof TurnbellError ? error.code : "internal");
      throw error;
    }
    this.id = view.call;
    if (this.state === "ended") { // hung up in the meantime
      this.#host.request("call.hangup", { call: this.id }).catch(() => {});
      return;
    }
    this.#host.begins(this);
    if (view.glare) {
      // The other one called us: it is his call, and it is accepted. Our offer never was.
      this.#isCaller = false;
      this.#drop();
      this.#offer = view.offer;
      this.#see(view);
      const answering = this.#connect(view.gen);
      if (this.#offer) {
        const sdp = await answering.negotiation.firstAnswer(this.#offer);
        await this.#host.request("call.signal", { call: this.id, kind: "answer", gen: view.gen, sdp });
        answering.negotiation.release();
      }
      return;
    }
    this.#see(view);
    peer.negotiation.release();
  }

  /**
   * Takes the call. Run it in a click handler: the browser asks for the microphone, and sound may start.
   * @param {CallOptions} [options]
   */
  async accept(options = {}) {
    if (this.state !== "ringing" || this.#isCaller) throw new TurnbellError("call_ended");
    this.chosen = { audio: this.media.audio, video: this.media.video, ...options };
    await this.#openDevices(this.chosen);
    if (this.#isEnded()) throw new TurnbellError(this.reason === "answered_elsewhere" ? "already_answered" : "call_ended");
    const peer = this.#connect(this.#offer ? 1 : 0);
    try {
      const answer = this.#offer ? await peer.negotiation.firstAnswer(this.#offer) : undefined;
      const view = await this.#host.request("call.accept", { call: this.id, answer });
      this.#see(view);
    } catch (error) {
      this.end(error instanceof TurnbellError ? error.code : "internal");
      throw error;
    }
    if (this.#offer) peer.negotiation.release();
  }

  /**
   * @param {{ scope?: "all" | "device", reason?: "declined" | "busy" | "dnd" }} [how] `device` silences this
   *   device only
   */
  reject({ scope = "all", reason = "declined" } = {}) {
    this.#host.request("call.reject", { call: this.id, scope, reason }).catch(() => {});
    this.end(scope === "device" ? "silenced" : reason);
  }

  /** Ends the call, whatever its state. @param {"hangup" | "media_failed"} [reason] */
  hangup(reason = "hangup") {
    if (this.state === "ended") return;
    if (this.id) {
      this.#peer?.reportFinal();
      this.#host.request("call.hangup", { call: this.id, reason }).catch(() => {});
    }
    this.end(this.answeredAt === null && reason === "hangup" ? "cancelled" : reason);
  }

  /**
   * A new page takes the user's place in the call. Run it in a click handler if there was one.
   * @param {CallOptions} [options]
   */
  async rejoin(options = {}) {
    this.chosen = { audio: this.media.audio, video: this.media.video, ...options };
    await this.#openDevices(this.chosen);
    this.#host.begins(this);
    await this.#rejoinNew();
  }

  /**
   * Lets an element play what the other side sends, as long as the call lasts. If the browser wants a tap first,
   * `blocked` says so, and the call goes on.
   * @param {HTMLMediaElement} element
   */
  attach(element) {
    playIn(this, element, (play) => this.emit("blocked", play));
  }

  /** Looks for a new way for the media: the network has changed. */
  restart() {
    if (this.state === "active" || this.state === "held" || this.state === "reconnecting") {
      this.#peer?.negotiation.restart();
    }
  }

  /** Used by the line. @param {string} t @param {any} d */
  take(t, d) {
    switch (t) {
      case "call.state": return d.state === "ended" ? this.end(d.reason) : this.#see(d);
      case "call.signal": return void this.#peer?.negotiation.take(d);
      case "call.update": {
        const { call, from, ...changes } = d;
        Object.assign(this.peer, changes);
        this.apply();
        return this.emit("update", undefined);
      }
      case "call.restart":
        this.#peer?.setIce(this.#host.ice(), d.policy);
        // The caller makes the offer.
        if (this.#isCaller) this.#peer?.negotiation.restart(d.gen);
        return;
      case "quality.warning": return this.emit("warning", d);
      default:
    }
  }

  /** Used by the line: events were lost, this is how the call stands. @param {any} view */
  sync(view) {
    const isAnswered = view.answered_at !== null;
    if (view.you === null && !isAnswered) {
      // A new session of ours: the ring comes again by itself; what we called is lost.
      if (this.#isCaller) this.end("lost");
      return;
    }
    const other = otherParty(view, this.#host.me());
    const isSame = other?.party === this.#party && this.#peer?.pc.connectionState === "connected";
    if (view.you !== null) {
      const wasParty = this.#party;
      this.#see(view);
      if (wasParty === this.#party && isAnswered) this.#peer?.negotiation.restart();
    } else if (isSame) {
      this.#host.request("call.rejoin", { call: this.id, media: "up" })
        .then((now) => this.#goOn(now), () => this.end("lost"));
    } else {
      this.#rejoinNew().catch(() => {});
    }
  }

  /** Used by the line. @param {RTCConfiguration} ice */
  setIce(ice) {
    this.#peer?.setIce(ice);
  }

  /** Used by the line: it is over. @param {string} reason @param {string | null} [by] */
  end(reason, by = null) {
    if (this.state === "ended") return;
    this.#talk.stop();
    this.state = "ended";
    this.reason = reason;
    this.#drop();
    this.local.close();
    for (const off of this.#listening) off();
    this.#host.isOver(this);
    this.emit("state", "ended");
    this.emit("ended", { reason, by });
  }

  #isEnded() {
    return this.state === "ended";
  }

  /** The server was restarted, and the media stands. @param {any} view */
  #goOn(view) {
    this.#peer?.negotiation.countFrom(view.gen);
    this.#see(view);
    this.#peer?.leaveRelay();
  }

  async #rejoinNew() {
    this.#drop();
    const peer = this.#connect(this.#generation);
    try {
      // The other side sees a new page of ours and makes an offer.
      this.#see(await this.#host.request("call.rejoin", { call: this.id, media: "new" }), peer);
    } catch (error) {
      this.end(error instanceof TurnbellError ? error.code : "internal");
      throw error;
    }
    this.tellAll();
  }

  /** @param {CallOptions} options */
  async #openDevices({ audio = true, video = false, microphone, camera }) {
    ensureSecureContext();
    try {
      if (audio && microphone !== false) await this.local.openMicrophone(microphone || undefined);
      if (video && camera !== false) await this.local.openCamera(camera || undefined);
    } catch (error) {
      if (this.direction === "outgoing" && this.state === "new") this.end("media_failed");
      throw error;
    }
  }

  /** @param {number} generation @param {boolean} [makesOffer] */
  #connect(generation, makesOffer = false) {
    const peer = new Peer({
      ice: this.#host.ice(),
      isPolite: !this.#isCaller,
      generation,
      makesOffer,
      media: this.media,
      local: this.local,
      signal: (signal) => this.#host.request("call.signal", { call: this.id, ...signal }),
      report: (t, d) => void (this.id && this.#host.request(t, { call: this.id, ...d }).catch(() => {})),
      onRemote: (stream) => this.emit("remote", stream),
      onChange: () => this.emit("update", undefined),
      onWords: (words) => {
        this.words = words;
        this.emit("words", words);
      },
      onQuality: (quality) => {
        this.quality = quality;
        this.emit("quality", quality);
      },
      state: () => this.state,
    });
    this.#peer = peer;
    this.apply();
    return peer;
  }

  #drop() {
    this.#peer?.close();
    this.#peer = null;
  }

  /** How the call stands, by the server. @param {any} view @param {Peer} [fresh] just made for a rejoin */
  #see(view, fresh) {
    if (this.state === "ended") return;
    const mine = view.parties.find((/** @type {any} */ party) => party.party === view.you);
    const other = otherParty(view, this.#host.me());
    this.#isCaller = mine ? mine.role === "caller" : this.#isCaller;
    const isNewlyAnswered = this.answeredAt === null && view.answered_at !== null && view.you !== null;
    this.answeredAt = view.answered_at;
    this.#talk.set(view);
    this.#generation = view.gen;
    const before = this.#party;
    if (other) {
      const { party, user, name, verified, ...more } = other;
      this.#party = party;
      Object.assign(this.peer, more, { user, verified });
      if (name) this.peer.name = name;
    }
    const isNewPage = before !== 0 && this.#party !== before && !fresh;
    if (isNewPage && this.#peer) {
      // The other side has nothing any more: a new connection, and ours is the offer.
      this.#drop();
      this.#connect(view.gen, true).negotiation.open();
    }
    if (other && !other.signaling_lost) this.#peer?.negotiation.sayAgain();
    this.apply();
    if (isNewlyAnswered) this.tellAll();
    if (this.state !== view.state) {
      this.state = view.state;
      this.emit("state", view.state);
    }
    this.emit("update", undefined);
  }
}
