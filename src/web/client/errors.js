// What goes wrong, each with a code for programs, a sentence and a cure for people.

export const INSECURE_CURES = [
  "give turnbell a certificate (tls.cert)",
  "put Caddy or another proxy with a certificate in front",
  "from your own computer: ssh -L 8080:127.0.0.1:8080 vps, then open http://localhost:8080/",
];

/** @type {Record<string, [sentence: string, cure: string]>} */
const KNOWN = {
  // Of the page's surroundings.
  insecure_context: [
    "Browsers give the microphone only to https pages or localhost.",
    `Three cures: ${INSECURE_CURES.join("; ")}.`,
  ],
  proxy_blocks_websocket: [
    "The proxy in front does not pass WebSocket upgrades.",
    "In nginx add to the location: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
      + "proxy_set_header Connection \"upgrade\";",
  ],
  unreachable: ["The server does not answer.", "Check the network; this page tries again by itself."],
  not_turnbell: ["Something else than turnbell answers at this address.", "Check the server's URL."],
  // Of devices.
  microphone_denied: ["The browser did not allow the microphone.", "Allow it in the address bar, then try again."],
  camera_denied: ["The browser did not allow the camera.", "Allow it in the address bar, then try again."],
  microphone_missing: ["There is no microphone on this device.", "Plug one in, or join without one."],
  camera_missing: ["There is no camera on this device.", "Plug one in, or go on without it."],
  microphone_in_use: ["Another program is using the microphone.", "Close that program, then try again."],
  camera_in_use: ["Another program is using the camera.", "Close that program, then try again."],
  microphone_unfit: ["The chosen microphone cannot be used.", "Choose another one."],
  camera_unfit: ["The chosen camera cannot be used.", "Choose another one."],
  screen_denied: ["The screen is not shared.", "Press the button again and choose what to share."],
  device_failed: ["Microphone or camera did not start.", "Unplug it and plug it in again, then try again."],
  // Of the connection to the server.
  unauthenticated: ["The server does not know this token.", "Sign in again."],
  token_expired: ["The sign-in has expired.", "Sign in again."],
  revoked: ["The operator of this server ended this session.", "Ask him to let you in again."],
  replaced: ["This session goes on in another page.", "Go on there, or load this page again."],
  tenant_suspended: ["Calls are switched off for this organisation.", "Ask its administrator."],
  closed: ["The connection was closed.", "Load the page again."],
  session_lost: ["The connection was lost for too long.", "Try again."],
  // Answers to requests.
  callee_offline: ["Not online right now.", "Try again later, or send an invite link."],
  callee_busy: ["In another call.", "Try again later."],
  callee_dnd: ["Does not want to be disturbed.", "Try again later."],
  already_answered: ["Another device has answered.", ""],
  call_ended: ["The call is over.", ""],
  not_party: ["The call is not for this device.", ""],
  not_found: ["There is no such call.", ""],
  feature_disabled: ["Calls are switched off on this server.", "Its operator can switch them on."],
  forbidden: ["You may not do that.", ""],
  rate_limited: ["That was too often.", "Wait a moment, then try again."],
  quota_exceeded: ["As many calls or pages as allowed are open.", "Close one of them, then try again."],
  too_large: ["That is too long.", ""],
  store_unavailable: ["The server cannot write its record.", "Its operator finds the reason in turnbell status."],
  draining: ["The server is about to restart.", "This page connects again by itself."],
  internal: ["The server made a mistake.", "Try again; its operator finds more in the log."],
};

export class TurnbellError extends Error {
  /**
   * @param {string} code
   * @param {{ message?: string, cause?: unknown, retryAfterMs?: number, field?: string, call?: string }} [more]
   *   `message` counts where the code is not known here
   */
  constructor(code, more = {}) {
    const [sentence, cure] = KNOWN[code] ?? [more.message ?? code, ""];
    super(sentence, { cause: more.cause });
    this.name = "TurnbellError";
    /** A stable word. */
    this.code = code;
    /** What helps; may be empty. */
    this.cure = cure;
    /** What the server said, for the console. */
    this.detail = more.message ?? "";
    /** With `rate_limited`: when it may go through. */
    this.retryAfterMs = more.retryAfterMs;
    /** Which field of a request is wrong. */
    this.field = more.field;
    /** The call that stands in the record although it came to nothing. */
    this.callId = more.call;
  }
}

/**
 * From the `d` of an `error` frame.
 * @param {{ code: string, message?: string, retry_after_ms?: number, field?: string, call?: string }} refusal
 */
export function fromRefusal({ code, message, retry_after_ms, field, call }) {
  return new TurnbellError(code, { message, retryAfterMs: retry_after_ms, field, call });
}

/** @type {Record<string, string>} */
const DEVICE_WORDS = {
  NotAllowedError: "denied",
  SecurityError: "denied",
  NotFoundError: "missing",
  DevicesNotFoundError: "missing",
  NotReadableError: "in_use",
  AbortError: "in_use",
  OverconstrainedError: "unfit",
};

/**
 * From what `getUserMedia` rejects with.
 * @param {unknown} cause
 * @param {"microphone" | "camera"} device
 */
export function fromDevice(cause, device) {
  const name = cause instanceof Error || cause instanceof DOMException ? cause.name : "";
  const word = DEVICE_WORDS[name];
  return new TurnbellError(word ? `${device}_${word}` : "device_failed", { message: String(cause), cause });
}

/** Throws where a browser would not give out a microphone. */
export function ensureSecureContext() {
  if (globalThis.isSecureContext === false) throw new TurnbellError("insecure_context");
}
