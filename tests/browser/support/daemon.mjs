// Starts and ends the real daemon for one test: own directory, free ports, its config written here.

import { spawn, execFile } from "node:child_process";
import { createHmac } from "node:crypto";
import { watch } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve as resolvePath } from "node:path";
import { promisify } from "node:util";

const READY_MS = 20_000;
const STOP_MS = 10_000;
const RECORD_MS = 30_000;
export const SECRET = "a secret that only this test knows";

export class Daemon {
  /**
   * Resolves once the daemon wrote its addresses. `http` holds more lines for the `[http]` table; `config`, if
   * given, all lines but those of state and secret; `through` stands before the command that starts it.
   */
  static async start({ http = ["local_without_key = true"], config, through = [] } = {}) {
    const given = process.env.TURNBELL_BIN;
    if (!given) throw new Error("set TURNBELL_BIN to the daemon's binary, for example target/debug/turnbell");
    const binary = resolvePath(given);
    const daemon = new Daemon();
    daemon.binary = binary;
    daemon.directory = await mkdtemp(join(tmpdir(), "turnbell-page-"));
    daemon.state = join(daemon.directory, "state");
    daemon.config = join(daemon.directory, "turnbell.toml");
    await mkdir(daemon.state, { mode: 0o700 });
    await writeFile(daemon.config, [
      `state_directory = ${JSON.stringify(daemon.state)}`,
      `auth.secrets = [${JSON.stringify(SECRET)}]`,
      ...(config ?? [
        'realm = "page.test"',
        'listen = ["127.0.0.1:0"]',
        'listen_tcp = ["127.0.0.1:0"]',
        'relay_addresses = ["127.0.0.1"]',
        "[http]",
        'listen = ["127.0.0.1:0"]',
        ...http,
      ]),
      "",
    ].join("\n"));
    daemon.output = "";
    daemon.command = [...through, binary, "run", "--config", daemon.config];
    await daemon.#run();
    return daemon;
  }

  async #run() {
    const [command, ...words] = this.command;
    this.child = spawn(command, words, {
      cwd: this.directory, stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => (this.output += text));
    }
    this.ended = new Promise((resolve) => {
      this.child.once("error", (error) => resolve(error.message));
      this.child.once("exit", (code, signal) => resolve(`exit code ${code}, signal ${signal}`));
    });
    try {
      this.addresses = await this.#addresses();
      this.url = `http://${this.addresses.http[0]}/`;
    } catch (error) {
      await this.stop().catch(() => {}); // the first error says more
      throw error;
    }
  }

  /** Ends it without a word, and starts it again at the same addresses with the same state. */
  async killAndStartAgain() {
    this.child.kill("SIGKILL");
    await this.ended;
    await rm(join(this.state, "addresses.json"), { force: true });
    let text = await readFile(this.config, "utf8");
    for (const [key, name] of [["listen_tcp", "tcp"], ["listen", "udp"], ["listen", "http"]]) {
      const [address] = this.addresses[name];
      text = text.replace(new RegExp(`^${key} = \\["127.0.0.1:0"\\]$`, "m"), `${key} = ["${address}"]`);
    }
    await writeFile(this.config, text);
    await this.#run();
  }

  /** `<state>/addresses.json`, as soon as it is whole. */
  async #addresses() {
    const path = join(this.state, "addresses.json");
    const late = AbortSignal.timeout(READY_MS);
    const watcher = watch(this.state, { signal: late });
    try {
      return await new Promise((resolve, reject) => {
        const giveUp = (why) => reject(new Error(`the daemon did not write ${path}: ${why}\n${this.output}`));
        const look = async () => {
          const text = await readFile(path, "utf8").catch(() => "");
          if (text.trimEnd().endsWith("}")) resolve(JSON.parse(text));
        };
        watcher.on("change", look);
        watcher.on("error", () => giveUp(`nothing within ${READY_MS} ms`));
        this.ended.then(giveUp);
        look();
      });
    } finally {
      watcher.close();
    }
  }

  /** What a backend that knows the secret would hand out; `expiry` in Unix seconds. */
  credential(user, expiry) {
    const username = `${expiry}:${user}`;
    return { username, credential: createHmac("sha1", SECRET).update(username).digest("base64") };
  }

  /** What a command of the binary prints, of this daemon. */
  async ask(...words) {
    const { stdout } = await promisify(execFile)(
      this.binary, [...words, "--config", this.config], { cwd: this.directory },
    );
    return stdout;
  }

  /** A call and its timeline on record, once it has ended and `isWhole` says so. */
  async callOnRecord(id, isWhole = () => true) {
    const late = performance.now() + RECORD_MS;
    for (;;) {
      const said = await this.ask("calls", id, "--json").catch(() => "{}"); // not written yet
      const { call, timeline } = JSON.parse(said).call ?? {};
      if (call?.ended_at && isWhole(call)) return { call, timeline };
      if (performance.now() > late) throw new Error(`not on record: ${id}: ${said}`);
    }
  }

  /** Makes an API key by the daemon's own command. */
  async makeKey() {
    const stdout = await this.ask("key", "add", "page-test", "--scope", "admin");
    const [key] = /tbk_[A-Za-z0-9_-]{43}/.exec(stdout) ?? [];
    if (!key) throw new Error(`no key in the output of key add: ${stdout}`);
    return key;
  }

  /** Ends the process, by its own handle, and removes its directory. Fails if it ended by itself. */
  async stop() {
    if (this.stopped) return;
    this.stopped = true;
    const { child } = this;
    const alive = child.pid !== undefined && child.exitCode === null && child.signalCode === null;
    if (alive) {
      child.kill("SIGTERM");
      const late = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
      await this.ended;
      clearTimeout(late);
    }
    await rm(this.directory, { recursive: true, force: true });
    if (!alive) throw new Error(`the daemon ended by itself: ${await this.ended}\n${this.output}`);
  }
}
