// The page at `/`: a relay-only call between two peer connections in this page, and its verdict.
//
// `window.turnbellTest` holds everything the page knows (never a credential or an API key); each
// event changes it and then shows it. Tests and bug reports read the same object.

import { openCamera, testPicture, testTone } from "./media.js";
import { notice, page, show } from "./show.js";
import { diagnose, explain, explainCamera, INSECURE } from "./words.js";

const TICK_MS = 500; // between two looks at getStats
const PATIENCE_MS = 3_000; // after this the page says what it is waiting for
const VERDICT_MS = 10_000; // after this it says what is wrong, though the call is still tried
const GIVE_UP_MS = 45_000; // Chromium reports a silent relay (701) after 40 s
const STALL_MS = 5_000; // no new picture for this long: the call has stalled
const CONFIG_TIMEOUT_MS = 10_000;
const KEY_SLOT = "turnbell.key";
const TURN_URL = /^turns?:/;
const SIDES = ["caller", "callee"];
const FAR = { caller: "callee", callee: "caller" };

const known = (window.turnbellTest = {
  ...nothingSeen(), state: "idle",
  verdict: { code: "idle", title: "Ready", cure: "Press Start to call through the relay." },
});
const typed = { key: "", username: "", credential: "" };
let run = null; // the call in progress
let camera = null; // the stream, while the camera is in use

function nothingSeen() {
  return {
    startedAt: null, browser: navigator.userAgent, source: "test picture", live: false, setupMs: {},
    ice: null, network: null, candidates: [], errors: [],
    selectedPair: { caller: null, callee: null }, stats: { caller: null, callee: null },
  };
}

function say(state, code, title, cure) {
  Object.assign(known, { state, verdict: { code, title, cure } });
  draw();
}

function draw() {
  known.live = run !== null;
  show(known);
}

function fail(code, title, cure) {
  hangUp();
  say("failed", code, title, cure);
  return null;
}

// ---- The config -------------------------------------------------------------------------------

/** `GET ice`, checked and made relay-only; null after the reason was shown. */
async function askForConfig(mine) {
  const headers = typed.key ? { Authorization: `Bearer ${typed.key}` } : {};
  let status, body;
  try {
    const signal = AbortSignal.timeout(CONFIG_TIMEOUT_MS);
    const response = await fetch("../ice", { headers, cache: "no-store", signal });
    status = response.status;
    body = await response.json().catch(() => null);
  } catch (error) {
    const cure = `Is it running? Look at the terminal or the journal where it was started. (${error.message})`;
    return run === mine ? fail("ice_unreachable", "turnbell does not answer /ice", cure) : null;
  }
  if (run !== mine) return null;
  known.ice = { status, error: body?.error ?? null };
  if (status !== 200) {
    if (status === 401) page("advanced").open = true;
    const { code, message, hint } = body?.error ?? {};
    return fail(code ?? "ice_status", `No ICE config: ${message ?? `/ice answered ${status}`}`,
      hint ?? (body ? "" : "The answer is not turnbell's. Does a proxy sit in front of it?"));
  }
  if (!Array.isArray(body?.iceServers)) {
    return fail("ice_shape", "/ice answered something that is no ICE config",
      "Does a proxy sit in front of turnbell?");
  }
  const replaced = Boolean(typed.username || typed.credential);
  const replace = (server) =>
    ({ ...server, username: typed.username || server.username, credential: typed.credential || server.credential });
  const iceServers = body.iceServers.map((server) => (server.username === undefined ? server : replace(server)));
  const urls = iceServers.flatMap((server) => server.urls);
  Object.assign(known.ice, { urls, typed: replaced, ttl: body.ttl ?? null, expiresAt: body.expires_at ?? null,
    username: iceServers.find((server) => server.username !== undefined)?.username ?? null });
  if (!urls.some((url) => TURN_URL.test(url))) {
    return fail("ice_no_turn", "/ice names no TURN server", "Check listen and advertise in turnbell's config.");
  }
  return { ...body, iceServers, iceTransportPolicy: "relay" };
}

// ---- The call ---------------------------------------------------------------------------------

