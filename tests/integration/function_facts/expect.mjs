// One answer against one entry of functions.json: status, headers, keys at all depths, text.

function keysOf(object, wanted, where) {
  if (object === null || typeof object !== 'object' || Array.isArray(object)) return [`${where} is no object`];
  const may = wanted.map((key) => key.replace(/\?$/, ''));
  const missing = wanted.filter((key) => !key.endsWith('?') && !(key in object));
  const more = Object.keys(object).filter((key) => !may.includes(key));
  return [...missing.map((key) => `${where} lacks ${key}`), ...more.map((key) => `${where} has ${key}`)];
}

// "a.b[]": the objects at that path.
function at(json, path) {
  let found = [json];
  for (const part of path.split('.')) {
    const name = part.replace(/\[\]$/, '');
    found = found.map((one) => one?.[name]);
    if (part.endsWith('[]')) found = found.flatMap((list) => (Array.isArray(list) && list.length > 0 ? list : [undefined]));
  }
  return found;
}

export function commonFaults(answer) {
  const faults = [];
  if (answer.headers.get('access-control-allow-origin') !== '*') faults.push('no CORS header');
  if (!/^application\/json(;|$)/.test(answer.headers.get('content-type') ?? '')) faults.push('no JSON content type');
  if (answer.headers.get('x-relay-error') === 'true') faults.push('x-relay-error');
  if (answer.json === null || typeof answer.json !== 'object') faults.push('no JSON object');
  return faults;
}

// What differs, as texts; none: equal.
export function faultsOf(fact, entry, answer) {
  const faults = commonFaults(answer);
  if (answer.status !== entry.status) faults.push(`status ${answer.status} instead of ${entry.status}`);
  if (faults.length > 0) return faults;
  faults.push(...keysOf(answer.json, entry.body_keys ?? entry.keys, 'the answer'));
  for (const [path, keys] of Object.entries(entry.nested ?? {}))
    for (const object of at(answer.json, path)) faults.push(...keysOf(object, keys, path));
  if (entry.error !== undefined && answer.json.error !== entry.error)
    faults.push(`error ${JSON.stringify(answer.json.error)} instead of ${JSON.stringify(entry.error)}`);
  if (entry.keys !== undefined && fact.success_must_not_contain?.some((key) => key in answer.json)) faults.push('a forbidden key');
  return faults;
}
