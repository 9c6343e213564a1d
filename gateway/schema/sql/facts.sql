-- Small facts of several kinds, told apart by the first column. $1 exposed schemas, $2 extra search path (unused),
-- $3 patterns of function settings to hoist.
with media(oid, name, schema, label) as (
    select t.oid, t.typname, t.typnamespace, case t.typname when '*/*' then 'application/octet-stream' else t.typname end
      from pg_catalog.pg_type t
     where t.typtype = 'd'
       and (t.typname ~* '^[a-z0-9.-]+/[a-z0-9.+-]+$' or t.typname = '*/*')
),
rowtype(oid) as (
    select reltype from pg_catalog.pg_class where relkind in ('r', 'p', 'v', 'm', 'f')
),
-- roles that this login may become; a superuser may become any, of those the ones granted to it and those without a
-- login of their own count
becomes(oid, name) as (
    select r.oid, r.rolname
      from pg_catalog.pg_roles r
      join pg_catalog.pg_roles me on me.rolname = current_user
     where r.oid = me.oid
        or r.oid in (select m.roleid from pg_catalog.pg_auth_members m where m.member = me.oid)
        or me.rolsuper and not r.rolcanlogin and r.rolname !~ '^pg_'
        or not me.rolsuper and r.rolname !~ '^pg_' and pg_catalog.pg_has_role(me.oid, r.oid, 'member')
)
select 'cast' as kind, c.castsource::regtype::text as a, c.casttarget::regtype::text as b, c.castfunc::regproc::text as c,
       null as d, null as e, null as f, null as g, 0::bigint as place
  from pg_catalog.pg_cast c
  join pg_catalog.pg_type st on st.oid = c.castsource
  join pg_catalog.pg_type tt on tt.oid = c.casttarget
 where c.castcontext = 'i'
   and c.castmethod = 'f'
   and (st.typtype = 'd' and c.casttarget in ('json'::regtype, 'text'::regtype)
        or tt.typtype = 'd' and c.castsource in ('json'::regtype, 'text'::regtype))
   and pg_catalog.has_function_privilege(c.castfunc, 'execute')
union all
-- aggregates over a relation's rows (or anyelement) that return a media type
select 'media', hs.nspname, h.proname, ts.nspname, t.typname, pg_catalog.lower(m.name), m.label,
       (t.oid = 'anyelement'::regtype)::text, 0
  from pg_catalog.pg_proc h
  join media m on m.oid = h.prorettype
  join pg_catalog.pg_namespace hs on hs.oid = h.pronamespace
  join pg_catalog.pg_type t on t.oid = h.proargtypes[0]
  join pg_catalog.pg_namespace ts on ts.oid = t.typnamespace
 where h.prokind = 'a'
   and h.pronargs = 1
   and hs.nspname = any ($1::text[])
   and (t.oid = 'anyelement'::regtype or t.oid in (select oid from rowtype))
union all
-- functions whose one value is already of a media type
select 'media', ds.nspname, m.name, hs.nspname, h.proname, pg_catalog.lower(m.name), m.label, 'false', 0
  from pg_catalog.pg_proc h
  join media m on m.oid = h.prorettype
  join pg_catalog.pg_namespace hs on hs.oid = h.pronamespace
  join pg_catalog.pg_namespace ds on ds.oid = m.schema
 where h.prokind = 'f'
   and not h.proretset
   and hs.nspname = any ($1::text[])
union all
-- functions from a row to rows: computed relationships
select 'computed', fs.nspname, f.proname, xs.nspname, x.typname, ys.nspname, y.typname,
       (not f.proretset or f.prorows = 1)::text, 0
  from pg_catalog.pg_proc f
  join pg_catalog.pg_namespace fs on fs.oid = f.pronamespace
  join pg_catalog.pg_type x on x.oid = f.proargtypes[0]
  join pg_catalog.pg_namespace xs on xs.oid = x.typnamespace
  join pg_catalog.pg_type y on y.oid = f.prorettype
  join pg_catalog.pg_namespace ys on ys.oid = y.typnamespace
 where f.pronargs = 1
   and x.oid in (select oid from rowtype)
   and y.oid in (select oid from rowtype)
