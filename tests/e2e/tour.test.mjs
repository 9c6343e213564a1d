// The tour of the README: from sign-in to a job that runs, through the stock client alone.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { adminClient, must, until, versions } from "./lib/instance.mjs";
import { addServer, startSimulator } from "./lib/simulator.mjs";

for (const [version, create] of Object.entries(versions)) {
  describe(`tour with ${version}`, () => {
    let simulator, client, server;

    before(async () => {
      simulator = await startSimulator();
      client = await adminClient(create);
      server = await addServer(client, simulator, 0);
    });
    after(async () => {
      await client?.removeAllChannels();
      await simulator?.stop();
    });

    test("a job's row is seen going from pending over running to completed", async () => {
      const seen = [];
      const channel = client
        .channel("tour")
        .on("postgres_changes", { event: "*", schema: "public", table: "jobs" }, (change) => seen.push(change));
      let isSubscribed = false;
      channel.on("system", {}, (message) => (isSubscribed ||= message.status === "ok"));
      channel.subscribe();
      await until("the database subscription", () => isSubscribed);

      const { data, error } = await client.functions.invoke("create-job", {
        body: { job_type: "health_check", target_scope: { server_ids: [server.id] }, details: { from: "tour" } },
      });
      assert.equal(error, null);
      assert.equal(data.success, true);
      const job = data.job;
      assert.equal(job.status, "pending");

      const mine = () => seen.filter((change) => (change.new.id ?? change.old.id) === job.id);
      await until("the completed row", () => mine().some((change) => change.new.status === "completed"));
      const statuses = mine().map((change) => change.new.status);
      assert.equal(statuses[0], "pending");
      assert.equal(mine()[0].eventType, "INSERT");
      assert.deepEqual([...new Set(statuses)], ["pending", "running", "completed"]);

      const tasks = await must(client.from("job_tasks").select("*, servers(hostname)").eq("job_id", job.id));
      assert.equal(tasks.length, 1);
      assert.equal(tasks[0].status, "completed");
      assert.equal(tasks[0].servers.hostname, server.hostname);

      const activity = await must(
        client.from("idrac_commands").select("*").eq("job_id", job.id).order("timestamp"),
      );
      assert.ok(activity.length > 2, "each call to the device leaves a row");
      assert.ok(activity.every((row) => !JSON.stringify(row).includes(simulator.password)), "no password in a row");
      assert.ok(activity.some((row) => row.endpoint.includes("/redfish/v1/Systems/System.Embedded.1")));

      const health = await must(client.from("server_health").select().eq("server_id", server.id));
      assert.equal(health.length, 1);
      assert.equal(health[0].power_state, "On");
      const finished = await must(client.from("jobs").select().eq("id", job.id).single());
      assert.ok(finished.started_at <= finished.completed_at);
      assert.equal(finished.details.from, "tour", "what the caller put into details stays");
    });

    test("no session is left on the device", async () => {
      const [state] = await simulator.servers();
      assert.equal(state.sessions_open ?? state.sessions, 0);
    });
  });
}
