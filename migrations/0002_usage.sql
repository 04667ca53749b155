-- The ledger of what was consumed. The sums that are derived from it differ between the databases and follow there.

-- One row for each metered request; append-only: a trigger refuses every change.
CREATE TABLE usage_events (
    organization_id TEXT NOT NULL,
    -- Chosen by who reports; the same id is the same event.
    id TEXT NOT NULL,
    timestamp BIGINT NOT NULL,
    recorded_at BIGINT NOT NULL,
    -- Who and what, in usage_series.
    series_id BIGINT NOT NULL,
    -- How much; NULL is not reported, which is not 0.
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
    estimated BOOLEAN NOT NULL,
    outcome TEXT NOT NULL,
    -- Whether something in it had no price.
    unpriced BOOLEAN NOT NULL,
    -- The lines of its bill, in JSON: [["gpt-5, input_tokens", quantity, nano-dollars], …].
    charges TEXT NOT NULL,
    -- Their sum in nano-dollars.
    amount BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX usage_events_by_time ON usage_events (organization_id, timestamp);
