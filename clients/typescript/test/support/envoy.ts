import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, isAbsolute, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { onTestFinished } from "vitest";

import { listen } from "./fakeServer.js";

const CONFIG = new URL("../envoy/envoy.yaml", import.meta.url);
const READY_MS = 10_000;

/** Starts Envoy before a server; returns its address once it answers. It ends with the test. */
export async function envoy(program: string, target: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "kandinsky-envoy-"));
  const proxy = await freeAddress();
  const config = readFileSync(CONFIG, "utf8")
    .replaceAll("LISTENER_PORT", portOf(proxy))
    .replaceAll("SERVER_PORT", portOf(target));
  writeFileSync(join(folder, "envoy.yaml"), config);
  const given = ["--config-path", "envoy.yaml", "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"];
  const child = spawn(program, given, { cwd: folder, stdio: ["ignore", "inherit", "inherit"] });
  onTestFinished(async () => {
    await ended(child);
    rmSync(folder, { recursive: true });
  });
  await answers(`http://${proxy}`);
  return `http://${proxy}`;
}

/** Returns the path of the first of some programs that is there, by path or on PATH. */
export function program(...names: (string | undefined)[]): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  const paths = names.flatMap((name) => (name ? [name, ...folders.map((folder) => join(folder, name))] : []));
  return paths.find((path) => isAbsolute(path) && existsSync(path));
}

async function freeAddress(): Promise<string> {
  const server = createServer();
  const address = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return address;
}

async function answers(url: string): Promise<void> {
  const deadline = performance.now() + READY_MS;
  for (;;) {
    try {
      await fetch(url);
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await sleep(50);
    }
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.kill();
  await exited;
}

function portOf(address: string): string {
  return address.slice(address.lastIndexOf(":") + 1);
}
