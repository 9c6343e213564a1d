// Realtime through the stock clients: changes with filters and policies, broadcast, presence, and what ends a channel.
import assert from "node:assert/strict";
import { createHmac, randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { anonClient, instance, must, serviceClient, until, versions } from "./lib/instance.mjs";

const encode = (value) => Buffer.from(value).toString("base64url");

function tokenOf(claims, seconds = 600) {
  const exp = Math.floor(Date.now() / 1000) + seconds;
  const body = `${encode('{"alg":"HS256","typ":"JWT"}')}.${encode(JSON.stringify({ aud: "authenticated", exp, ...claims }))}`;
  return `${body}.${createHmac("sha256", instance.jwtSecret).update(body).digest("base64url")}`;
}

// A subscribed channel; `ready` waits until the database part is in force.
async function open(channel, ready = true) {
  const statuses = [];
  let isReady = !ready;
  channel.on("system", {}, (message) => (isReady ||= message.status === "ok"));
  channel.subscribe((status) => statuses.push(status));
  await until("the subscription", () => statuses.includes("SUBSCRIBED") && isReady);
  return statuses;
}

for (const [version, create] of Object.entries(versions)) {
  describe(`realtime with ${version}`, () => {
    const service = serviceClient();
    const clients = [];
    const connect = async (token) => {
      const client = token ? serviceClientWith(create, token) : anonClient(create);
      clients.push(client);
      return client;
    };
    const serviceClientWith = (make, token) => {
      const client = make(instance.apiUrl, instance.anonKey, {
        auth: { persistSession: false, autoRefreshToken: false },
        accessToken: async () => token,
      });
      client.realtime.setAuth(token);
      return client;
    };
    const tag = `rt-${randomUUID().slice(0, 8)}`;
    let ids = [];

    before(() => {
      ids = [randomUUID(), randomUUID()];
    });
    after(async () => {
      await service.from("servers").delete().in("id", ids);
      for (const client of clients) await client.removeAllChannels();
    });

    test("inserts, updates and deletes arrive typed, by filter", async () => {
      const client = await connect(tokenOf({ role: "service_role" }));
      const all = [], one = [];
      await open(
        client
          .channel(`changes-${tag}`)
          .on("postgres_changes", { event: "*", schema: "public", table: "servers" }, (change) => all.push(change))
          .on("postgres_changes", { event: "UPDATE", schema: "public", table: "servers", filter: `id=eq.${ids[1]}` },
            (change) => one.push(change)),
      );
      await must(service.from("servers").insert([
        { id: ids[0], ip_address: "192.0.2.71", hostname: `${tag}-a` },
        { id: ids[1], ip_address: "192.0.2.72", hostname: `${tag}-b` },
      ]));
      // A row that is gone before it was looked at is shown to nobody, so each step waits for the one before.
      const mine = () => all.filter((change) => ids.includes(change.new.id ?? change.old.id));
      await until("two inserts", () => mine().length >= 2);
      await must(service.from("servers").update({ hostname: `${tag}-c` }).in("id", ids));
      await until("two updates", () => mine().length >= 4 && one.length >= 1);
      await must(service.from("servers").delete().eq("id", ids[0]));
      await until("the delete", () => mine().length >= 5);
      assert.deepEqual(mine().map((change) => change.eventType), ["INSERT", "INSERT", "UPDATE", "UPDATE", "DELETE"]);
      const [inserted] = mine();
      assert.equal(inserted.new.hostname, `${tag}-a`);
      assert.equal(inserted.new.ip_address, "192.0.2.71");
      assert.equal(inserted.errors, null);
      assert.ok(Math.abs(Date.parse(inserted.commit_timestamp) - Date.now()) < 60_000);
      assert.deepEqual(mine()[4].old, { id: ids[0] });
      assert.deepEqual(one.map((change) => change.new.id), [ids[1]]);
    });

    test("a caller sees no rows that policies hide", async () => {
      const seen = [];
      const client = await connect();
      await open(
        client.channel(`hidden-${tag}`).on("postgres_changes", { event: "*", schema: "public", table: "servers" },
          (change) => seen.push(change)),
      );
      await must(service.from("servers").update({ hostname: `${tag}-d` }).eq("id", ids[1]));
      await new Promise((resolve) => setTimeout(resolve, 700));
      assert.deepEqual(seen, []);
    });

    test("broadcast reaches the others, before and after the join, in both directions of versions", async () => {
      const other = anonClient(versions[Object.keys(versions).find((name) => name !== version)]);
      clients.push(other);
      const sender = await connect(), heard = [], back = [];
      const listening = other.channel(`talk-${tag}`).on("broadcast", { event: "hi" }, (message) => heard.push(message.payload));
      await open(listening, false);
      const talking = sender
        .channel(`talk-${tag}`, { config: { broadcast: { ack: true } } })
        .on("broadcast", { event: "back" }, (message) => back.push(message.payload));
      assert.equal(await talking.send({ type: "broadcast", event: "hi", payload: { n: 1 } }), "ok", "over HTTP");
      await open(talking, false);
      assert.equal(await talking.send({ type: "broadcast", event: "hi", payload: { n: 2 } }), "ok", "acknowledged");
      await listening.send({ type: "broadcast", event: "back", payload: { n: 3 } });
      await until("all broadcasts", () => heard.length >= 2 && back.length >= 1);
      assert.deepEqual(heard, [{ n: 1 }, { n: 2 }]);
      assert.deepEqual(back, [{ n: 3 }]);
    });

    test("presence is the same for all", async () => {
      const states = [];
      for (const key of ["a", "b"]) {
        const client = await connect();
        const channel = client.channel(`here-${tag}`, { config: { presence: { key } } });
        channel.on("presence", { event: "sync" }, () => {});
        await open(channel, false);
        await channel.track({ who: key });
        states.push(channel);
      }
      await until("both on both", () => states.every((channel) => Object.keys(channel.presenceState()).length === 2));
      for (const channel of states) assert.equal(channel.presenceState().a[0].who, "a");
      await states[1].untrack();
      await until("one left", () => Object.keys(states[0].presenceState()).length === 1);
    });

    test("a private channel without policies is refused", async () => {
      const client = await connect(tokenOf({ role: "authenticated", sub: randomUUID() }));
      const statuses = [];
      client.channel(`secret-${tag}`, { config: { private: true } }).subscribe((status) => statuses.push(status));
      await until("the refusal", () => statuses.length > 0);
      assert.equal(statuses[0], "CHANNEL_ERROR");
    });

    test("a subscription that cannot be is said to be so, and leaving closes", async () => {
      const client = await connect(tokenOf({ role: "service_role" }));
      const said = [];
      const channel = client
        .channel(`bad-${tag}`)
        .on("system", {}, (message) => said.push(message))
        .on("postgres_changes", { event: "*", schema: "public", table: "no_such_table" }, () => {});
      const statuses = [];
      channel.subscribe((status) => statuses.push(status));
      await until("the message", () => said.length > 0);
      assert.equal(said[0].status, "error");
      assert.match(said[0].message, /^Unable to subscribe to changes/);
      assert.deepEqual(statuses, ["SUBSCRIBED"]);
      assert.equal(await client.removeChannel(channel), "ok");
      await until("CLOSED", () => statuses.includes("CLOSED"));
    });
  });
}
