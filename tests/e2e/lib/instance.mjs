// The instance under test (from the environment, as `tools/status --env` prints it) and the stock clients.
import { createClient as create278 } from "supabase-js-2.78";
import { createClient as createCurrent } from "supabase-js-current";

export { until } from "../../lib/waiting.mjs";

const required = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run tests/e2e/run`);
  return value;
};

export const instance = {
  apiUrl: required("API_URL"),
  dbUrl: required("DB_URL"),
  anonKey: required("ANON_KEY"),
  serviceKey: required("SERVICE_ROLE_KEY"),
  jwtSecret: required("JWT_SECRET"),
  adminEmail: required("ADMIN_EMAIL"),
  adminPassword: required("ADMIN_PASSWORD"),
  executorUrl: required("EXECUTOR_URL"),
};

export const versions = { "supabase-js 2.78.0": create278, "current supabase-js": createCurrent };

const options = { auth: { persistSession: false, autoRefreshToken: false } };

export const anonClient = (create) => create(instance.apiUrl, instance.anonKey, options);
export const serviceClient = (create = createCurrent) => create(instance.apiUrl, instance.serviceKey, options);

export async function adminClient(create) {
  const client = anonClient(create);
  const { data, error } = await client.auth.signInWithPassword({
    email: instance.adminEmail,
    password: instance.adminPassword,
  });
  if (error) throw error;
  client.realtime.setAuth(data.session.access_token);
  return client;
}

// The value of a query, or its error as an exception.
export async function must(query) {
  const { data, error } = await query;
  if (error) throw new Error(`${error.code ?? ""} ${error.message} ${error.details ?? ""}`);
  return data;
}
