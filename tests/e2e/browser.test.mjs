// The tour in a real browser page whose origin is not the API's.
import assert from "node:assert/strict";
import { createReadStream, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { adminClient, instance, versions } from "./lib/instance.mjs";
import { addServer, startSimulator } from "./lib/simulator.mjs";

const file = (path) => fileURLToPath(new URL(path, import.meta.url));
const pages = {
  "/": [file("page/index.html"), "text/html"],
  "/supabase.js": [file("node_modules/supabase-js-2.78/dist/umd/supabase.js"), "text/javascript"],
};

const profile = mkdtempSync(join(tmpdir(), "basalt-chromium-"));

const launch = () =>
  chromium.launchPersistentContext(profile, {
    executablePath: "/usr/bin/chromium",
    headless: true,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });

describe("the tour in a browser", () => {
  let server, context, simulator, target;

  before(async () => {
    server = createServer((request, response) => {
      const found = pages[new URL(request.url, "http://page").pathname];
      if (!found) return response.writeHead(404).end();
      response.writeHead(200, { "content-type": found[1] });
      createReadStream(found[0]).pipe(response);
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    simulator = await startSimulator();
    target = await addServer(await adminClient(versions["supabase-js 2.78.0"]), simulator, 0);
    context = await launch();
  });
  after(async () => {
    await context?.close();
    await simulator?.stop();
    server?.close();
    rmSync(profile, { recursive: true, force: true });
  });

  test("sign-in, a job over realtime, its tasks and its activity, all across origins", async () => {
    const page = await context.newPage();
    const errors = [];
    page.on("pageerror", (error) => errors.push(error.message));
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    const origin = `http://localhost:${server.address().port}`;
    await page.goto(`${origin}/?api=${encodeURIComponent(instance.apiUrl)}&key=${instance.anonKey}`);
    const result = await page.evaluate(
      ([id, email, password]) => window.tour(id, email, password),
      [target.id, instance.adminEmail, instance.adminPassword],
    );
    assert.deepEqual([...new Set(result.statuses)], ["pending", "running", "completed"]);
    assert.deepEqual(result.tasks, [{ status: "completed", servers: { hostname: target.hostname } }]);
    assert.ok(result.activity > 2);
    assert.deepEqual(errors, []);
  });
});
