-- The sums, and what they are sums of.

-- Every combination of dimensions that occurs; '' where a dimension does not apply.
CREATE TABLE usage_series (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    project_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    api_key_id TEXT NOT NULL,
    model TEXT NOT NULL,
    batch BOOLEAN NOT NULL,
    service_tier TEXT NOT NULL,
    size TEXT NOT NULL,
    source TEXT NOT NULL,
    vector_store_id TEXT NOT NULL,
    context_level TEXT NOT NULL,
    UNIQUE (
        organization_id, kind, project_id, user_id, api_key_id, model, batch, service_tier, size, source,
        vector_store_id, context_level
    )
);

-- Sums of usage_events by the start of their minute, hour and UTC day. NULL only where nothing was reported.
CREATE TABLE usage_minutes (
    bucket BIGINT NOT NULL,
    series_id BIGINT NOT NULL,
    input_tokens BIGINT,
    output_tokens BIGINT,
    num_model_requests BIGINT,
    input_cached_tokens BIGINT,
    input_cache_write_tokens BIGINT,
    input_uncached_tokens BIGINT,
    input_text_tokens BIGINT,
    output_text_tokens BIGINT,
    input_cached_text_tokens BIGINT,
    input_audio_tokens BIGINT,
    input_cached_audio_tokens BIGINT,
    output_audio_tokens BIGINT,
    input_image_tokens BIGINT,
    input_cached_image_tokens BIGINT,
    output_image_tokens BIGINT,
    images BIGINT,
    characters BIGINT,
    seconds BIGINT,
    usage_bytes BIGINT,
    num_sessions BIGINT,
    num_requests BIGINT,
    PRIMARY KEY (bucket, series_id)
);

CREATE TABLE usage_hours (
    bucket BIGINT NOT NULL,
    series_id BIGINT NOT NULL,
    input_tokens BIGINT,
    output_tokens BIGINT,
    num_model_requests BIGINT,
    input_cached_tokens BIGINT,
    input_cache_write_tokens BIGINT,
    input_uncached_tokens BIGINT,
    input_text_tokens BIGINT,
    output_text_tokens BIGINT,
    input_cached_text_tokens BIGINT,
    input_audio_tokens BIGINT,
    input_cached_audio_tokens BIGINT,
    output_audio_tokens BIGINT,
    input_image_tokens BIGINT,
    input_cached_image_tokens BIGINT,
    output_image_tokens BIGINT,
    images BIGINT,
    characters BIGINT,
    seconds BIGINT,
    usage_bytes BIGINT,
    num_sessions BIGINT,
    num_requests BIGINT,
    PRIMARY KEY (bucket, series_id)
);

CREATE TABLE usage_days (
    bucket BIGINT NOT NULL,
    series_id BIGINT NOT NULL,
    input_tokens BIGINT,
    output_tokens BIGINT,
    num_model_requests BIGINT,
    input_cached_tokens BIGINT,
    input_cache_write_tokens BIGINT,
    input_uncached_tokens BIGINT,
    input_text_tokens BIGINT,
    output_text_tokens BIGINT,
    input_cached_text_tokens BIGINT,
    input_audio_tokens BIGINT,
    input_cached_audio_tokens BIGINT,
    output_audio_tokens BIGINT,
    input_image_tokens BIGINT,
    input_cached_image_tokens BIGINT,
    output_image_tokens BIGINT,
    images BIGINT,
    characters BIGINT,
    seconds BIGINT,
    usage_bytes BIGINT,
    num_sessions BIGINT,
    num_requests BIGINT,
    PRIMARY KEY (bucket, series_id)
);

-- Sums of their bills, in nano-dollars.
CREATE TABLE cost_hours (
    bucket BIGINT NOT NULL,
    series_id BIGINT NOT NULL,
    line_item TEXT NOT NULL,
    -- What quantity counts; '' where the contract has no word for it.
    unit TEXT NOT NULL,
    quantity BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    PRIMARY KEY (bucket, series_id, line_item)
);

CREATE TABLE cost_days (
    bucket BIGINT NOT NULL,
    series_id BIGINT NOT NULL,
    line_item TEXT NOT NULL,
    -- What quantity counts; '' where the contract has no word for it.
    unit TEXT NOT NULL,
    quantity BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    PRIMARY KEY (bucket, series_id, line_item)
);

CREATE FUNCTION usage_events_refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$;
CREATE TRIGGER usage_events_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON usage_events
FOR EACH STATEMENT EXECUTE FUNCTION usage_events_refuse_change();
