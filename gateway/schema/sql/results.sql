-- Columns of the rows that functions of the exposed schemas ($1) return where no table has them: OUT and TABLE
-- parameters, and composite types of their own.
select f.oid, c.place, c.name, c.type::regtype,
       t.typtype in ('b', 'e', 'r', 'm') and not (t.typelem <> 0 and t.typlen = -1)
           and not exists (select from pg_catalog.pg_cast k
                            where k.castsource = t.oid and k.casttarget = 'json'::regtype and k.castmethod = 'f'
                              and t.oid >= 16384)
  from pg_catalog.pg_proc f
  join pg_catalog.pg_namespace s on s.oid = f.pronamespace
 cross join lateral (
           select q.slot as place, q.name, q.type
             from rows from (pg_catalog.unnest(f.proallargtypes),
                             pg_catalog.unnest(f.proargnames),
                             pg_catalog.unnest(f.proargmodes))
                  with ordinality as q(type, name, mode, slot)
            where f.prorettype = 'record'::regtype
              and q.mode in ('t', 'o', 'b')
           union all
           select a.attnum, a.attname, a.atttypid
             from pg_catalog.pg_type rt
             join pg_catalog.pg_class rc on rc.oid = rt.typrelid and rc.relkind = 'c'
             join pg_catalog.pg_attribute a on a.attrelid = rc.oid and a.attnum > 0 and not a.attisdropped
            where rt.oid = f.prorettype
       ) c
  join pg_catalog.pg_type t on t.oid = c.type
 where s.nspname = any ($1::text[])
   and f.prokind = 'f'
 order by f.oid, c.place
