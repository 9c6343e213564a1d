// All functions through the stock clients, and the three that sign in, which pages call with fetch.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { startDirectory } from "../integration/functions/directory.mjs";
import { CANARIES } from "../integration/functions/lib.mjs";
import { TABLE } from "../lib/functions_table.mjs";
import { adminClient, anonClient, instance, must, serviceClient, versions } from "./lib/instance.mjs";
import { addServer, startSimulator } from "./lib/simulator.mjs";

const glassPassword = "Correct-Horse-9-glass";
const sha256 = (text) => createHash("sha256").update(text).digest("hex");
const service = serviceClient();

async function newUser() {
  const { data, error } = await service.auth.admin.createUser({ email: `${randomUUID()}@example.test`, password: "Correct-Horse-9" });
  assert.equal(error, null);
  return data.user.id;
}

// name: [body, status]; a status from 400 up is a documented refusal.
async function callsOf(client, server, simulator) {
  const job = await must(client.from("jobs").insert({ job_type: "openmanage_sync", target_scope: {}, schedule_at: "2040-01-01T00:00:00Z" }).select().single());
  const device = { ip_address: server.ip_address };
  return {
    "create-job": [{ job_type: "catalog_sync", target_scope: {} }, 201],
    "update-job": [{ job: { id: job.id, status: "cancelled" } }, 200],
    "encrypt-credentials": [{ password: "x" }, 200],
    "get-service-key": [undefined, 200],
    "set-executor-secret": [{ action: "check" }, 200],
    "generate-ssh-keypair": [{ comment: "e2e", returnFingerprint: true }, 200],
    "cancel-stale-jobs": [undefined, 200],
    "trigger-vcenter-syncs": [undefined, 200],
    "cleanup-activity-logs": [{ preview: true }, 200],
    "cleanup-old-jobs": [{ preview: true }, 200],
    "delete-user": [{ user_id: await newUser() }, 200],
    "network-diagnostics": [{ test: true }, 200],
    "send-notification": [{ jobType: "health_check", status: "cancelled" }, 200],
    "send-teams-notification": [{ test: true }, 200],
    "openmanage-sync": [{ devices: [] }, 400],
    "vcenter-sync": [{ hosts: [] }, 200],
    "break-glass-authenticate": [{}, 400],
    "idm-authenticate": [{}, 400],
    "idm-provision": [{}, 400],
    "delete-managed-user": [{ managed_user_id: randomUUID() }, 404],
    "openmanage-test": [{ host: "127.0.0.1", port: 1, username: "u", password: "p", verify_ssl: true }, 200],
    "analyze-maintenance-windows": [{ start_date: "2020-01-01T00:00:00Z", end_date: "2020-01-02T00:00:00Z" }, 200],
    "execute-maintenance-windows": [undefined, 200],
    "test-vcenter-connection": [{ host: "127.0.0.1", port: 1, username: "u", password: "p" }, 200],
    "sync-vcenter-direct": [undefined, 500],
    "preview-server-info": [{ ...device, username: simulator.username, password: simulator.password }, 200],
    "refresh-server-info": [{ ...device, server_id: server.id }, 200],
    "test-virtual-media-share": [{ host: "127.0.0.1", share_type: "http" }, 200],
    "validate-network-prerequisites": [undefined, 200],
  };
}

for (const [version, create] of Object.entries(versions)) {
  describe(`functions with ${version}`, () => {
    let simulator, client, server, calls;

    before(async () => {
      simulator = await startSimulator();
      client = await adminClient(create);
      server = await addServer(client, simulator, 0);
      calls = await callsOf(client, server, simulator);
    });
    after(async () => {
      await simulator?.stop();
      await must(service.from("servers").delete().eq("id", server.id));
    });

    test("each one answers invoke with data, or with an error that carries its answer", async () => {
      assert.deepEqual(Object.keys(calls).sort(), TABLE.map((row) => row.name).sort());
      for (const [name, [body, status]] of Object.entries(calls)) {
        const { data, error } = await client.functions.invoke(name, { body });
        if (status < 400) {
          assert.equal(error && (await error.context?.text?.()), null, name);
          assert.equal(typeof data, "object", name);
          assert.ok(!data.error || "success" in data, name);
        } else {
          assert.equal(data, null, name);
          assert.equal(error.message, "Edge Function returned a non-2xx status code", name);
          assert.equal(error.context.status, status, name);
          assert.equal(typeof (await error.context.json()).error, "string", name);
        }
      }
    });

    test("signed out, every function that is not public refuses", async () => {
      const nobody = anonClient(create);
      for (const { name, auth } of TABLE.filter((row) => row.auth !== "NONE")) {
        const { data, error } = await nobody.functions.invoke(name, { body: {} });
        assert.equal(data, null, `${name} ${auth}`);
        assert.equal(error.context.status, 401, name);
      }
    });
  });
}

