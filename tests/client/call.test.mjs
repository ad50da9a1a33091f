// Calls of one page against a server that the test plays; connections without a network.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { connections, devices, reset } from "./support/media.mjs";
import { settle } from "./support/rtc.mjs";
import { FakeServer, ICE, of, refusal } from "./support/server.mjs";
import { world } from "./support/world.mjs";
import { Line } from "../../src/web/client/line.js";

const CALL = "01ARYZ6S410000000000000000";
let server;
let line;
let place;
let seq;
beforeEach(async () => {
  reset();
  seq = 0;
  server = await FakeServer.start();
  for (const t of ["call.ringing", "call.reject", "call.hangup", "call.cancel", "call.media", "call.update"]) {
    server.answers[t] = {};
  }
  server.answers.ping = { server_time: 1_795_000_000_000 };
  server.answers["call.signal"] = { delivered: true };
  place = world();
  line = new Line({ server: server.url, token: "T" }, place.env);
  await line.ready;
});
afterEach(async () => {
  line.close();
  await server.stop();
});

const party = (number, user, role, more = {}) => ({
  party: number, user, name: user.toUpperCase(), verified: true, role, signaling_lost: false, hold: false, muted: false,
  video_muted: false, screen: false, ...more,
});

/** The call as alice sees it: she is the caller, party 1; bob is 2. */
const view = (state, more = {}) => ({
  call: CALL, state, media: { audio: true, video: false }, you: 1, gen: 1, talk_ms: 0,
  answered_at: ["initiated", "ringing"].includes(state) ? null : 1_795_000_000_000,
  parties: [party(1, "alice", "caller"), party(2, "bob", "callee")], ...more,
});
const incoming = (more = {}) => ({
  call: CALL, from: { user: "bob", name: "Bob", verified: false, number: null, display: null },
  media: { audio: true, video: false }, offer: "offer 1 of bob", expires_in_ms: 60_000, waiting: false, ...more,
});
const asCallee = (state, more = {}) => view(state, {
  you: 2, parties: [party(1, "bob", "caller"), party(2, "alice", "callee")], ...more,
});

async function event(t, d) {
  server.event(++seq, t, d);
  await line.request("ping"); // it has come
  await settle();
}

async function ring() {
  const rings = line.next("incoming");
  server.event(++seq, "call.incoming", incoming());
  return rings;
}

/** Alice called and bob has answered. */
async function talk() {
  server.answers["call.invite"] = view("initiated");
  const call = await line.call("bob");
  await event("call.state", view("connecting"));
  const { sdp } = connections[0].localDescription;
  await event("call.signal", { call: CALL, from: 2, gen: 1, kind: "answer", sdp: `answer of bob to ${sdp}` });
  await event("call.state", view("active"));
  return call;
}

const sent = (t) => server.frames.filter(of(t)).map(({ d }) => d);

test("an invite carries the offer, and its candidates follow once the call has a name", async () => {
  server.answers["call.invite"] = view("initiated");
  const call = await line.call("bob", { display: "about invoice 7" });
  const { d } = await server.frame(of("call.invite"));
  assert.deepEqual(d.to, { user: "bob" });
  assert.deepEqual(d.media, { audio: true, video: false });
  assert.equal(d.display, "about invoice 7");
  assert.match(d.offer, /^offer 1 of pc/);
  const signal = await server.frame(of("call.signal"));
  assert.deepEqual([signal.d.call, signal.d.kind, signal.d.gen], [CALL, "candidates", 1]);
  assert.deepEqual([call.state, call.direction, call.peer.name], ["initiated", "outgoing", "BOB"]);
  assert.equal(line.calls.get(CALL), call);
});

test("who cannot be reached is said in a sentence, and the devices are let go", async () => {
  server.answers["call.invite"] = refusal("callee_offline");
  await assert.rejects(line.call("bob"), { code: "callee_offline", message: "Not online right now." });
  assert.equal(devices.opened[0].readyState, "ended");
  assert.ok(connections[0].isClosed);
});

