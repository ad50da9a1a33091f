// The page at `/ice-verify` in Chromium against the real daemon: it says what both sides saw, and why.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";

import { openChromium, openPage } from "./support/browser.mjs";
import { Daemon } from "./support/daemon.mjs";
import { Fox } from "./support/fox.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TIMEOUT = { timeout: 120_000 };

let browser;
let daemon;
before(async () => {
  daemon = await Daemon.start();
  browser = await openChromium();
}, TIMEOUT);
after(async () => {
  await browser?.close();
  await daemon?.stop();
}, TIMEOUT);

async function onPage({ url = daemon.url, fragment = "", options }, body) {
  const opened = await openPage(browser, options);
  try {
    await opened.page.goto(`${url}ice-verify${fragment}`);
    return await body(opened.page, opened.complaints);
  } finally {
    await opened.close();
  }
}

/** What the page knows once its run is over. */
async function verified(page) {
  await page.click("#start");
  await page.waitForFunction(() => ["done", "stopped"].includes(window.turnbellVerify.state), null, { timeout: 90_000 });
  return page.evaluate(() => structuredClone(window.turnbellVerify));
}

const codes = (known) => known.report.verdicts.map(({ code }) => code);

test("every way works, both sides say so, and the report can be handed on", TIMEOUT, () =>
  onPage({ fragment: "?x=1" }, async (page, complaints) => {
    const known = await verified(page);
    assert.equal(known.state, "done", await page.textContent("#verdict-title"));
    assert.ok(["ok", "note"].includes(known.report.verdict), JSON.stringify(known.report.verdicts));
    assert.ok(codes(known).includes("works"));
    const turn = known.ways.filter(({ isTurn }) => isTurn);
    assert.deepEqual(turn.map(({ carrier }) => carrier).sort(), ["tcp", "udp"]);
    for (const { report, state } of turn) {
      assert.equal(state, "ok");
      assert.match(report.relayed, /^127\.0\.0\.1:/);
      assert.ok(report.call.rtt_ms >= 0 && report.call.received > 0 && report.call.kbit_s > 100, JSON.stringify(report));
    }
    // The server's side: its credential was seen over both, and its packets were counted.
    for (const carrier of ["udp", "tcp"]) {
      const mine = known.lines.filter(({ transport, certainty }) => transport === carrier && certainty === "certain");
      assert.ok(mine.some(({ code }) => code === "allocated"), JSON.stringify(known.lines));
      assert.ok(mine.some(({ code, text }) => code === "ended" && Number(/(\d+) packets/.exec(text)[1]) > 100));
    }
    assert.match(await page.textContent("#verdict-title"), /^Calls work from this network/);
    // It stays within the 20 MB that a run may relay, both ends counted.
    const metrics = await (await fetch(`${daemon.url}metrics`)).text();
    assert.match(metrics, /^turnbell_datagrams_discarded_total\{reason="over_run_bytes"\} 0$/m);
    // No secret is kept where bug reports read.
    assert.doesNotMatch(JSON.stringify(known), /credential"|password/);
    const shared = `#r=${known.report.report}`;
    await onPage({ fragment: shared }, async (other) => {
      await other.waitForFunction(() => window.turnbellVerify.state === "done");
      assert.match(await other.textContent("#verdict-title"), /^Calls work from this network/);
      assert.equal(await other.isVisible("#start"), false);
    });
    assert.deepEqual(complaints, []);
  }));

test("what the server saw tells where a wrong credential and a full quota end", TIMEOUT, () =>
  onPage({}, async (page) => {
    await page.route(/\/runs$/, async (route) => {
      const response = await route.fetch();
      const begun = await response.json();
      for (const server of begun.ice.iceServers) if (server.credential) server.credential = "wrong";
      await route.fulfill({ response, json: begun });
    });
    const known = await verified(page);
    assert.equal(known.report.verdict, "error");
    assert.ok(codes(known).includes("secret_refused"), codes(known).join());
    const said = known.lines.filter(({ code }) => code === "not_authenticated");
    assert.ok(said.length > 0 && said.every(({ certainty }) => certainty === "certain"), JSON.stringify(known.lines));
    assert.match(await page.textContent("#found"), /password was not made with a secret of this server/);
  }));

test("a port that swallows everything is told from one that answers", TIMEOUT, async () => {
  await onPage({}, async (page) => {
    const silent = "turn:127.0.0.1:9?transport=udp";
    await page.route(/\/runs$/, async (route) => {
      const response = await route.fetch();
      const begun = await response.json();
      const swap = (url) => (url.endsWith("transport=udp") ? silent : url);
      await page.evaluate((url) => (window.swapped = url), begun.urls.find(({ url }) => url.endsWith("udp")).url);
      for (const server of begun.ice.iceServers) server.urls = server.urls.map(swap);
      begun.urls = begun.urls.map(({ url, own }) => ({ url: swap(url), own }));
      await route.fulfill({ response, json: begun });
    });
    await page.route(/\/report$/, async (route) => {
      const body = route.request().postDataJSON();
      const real = await page.evaluate(() => window.swapped);
      for (const url of body.urls) if (url.url === silent) url.url = real;
      await route.continue({ postData: JSON.stringify(body) });
    });
    const known = await verified(page);
    assert.equal(known.report.verdict, "warning");
    assert.ok(codes(known).includes("udp_blocked"), JSON.stringify(known.report.verdicts));
    assert.match(await page.textContent("#verdict-title"), /only over TCP/);
  });
});

test("two pages behind one address never get each other's certain lines", TIMEOUT, () =>
  onPage({}, (one) => onPage({}, async (other) => {
    const both = await Promise.all([verified(one), verified(other)]);
    const relays = both.map((known) => new Set(known.lines.filter(({ certainty, code }) =>
      certainty === "certain" && code === "allocated").map(({ text }) => text)));
    for (const relay of relays) assert.ok(relay.size >= 2);
    assert.ok([...relays[0]].every((text) => !relays[1].has(text)), "no relay is in both");
  })));

test("who has no key is asked for one, and goes on with it", TIMEOUT, async () => {
  const guarded = await Daemon.start({ http: ["local_without_key = false"] });
  try {
    const key = await guarded.makeKey();
    await onPage({ url: guarded.url }, async (page) => {
      await page.click("#start");
      await page.waitForSelector("#key-section:not([hidden])");
      assert.equal(await page.evaluate(() => document.activeElement.id), "key");
      await page.keyboard.type(key);
      await page.keyboard.press("Enter");
      await page.waitForSelector("#ways li");
      assert.equal(await page.isVisible("#key-section"), false);
    });
  } finally {
    await guarded.stop();
  }
});

test("a link verifies as often as wanted, and ends at once when it is taken back", TIMEOUT, async () => {
  const guarded = await Daemon.start({ http: ["local_without_key = false"] });
  try {
    const { url, id } = JSON.parse(await guarded.ask("verify", "--link", "--json")).verify_link;
    const [, fragment] = url.split("ice-verify");
    await onPage({ url: guarded.url, fragment }, async (page, complaints) => {
      assert.equal(new URL(page.url()).hash, "");
      for (const time of ["first", "second"]) {
        const known = await verified(page);
        assert.equal(known.state, "done", await page.textContent("#verdict-title"));
        assert.ok(codes(known).includes("works"), `${time}: ${JSON.stringify(known.report.verdicts)}`);
      }
      assert.equal(await page.isVisible("#key-section"), false);
      assert.deepEqual(complaints, []);
      await guarded.ask("key", "revoke", id);
      await page.click("#start");
      await page.waitForSelector("#key-section:not([hidden])");
      assert.match(await page.textContent("#verdict-title"), /this link has ended/);
      assert.match(await page.textContent("#key-section"), /turnbell verify --link/);
    });
  } finally {
    await guarded.stop();
  }
});

for (const colorScheme of ["light", "dark"]) {
  test(`axe finds nothing serious before, during and after, ${colorScheme}, at 360 and 1280 px`, TIMEOUT, async () => {
    for (const width of [360, 1280]) {
      await onPage({ options: { colorScheme, viewport: { width, height: 800 } } }, async (page) => {
        const judge = async (state) => {
          await page.evaluate(AXE);
          const { violations } = await page.evaluate(() => axe.run());
          const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
          assert.deepEqual(serious.map(({ id, nodes }) => [state, id, nodes[0].html]), []);
        };
        await judge("idle");
        if (width === 360) {
          const run = verified(page);
          await page.waitForSelector("#ways li");
          await judge("running");
          await run;
          await judge("done");
        }
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wide <= 0, `${wide} px too wide at ${width}`);
      });
    }
  });
}

