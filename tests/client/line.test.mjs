// The line against a server that the test plays: hello, resume, backoff, ids, acks, what ends it.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { delayMs } from "../../src/web/client/backoff.js";
import { Line, serverOf } from "../../src/web/client/line.js";
import { FakeServer, OTHER_SESSION, SESSION, of, refusal } from "./support/server.mjs";
import { browser, storage, world } from "./support/world.mjs";

const WELCOME_MS = 15_000;
const PONG_MS = 5_000;
const HAND_OVER_MS = 500;
const [CALL, OTHER_CALL] = ["01ARYZ6S410000000000000000", "01ARYZ6S410000000000000001"];
let server;
let lines;
beforeEach(async () => {
  server = await FakeServer.start();
  server.answers.ping = { server_time: 1_795_000_000_000 };
  lines = [];
});
afterEach(async () => {
  for (const line of lines) line.close();
  await server.stop();
});

function open(place = world(), options = {}) {
  const line = new Line({ server: server.url, token: "T", ...options }, place.env);
  lines.push(line);
  return line;
}

const hello = (number) => server.frame((frame) => frame.t === "hello" && frame.socket === number, `hello ${number}`);
const state = (line, wanted) => new Promise((resolve) => {
  if (line.state === wanted) return resolve();
  const off = line.on("state", (now) => {
    if (now !== wanted) return;
    off();
    resolve();
  });
});

/** Waits for the socket's end and says how long the line means to wait. */
async function lost(line, place, end = () => server.sockets.at(-1).terminate()) {
  const waiting = state(line, "waiting");
  end();
  await waiting;
  return place.waits().find((ms) => ![WELCOME_MS, HAND_OVER_MS].includes(ms));
}

test("hello carries token, device and capabilities, and the line knows who it is", async () => {
  const line = await open().ready;
  const { d } = await hello(0);
  assert.equal(d.token, "T");
  assert.deepEqual(d.caps, ["media_reports"]);
  assert.deepEqual([d.device.kind, d.device.label], ["browser", "Chrome on Linux"]);
  assert.equal(d.resume, undefined);
  assert.deepEqual([line.user, line.name, line.state], ["alice", "Alice", "online"]);
  assert.equal(line.serverNow(), 1_795_000_000_000);
});

test("after a loss it waits 0, 0.3, 1, 2, 4, 7, 7 s, and asks to resume with the last token and seq", async () => {
  const place = world();
  const line = await open(place).ready;
  server.event(1, "void", {});
  server.event(2, "void", {});
  await line.request("ping"); // both have come
  server.welcome = () => null;
  const waits = [];
  for (let number = 1; number <= 7; number += 1) {
    waits.push(await lost(line, place));
    place.ring(waits.at(-1));
    await hello(number);
  }
  assert.deepEqual(waits, [0, 300, 1000, 2000, 4000, 7000, 7000]);
  assert.deepEqual((await hello(7)).d.resume, { token: "r1", last_seq: 2 });
});

test("waits are spread by 30 % either way", () => {
  assert.deepEqual([delayMs(2, 0), delayMs(2, 0.5), delayMs(2, 1)], [700, 1000, 1300]);
  assert.equal(delayMs(99, 0.5), 7000);
});

test("a welcome makes the next wait short again", async () => {
  const place = world();
  const line = await open(place).ready;
  for (let times = 1; times <= 2; times += 1) {
    assert.equal(await lost(line, place), 0);
    place.ring(0);
    await state(line, "online");
  }
});

for (const [target, name] of [["page", "online"], ["page", "pageshow"], ["document", "visibilitychange"]]) {
  test(`${name} connects at once`, async () => {
    const place = world();
    const line = await open(place).ready;
    server.welcome = (_, number) => (number > 1 ? { session: SESSION, resume_token: "r", resumed: true, next_seq: 1 } : null);
    await lost(line, place);
    place.ring(0);
    await hello(1);
    assert.equal(await lost(line, place), 300);
    place[target].dispatchEvent(new Event(name));
    await state(line, "online"); // no timer went off
  });
}

test("a page that becomes hidden does not hurry", async () => {
  const place = world();
  const line = await open(place).ready;
  await lost(line, place);
  place.document.visibilityState = "hidden";
  place.document.dispatchEvent(new Event("visibilitychange"));
  assert.equal(line.state, "waiting");
});

