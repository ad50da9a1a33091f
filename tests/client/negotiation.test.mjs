// Two negotiations, with a server between them that numbers offers as turnbell does.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Negotiation } from "../../src/web/client/negotiation.js";
import { FakePeerConnection, settle } from "./support/rtc.mjs";

/** Two sides; what they say waits in `line` until the test lets it through. */
function pair() {
  const server = { generation: 0, by: null, line: [], isGone: new Set(), log: [] };
  const sides = {};
  for (const [name, other, isPolite] of [["caller", "callee", false], ["callee", "caller", true]]) {
    const pc = new FakePeerConnection();
    const send = (signal) => new Promise((resolve) => server.line.push({ from: name, to: other, signal, resolve }));
    const negotiation = new Negotiation({ pc, isPolite, generation: 0, send, beforeAnswer: async () => {} });
    sides[name] = { pc, negotiation };
  }
  /** What `src/call/relay_signal.rs` does with a signal. */
  const admit = (from, { kind, gen }) => {
    if (gen > server.generation + 1 || gen < 1) throw new Error(`gen ${gen} after ${server.generation}`);
    if (kind !== "offer") return kind.includes("candidates") ? gen >= server.generation : gen === server.generation;
    const isNext = gen > server.generation;
    if (!isNext && (gen !== server.generation || server.by === from)) return false;
    if (isNext) Object.assign(server, { generation: gen, by: from });
    return true;
  };
  const step = async () => {
    await settle();
    const next = server.line.shift();
    if (!next) return false;
    const { from, to, signal, resolve } = next;
    const delivered = admit(from, signal) && !server.isGone.has(to);
    server.log.push(`${from} ${signal.kind} ${signal.gen}${delivered ? "" : " lost"}`);
    resolve({ delivered });
    if (delivered) await sides[to].negotiation.take(signal);
    return true;
  };
  const all = async () => {
    while (await step());
  };
  /** A call that stands: offer with the invite, answer with the accept. */
  const connect = async () => {
    const offer = await sides.caller.negotiation.firstOffer();
    Object.assign(server, { generation: 1, by: "caller" });
    const answer = await sides.callee.negotiation.firstAnswer(offer);
    sides.caller.negotiation.release();
    sides.callee.negotiation.release();
    await sides.caller.negotiation.take({ kind: "answer", gen: 1, sdp: answer });
    await all();
    server.log.length = 0;
  };
  return { server, ...sides, step, all, connect };
}

const agree = ({ caller, callee }) => {
  assert.equal(caller.pc.signalingState, "stable");
  assert.equal(callee.pc.signalingState, "stable");
  assert.equal(caller.pc.currentLocalDescription.sdp, callee.pc.currentRemoteDescription.sdp);
  assert.equal(callee.pc.currentLocalDescription.sdp, caller.pc.currentRemoteDescription.sdp);
};

test("offer with the invite, answer with the accept; candidates wait until the server knows the call", async () => {
  const two = pair();
  const offer = await two.caller.negotiation.firstOffer();
  await settle();
  assert.deepEqual(two.server.line, [], "a candidate was found, and nothing was sent");
  Object.assign(two.server, { generation: 1, by: "caller" });
  const answer = await two.callee.negotiation.firstAnswer(offer);
  two.caller.negotiation.release();
  two.callee.negotiation.release();
  await two.caller.negotiation.take({ kind: "answer", gen: 1, sdp: answer });
  await two.all();
  agree(two);
  assert.deepEqual(two.callee.pc.candidates, [`candidate of ${two.caller.pc.name}`]);
});

test("either side may offer again, each time with the next generation", async () => {
  const two = pair();
  await two.connect();
  two.callee.pc.need();
  await two.all();
  two.caller.pc.need();
  await two.all();
  agree(two);
  assert.deepEqual(two.server.log.filter((line) => line.includes("offer")), ["callee offer 2", "caller offer 3"]);
});

test("when both offer at once the caller's counts, and the callee's follows", async () => {
  const two = pair();
  await two.connect();
  two.caller.pc.need();
  two.callee.pc.need();
  await two.all();
  agree(two);
  const spoken = two.server.log.filter((line) => !line.includes("candidates"));
  assert.deepEqual(spoken, ["caller offer 2", "callee offer 2", "callee answer 2", "callee offer 3", "caller answer 3"]);
});