union all
select 'enum', e.enumtypid::text, e.enumlabel, null, null, null, null, null,
       pg_catalog.row_number() over (order by e.enumtypid, e.enumsortorder)
  from pg_catalog.pg_enum e
union all
-- SET clauses of functions: isolation, and those to be hoisted
select case when c.setting like 'default_transaction_isolation=%' then 'isolation' else 'setting' end,
       f.oid::text, pg_catalog.split_part(c.setting, '=', 1),
       pg_catalog.substr(c.setting, pg_catalog.strpos(c.setting, '=') + 1), null, null, null, null, c.place
  from pg_catalog.pg_proc f
  join pg_catalog.pg_namespace s on s.oid = f.pronamespace
 cross join lateral pg_catalog.unnest(f.proconfig) with ordinality as c(setting, place)
 where s.nspname = any ($1::text[])
   and (c.setting like 'default_transaction_isolation=%' or c.setting ~ any ($3::text[]))
union all
select 'setting', f.oid::text, pg_catalog.split_part(c.setting, '=', 1),
       pg_catalog.substr(c.setting, pg_catalog.strpos(c.setting, '=') + 1), null, null, null, null, c.place
  from pg_catalog.pg_proc f
  join pg_catalog.pg_namespace s on s.oid = f.pronamespace
 cross join lateral pg_catalog.unnest(f.proconfig) with ordinality as c(setting, place)
 where s.nspname = any ($1::text[])
   and c.setting like 'default_transaction_isolation=%' and c.setting ~ any ($3::text[])
union all
-- settings of the roles that this login may become
select 'role', r.rolname, pg_catalog.split_part(c.setting, '=', 1),
       pg_catalog.substr(c.setting, pg_catalog.strpos(c.setting, '=') + 1), null, null, null, null, c.place
  from pg_catalog.pg_auth_members m
  join pg_catalog.pg_roles me on me.oid = m.member and me.rolname = current_user
  join pg_catalog.pg_roles r on r.oid = m.roleid
 cross join lateral pg_catalog.unnest(r.rolconfig) with ordinality as c(setting, place)
  join pg_catalog.pg_settings k on k.name = pg_catalog.split_part(c.setting, '=', 1)
 where k.context = 'user' /*15 or pg_catalog.has_parameter_privilege(me.oid, k.name, 'set') 15*/
union all
-- readable columns of the tables marked for it
select 'readable', a.attrelid::text, b.name, a.attname, null, null, null, null, a.attnum
  from pg_catalog.pg_class t
  join pg_catalog.pg_namespace s on s.oid = t.relnamespace
  join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
 cross join becomes b
 where s.nspname = any ($1::text[])
   and t.relkind in ('r', 'p', 'v', 'm', 'f')
   and pg_catalog.obj_description(t.oid, 'pg_class') like '%@basalt.expand_star%'
   and pg_catalog.has_column_privilege(b.oid, t.oid, a.attnum, 'select')
union all
select 'becomes', b.name, null, null, null, null, null, null, 0
  from becomes b
union all
-- what a role may not use at all: never named to it in a hint
select 'hidden', b.name, t.oid::text, null, null, null, null, null, 0
  from pg_catalog.pg_class t
  join pg_catalog.pg_namespace s on s.oid = t.relnamespace
 cross join becomes b
 where s.nspname = any ($1::text[])
   and t.relkind in ('r', 'p', 'v', 'm', 'f')
   and not t.relispartition
   and not pg_catalog.has_table_privilege(b.oid, t.oid, 'select, insert, update, delete')
   and not pg_catalog.has_any_column_privilege(b.oid, t.oid, 'select, insert, update')
union all
select 'hidden_routine', b.name, f.oid::text, null, null, null, null, null, 0
  from pg_catalog.pg_proc f
  join pg_catalog.pg_namespace s on s.oid = f.pronamespace
 cross join becomes b
 where s.nspname = any ($1::text[])
   and f.prokind = 'f'
   and not pg_catalog.has_function_privilege(b.oid, f.oid, 'execute')
order by kind, a, place, b
