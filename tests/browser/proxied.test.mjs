// The page under a prefix, behind Debian's nginx, in Chromium: it loads, it relays, nothing leaves the prefix.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { openChromium, openPage, verdict } from "./support/browser.mjs";
import { Daemon } from "./support/daemon.mjs";
import { Nginx } from "./support/nginx.mjs";
import { Person, openPhoneBrowser } from "./support/phone.mjs";

const PREFIX = "/calls/turnbell";
const TIMEOUT = { timeout: 90_000 };

let browser;
let daemon;
let nginx;
before(async () => {
  daemon = await Daemon.start({
    http: ["local_without_key = true", 'trusted_proxies = ["127.0.0.1"]', `base_path = "${PREFIX}"`],
  });
  nginx = await Nginx.start(PREFIX, new URL(daemon.url).host);
  browser = await openChromium();
}, TIMEOUT);
after(async () => {
  await browser?.close();
  await nginx?.stop();
  await daemon?.stop();
}, TIMEOUT);

for (const slash of ["/", ""]) {
  test(`behind nginx the page at ${PREFIX}/selftest${slash} makes a relayed call`, TIMEOUT, async () => {
    const { page, complaints, close } = await openPage(browser);
    try {
      const asked = [];
      page.on("request", (request) => asked.push(new URL(request.url()).pathname));
      await page.goto(`${nginx.url}/selftest${slash}`);
      const known = await verdict(page, "relayed");
      for (const side of ["caller", "callee"]) assert.equal(known.selectedPair[side].local.type, "relay");
      assert.equal(new URL(page.url()).pathname, `${PREFIX}/selftest/`);
      assert.ok(asked.includes(`${PREFIX}/ice`), String(asked));
      // A browser asks for its icon where it likes.
      const strays = asked.filter((path) => !path.startsWith(PREFIX) && path !== "/favicon.ico");
      assert.deepEqual(strays, []);
      assert.deepEqual(complaints.filter((text) => !text.includes("/favicon.ico")), []);
    } finally {
      await close();
    }
  });
}

test("the phone works behind nginx, below a prefix, on one origin", TIMEOUT, async () => {
  const { browser: phones, close } = await openPhoneBrowser();
  try {
    const url = `${nginx.url}/`;
    // The browser is on this machine, and the proxy is trusted: guests are let in.
    const people = [await Person.arrive(phones, url, "Nora"), await Person.arrive(phones, url, "Otto")];
    const [nora, otto] = people;
    await nora.sees("Otto");
    await nora.calls("Otto");
    await otto.accepts();
    await nora.callIs("active");
    await nora.hearsMore();
    for (const { complaints } of people) assert.deepEqual(complaints, []);
  } finally {
    await close();
  }
});

test("behind an nginx without the upgrade lines the phone names the proxy and the lines to add", TIMEOUT, async () => {
  const strips = await Nginx.start(PREFIX, new URL(daemon.url).host, (lines) => {
    const without = lines.replace(/.*proxy_set_header +(Upgrade|Connection) .*\n/g, "");
    assert.notEqual(without, lines);
    return without;
  });
  try {
    const { page, close } = await openPage(browser);
    await page.goto(`${strips.url}/`);
    await page.getByLabel("Your name").fill("Paul");
    await page.getByRole("button", { name: "Start" }).click();
    await page.getByText("The proxy in front does not pass WebSocket upgrades.").waitFor();
    await page.getByText(/proxy_set_header Upgrade \$http_upgrade/).waitFor();
    await close();
  } finally {
    await strips.stop();
  }
});
