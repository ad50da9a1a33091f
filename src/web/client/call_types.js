// The words of a call, and what can be told from them alone.

/**
 * @typedef {"new" | "initiated" | "ringing" | "connecting" | "active" | "held" | "reconnecting" | "ended"} CallState
 *
 * @typedef {object} CallOptions
 * @property {boolean} [audio] by default true
 * @property {boolean} [video] by default false
 * @property {string | false} [microphone] which; false: listen only
 * @property {string | false} [camera] which; false: watch only
 * @property {string} [display] words of the caller's own ("about invoice 7"); shown as unverified
 * @property {number} [ring_ms]
 * @property {string} [metadata]
 * @property {string} [contact]
 * @property {string} [external_id]
 * @property {string} [to_number]
 * @property {string} [conversation]
 *
 * @typedef {object} Other the other side
 * @property {string} user
 * @property {string} name
 * @property {boolean} verified whether an issuer vouches for the name
 * @property {string | null} [number]
 * @property {string | null} [display]
 * @property {boolean} muted
 * @property {boolean} video_muted
 * @property {boolean} hold
 * @property {boolean} screen
 * @property {boolean} signaling_lost its connection to the server is lost; its media may flow
 *
 * @typedef {import("./stats.js").Sample & { mark: "good" | "fair" | "poor" | null }} Quality
 *
 * @typedef {object} CallEvents
 * @property {CallState} state
 * @property {void} update somebody muted, held, shared; devices changed
 * @property {MediaStream} remote what the other side sends
 * @property {MediaStream} local our own picture and sound
 * @property {string[]} words the four words are known, or have changed
 * @property {Quality} quality
 * @property {{ party: number, metric: string, value: number, cleared: boolean }} warning
 * @property {() => Promise<void>} blocked the browser wants a tap before sound: run this in it
 * @property {import("./errors.js").TurnbellError} problem
 * @property {import("./media.js").Unplugged} unplugged
 * @property {{ reason: string, by: string | null }} ended `by`: the user's own device that was first
 *
 * @typedef {object} Host what a call needs of its line
 * @property {(t: string, d: Record<string, unknown>) => Promise<any>} request
 * @property {() => RTCConfiguration} ice
 * @property {() => string} me
 * @property {() => number} serverNow
 * @property {(call: import("./call.js").Call) => void} begins it has an id
 * @property {(call: import("./call.js").Call) => void} isOver
 * @property {EventTarget | null} page
 */

/** Talk so far, by the server's clock: it runs on between two words of the server. */
export class TalkClock {
  #ms = 0;
  #at = 0;
  #runs = false;
  #now;

  /** @param {() => number} now the server's clock */
  constructor(now) {
    this.#now = now;
  }

  /** @param {{ state: CallState, talk_ms: number, at?: number }} view `at`: when that was so */
  set({ state, talk_ms, at }) {
    this.#ms = talk_ms;
    this.#at = at ?? this.#now();
    this.#runs = talk_ms > 0 || state === "active" || state === "held";
  }

  stop() {
    this.#ms = this.ms();
    this.#runs = false;
  }

  ms() {
    return this.#ms + (this.#runs ? Math.max(0, this.#now() - this.#at) : 0);
  }
}

/** @param {any} view @param {string} me */
export function otherParty(view, me) {
  return view.parties.find((/** @type {any} */ party) =>
    (view.you !== null ? party.party !== view.you : party.user !== me));
}
