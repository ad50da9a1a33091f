// The page at `/ice-verify`: asks for a test credential, tries every URL, lays both sides together.
//
// `window.turnbellVerify` holds everything the page knows, but no credential and no key; tests and bug
// reports read the same object.

import { tryStun, tryTurn } from "./measure.js";
import * as show from "./show.js";
import { CARRIERS, TEXTS } from "./words.js";

const API = "api/ice-verify";
const KEY_SLOT = "turnbell.verify.key";
const POLL_MS = 1_000;
const SETTLE_MS = 600; // closed connections give their relays back: the server counts their packets then
const LEVEL_MS = 100;
const SILENCE_MS = 5_000;
const { at } = show;

const known = (window.turnbellVerify = { state: "idle", ways: [], lines: [], report: null, microphone: null });
let run = null; // an AbortController while a test is on
let microphone = null;

/** The key or token of `#k=`, which leaves the address at once, or of this tab. */
function takeKey() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const found = fragment.get("k") ?? fragment.get("t");
  if (found) {
    sessionStorage.setItem(KEY_SLOT, found);
    fragment.delete("k");
    fragment.delete("t");
    history.replaceState(null, "", `${location.pathname}${location.search}${fragment.size ? `#${fragment}` : ""}`);
  }
  return sessionStorage.getItem(KEY_SLOT);
}

class Refused extends Error {
  constructor(status, body) {
    super(body?.error?.message ?? `status ${status}`);
    this.status = status;
    this.hint = body?.error?.hint ?? "";
  }
}

async function ask(method, path, body) {
  const key = sessionStorage.getItem(KEY_SLOT);
  const headers = { Accept: "application/json", ...(key && { Authorization: `Bearer ${key}` }),
    ...(body && { "Content-Type": "application/json" }) };
  const response = await fetch(`${API}${path}`, { method, headers, cache: "no-store", body: body && JSON.stringify(body) });
  if (response.status === 204) return null;
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new Refused(response.status, answer);
  return answer;
}

function carrierOf(url) {
  if (url.startsWith("turns:")) return "tls";
  return url.endsWith("transport=tcp") ? "tcp" : "udp";
}

function draw() {
  show.ways(known.ways, known.lines);
  show.serverLines(known.state === "idle" ? null : known.lines);
}

async function start() {
  if (run) return;
  const mine = (run = new AbortController());
  Object.assign(known, { state: "running", ways: [], lines: [], report: null });
  at("start").textContent = "Stop";
  at("key-section").hidden = true;
  at("copy").hidden = true;
  show.findings([]);
  show.verdict("running", TEXTS.starting);
  show.progress(0);
  let polling;
  try {
    if (typeof RTCPeerConnection !== "function") throw Object.assign(new Error(TEXTS.noWebRtc), { cure: TEXTS.noWebRtcCure });
    const begun = await ask("POST", "/runs");
    lookAtServer();
    known.ways = begun.urls.map(({ url, own }) =>
      ({ url, own, isTurn: !url.startsWith("stun:"), carrier: carrierOf(url), state: "waiting" }));
    draw();
    polling = setInterval(() => poll(begun.run), POLL_MS);
    const began = performance.now();
    for (const [index, way] of known.ways.entries()) {
      show.progress(index / (known.ways.length + 1));
      await tryWay(begun, way, mine.signal);
    }
    show.progress(known.ways.length / (known.ways.length + 1));
    show.verdict("running", TEXTS.judging);
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const report = await ask("POST", `/runs/${begun.run}/report`, {
      urls: known.ways.map(({ report: seen }) => seen), took_ms: Math.round(performance.now() - began),
      browser: browserName(), ...(known.microphone !== null && { microphone: known.microphone }),
    });
    clearInterval(polling);
    finish(report);
  } catch (error) {
    if (run === mine) stopped(mine.signal.aborted ? null : error);
  } finally {
    clearInterval(polling);
    show.progress(null);
    at("start").textContent = "Start again";
    if (run === mine) run = null;
  }
}

async function tryWay(begun, way, signal) {
  way.state = "trying";
  show.verdict("running", TEXTS.trying(`${way.isTurn ? "TURN" : "STUN"} over ${CARRIERS[way.carrier]}`));
  draw();
  const server = begun.ice.iceServers.find(({ urls }) => urls.includes(way.url));
  const only = { ...server, urls: [way.url] };
  const began = performance.now();
  const turns = known.ways.filter(({ isTurn }) => isTurn).length;
  way.report = way.isTurn ? await tryTurn(only, signal, draw, begun.bytes_max / turns) : await tryStun(only, signal, draw);
  way.tookS = Math.round((performance.now() - began) / 1000);
  const { mapped } = way.report;
  if (mapped) await ask("POST", `/runs/${begun.run}/addresses`, { addresses: [hostOf(mapped)] }).catch(() => undefined);
  await poll(begun.run);
  way.state = works(way, known.lines) ? "ok" : "failed";
  draw();
}

/** Without a NAT in between STUN finds no address that is not there already, and 701 may be of a family that the name lacks. */
function works({ isTurn, own, report: { mapped, errors = [], call, gathered_ms: gatheredMs } }, lines) {
  if (isTurn) return call?.connected;
  const isSeen = own && lines.some(({ code, transport }) => code === "binding" && transport === "udp");
  return mapped || (gatheredMs !== undefined && errors.every(({ code }) => isSeen && code === 701));
}

