// The four words that both sides read to each other: the same exactly if nobody sits between (P35).

import { WORDS } from "./wordlist.js";

const COUNT = 4;
/**
 * Who sits between must find keys whose words agree on both sides while the call is set up; each try costs him
 * this many rounds.
 */
const ROUNDS = 200_000;

/**
 * From the session descriptions as each browser negotiated them.
 * @param {string} localSdp
 * @param {string} remoteSdp
 * @returns {Promise<string[] | null>} null if one of them has no fingerprint
 */
export async function fourWords(localSdp, remoteSdp) {
  const [local, remote] = [fingerprints(localSdp), fingerprints(remoteSdp)];
  if (!local || !remote) return null;
  const text = [local, remote].sort().join("|"); // who is "local" depends on the side
  const bytes = (/** @type {string} */ of) => new TextEncoder().encode(of);
  const key = await crypto.subtle.importKey("raw", bytes(text), "PBKDF2", false, ["deriveBits"]);
  const how = { name: "PBKDF2", hash: "SHA-256", salt: bytes("turnbell four words"), iterations: ROUNDS };
  const numbers = new DataView(await crypto.subtle.deriveBits(how, key, 16 * COUNT));
  return Array.from({ length: COUNT }, (_, at) => WORDS[numbers.getUint16(2 * at) % WORDS.length]);
}

/**
 * All that a side may prove itself by; in any order and case they are the same.
 * @param {string} sdp
 */
function fingerprints(sdp) {
  const all = [...sdp.matchAll(/^a=fingerprint:\s*(\S+)\s+(\S+)\s*$/gim)]
    .map(([, hash, value]) => `${hash.toLowerCase()} ${value.toUpperCase()}`);
  return all.length ? [...new Set(all)].sort().join(",") : null;
}