test("in Firefox a blocked port and a name without address each cost their way and are named", TIMEOUT, async () => {
  // Firefox asks no resolver for an onion.
  const [lost, blocked] = ["turn:nowhere.onion:3478?transport=udp", "turn:127.0.0.1:993?transport=tcp"];
  const odd = await Daemon.start({ config: [
    'realm = "page.test"',
    'listen = ["127.0.0.1:0"]',
    'relay_addresses = ["127.0.0.1"]',
    'http.listen = ["127.0.0.1:0"]',
    "http.local_without_key = true",
    "[[ice.server]]",
    `urls = ${JSON.stringify([lost, blocked])}`,
    'username = "anybody"',
    'credential = "anything"',
  ] });
  const fox = await Fox.open();
  try {
    await fox.startsAt(`${odd.url}ice-verify`);
    const known = await fox.firefox.evaluate(async () => {
      document.getElementById("start").click();
      const late = performance.now() + 60_000;
      const isOver = () => ["done", "stopped"].includes(window.turnbellVerify.state) || performance.now() > late;
      while (!isOver()) await new Promise((resolve) => setTimeout(resolve, 100));
      return { ...window.turnbellVerify, title: document.getElementById("verdict-title").textContent };
    });
    assert.equal(known.state, "done", known.title);
    const isOk = (url) => known.ways.find((way) => way.url === url).state === "ok";
    assert.deepEqual([lost, blocked].map(isOk), [false, false], JSON.stringify(known.ways));
    assert.ok(known.ways.filter(({ own }) => own).every(({ url }) => isOk(url)), JSON.stringify(known.ways));
    const named = known.report.verdicts.filter(({ urls }) => urls?.length === 1).map(({ code, urls }) => [urls[0], code]);
    assert.deepEqual(named.sort(), [[blocked, "url_refused"], [lost, "dns_missing"]], JSON.stringify(known.report.verdicts));
  } finally {
    await fox.close();
    await odd.stop();
  }
});

