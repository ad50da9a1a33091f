// The phone in Firefox: it takes a call from Chromium through the relay, and both hear and see it the same way.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { Daemon } from "./support/daemon.mjs";
import { Firefox } from "./support/firefox.mjs";
import { Person, openPhoneBrowser } from "./support/phone.mjs";

const TIMEOUT = { timeout: 120_000 };
let daemon;
let phones;
let firefox;
let profile;
before(async () => {
  daemon = await Daemon.start();
  phones = await openPhoneBrowser();
  profile = await mkdtemp(join(tmpdir(), "turnbell-firefox-"));
  firefox = await Firefox.open(profile, {
    "media.navigator.streams.fake": true,
    "media.navigator.permission.disabled": true,
    "media.peerconnection.ice.loopback": true, // the daemon of this test is on 127.0.0.1 alone
  });
}, TIMEOUT);
after(async () => {
  await firefox?.close();
  await phones?.close();
  await daemon?.stop();
  if (profile) await rm(profile, { recursive: true, force: true });
}, TIMEOUT);

/** Runs `body` in Firefox's page with the phone's parts at hand, until it says something. */
const inFirefox = (body) => firefox.evaluate(`async () => {
  const phone = document.querySelector("tb-phone");
  const part = (name) => phone.shadowRoot.querySelector(name)?.shadowRoot;
  const late = performance.now() + 40_000;
  for (;;) {
    const said = await (${body})(phone, part);
    if (said) return said;
    if (performance.now() > late) return null;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}`);
/** What went through the connection, as getStats says. */
const heard = `async (phone) => {
  const all = [...(await phone.call.peerConnection.getStats()).values()];
  const inbound = all.find(({ type, kind }) => type === "inbound-rtp" && kind === "audio");
  return inbound?.totalAudioEnergy > 0.02 || inbound?.audioLevel > 0.01 ? "sound" : null;
}`;

test("Firefox takes a call from Chromium, hears it, shows the same words, and goes on after the other's reload", TIMEOUT, async () => {
  await firefox.goto(daemon.url);
  await inFirefox(`(phone, part) => {
    const form = part("tb-sign-in");
    form.getElementById("name").value = "Fox";
    form.getElementById("start").click();
    return "clicked";
  }`);
  assert.equal(await inFirefox('(phone) => phone.line?.state === "online" && "online"'), "online");
  const alice = await Person.arrive(phones.browser, daemon.url, "Alice", { relayOnly: true });
  await alice.sees("Fox");
  await alice.calls("Fox");
  await inFirefox(`(phone, part) => {
    const accept = part("tb-incoming").getElementById("accept");
    accept?.click();
    return accept && "accepted";
  }`);
  await alice.callIs("active");
  await alice.hearsMore();
  const { local, remote } = await alice.hears();
  assert.deepEqual([local, remote], ["relay", "relay"]);
  assert.equal(await inFirefox(heard), "sound");
  const words = async () => {
    await alice.page.waitForFunction(() => document.querySelector("tb-phone").call.words);
    const ours = await alice.words();
    const theirs = await inFirefox(`(phone) => phone.call.words?.join(" · ") === ${JSON.stringify(ours)} && phone.call.words.join(" · ")`);
    assert.equal(theirs, ours);
    return ours;
  };
  const first = await words();

  await alice.page.reload();
  await alice.callIs("active");
  await alice.hearsMore();
  assert.equal(await inFirefox(heard), "sound");
  assert.notEqual(await words(), first, "another connection has other keys");

  await inFirefox('(phone) => (phone.call.hangup(), "hung up")');
  await alice.callIs("none");
  assert.deepEqual(alice.complaints, []);
  await alice.close();
});
