// Relay-only calls of Chromium and Firefox over UDP, TCP and TLS, TLS on the port 443 that HTTPS has too. Browsers
// and server are two machines with a cable between them.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { openChromium } from "./support/browser.mjs";
import { makeCertificate, trust } from "./support/certificates.mjs";
import { Daemon } from "./support/daemon.mjs";
import { Firefox } from "./support/firefox.mjs";
import { OtherNetwork, inOwnNetwork, ip, nameHosts } from "./support/network.mjs";
import { install } from "./support/party.mjs";

inOwnNetwork(import.meta.url);

const TIMEOUT = { timeout: 180_000 };
const [HOST, HOST_6] = ["turn.turnbell.test", "turn6.turnbell.test"];
/** Public to the policy; this network reaches nobody. */
const [SERVER, SERVER_6] = ["5.44.20.1", "2a0e:44:20::1"];
const BROWSERS = ["5.44.20.2", "2a0e:44:20::2"];

const CONFIG = (directory) => [
  'listen = ["0.0.0.0:3478", "[::]:3478"]',
  'listen_tcp = ["0.0.0.0:3478", "[::]:3478"]',
  'listen_tls = ["0.0.0.0:443", "[::]:443"]',
  `relay_addresses = ["${SERVER}", "${SERVER_6}"]`,
  'default_relay_family = "client"',
  `advertise = ["${HOST}"]`,
  `tls.cert = "${join(directory, "cert.pem")}"`,
  `tls.key = "${join(directory, "key.pem")}"`,
  'http.listen = ["0.0.0.0:443", "[::]:443"]',
];
const URLS = {
  udp: `turn:${HOST}:3478?transport=udp`,
  tcp: `turn:${HOST}:3478?transport=tcp`,
  tls: `turns:${HOST}:443?transport=tcp`,
};

let directory;
let network;
let daemon;
let key;
const browsers = {};

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "turnbell-relayed-"));
  const prefixes = (addresses) => addresses.map((address) => address + (address.includes(":") ? "/64" : "/24"));
  network = await OtherNetwork.cabled(prefixes(BROWSERS), prefixes([SERVER, SERVER_6]));
  // Browsers look which of their addresses leads outside.
  await ip(`route add default via ${SERVER}`);
  await ip(`-6 route add default via ${SERVER_6}`);
  await nameHosts(directory, { "127.0.0.1": "localhost", "::1": "localhost", [SERVER]: HOST, [SERVER_6]: HOST_6 });
  await makeCertificate(directory, [HOST, HOST_6]);
  daemon = await Daemon.start({ config: CONFIG(directory), through: network.through });
  key = await daemon.makeKey();
  await Promise.all([openChromiumPage(), openFirefoxPage()]);
  for (const page of Object.values(browsers)) {
    await page.goto(`https://${HOST}/#manual`);
    await page.evaluate(install);
  }
}, TIMEOUT);
after(async () => {
  await Promise.allSettled(Object.values(browsers).map((page) => page.close()));
  await daemon?.stop();
  await network?.close();
  if (directory) await rm(directory, { recursive: true, force: true });
}, TIMEOUT);

async function openChromiumPage() {
  const home = join(directory, "home");
  await trust(join(directory, "ca.pem"), join(home, ".pki/nssdb"));
  const browser = await openChromium(home);
  const page = await browser.newPage();
  browsers.chromium = {
    goto: (url) => page.goto(url),
    // Playwright passes one argument.
    evaluate: (body, ...args) => page.evaluate(`(${body})(...${JSON.stringify(args)})`),
    close: () => browser.close(),
  };
}

async function openFirefoxPage() {
  const profile = join(directory, "profile");
  await trust(join(directory, "ca.pem"), profile);
  browsers.firefox = await Firefox.open(profile);
}

let calls = 0;

/** A party of the call: where it runs, over what it is relayed, by which name it and its credential go. */
async function party(side, { browser, over, host = HOST, direct = false }) {
  const page = browsers[browser];
  const name = `${side}-${++calls}`;
  const ask = async (url, key) => (await fetch(url, { headers: { Authorization: `Bearer ${key}` } })).json();
  const { iceServers } = await page.evaluate(ask, `/ice?user=${name}`, key);
  const given = iceServers.find(({ username }) => username);
  assert.deepEqual(given.urls, Object.values(URLS), "every transport, and nothing else");
  const server = { ...given, urls: [URLS[over]?.replace(HOST, host)] };
  // Its own address, which a page does not give away, comes from a server as well.
  const configuration = direct
    ? { iceServers: [{ urls: `stun:${HOST}:3478` }] }
    : { iceServers: [server], iceTransportPolicy: "relay" };
  await page.evaluate((name, configuration) => window.parties.open(name, configuration), name, configuration);
  const does = (method, ...args) =>
    page.evaluate((method, ...args) => window.parties[method](...args), method, name, ...args);
  return { name, over, direct, url: server.urls[0], does };
}

/** Calls, checks everything that a call is for, hangs up; resolves with what both browsers said of it. */
async function call(from, to) {
  const [caller, callee] = [await party("caller", from), await party("callee", to)];
  try {
    const offer = await caller.does("offer");
    const answer = await callee.does("answer", offer);
    await caller.does("accept", answer);
    await Promise.all([caller.does("connected"), callee.does("connected")]);
    // Small, as long as one packet may be, and many packets.
    assert.equal(await caller.does("roundTrip", [1, 1_150, 60_000, 200_000]), true);
    const facts = await Promise.all([caller.does("mediaGrows"), callee.does("mediaGrows")]);
    for (const [at, one] of [caller, callee].entries()) {
      if (one.direct) continue;
      const { local } = facts[at];
      assert.equal(local.candidateType, "relay", JSON.stringify(facts[at]));
      assert.equal(local.relayProtocol, one.over);
      if (local.url) assert.equal(local.url, one.url);
      await checkRelayed(one, facts[at]);
    }
    await Promise.all([caller.does("close"), callee.does("close")]);
    await Promise.all([caller, callee].map(checkReleased));
    return facts;
  } finally {
    await Promise.all([caller.does("close"), callee.does("close")]);
  }
}

