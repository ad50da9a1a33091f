// The phone at `/` against the real daemon: people find each other, call, are heard through the relay, and hang up.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { INSECURE_HOST, openChromium } from "./support/browser.mjs";
import { Daemon } from "./support/daemon.mjs";
import { Person, SCREEN, TONE_HZ, openPhoneBrowser } from "./support/phone.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TIMEOUT = { timeout: 90_000 };

let phones;
let browser;
let daemon;
before(async () => {
  daemon = await Daemon.start();
  phones = await openPhoneBrowser([`--auto-select-tab-capture-source-by-title=${SCREEN}`]);
  ({ browser } = phones);
}, TIMEOUT);
after(async () => {
  await phones?.close();
  await daemon?.stop();
}, TIMEOUT);

const present = [];
/** Somebody who leaves when the test is over. */
async function arrives(name, options) {
  const person = await Person.arrive(browser, daemon.url, name, options);
  present.push(person);
  return person;
}
const scene = (title, body) => test(title, TIMEOUT, async () => {
  try {
    await body();
    for (const { name, complaints } of present) assert.deepEqual(complaints, [], `complaints of ${name}`);
  } finally {
    await Promise.all(present.splice(0).map((person) => person.close()));
  }
});

let count = 0;
/** Two people with names of their own, who see each other. */
async function two(options) {
  count += 1;
  const [alice, bob] = [await arrives(`Alice ${count}`, options), await arrives(`Bob ${count}`, options)];
  await alice.sees(bob.name);
  await bob.sees(alice.name);
  return [alice, bob];
}

async function talk(alice, bob) {
  await alice.calls(bob.name);
  await bob.incoming().waitFor();
  await bob.accepts();
  await Promise.all([alice.callIs("active"), bob.callIs("active")]);
}

scene("two people see each other, call, and hear each other through the relay until one mutes or hangs up", async () => {
  const [alice, bob] = await two({ relayOnly: true });
  await talk(alice, bob);
  for (const person of [alice, bob]) {
    await person.hearsMore();
    const { local, remote } = await person.hears();
    assert.deepEqual([local, remote], ["relay", "relay"]);
  }
  await bob.hearsTone(TONE_HZ);

  await alice.control("Mute").click();
  await bob.hearsNothing(); // P24: it stops
  await bob.page.getByText(`${alice.name} is muted`).waitFor();
  await alice.control("Unmute").click();
  await bob.hearsMore();

  await alice.page.waitForFunction(() => document.querySelector("tb-phone").call.words);
  const words = await alice.words();
  assert.match(words, /^[a-z]+( · [a-z]+){3}$/);
  assert.equal(await bob.words(), words);
  assert.match(await alice.page.locator("tb-active-call #state").textContent(), /^\d\d:\d\d$/);

  await bob.hangsUp();
  await alice.callIs("none");
  await alice.page.getByText(/Call ended after 00:/).waitFor();
  await alice.sees(bob.name);
  const remembers = ({ page }, words) => page.locator("tb-history li[data-status=COMPLETED]").filter({ hasText: words }).waitFor();
  await remembers(alice, new RegExp(`${bob.name}.*outgoing, 00:`));
  await remembers(bob, new RegExp(`${alice.name}.*incoming, 00:`));
  const { items: [call] } = await alice.page.evaluate(async () => {
    const { token } = JSON.parse(localStorage.getItem(`turnbell:account:${location.origin}/`));
    return (await fetch("v1/calls?limit=1", { headers: { Authorization: `Bearer ${token}` } })).json();
  });
  assert.deepEqual([call.path.local, call.path.remote], ["relay", "relay"]);
});

scene("decline, no answer at all, and nobody there are told to the caller", async () => {
  const [alice, bob] = await two();
  await alice.calls(bob.name);
  await bob.incoming().getByRole("button", { name: "Decline" }).click();
  await alice.page.getByText(`${bob.name} declined`).waitFor();

  await alice.calls(bob.name);
  await bob.incoming().waitFor();
  await alice.control("Cancel").click();
  await bob.page.getByText(`Missed call from ${alice.name}`).waitFor();
  await bob.page.locator("tb-history li[data-status=MISSED]").filter({ hasText: alice.name }).waitFor();
  await bob.incoming().waitFor({ state: "detached" });

  await alice.page.getByLabel("Call somebody").fill("nobody-of-this-name");
  await alice.page.keyboard.press("Enter");
  await alice.page.getByText("nobody-of-this-name is not online").waitFor();
});

