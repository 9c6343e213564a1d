insert into storage.buckets (id, name, public) values ('avatars', 'avatars', true) on conflict (id) do nothing;
create policy "Avatars are public" on storage.objects for select using (bucket_id = 'avatars');
create policy "Own folder" on storage.objects for insert to authenticated
  with check (bucket_id = 'avatars' and (storage.foldername(name))[1] = auth.uid()::text
              and storage.extension(name) in ('png', 'jpg') and storage.filename(name) <> '');