async function start() {
  hangUp();
  const started = performance.now();
  const elapsed = () => Math.round(performance.now() - started);
  const mine = (run = { elapsed, gathered: new Set(), seen: new Set(), frames: 0 });
  Object.assign(known, nothingSeen(), { startedAt: new Date().toISOString(), source: source() });
  say("asking", "asking", "Asking turnbell for a relay…", "");
  if (typeof RTCPeerConnection !== "function") {
    return fail("no_webrtc", "This browser has no WebRTC, or it is switched off",
      "Switch it on, or use another browser.");
  }
  const config = await askForConfig(mine);
  if (!config || run !== mine) return;
  known.setupMs.config = mine.elapsed();
  say("connecting", "connecting", "Connecting through the relay…", "");
  try {
    mine.tone = testTone();
    mine.pictures = Object.fromEntries(SIDES.map((side) => [side, testPicture(side)]));
    for (const side of SIDES) mine[side] = new RTCPeerConnection(config);
    await connect(mine);
  } catch (error) {
    if (run === mine) fail("browser", `The browser refused: ${error.message}`, "Is the config in /ice right?");
    return;
  }
  if (run === mine) mine.timer = setInterval(() => tick(mine), TICK_MS);
}

/** Offer, answer and candidates between the two sides. */
async function connect(mine) {
  let described;
  mine.described = new Promise((resolve) => (described = resolve));
  for (const side of SIDES) {
    const stream = new MediaStream();
    const senders = {
      video: mine[side].addTrack(mine.pictures[side].track, stream),
      audio: mine[side].addTrack(mine.tone.track, stream),
    };
    if (side === "caller") mine.senders = senders;
    listen(mine, side);
  }
  if (camera) await sendFromCaller();
  const { caller, callee } = mine;
  await caller.setLocalDescription();
  await callee.setRemoteDescription(caller.localDescription);
  await callee.setLocalDescription();
  await caller.setRemoteDescription(callee.localDescription);
  described();
}

function listen(mine, side) {
  const [peer, far] = [mine[side], mine[FAR[side]]];
  peer.ontrack = ({ track }) => {
    const video = page(`${side}-video`);
    video.srcObject ??= new MediaStream();
    video.srcObject.addTrack(track);
    if (track.kind === "video") video.requestVideoFrameCallback?.(() => firstPicture(mine, side));
  };
  peer.onicecandidate = async ({ candidate }) => {
    if (run !== mine || !candidate?.candidate) return;
    known.setupMs.candidate ??= mine.elapsed();
    known.candidates.push({ side, ...describe(candidate) });
    draw();
    await mine.described;
    if (run !== mine) return;
    far.addIceCandidate(candidate).catch((error) => note(side, candidate.url, 0, error.message));
  };
  peer.onicecandidateerror = ({ url, errorCode, errorText }) => {
    if (run === mine) note(side, url, errorCode, errorText);
  };
  peer.onicegatheringstatechange = () => {
    if (peer.iceGatheringState === "complete") mine.gathered.add(side);
  };
  peer.onconnectionstatechange = () => {
    if (run !== mine) return;
    const both = SIDES.every((each) => mine[each].connectionState === "connected");
    if (both) known.setupMs.connected ??= mine.elapsed();
    if (peer.connectionState === "failed") failed();
  };
}

function note(side, url, code, text) {
  const error = { side, url: url ?? "", code, text: text ?? "" };
  known.errors.push({ ...error, ...explain(error, known.ice) });
  draw();
}

/** The words of a candidate, whether it comes from an event or from getStats. */
function describe(candidate) {
  const { protocol, address, port, relayProtocol, url } = candidate;
  const type = candidate.candidateType ?? candidate.type;
  return { type, protocol, address: address || null, port, relayProtocol: relayProtocol ?? null, url: url ?? null };
}

/** Notes when both sides have shown something, and looks at the numbers at once. */
function firstPicture(mine, side) {
  mine.seen.add(side);
  if (run !== mine || mine.seen.size < SIDES.length) return;
  known.setupMs.picture ??= mine.elapsed();
  tick(mine);
}

async function tick(mine) {
  if (run !== mine || mine.looking) return;
  mine.looking = true;
  const looks = await Promise.all(SIDES.map((side) => mine[side].getStats()));
  mine.looking = false;
  if (run !== mine) return;
  SIDES.forEach((side, index) => measure(side, [...looks[index].values()]));
  judge(mine);
  draw();
}

