// The self-test page at `/selftest/` in Chromium against the real daemon (TURNBELL_BIN): it relays, or it says why not.

import assert from "node:assert/strict";
import dgram from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { INSECURE_HOST, openChromium, openPage, verdict } from "./support/browser.mjs";
import { Daemon } from "./support/daemon.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TIMEOUT = { timeout: 90_000 };

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

/** Opens the page, runs `body`, closes it again; `fragment` is everything behind the address. */
async function onPage({ fragment = "", url = daemon.url, options }, body) {
  const opened = await openPage(browser, options);
  try {
    const response = await opened.page.goto(`${url}selftest/${fragment}`);
    return await body(opened.page, opened.complaints, response);
  } finally {
    await opened.close();
  }
}

const credentialFragment = ({ username, credential }) => `#username=${username}&credential=${credential}`;
const hourAgo = () => Math.floor(Date.now() / 1000) - 3600;
const hourAhead = () => Math.floor(Date.now() / 1000) + 3600;

test("opening the page makes a relayed call whose pictures arrive on both sides", TIMEOUT, () =>
  onPage({}, async (page, complaints, response) => {
    const policy = response.headers()["content-security-policy"] ?? "";
    assert.match(policy, /default-src 'self'/);
    assert.doesNotMatch(policy, /unsafe/);

    const first = await verdict(page, "relayed");
    assert.equal(await page.textContent("#verdict-title"), "Relayed: this call goes through turnbell");
    for (const side of ["caller", "callee"]) {
      const { local, remote } = first.selectedPair[side];
      assert.equal(local.type, "relay");
      assert.match(remote.type, /^(relay|prflx)$/);
      assert.match(local.url, /^turn:127\.0\.0\.1:/);
      assert.ok(first.candidates.some((candidate) => candidate.side === side));
    }
    assert.ok(first.candidates.every(({ type }) => type === "relay"), "relay-only gathers relay only");
    assert.deepEqual(first.errors, []);
    assert.ok(first.setupMs.config <= first.setupMs.candidate && first.setupMs.candidate <= first.setupMs.picture);

    await page.waitForFunction((was) => ["caller", "callee"].every((side) => {
      const [now, then] = [window.turnbellTest.stats[side], was[side]];
      return now.framesDecoded >= then.framesDecoded + 10 && now.bytesIn > then.bytesIn + 1_000
        && now.bytesOut > then.bytesOut + 1_000 && now.packetsIn > then.packetsIn && now.rttMs !== null;
    }), first.stats, { timeout: 20_000 });
    assert.deepEqual(complaints, []);
  }));

test("where no UDP gets out the call goes through the relay over TCP", TIMEOUT, async () => {
  const { page, complaints, close } = await openPage(browser);
  try {
    await page.route(/\/ice(\?|$)/, async (route) => {
      const response = await route.fetch();
      const config = await response.json();
      for (const server of config.iceServers) {
        server.urls = server.urls.filter((url) => url.endsWith("?transport=tcp"));
      }
      config.iceServers = config.iceServers.filter(({ urls }) => urls.length > 0);
      assert.equal(config.iceServers.length, 1);
      await route.fulfill({ response, json: config });
    });
    await page.goto(`${daemon.url}selftest/`);
    const known = await verdict(page, "relayed");
    for (const side of ["caller", "callee"]) {
      const { local } = known.selectedPair[side];
      assert.deepEqual([local.type, local.relayProtocol], ["relay", "tcp"]);
      assert.match(local.url, /\?transport=tcp$/);
    }
    assert.deepEqual(complaints, []);
  } finally {
    await close();
  }
});

test("a credential made by a backend that knows the secret relays as well", TIMEOUT, () =>
  onPage({ fragment: credentialFragment(daemon.credential("backend", hourAhead())) }, async (page) => {
    const known = await verdict(page, "relayed");
    assert.equal(known.ice.typed, true);
    assert.match(known.ice.username, /:backend$/);
  }));

test("a wrong credential is refused with 401 and the verdict says so", TIMEOUT, () =>
  onPage({ fragment: `#username=${hourAhead()}:mallory&credential=wrong` }, async (page) => {
    const known = await verdict(page, "ice_401");
    assert.equal(known.state, "failed");
    assert.match(known.verdict.title, /^Credential refused: the relay does not accept/);
    assert.ok(known.errors.some(({ code, url }) => code === 401 && url.startsWith("turn:127.0.0.1:")));
    assert.deepEqual(known.candidates, []);
    assert.match(await page.textContent("#errors"), /error 401/);
  }));

