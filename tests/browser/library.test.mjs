// The README's example, as it stands there, on a page of another origin: two of them call each other.

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
before(async () => {
  daemon = await Daemon.start();
  phones = await openPhoneBrowser();
}, TIMEOUT);
after(async () => {
  shop?.closeAllConnections();
  shop?.close();
  await phones?.close();
  await daemon?.stop();
}, TIMEOUT);

test("ten lines make a call, from a page that is not ours", TIMEOUT, async () => {
  const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");
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