/** What `/api/ice-verify/runs` says to this. */
async function told(path, body) {
  const response = await fetch(`${daemon.url}api/ice-verify/runs${path}`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, body: text && JSON.parse(text) };
}

test("a run takes a report as long as a bad network makes it, and takes one", TIMEOUT, async () => {
  const { body: { run, urls } } = await told("", {});
  const errors = Array.from({ length: 8 }, (_, n) => ({ code: 701, text: `${n} `.padEnd(400, "x") }));
  const report = { urls: urls.map(({ url }) => ({ url, errors })), browser: "test" };
  assert.ok(JSON.stringify(report).length > 4096);
  const first = await told(`/${run}/report`, report);
  assert.equal(first.status, 201, JSON.stringify(first.body));
  assert.deepEqual(first.body.urls.map(({ errors }) => errors.length), urls.map(() => 8));
  const second = await told(`/${run}/report`, report);
  assert.deepEqual([second.status, second.body.error.code], [410, "run_over"]);
  // A page that asks meanwhile is still told what was seen.
  assert.equal((await fetch(`${daemon.url}api/ice-verify/runs/${run}`)).status, 200);
  const huge = await told(`/${run}/report`, { ...report, browser: "x".repeat(33_000) });
  assert.equal(huge.status, 413);
});

test("addresses beyond a run's eight are refused by their name, however they come", TIMEOUT, async () => {
  const { body: { run } } = await told("", {});
  const of = (count, net) => Array.from({ length: count }, (_, n) => `192.0.2.${net + n}`);
  assert.equal((await told(`/${run}/addresses`, { addresses: of(6, 10) })).status, 204);
  for (const addresses of [of(6, 100), of(9, 100)]) {
    const { status, body } = await told(`/${run}/addresses`, { addresses });
    assert.equal(status, 400);
    assert.deepEqual([body.error.field, /at most 8/.test(body.error.message)], ["addresses", true], JSON.stringify(body));
  }
});
