// Hostile and mistaken requests get the peers' own errors, and the processes survive.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { adminClient, instance, must, until, versions } from "./lib/instance.mjs";
import { addServer, startSimulator } from "./lib/simulator.mjs";

const create = versions["supabase-js 2.78.0"];
const base64url = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

function sign(claims, secret = instance.jwtSecret, header = { alg: "HS256", typ: "JWT" }) {
  const text = `${base64url(header)}.${base64url(claims)}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

async function call(path, { method = "GET", token = instance.anonKey, body, headers = {} } = {}) {
  const answer = await fetch(instance.apiUrl + path, {
    method,
    headers: { apikey: instance.anonKey, authorization: `Bearer ${token}`, "content-type": "application/json", ...headers },
    body,
  });
  const text = await answer.text();
  let json = null;
  try {
    json = JSON.parse(text);
  } catch {
    /* plain text */
  }
  return { status: answer.status, json, text, headers: answer.headers };
}

const inAnHour = () => Math.floor(Date.now() / 1000) + 3600;

describe("REST refuses in PostgREST's shape", () => {
  const cases = [
    ["an unknown table", "/rest/v1/nothing_here", {}, 404, "PGRST205"],
    ["an unknown column", "/rest/v1/servers?select=nothing_here", {}, 400, "42703"],
    ["an unknown operator", "/rest/v1/servers?hostname=near.x", {}, 400, "PGRST100"],
    ["an unknown function", "/rest/v1/rpc/nothing_here", { method: "POST", body: "{}" }, 404, "PGRST202"],
    ["a value of the wrong type", "/rest/v1/servers?id=eq.7", {}, 400, "22P02"],
    ["malformed JSON", "/rest/v1/servers", { method: "POST", body: '{"hostname":' }, 400, "PGRST102"],
  ];
  for (const [name, path, request, status, code] of cases) {
    test(name, async () => {
      const { json, status: got } = await call(path, { token: instance.serviceKey, ...request });
      assert.equal(got, status);
      assert.equal(json.code, code);
      assert.deepEqual(Object.keys(json).sort(), ["code", "details", "hint", "message"]);
    });
  }
});

describe("tokens that must not open anything", () => {
  const cases = {
    "signed with another secret": () => sign({ role: "service_role", exp: inAnHour() }, "another-secret-of-some-length-0123456789"),
    "without a signature": () => `${base64url({ alg: "none", typ: "JWT" })}.${base64url({ role: "service_role", exp: inAnHour() })}.`,
    "with alg none and a signature": () => sign({ role: "service_role", exp: inAnHour() }, instance.jwtSecret, { alg: "none", typ: "JWT" }),
    expired: () => sign({ role: "service_role", exp: inAnHour() - 7200 }),
    "not a token": () => "hello",
  };
  for (const [name, make] of Object.entries(cases)) {
    test(name, async () => {
      const rest = await call("/rest/v1/servers", { token: make() });
      assert.equal(rest.status, 401);
      assert.match(rest.json.code, /^PGRST30[0-9]$/);
      const auth = await call("/auth/v1/user", { token: make() });
      assert.ok([401, 403].includes(auth.status));
      const invoked = await call("/functions/v1/get-service-key", { method: "POST", token: make(), body: "{}" });
      assert.equal(invoked.status, 401);
      assert.equal(typeof invoked.json.error, "string");
    });
  }

  test("a role that the gateway may not take is refused", async () => {
    const { status } = await call("/rest/v1/servers", { token: sign({ role: "postgres", exp: inAnHour() }) });
    assert.ok([401, 403].includes(status), `status ${status}`);
  });
});

describe("requests over the limits", () => {
  test("a body above the limit is answered with 413 and the gateway goes on", async () => {
    const answer = await fetch(`${instance.apiUrl}/rest/v1/servers`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${instance.serviceKey}` },
      body: "x".repeat(9 * 1024 * 1024),
    }).catch((error) => error);
    if (!(answer instanceof Error)) assert.equal(answer.status, 413);
    assert.equal((await call("/health")).status, 200);
  });

  test("JSON nested 10,000 deep is refused", async () => {
    const body = "[".repeat(10000) + "]".repeat(10000);
    const { status } = await call("/functions/v1/create-job", { method: "POST", body, token: instance.serviceKey });
    assert.ok(status >= 400 && status < 600);
    assert.equal((await call("/health")).status, 200);
  });

  test("an unknown function is a 404", async () => {
    const { status, json, headers } = await call("/functions/v1/no-such-function", { method: "POST", body: "{}" });
    assert.equal(status, 404);
    assert.equal(typeof json.error, "string");
    assert.equal(headers.get("access-control-allow-origin"), "*");
  });
});

describe("jobs that cannot work end as failed, with their reason", () => {
  let simulator, client;
  before(async () => {
    simulator = await startSimulator({ count: 2 });
    client = await adminClient(create);
  });
  after(() => simulator?.stop());

  const run = async (body) => {
    const { data, error } = await client.functions.invoke("create-job", { body });
    assert.equal(error, null);
    return until("the end of the job", async () => {
      const job = await must(client.from("jobs").select().eq("id", data.job.id).single());
      return ["completed", "failed", "cancelled"].includes(job.status) && job;
    }, 180);
  };

  test("a job type that does not exist is refused before it is stored", async () => {
    const { error } = await client.functions.invoke("create-job", {
      body: { job_type: "make_coffee", target_scope: {} },
    });
    assert.equal(error.context.status, 400);
    assert.match((await error.context.json()).error, /^Invalid job_type\. Must be one of: /);
  });

  test("a device that answers garbage", async () => {
    const server = await addServer(client, simulator, 0);
    await simulator.fault(0, { kind: "garbage" });
    const job = await run({ job_type: "health_check", target_scope: { server_ids: [server.id] } });
    assert.equal(job.status, "failed");
    assert.ok(job.details.error.length > 0, JSON.stringify(job.details));
    const [task] = await must(client.from("job_tasks").select().eq("job_id", job.id));
    assert.equal(task.status, "failed");
  });

  test("a device that refuses the password", async () => {
    const server = await addServer(client, simulator, 1);
    await simulator.fault(1, { kind: "status", status: 401 });
    const job = await run({ job_type: "test_credentials", target_scope: { server_ids: [server.id] } });
    assert.equal(job.status, "failed");
    assert.ok(job.details.error.length > 0);
  });
});
