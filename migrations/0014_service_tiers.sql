-- Service tiers of projects. Without a row, every tier is enabled, and the standard one is the default.
CREATE TABLE service_tier_settings (
    organization_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    -- Tier of requests that name none: 'standard', 'fast' or 'scale'.
    default_tier TEXT NOT NULL,
    -- Tiers beside the standard one: 'all', or a JSON array of 'flex', 'fast' and 'ultrafast'.
    enabled_tiers TEXT NOT NULL,
    PRIMARY KEY (organization_id, project_id),
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, id)
);
