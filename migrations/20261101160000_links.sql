-- Foreign keys that point to a table of a later field: these fields refer to each other in circles.

alter table credential_sets add constraint credential_sets_vcenter_host_id_fkey foreign key (vcenter_host_id)
        references vcenter_hosts (id) on delete set null;

alter table ssh_key_deployments add constraint ssh_key_deployments_replication_target_id_fkey foreign key (replication_target_id)
        references replication_targets (id) on delete cascade;
alter table ssh_key_deployments add constraint ssh_key_deployments_zfs_template_id_fkey foreign key (zfs_template_id)
        references zfs_target_templates (id) on delete cascade;

alter table vcenters add constraint vcenters_default_zfs_template_id_fkey foreign key (default_zfs_template_id)
        references zfs_target_templates (id) on delete set null;

alter table vcenter_hosts add constraint vcenter_hosts_server_id_fkey foreign key (server_id)
        references servers (id) on delete set null;

alter table vcenter_datastores add constraint vcenter_datastores_replication_target_id_fkey foreign key (replication_target_id)
        references replication_targets (id);

alter table servers add constraint servers_discovery_job_id_fkey foreign key (discovery_job_id)
        references jobs (id) on delete set null;

alter table server_firmware_inventory add constraint server_firmware_inventory_job_id_fkey foreign key (job_id)
        references jobs (id) on delete set null;

alter table server_boot_config_history add constraint server_boot_config_history_job_id_fkey foreign key (job_id)
        references jobs (id);

alter table cluster_safety_checks add constraint cluster_safety_checks_scheduled_check_id_fkey foreign key (scheduled_check_id)
        references scheduled_safety_checks (id);

alter table server_group_safety_checks add constraint server_group_safety_checks_scheduled_check_id_fkey foreign key (scheduled_check_id)
        references scheduled_safety_checks (id);

alter table replication_targets add constraint replication_targets_agent_id_fkey foreign key (agent_id)
        references zfs_agents (id) on delete set null;
alter table replication_targets add constraint replication_targets_protection_group_id_fkey foreign key (protection_group_id)
        references protection_groups (id) on delete set null;

alter table protection_groups add constraint protection_groups_active_failover_event_fkey foreign key (active_failover_event_id)
        references failover_events (id) on delete set null;