for (const [name, code] of [
  ["NotAllowedError", "microphone_denied"], ["NotFoundError", "microphone_missing"],
  ["NotReadableError", "microphone_in_use"], ["OverconstrainedError", "microphone_unfit"],
]) {
  test(`${name} is told before it rings anywhere, with a cure`, async () => {
    devices.refuse = name;
    const error = await line.call("bob").catch((it) => it);
    assert.equal(error.code, code);
    assert.match(error.message, /^[A-Z].*\.$/);
    assert.match(error.cure, /^[A-Z].*\.$/);
    await line.request("ping");
    assert.deepEqual(sent("call.invite"), []);
  });
}

test("one can call without a microphone", async () => {
  server.answers["call.invite"] = view("initiated");
  devices.refuse = "NotFoundError";
  await line.call("bob", { microphone: false });
  assert.deepEqual(sent("call.invite")[0].media, { audio: true, video: false });
});

test("a call that comes is receipted from the receive handler, and accepted with the answer", async () => {
  const call = await ring();
  assert.deepEqual((await server.frame(of("call.ringing"))).d, { call: CALL });
  server.answers["call.accept"] = asCallee("connecting");
  await call.accept();
  const [{ answer }] = sent("call.accept");
  assert.match(answer, /^answer of pc\d+ to offer 1 of bob$/);
  assert.deepEqual([call.state, call.peer.user], ["connecting", "bob"]);
});

test("who has no microphone may try again: the call goes on ringing", async () => {
  const call = await ring();
  devices.refuse = "NotAllowedError";
  await assert.rejects(call.accept(), { code: "microphone_denied" });
  assert.equal(call.state, "ringing");
  server.answers["call.accept"] = asCallee("connecting");
  await call.accept({ microphone: false });
  assert.equal(sent("call.accept").length, 1);
});

test("when another device was first, this one stops ringing and knows which", async () => {
  const call = await ring();
  const ended = call.next("ended");
  await event("call.cancelled", { call: CALL, reason: "answered_elsewhere", by: "Laptop" });
  assert.deepEqual(await ended, { reason: "answered_elsewhere", by: "Laptop" });
  assert.equal(line.calls.size, 0);
});

test("when another device is first by a hair, accept says so", async () => {
  const call = await ring();
  server.answers["call.accept"] = refusal("already_answered");
  await assert.rejects(call.accept(), { code: "already_answered" });
  assert.equal(call.state, "ended");
  assert.equal(devices.opened[0].readyState, "ended");
});

test("reject is for all devices or for this one", async () => {
  (await ring()).reject({ scope: "device" });
  assert.deepEqual((await server.frame(of("call.reject"))).d, { call: CALL, scope: "device", reason: "declined" });
});

test("both call each other: one call is left, ours is taken back and theirs answered", async () => {
  const theirs = await ring();
  server.answers["call.invite"] = asCallee("connecting", { glare: true, offer: "offer 1 of bob" });
  const ours = await line.call("bob");
  assert.equal(theirs.state, "ended");
  assert.equal(theirs.reason, "merged");
  assert.equal(line.calls.get(CALL), ours);
  assert.ok(connections[0].isClosed, "our offer never was");
  const answer = await server.frame((frame) => frame.t === "call.signal" && frame.d.kind === "answer");
  assert.deepEqual([answer.d.gen, answer.d.sdp], [1, `answer of ${connections[1].name} to offer 1 of bob`]);
});

test("a call that is hung up before the server knows it is hung up then", async () => {
  let answer;
  server.answers["call.invite"] = (_, id) => void (answer = id);
  const begun = line.next("call");
  const calling = line.call("bob");
  await server.frame(of("call.invite"));
  (await begun).hangup();
  server.sockets[0].tell({ t: "ok", re: answer, d: view("initiated") });
  await calling;
  assert.deepEqual((await server.frame(of("call.hangup"))).d.call, CALL);
});
test("the state of the media is reported, and talk runs by the server's clock", async () => {
  const call = await talk();
  connections[0].connect("connected");
  assert.deepEqual((await server.frame(of("call.media"))).d, { call: CALL, status: "connected" });
  connections[0].connect("disconnected");
  await server.frame((frame) => frame.t === "call.media" && frame.d.status === "disconnected");
  await event("call.state", view("active", { talk_ms: 61_000 }));
  assert.equal(call.talkMs(), 61_000);
  place.env.now = () => 1_795_000_002_000;
  assert.equal(call.talkMs(), 63_000);
});