scene("the callee's other device stops ringing when one answers, and is told which", async () => {
  const [alice, bob] = await two();
  const third = await bob.context.newPage(); // the same profile, so the same user
  await third.goto(daemon.url);
  await third.locator("tb-dialer li").filter({ hasText: alice.name }).waitFor();
  await alice.calls(bob.name);
  await third.getByRole("alertdialog").waitFor();
  await bob.accepts();
  await third.getByRole("alertdialog").waitFor({ state: "detached" });
  await third.getByText(/^Answered on Chrome on Linux$/).waitFor();
  await alice.callIs("active");
});

for (const who of ["caller", "callee"]) {
  scene(`when the ${who} loads the page again, the same call goes on`, async () => {
    const [alice, bob] = await two({ relayOnly: true });
    await talk(alice, bob);
    const [reloads, stays] = who === "caller" ? [alice, bob] : [bob, alice];
    const id = await stays.page.evaluate(() => document.querySelector("tb-phone").call.id);
    await stays.hearsMore();
    await reloads.page.reload();
    await reloads.callIs("active");
    await stays.callIs("active");
    await stays.hearsMore();
    await reloads.hearsMore();
    assert.equal(await reloads.page.evaluate(() => document.querySelector("tb-phone").call.id), id);
    await reloads.hangsUp();
    await stays.callIs("none");
  });
}

scene("a camera and a screen come and go in a call, and the browser's own button ends the screen", async () => {
  const [alice, bob] = await two();
  await talk(alice, bob);
  const size = () => bob.page.evaluate(() => {
    const { videoWidth, videoHeight } = document.querySelector("tb-phone").shadowRoot
      .querySelector("tb-active-call").shadowRoot.getElementById("far");
    return `${videoWidth}x${videoHeight}`;
  });
  const sees = (wanted) => bob.page.waitForFunction((picture) => {
    const stage = document.querySelector("tb-phone").shadowRoot.querySelector("tb-active-call").shadowRoot;
    const { videoWidth } = stage.getElementById("far");
    return picture === (stage.getElementById("stage").classList.contains("picture") && videoWidth > 2);
  }, wanted, { timeout: 20_000 });
  await alice.control("Camera on").click();
  await sees(true);
  const camera = await size();
  const slides = await alice.openScreen({ width: 500, height: 900 });
  await alice.page.bringToFront();
  await alice.control("Share screen").click();
  await bob.page.getByText(`${alice.name} shares the screen`).waitFor();
  await bob.until(async () => (await size()) !== camera, "a picture of another size");
  await sees(true);
  const screen = await size();
  await slides.close(); // its track ends, as by the browser's "Stop sharing"
  await alice.control("Share screen").waitFor();
  await bob.page.getByText(`${alice.name} shares the screen`).waitFor({ state: "hidden" });
  await bob.until(async () => (await size()) !== screen, "the camera again");
  await alice.control("Camera off").click();
  await sees(false);
});

scene("hold silences both sides until it is taken back", async () => {
  const [alice, bob] = await two({ relayOnly: true });
  await talk(alice, bob);
  await bob.hearsMore();
  await alice.control("Hold").click();
  await bob.callIs("held");
  await bob.page.getByText(`${alice.name} put you on hold`).waitFor();
  await alice.control("Resume").click();
  await bob.callIs("active");
  await bob.hearsMore();
});

/** What a screen reader says where the focus is: "button: Accept". */
async function focused({ context, page }) {
  const session = await context.newCDPSession(page);
  const { nodes } = await session.send("Accessibility.getFullAXTree");
  await session.detach();
  const at = nodes.filter(({ properties = [] }) => properties.some(({ name, value }) => name === "focused" && value.value));
  const { role, name } = at.at(-1) ?? {};
  return `${role?.value}: ${name?.value}`;
}

/** Tab after Tab until this is said. */
async function tabsTo(person, wanted) {
  const heard = [];
  for (let times = 0; times < 40; times += 1) {
    heard.push(await focused(person));
    if (heard.at(-1) === wanted) return;
    await person.page.keyboard.press("Tab");
  }
  assert.fail(`never at ${wanted}: ${heard.join("; ")}`);
}