/** Moves the verdict on, from what the last look at the numbers showed. */
function judge(mine) {
  const frames = Math.min(...SIDES.map((side) => known.stats[side].framesDecoded));
  const moved = frames > mine.frames;
  if (moved) Object.assign(mine, { frames, movedAt: mine.elapsed() });
  if (moved && known.state !== "relayed" && SIDES.every((side) => known.selectedPair[side])) {
    known.setupMs.picture ??= mine.elapsed();
    const relay = known.selectedPair.caller.local.url ?? "the relay";
    const others = known.errors.length ? " What failed on the way, see below, is not needed for it." : "";
    return say("relayed", "relayed", "Relayed: this call goes through turnbell",
      `Both pictures below have been to ${relay} and back.${others}`);
  }
  if (known.state === "relayed" && mine.elapsed() - mine.movedAt > STALL_MS) {
    return say("stalled", "stalled", "The call was relayed, but nothing arrives any more",
      "Is turnbell still running? A call also ends when its credential has expired: then press Start again.");
  }
  if (known.setupMs.picture !== undefined) return;
  const empty = SIDES.some((side) => !known.candidates.some((candidate) => candidate.side === side));
  const over = SIDES.every((side) => mine.gathered.has(side) || refused(side));
  if ((empty && over) || mine.elapsed() > GIVE_UP_MS) return failed();
  if (mine.elapsed() > VERDICT_MS) {
    if (known.state === "connecting") say("failed", ...diagnose({ ...known, waitedMs: VERDICT_MS }));
  } else if (empty && mine.elapsed() > PATIENCE_MS && known.network === null) {
    probeNetwork();
    const asked = `No relay address yet from ${known.ice.urls.join(", ")}`;
    say("connecting", "waiting", "Waiting for the relay to answer…", asked);
  }
}

/** Whether every relay turned this side down: some browsers go on gathering for minutes. */
function refused(side) {
  const relays = known.ice.urls.filter((url) => TURN_URL.test(url));
  return relays.every((url) => known.errors.some((error) => error.side === side && error.url === url));
}

/** Whether this browser has any address for calls: one that says none can ask no relay. */
function probeNetwork() {
  known.network = false;
  const probe = new RTCPeerConnection();
  probe.onicecandidate = ({ candidate }) => {
    if (candidate?.candidate) known.network = true;
  };
  probe.createDataChannel("");
  probe.setLocalDescription();
  setTimeout(() => probe.close(), PATIENCE_MS);
}

/** Reads one side's numbers. */
function measure(side, all) {
  const byId = (id) => all.find((entry) => entry.id === id);
  const chosen = all.find(({ type }) => type === "transport")?.selectedCandidatePairId;
  const pair = byId(chosen)
    ?? all.find((e) => e.type === "candidate-pair" && e.nominated && e.state === "succeeded");
  const video = all.find(({ type, kind }) => type === "inbound-rtp" && kind === "video");
  const [at, before] = [performance.now(), known.stats[side]];
  const rate = (bytes, was) => (before ? Math.max(0, ((bytes - was) * 8_000) / (at - before.at)) : 0);
  const [bytesIn, bytesOut] = [pair?.bytesReceived ?? 0, pair?.bytesSent ?? 0];
  const rttMs = pair?.currentRoundTripTime === undefined ? null : pair.currentRoundTripTime * 1_000;
  known.stats[side] = {
    at, rttMs, bytesIn, bytesOut, packetsIn: pair?.packetsReceived ?? null, packetsOut: pair?.packetsSent ?? null,
    bitsInPerSecond: rate(bytesIn, before?.bytesIn), bitsOutPerSecond: rate(bytesOut, before?.bytesOut),
    framesDecoded: video?.framesDecoded ?? 0, framesPerSecond: video?.framesPerSecond ?? 0,
    width: video?.frameWidth ?? null, height: video?.frameHeight ?? null,
  };
  const [local, remote] = [byId(pair?.localCandidateId), byId(pair?.remoteCandidateId)];
  if (local && remote) known.selectedPair[side] = { local: describe(local), remote: describe(remote) };
  for (const mine of known.candidates.filter((candidate) => candidate.side === side)) {
    const same = all.find((e) => e.type === "local-candidate" && e.port === mine.port && e.address === mine.address);
    mine.relayProtocol ??= same?.relayProtocol ?? null; // Chromium names it in getStats only
  }
}

