-- The list of a host's meetings names the tenant, too: its index begins with both.
create index meetings_tenant_host_list on meetings (tenant_id, host_id, list_time desc, id desc);
drop index meetings_host_list;
