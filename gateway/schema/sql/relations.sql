-- Tables and views of the exposed schemas ($1). Partitions are reached through their parent.
select r.oid,
       s.nspname,
       r.relname,
       r.relkind,
       note.description,
       -- bits as pg_relation_is_updatable: 4 update, 8 insert, 16 delete
       case
           when r.relkind in ('r', 'p') then 28
           when r.relkind in ('v', 'f') then pg_catalog.pg_relation_is_updatable(r.oid, true)
           else 0
       end
  from pg_catalog.pg_class r
  join pg_catalog.pg_namespace s on s.oid = r.relnamespace
  left join pg_catalog.pg_description note on note.objoid = r.oid and note.objsubid = 0 and note.classoid = 'pg_class'::regclass
 where s.nspname = any ($1::text[])
   and r.relkind in ('r', 'p', 'v', 'm', 'f')
   and not r.relispartition
 order by s.nspname, r.relname
