// kill -9 in the middle of a job: after the restart the job ends in a state that is true, and nothing is run twice.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { adminClient, must, until, versions } from "./lib/instance.mjs";
import { kill } from "./lib/processes.mjs";
import { addServer, startSimulator } from "./lib/simulator.mjs";

const terminal = ["completed", "failed", "cancelled"];

describe("kill -9 in the middle of a job", () => {
  let simulator, client, server;

  before(async () => {
    simulator = await startSimulator();
    client = await adminClient(versions["supabase-js 2.78.0"]);
    server = await addServer(client, simulator, 0);
  });
  after(() => simulator?.stop());

  const statusOf = async (id) => (await must(client.from("jobs").select().eq("id", id).single()));

  async function runningJob(body) {
    const { data, error } = await client.functions.invoke("create-job", { body });
    assert.equal(error, null);
    await until("the job to run", async () => (await statusOf(data.job.id)).status === "running");
    return data.job.id;
  }

  for (const name of ["gateway", "executor", "database"]) {
    test(`of the ${name}`, async () => {
      // Each answer takes two seconds, so that the job is surely under way.
      await simulator.fault(0, { kind: "slow", seconds: 2, value: 2 });
      const id = await runningJob({ job_type: "health_check", target_scope: { server_ids: [server.id] } });
      await kill(name);
      await simulator.clearFaults(0);
      const job = await until("the end of the job", async () => {
        const { data } = await client.from("jobs").select().eq("id", id).maybeSingle();
        return data && terminal.includes(data.status) && data;
      }, 180);
      const tasks = await must(client.from("job_tasks").select().eq("job_id", id));
      assert.equal(tasks.length, 1);
      assert.ok(terminal.includes(tasks[0].status), `the task is ${tasks[0].status}`);
      if (job.status === "completed") {
        assert.equal(tasks[0].status, "completed");
        const health = await must(client.from("server_health").select("id").eq("server_id", server.id));
        assert.ok(health.length >= 1);
      } else {
        assert.ok(job.details.error, "a job that did not complete says why");
      }
      assert.ok(job.completed_at);
    });
  }

  test("a reset is sent to the device at most once", async () => {
    await simulator.fault(0, { kind: "slow", seconds: 1, value: 1 });
    const id = await runningJob({
      job_type: "power_action",
      target_scope: { server_ids: [server.id] },
      details: { action: "reset" },
    });
    await kill("executor");
    await simulator.clearFaults(0);
    await until("the end of the job", async () => terminal.includes((await statusOf(id)).status), 180);
    const requests = await simulator.requests(0);
    const resets = requests.filter((request) => request.method === "POST" && request.path.includes("ComputerSystem.Reset"));
    assert.ok(resets.length <= 1, `${resets.length} resets`);
  });
});
