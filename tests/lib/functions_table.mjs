// The rows of functions/registry.c, for tests that go through all functions.
import { readFileSync } from 'node:fs';

const ROW = /\{"([a-z-]+)",\s*"([A-Z ]+)",\s*FN_AUTH_(\w+),\s*(NULL|"[^"]*"),\s*(NULL|"[^"]*"),\s*(\d+) \* KIB,\s*(\d+),/g;
const SOURCE = readFileSync(new URL('../../functions/registry.c', import.meta.url), 'utf8');

export const TABLE = [...SOURCE.matchAll(ROW)].map(([, name, methods, auth, roles, , kib, timeout]) => ({
  name, methods: methods.split(' '), auth, roles: roles.replaceAll('"', '').split(' '), limit: Number(kib) * 1024, timeout: Number(timeout),
}));

if (TABLE.length !== (SOURCE.match(/FN_AUTH_\w+,/g) ?? []).length) throw new Error('a row of functions/registry.c was not understood');
