// The page of /diagnostics: who gets in, what it shows, live, in light and dark, narrow and wide; and in Firefox.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { openChromium, openPage } from "./support/browser.mjs";
import { Daemon } from "./support/daemon.mjs";
import { Fox } from "./support/fox.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TIMEOUT = { timeout: 90_000 };
const STREAM = "**/api/diagnostics/stream";
const KEY = "turnbell.admin-key";

let browser;
let daemon;
let key;
before(async () => {
  daemon = await Daemon.start({ http: ["local_without_key = false"] });
  key = await daemon.makeKey();
  browser = await openChromium();
}, TIMEOUT);
after(async () => {
  await browser?.close();
  await daemon?.stop();
}, TIMEOUT);

const shown = (page) => page.waitForSelector("#everything:not([hidden])", { timeout: 30_000 });
const link = async () => JSON.parse(await daemon.ask("dashboard", "--json")).dashboard.url;

async function onPage(body, options) {
  const opened = await openPage(browser, options);
  try {
    return await body(opened.page, opened.complaints);
  } finally {
    await opened.close();
  }
}

/** What a browser says by itself about an answer that refuses. */
const unexpected = (complaints) => complaints.filter((text) => !/status of (401|503)/.test(text));

test("a link opens the page once, its key leaves the address, and a reload goes on", TIMEOUT, async () => {
  const url = await link();
  await onPage(async (page, complaints) => {
    const response = await page.goto(url);
    assert.match(response.headers()["content-security-policy"], /default-src 'self'/);
    await shown(page);
    assert.equal(new URL(page.url()).hash, "");
    assert.doesNotMatch(await page.evaluate(() => JSON.stringify(history.state) + document.documentElement.outerHTML), /tb[lp]_/);
    assert.match(await page.evaluate((name) => sessionStorage.getItem(name), KEY), /^tbp_/);
    assert.deepEqual(await page.context().cookies(), []);
    assert.match(await page.textContent("#verdict-says"), /It works/);
    assert.match(await page.textContent("#todo"), /Not yet proven from outside/);
    await page.waitForFunction(() => document.getElementById("link").dataset.state === "live");
    // A sample comes by itself, and is drawn.
    await page.waitForFunction(() => document.querySelectorAll("#plots polyline").length === 5, null, { timeout: 30_000 });
    await page.reload();
    await shown(page);
    assert.deepEqual(complaints, []);
    await page.click("#forget");
    await page.waitForSelector("#sign-in:not([hidden])");
    assert.equal(await page.evaluate((name) => sessionStorage.getItem(name), KEY), null);
  });
  await onPage(async (page) => {
    await page.goto(url);
    await page.waitForSelector("#sign-in:not([hidden])");
    assert.match(await page.textContent("#refusal"), /opened before/);
    assert.equal(await page.isHidden("#everything"), true);
  });
});

test("a key from the field opens it, a wrong one is refused in words, all by keyboard", TIMEOUT, async () => {
  await onPage(async (page, complaints) => {
    await page.goto(`${daemon.url}diagnostics`);
    await page.waitForSelector("#sign-in:not([hidden])");
    assert.equal(await page.textContent("#refusal"), "", "nobody was refused yet");
    await page.focus("#key");
    await page.keyboard.type("tbk_nobody-made-this");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.getElementById("refusal").textContent.includes("does not exist"));
    await page.focus("#key");
    await page.keyboard.type(key);
    await page.keyboard.press("Enter");
    await shown(page);
    assert.equal(await page.inputValue("#key"), "", "it does not stay in the field");
    assert.deepEqual(unexpected(complaints), []);
  });
});

test("a stream that breaks is taken up again by itself", TIMEOUT, async () => {
  const url = await link();
  await onPage(async (page) => {
    let broken = true;
    await page.route(STREAM, (route) => (broken ? route.fulfill({ status: 503, json: {} }) : route.continue()));
    await page.goto(url);
    await page.waitForFunction(() => document.getElementById("link").dataset.state === "lost");
    broken = false;
    await shown(page);
    await page.waitForFunction(() => document.getElementById("link").dataset.state === "live");
  });
});

