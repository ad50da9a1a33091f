// What errors mean: for each a sentence of cause and a sentence of cure. Pure; no DOM, no network.

const RELAY_ERRORS = {
  300: ["The relay sends this browser to another server.", "Check the settings for redirection in turnbell's config."],
  400: ["The relay did not understand the request.", "Does a TURN server listen at this address?"],
  401: ["Credential refused: the relay does not accept this user name and credential.", ""],
  403: ["The relay's rules forbid this.", "Look at the peer rules in the config and at turnbell log."],
  437: ["The relay still holds an older allocation for this address.", "Press Start again in a moment."],
  440: ["The relay has no address of the family that was asked for.", "Check relay_addresses in the config."],
  441: ["Credential refused: another one made this allocation.", "Press Start again."],
  442: ["The relay does not relay this transport.", "turnbell relays UDP."],
  486: ["This user holds as many allocations as the quota allows.", "Close other pages, or wait ten minutes."],
  508: ["The relay has no free port or address.", "Check relay_ports and the total quota in the config."],
  701: ["Not reachable: the server at this URL did not answer.", ""],
};
const WORST_FIRST = [401, 441, 403, 486, 508, 440, 442, 437, 300, 400];

const CAMERA_ERRORS = {
  NotAllowedError: ["The browser did not allow the camera.", "Allow it in the address bar, then press Use camera again."],
  NotFoundError: ["There is no camera on this device.", "Plug one in; the test picture proves the relay just as well."],
  NotReadableError: ["Another program is using the camera.", "Close that program, then press Use camera again."],
  OverconstrainedError: ["No camera can do what was asked.", "Choose another camera in the browser's settings."],
};

export const INSECURE = `Browsers give the camera and microphone only to https pages or localhost. Three cures:
1. from your own computer: ssh -L 8080:127.0.0.1:8080 vps, then open http://localhost:8080/
2. put a proxy with a certificate in front, for example Caddy
3. give turnbell a certificate of its own (tls.cert), where your version serves https`;

/** For the name of a `getUserMedia` error. */
export function explainCamera({ name, message }) {
  const [cause, cure] = CAMERA_ERRORS[name]
    ?? [`The camera did not start: ${message}.`, "The test picture proves the relay just as well."];
  return { cause, cure };
}

/** For an `icecandidateerror`; `ice` is what is known of the config that was in use. */
export function explain({ code, text, url }, ice) {
  if (code === 401) return explainRefusal(ice);
  if (code === 701) return explainSilence(text, url);
  const [cause, cure] = RELAY_ERRORS[code] ?? [`The relay answered with error ${code}.`, "Look at turnbell log."];
  return { cause, cure };
}

function explainRefusal(ice) {
  const expiry = Number(/^(\d+):/.exec(ice?.username ?? "")?.[1]);
  if (expiry * 1000 < Date.now()) {
    const when = new Date(expiry * 1000).toLocaleString();
    return {
      cause: `Credential refused: it expired on ${when}, by this computer's clock.`,
      cure: "Get a fresh one. If it is fresh, this clock or the server's is wrong.",
    };
  }
  const cure = ice?.typed
    ? "It must be made with one of the secrets in turnbell's config, or be one of its users."
    : "turnbell handed it out itself, so another TURN server may sit at this URL. Look at turnbell log.";
  return { cause: RELAY_ERRORS[401][0], cure };
}

function explainSilence(text, url) {
  if (/lookup|resolve/i.test(text)) {
    const cure = "Check the DNS record, or advertise in turnbell's config.";
    return { cause: "Not reachable: the name in this URL has no address.", cure };
  }
  const [cause] = RELAY_ERRORS[701];
  if (/^turns?:(127\.|localhost|\[::1\])/.test(url)) {
    return {
      cause,
      cure: "This URL means the machine that the browser runs on. Is turnbell running there? An SSH tunnel "
        + "carries this page but not the relay's UDP: then open the page by the server's public name.",
    };
  }
  return { cause, cure: "Is turnbell running, and does the firewall let its UDP port and its relay range in?" };
}

/** Why no call came about: `[code, title, cure]`, from everything that was seen of it. */
export function diagnose({ candidates, errors, ice, network, waitedMs }) {
  if (["caller", "callee"].every((side) => candidates.some((candidate) => candidate.side === side))) {
    return ["no_path", "The relay gave addresses, but nothing passes between them",
      "Is the relay range open in the firewall, and external right in the config? Look at turnbell log."];
  }
  const asked = `Asked: ${ice.urls.join(", ")}`;
  const worst = WORST_FIRST.map((code) => errors.find((error) => error.code === code)).find(Boolean)
    ?? errors.find((error) => error.code !== 701) ?? errors[0];
  if (worst) {
    const { cause, cure } = explain(worst, ice);
    return [`ice_${worst.code}`, cause.replace(/\.$/, ""), `${cure}\n${asked}`];
  }
  const seconds = Math.round(waitedMs / 1_000);
  const { cure } = explainSilence("", ice.urls[0]);
  // Chromium with nothing but loopback waits for ever without asking anybody.
  const alone = network === false ? "\nThis browser also shows no network that calls may use: Chromium leaves "
    + "loopback out unless it is started with --allow-loopback-in-peer-connection; extensions and policies "
    + "that hide addresses do the same." : "";
  return ["no_answer", `Not reachable: no answer from the relay in ${seconds} s`, `${cure}${alone}\n${asked}`];
}
