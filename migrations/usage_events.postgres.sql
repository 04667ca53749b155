-- The ledger of one UTC day: one row for each metered request. DAY becomes its date.
CREATE TABLE usage_events_DAY (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- In usage_organizations.
    organization BIGINT NOT NULL,
    -- Chosen by who reports; the same id is the same event.
    id TEXT NOT NULL,
    timestamp BIGINT NOT NULL,
    recorded_at BIGINT NOT NULL,
    -- Who and what, in usage_series.
    series BIGINT NOT NULL,
    estimated BOOLEAN NOT NULL,
    -- Whether something in it had no price.
    unpriced BOOLEAN NOT NULL,
    outcome TEXT NOT NULL,
    -- How much, and the lines of the bill, packed: crates/usage/src/ledger/packed.rs.
    amounts BYTEA NOT NULL,
    -- The sum of the bill in nano-dollars.
    amount BIGINT NOT NULL
);
CREATE UNIQUE INDEX usage_events_DAY_once ON usage_events_DAY (organization, id);
CREATE INDEX usage_events_DAY_by_time ON usage_events_DAY (timestamp);
CREATE TRIGGER usage_events_DAY_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON usage_events_DAY
FOR EACH STATEMENT EXECUTE FUNCTION usage_events_refuse_change();