scene("a call is made, taken and ended by keyboard alone, by what a screen reader says", async () => {
  const [alice, bob] = await two();
  await tabsTo(alice, "textbox: Call somebody");
  await alice.page.keyboard.type(bob.name);
  await alice.page.keyboard.press("Enter");
  await bob.incoming().waitFor();
  // Focus is on the dialog, not on Accept: Enter that was meant for something else takes no call.
  await bob.page.keyboard.press("Enter");
  assert.equal(await bob.page.evaluate(() => document.querySelector("tb-phone").call), null);
  assert.equal(await focused(bob), `alertdialog: ${alice.name} is calling`);
  await tabsTo(bob, "button: Accept");
  await bob.page.keyboard.press("Enter");
  await Promise.all([alice.callIs("active"), bob.callIs("active")]);
  assert.equal(await focused(bob), `region: Call with ${alice.name}`);
  await tabsTo(bob, "button: Mute");
  await bob.page.keyboard.press("Space");
  assert.equal(await focused(bob), "button: Unmute");
  await tabsTo(alice, "button: Hang up");
  await alice.page.keyboard.press("Enter");
  await bob.callIs("none");
  assert.equal(await focused(bob), "textbox: Call somebody");
});

scene("Escape silences this device only: the caller hears it ring on, and the dialog is gone", async () => {
  const [alice, bob] = await two();
  const other = await bob.context.newPage();
  await other.goto(daemon.url);
  await other.locator("tb-dialer li").filter({ hasText: alice.name }).waitFor();
  await alice.calls(bob.name);
  await bob.incoming().waitFor();
  await other.getByRole("alertdialog").waitFor();
  await other.keyboard.press("Escape");
  await other.getByRole("alertdialog").waitFor({ state: "detached" });
  await bob.accepts();
  await alice.callIs("active");
});

scene("the incoming dialog says who calls to a screen reader", async () => {
  const [alice, bob] = await two();
  await alice.calls(bob.name);
  const dialog = bob.page.getByRole("alertdialog", { name: `${alice.name} is calling` });
  await dialog.waitFor();
  for (const name of ["Accept", "Decline", "Silence on this device"]) {
    assert.equal(await dialog.getByRole("button", { name, exact: true }).count(), 1, name);
  }
});

scene("a microphone that is denied is told before anything rings, and one can call without", async () => {
  const [alice, bob] = await two({ microphone: false, init: () => {
    navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("no", "NotAllowedError"));
  } });
  await alice.calls(bob.name);
  await alice.page.getByText("The browser did not allow the microphone.").waitFor();
  assert.equal(await bob.incoming().count(), 0);
  await alice.page.getByRole("button", { name: /without microphone/ }).click();
  await bob.incoming().waitFor();
  await bob.accepts();
  await bob.page.getByText("The browser did not allow the microphone.").waitFor();
  await bob.incoming().getByRole("button", { name: "Accept without microphone" }).click();
  await alice.callIs("active");
});

test("a daemon that is killed in a relayed call and comes back costs nobody the call", TIMEOUT, async () => {
  const mortal = await Daemon.start();
  try {
    const arrive = (name) => Person.arrive(browser, mortal.url, name, { relayOnly: true });
    const [alice, bob] = [await arrive("Alice Mortal"), await arrive("Bob Mortal")];
    await alice.sees(bob.name);
    await talk(alice, bob);
    await alice.hearsMore();
    const id = await alice.page.evaluate(() => document.querySelector("tb-phone").call.id);
    await mortal.killAndStartAgain();
    for (const person of [alice, bob]) {
      await person.page.waitForFunction(() => document.querySelector("tb-phone").line.state === "online");
      await person.until(async () => (await person.page.evaluate(() => document.querySelector("tb-phone").call?.state)) === "active", "active again");
    }
    for (const person of [alice, bob]) await person.hearsMore();
    assert.equal(await alice.page.evaluate(() => document.querySelector("tb-phone").call.id), id);
    await alice.hangsUp();
    await bob.callIs("none");
    await Promise.all([alice.close(), bob.close()]);
  } finally {
    await mortal.stop();
  }
});

/** Answers in place of the daemon, as its interface is described. */
const answers = (person, path, json, status = 200) =>
  person.context.route(new RegExp(`/${path}(\\?|$)`), (route) => route.fulfill({ status, json: typeof json === "function" ? json(route.request()) : json }));

