-- Input parameters of the functions in the exposed schemas ($1), in call order.
select f.oid,
       coalesce(p.name, ''),
       p.type::regtype,
       -- length-limited types would cut what is cast to them
       case p.type
           when 'bit'::regtype then 'bit varying'
           when 'bit[]'::regtype then 'bit varying[]'
           when 'character'::regtype then 'character varying'
           when 'character[]'::regtype then 'character varying[]'
           else p.type::regtype::text
       end,
       p.type,
       p.place <= f.pronargs - f.pronargdefaults,
       p.mode = 'v'
  from pg_catalog.pg_proc f
  join pg_catalog.pg_namespace s on s.oid = f.pronamespace
 cross join lateral (
           select q.name, q.type, coalesce(q.mode, 'i') as mode, pg_catalog.row_number() over (order by q.slot) as place
             from rows from (pg_catalog.unnest(coalesce(f.proallargtypes, f.proargtypes::oid[])),
                             pg_catalog.unnest(f.proargnames),
                             pg_catalog.unnest(f.proargmodes))
                  with ordinality as q(type, name, mode, slot)
            where q.type is not null
              and coalesce(q.mode, 'i') in ('i', 'b', 'v')
       ) p
 where s.nspname = any ($1::text[])
   and f.prokind = 'f'
 order by f.oid, p.place