const post = async (name, body) => {
  const answer = await fetch(`${instance.apiUrl}/functions/v1/${name}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: answer.status, json: await answer.json() };
};

// What the login page does with an answer: the session is the client's from then on.
async function takeOver(create, json, userId) {
  const client = anonClient(create);
  const { data, error } = await client.auth.setSession({ access_token: json.access_token, refresh_token: json.refresh_token });
  assert.equal(error, null);
  assert.equal(data.user.id, userId);
  const refreshed = await client.auth.refreshSession();
  assert.equal(refreshed.error, null);
  assert.notEqual(refreshed.data.session.refresh_token, json.refresh_token);
  assert.equal((await client.auth.getUser()).data.user.id, userId);
  const { data: numbers, error: refused } = await client.functions.invoke("network-diagnostics");
  assert.equal(refused, null);
  assert.ok("activeConnections" in numbers);
  return client;
}

const audited = (action, column, value) =>
  must(service.from("audit_logs").select("user_id, details").eq("action", action).eq(`details->>${column}`, value));

describe("sign-in functions, as the login page calls them", () => {
  let directory, formerSettings, peer;

  async function glassAccount() {
    const email = `glass-${randomUUID()}@example.test`;
    await must(service.from("break_glass_admins").insert({ email, full_name: "G", password_hash: sha256(glassPassword), is_active: true }));
    return email;
  }

  before(async () => {
    peer = mkdtempSync(join(tmpdir(), "basalt-e2e-ldap-"));
    execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", join(peer, "peer.key"),
      "-out", join(peer, "peer.crt"), "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], { stdio: "ignore" });
    process.env.BASALT_TEST_DIR = peer;
    directory = await startDirectory();
    formerSettings = await must(service.from("idm_settings").select());
    await must(service.from("idm_settings").delete().not("id", "is", null));
    await must(service.from("idm_settings").insert({
      auth_mode: "idm_primary", server_host: "localhost", ldaps_port: directory.port, base_dn: "dc=example,dc=test", connection_timeout_seconds: 5,
      max_failed_attempts: 3, lockout_duration_minutes: 10, ca_certificate: readFileSync(join(peer, "peer.crt"), "utf8"),
    }));
    await must(service.from("idm_group_mappings").insert({ idm_group_name: "ops", idm_group_dn: "cn=ops,cn=groups,cn=accounts,dc=example,dc=test", app_role: "operator", priority: 1 }));
  });
  after(async () => {
    await must(service.from("auth_rate_limits").delete().not("id", "is", null));
    await must(service.from("idm_group_mappings").delete().eq("idm_group_name", "ops"));
    await must(service.from("idm_settings").delete().not("id", "is", null));
    if (formerSettings?.length > 0) await must(service.from("idm_settings").insert(formerSettings));
    await directory?.close();
    rmSync(peer, { recursive: true, force: true });
  });

  for (const [version, create] of Object.entries(versions)) {
    test(`an emergency account's session goes on in ${version}`, async () => {
      const email = await glassAccount();
      const { status, json } = await post("break-glass-authenticate", { email, password: glassPassword });
      assert.equal(status, 200, JSON.stringify(json));
      const client = await takeOver(create, json, json.user.id);
      assert.equal(await must(client.rpc("get_user_role", { _user_id: json.user.id })), "admin");
      assert.equal((await audited("break_glass_login", "admin_email", email)).length, 1);
    });

    test(`a directory user's session goes on in ${version}`, async () => {
      const { status, json } = await post("idm-authenticate", { username: "ann", password: CANARIES.directory });
      assert.equal(status, 200, JSON.stringify(json));
      const client = await takeOver(create, json, json.user_id);
      assert.equal(await must(client.rpc("get_user_role", { _user_id: json.user_id })), "operator");
      assert.ok((await audited("idm_login", "username", "ann")).length >= 1);
    });

    test(`so does that of a user whom the executor has authenticated, in ${version}`, async () => {
      const asked = await fetch(`${instance.executorUrl}/api/idm-authenticate`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ username: "ben", password: CANARIES.directory }),
      });
      const proof = await asked.json();
      assert.equal(asked.status, 200, JSON.stringify(proof));
      const { status, json } = await post("idm-provision", { username: "ben", ...proof });
      assert.equal(status, 200, JSON.stringify(json));
      await takeOver(create, json, json.user_id);
      const again = await post("idm-provision", { username: "ben", ...proof });
      assert.deepEqual([again.status, again.json.success], [401, false], "a ticket is good once");
    });
  }

  test("too many wrong passwords are 429 with the seconds that the page counts down, and are audited", async () => {
    const email = await glassAccount();
    const tries = { "break-glass-authenticate": { email }, "idm-authenticate": { username: "cy" } };
    for (const [name, who] of Object.entries(tries)) {
      for (let i = 0; i < 3; i++) {
        const { status, json } = await post(name, { ...who, password: `Wrong-${CANARIES.directory}` });
        assert.deepEqual([status, json.success, typeof json.error], [401, false, "string"], name);
      }
      const { status, json } = await post(name, { ...who, password: `Wrong-${CANARIES.directory}` });
      assert.deepEqual([status, json.success, typeof json.error], [429, false, "string"], name);
      assert.ok(Number.isInteger(json.lockout_remaining_seconds) && json.lockout_remaining_seconds > 0, name);
    }
    assert.equal((await audited("break_glass_login_failed", "email", email)).length, 4);
    assert.ok((await audited("idm_login_failed", "username", "cy")).length >= 3);
  });

  test("no password of a sign-in stands in any table", () => {
    const words = [glassPassword, CANARIES.directory].map((word) => `'${word}'`).join();
    const query = `select string_agg(format('select %L as name, count(*) from %s r where r::text ~ any (array[${words.replaceAll("'", "''")}])', c.oid::regclass, c.oid::regclass), ' union all ')
      from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'r' and n.nspname in ('public', 'auth', 'basalt', 'cron', 'net')`;
    const psql = (text) => execFileSync("psql", ["-XAtq", "-v", "ON_ERROR_STOP=1", instance.dbUrl], { input: text, encoding: "utf8" }).trim();
    assert.equal(psql(`select name from (${psql(query)}) counted where count > 0`), "");
  });
});
