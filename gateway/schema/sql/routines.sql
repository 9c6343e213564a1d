-- Callable functions of the exposed schemas ($1) with what they return.
with recursive domain(oid, base, depth) as (
    select t.oid, t.typbasetype, 1 from pg_catalog.pg_type t where t.typtype = 'd'
    union all
    select d.oid, t.typbasetype, d.depth + 1
      from domain d
      join pg_catalog.pg_type t on t.oid = d.base and t.typtype = 'd'
),
bottom(oid, base) as (
    select distinct on (oid) oid, base from domain order by oid, depth desc
)
select f.oid,
       s.nspname,
       f.proname,
       note.description,
       rs.nspname,
       coalesce(rc.relname, rt.typname),
       rt.oid,
       f.proretset,
       rt.typtype = 'c' or coalesce(f.proargmodes::text[] && '{t,b,o}', false),
       bottom.base is not null,
       rt.typtype in ('b', 'e', 'r', 'm') and not (rt.typelem <> 0 and rt.typlen = -1)
           and not exists (select from pg_catalog.pg_cast k
                            where k.castsource = rt.oid and k.casttarget = 'json'::regtype and k.castmethod = 'f'
                              and rt.oid >= 16384),
       f.provolatile,
       f.provariadic <> 0
  from pg_catalog.pg_proc f
  join pg_catalog.pg_namespace s on s.oid = f.pronamespace
  left join bottom on bottom.oid = f.prorettype
  join pg_catalog.pg_type rt on rt.oid = coalesce(bottom.base, f.prorettype)
  join pg_catalog.pg_namespace rs on rs.oid = rt.typnamespace
  left join pg_catalog.pg_class rc on rc.oid = rt.typrelid
  left join pg_catalog.pg_description note on note.objoid = f.oid and note.objsubid = 0 and note.classoid = 'pg_proc'::regclass
 where s.nspname = any ($1::text[])
   and f.prokind = 'f'
   and rt.oid <> 'trigger'::regtype
 order by f.oid
