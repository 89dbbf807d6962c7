-- From Postgres 16 on, who makes a role without being a superuser is its member with ADMIN but without SET or INHERIT:
-- "set role" is refused. It may grant itself both. Roles belong to the whole server, so whoever has been through this
-- before in another database has them already.
do $$
declare
    r text;
begin
    if current_setting('server_version_num')::integer < 160000 then
        return;
    end if;
    foreach r in array array['hansard_app', 'hansard_worker'] loop
        if not pg_has_role(current_user, r, 'set') then
            execute format('grant %I to %I with inherit true, set true', r, current_user);
        end if;
    end loop;
end $$;

-- A transaction that names a tenant sees no other tenant's rows, even if it ran as hansard_worker. The workers' own
-- transactions name none.
do $$
declare
    t text;
begin
    for t in
        select tablename from pg_policies
        where schemaname = 'public' and policyname = 'everyone' and 'hansard_worker' = any(roles)
    loop
        execute format('create policy named on %I as restrictive to hansard_worker using ('
                       'nullif(current_setting(''app.tenant'', true), '''') is null '
                       'or tenant_id = nullif(current_setting(''app.tenant'', true), '''')::uuid)', t);
    end loop;
end $$;
