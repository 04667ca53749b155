-- The ledger of one UTC day: one row for each metered request. DAY becomes its date.
CREATE TABLE usage_events_DAY (
    number INTEGER PRIMARY KEY,
    -- In usage_organizations.
    organization INTEGER NOT NULL,
    -- Chosen by who reports; the same id is the same event.
    id TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    -- Who and what, in usage_series.
    series INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    -- Whether something in it had no price.
    unpriced INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    -- How much, and the lines of the bill, packed: crates/usage/src/ledger/packed.rs.
    amounts BLOB NOT NULL,
    -- The sum of the bill in nano-dollars.
    amount INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX usage_events_DAY_once ON usage_events_DAY (organization, id);
CREATE INDEX usage_events_DAY_by_time ON usage_events_DAY (timestamp);
CREATE TRIGGER usage_events_DAY_keep_rows BEFORE DELETE ON usage_events_DAY
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER usage_events_DAY_keep_values BEFORE UPDATE ON usage_events_DAY
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
