// Where an answer differs from the original's on purpose. `entry` overrides what is expected; it must really differ.
const TYPES = 'firmware_update, discovery_scan, vcenter_sync, full_server_update, test_credentials, power_action, health_check, '
  + 'fetch_event_logs, boot_configuration, virtual_media_mount, virtual_media_unmount, bios_config_read, bios_config_write, '
  + 'scp_export, scp_import, vcenter_connectivity_test, openmanage_sync, console_launch, esxi_preflight_check, '
  + 'cluster_safety_check, server_group_safety_check, iso_upload, scan_local_isos, register_iso_url, browse_datastore, '
  + 'catalog_sync, esxi_then_firmware, esxi_upgrade, firmware_then_esxi, firmware_upload, prepare_host_for_update, '
  + 'rolling_cluster_update, verify_host_after_update, idrac_network_read, idrac_network_write, firmware_inventory_scan';

export const differences = {
  'break-glass-authenticate: 401 wrong password': {
    reason: 'one text for unknown, sleeping and wrong, so that accounts cannot be probed',
    entry: { error: 'Invalid credentials or account not active' },
  },
  'create-job: 400 bad job_type': {
    reason: 'firmware_inventory_scan, which the interface sends, is one more type', entry: { error: `Invalid job_type. Must be one of: ${TYPES}` },
  },
};
