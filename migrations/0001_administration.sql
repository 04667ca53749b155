-- Organizations, their people, projects, keys and what was done to them.

CREATE TABLE organizations (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    default_project_id TEXT,
    -- How many entries the audit log has; grows by one with every change, so it is the organization's revision too.
    revision BIGINT NOT NULL,
    -- The hash of the newest entry of the audit log.
    audit_hash BYTEA NOT NULL
);

CREATE TABLE users (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    email TEXT NOT NULL,
    -- The address as it is compared: lower case.
    email_key TEXT NOT NULL,
    role TEXT NOT NULL,
    added_at BIGINT NOT NULL,
    last_used_at BIGINT,
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, email_key)
);

CREATE TABLE projects (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    external_key_id TEXT,
    residency TEXT,
    geography TEXT,
    created_at BIGINT NOT NULL,
    archived_at BIGINT,
    PRIMARY KEY (organization_id, id)
);

CREATE TABLE project_users (
    organization_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    role TEXT NOT NULL,
    added_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, project_id, user_id),
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, id),
    FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id)
);

CREATE TABLE service_accounts (
    organization_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, project_id, id),
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, id)
);

-- Keys of every kind: 'admin' (owned by user_id), 'user' (user_id in project_id), 'service_account'.
CREATE TABLE api_keys (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    project_id TEXT,
    user_id TEXT,
    service_account_id TEXT,
    name TEXT NOT NULL,
    redacted_value TEXT NOT NULL,
    -- A keyed hash of the secret, which is kept nowhere.
    hash BYTEA NOT NULL,
    -- A JSON array of permission names; an empty one means no narrowing.
    scopes TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    last_used_at BIGINT,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id),
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, id)
);
CREATE UNIQUE INDEX api_keys_by_hash ON api_keys (hash);
CREATE INDEX api_keys_by_project ON api_keys (organization_id, project_id, id);
CREATE INDEX api_keys_by_kind ON api_keys (organization_id, kind, id);

-- Append-only: a trigger refuses every change.
CREATE TABLE audit_logs (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    sequence BIGINT NOT NULL,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    effective_at BIGINT NOT NULL,
    project_id TEXT,
    project_name TEXT,
    -- A user, a service account or a key, and the address of a user.
    actor_id TEXT,
    actor_key_id TEXT,
    actor_email TEXT,
    -- The actor as the contract shows it, in JSON.
    actor TEXT NOT NULL,
    resource_id TEXT,
    -- What was asked, as the contract shows it, in JSON.
    payload TEXT NOT NULL,
    -- SHA-256 over the entry before and this one.
    hash BYTEA NOT NULL,
    PRIMARY KEY (organization_id, sequence)
);
CREATE UNIQUE INDEX audit_logs_by_id ON audit_logs (organization_id, id);
CREATE INDEX audit_logs_by_type ON audit_logs (organization_id, type, id);
CREATE INDEX audit_logs_by_project ON audit_logs (organization_id, project_id, id);
CREATE INDEX audit_logs_by_resource ON audit_logs (organization_id, resource_id, id);
