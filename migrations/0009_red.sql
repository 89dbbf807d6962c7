-- Redundant audio data (RFC 2198) that holds a stream's packets.

alter table streams add column red_payload_type integer;
