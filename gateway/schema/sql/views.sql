-- Rewrite rules of views in the exposed schemas ($1) and the extra search path ($2), to trace their columns.
select v.oid, s.nspname = any ($1::text[]), w.ev_action::text
  from pg_catalog.pg_rewrite w
  join pg_catalog.pg_class v on v.oid = w.ev_class
  join pg_catalog.pg_namespace s on s.oid = v.relnamespace
 where v.relkind in ('v', 'm')
   and w.rulename = '_RETURN'
   and s.nspname = any ($1::text[] || $2::text[])
 order by v.oid
