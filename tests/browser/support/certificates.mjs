// An authority of a test's own, a certificate by it, and the places where browsers look for trust.

import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/** Writes `ca.pem`, and `cert.pem` with `key.pem` for `names`. */
export async function makeCertificate(directory, names) {
  const at = (file) => join(directory, file);
  await writeFile(at("leaf.ext"), [
    `subjectAltName = ${names.map((name) => `DNS:${name}`).join(", ")}`,
    "basicConstraints = critical, CA:false",
    "extendedKeyUsage = serverAuth",
    "",
  ].join("\n"));
  await run("openssl", ["req", "-x509", ...KEY, "-days", "30", "-subj", "/CN=turnbell tests",
    "-keyout", at("ca.key"), "-out", at("ca.pem")]);
  await run("openssl", ["req", ...KEY, "-subj", `/CN=${names[0]}`, "-keyout", at("key.pem"), "-out", at("leaf.csr")]);
  await run("openssl", ["x509", "-req", "-in", at("leaf.csr"), "-CA", at("ca.pem"), "-CAkey", at("ca.key"),
    "-CAcreateserial", "-days", "30", "-extfile", at("leaf.ext"), "-out", at("cert.pem")]);
}

/** Makes a certificate database that trusts `authority`, as Chromium keeps it in a home and Firefox in a profile. */
export async function trust(authority, database) {
  await mkdir(database, { recursive: true });
  await run("certutil", ["-N", "-d", `sql:${database}`, "--empty-password"]);
  await run("certutil", ["-A", "-d", `sql:${database}`, "-n", "turnbell tests", "-t", "C,,", "-i", authority]);
}
