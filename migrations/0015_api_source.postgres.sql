-- Series tell apart where usage comes from.

-- 'agents_api', or '' for usage without a known source, as all usage was before.
ALTER TABLE usage_series ADD COLUMN api_source TEXT NOT NULL DEFAULT '';

-- PostgreSQL has named the old constraint.
DO $$
BEGIN
    EXECUTE format(
        'ALTER TABLE usage_series DROP CONSTRAINT %I',
        (SELECT conname FROM pg_constraint WHERE conrelid = 'usage_series'::regclass AND contype = 'u')
    );
END
$$;
ALTER TABLE usage_series ADD CONSTRAINT usage_series_once UNIQUE (
    organization, kind, project_id, user_id, api_key_id, model, batch, service_tier, size, source, vector_store_id,
    context_level, api_source
);