scene("the history says who, when and how, shows more, and calls again", async () => {
  const alice = await arrives("", {});
  const entry = (number, more) => ({
    call: `01ARYZ6S4100000000000000${10 + number}`, direction: "OUTBOUND", status: "COMPLETED", reason: "hangup",
    peer: { user: `u${number}`, name: `Person ${number}` }, started_at: Date.now() - number * 60_000,
    answered_at: null, ended_at: null, talk_ms: 75_000, path: "relay", ...more,
  });
  await answers(alice, "v1/calls", (request) => (request.url().includes("cursor=next")
    ? { items: [entry(3, { status: "FAILED" })], next_cursor: null }
    : { items: [entry(1), entry(2, { direction: "INBOUND", status: "MISSED", talk_ms: null })], next_cursor: "next" }));
  alice.name = "Alice History";
  await alice.signIn();
  const rows = alice.page.locator("tb-history li");
  await rows.nth(1).waitFor();
  assert.match(await rows.nth(0).textContent(), /Person 1.*outgoing, 01:15/);
  assert.match(await rows.nth(1).textContent(), /Person 2.*incoming, missed/);
  await alice.page.getByRole("button", { name: "Show more" }).click();
  await rows.nth(2).waitFor();
  assert.match(await rows.nth(2).textContent(), /Person 3.*outgoing, failed/);
  await alice.page.getByRole("button", { name: "Call Person 1 again" }).click();
  await alice.page.getByText("Person 1 is not online").waitFor();
});

scene("an invite link is made and copied, and whoever opens it is in the call", async () => {
  const host = await arrives("Host", {});
  await host.page.locator("#me b").getByText("Host").waitFor();
  // The name is there before the server has said who that is.
  await host.page.waitForFunction(() => document.querySelector("tb-phone").line.user);
  const user = await host.page.evaluate(() => document.querySelector("tb-phone").line.user);
  await answers(host, "v1/invites", (request) => {
    assert.deepEqual(request.postDataJSON(), { to: user, uses: 2 });
    return { url: `${daemon.url}j/#the-token` };
  });
  await host.page.getByRole("button", { name: "Make a link" }).click();
  await host.page.getByLabel("Invite link").waitFor();
  const link = await host.page.getByLabel("Invite link").inputValue();

  const visitor = await arrives("", { path: "j/" });
  const account = await (await fetch(`${daemon.url}v1/guests`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ name: "Visitor" }),
  })).json();
  await answers(visitor, "v1/invites/redeem", (request) => {
    assert.deepEqual(request.postDataJSON(), { token: "the-token", name: "Visitor" });
    return { ...account, to: user };
  });
  await visitor.page.goto("about:blank");
  await visitor.page.goto(link);
  await visitor.page.getByText("You are invited to a call").waitFor();
  assert.equal(visitor.page.url(), `${daemon.url}j/`, "the token is gone from the address bar");
  await visitor.page.getByRole("button", { name: "Start the test" }).click();
  await visitor.page.getByText("We hear you.").waitFor();
  visitor.name = "Visitor";
  await visitor.signIn();
  await host.accepts();
  await visitor.callIs("active");
  await visitor.page.reload(); // without the token: the tab knows who it is
  await visitor.callIs("active");
});

scene("an invite that is used up says so", async () => {
  const visitor = await arrives("", { path: "j/#old" });
  const error = { code: "not_found", message: "this invite is used up", hint: "Ask for another one." };
  await answers(visitor, "v1/invites/redeem", { error }, 404);
  visitor.name = "Late";
  await visitor.signIn();
  await visitor.page.getByText("Ask for another one.").waitFor();
  visitor.complaints = visitor.complaints.filter((one) => !one.includes("redeem"));
});

test("without a tap sound is off, and the page says so until there is one", TIMEOUT, async () => {
  const strict = await openPhoneBrowser(["--autoplay-policy=document-user-activation-required"]);
  try {
    const bob = await Person.arrive(strict.browser, daemon.url, "Bob Silent");
    await bob.page.getByRole("button", { name: "Sign out" }).waitFor();
    await bob.page.reload(); // the same user, and no tap yet
    const banner = bob.page.getByRole("button", { name: "Sound is off: tap to hear calls ring" });
    await banner.waitFor();
    const alice = await Person.arrive(strict.browser, daemon.url, "Alice Silent");
    await alice.sees("Bob Silent");
    await alice.calls("Bob Silent");
    await bob.incoming().waitFor(); // it rings although nothing is heard
    await bob.accepts();
    await bob.callIs("active");
    await bob.hearsMore();
    const playing = await bob.page.evaluate(() => {
      const stage = document.querySelector("tb-phone").shadowRoot.querySelector("tb-active-call").shadowRoot;
      return !stage.getElementById("sound").paused;
    });
    assert.equal(playing, true, "the tap on Accept let the sound out");
  } finally {
    await strict.close();
  }
});

