// Debian's Firefox ESR, headless, driven by Marionette, its own protocol. (playwright-core speaks BiDi only to
// newer ones, and all that a test needs is to open a page and run functions in it.)

import { spawn } from "node:child_process";
import { once } from "node:events";
import { watch } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";

const START_MS = 60_000;
const STOP_MS = 20_000;

/** Nothing here touches WebRTC or trust: those are as a user has them. */
const PREFERENCES = {
  "app.normandy.enabled": false,
  "app.update.disabledForTesting": true,
  "browser.aboutwelcome.enabled": false,
  "browser.shell.checkDefaultBrowser": false,
  "browser.startup.homepage_override.mstone": "ignore",
  "browser.startup.page": 0,
  "datareporting.policy.dataSubmissionEnabled": false,
  "extensions.update.enabled": false,
  "marionette.port": 0,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "services.settings.server": "http://127.0.0.1:9/",
  "toolkit.telemetry.enabled": false,
};

export class Firefox {
  #waiting = new Map();
  #received = Buffer.alloc(0);
  #last = 0;

  /** Starts it with a profile directory, which may hold a certificate database already. */
  static async open(profile, preferences = {}) {
    const firefox = new Firefox();
    const lines = Object.entries({ ...PREFERENCES, ...preferences })
      .map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`);
    await writeFile(join(profile, "user.js"), lines.join(""));
    firefox.output = "";
    const binary = process.env.FIREFOX_BIN ?? "/usr/bin/firefox-esr";
    const args = ["--headless", "--marionette", "--no-remote", "--profile", profile];
    firefox.child = spawn(binary, args, {
      env: { ...process.env, HOME: profile, MOZ_CRASHREPORTER_DISABLE: "1" }, stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [firefox.child.stdout, firefox.child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => (firefox.output += text));
    }
    firefox.ended = new Promise((resolve) => {
      firefox.child.once("error", (error) => resolve(error.message));
      firefox.child.once("exit", (code, signal) => resolve(`exit code ${code}, signal ${signal}`));
    });
    try {
      await firefox.#connect(await firefox.#port(profile));
    } catch (error) {
      await firefox.close();
      throw error;
    }
    return firefox;
  }

  async goto(url) {
    await this.#command("WebDriver:Navigate", { url });
  }

  /** Runs `body` in the page and resolves with what it returns or resolves with. */
  async evaluate(body, ...args) {
    const script = `return (${body})(...arguments)`;
    return (await this.#command("WebDriver:ExecuteScript", { script, args })).value;
  }

  /** Ends the process, by its own handle. */
  async close() {
    this.socket?.destroy();
    if (this.child.pid === undefined || this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill("SIGTERM");
    const late = setTimeout(() => this.child.kill("SIGKILL"), STOP_MS);
    await this.ended;
    clearTimeout(late);
  }

  /** The port that Firefox chose, which it writes into its profile. */
  async #port(profile) {
    const late = AbortSignal.timeout(START_MS);
    const watcher = watch(profile, { signal: late });
    try {
      return await new Promise((resolve, reject) => {
        const giveUp = (why) => reject(new Error(`Firefox opened no Marionette port: ${why}\n${this.output}`));
        const look = async () => {
          const text = await readFile(join(profile, "MarionetteActivePort"), "utf8").catch(() => "");
          if (/^\d+$/.test(text.trim())) resolve(Number(text));
        };
        watcher.on("change", look);
        watcher.on("error", () => giveUp(`nothing within ${START_MS} ms`));
        this.ended.then(giveUp);
        look();
      });
    } finally {
      watcher.close();
    }
  }

  async #connect(port) {
    this.socket = connect(port, "127.0.0.1");
    this.socket.on("data", (bytes) => this.#read(bytes));
    for (const event of ["error", "close"]) {
      this.socket.on(event, () => {
        for (const { reject } of this.#waiting.values()) reject(new Error(`Firefox is gone\n${this.output}`));
        this.#waiting.clear();
      });
    }
    await once(this.socket, "connect");
    await this.#command("WebDriver:NewSession", { timeouts: { script: 300_000, pageLoad: START_MS } });
  }

  #command(name, parameters) {
    const id = ++this.#last;
    const text = JSON.stringify([0, id, name, parameters]);
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.socket.write(`${Buffer.byteLength(text)}:${text}`);
    });
  }

  /** Messages are `LENGTH:JSON`; an answer is [1, id, error, result]. The greeting is no answer. */
  #read(bytes) {
    this.#received = Buffer.concat([this.#received, bytes]);
    for (;;) {
      const colon = this.#received.indexOf(":");
      const end = colon + 1 + Number(this.#received.subarray(0, Math.max(colon, 0)));
      if (colon < 0 || this.#received.length < end) return;
      const message = JSON.parse(this.#received.subarray(colon + 1, end));
      this.#received = this.#received.subarray(end);
      if (!Array.isArray(message)) continue;
      const [, id, error, result] = message;
      const { resolve, reject } = this.#waiting.get(id) ?? {};
      this.#waiting.delete(id);
      if (error) reject?.(new Error(`${error.error}: ${error.message}`));
      else resolve?.(result);
    }
  }
}
