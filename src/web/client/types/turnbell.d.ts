export { Call } from "./call.js";
export { fourWords } from "./words.js";
export { connect, serverOf, Line } from "./line.js";
export { TurnbellError, ensureSecureContext } from "./errors.js";
export { devices, testMicrophone, Meter } from "./media.js";
export { config, endCall, guest, history, invite, redeem } from "./account.js";
