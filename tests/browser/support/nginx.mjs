// Debian's nginx in front of the daemon, with the lines that the README gives, on a free port of 127.0.0.1.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, watch } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const README = readFileSync(new URL("../../../README.md", import.meta.url), "utf8");
const READY_MS = 20_000;
const TRIES = 5;

export class Nginx {
  /** Hands everything below `prefix` to `backend`, an address with port; `change` edits its lines. */
  static async start(prefix, backend, change = (lines) => lines) {
    for (let tries = 1; ; tries++) {
      const nginx = new Nginx();
      try {
        await nginx.#run(prefix, backend, change);
        return nginx;
      } catch (error) {
        await nginx.stop();
        // Somebody else took the port between its choice and its use.
        if (tries === TRIES || !String(error).includes("Address already in use")) throw error;
      }
    }
  }

  async #run(prefix, backend, change) {
    const port = await freePort();
    this.url = `http://127.0.0.1:${port}${prefix}`;
    this.directory = await mkdtemp(join(tmpdir(), "turnbell-nginx-"));
    await writeFile(join(this.directory, "nginx.conf"), change(configuration(this.directory, port, prefix, backend)));
    const watcher = watch(this.directory, { signal: AbortSignal.timeout(READY_MS) });
    this.output = "";
    this.child = spawn("nginx", ["-e", "stderr", "-p", this.directory, "-c", "nginx.conf"], {
      env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` }, stdio: ["ignore", "ignore", "pipe"],
    });
    this.child.stderr.setEncoding("utf8").on("data", (text) => (this.output += text));
    this.ended = new Promise((resolve) => {
      this.child.once("error", (error) => resolve(error.message));
      this.child.once("close", () => resolve(this.output));
    });
    try {
      await new Promise((resolve, reject) => {
        const giveUp = (why) => reject(new Error(`nginx (Debian's package nginx) does not run: ${why}`));
        // It writes this once its port is open.
        const look = async () => {
          if ((await readFile(join(this.directory, "pid"), "utf8").catch(() => "")) !== "") resolve();
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

  async stop() {
    if (this.child?.pid !== undefined && this.child.exitCode === null) this.child.kill("SIGKILL");
    await this.ended;
    await rm(this.directory, { recursive: true, force: true });
  }
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** The README's server, without TLS, for this prefix. */
function configuration(directory, port, prefix, backend) {
  const [, server] = /\n```nginx\n([^]*?)```/.exec(README);
  const lines = server
    .replace("listen 443 ssl;", `listen 127.0.0.1:${port};`)
    .replace(/.*(\[::\]:443|ssl_certificate).*\n/g, "")
    .replace("location / {", `location ${prefix} {`)
    .replace("127.0.0.1:8080", backend);
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${directory}/${name};`);
  // One process, so that ending it ends all; as root it would leave its files to somebody else.
  return [
    ...(process.getuid() === 0 ? ["user root;"] : []),
    `daemon off; master_process off; pid ${directory}/pid;`,
    "events {}", "http {", "access_log off;", ...temporary, lines, "}", "",
  ].join("\n");
}
