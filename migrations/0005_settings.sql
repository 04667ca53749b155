-- What is set for organizations and for their projects. Where both can have it, project_id is '' for the organization.

-- What an operator changed of the limits that every model has; NULL is the default.
CREATE TABLE rate_limits (
    organization_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    model TEXT NOT NULL,
    max_requests_per_1_minute BIGINT,
    max_tokens_per_1_minute BIGINT,
    max_images_per_1_minute BIGINT,
    max_audio_megabytes_per_1_minute BIGINT,
    max_requests_per_1_day BIGINT,
    batch_1_day_max_input_tokens BIGINT,
    PRIMARY KEY (organization_id, project_id, model),
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, id)
);

-- Without a row, every model may be called.
CREATE TABLE model_permissions (
    organization_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    -- 'allow_list' or 'deny_list'.
    mode TEXT NOT NULL,
    -- A JSON array of model names.
    model_ids TEXT NOT NULL,
    PRIMARY KEY (organization_id, project_id),
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, id)
);

-- Without a row, every tool is enabled.
CREATE TABLE hosted_tool_permissions (
    organization_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    file_search BOOLEAN NOT NULL,
    web_search BOOLEAN NOT NULL,
    image_generation BOOLEAN NOT NULL,
    mcp BOOLEAN NOT NULL,
    code_interpreter BOOLEAN NOT NULL,
    PRIMARY KEY (organization_id, project_id),
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, id)
);

-- Without a row, a project has 'organization_default' and an organization no control at all.
CREATE TABLE data_retention (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    project_id TEXT NOT NULL,
    retention_type TEXT NOT NULL,
    PRIMARY KEY (organization_id, project_id)
);

CREATE TABLE spend_alerts (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    project_id TEXT NOT NULL,
    id TEXT NOT NULL,
    -- US cents in a calendar month of UTC.
    threshold_amount BIGINT NOT NULL,
    -- A JSON array of e-mail addresses.
    recipients TEXT NOT NULL,
    subject_prefix TEXT,
    PRIMARY KEY (organization_id, project_id, id)
);

CREATE TABLE spend_limits (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    project_id TEXT NOT NULL,
    -- US cents in a calendar month of UTC.
    threshold_amount BIGINT NOT NULL,
    PRIMARY KEY (organization_id, project_id)
);

-- Certificates of authorities.
CREATE TABLE certificates (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    id TEXT NOT NULL,
    name TEXT,
    -- SHA-256 of the certificate in DER.
    fingerprint BYTEA NOT NULL,
    -- The certificate in PEM.
    content TEXT NOT NULL,
    valid_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, fingerprint)
);

-- Where a certificate is active: each row one place.
CREATE TABLE certificate_activations (
    organization_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    certificate_id TEXT NOT NULL,
    PRIMARY KEY (organization_id, project_id, certificate_id),
    FOREIGN KEY (organization_id, certificate_id) REFERENCES certificates (organization_id, id)
);
CREATE INDEX certificate_activations_by_certificate ON certificate_activations (organization_id, certificate_id);

-- The targets of audit log entries that have several; an entry with one has it in resource_id. Derived from the entries,
-- append-only as they are.
CREATE TABLE audit_log_targets (
    organization_id TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    audit_log_id TEXT NOT NULL,
    PRIMARY KEY (organization_id, resource_id, audit_log_id)
);
