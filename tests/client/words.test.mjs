// The four words, and what getStats becomes.

import assert from "node:assert/strict";
import { test } from "node:test";

import { measure, opinionScore, pathOf } from "../../src/web/client/stats.js";
import { WORDS } from "../../src/web/client/wordlist.js";
import { fourWords } from "../../src/web/client/words.js";

const print = (first) => `${first}:${"AB:".repeat(30)}CD`;
const sdp = (...prints) => ["v=0", ...prints.map((one) => `a=fingerprint:sha-256 ${one}`), ""].join("\r\n");

test("both sides get the same four words, whoever is local", async () => {
  const [a, b] = [sdp(print("01")), sdp(print("02"))];
  const words = await fourWords(a, b);
  assert.equal(words.length, 4);
  assert.deepEqual(await fourWords(b, a), words);
  assert.deepEqual(await fourWords(sdp(print("01").toLowerCase()), sdp(print("02"), print("02"))), words);
});

test("another key on either side gives other words", async () => {
  const words = (await fourWords(sdp(print("01")), sdp(print("02")))).join();
  assert.notEqual((await fourWords(sdp(print("01")), sdp(print("03")))).join(), words);
  assert.notEqual((await fourWords(sdp(print("03")), sdp(print("02")))).join(), words);
  assert.notEqual((await fourWords(sdp(print("02")), sdp(print("02")))).join(), words);
});

test("the words never change: two versions of the library must agree", async () => {
  assert.deepEqual(await fourWords(sdp(print("01")), sdp(print("02"))), ["island", "compass", "museum", "wheat"]);
});

test("without a fingerprint there are no words", async () => {
  assert.equal(await fourWords("v=0\r\n", sdp(print("01"))), null);
});

test("512 words, all short, in order, none twice", () => {
  assert.equal(WORDS.length, 512);
  assert.deepEqual(WORDS, [...new Set(WORDS)].sort());
  assert.ok(WORDS.every((word) => /^[a-z]{2,8}$/.test(word)));
});

const STATS = [
  { id: "T", type: "transport", selectedCandidatePairId: "P" },
  { id: "P", type: "candidate-pair", localCandidateId: "L", remoteCandidateId: "R", currentRoundTripTime: 0.0421, bytesReceived: 30_000, bytesSent: 20_000 },
  { id: "L", type: "local-candidate", candidateType: "relay", protocol: "udp", relayProtocol: "tls" },
  { id: "R", type: "remote-candidate", candidateType: "srflx", protocol: "udp" },
  { id: "I", type: "inbound-rtp", kind: "audio", packetsReceived: 590, packetsLost: 10, jitter: 0.004, audioLevel: 0.2, codecId: "C", totalSamplesReceived: 48_000, concealedSamples: 480 },
  { id: "C", type: "codec", mimeType: "audio/opus" },
  { id: "M", type: "media-source", kind: "audio", audioLevel: 0.3 },
];

test("a report holds what grew since the last one, and the path", () => {
  const { sample: first, counters } = measure(STATS, 1_000, null);
  assert.equal(first.bitrate_in, undefined);
  const later = STATS.map((stat) => ({
    ...stat,
    ...(stat.id === "P" && { bytesReceived: 40_000 }),
    ...(stat.id === "I" && { packetsReceived: 680, packetsLost: 20 }),
  }));
  const { sample } = measure(later, 11_000, counters);
  assert.equal(sample.window_ms, 10_000);
  assert.equal(sample.bitrate_in, 8_000);
  assert.equal(sample.bitrate_out, 0);
  assert.equal(sample.loss_percent, 10);
  assert.equal(sample.rtt_ms, 42.1);
  assert.equal(sample.jitter_ms, 4);
  assert.equal(sample.codec, "opus");
  assert.deepEqual([sample.level_in, sample.level_out, sample.packets_in], [0.2, 0.3, 680]);
  assert.deepEqual(sample.pair, { local: "relay", remote: "srflx", proto: "tls" });
});

test("counters of a new connection count from 0", () => {
  const before = { at: 0, bytesIn: 1e9, bytesOut: 1e9, packetsIn: 1e6, lost: 1e6, samples: 1e9, concealed: 1e9 };
  const { sample } = measure(STATS, 10_000, before);
  assert.equal(sample.bitrate_in, 24_000);
  assert.ok(sample.loss_percent >= 0 && sample.loss_percent < 2);
});

test("a connection without a pair has no path", () => {
  assert.equal(pathOf([]), undefined);
  assert.deepEqual(measure([], 1, null).sample.pair, undefined);
});

test("opinion: a clean line is good, loss and delay are not", () => {
  assert.ok(opinionScore(20, 2, 0) > 4.3);
  assert.ok(opinionScore(20, 2, 10) < 3.9);
  assert.ok(opinionScore(900, 100, 5) < 3);
  assert.ok(opinionScore(9_000, 100, 100) >= 1);
});
