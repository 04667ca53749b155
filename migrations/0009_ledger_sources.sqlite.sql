-- Rows of the ledger whose reported ids have keys of their own, and rows that the ledger did not take.

-- Whether rows that were reported may have keys without a prefix: all tables that are there now.
ALTER TABLE usage_partitions ADD COLUMN bare_ids INTEGER NOT NULL DEFAULT 0;
UPDATE usage_partitions SET bare_ids = 1;
-- Whether a day that was dropped has a table again, since rows came that were to be kept.
ALTER TABLE usage_partitions ADD COLUMN remade INTEGER NOT NULL DEFAULT 0;

-- The gateway's own events that the ledger refused, until it takes them.
CREATE TABLE usage_set_aside (
    number INTEGER PRIMARY KEY,
    set_aside_at INTEGER NOT NULL,
    -- What the database said.
    reason TEXT NOT NULL,
    -- The event as JSON: crates/usage/src/set_aside.rs.
    event BLOB NOT NULL
) STRICT;

-- What project keys have reported on a day (UTC) of their reports.
CREATE TABLE usage_reports (
    -- Its first second.
    day INTEGER NOT NULL,
    organization_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    api_key_id TEXT NOT NULL,
    events INTEGER NOT NULL,
    -- In nano-dollars.
    amount INTEGER NOT NULL,
    PRIMARY KEY (organization_id, project_id, day, api_key_id)
) STRICT, WITHOUT ROWID;
