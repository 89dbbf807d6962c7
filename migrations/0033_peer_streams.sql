-- How a stream's media comes: to a port of its own, or from its participant's peer connection.
alter table streams add column transport text not null default 'rtp' check (transport in ('rtp', 'webrtc'));
