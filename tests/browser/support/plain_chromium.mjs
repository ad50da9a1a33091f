// Debian's Chromium, headless, over its own pipe and nothing between: Playwright tells the browser not to slow pages
// that nobody sees and lets every page think that it is seen, and a test of hidden pages is about just that.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const STOP_MS = 20_000;

export class PlainChromium {
  #waiting = new Map();
  #received = "";
  #last = 0;

  /** `more` flags. */
  static async open(more = []) {
    const chromium = new PlainChromium();
    chromium.profile = await mkdtemp(join(tmpdir(), "turnbell-chromium-"));
    const sandbox = process.getuid() === 0 ? ["--no-sandbox"] : [];
    chromium.child = spawn(process.env.CHROMIUM_BIN ?? "/usr/bin/chromium", [
      "--headless", "--remote-debugging-pipe", `--user-data-dir=${chromium.profile}`, "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
      "--use-fake-device-for-media-stream", "--allow-loopback-in-peer-connection", ...sandbox, ...more, "about:blank",
    ], { stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"] });
    chromium.output = "";
    chromium.child.stderr.setEncoding("utf8").on("data", (text) => (chromium.output += text));
    chromium.ended = new Promise((resolve) => {
      chromium.child.once("error", resolve);
      chromium.child.once("exit", resolve);
    });
    chromium.ended.then(() => chromium.#gone());
    chromium.child.stdio[3].on("error", () => {}); // its end says as much
    chromium.child.stdio[4].setEncoding("utf8").on("data", (text) => chromium.#read(text));
    return chromium;
  }

  /** Somebody with a profile of his own, who by default may use the microphone and be notified at `origin`. */
  async person(origin, permissions = ["audioCapture", "videoCapture", "notifications"]) {
    const { browserContextId } = await this.send("Target.createBrowserContext");
    await this.send("Browser.grantPermissions", { browserContextId, permissions, origin });
    return browserContextId;
  }

  /** A tab of a person, in front of the others of his window. */
  async tab(browserContextId, url) {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank", browserContextId });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const send = (method, params) => this.send(method, params, sessionId);
    const evaluate = async (body, ...args) => {
      const expression = `(${body})(...${JSON.stringify(args)})`;
      const answer = await send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
      if (answer.exceptionDetails) throw new Error(JSON.stringify(answer.exceptionDetails));
      return answer.result.value;
    };
    await send("Page.enable");
    const tab = { send, evaluate, goto: (to) => send("Page.navigate", { url: to }) };
    /** Waits until `body` says something. */
    tab.until = async (body, ...args) => {
      const late = performance.now() + 40_000;
      for (;;) {
        const said = await evaluate(body, ...args).catch(() => null); // the page may be on its way
        if (said) return said;
        if (performance.now() > late) throw new Error(`never: ${body}\n${JSON.stringify(args)}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    if (url) await tab.goto(url);
    return tab;
  }

  send(method, params = {}, sessionId = undefined) {
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.child.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  /** Ends the process, by its own handle, and removes its profile. */
  async close() {
    const late = setTimeout(() => this.child.kill("SIGKILL"), STOP_MS);
    this.send("Browser.close").catch(() => {});
    await this.ended;
    clearTimeout(late);
    await rm(this.profile, { recursive: true, force: true, maxRetries: 10 });
  }

  #gone() {
    for (const { reject } of this.#waiting.values()) reject(new Error(`Chromium is gone\n${this.output}`));
    this.#waiting.clear();
  }

  /** Messages are JSON with a zero byte at the end. */
  #read(text) {
    this.#received += text;
    for (;;) {
      const end = this.#received.indexOf("\0");
      if (end < 0) return;
      const { id, error, result } = JSON.parse(this.#received.slice(0, end));
      this.#received = this.#received.slice(end + 1);
      const { resolve, reject } = this.#waiting.get(id) ?? {};
      this.#waiting.delete(id);
      if (error) reject?.(new Error(`${error.code}: ${error.message}`));
      else resolve?.(result);
    }
  }
}