test("a socket that died unseen is replaced when the page is back and nobody answers its ping", async () => {
  const place = world();
  const line = await open(place).ready;
  delete server.answers.ping;
  place.page.dispatchEvent(new Event("online"));
  await server.frame(of("ping"));
  const waiting = state(line, "waiting");
  place.ring(PONG_MS);
  await waiting;
  place.ring(0);
  await hello(1);
});

for (const [code, word] of [[4009, "replaced"], [4003, "revoked"], [4001, "unauthenticated"], [4004, "tenant_suspended"]]) {
  test(`after ${code} it does not connect again`, async () => {
    const place = world();
    const line = await open(place).ready;
    const closed = line.next("closed");
    server.sockets[0].close(code);
    assert.equal((await closed).code, word);
    place.page.dispatchEvent(new Event("online"));
    assert.equal(line.state, "closed");
    assert.deepEqual(place.waits().filter((ms) => ms !== HAND_OVER_MS), []);
    await assert.rejects(line.request("ping"), { code: word });
  });
}

test("a refused token says so in a sentence and a cure", async () => {
  server.welcome = () => null;
  const line = open();
  await hello(0);
  server.sockets[0].tell({ t: "error", re: null, d: { code: "unauthenticated", message: "bad signature" } });
  server.sockets[0].close(4001);
  await assert.rejects(line.ready, { code: "unauthenticated", detail: "bad signature", cure: "Sign in again." });
});

test("after 4002 a fresh token is asked for; one that was given once is not used again", async () => {
  const place = world();
  const asked = [];
  const getToken = async (isFresh) => `T${asked.push(isFresh)}`;
  const line = await open(place, { token: undefined, getToken }).ready;
  await lost(line, place, () => server.sockets[0].close(4002));
  place.ring(0);
  assert.equal((await hello(1)).d.token, "T2");
  assert.deepEqual(asked, [false, true]);

  const other = world();
  const given = await open(other).ready;
  await lost(given, other, () => server.sockets.at(-1).close(4002));
  other.ring(0);
  await state(given, "closed");
  assert.equal(given.error.code, "token_expired");
});

test("auth.expiring brings a fresh token to the server", async () => {
  const line = await open(world(), { token: undefined, getToken: async (isFresh) => (isFresh ? "new" : "old") }).ready;
  assert.equal(line.state, "online");
  server.event(1, "auth.expiring", { expires_at: 1 });
  assert.equal((await server.frame(of("auth.refresh"))).d.token, "new");
});

test("a draining server says when to come back", async () => {
  const place = world();
  const line = await open(place).ready;
  assert.equal(await lost(line, place, () => server.sockets[0].close(4090, "retry_in_ms=4321")), 4321);
});

test("an upgrade that fails where HTTP gets through is the proxy's fault, with the lines to add", async () => {
  server.refuseUpgrade = 400;
  const problem = await open().next("problem");
  assert.equal(problem.code, "proxy_blocks_websocket");
  assert.equal(problem.message, "The proxy in front does not pass WebSocket upgrades.");
  assert.match(problem.cure, /proxy_set_header Upgrade \$http_upgrade/);
});

test("a server that is not there is called unreachable", async () => {
  const { url } = server;
  const place = world();
  place.env.fetch = () => Promise.reject(new TypeError("fetch failed"));
  server.refuseUpgrade = 502;
  const line = open(place, { server: url });
  assert.equal((await line.next("problem")).code, "unreachable");
});

test("requests that were asked before the connection stood are sent with it, in order", async () => {
  server.answers.ping = { server_time: 7 };
  server.answers["call.cancel"] = refusal("callee_busy");
  const line = open();
  const [one, two] = [line.request("ping"), line.request("call.cancel", { call: CALL })];
  assert.deepEqual(await one, { server_time: 7 });
  await assert.rejects(two, { code: "callee_busy", message: "In another call." });
});

test("a request without its answer is sent again after a resume, under the same id", async () => {
  const place = world();
  const line = await open(place).ready;
  const answer = line.request("call.cancel", { call: CALL });
  const first = await server.frame(of("call.cancel"));
  server.answers["call.cancel"] = {};
  await lost(line, place);
  place.ring(0);
  assert.deepEqual(await answer, {});
  const both = server.frames.filter(of("call.cancel"));
  assert.deepEqual(both.map(({ id, d }) => [id, d]), [[first.id, { call: CALL }], [first.id, { call: CALL }]]);
});

