// Networks of a test's own: user, network and mount namespaces, which need no root.

import { execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const INSIDE = "TURNBELL_TEST_INSIDE_NETWORK";
const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;

/**
 * Call it first in a test file, with `import.meta.url`: the file then runs as root of a user namespace, in a
 * network with nothing but `lo`, and what it mounts is its own. The runner reads the same output.
 */
export function inOwnNetwork(file) {
  if (process.env[INSIDE]) return;
  const { status, signal, error } = spawnSync("unshare", [
    "--user", "--map-root-user", "--net", "--mount", process.execPath, ...process.execArgv, fileURLToPath(file),
  ], { stdio: "inherit", env: { ...process.env, PATH, [INSIDE]: "1" } });
  if (error) throw error;
  if (signal) process.kill(process.pid, signal);
  process.exit(status);
}

/** Runs one command of iproute2. */
export async function ip(line, through = []) {
  const [command, ...words] = [...through, "ip", ...line.split(" ")];
  await run(command, words);
}

/** A second network, joined to this one by a cable; it lasts until it is closed. */
export class OtherNetwork {
  /** Addresses with their prefixes, for this end and the other. */
  static async cabled(here, there) {
    const network = new OtherNetwork();
    // Lives until its input ends, so at most as long as this process.
    network.holder = spawn("unshare", ["--net", "sh", "-c", "echo made; exec cat"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await once(network.holder.stdout, "data");
    const { pid } = network.holder;
    /** What stands before a command to start it there. */
    network.through = ["nsenter", `--net=/proc/${pid}/ns/net`];
    await ip(`link add name cable type veth peer name cable netns ${pid}`);
    for (const [addresses, through] of [[here, []], [there, network.through]]) {
      await ip("link set lo up", through);
      for (const address of addresses) {
        // Without detection of duplicates an IPv6 address can be used at once.
        await ip(`address add ${address} dev cable${address.includes(":") ? " nodad" : ""}`, through);
      }
      // No address comes by itself later on: Chromium drops what it is loading when one does.
      await ip("link set dev cable addrgenmode none", through);
      await ip("link set cable up", through);
    }
    for (const through of [[], network.through]) {
      const [command, ...words] = [...through, "ip", "-o", "link", "show", "dev", "cable"];
      while (!(await run(command, words)).stdout.includes("state UP")) await setTimeout(20);
    }
    return network;
  }

  async close() {
    const ended = once(this.holder, "exit");
    this.holder.stdin.end();
    await ended;
  }
}

/** Gives addresses names, for every process that starts here from now on; nobody else is asked for any. */
export async function nameHosts(directory, names) {
  // Chromium asks for the host of a TURN server with a dot at its end.
  const hosts = Object.entries(names).map(([address, name]) => `${address} ${name} ${name}.\n`).join("");
  const files = { hosts, "nsswitch.conf": "hosts: files\n", "resolv.conf": "nameserver 127.0.0.1\n" };
  for (const [name, text] of Object.entries(files)) {
    const file = join(directory, name);
    await writeFile(file, text);
    await run("mount", ["--bind", file, `/etc/${name}`]);
  }
}