/** What a busy server in trouble would say, made from what this one says. */
function busy(real) {
  const found = structuredClone(real);
  const says = "The record is not being written, calls go on: the disk is full.";
  found.items.unshift({ id: "record", title: "Database", state: "red", says, cure: "Make room on the disk (df -h)." });
  Object.assign(found, {
    state: "red", verdict: `Something does not work: ${says}`,
    top_talkers: [{ user: "acme/a-very-long-name-of-somebody@customer.example.org", allocations: 2, bytes: 4e9, bits_per_s: 9.1e6 }],
    calls: { since_at: 0, live: 14, total: 412, by_status: [{ code: "COMPLETED", count: 391 }, { code: "FAILED", count: 21 }], by_reason: [{ code: "ice_failed", count: 21 }] },
    relay_share: { direct: 260, udp: 88, tcp: 12, tls: 6 },
    quality: { reports: 3120, rtt_ms: { p50: 48, p95: 210 }, jitter_ms: null, loss_percent: { p50: 0.1, p95: 2.4 }, mos: { p50: 4.31, p95: 3.72 } },
    certificate: { hosts: "turn.example.org", expires_at: Date.now() + 5e9, days_left: 57 },
  });
  found.refused[0].count = 7;
  const sample = (n) => ({
    at: Date.now() - (359 - n) * 10_000, allocations: n % 50, bits_to_peers: n * 1e5, bits_to_clients: n * 2e5,
    packets: n, refused: 0, drops: 0, cpu_percent: n % 30, resident_bytes: 7e7,
  });
  const history = { hour: Array.from({ length: 360 }, (_, n) => sample(n)), day: [] };
  return `event: history\ndata: ${JSON.stringify(history)}\n\nevent: diagnostics\ndata: ${JSON.stringify(found)}\n\n`;
}

test("it is readable in light and dark, at 360 and 1280 px, busy and signed out", TIMEOUT, async () => {
  const response = await fetch(`${daemon.url}api/diagnostics`, { headers: { Authorization: `Bearer ${key}` } });
  const body = busy(await response.json());
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [360, 1280]) {
      await onPage(async (page, complaints) => {
        await page.goto(`${daemon.url}diagnostics`);
        await page.waitForSelector("#sign-in:not([hidden])");
        if (width === 360) await check(page, `signed out, ${colorScheme}`);
        await page.route(STREAM, (route) => route.fulfill({ contentType: "text/event-stream", body }));
        await page.fill("#key", key);
        await page.click("button[type=submit]");
        await shown(page);
        assert.equal(await page.textContent("#state-word"), "Something is broken");
        assert.match(await page.getAttribute("#plots svg", "aria-label"), /Relayed: to clients 71\.8 Mbit\/s, at most 71\.8/);
        for (const id of ["well", "config"]) await page.click(`#${id} summary`);
        await check(page, `busy, ${colorScheme}, ${width}`);
        const kept = process.env.TURNBELL_SCREENSHOTS;
        if (kept) await page.screenshot({ path: join(kept, `diagnostics-${colorScheme}-${width}.png`), fullPage: true });
        await page.click("#day");
        assert.equal(await page.getAttribute("#hour", "aria-pressed"), "false");
        assert.deepEqual(unexpected(complaints), []);
      }, { colorScheme, viewport: { width, height: 900 } });
    }
  }
});

async function check(page, what) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run());
  const grave = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  assert.deepEqual(grave.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]), [], what);
  const measured = await page.evaluate(() => ({
    overflow: document.documentElement.scrollWidth - window.innerWidth,
    small: [...document.querySelectorAll("button, summary, input")]
      .filter((element) => element.checkVisibility() && element.getBoundingClientRect().height < 44)
      .map((element) => element.id || element.tagName),
  }));
  assert.ok(measured.overflow <= 0, `${what}: ${measured.overflow} px too wide`);
  assert.deepEqual(measured.small, [], what);
}

test("Firefox opens it by a link, shows it live, and axe finds nothing serious", TIMEOUT, async () => {
  const fox = await Fox.open();
  try {
    await fox.startsAt(await link());
    const seen = await fox.firefox.evaluate(async () => {
      const late = performance.now() + 40_000;
      const isLive = () => document.getElementById("link").dataset.state === "live"
        && document.querySelectorAll("#plots polyline").length === 5;
      while (!isLive() && performance.now() < late) await new Promise((resolve) => setTimeout(resolve, 100));
      return { hash: location.hash, isLive: isLive(), says: document.getElementById("verdict-says").textContent };
    });
    assert.deepEqual([seen.hash, seen.isLive], ["", true]);
    assert.match(seen.says, /It works/);
    const violations = await fox.firefox.evaluate(`async () => {
      ${AXE};
      const { violations } = await axe.run();
      return violations.filter(({ impact }) => ["serious", "critical"].includes(impact)).map(({ id }) => id);
    }`);
    assert.deepEqual(violations, []);
  } finally {
    await fox.close();
  }
});