test("a connection that failed before all candidates had come is given the time to find another way", async (t) => {
  await talk();
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const reported = async () => {
    await line.request("ping");
    return sent("call.media").map(({ status }) => status);
  };
  connections[0].connect("failed");
  t.mock.timers.tick(2_999);
  assert.deepEqual(await reported(), []);
  connections[0].connect("connected");
  t.mock.timers.tick(1);
  assert.deepEqual(await reported(), ["connected"]);
  connections[0].connect("failed");
  t.mock.timers.tick(3_000);
  assert.deepEqual(await reported(), ["connected", "failed"]);
});

test("mute silences the track and tells; hold silences both ways until it is taken back", async () => {
  const call = await talk();
  const [track] = devices.opened;
  call.mute(true);
  assert.equal(track.enabled, false);
  assert.deepEqual((await server.frame(of("call.update"))).d, { call: CALL, muted: true });
  call.mute(false);
  await call.hold(true);
  assert.equal(track.enabled, false);
  await call.hold(false);
  assert.equal(track.enabled, true);
  await event("call.update", { call: CALL, from: 2, hold: true });
  assert.deepEqual([track.enabled, call.peer.hold], [false, true]);
});

test("the server's restart: fresh ICE servers, relay only, and the caller's offer of that generation", async () => {
  await talk();
  const ice = { ...ICE, iceServers: [{ urls: ["turn:fresh"] }] };
  await event("call.restart", { call: CALL, gen: 2, policy: "relay", ice });
  const { d } = await server.frame((frame) => frame.t === "call.signal" && frame.d.kind === "offer");
  assert.deepEqual([d.gen, d.restart], [2, true]);
  assert.deepEqual(connections[0].configuration, { iceServers: [{ urls: ["turn:fresh"] }], iceTransportPolicy: "relay" });
});

test("when the network changes the media looks for a new way", async () => {
  await talk();
  place.page.dispatchEvent(new Event("online"));
  const { d } = await server.frame((frame) => frame.t === "call.signal" && frame.d.kind === "offer");
  assert.deepEqual([d.gen, d.restart], [2, true]);
});

test("the other side's new page gets a new connection, and our offer", async () => {
  await talk();
  const parties = [party(1, "alice", "caller"), party(3, "bob", "callee")];
  await event("call.state", view("connecting", { parties, gen: 1 }));
  assert.ok(connections[0].isClosed);
  const { d } = await server.frame((frame) => frame.t === "call.signal" && frame.d.kind === "offer");
  assert.deepEqual([d.gen, d.sdp], [2, `offer 1 of ${connections[1].name}`]);
});

test("a reloaded page hears of its call, rejoins it with nothing, and answers the other side's offer", async () => {
  server.answers["call.rejoin"] = view("connecting", { you: 3, gen: 4, parties: [party(3, "alice", "caller"), party(2, "bob", "callee")] });
  const found = line.next("rejoinable");
  server.event(++seq, "state.sync", { calls: [view("active")] });
  const call = await found;
  assert.equal(call.wasHere, true);
  await call.rejoin();
  assert.deepEqual(sent("call.rejoin"), [{ call: CALL, media: "new" }]);
  await event("call.signal", { call: CALL, from: 2, gen: 5, kind: "offer", sdp: "offer 2 of bob", restart: false });
  const { d } = await server.frame((frame) => frame.t === "call.signal" && frame.d.kind === "answer");
  assert.deepEqual([d.gen, d.sdp], [5, `answer of ${connections[0].name} to offer 2 of bob`]);
  assert.equal(call.direction, "outgoing");
});

test("a call that is on another page is only offered", async () => {
  const found = line.next("rejoinable");
  server.event(++seq, "state.sync", { calls: [view("active", { you: null })] });
  assert.equal((await found).wasHere, false);
});

