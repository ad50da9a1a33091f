// The page under a prefix, behind Debian's nginx, in Chromium: it loads, it relays, nothing leaves the prefix.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { openChromium, openPage, verdict } from "./support/browser.mjs";
import { Daemon } from "./support/daemon.mjs";
import { Nginx } from "./support/nginx.mjs";

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
