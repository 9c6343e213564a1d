// One open psql, a picture of all tables, and tables that can be broken: without a process per question.
import { spawn } from 'node:child_process';

const DONE = 'facts-answered';

// What changed is told by count and digest of each table; a broken one refuses every statement of a kind.
const SETUP = `
create schema facts;
create table facts.broken (name text, operation text);
create table facts.keys as select encryption_key, executor_shared_secret_encrypted from public.activity_settings;
create function facts.refuse() returns trigger language plpgsql security definer as $$
begin
    if exists (select from facts.broken where name = tg_table_name and operation in (lower(tg_op), 'write')) then
        raise exception 'broken on purpose';
    end if;
    return null;
end $$;
create function facts.skip() returns trigger language plpgsql security definer as $$
begin
    return case when exists (select from facts.broken where name = tg_table_name and operation = 'skip') then null else new end;
end $$;
create trigger zz_facts_skip before update on public.activity_settings for each row execute function facts.skip();
create function facts.tables() returns table (oid oid, name text) language sql as $$
    select c.oid, case n.nspname when 'public' then c.relname else n.nspname || '.' || c.relname end
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p') and not c.relispartition and n.nspname in ('public', 'auth', 'basalt', 'storage', 'vault')
$$;
create function facts.picture() returns json language plpgsql as $$
declare
    t record;
    digest text;
    amount bigint;
    all_tables jsonb = '{}';
begin
    for t in select * from facts.tables() loop
        execute format('select count(*), md5(string_agg(md5(r::text), '''' order by md5(r::text))) from %s r', t.oid::regclass)
           into amount, digest;
        all_tables = all_tables || jsonb_build_object(t.name, jsonb_build_array(amount, digest));
    end loop;
    return all_tables;
end $$;
create function facts.search(secrets text[]) returns table (name text, secret bigint, amount bigint) language plpgsql as $$
declare
    t record;
begin
    for t in select c.oid, n.nspname || '.' || c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
              where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast', 'facts') loop
        return query execute format('select $2, s.at, count(*) from %s r, unnest($1) with ordinality s (secret, at)'
            ' where position(s.secret in r::text) > 0 group by s.at', t.oid::regclass) using secrets, t.name;
    end loop;
end $$;
do $$
declare
    t record;
begin
    for t in select * from facts.tables() loop
        execute format('create trigger zz_facts before insert or update or delete on %s for each statement'
                       ' execute function facts.refuse()', t.oid::regclass);
    end loop;
end $$;
`;

class Psql {
  constructor() {
    this.process = spawn('sh', ['-c', 'exec psql -XAtq -v VERBOSITY=terse "$DATABASE_URL" 2>&1'], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.text = '';
    this.waiting = [];
    this.process.stdout.on('data', (chunk) => {
      this.text += chunk;
      for (let at; (at = this.text.indexOf(`${DONE}\n`)) >= 0;) {
        const out = this.text.slice(0, at);
        this.text = this.text.slice(at + DONE.length + 1);
        this.waiting.shift()(out);
      }
    });
  }

  async run(text) {
    const out = await new Promise((resolve) => {
      this.waiting.push(resolve);
      this.process.stdin.write(`${text}\n;\n\\echo ${DONE}\n`);
    });
    if (/^(psql:[^\n]*)?(ERROR|FATAL):/m.test(out)) throw new Error(`${out}\n${text.slice(0, 2000)}`);
    return out.trim();
  }

  close() { this.process.stdin.end(); }
}

export class Database {
  constructor() { this.psql = new Psql(); }

  static connect() { return new Database(); }

  static async open() {
    const database = Database.connect();
    await database.run(SETUP);
    return database;
  }

  run(text) { return this.psql.run(text); }
  async rows(text) { return JSON.parse(await this.run(`select coalesce(json_agg(to_json(q)), '[]') from (${text}) q`)); }
  async row(text) { return (await this.rows(text))[0]; }
  async value(text) { return Object.values(await this.row(text))[0]; }
  async count(table, where = 'true') { return this.value(`select count(*)::int from ${table} where ${where}`); }

  // The id of the new row; arrays are of text unless the column says more.
  async insert(table, row) {
    const literal = (value) => (value === null ? 'null' : typeof value === 'number' || typeof value === 'boolean' ? `${value}`
      : Array.isArray(value) ? `'{${value.join(',')}}'` : `'${(typeof value === 'object' ? JSON.stringify(value) : value).replaceAll("'", "''")}'`);
    return this.run(`insert into public.${table} (${Object.keys(row)}) values (${Object.values(row).map(literal)}) returning id`);
  }

  async picture() { return JSON.parse(await this.run('select facts.picture()')); }

  // {table: difference of the count} of the tables that differ between two pictures.
  static changes(before, after) {
    return Object.fromEntries(Object.keys(after).filter((name) => before[name]?.[1] !== after[name][1])
      .map((name) => [name, after[name][0] - (before[name]?.[0] ?? 0)]));
  }

  // "table:insert|update|delete|write|skip" by trigger (skip: no row is changed), "table:select" by privilege, "function():execute" likewise.
  async break(what) {
    const [name, operation] = what.split(':');
    if (operation === 'select') await this.run(`revoke select on public.${name} from service_role, authenticated`);
    else if (operation === 'execute') await this.run(`revoke execute on function public.${name} from service_role`);
    else await this.run(`insert into facts.broken values ('${name}', '${operation}')`);
  }

  async mend(what) {
    const [name, operation] = what.split(':');
    if (operation === 'select') await this.run(`grant select on public.${name} to service_role, authenticated`);
    else if (operation === 'execute') await this.run(`grant execute on function public.${name} to service_role`);
    else await this.run('delete from facts.broken');
  }

  close() { this.psql.close(); }
}