test("after the server's restart a call whose media stands goes on with it", async () => {
  const call = await talk();
  connections[0].connectionState = "connected";
  server.answers["call.rejoin"] = view("active");
  await event("state.sync", { calls: [view("reconnecting", { you: null })] });
  assert.deepEqual(sent("call.rejoin"), [{ call: CALL, media: "up" }]);
  assert.equal(connections[0].isClosed, false);
  assert.equal(call.state, "active");
});

test("after the server's restart a relayed call looks for a new way at once, and counts as the server does", async () => {
  await talk();
  const stats = [
    { id: "T", type: "transport", selectedCandidatePairId: "P" },
    { id: "P", type: "candidate-pair", localCandidateId: "L", remoteCandidateId: "R" },
    { id: "L", type: "local-candidate", candidateType: "host", protocol: "udp" },
    { id: "R", type: "remote-candidate", candidateType: "relay", protocol: "udp" },
  ];
  connections[0].getStats = async () => new Map(stats.map((stat) => [stat.id, stat]));
  connections[0].connect("connected");
  assert.deepEqual((await server.frame(of("call.media"))).d.pair, { local: "host", remote: "relay", proto: "udp" });
  const lost = [party(1, "alice", "caller"), party(2, "bob", "callee", { signaling_lost: true })];
  server.answers["call.rejoin"] = view("reconnecting", { gen: 0, parties: lost });
  server.answers["call.signal"] = { delivered: false }; // bob is not back yet
  await event("state.sync", { calls: [view("reconnecting", { you: null, gen: 0, parties: lost })] });
  const offers = () => sent("call.signal").filter(({ kind }) => kind === "offer").map(({ gen, restart }) => [gen, restart]);
  await server.until(() => offers().length === 1, "an offer");
  assert.deepEqual(offers(), [[1, true]]);
  server.answers["call.signal"] = { delivered: true };
  await line.request("ping");
  await event("call.state", view("reconnecting", { gen: 1 })); // he is
  await server.until(() => offers().length === 2, "the offer again");
  assert.deepEqual(offers()[1], [2, true]);
});

test("after the server's restart a call whose media fell is made anew", async () => {
  await talk();
  connections[0].connectionState = "failed";
  server.answers["call.rejoin"] = view("connecting", { you: 3, parties: [party(3, "alice", "caller"), party(2, "bob", "callee")] });
  await event("state.sync", { calls: [view("reconnecting", { you: null })] });
  assert.deepEqual(sent("call.rejoin"), [{ call: CALL, media: "new" }]);
  assert.ok(connections[0].isClosed);
});

test("a call that the server no longer knows is over", async () => {
  const call = await talk();
  await event("state.sync", { calls: [] });
  assert.deepEqual([call.state, call.reason], ["ended", "lost"]);
});

test("what the page before was calling is cancelled, for nothing of it is left", async () => {
  await event("state.sync", { calls: [view("ringing")] });
  assert.deepEqual((await server.frame(of("call.cancel"))).d, { call: CALL });
});

test("a device that is unplugged is replaced by another, and the call says so", async () => {
  const call = await talk();
  const told = call.next("unplugged");
  devices.opened[0].onended();
  assert.deepEqual(await told, { device: "microphone", isReplaced: true });
  assert.equal(call.local.audio, devices.opened[1]);
  devices.refuse = "NotFoundError";
  const again = call.next("unplugged");
  devices.opened[1].onended();
  assert.deepEqual(await again, { device: "microphone", isReplaced: false });
  assert.equal(call.state, "active");
});

test("when it ends, devices and connection are let go and nothing is sent any more", async () => {
  const call = await talk();
  await event("call.state", view("ended", { reason: "hangup" }));
  assert.deepEqual([call.state, call.reason], ["ended", "hangup"]);
  assert.equal(devices.opened[0].readyState, "ended");
  assert.ok(connections[0].isClosed);
  const before = server.frames.length;
  connections[0].connect("failed");
  call.hangup();
  await line.request("ping");
  assert.equal(server.frames.length, before + 1);
});
