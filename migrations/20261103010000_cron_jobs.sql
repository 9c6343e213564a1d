-- Housekeeping on a clock. Maintenance windows are not here: the gateway's own scheduler looks at them every five minutes.

select cron.schedule('cleanup-activity-logs-daily', '0 2 * * *', 'select public.cleanup_activity_logs()');
select cron.schedule('auto-complete-stale-replication-jobs', '*/2 * * * *',
                     'select public.auto_complete_stale_replication_jobs()');