test("on a page that is no secure context the phone names three cures and asks for nothing", TIMEOUT, async () => {
  const plain = await openChromium();
  try {
    const somebody = await Person.arrive(plain, daemon.url.replace("127.0.0.1", INSECURE_HOST), "", { microphone: false });
    await somebody.page.getByText("Browsers give the microphone only to https pages or localhost.").waitFor();
    const said = await somebody.page.locator("tb-sign-in #cures").textContent();
    for (const cure of ["tls.cert", "Caddy", "ssh -L 8080:127.0.0.1:8080"]) assert.ok(said.includes(cure), cure);
    assert.equal(await somebody.page.getByLabel("Your name").count(), 0);
  } finally {
    await plain.close();
  }
});

/** Every state a person may meet, in both colour schemes, on a phone and on a desk. */
for (const colorScheme of ["light", "dark"]) {
  for (const width of [360, 1280]) {
    scene(`axe finds nothing serious and nothing overflows: ${colorScheme}, ${width} px`, async () => {
      const kept = process.env.TURNBELL_SCREENSHOTS;
      const directory = kept ?? await mkdtemp(join(tmpdir(), "turnbell-shots-"));
      const options = { colorScheme, viewport: { width, height: 800 }, reducedMotion: "reduce" };
      const look = async ({ page }, state) => {
        await page.screenshot({ path: join(directory, `phone-${state}-${colorScheme}-${width}.png`) });
        await inspect(page, state);
      };
      try {
        const nobody = await arrives("", options);
        await nobody.page.getByLabel("Your name").waitFor();
        await look(nobody, "sign-in");
        const invited = await arrives("", { ...options, path: "j/#a-token" });
        await invited.page.getByRole("button", { name: "Start the test" }).click();
        await invited.page.getByText("We hear you.").waitFor();
        await look(invited, "invite");
        const [alice, bob] = await two(options);
        await look(alice, "idle");
        await alice.page.getByRole("button", { name: "Make a link" }).click();
        await alice.page.getByLabel("Invite link").waitFor();
        await alice.page.evaluate(() => {
          const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
          navigator.mediaDevices.getUserMedia = () => {
            navigator.mediaDevices.getUserMedia = real;
            return Promise.reject(new DOMException("no", "NotAllowedError"));
          };
        });
        await alice.calls(bob.name);
        await alice.page.getByRole("button", { name: "Call without microphone" }).waitFor();
        await look(alice, "denied");
        await alice.page.getByLabel("Call somebody").fill("nobody-at-all");
        await alice.page.keyboard.press("Enter");
        await alice.page.getByText("nobody-at-all is not online").waitFor();
        await look(alice, "error");
        await alice.calls(bob.name, true);
        await bob.incoming().waitFor();
        await look(bob, "ringing");
        await look(alice, "calling");
        await bob.accepts();
        await Promise.all([alice.callIs("active"), bob.callIs("active")]);
        await bob.page.waitForFunction(() => document.querySelector("tb-phone").call.words);
        await bob.control("Devices").click();
        await bob.page.locator("#choose-microphone").waitFor();
        await look(bob, "active-video");
        await bob.control("Devices").click();
        await alice.openScreen({ width: 800, height: 500 });
        await alice.page.bringToFront();
        await alice.control("Share screen").click();
        await bob.page.getByText(`${alice.name} shares the screen`).waitFor();
        await look(bob, "screen");
        await look(alice, "active");
        await alice.control("Stop sharing").click();
        await alice.control("Camera off").click();
        await alice.control("Hold").click();
        await bob.page.getByText(`${alice.name} put you on hold`).waitFor();
        await look(bob, "held");
        await alice.hangsUp();
        await Promise.all([alice.callIs("none"), bob.callIs("none")]);
        await bob.page.locator("tb-history li[data-status=COMPLETED]").waitFor();
        await look(bob, "history");
      } finally {
        if (!kept) await rm(directory, { recursive: true, force: true });
      }
    });
  }
}

async function inspect(page, state) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run());
  const grave = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  assert.deepEqual(grave.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]), [], state);
  const measured = await page.evaluate(() => {
    const all = (root) => [...root.querySelectorAll("*")].flatMap((one) => [one, ...(one.shadowRoot ? all(one.shadowRoot) : [])]);
    const small = all(document)
      .filter((one) => one.matches("button, summary, input, select") && one.checkVisibility())
      .map((one) => [one.id || one.textContent, one.getBoundingClientRect()])
      .filter(([, { width, height }]) => height < 44 || width < 44);
    return { overflow: document.documentElement.scrollWidth - window.innerWidth, small: small.map(([id]) => id) };
  });
  assert.ok(measured.overflow <= 0, `${state} is ${measured.overflow} px too wide`);
  assert.deepEqual(measured.small, [], state);
}