function failed() {
  if (known.setupMs.picture === undefined) return fail(...diagnose({ ...known, waitedMs: run.elapsed() }));
  fail("lost", "The call was lost: the relay stopped answering", "Is turnbell still running? Then press Start again.");
}

/** Ends the call in progress; what was seen of it stays on the page. */
function hangUp() {
  if (!run) return;
  const ended = run;
  run = null;
  clearInterval(ended.timer);
  for (const side of SIDES) {
    ended[side]?.close();
    ended.pictures?.[side].stop();
    page(`${side}-video`).srcObject = null;
  }
  ended.tone?.stop();
}

// ---- The camera -------------------------------------------------------------------------------

const source = () => (camera ? "camera" : "test picture");

async function toggleCamera() {
  if (camera) return releaseCamera("");
  if (!isSecureContext || !navigator.mediaDevices) return notice(INSECURE);
  page("camera").disabled = true;
  try {
    camera = await openCamera();
    for (const track of camera.getTracks()) {
      track.onended = () => releaseCamera("The camera went away; the test picture is back.");
    }
    notice("");
    await sendFromCaller();
  } catch (error) {
    const { cause, cure } = explainCamera(error);
    notice(`${cause} ${cure}`);
  }
  page("camera").disabled = false;
}

async function releaseCamera(why) {
  for (const track of camera?.getTracks() ?? []) track.stop();
  camera = null;
  notice(why);
  await sendFromCaller();
}

/** Puts the camera, or else the test picture, on the caller's side of the call in progress. */
async function sendFromCaller() {
  known.source = source();
  draw();
  if (!run?.senders) return;
  const video = camera?.getVideoTracks()[0] ?? run.pictures.caller.track;
  const audio = camera ? (camera.getAudioTracks()[0] ?? null) : run.tone.track;
  await Promise.all([run.senders.video.replaceTrack(video), run.senders.audio.replaceTrack(audio)]);
}

// ---- Buttons, fields, address bar -------------------------------------------------------------

/** Takes `#k=`, `#username=` and `#credential=` over; true if the page shall wait for Start. */
function readFragment() {
  const given = new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B")); // base64 has a plus
  if (given.has("k")) {
    setKey(given.get("k"));
    const rest = location.hash.slice(1).split("&").filter((part) => !part.startsWith("k="));
    history.replaceState(null, "", `${location.pathname}${location.search}${rest.length ? `#${rest.join("&")}` : ""}`);
  }
  for (const name of ["username", "credential"]) {
    typed[name] = page(name).value = given.get(name) ?? "";
  }
  if (typed.username || typed.credential) page("advanced").open = true;
  return given.has("manual");
}

/** Keeps the API key for this tab, or without one takes it from there. */
function setKey(key) {
  try {
    typed.key = (key ?? sessionStorage.getItem(KEY_SLOT) ?? "").replace(/[^\x21-\x7e]/g, ""); // line ends
    sessionStorage.setItem(KEY_SLOT, typed.key);
  } catch { /* storage is switched off: the key lasts as long as the page */ }
  page("key").value = typed.key;
}

async function copyReport() {
  const report = JSON.stringify(known, null, 2);
  try {
    await navigator.clipboard.writeText(report);
    notice("Report copied. It holds addresses and the user name, but no credential and no key.");
  } catch {
    page("report").value = report;
    page("report-section").hidden = false;
    page("report").focus();
    page("report").select();
  }
}

page("start").addEventListener("click", start);
page("stop").addEventListener("click", () => {
  hangUp();
  say("stopped", "stopped", "Stopped", "Press Start again to make another call.");
});
page("camera").addEventListener("click", toggleCamera);
page("copy").addEventListener("click", copyReport);
page("options").addEventListener("submit", (event) => {
  event.preventDefault();
  setKey(page("key").value);
  for (const name of ["username", "credential"]) typed[name] = page(name).value.trim();
  start();
});
page("forget").addEventListener("click", () => {
  setKey("");
  for (const name of ["username", "credential"]) typed[name] = page(name).value = "";
});
addEventListener("hashchange", () => {
  if (!readFragment()) start();
});

setKey(null);
const waits = readFragment();
show(known);
if (!waits) start();