test("an offer that was too late for the server gives way to the one that was not, on either side", async () => {
  for (const late of ["caller", "callee"]) {
    const two = pair();
    await two.connect();
    const early = late === "caller" ? "callee" : "caller";
    two[late].pc.need();
    await settle();
    const kept = two.server.line.splice(0); // on the way
    for (let times = 0; times < 2; times += 1) Object.assign(two.server, { generation: two.server.generation + 1, by: early });
    two.server.line.push(...kept);
    await two.step();
    assert.match(two.server.log[0], /offer 2 lost/);
    await two[late].negotiation.take({ kind: "offer", gen: 3, sdp: "offer 9 of somebody" });
    await settle();
    assert.equal(two[late].pc.remoteDescription.sdp, "offer 9 of somebody", late);
  }
});

test("a restart that the server asks for has its generation and restarts ICE", async () => {
  const two = pair();
  await two.connect();
  two.caller.negotiation.restart(2);
  await two.all();
  agree(two);
  assert.equal(two.caller.pc.restarts, 1);
  assert.ok(two.server.log.includes("caller offer 2"));
});

test("a restart is possible although an earlier offer was never answered", async () => {
  const two = pair();
  await two.connect();
  two.server.isGone.add("callee");
  two.caller.pc.need();
  await two.all();
  assert.equal(two.caller.pc.signalingState, "have-local-offer");
  two.server.isGone.clear();
  two.caller.negotiation.restart();
  await two.all();
  agree(two);
});

test("an answer to an older offer changes nothing", async () => {
  const two = pair();
  await two.connect();
  two.caller.pc.need();
  await settle();
  await two.caller.negotiation.take({ kind: "answer", gen: 1, sdp: "answer of old to something" });
  assert.equal(two.caller.pc.signalingState, "have-local-offer");
});

test("candidates that come before their offer wait for it", async () => {
  const two = pair();
  await two.callee.negotiation.take({ kind: "candidates", gen: 1, cands: [{ candidate: "early" }] });
  assert.deepEqual(two.callee.pc.candidates, []);
  await two.callee.negotiation.take({ kind: "offer", gen: 1, sdp: "offer 1 of x" });
  assert.deepEqual(two.callee.pc.candidates, ["early"]);
});

test("candidates of an offer that was not listened to are left out", async () => {
  const two = pair();
  await two.connect();
  const before = two.caller.pc.candidates.length;
  two.caller.pc.need();
  await settle();
  await two.caller.negotiation.take({ kind: "offer", gen: 2, sdp: "offer 2 of callee" });
  await two.caller.negotiation.take({ kind: "candidates", gen: 2, cands: [{ candidate: "theirs" }] });
  assert.equal(two.caller.pc.candidates.length, before);
  const { sdp } = two.caller.pc.localDescription;
  await two.caller.negotiation.take({ kind: "answer", gen: 2, sdp: `answer to ${sdp}` });
  await two.caller.negotiation.take({ kind: "candidates", gen: 2, cands: [{ candidate: "of the answer" }] });
  assert.deepEqual(two.caller.pc.candidates.slice(before), ["of the answer"]);
});

test("an offer that reached nobody gives way even on the caller's side", async () => {
  const two = pair();
  await two.connect();
  two.server.isGone.add("callee");
  two.caller.pc.need();
  await two.all();
  await two.caller.negotiation.take({ kind: "offer", gen: 2, sdp: "offer 7 of somebody" });
  assert.equal(two.caller.pc.remoteDescription.sdp, "offer 7 of somebody");
});

test("candidates that come while the call is being accepted are kept until it is", async () => {
  const two = pair();
  const { setRemoteDescription } = FakePeerConnection.prototype;
  two.callee.pc.setRemoteDescription = async function slowly(description) {
    await settle();
    return setRemoteDescription.call(this, description);
  };
  const answering = two.callee.negotiation.firstAnswer("offer 1 of x");
  await two.callee.negotiation.take({ kind: "candidates", gen: 1, cands: [{ candidate: "meanwhile" }] });
  await answering;
  two.callee.negotiation.release();
  await settle();
  assert.deepEqual(two.callee.pc.candidates, ["meanwhile"]);
});

test("candidates go out in few frames: one is under way at a time", async () => {
  const two = pair();
  await two.connect();
  for (let number = 0; number < 40; number += 1) two.caller.pc.find(`c${number}`);
  await settle();
  assert.equal(two.server.line.length, 1);
  await two.all();
  assert.deepEqual(two.server.log.filter((line) => line.startsWith("caller candidates")).length, 3);
  assert.equal(two.callee.pc.candidates.filter((one) => /^c\d/.test(one)).length, 40);
});
