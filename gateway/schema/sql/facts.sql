-- Small facts of several kinds, told apart by the first column. $1 exposed schemas, $2 extra search path (unused),
-- $3 patterns of function settings to hoist.
with recursive domain(oid, base, depth) as (
    select t.oid, t.typbasetype, 1 from pg_catalog.pg_type t where t.typtype = 'd'
    union all
    select d.oid, t.typbasetype, d.depth + 1
      from domain d
      join pg_catalog.pg_type t on t.oid = d.base and t.typtype = 'd'
),
bottom(oid, base) as (
    select distinct on (oid) oid, base from domain order by oid, depth desc
),
media(oid, name, schema, label) as (
    select t.oid, t.typname, t.typnamespace, case t.typname when '*/*' then 'application/octet-stream' else t.typname end
      from pg_catalog.pg_type t
     where t.typtype = 'd'
       and (t.typname ~* '^[a-z0-9.-]+/[a-z0-9.+-]+$' or t.typname = '*/*')
),
rowtype(oid) as (
    select reltype from pg_catalog.pg_class where relkind in ('r', 'p', 'v', 'm', 'f')
),
relation as materialized (
    select t.oid, t.relowner, t.relacl
      from pg_catalog.pg_class t
      join pg_catalog.pg_namespace s on s.oid = t.relnamespace
     where s.nspname = any ($1::text[])
       and t.relkind in ('r', 'p', 'v', 'm', 'f')
       and not t.relispartition
),
routine as materialized (
    select f.oid, f.proowner, f.proacl
      from pg_catalog.pg_proc f
      join pg_catalog.pg_namespace s on s.oid = f.pronamespace
     where s.nspname = any ($1::text[])
       and f.prokind = 'f'
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
-- types of columns: oid, modifier; name, name of the base that a domain is followed down to, its oid, default of the domain,
-- flags (not null, array, composite, plain); length
select 'type' as kind, u.type::text as a, u.modifier::text as b, pg_catalog.format_type(u.type, u.modifier) as c,
       case
           when bt.typnamespace <> 'pg_catalog'::regnamespace then pg_catalog.format_type(u.type, u.modifier)
           else pg_catalog.format_type(bt.oid, null)
       end as d,
       bt.oid::text as e,
       case when t.typtype = 'd' then pg_catalog.pg_get_expr(t.typdefaultbin, 0) end as f,
       pg_catalog.concat(t.typtype = 'd' and t.typnotnull,
                         bt.typelem <> 0 and bt.typlen = -1,
                         bt.typtype = 'c',
                         bt.typtype in ('b', 'e', 'r', 'm')
                             and (not (bt.typelem <> 0 and bt.typlen = -1)
                                  or bt.oid in ('text[]'::regtype, 'varchar[]'::regtype))
                             and not exists (select from pg_catalog.pg_cast k
                                              where k.castsource = bt.oid and k.casttarget = 'json'::regtype
                                                and k.castmethod = 'f' and bt.oid >= 16384)) as g,
       case
           when m.modifier < 0 then 0
           when m.type in (1042, 1043) then m.modifier - 4
           when m.type in (1560, 1562) then m.modifier
           else 0
       end::bigint as place
  from (select distinct atttypid as type, atttypmod as modifier
          from pg_catalog.pg_attribute
         where attnum > 0 and not attisdropped) u
  join pg_catalog.pg_type t on t.oid = u.type
  left join bottom on bottom.oid = t.oid
  join pg_catalog.pg_type bt on bt.oid = coalesce(bottom.base, t.oid)
 cross join lateral (select case t.typtype when 'd' then t.typtypmod else u.modifier end as modifier,
                            case t.typtype when 'd' then t.typbasetype else t.oid end as type) m
union all
select 'cast', c.castsource::regtype::text, c.casttarget::regtype::text, c.castfunc::regproc::text,
       null, null, null, null, 0
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
   and f.proconfig is not null
   and (c.setting like 'default_transaction_isolation=%' or c.setting ~ any ($3::text[]))
union all
select 'setting', f.oid::text, pg_catalog.split_part(c.setting, '=', 1),
       pg_catalog.substr(c.setting, pg_catalog.strpos(c.setting, '=') + 1), null, null, null, null, c.place
  from pg_catalog.pg_proc f
  join pg_catalog.pg_namespace s on s.oid = f.pronamespace
 cross join lateral pg_catalog.unnest(f.proconfig) with ordinality as c(setting, place)
 where s.nspname = any ($1::text[])
   and f.proconfig is not null
   and c.setting like 'default_transaction_isolation=%' and c.setting ~ any ($3::text[])
union all
-- schemas that the configuration names and the database does not have
select 'missing', n.name, null, null, null, null, null, null, 0
  from pg_catalog.unnest($1::text[]) n(name)
 where not exists (select from pg_catalog.pg_namespace s where s.nspname = n.name)
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
  from pg_catalog.pg_description note
  join pg_catalog.pg_class t on t.oid = note.objoid
  join pg_catalog.pg_namespace s on s.oid = t.relnamespace
  join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
 cross join becomes b
 where note.classoid = 'pg_class'::regclass
   and note.objsubid = 0
   and note.description like '%@basalt.expand_star%'
   and s.nspname = any ($1::text[])
   and t.relkind in ('r', 'p', 'v', 'm', 'f')
   and pg_catalog.has_column_privilege(b.oid, t.oid, a.attnum, 'select')
union all
select 'becomes', b.name, null, null, null, null, null, null, 0
  from becomes b
union all
-- what a role may not use at all: never named to it in a hint. Objects of one owner with the same grants are alike, so one
-- of them is asked about; columns have grants of their own only where pg_attribute says so
select 'hidden', alike.role, t.oid::text, null, null, null, null, null, 0
  from (select b.oid as role_oid, b.name as role, c.owner, c.grants
          from (select r.relowner as owner, r.relacl as grants, min(r.oid) as one
                  from relation r group by r.relowner, r.relacl) c
         cross join becomes b
         where not pg_catalog.has_table_privilege(b.oid, c.one, 'select, insert, update, delete')) alike
  join relation t on t.relowner = alike.owner and t.relacl is not distinct from alike.grants
 where t.oid not in (select a.attrelid from pg_catalog.pg_attribute a where a.attacl is not null)
    or not pg_catalog.has_any_column_privilege(alike.role_oid, t.oid, 'select, insert, update')
union all
select 'hidden_routine', alike.role, f.oid::text, null, null, null, null, null, 0
  from (select b.name as role, c.owner, c.grants
          from (select r.proowner as owner, r.proacl as grants, min(r.oid) as one
                  from routine r group by r.proowner, r.proacl) c
         cross join becomes b
         where not pg_catalog.has_function_privilege(b.oid, c.one, 'execute')) alike
  join routine f on f.proowner = alike.owner and f.proacl is not distinct from alike.grants
order by kind, a, place, b
