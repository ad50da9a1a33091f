// Reads the event stream with fetch, which can carry a key, and goes on after it broke.

import { Refused, bearer } from "./key.js";

const WAITS_MS = [1000, 2000, 5000, 10_000];
const SILENT_MS = 40_000; // the server says something every 15 s

/**
 * Calls `on(event, data)` for each event, and `state(word)` as the connection comes and goes. Ends when it is
 * refused, by throwing Refused.
 */
export async function listen(key, on, state) {
  for (let tries = 0; ; tries += 1) {
    const ended = new AbortController();
    try {
      const response = await fetch("api/diagnostics/stream", { headers: bearer(key), signal: ended.signal });
      if (response.status === 401 || response.status === 403) {
        throw new Refused((await response.json().catch(() => ({}))).error);
      }
      if (!response.ok) throw new Error(`status ${response.status}`);
      state("live");
      await read(response.body.getReader(), ended, (event, data) => {
        tries = 0;
        on(event, data);
      });
    } catch (error) {
      if (error instanceof Refused) throw error;
    }
    ended.abort();
    state("lost");
    await pause(WAITS_MS[Math.min(tries, WAITS_MS.length - 1)]);
  }
}

async function read(reader, ended, on) {
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const silent = setTimeout(() => ended.abort(), SILENT_MS);
    const { value, done } = await reader.read().finally(() => clearTimeout(silent));
    if (done) return;
    text += decoder.decode(value, { stream: true });
    const events = text.split("\n\n");
    text = events.pop();
    for (const event of events) tell(event, on);
  }
}

function tell(event, on) {
  let name;
  let data = "";
  for (const line of event.split("\n")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    if (line.startsWith("data: ")) data += line.slice(6);
  }
  if (name) on(name, JSON.parse(data));
}

/** Shorter if the person comes back to the page, or the network does. */
function pause(ms) {
  return new Promise((resolve) => {
    const wake = () => {
      if (document.visibilityState === "visible") go();
    };
    const go = () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", wake);
      removeEventListener("online", go);
      resolve();
    };
    const timer = setTimeout(go, ms);
    document.addEventListener("visibilitychange", wake);
    addEventListener("online", go);
  });
}