/** The daemon has this party's allocation, over this transport, with at least what the browser counted. */
async function checkRelayed({ name, over }, { bytesSent, bytesReceived }) {
  const { sessions } = JSON.parse(await daemon.ask("sessions", "--user", name, "--json"));
  assert.ok(sessions.length > 0 && sessions.every(({ transport }) => transport === over), JSON.stringify(sessions));
  // A browser may have an allocation for each of its interfaces, and uses one.
  sessions.sort((a, b) => b.traffic.bytes_to_client - a.traffic.bytes_to_client);
  const [{ client, traffic, expires_in_s: left }] = sessions;
  assert.ok(BROWSERS.some((address) => client.includes(address)), client);
  assert.ok(left > 0);
  // What is under way is not counted by both.
  assert.ok(traffic.bytes_to_peers >= bytesSent * 0.9, `${traffic.bytes_to_peers} of ${bytesSent}`);
  assert.ok(traffic.bytes_to_client >= bytesReceived * 0.9, `${traffic.bytes_to_client} of ${bytesReceived}`);
}

/** Who hangs up gives its allocations back, and the record keeps what they relayed. */
async function checkReleased({ name, direct }) {
  if (direct) return;
  const late = Date.now() + 30_000;
  for (;;) {
    const { sessions } = JSON.parse(await daemon.ask("sessions", "--all", "--user", name, "--json"));
    const reasons = sessions.map(({ end_reason: reason }) => reason);
    if (reasons.every((reason) => reason === "client" || reason === "disconnected")) return;
    assert.ok(Date.now() < late, `${name}: ${JSON.stringify(sessions)}`);
  }
}

for (const browser of ["chromium", "firefox"]) {
  for (const over of ["udp", "tcp", "tls"]) {
    test(`${browser} calls ${browser} through the relay over ${over}`, TIMEOUT, () =>
      call({ browser, over }, { browser, over }));
  }
  test(`${browser} calls ${browser} through the relay over tls and IPv6`, TIMEOUT, async () => {
    const over = { browser, over: "tls", host: HOST_6 };
    const [{ local }] = await call(over, over);
    assert.match(local.address, /^\[?2a0e:44:20::1\]?$/);
  });
}

test("chromium calls firefox, each relayed over another transport", TIMEOUT, () =>
  call({ browser: "chromium", over: "tls" }, { browser: "firefox", over: "udp" }));

test("firefox calls chromium where no UDP gets out", TIMEOUT, () =>
  call({ browser: "firefox", over: "tls" }, { browser: "chromium", over: "tcp" }));

test("a relayed firefox calls a chromium that is reached directly", TIMEOUT, async () => {
  const [{ remote }] = await call({ browser: "firefox", over: "udp" }, { browser: "chromium", direct: true });
  assert.notEqual(remote.candidateType, "relay");
});

test("by one link both browsers verify every way at once, and that proves it from outside", TIMEOUT, async () => {
  const { verify_link: { url } } = JSON.parse(await daemon.ask("verify", "--link", "--json"));
  assert.match(url, new RegExp(`^https://${HOST}/ice-verify#k=tbv_`));
  const all = await Promise.all(Object.values(browsers).map(async (page) => {
    await page.goto(url);
    return page.evaluate(async () => {
      const late = performance.now() + 90_000;
      document.getElementById("start").click();
      const isOver = () => ["done", "stopped"].includes(window.turnbellVerify.state) || performance.now() > late;
      while (!isOver()) await new Promise((resolve) => setTimeout(resolve, 100));
      const { state, ways, lines, report } = window.turnbellVerify;
      return { title: document.getElementById("verdict-title").textContent, hash: location.hash, state, ways, lines, report };
    });
  }));
  for (const { title, hash, state, ways, lines, report } of all) {
    assert.deepEqual([state, hash], ["done", ""], title);
    assert.ok(report.verdicts.some(({ code }) => code === "works"), JSON.stringify(report.verdicts));
    assert.deepEqual(ways.filter(({ isTurn }) => isTurn).map(({ url }) => url).sort(), Object.values(URLS).sort());
    for (const { url, carrier, state: said, report: seen } of ways) {
      assert.equal(said, "ok", `${url}: ${JSON.stringify(seen)}`);
      // The name has no IPv6 address, which browsers with one say in errors: they mean nothing where all is well.
      assert.ok(seen.mapped === undefined || seen.mapped.includes("5.44.20.2"), JSON.stringify(seen));
      const isMine = (line) => line.transport === carrier && line.certainty === "certain" && line.code === "allocated";
      assert.ok(url.startsWith("stun:") || lines.some(isMine), JSON.stringify(lines));
    }
  }
  const { last } = await browsers.chromium.evaluate(async (key) => {
    const response = await fetch("/api/ice-verify", { headers: { Authorization: `Bearer ${key}` } });
    return response.json();
  }, key);
  assert.ok(last.some(({ vantage, verdict }) => vantage === "browser" && verdict !== "error"), JSON.stringify(last));
});
