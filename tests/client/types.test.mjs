// The types: the sources keep their word, and the committed .d.ts are what the sources say.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const CLIENT = fileURLToPath(new URL("../../src/web/client/", import.meta.url));
const TSC = createRequire(import.meta.url).resolve("typescript/bin/tsc");
const TIMEOUT = { timeout: 120_000 };

async function inDirectory(body) {
  const directory = await mkdtemp(join(tmpdir(), "turnbell-types-"));
  try {
    return await body(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const tsc = (args, cwd) => run(process.execPath, [TSC, ...args], { cwd })
  .catch(({ stdout }) => assert.fail(stdout));

test("tsc finds nothing, and the committed types are what it makes (npm run types makes them)", TIMEOUT, () =>
  inDirectory(async (directory) => {
    await tsc(["-p", CLIENT, "--outDir", directory]);
    const files = async (of) => (await readdir(of, { recursive: true })).filter((name) => name.endsWith(".d.ts")).sort();
    const committed = join(CLIENT, "types");
    assert.deepEqual(await files(committed), await files(directory));
    for (const name of await files(directory)) {
      assert.equal(await readFile(join(committed, name), "utf8"), await readFile(join(directory, name), "utf8"), name);
    }
  }));

test("npm pack holds a package that imports, and that TypeScript knows", TIMEOUT, () =>
  inDirectory(async (directory) => {
    const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", directory], { cwd: CLIENT });
    const [{ filename }] = JSON.parse(stdout);
    const home = join(directory, "node_modules/turnbell");
    await mkdir(home, { recursive: true });
    await run("tar", ["xzf", join(directory, filename), "--strip-components=1", "-C", home]);
    await writeFile(join(directory, "package.json"), '{"type":"module"}');
    await writeFile(join(directory, "app.mjs"), 'export * from "turnbell";\n');
    const library = await import(pathToFileURL(join(directory, "app.mjs")).href);
    assert.equal(typeof library.connect, "function");
    await writeFile(join(directory, "app.ts"), [
      'import { connect, TurnbellError } from "turnbell";',
      'const line = connect({ token: "T", server: "https://turn.example.org" });',
      'line.on("incoming", (call) => call.accept({ video: false }));',
      'const name: Promise<string> = line.call("bob").then((call) => call.peer.name);',
      "name.catch((error: TurnbellError) => error.cure);",
      "",
    ].join("\n"));
    const options = ["--strict", "--noEmit", "--target", "es2022", "--module", "es2022", "--moduleResolution", "bundler"];
    await tsc([...options, "app.ts"], directory);
    await writeFile(join(directory, "app.ts"), 'import { connect } from "turnbell";\nconnect({ tokn: "T" });\n');
    await assert.rejects(run(process.execPath, [TSC, ...options, "app.ts"], { cwd: directory }),
      ({ stdout }) => /tokn/.test(stdout), "types are looked at");
  }));
