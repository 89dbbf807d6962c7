-- Whether its sender says that a stream is silent on purpose.
alter table streams add column is_muted boolean not null default false;
