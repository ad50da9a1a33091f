// The phone in Firefox, with Chromium at the other end: calls through the relay, four pages at once, an invite link.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Daemon } from "./support/daemon.mjs";
import { FOX_TONE_HZ, Fox } from "./support/fox.mjs";
import { Person, SCREEN, openPhoneBrowser } from "./support/phone.mjs";

const TIMEOUT = { timeout: 150_000 };
let daemon;
let phones;
let fox;
before(async () => {
  daemon = await Daemon.start();
  phones = await openPhoneBrowser([`--auto-select-tab-capture-source-by-title=${SCREEN}`]);
  fox = await Fox.open();
}, TIMEOUT);
after(async () => {
  await fox?.close();
  await phones?.close();
  await daemon?.stop();
}, TIMEOUT);

test("Firefox takes a call from Chromium, hears it, shows the same words, and goes on after the other's reload", TIMEOUT, async () => {
  await fox.startsAt(daemon.url);
  assert.equal(await fox.signIn({ name: "Fox" }), "online");
  const alice = await Person.arrive(phones.browser, daemon.url, "Alice", { relayOnly: true });
  await alice.sees("Fox");
  await alice.calls("Fox");
  assert.equal(await fox.accepts(), "accepted");
  await alice.callIs("active");
  await alice.hearsMore();
  const { local, remote } = await alice.hears();
  assert.deepEqual([local, remote], ["relay", "relay"]);
  assert.equal(await fox.hears(), "sound");
  const words = async () => {
    await alice.page.waitForFunction(() => document.querySelector("tb-phone").call.words);
    const ours = await alice.words();
    assert.equal(await fox.until((phone, part, ours) => phone.call.words?.join(" · ") === ours && ours, ours), ours);
    return ours;
  };
  const first = await words();

  await alice.page.reload();
  await alice.callIs("active");
  await alice.hearsMore();
  assert.equal(await fox.hears(), "sound");
  assert.notEqual(await words(), first, "another connection has other keys");

  await fox.until((phone) => (phone.call.hangup(), "hung up"));
  await alice.callIs("none");
  assert.deepEqual(alice.complaints, []);
  await alice.close();
});

test("four pages meet: two devices ring, one answers, they talk, mute, share, reload, hang up and remember", TIMEOUT, async () => {
  const arrive = (name, more) => Person.arrive(phones.browser, daemon.url, name, { relayOnly: true, ...more });
  const [ann, ben, cem] = [await arrive("Ann"), await arrive("Ben"), await arrive("Cem")];
  // Ben's second device is Firefox.
  await fox.startsAt(daemon.url);
  assert.equal(await fox.signIn({ token: await ben.token() }), "online");

  // By presence: each sees the others, Ben on two devices once.
  for (const [one, others] of [[ann, ["Ben", "Cem"]], [ben, ["Ann", "Cem"]], [cem, ["Ann", "Ben"]]]) {
    for (const name of others) await one.sees(name);
    await one.until(async () => (await one.page.locator("tb-dialer li").count()) === 2, "two others");
  }
  assert.equal(await fox.until((phone, part) => part("tb-dialer").querySelectorAll("li").length === 2 && "two"), "two");

  // It rings on both devices, and stops where it was not answered.
  await ann.calls("Ben");
  await ben.incoming().waitFor();
  assert.equal(await fox.accepts(), "accepted");
  await ben.incoming().waitFor({ state: "detached" });
  await ben.page.getByText("Answered on Firefox on Linux").waitFor();
  await ann.callIs("active");

  // Through the relay; what Ann hears is Firefox's own tone.
  await ann.hearsMore();
  const { local, remote } = await ann.hears();
  assert.deepEqual([local, remote], ["relay", "relay"]);
  assert.equal(await fox.hears(), "sound");
  await ann.hearsTone(FOX_TONE_HZ);

  // Whoever calls one of them meanwhile is told.
  await cem.page.locator("tb-dialer li.busy").filter({ hasText: "Ann" }).waitFor();
  await cem.calls("Ben");
  await cem.page.getByText("Ben is in another call").waitFor();

  await ann.control("Mute").click();
  assert.equal(await fox.hearsNothing(), "quiet");
  await ann.control("Unmute").click();
  assert.equal(await fox.hears(), "sound");

  // A screen is seen in its own size, with its name, until the browser ends it.
  const slides = await ann.openScreen({ width: 960, height: 540 });
  await ann.page.bringToFront();
  await ann.control("Share screen").click();
  const shown = (wanted) => fox.until((phone, part, wanted) => {
    const stage = part("tb-active-call");
    const { videoWidth } = stage.getElementById("far");
    return stage.getElementById("stage").classList.contains("picture") === wanted && (!wanted || videoWidth > 2) && (videoWidth || "gone");
  }, wanted);
  assert.ok(await shown(true));
  assert.equal(await fox.until((phone, part) => part("tb-active-call").getElementById("hint").textContent), "Ann shares the screen");
  await slides.close();
  await ann.control("Share screen").waitFor();
  assert.ok(await shown(false));

  const id = await ann.page.evaluate(() => document.querySelector("tb-phone").call.id);
  await ann.page.reload();
  await ann.callIs("active");
  assert.equal(await ann.page.evaluate(() => document.querySelector("tb-phone").call.id), id);
  await ann.hearsMore();
  assert.equal(await fox.hears(), "sound");

  await ann.hangsUp();
  await ann.callIs("none");
  assert.equal(await fox.until((phone) => phone.call === null && "none"), "none");
  const remembers = ({ page }, who, how) => page.locator("tb-history li").filter({ hasText: who }).filter({ hasText: how }).first().waitFor();
  await remembers(ann, "Ben", /outgoing, 00:\d\d/);
  await remembers(ben, "Ann", /incoming, 00:\d\d/);
  await remembers(cem, "Ben", /outgoing, busy/);
  assert.match(await fox.until((phone, part) => part("tb-history").querySelector("li[data-status=COMPLETED]")?.textContent), /Ann.*incoming, 00:\d\d/);

  // What the relay carried stands in the daemon's row.
  const row = await daemon.callOnRecord(id, ({ relay_bytes: bytes }) => bytes !== null);
  assert.ok(row.call.relay_bytes > 20_000, `${row.call.relay_bytes} bytes`);
  assert.deepEqual([row.call.path.local, row.call.path.remote], ["relay", "relay"]);
  for (const person of [ann, ben, cem]) {
    assert.deepEqual(person.complaints, []);
    await person.close();
  }
});

test("a fresh daemon's invite link, printed by the command, brings Chromium and Firefox together", TIMEOUT, async () => {
  const fresh = await Daemon.start({ http: [] });
  try {
    const printed = await fresh.ask("invite");
    const [link] = /http:\S+\/j\/#\S+/.exec(printed) ?? [];
    assert.ok(link, printed);
    const host = await Person.arrive(phones.browser, link, "");
    host.name = "Host";
    await host.signIn();
    await host.page.getByText("Nobody else is here yet.").waitFor();
    await fox.startsAt(link);
    assert.equal(await fox.signIn({ name: "Friend" }), "online");
    await host.sees("Friend");
    await fox.until((phone, part) => {
      const call = part("tb-dialer").querySelector('li [aria-label="Call Host"]');
      call?.click();
      return call && "called";
    });
    await host.accepts();
    await host.callIs("active");
    await host.hearsMore();
    assert.equal(await fox.hears(), "sound");
    await host.hangsUp();
    assert.equal(await fox.until((phone) => phone.call === null && "none"), "none");
    assert.deepEqual(host.complaints, []);
    await host.close();
  } finally {
    await fresh.stop();
  }
});
