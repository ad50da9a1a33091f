// Pages that nobody looks at (P15): one that is hidden and slowed for six minutes rings at once, one that is frozen is
// told to the caller as not there. And sound that the browser holds back (P18), which Playwright would let out: it taps
// the page by looking at it. (The runner starts the files by name, so the others run beside the six minutes.)

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Daemon } from "./support/daemon.mjs";
import { PlainChromium } from "./support/plain_chromium.mjs";

/** After five minutes out of sight Chromium lets a page's timers run once a minute. */
const HIDDEN_MS = Number(process.env.TURNBELL_HIDDEN_MS ?? 6 * 60_000);
const SLOWED_MS = 30_000;
const TRIES = 3;
const TIMEOUT = { timeout: HIDDEN_MS + 180_000 };

let daemon;
let chromium;
before(async () => {
  daemon = await Daemon.start();
  // A shorter grace than five minutes is for whoever works on this test.
  const grace = process.env.TURNBELL_HIDDEN_MS ? ["--enable-features=IntensiveWakeUpThrottling:grace_period_seconds/10"] : [];
  chromium = await PlainChromium.open(["--autoplay-policy=document-user-activation-required", ...grace]);
}, TIMEOUT);
after(async () => {
  await chromium?.close();
  await daemon?.stop();
}, TIMEOUT);

/** Somebody with a phone in a tab; `blank()` puts an empty tab before it. */
async function arrives(name, permissions) {
  const context = await chromium.person(new URL(daemon.url).origin, permissions);
  const tab = await chromium.tab(context);
  await tab.send("Page.addScriptToEvaluateOnNewDocument", { source: `(${watch})()` });
  await tab.goto(daemon.url);
  await tab.until((typed) => {
    const form = document.querySelector("tb-phone")?.shadowRoot.querySelector("tb-sign-in")?.shadowRoot;
    if (!form?.getElementById("name")) return false;
    form.getElementById("name").value = typed;
    form.getElementById("start").click();
    return true;
  }, name);
  await tab.until(() => document.querySelector("tb-phone").line?.state === "online");
  const user = await tab.evaluate(() => document.querySelector("tb-phone").line.user);
  return { ...tab, name, user, blank: () => chromium.tab(context) };
}

/** Keeps what happens where nobody looks: sockets, notifications, how late timers are. */
function watch() {
  const seen = (globalThis.seen = { sockets: 0, notifications: [], gaps: [] });
  const Plain = globalThis.WebSocket;
  globalThis.WebSocket = class extends Plain {
    constructor(...given) {
      super(...given);
      seen.sockets += 1;
    }
  };
  globalThis.Notification = class {
    static permission = "granted";

    constructor(title) {
      seen.notifications.push(title);
    }

    close() {}
  };
  const tick = (last) => setTimeout(() => {
    const now = performance.now();
    seen.gaps.push(now - last);
    tick(now);
  }, 100);
  tick(performance.now());
}

/** Calls, and resolves with how the invite went, and what the daemon's record says of its times. */
async function calls(from, to) {
  const outcome = await from.evaluate(async (user) => {
    const { line } = document.querySelector("tb-phone");
    let call;
    const off = line.on("call", (made) => (call = made));
    const over = new Promise((resolve) => line.call(user).then((made) => {
      if (made.state === "ringing") resolve("ringing");
      made.on("state", (state) => resolve(state === "ended" ? made.reason : state));
    }, (error) => resolve(error.code)));
    const said = await over;
    off();
    return { said, id: call.id };
  }, to.user);
  return { ...outcome, hangUp: () => from.evaluate(() => document.querySelector("tb-phone").call?.hangup()) };
}

