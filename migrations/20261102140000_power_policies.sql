-- Who may read and write: pdus, pdu_outlets, server_pdu_mappings.

-- Rows carry SNMP communities and passwords: operators and administrators only.
create policy "Admins and operators can manage pdus" on pdus
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));

-- Was open to anonymous callers, writing included.
create policy "Authenticated users can view pdu_outlets" on pdu_outlets
    for select
    using (auth.uid() is not null);
create policy "Admins and operators can manage pdu_outlets" on pdu_outlets
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));

-- Was open to anonymous callers, writing included.
create policy "Authenticated users can view server_pdu_mappings" on server_pdu_mappings
    for select
    using (auth.uid() is not null);
create policy "Admins and operators can manage server_pdu_mappings" on server_pdu_mappings
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
