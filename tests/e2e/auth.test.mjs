// Signing in, staying signed in, and signing out with the stock clients.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { anonClient, instance, must, serviceClient, versions } from "./lib/instance.mjs";

const address = () => `e2e-${process.pid}-${Math.random().toString(36).slice(2)}@example.test`;
const password = "Correct-Horse-9";

for (const [version, create] of Object.entries(versions)) {
  describe(`auth with ${version}`, () => {
    test("sign-up gives a session, a profile and the viewer role", async () => {
      const client = anonClient(create);
      const email = address();
      const { data, error } = await client.auth.signUp({ email, password, options: { data: { full_name: "E Two" } } });
      assert.equal(error, null);
      assert.ok(data.session.access_token);
      const profile = await must(client.from("profiles").select("email, full_name").eq("id", data.user.id).single());
      assert.deepEqual(profile, { email, full_name: "E Two" });
      assert.equal(await must(client.rpc("get_user_role", { _user_id: data.user.id })), "viewer");
    });

    test("a refresh rotates the token and an old one does not open a session again", async () => {
      const client = anonClient(create);
      const { data } = await client.auth.signUp({ email: address(), password });
      const first = data.session.refresh_token;
      const refreshed = await client.auth.refreshSession();
      assert.equal(refreshed.error, null);
      assert.notEqual(refreshed.data.session.refresh_token, first);
      assert.equal((await client.auth.getUser()).data.user.id, data.user.id);
      await client.auth.signOut();
      const other = anonClient(create);
      const again = await other.auth.refreshSession({ refresh_token: refreshed.data.session.refresh_token });
      assert.equal(again.data.session, null);
      assert.ok(again.error);
    });

    test("a wrong password is refused with invalid_credentials", async () => {
      const client = anonClient(create);
      const { error } = await client.auth.signInWithPassword({ email: instance.adminEmail, password: "wrong" });
      assert.equal(error.status, 400);
      assert.equal(error.code, "invalid_credentials");
    });

    test("an administrator of the service role makes, changes and deletes a user", async () => {
      const service = serviceClient(create);
      const email = address();
      const made = await service.auth.admin.createUser({ email, password, email_confirm: true });
      assert.equal(made.error, null);
      const twice = await service.auth.admin.createUser({ email, password, email_confirm: true });
      assert.equal(twice.error.code, "email_exists");
      const changed = await service.auth.admin.updateUserById(made.data.user.id, { user_metadata: { team: "b" } });
      assert.equal(changed.data.user.user_metadata.team, "b");
      const listed = await service.auth.admin.listUsers();
      assert.ok(listed.data.users.some((user) => user.email === email));
      assert.equal((await service.auth.admin.deleteUser(made.data.user.id)).error, null);
      assert.equal((await service.auth.admin.getUserById(made.data.user.id)).error.status, 404);
    });

    test("a viewer cannot create a job and sees no credential set", async () => {
      const client = anonClient(create);
      await client.auth.signUp({ email: address(), password });
      const { error } = await client.functions.invoke("create-job", {
        body: { job_type: "health_check", target_scope: { server_ids: [] } },
      });
      assert.equal(error.context.status, 403);
      assert.deepEqual(await must(client.from("credential_sets").select()), []);
    });
  });
}
