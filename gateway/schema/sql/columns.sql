-- Columns of the relations in the exposed schemas ($1), in table order. What follows from a column's type is in facts.sql,
-- once for each type and modifier.
select a.attrelid,
       a.attnum,
       a.attname,
       note.description,
       a.atttypid,
       a.atttypmod,
       case
           when a.attidentity = 'd' then (
               select pg_catalog.format('nextval(%L)', q.objid::regclass)
                 from pg_catalog.pg_depend q
                where q.classid = 'pg_class'::regclass and q.refclassid = 'pg_class'::regclass
                  and q.refobjid = a.attrelid and q.refobjsubid = a.attnum and q.deptype = 'i'
                limit 1)
           when a.attgenerated <> '' then null
           else pg_catalog.pg_get_expr(ad.adbin, ad.adrelid)
       end,
       not a.attnotnull,
       a.attgenerated <> ''
  from pg_catalog.pg_attribute a
  join pg_catalog.pg_class r on r.oid = a.attrelid
  join pg_catalog.pg_namespace s on s.oid = r.relnamespace
  left join pg_catalog.pg_description note
         on note.objoid = a.attrelid and note.objsubid = a.attnum and note.classoid = 'pg_class'::regclass
  left join pg_catalog.pg_attrdef ad on ad.adrelid = a.attrelid and ad.adnum = a.attnum
 where s.nspname = any ($1::text[])
   and r.relkind in ('r', 'p', 'v', 'm', 'f')
   and not r.relispartition
   and a.attnum > 0
   and not a.attisdropped
 order by a.attrelid, a.attnum