test("in another session nobody knows whether it was done: it is refused", async () => {
  const place = world();
  const line = await open(place).ready;
  const answer = line.request("call.cancel", { call: CALL });
  await server.frame(of("call.cancel"));
  server.welcome = () => ({ session: OTHER_SESSION, resume_token: "r", resumed: false, next_seq: 1, reason: "unknown_token" });
  await lost(line, place);
  const refused = assert.rejects(answer, { code: "session_lost" });
  place.ring(0);
  await refused;
});

test("ids of two pages never meet, for a session outlives a page", async () => {
  const [a, b] = [open(), open()];
  await Promise.all([a.request("ping"), b.request("ping")]);
  const ids = server.frames.filter(of("ping")).map(({ id }) => id);
  assert.equal(new Set(ids).size, 2);
  assert.ok(ids.every((id) => id.length <= 64));
});

test("events are acknowledged from the receive handler: with requests, and alone after eight", async () => {
  const place = world();
  const line = await open(place).ready;
  server.event(1, "void", {});
  await line.request("ping");
  await line.request("ping");
  assert.deepEqual(server.frames.filter(of("ping")).map(({ ack }) => ack), [undefined, 1]);
  for (let seq = 2; seq <= 9; seq += 1) server.event(seq, "void", {});
  assert.equal((await server.frame(of("ack"))).ack, 9);
});

test("an event that comes twice counts once", async () => {
  const line = await open().ready;
  const seen = [];
  line.on("missed", ({ call }) => seen.push(call));
  const from = { user: "bob", name: "Bob", verified: true, number: null, display: null };
  for (const [seq, call] of [[1, CALL], [1, CALL], [2, OTHER_CALL]]) {
    server.event(seq, "call.missed", { call, from, reason: "no_answer" });
  }
  await line.request("ping");
  assert.deepEqual(seen, [CALL, OTHER_CALL]);
});

test("presence: a snapshot replaces, a diff changes, who went is gone, and oneself is not listed", async () => {
  server.answers["presence.subscribe"] = {};
  const place = world();
  const line = await open(place).ready;
  await line.subscribe({ role: "member" });
  const person = (user, status) => ({ user, name: user, role: "member", status, note: null });
  server.event(1, "presence.snapshot", { users: [person("alice", "online"), person("bob", "online"), person("eve", "away")], truncated: false });
  server.event(2, "presence.diff", { users: [person("bob", "busy"), person("eve", "offline")] });
  await line.request("ping");
  assert.deepEqual([...line.people.values()].map(({ user, status }) => [user, status]), [["bob", "busy"]]);
  server.welcome = () => ({ session: OTHER_SESSION, resume_token: "r", resumed: false, next_seq: 1 });
  await lost(line, place);
  place.ring(0);
  const again = await server.frame((frame) => frame.t === "presence.subscribe" && frame.socket === 1);
  assert.deepEqual(again.d, { role: "member" });
});

test("a reloaded page takes up its session, and asks for all that is", async () => {
  const place = world();
  await open(place).ready;
  place.profile.locks.releaseAll(); // the browser does, with the old page
  const reloaded = world({ profile: place.profile, session: place.session });
  await open(reloaded).ready;
  const { resume, } = (await hello(1)).d;
  assert.equal(resume.token, "r1");
  assert.equal(resume.last_seq, Number.MAX_SAFE_INTEGER);
});

test("a duplicated tab starts a session of its own, on the same device", async () => {
  const place = world();
  await open(place).ready;
  const copy = storage();
  for (const [key, value] of place.session.items) copy.setItem(key, value);
  const duplicate = world({ profile: place.profile, session: copy });
  const line = open(duplicate);
  await server.until(() => duplicate.waits().includes(HAND_OVER_MS), "it waits for the lock");
  duplicate.ring(HAND_OVER_MS);
  await line.ready;
  assert.equal((await hello(1)).d.resume, undefined);
  assert.equal((await hello(1)).d.device.id, (await hello(0)).d.device.id);
});

test("without Web Locks no token is left for a reload", async () => {
  const place = world({ profile: { ...browser(), locks: null } });
  await open(place).ready;
  assert.equal(place.session.items.size, 0);
});

test("the server is where the module came from", () => {
  for (const [from, server] of [
    ["https://turn.example.org/client/turnbell.js", "https://turn.example.org/"],
    ["https://example.org/calls/client/3f2a/line.js", "https://example.org/calls/"],
    ["file:///app/node_modules/turnbell/line.js", null],
  ]) assert.equal(serverOf(from), server);
});
