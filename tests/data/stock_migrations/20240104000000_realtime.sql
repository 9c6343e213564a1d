alter publication supabase_realtime add table public.members;
create policy "Room members read" on realtime.messages for select to authenticated
  using (realtime.topic() like 'room:%' and extension in ('broadcast', 'presence'));
create policy "Room members write" on realtime.messages for insert to authenticated
  with check (realtime.topic() like 'room:%');
create function public.announce() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  perform realtime.broadcast_changes('room:' || coalesce(new.id, old.id), tg_op, tg_op, tg_table_name, tg_table_schema, new, old);
  return null;
end $$;
create trigger announce after insert or update or delete on public.members for each row execute function public.announce();
