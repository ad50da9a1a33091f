// Two clients of npm's `ws`, no library of ours, against the real daemon: what README and the schema say is enough.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";

import WebSocket from "ws";

import { Daemon } from "../browser/support/daemon.mjs";
import { Conversation, fault } from "./support/schema.mjs";

const TIMEOUT = { timeout: 60_000 };
const PATIENCE_MS = 20_000;
let daemon;
let alice;
let bob;
before(async () => (daemon = await Daemon.start()), TIMEOUT);
after(() => daemon?.stop(), TIMEOUT);
beforeEach(async () => {
  alice = await Plain.arrive("Alice");
  bob = await Plain.arrive("Bob");
}, TIMEOUT);
afterEach(() => {
  for (const plain of [alice, bob]) {
    plain.socket.terminate();
    assert.deepEqual(plain.said.faults, []);
  }
}, TIMEOUT);

/** A session by hand: 60 lines are a client. */
class Plain {
  said = new Conversation();
  #frames = [];
  #wake = () => {};
  #count = 0;
  lastSeq = 0;

  static async arrive(name) {
    const plain = new Plain();
    const headers = { "Content-Type": "application/json" };
    const guest = await fetch(new URL("v1/guests", daemon.url), { method: "POST", headers, body: JSON.stringify({ name }) });
    ({ token: plain.token, user: plain.user } = await guest.json());
    await plain.connect();
    return plain;
  }

  async connect(resume) {
    this.socket = new WebSocket(new URL("v1/ws", daemon.url.replace("http", "ws")), "turnbell.v1");
    this.closed = new Promise((resolve) => this.socket.once("close", (code) => resolve(code)));
    this.socket.on("message", (data, isBinary) => {
      assert.equal(isBinary, false);
      const frame = JSON.parse(data);
      this.said.toClient(frame);
      if (frame.t === "welcome" && !frame.d.resumed) this.lastSeq = frame.d.next_seq - 1;
      if (frame.seq !== undefined) {
        assert.equal(frame.seq, this.lastSeq + 1, "no event is missing, none comes twice");
        this.lastSeq = frame.seq;
      }
      this.#frames.push(frame);
      this.#wake();
    });
    await new Promise((resolve, reject) => this.socket.once("open", resolve).once("error", reject));
    this.send({ t: "hello", id: "hello", d: { token: this.token, caps: ["media_reports"], ...(resume && { resume }) } });
    this.welcome = (await this.frame(({ t }) => t === "welcome")).d;
  }

  send(frame) {
    this.said.toServer(frame);
    this.socket.send(JSON.stringify(frame));
  }

