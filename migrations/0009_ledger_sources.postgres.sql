-- Rows of the ledger whose reported ids have keys of their own, and rows that the ledger did not take.

-- Whether rows that were reported may have keys without a prefix: all tables that are there now.
ALTER TABLE usage_partitions ADD COLUMN bare_ids BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE usage_partitions SET bare_ids = TRUE;
-- Whether a day that was dropped has a table again, since rows came that were to be kept.
ALTER TABLE usage_partitions ADD COLUMN remade BOOLEAN NOT NULL DEFAULT FALSE;

-- The gateway's own events that the ledger refused, until it takes them.
CREATE TABLE usage_set_aside (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    set_aside_at BIGINT NOT NULL,
    -- What the database said.
    reason TEXT NOT NULL,
    -- The event as JSON: crates/usage/src/set_aside.rs.
    event BYTEA NOT NULL
);

-- What project keys have reported on a day (UTC) of their reports.
CREATE TABLE usage_reports (
    -- Its first second.
    day BIGINT NOT NULL,
    organization_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    api_key_id TEXT NOT NULL,
    events BIGINT NOT NULL,
    -- In nano-dollars.
    amount BIGINT NOT NULL,
    PRIMARY KEY (organization_id, project_id, day, api_key_id)
);
