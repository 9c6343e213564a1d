-- Types of the product, and the trigger function that keeps updated_at.

create type app_role as enum (
    'admin', 'operator', 'viewer'
);

create type credential_type as enum (
    'idrac', 'esxi'
);

create type job_status as enum (
    'pending', 'running', 'completed', 'failed', 'cancelled', 'paused'
);

create type job_type as enum (
    'firmware_update', 'discovery_scan', 'vcenter_sync', 'full_server_update', 'test_credentials',
    'power_action', 'health_check', 'fetch_event_logs', 'boot_configuration', 'virtual_media_mount',
    'virtual_media_unmount', 'bios_config_read', 'bios_config_write', 'scp_export', 'scp_import',
    'vcenter_connectivity_test', 'openmanage_sync', 'cluster_safety_check', 'prepare_host_for_update',
    'verify_host_after_update', 'rolling_cluster_update', 'server_group_safety_check', 'iso_upload',
    'console_launch', 'firmware_upload', 'catalog_sync', 'scan_local_isos', 'register_iso_url',
    'esxi_upgrade', 'esxi_then_firmware', 'firmware_then_esxi', 'browse_datastore',
    'esxi_preflight_check', 'idm_authenticate', 'idm_sync_users', 'idm_test_connection',
    'firmware_inventory_scan', 'idm_search_groups', 'idm_test_auth', 'idm_network_check',
    'idm_search_ad_groups', 'idm_search_ad_users', 'idm_test_ad_connection', 'idrac_network_read',
    'idrac_network_write', 'storage_vmotion', 'deploy_zfs_target', 'copy_template_cross_vcenter',
    'ssh_key_deploy', 'ssh_key_verify', 'ssh_key_remove', 'ssh_key_rotate', 'ssh_key_health_check',
    'validate_zfs_template', 'test_replication_pair', 'pause_protection_group',
    'resume_protection_group', 'test_failover', 'live_failover', 'commit_failover', 'rollback_failover',
    'collect_replication_metrics', 'run_replication_sync', 'prepare_zfs_template', 'onboard_zfs_target',
    'test_ssh_connection', 'detect_disks', 'retry_onboard_step', 'rollback_zfs_onboard',
    'sync_protection_config', 'clone_zfs_template', 'partial_vcenter_sync', 'inspect_zfs_appliance',
    'decommission_zfs_target', 'manage_datastore', 'scan_datastore_status', 'exchange_ssh_keys',
    'check_zfs_target_health', 'repair_zfs_pool', 'repair_cross_site_ssh', 'repair_syncoid_cron',
    'create_dr_shell', 'scheduled_replication_check', 'rpo_monitoring', 'failover_preflight_check',
    'group_failover', 'scheduled_vcenter_sync', 'repair_data_transfer', 'repair_nfs_export',
    'pdu_test_connection', 'pdu_outlet_control', 'pdu_sync_status', 'pdu_discover'
);

create type operation_type as enum (
    'idrac_api', 'vcenter_api', 'openmanage_api', 'ldap_api', 'ssh_command', 'idrac_api_fallback',
    'session_create', 'session_delete', 'pdu_api'
);

create function update_updated_at_column() returns trigger
language plpgsql set search_path = public, pg_temp as $$
begin
    new.updated_at := now();
    return new;
end
$$;