  /** Takes the first frame that `is` holds for; those before it stay. */
  async frame(is) {
    const late = setTimeout(() => this.#wake("late"), PATIENCE_MS);
    try {
      for (;;) {
        const at = this.#frames.findIndex(is);
        if (at >= 0) return this.#frames.splice(at, 1)[0];
        const why = await new Promise((resolve) => (this.#wake = resolve));
        if (why === "late") assert.fail(`never: ${is}; there are ${JSON.stringify(this.#frames)}`);
      }
    } finally {
      clearTimeout(late);
    }
  }

  /** How many such frames have come that nobody took. */
  count(is) {
    return this.#frames.filter(is).length;
  }

  async ask(t, d = {}) {
    const id = `c${++this.#count}`;
    this.send({ t, id, ack: this.lastSeq, d });
    const answer = await this.frame(({ re }) => re === id);
    if (answer.t === "error") throw Object.assign(new Error(answer.d.message), answer.d);
    return answer.d;
  }

  event(t, is = () => true) {
    return this.frame((frame) => frame.t === t && is(frame.d)).then(({ d }) => d);
  }

  state(state) {
    return this.event("call.state", (d) => d.state === state);
  }

  /** The line goes dead; the server hears nothing of it. */
  drop() {
    this.socket.removeAllListeners("message");
    this.socket.terminate();
  }

  resume() {
    return this.connect({ token: this.welcome.resume_token, last_seq: this.lastSeq });
  }
}

/** Alice calls, bob accepts, both say that their media stands. */
async function talk() {
  const { call, state } = await alice.ask("call.invite", { to: { user: bob.user }, media: { audio: true } });
  assert.equal(state, "initiated");
  const incoming = await bob.event("call.incoming");
  assert.deepEqual([incoming.call, incoming.from.name, incoming.from.verified], [call, "Alice", false]);
  await bob.ask("call.ringing", { call });
  await alice.state("ringing");
  await bob.ask("call.accept", { call });
  await alice.state("connecting");
  assert.deepEqual(await alice.ask("call.signal", { call, gen: 1, kind: "offer", sdp: "v=0 offer" }), { delivered: true });
  assert.equal((await bob.event("call.signal")).sdp, "v=0 offer");
  await bob.ask("call.signal", { call, gen: 1, kind: "answer", sdp: { type: "answer", sdp: "v=0 answer" } });
  assert.equal((await alice.event("call.signal")).sdp, "v=0 answer");
  const candidate = { candidate: "candidate:1 1 udp 1 192.0.2.1 9 typ relay", sdpMid: "0", sdpMLineIndex: 0, usernameFragment: null };
  for (const [from, to] of [[alice, bob], [bob, alice]]) {
    await from.ask("call.signal", { call, gen: 1, kind: "candidates", cands: [candidate] });
    assert.deepEqual((await to.event("call.signal")).cands, [candidate]);
    await from.ask("call.signal", { call, gen: 1, kind: "end_of_candidates" });
    assert.equal((await to.event("call.signal")).kind, "end_of_candidates");
  }
  const pair = { local: "relay", remote: "relay", proto: "udp" };
  for (const plain of [alice, bob]) await plain.ask("call.media", { call, status: "connected", pair });
  for (const plain of [alice, bob]) await plain.state("active");
  return call;
}

test("a whole call: invite, ringing, accept, signals both ways, hold, hangup", TIMEOUT, async () => {
  const call = await talk();
  await alice.ask("call.update", { call, hold: true });
  assert.equal((await bob.event("call.update")).hold, true);
  assert.ok((await bob.state("held")).parties.find(({ user }) => user === alice.user).hold);
  await alice.ask("call.update", { call, hold: false });
  await bob.state("active");
  await bob.ask("call.hangup", { call });
  assert.equal((await alice.state("ended")).reason, "hangup");
  await assert.rejects(alice.ask("call.hangup", { call }), { code: "call_ended" });
  await alice.ask("bye");
  assert.equal(await alice.closed, 4000);
});

test("a dropped socket is resumed in the call, misses nothing, and a repeated request is done once", TIMEOUT, async () => {
  const call = await talk();
  bob.drop();
  await alice.ask("call.update", { call, muted: true });
  await alice.ask("call.signal", { call, gen: 2, kind: "offer", sdp: "v=0 again", restart: true });
  await bob.resume();
  assert.equal(bob.welcome.resumed, true);
  assert.equal((await bob.event("call.update")).muted, true);
  const again = await bob.event("call.signal", ({ gen }) => gen === 2);
  assert.deepEqual([again.kind, again.restart], ["offer", true]);
  const frame = { t: "call.signal", id: "once", d: { call, gen: 2, kind: "answer", sdp: "v=0 once" } };
  for (let times = 1; times <= 2; times += 1) {
    bob.send(frame);
    assert.deepEqual((await bob.frame(({ re }) => re === "once")).d, { delivered: true });
  }
  await bob.ask("call.hangup", { call });
  await alice.event("call.signal", ({ sdp }) => sdp === "v=0 once");
  await alice.state("ended");
  await alice.ask("ping");
  assert.equal(alice.count(({ d }) => d.sdp === "v=0 once"), 0, "it came a second time");
});

test("frames that are wrong are refused by the schema, and by the daemon in words", TIMEOUT, async () => {
  for (const [t, d, code, field] of [
    ["call.teleport", {}, "unknown_type"],
    ["call.invite", { media: { audio: true } }, "bad_request", "d"],
    ["call.invite", { to: { user: bob.user }, media: {} }, "bad_request", "media"],
    ["call.invite", { to: [bob.user], media: { audio: true } }, "bad_request", "d"],
    ["call.hangup", { call: "7" }, "bad_request", "call"],
    ["presence.set", { status: { busy: null } }, "bad_request", "d"],
  ]) {
    const frame = { t, id: `bad ${t} ${JSON.stringify(d)}`.slice(0, 64), d };
    assert.ok(fault("client", frame), JSON.stringify(frame));
    alice.socket.send(JSON.stringify(frame));
    const { t: answer, d: said } = await alice.frame(({ re }) => re === frame.id);
    assert.deepEqual([answer, said.code, said.field], ["error", code, field]);
  }
});
