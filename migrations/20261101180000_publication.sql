-- Every table whose changes the interface subscribes to.

alter publication supabase_realtime add table
    executor_heartbeats,
    failover_events,
    idrac_commands,
    job_tasks,
    jobs,
    maintenance_windows,
    protected_vms,
    protection_groups,
    replication_jobs,
    replication_targets,
    server_memory,
    servers,
    vcenter_alarms,
    vcenter_clusters,
    vcenter_datastore_hosts,
    vcenter_datastores,
    vcenter_hosts,
    vcenter_networks,
    vcenter_vms,
    vcenters,
    workflow_executions;
