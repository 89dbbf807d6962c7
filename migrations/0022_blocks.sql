-- A minute after they were stored, segments go into blocks of five minutes: the object and the first byte.

alter table recording_segments
    add column block_key text,
    add column block_at bigint,
    add constraint recording_segments_block_check check ((block_key is null) = (block_at is null));
