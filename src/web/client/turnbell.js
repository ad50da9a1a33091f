// turnbell's client library: calls over `turnbell.v1`. Plain ES modules, no dependency, no build step.
//
//   import { connect } from "https://turn.example.org/client/turnbell.js";
//   const line = connect({ token });
//   line.on("incoming", (call) => accept.onclick = () => call.accept());
//   button.onclick = async () => (await line.call("bob")).attach(audio);

export { connect, serverOf, Line } from "./line.js";
export { Call } from "./call.js";
export { TurnbellError, ensureSecureContext } from "./errors.js";
export { devices, testMicrophone, Meter } from "./media.js";
export { fourWords } from "./words.js";
export { config, endCall, guest, history, invite, redeem } from "./account.js";