const hostOf = (address) => address.replace(/:\d+$/, "").replace(/^\[|\]$/g, "");

async function poll(id) {
  try {
    const { lines } = await ask("GET", `/runs/${id}`);
    known.lines = lines;
    draw();
  } catch {
    // The next one may be answered; the report says what is missing.
  }
}

function finish(report) {
  known.report = report;
  known.state = "done";
  known.lines = report.server ?? known.lines;
  const [first, ...rest] = report.verdicts;
  show.verdict(report.verdict, first?.cause ?? report.summary, first?.cure ?? "");
  show.findings(rest.length > 0 ? report.verdicts : []);
  at("copy").hidden = false;
  draw();
}

function stopped(error) {
  known.state = "stopped";
  if (error === null) return show.verdict("none", TEXTS.stopped);
  if (error instanceof Refused && error.status === 401) {
    at("key-section").hidden = false;
    show.verdict("error", TEXTS.refused(error.message), "");
    return at("key").focus();
  }
  if (error instanceof Refused) return show.verdict("error", error.status === 429 ? TEXTS.busy : TEXTS.refused(error.message), error.hint);
  if (error instanceof TypeError) return show.verdict("error", TEXTS.unreachable, TEXTS.unreachableCure);
  return show.verdict("error", error.message, error.cure ?? "");
}

/** What the server says about itself; the page goes on without. */
async function lookAtServer() {
  try {
    known.self = await ask("GET", "");
    show.self(known.self);
  } catch {
    show.self(null);
  }
}

function browserName() {
  const brands = navigator.userAgentData?.brands?.filter(({ brand }) => !/not.?a.?brand/i.test(brand));
  if (brands?.length) return brands.map(({ brand, version }) => `${brand} ${version}`).join(", ");
  return navigator.userAgent.match(/(Firefox|Chrome|Version)\/[\d.]+/)?.[0] ?? "";
}

// ---- A report that somebody handed on ----------------------------------------------------------

async function openShared(id) {
  at("start").hidden = true;
  at("microphone").hidden = true;
  try {
    const report = await ask("GET", `/reports/${encodeURIComponent(id)}`);
    known.ways = report.urls.map((seen) => {
      const isTurn = !seen.url.startsWith("stun:");
      const way = { url: seen.url, own: true, isTurn, carrier: carrierOf(seen.url), report: seen };
      return { ...way, state: works(way, report.server) ? "ok" : "failed" };
    });
    finish(report);
    at("notice").textContent = TEXTS.sharedAt(new Date(report.started_at).toLocaleString());
  } catch (error) {
    show.verdict("error", error instanceof Refused ? TEXTS.expired : TEXTS.unreachable);
  }
}

async function copyLink() {
  const link = `${location.origin}${location.pathname}#r=${known.report.report}`;
  try {
    await navigator.clipboard.writeText(link);
    at("notice").textContent = TEXTS.copied;
  } catch {
    at("notice").textContent = TEXTS.copyFailed(link);
  }
}

// ---- The microphone ----------------------------------------------------------------------------

async function toggleMicrophone() {
  if (microphone) return closeMicrophone();
  if (!isSecureContext) {
    at("notice").textContent = TEXTS.insecure;
    return undefined;
  }
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    context.createMediaStreamSource(stream).connect(analyser);
    microphone = { stream, context, began: performance.now(), timer: setInterval(() => level(analyser), LEVEL_MS) };
    known.microphone = false;
    at("level").hidden = false;
    at("notice").textContent = TEXTS.microphoneOn;
    at("microphone").textContent = TEXTS.microphoneStop;
  } catch ({ name }) {
    known.microphone = false;
    at("notice").textContent = TEXTS.microphoneError[name] ?? TEXTS.microphoneOther(name);
  }
  return undefined;
}

function level(analyser) {
  const samples = new Float32Array(analyser.fftSize);
  analyser.getFloatTimeDomainData(samples);
  const loud = Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
  at("level-meter").value = Math.min(1, loud * 4);
  if (loud > 0.005) known.microphone = true;
  if (!known.microphone && performance.now() - microphone.began > SILENCE_MS) {
    at("notice").textContent = TEXTS.microphoneSilent;
  }
}

function closeMicrophone() {
  clearInterval(microphone.timer);
  microphone.stream.getTracks().forEach((track) => track.stop());
  microphone.context.close();
  microphone = null;
  at("level").hidden = true;
  at("notice").textContent = "";
  at("microphone").textContent = TEXTS.microphoneOff;
}

// ---- Begin -------------------------------------------------------------------------------------

at("start").addEventListener("click", () => (run ? run.abort() : start()));
at("microphone").addEventListener("click", toggleMicrophone);
at("copy").addEventListener("click", copyLink);
at("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY_SLOT, at("key").value.trim());
  at("key").value = "";
  start();
});

takeKey();
const shared = new URLSearchParams(location.hash.slice(1)).get("r");
if (shared) openShared(shared);
else if (new URLSearchParams(location.search).has("start")) start();