test("a page that is hidden and slowed for six minutes rings within a second of the invite", TIMEOUT, async () => {
  const [caller, hidden] = [await arrives("Caller"), await arrives("Hidden")];
  const began = performance.now();
  await hidden.blank();
  await hidden.until(() => document.visibilityState === "hidden");

  await frozenPagesAreNotThere(caller);
  await soundWaitsForATap(caller);

  await sleep(Math.max(0, HIDDEN_MS - (performance.now() - began)));
  const { gaps, sockets } = await hidden.evaluate(() => globalThis.seen);
  assert.ok(gaps.at(-1) > SLOWED_MS || gaps.some((gap) => gap > SLOWED_MS), `the page was not slowed: ${gaps.filter((gap) => gap > 1_100).slice(-5)} ms`);
  assert.equal(sockets, 1, "its one connection lived");
  assert.equal(await hidden.evaluate(() => document.visibilityState), "hidden");

  let quickest = Infinity;
  for (let tries = 1; tries <= TRIES && quickest > 1_000; tries += 1) {
    const { said, id, hangUp } = await calls(caller, hidden);
    assert.equal(said, "ringing");
    await hidden.until(() => document.title === "☎ Caller is calling");
    await hangUp();
    const { call } = await daemon.callOnRecord(id);
    quickest = Math.min(quickest, call.ringing_at - call.started_at);
  }
  assert.ok(quickest <= 1_000, `it rang ${quickest} ms after the invite`);
  const { notifications } = await hidden.evaluate(() => globalThis.seen);
  assert.equal(notifications[0], "Caller is calling");
  await hidden.until(() => document.title === "Phone");
});

/** It runs while the other page waits. */
async function frozenPagesAreNotThere(caller) {
  const frozen = await arrives("Frozen");
  await frozen.blank();
  await frozen.until(() => document.visibilityState === "hidden");
  await frozen.send("Page.setWebLifecycleState", { state: "frozen" });
  let quickest = Infinity;
  for (let tries = 1; tries <= TRIES && quickest > 4_000; tries += 1) {
    const { said, id } = await calls(caller, frozen);
    assert.equal(said, "callee_offline");
    const { call, timeline } = await daemon.callOnRecord(id);
    assert.ok(JSON.stringify(timeline).includes("unresponsive"), JSON.stringify(timeline));
    quickest = Math.min(quickest, call.ended_at - call.started_at);
  }
  assert.ok(quickest <= 4_000, `the caller heard it after ${quickest} ms`);

  // Thawed, it does not ring for what is over, and the next call rings.
  await frozen.send("Page.setWebLifecycleState", { state: "active" });
  await frozen.until(() => document.title === "Phone" && document.querySelector("tb-phone").line.calls.size === 0);
  const { said, hangUp } = await calls(caller, frozen);
  assert.equal(said, "ringing");
  await hangUp();
}

/**
 * A call goes on in a page that was never tapped: it says what to tap, and the tap lets the sound out. (To a page that
 * uses the microphone Chromium allows sound, so this one has none.)
 */
async function soundWaitsForATap(caller) {
  const untapped = await arrives("Untapped", []);
  const { said } = await calls(caller, untapped);
  assert.equal(said, "ringing");
  const inCall = (body) => untapped.until(`() => {
    const stage = document.querySelector("tb-phone").shadowRoot.querySelector("tb-active-call")?.shadowRoot;
    const [tap, sound] = ["tap", "sound"].map((id) => stage?.getElementById(id));
    return stage && (${body})(tap, sound);
  }`);
  await untapped.until(() => {
    const dialog = document.querySelector("tb-phone").shadowRoot.querySelector("tb-incoming").shadowRoot;
    const listen = dialog.getElementById("listen");
    // No taps for the browser: nobody touched it.
    if (listen?.hidden) dialog.querySelector("#accept:enabled")?.click();
    if (!listen || listen.hidden || listen.disabled) return false;
    listen.click();
    return true;
  });
  assert.equal(await inCall("(tap, sound) => !tap.hidden && sound.paused && tap.textContent"), "Tap to hear Caller");
  assert.equal(await untapped.until(() => document.querySelector("tb-phone").call.state === "active" && "active"), "active");
  const { x, y } = await inCall("(tap) => { const { x, y, width, height } = tap.getBoundingClientRect(); return { x: x + width / 2, y: y + height / 2 }; }");
  for (const type of ["mousePressed", "mouseReleased"]) {
    await untapped.send("Input.dispatchMouseEvent", { type, x, y, button: "left", clickCount: 1 });
  }
  assert.equal(await inCall("(tap, sound) => tap.hidden && !sound.paused && sound.currentTime > 0 && 'heard'"), "heard");
  await untapped.evaluate(() => document.querySelector("tb-phone").call.hangup());
  await caller.until(() => document.querySelector("tb-phone").call === null);
}
