-- Columns of the relations in the exposed schemas ($1), in table order. A domain is followed down to its base.
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
select a.attrelid,
       a.attnum,
       a.attname,
       note.description,
       pg_catalog.format_type(a.atttypid, a.atttypmod),
       case
           when bt.typnamespace <> 'pg_catalog'::regnamespace then pg_catalog.format_type(a.atttypid, a.atttypmod)
           else pg_catalog.format_type(bt.oid, null)
       end,
       a.atttypid,
       bt.oid,
       case
           when t.typtype = 'd' and ad.adbin is null then pg_catalog.pg_get_expr(t.typdefaultbin, 0)
           when a.attidentity = 'd' then (
               select pg_catalog.format('nextval(%L)', q.objid::regclass)
                 from pg_catalog.pg_depend q
                where q.classid = 'pg_class'::regclass and q.refclassid = 'pg_class'::regclass
                  and q.refobjid = a.attrelid and q.refobjsubid = a.attnum and q.deptype = 'i'
                limit 1)
           when a.attgenerated <> '' then null
           else pg_catalog.pg_get_expr(ad.adbin, ad.adrelid)
       end,
       not (a.attnotnull or (t.typtype = 'd' and t.typnotnull)),
       a.attgenerated <> '',
       case
           when (case t.typtype when 'd' then t.typtypmod else a.atttypmod end) < 0 then 0
           when (case t.typtype when 'd' then t.typbasetype else t.oid end) in (1042, 1043)
               then (case t.typtype when 'd' then t.typtypmod else a.atttypmod end) - 4
           when (case t.typtype when 'd' then t.typbasetype else t.oid end) in (1560, 1562)
               then (case t.typtype when 'd' then t.typtypmod else a.atttypmod end)
           else 0
       end,
       bt.typelem <> 0 and bt.typlen = -1,
       bt.typtype = 'c',
       bt.typtype in ('b', 'e', 'r', 'm') and not (bt.typelem <> 0 and bt.typlen = -1)
           and not exists (select from pg_catalog.pg_cast k
                            where k.castsource = bt.oid and k.casttarget = 'json'::regtype and k.castmethod = 'f'
                              and bt.oid >= 16384)
  from pg_catalog.pg_attribute a
  join pg_catalog.pg_class r on r.oid = a.attrelid
  join pg_catalog.pg_namespace s on s.oid = r.relnamespace
  join pg_catalog.pg_type t on t.oid = a.atttypid
  left join bottom on bottom.oid = t.oid
  join pg_catalog.pg_type bt on bt.oid = coalesce(bottom.base, t.oid)
  left join pg_catalog.pg_description note
         on note.objoid = a.attrelid and note.objsubid = a.attnum and note.classoid = 'pg_class'::regclass
  left join pg_catalog.pg_attrdef ad on ad.adrelid = a.attrelid and ad.adnum = a.attnum
 where s.nspname = any ($1::text[])
   and r.relkind in ('r', 'p', 'v', 'm', 'f')
   and not r.relispartition
   and a.attnum > 0
   and not a.attisdropped
 order by a.attrelid, a.attnum
