// What the README gives for a page of another origin, as it stands there: ten lines that call, and a button in two.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { Daemon } from "./support/daemon.mjs";
import { Person, openPhoneBrowser } from "./support/phone.mjs";

const TIMEOUT = { timeout: 90_000 };
let daemon;
let phones;
let shop;
const foreigns = [];
const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");
before(async () => {
  daemon = await Daemon.start();
  phones = await openPhoneBrowser();
}, TIMEOUT);
after(async () => {
  for (const server of [shop, ...foreigns]) {
    server?.closeAllConnections();
    server?.close();
  }
  await phones?.close();
  await daemon?.stop();
}, TIMEOUT);

test("ten lines make a call, from a page that is not ours", TIMEOUT, async () => {
  const [, example] = /```html\n([^]*?)```/.exec(readme.slice(readme.indexOf("## Calls in your page")));
  const lines = example.slice(example.indexOf("import {"), example.indexOf("</script>")).split("\n").filter((line) => line.trim());
  assert.ok(lines.length <= 10, `${lines.length} lines`);
  const page = example.replace("https://turn.example.org/", daemon.url);
  assert.notEqual(page, example);
  shop = createServer(async ({ url }, response) => {
    if (url !== "/my-token") return response.setHeader("Content-Type", "text/html").end(page);
    const body = JSON.stringify({ name: "Guest" });
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch(new URL("v1/guests", daemon.url), { method: "POST", headers, body });
    const account = await answer.json();
    users.push(account.user);
    response.end(account.token);
  }).listen(0, "127.0.0.1");
  await once(shop, "listening");
  const users = [];
  const address = `http://127.0.0.1:${shop.address().port}/`;
  const alice = await Person.arrive(phones.browser, address, "");
  await alice.isOnline;
  const bob = await Person.arrive(phones.browser, address, "");
  await bob.isOnline;
  await alice.page.fill("#who", users[1]);
  await alice.page.click("#dial");
  await bob.page.waitForFunction(() => typeof accept.onclick === "function");
  await bob.page.click("#accept");
  for (const { page: at } of [alice, bob]) {
    await at.waitForFunction(() => far.srcObject?.getAudioTracks().length && !far.paused && far.currentTime > 0.5);
  }
  await bob.page.click("#hangup");
  await alice.page.waitForFunction(() => far.srcObject === null);
  assert.deepEqual([alice.complaints, bob.complaints], [[], []]);
  await alice.close();
  await bob.close();
});

/** A page somewhere else that has the button and the policy of the README, and calls `to`. */
async function openPageWithButton(server, to, token) {
  const from = readme.slice(readme.indexOf("A call button is two lines"));
  const ours = (text) => text.replaceAll("wss://turn.example.org", server.url.replace(/^http(.*)\/$/, "ws$1"))
    .replaceAll("https://turn.example.org/", server.url).replaceAll("https://turn.example.org", server.url.slice(0, -1));
  const [, lines] = /```html\n([^]*?)```/.exec(from);
  const [, policy] = /Content-Security-Policy: (.*)/.exec(from);
  assert.equal(lines.trim().split("\n").length, 2, lines);
  assert.doesNotMatch(policy, /unsafe|\*|data:|blob:/);
  const page = ours(lines).replace('to="alice"', `to="${to}"`).replace('token="..."', `token="${token}"`);
  assert.ok(page.includes(server.url) && page.includes(to) && page.includes(token), page);
  const foreign = createServer((_, response) => response.setHeader("Content-Type", "text/html")
    .setHeader("Content-Security-Policy", ours(policy)).end(page)).listen(0, "127.0.0.1");
  await once(foreign, "listening");
  const visitor = await Person.arrive(phones.browser, `http://127.0.0.1:${foreign.address().port}/`, "", {
    init: () => addEventListener("tb-ready", () => (globalThis.isReady = true)),
  });
  foreigns.push(foreign);
  return { visitor, button: visitor.page.locator("tb-call-button") };
}
const tokenOf = async (server, user) => /eyJ[\w.-]+/.exec(await server.ask("token", "--user", user))[0];

test("a call button is two lines under a strict policy: nobody is there, then somebody is called", TIMEOUT, async () => {
  const { visitor, button } = await openPageWithButton(daemon, "alice", await tokenOf(daemon, "visitor"));
  await button.getByText("Nobody is there right now.").waitFor();
  assert.equal(await button.getByRole("button", { name: "Call" }).isDisabled(), true);

  const alice = await Person.arrive(phones.browser, daemon.url, "");
  await alice.page.getByText("I have a token").click();
  await alice.page.getByLabel("Token").fill(await tokenOf(daemon, "alice"));
  await alice.page.getByRole("button", { name: "Sign in" }).click();
  await button.getByText("Nobody is there right now.").waitFor({ state: "hidden" });
  await button.getByRole("button", { name: "Call" }).click();
  await alice.accepts();
  await alice.callIs("active");
  await alice.hearsMore();
  await button.getByRole("button", { name: "Hang up" }).click();
  await alice.callIs("none");
  await button.getByText(/^Call ended/).waitFor();
  assert.deepEqual([visitor.complaints, alice.complaints], [[], []]);
  await alice.close();
  await visitor.close();
});

test("where calls are switched off a call button shows nothing at all", TIMEOUT, async () => {
  const silent = await Daemon.start({ http: ["local_without_key = true", "[tenant.default]", "voice_enabled = false"] });
  try {
    const { visitor, button } = await openPageWithButton(silent, "alice", await tokenOf(silent, "visitor"));
    await visitor.isOnline;
    await visitor.until(() => visitor.page.evaluate(() => globalThis.isReady), "ready");
    assert.equal(await button.isVisible(), false);
    assert.equal(await button.evaluate((one) => one.getBoundingClientRect().height), 0);
    assert.deepEqual(visitor.complaints, []);
    await visitor.close();
  } finally {
    await silent.stop();
  }
});
