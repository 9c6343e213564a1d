-- One row per column of each primary, unique and foreign key of any user schema.
with pair as materialized (
    select k.*, p.own, p.other, p.place
      from pg_catalog.pg_constraint k
     cross join lateral rows from (pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.confkey))
                        with ordinality as p(own, other, place)
     where k.contype in ('p', 'u', 'f')
)
select k.oid,
       k.contype,
       k.conname,
       k.conparentid = 0,
       k.conrelid,
       s.nspname,
       r.relname,
       r.relkind,
       a.attnum,
       a.attname,
       k.confrelid,
       fs.nspname,
       fr.relname,
       fa.attnum,
       fa.attname
  from pair k
  join pg_catalog.pg_class r on r.oid = k.conrelid
  join pg_catalog.pg_namespace s on s.oid = r.relnamespace
  join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = k.own
  left join pg_catalog.pg_class fr on fr.oid = k.confrelid
  left join pg_catalog.pg_namespace fs on fs.oid = fr.relnamespace
  left join pg_catalog.pg_attribute fa on fa.attrelid = k.confrelid and fa.attnum = k.other
 where s.nspname not in ('pg_catalog', 'information_schema')
 order by k.conrelid, k.conname, k.oid, k.place
