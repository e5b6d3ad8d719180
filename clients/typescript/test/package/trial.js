/** Installs the tarball in a bare project, and there type-checks and runs the README's first example. */
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const CLIENT = resolve(HERE, "../..");
const EXPECTED = ["circle-1.png", "circle-2.png", "circle.safetensors", "preview.jpg"];

const tarball = resolve(process.argv[2] ?? "");
const [, example] = /```ts\n(.*?)```/s.exec(readFileSync(join(CLIENT, "README.md"), "utf8")) ?? [];
if (!example) throw new Error("README.md has no example");

const folder = mkdtempSync(join(tmpdir(), "kandinsky-client-"));
try {
  const run = (/** @type {string} */ command, /** @type {string[]} */ ...given) =>
    execFileSync(command, given, { cwd: folder, stdio: ["ignore", "inherit", "inherit"] });
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "trial", private: true, type: "module" }));
  const { devDependencies } = JSON.parse(readFileSync(join(CLIENT, "package.json"), "utf8"));
  const types = `@types/node@${devDependencies["@types/node"]}`;
  run("npm", "install", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error", tarball, types);

  writeFileSync(join(folder, "example.ts"), example);
  const strict = ["--strict", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess"];
  const modules = ["--module", "nodenext", "--target", "es2022", "--types", "node"];
  run(join(CLIENT, "node_modules/.bin/tsc"), ...strict, ...modules, "example.ts");

  cpSync(join(HERE, "server.js"), join(folder, "server.js"));
  run("node", "server.js", "example.js");
  const files = readdirSync(folder).filter((name) => EXPECTED.includes(name) && statSync(join(folder, name)).size);
  if (files.length !== EXPECTED.length)
    throw new Error(`the example wrote ${files.join(", ")}, not ${EXPECTED.join(", ")}`);
  console.log(`the README's example ran from ${tarball}`);
} finally {
  rmSync(folder, { recursive: true });
}
