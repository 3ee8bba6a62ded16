-- A turn whose worker has the history needs its size, and should not have to read it.

ALTER TABLE progress ADD COLUMN history_bytes INTEGER NOT NULL DEFAULT 0;

UPDATE progress SET history_bytes = (
    SELECT coalesce(sum(length(events)), 0) FROM history
    WHERE history.hub = progress.hub AND history.instance_id = progress.instance_id
);
