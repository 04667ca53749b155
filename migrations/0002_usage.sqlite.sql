-- STRICT tables, because elsewhere SQLite lets a sum that is too large become an inexact floating-point number.

-- Every combination of dimensions that occurs; '' where a dimension does not apply.
CREATE TABLE usage_series (
    id INTEGER PRIMARY KEY,
    organization_id TEXT NOT NULL,
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
        organization_id, kind, project_id, user_id, api_key_id, model, batch, service_tier, size, source,
        vector_store_id, context_level
    )
) STRICT;

-- Sums of usage_events by the start of their minute, hour and UTC day. NULL only where nothing was reported.
CREATE TABLE usage_minutes (
    bucket INTEGER NOT NULL,
    series_id INTEGER NOT NULL,
    input_tokens INTEGER,
    output_tokens INTEGER,
    num_model_requests INTEGER,
    input_cached_tokens INTEGER,
    input_cache_write_tokens INTEGER,
    input_uncached_tokens INTEGER,
    input_text_tokens INTEGER,
    output_text_tokens INTEGER,
    input_cached_text_tokens INTEGER,
    input_audio_tokens INTEGER,
    input_cached_audio_tokens INTEGER,
    output_audio_tokens INTEGER,
    input_image_tokens INTEGER,
    input_cached_image_tokens INTEGER,
    output_image_tokens INTEGER,
    images INTEGER,
    characters INTEGER,
    seconds INTEGER,
    usage_bytes INTEGER,
    num_sessions INTEGER,
    num_requests INTEGER,
    PRIMARY KEY (bucket, series_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_hours (
    bucket INTEGER NOT NULL,
    series_id INTEGER NOT NULL,
    input_tokens INTEGER,
    output_tokens INTEGER,
    num_model_requests INTEGER,
    input_cached_tokens INTEGER,
    input_cache_write_tokens INTEGER,
    input_uncached_tokens INTEGER,
    input_text_tokens INTEGER,
    output_text_tokens INTEGER,
    input_cached_text_tokens INTEGER,
    input_audio_tokens INTEGER,
    input_cached_audio_tokens INTEGER,
    output_audio_tokens INTEGER,
    input_image_tokens INTEGER,
    input_cached_image_tokens INTEGER,
    output_image_tokens INTEGER,
    images INTEGER,
    characters INTEGER,
    seconds INTEGER,
    usage_bytes INTEGER,
    num_sessions INTEGER,
    num_requests INTEGER,
    PRIMARY KEY (bucket, series_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_days (
    bucket INTEGER NOT NULL,
    series_id INTEGER NOT NULL,
    input_tokens INTEGER,
    output_tokens INTEGER,
    num_model_requests INTEGER,
    input_cached_tokens INTEGER,
    input_cache_write_tokens INTEGER,
    input_uncached_tokens INTEGER,
    input_text_tokens INTEGER,
    output_text_tokens INTEGER,
    input_cached_text_tokens INTEGER,
    input_audio_tokens INTEGER,
    input_cached_audio_tokens INTEGER,
    output_audio_tokens INTEGER,
    input_image_tokens INTEGER,
    input_cached_image_tokens INTEGER,
    output_image_tokens INTEGER,
    images INTEGER,
    characters INTEGER,
    seconds INTEGER,
    usage_bytes INTEGER,
    num_sessions INTEGER,
    num_requests INTEGER,
    PRIMARY KEY (bucket, series_id)
) STRICT, WITHOUT ROWID;

-- Sums of their bills, in nano-dollars.
CREATE TABLE cost_hours (
    bucket INTEGER NOT NULL,
    series_id INTEGER NOT NULL,
    line_item TEXT NOT NULL,
    -- What quantity counts; '' where the contract has no word for it.
    unit TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (bucket, series_id, line_item)
) STRICT, WITHOUT ROWID;

CREATE TABLE cost_days (
    bucket INTEGER NOT NULL,
    series_id INTEGER NOT NULL,
    line_item TEXT NOT NULL,
    -- What quantity counts; '' where the contract has no word for it.
    unit TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (bucket, series_id, line_item)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER usage_events_keep_rows BEFORE DELETE ON usage_events
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER usage_events_keep_values BEFORE UPDATE ON usage_events
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
