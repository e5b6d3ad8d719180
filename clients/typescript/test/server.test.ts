import { readFileSync } from "node:fs";

import { VERSION } from "@kandinsky-grpc/client";
import { describe, expect, test } from "vitest";

import { healthOf } from "../src/health.js";
import { completed, says } from "./support/events.js";
import { fake } from "./support/fakeServer.js";

describe.each(["grpc", "grpc-web"] as const)("over %s", (transport) => {
  test("info, estimate and health are asked", async () => {
    const { client } = await fake(transport, says(completed(0, 0)));
    expect((await client.info()).model).toBe("fake");
    const question = { case: "decode", value: { sampling: { seed: 3 } } } as const;
    expect((await client.estimate({ request: question })).trajectoryCount).toBe(1);
    expect(await client.health()).toBe("serving");
    expect(await client.health("kandinsky_api.v1.ImageService")).toBe("not_serving");
  });
});

test("a health that this client does not know is unknown", () => {
  expect(healthOf(99)).toBe("unknown");
});

test("the version is the package's", () => {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  expect((JSON.parse(text) as { version: string }).version).toBe(VERSION);
});
