// Signing in without a backend, and the rest of the HTTP interface that a page needs.

import { TurnbellError } from "./errors.js";

/**
 * @typedef {{ token: string, user: string, name: string, expires_at?: number, to?: string | null }} Account
 *
 * @typedef {object} HistoryEntry
 * @property {string} call
 * @property {"INBOUND" | "OUTBOUND"} direction
 * @property {string} status
 * @property {string | null} reason
 * @property {{ user: string, name: string } | null} peer null: the user had no part in it
 * @property {number} started_at
 * @property {number | null} answered_at
 * @property {number | null} ended_at
 * @property {number | null} talk_ms
 * @property {{ local: string, remote: string, proto: string } | null} [path] as the caller's side saw it
 * @property {{ audio: boolean, video: boolean }} [media]
 */

/**
 * @param {string} server base URL
 * @param {string} path
 * @param {{ token?: string, body?: unknown }} [more]
 * @returns {Promise<any>}
 */
async function ask(server, path, { token, body } = {}) {
  /** @type {Record<string, string>} */
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(new URL(path, server), {
      method: body ? "POST" : "GET", headers, body: body ? JSON.stringify(body) : undefined, cache: "no-store",
    });
  } catch (cause) {
    throw new TurnbellError("unreachable", { cause });
  }
  const said = await answer.json().catch(() => null);
  if (answer.ok) return said ?? {};
  const { code = "not_turnbell", message, hint, field } = said?.error ?? {};
  const error = new TurnbellError(code === "unauthorized" ? "unauthenticated" : code, { message, field });
  // What the server says about a path of its own is nearer than our words for calls.
  if (message) error.message = `${message[0].toUpperCase()}${message.slice(1)}${/[.!?]$/.test(message) ? "" : "."}`;
  if (hint) error.cure = hint;
  return Promise.reject(error);
}

/**
 * `invites`: whether who bears this token may invite somebody.
 * @param {string} server
 * @param {string} [token]
 * @returns {Promise<{ features: { voice: boolean, turn: boolean }, guests: boolean, invites: boolean }>}
 */
export const config = (server, token) => ask(server, "v1/config", { token });

/** A token for somebody who has none. @param {string} server @param {string} name @returns {Promise<Account>} */
export const guest = (server, name) => ask(server, "v1/guests", { body: { name } });

/** @param {string} server @param {string} token of the invite @param {string} name @returns {Promise<Account>} */
export const redeem = (server, token, name) => ask(server, "v1/invites/redeem", { body: { token, name } });

/**
 * A link that lets somebody in who then calls us.
 * @param {string} server @param {string} token @param {{ to?: string, ttl_s?: number, uses?: number }} how
 * @returns {Promise<{ url: string, expires_at?: number }>}
 */
export const invite = (server, token, how) => ask(server, "v1/invites", { token, body: how });

/**
 * @param {string} server @param {string} token @param {number} [limit] @param {string | null} [cursor]
 * @returns {Promise<{ items: HistoryEntry[], next_cursor: string | null }>}
 */
export const history = (server, token, limit = 20, cursor = null) =>
  ask(server, `v1/calls?limit=${limit}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`, { token });

/** Ends a call of the user's that is on no page, or on another. @param {string} server @param {string} token @param {string} call */
export const endCall = (server, token, call) => ask(server, `v1/calls/${call}/end`, { token, body: {} });