test("an expired credential is refused with 401 and the verdict says since when", TIMEOUT, () =>
  onPage({ fragment: credentialFragment(daemon.credential("alice", hourAgo())) }, async (page) => {
    const known = await verdict(page, "ice_401");
    assert.match(known.verdict.title, /^Credential refused: it expired on /);
    assert.ok(known.errors.some(({ code }) => code === 401));
  }));

test("a relay that does not answer is called unreachable", TIMEOUT, async () => {
  const silent = dgram.createSocket("udp4").bind(0, "127.0.0.1"); // receives and never answers
  await once(silent, "listening");
  try {
    await onPage({ fragment: "#manual" }, async (page) => {
      const urls = [`turn:127.0.0.1:${silent.address().port}?transport=udp`];
      const config = { iceServers: [{ urls, username: "u", credential: "c" }] };
      await page.route("**/ice", (route) => route.fulfill({ json: config }));
      await page.click("#start");
      await verdict(page, "waiting");
      const known = await verdict(page, "no_answer"); // Chromium itself takes 40 s to say 701
      assert.equal(known.verdict.title, "Not reachable: no answer from the relay in 10 s");
      assert.ok(known.verdict.cure.endsWith(`Asked: ${urls[0]}`));
      assert.equal(known.live, true, "a slow relay may still answer");
    });
  } finally {
    silent.close();
  }
});

test("every code of an icecandidateerror becomes a cause and a cure", TIMEOUT, () =>
  onPage({ fragment: "#manual" }, async (page) => {
    const explain = (error, ice) => page.evaluate(async ([error, ice]) => {
      const { explain } = await import("/selftest/words.js");
      return explain(error, ice);
    }, [{ text: "", url: "turn:relay.example.org:3478", ...error }, ice]);
    for (const code of [300, 400, 401, 403, 437, 440, 441, 442, 486, 508, 600, 701]) {
      const { cause, cure } = await explain({ code }, { username: "1:old" });
      assert.match(cause, /^[A-Z].*\.$/, `cause of ${code}`);
      assert.match(cure, /^[A-Za-z].*[.?]$/, `cure of ${code}`);
    }
    const fresh = { username: `${hourAhead()}:alice` };
    assert.match((await explain({ code: 401 }, { username: "1:old" })).cause, /it expired on/);
    assert.match((await explain({ code: 401 }, fresh)).cause, /does not accept/);
    assert.match((await explain({ code: 701 }, fresh)).cure, /firewall/);
    assert.match((await explain({ code: 701, url: "turn:127.0.0.1:3478" }, fresh)).cure, /SSH tunnel/);
    assert.match((await explain({ code: 701, text: "TURN host lookup received error." }, fresh)).cause, /no address/);
  }));

test("without a key /ice's own error is shown, and a typed key makes the call", TIMEOUT, async () => {
  const closed = await Daemon.start({ http: ["local_without_key = false"] });
  try {
    const key = await closed.makeKey();
    await onPage({ url: closed.url }, async (page, complaints) => {
      await page.waitForFunction(() => window.turnbellTest.state === "failed");
      const known = await page.evaluate(() => structuredClone(window.turnbellTest));
      assert.equal(known.ice.status, 401);
      const { code, message, hint } = known.ice.error;
      assert.ok(code && message && hint, "turnbell's error has a code, a message and a hint");
      assert.equal(known.verdict.code, code);
      assert.equal(await page.textContent("#verdict-title"), `No ICE config: ${message}`);
      assert.equal(await page.textContent("#verdict-cure"), hint);
      assert.ok(complaints.every((text) => text.includes("401")), String(complaints));

      await page.fill("#key", key);
      await page.click("text=Call with these");
      assert.doesNotMatch(JSON.stringify(await verdict(page, "relayed")), /tbk_/);
      await page.reload();
      await verdict(page, "relayed"); // the tab kept it
    });
    await onPage({ url: closed.url, fragment: `#k=${key}` }, async (page) => {
      await verdict(page, "relayed");
      assert.equal(page.url(), `${closed.url}selftest/`, "the key is gone from the address bar");
    });
  } finally {
    await closed.stop();
  }
});

