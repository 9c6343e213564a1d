create extension if not exists pg_cron;
create extension if not exists pg_net with schema extensions;
create extension if not exists "pgcrypto" with schema extensions;
create extension if not exists "uuid-ossp";
select cron.schedule('nightly', '30 3 * * *', $$delete from public.members where slug = 'old'$$);
select cron.schedule('ping', '*/10 * * * *', $$
  select net.http_post(url := 'http://127.0.0.1:9/ping', headers := '{"Content-Type": "application/json"}'::jsonb,
                       body := jsonb_build_object('at', now())) as request_id;
$$);
select cron.unschedule('ping');
