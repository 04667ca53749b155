-- Series tell apart where usage comes from. SQLite cannot change what is unique in a table, so the table is made again.

CREATE TABLE usage_series_with_source (
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
    -- 'agents_api', or '' for usage without a known source, as all usage was before.
    api_source TEXT NOT NULL,
    UNIQUE (
        organization, kind, project_id, user_id, api_key_id, model, batch, service_tier, size, source, vector_store_id,
        context_level, api_source
    )
) STRICT;

INSERT INTO usage_series_with_source (
    id, organization, kind, project_id, user_id, api_key_id, model, batch, service_tier, size, source, vector_store_id,
    context_level, api_source
)
SELECT id, organization, kind, project_id, user_id, api_key_id, model, batch, service_tier, size, source,
       vector_store_id, context_level, ''
FROM usage_series;

DROP TABLE usage_series;
ALTER TABLE usage_series_with_source RENAME TO usage_series;
CREATE INDEX usage_series_in_order ON usage_series (organization, id);