test("the verdict turns when the daemon goes away in the middle of a call", TIMEOUT, async () => {
  const short = await Daemon.start();
  try {
    await onPage({ url: short.url }, async (page) => {
      await verdict(page, "relayed");
      await short.stop();
      await verdict(page, "stalled");
      await page.click("#start");
      const known = await verdict(page, "ice_unreachable");
      assert.equal(known.state, "failed");
    });
  } finally {
    await short.stop();
  }
});

test("Stop ends the call, Start makes another, and #manual waits for it", TIMEOUT, () =>
  onPage({ fragment: "#manual" }, async (page, complaints) => {
    assert.equal((await verdict(page, "idle")).state, "idle");
    await page.click("#start");
    await verdict(page, "relayed");
    await page.click("#stop");
    await verdict(page, "stopped");
    assert.equal(await page.evaluate(() => document.getElementById("caller-video").srcObject), null);
    await page.click("#start");
    await verdict(page, "relayed");
    assert.deepEqual(complaints, []);
  }));

test("a camera that cannot be had becomes a sentence and the call goes on", TIMEOUT, () =>
  onPage({}, async (page) => {
    await verdict(page, "relayed");
    await page.click("#camera");
    await page.waitForFunction(() => /\. \S.*\.$/.test(document.getElementById("notice").textContent));
    const { source, state } = await page.evaluate(() => window.turnbellTest);
    assert.deepEqual({ source, state }, { source: "test picture", state: "relayed" });
  }));

test("on a page that is no secure context the camera button names three cures", TIMEOUT, () =>
  onPage({ url: daemon.url.replace("127.0.0.1", INSECURE_HOST), fragment: "#manual" }, async (page) => {
    await verdict(page, "idle");
    await page.click("#camera");
    const said = await page.textContent("#notice");
    for (const cure of ["https pages or localhost", "ssh -L 8080:127.0.0.1:8080", "Caddy", "tls.cert"]) {
      assert.ok(said.includes(cure), cure);
    }
  }));

test("the report can be copied where the clipboard is closed, and holds no credential", TIMEOUT, () =>
  onPage({ fragment: `#username=${hourAhead()}:mallory&credential=TopSecretWord` }, async (page) => {
    await verdict(page, "ice_401");
    await page.evaluate(() => { navigator.clipboard.writeText = () => Promise.reject(new Error("closed")); });
    await page.click("#copy");
    const report = await page.inputValue("#report");
    assert.equal(JSON.parse(report).verdict.code, "ice_401");
    assert.doesNotMatch(report, /TopSecretWord/);
  }));

/** Every state a person may meet, in both colour schemes, on a phone and on a desk. */
for (const colorScheme of ["light", "dark"]) {
  for (const width of [360, 1280]) {
    test(`axe finds nothing serious and nothing overflows: ${colorScheme}, ${width} px`, TIMEOUT, async () => {
      const kept = process.env.TURNBELL_SCREENSHOTS;
      const directory = kept ?? await mkdtemp(join(tmpdir(), "turnbell-shots-"));
      const options = { colorScheme, viewport: { width, height: 900 }, reducedMotion: "reduce" };
      const states = {
        relayed: "", idle: "#manual", ice_401: `#username=${hourAhead()}:mallory&credential=wrong`,
      };
      try {
        for (const [code, fragment] of Object.entries(states)) {
          await onPage({ fragment, options }, async (page) => {
            await verdict(page, code);
            await page.evaluate(() => { document.getElementById("advanced").open = true; });
            await page.screenshot({ path: join(directory, `${code}-${colorScheme}-${width}.png`), fullPage: true });
            await inspect(page);
          });
        }
      } finally {
        if (!kept) await rm(directory, { recursive: true, force: true });
      }
    });
  }
}

async function inspect(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run());
  const grave = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  assert.deepEqual(grave.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]), []);
  const measured = await page.evaluate(() => ({
    overflow: document.documentElement.scrollWidth - window.innerWidth,
    small: [...document.querySelectorAll("button, summary, input")]
      .filter((element) => element.checkVisibility() && element.getBoundingClientRect().height < 44)
      .map((element) => element.id || element.tagName),
  }));
  assert.ok(measured.overflow <= 0, `the page is ${measured.overflow} px too wide`);
  assert.deepEqual(measured.small, []);
}
