// iDRACs over HTTPS for one test file, on ports of its own, gone when the test ends.
import { spawn } from "node:child_process";
import { mkdtempSync, existsSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort, until } from "../../lib/waiting.mjs";

const script = fileURLToPath(new URL("../../simulators/idrac.py", import.meta.url));

export async function startSimulator({ count = 1, args = [] } = {}) {
  const directory = mkdtempSync(join(tmpdir(), "basalt-idrac-"));
  const ready = join(directory, "ready");
  const admin = `127.0.0.1:${await freePort()}`;
  const addresses = [];
  for (let i = 0; i < count; i++) addresses.push(`127.0.0.1:${await freePort()}`);
  const child = spawn(
    "/usr/bin/python3",
    [script, ...addresses.flatMap((a) => ["--listen", a]), "--admin", admin, "--ready-file", ready,
      "--user", "root", "--password", "calvin-e2e", "--transition", "0.5", ...args],
    { stdio: ["ignore", "ignore", "inherit"] },
  );
  await until("the iDRAC simulator", () => existsSync(ready));
  const call = async (method, path, body) => {
    const answer = await fetch(`http://${admin}${path}`, {
      method,
      headers: { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`simulator ${method} ${path}: ${answer.status}`);
    return answer.json();
  };
  return {
    addresses,
    username: "root",
    password: "calvin-e2e",
    fault: (server, fault) => call("POST", `/servers/${server}/faults`, fault),
    clearFaults: (server) => call("DELETE", `/servers/${server}/faults`),
    requests: (server) => call("GET", `/servers/${server}/requests`),
    servers: () => call("GET", "/servers"),
    stop: async () => {
      child.kill("SIGTERM");
      await new Promise((resolve) => child.once("exit", resolve));
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

// A server row with credentials of its own, encrypted by the stock function.
export async function addServer(client, simulator, index, extra = {}) {
  const { data: server, error } = await client
    .from("servers")
    .insert({ ip_address: simulator.addresses[index], hostname: `e2e-${process.pid}-${index}`, ...extra })
    .select()
    .single();
  if (error) throw new Error(`insert server: ${error.message}`);
  const stored = await client.functions.invoke("encrypt-credentials", {
    body: { type: "server", server_id: server.id, username: simulator.username, password: simulator.password },
  });
  if (stored.error) throw stored.error;
  return server;
}
