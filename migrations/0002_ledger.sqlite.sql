-- The ledger's parts, what it tells apart, and its sums. The ledger itself is one table for each day: usage_events.sqlite.sql.
-- STRICT tables, because elsewhere SQLite lets a number that is too large become an inexact floating-point one.

-- Organizations, by number.
CREATE TABLE usage_organizations (
    number INTEGER PRIMARY KEY,
    organization_id TEXT NOT NULL UNIQUE
) STRICT;

-- The days that have, or had, a table; each day by its first second (UTC).
CREATE TABLE usage_partitions (
    day INTEGER PRIMARY KEY,
    -- Whether its table is gone because it is too old. It is never made again: its sums could count an event twice.
    dropped INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Every combination of dimensions that occurs, and those that sums over some of them need; '' where one does not apply.
CREATE TABLE usage_series (
    id INTEGER PRIMARY KEY,
    organization INTEGER NOT NULL,
    -- A report, or 'costs': then `model` is the line item.
    kind TEXT NOT NULL,
    project_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    api_key_id TEXT NOT NULL,
    model TEXT NOT NULL,
    batch INTEGER NOT NULL,
    service_tier TEXT NOT NULL,
    size TEXT NOT NULL,
    source TEXT NOT NULL,
    vector_store_id TEXT NOT NULL,
    context_level TEXT NOT NULL,
    UNIQUE (
        organization, kind, project_id, user_id, api_key_id, model, batch, service_tier, size, source, vector_store_id,
        context_level
    )
) STRICT;
CREATE INDEX usage_series_in_order ON usage_series (organization, id);

-- Sums of the ledger in blocks: docs/decisions/0010-blocks.md.
CREATE TABLE usage_sums (
    id INTEGER PRIMARY KEY,
    organization INTEGER NOT NULL,
    -- By what width and by which dimensions.
    shape TEXT NOT NULL,
    -- The first second of the span that its buckets lie in; 0 where they lie anywhere.
    period INTEGER NOT NULL,
    -- How often its rows were merged.
    tier INTEGER NOT NULL,
    data BLOB NOT NULL
) STRICT;
CREATE INDEX usage_sums_by_period ON usage_sums (organization, shape, period);

-- The sums of bills by calendar month (UTC) and project, in nano-dollars: what spend limits and spend alerts go by.
CREATE TABLE spend_months (
    -- Its first second.
    month INTEGER NOT NULL,
    organization_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    amount INTEGER NOT NULL,
    -- Grows with every change, so that whoever keeps a copy knows when it is old.
    changes INTEGER NOT NULL,
    PRIMARY KEY (month, organization_id, project_id)
) STRICT, WITHOUT ROWID;
