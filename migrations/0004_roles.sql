-- Roles: names for permissions, and who has them.

CREATE TABLE roles (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    id TEXT NOT NULL,
    -- Where it can be assigned: 'api.organization' or 'api.project'.
    resource_type TEXT NOT NULL,
    -- The project that it was made for; '' when it is the organization's, or predefined and so every project's.
    project_id TEXT NOT NULL,
    name TEXT NOT NULL,
    -- The name as it is compared: lower case.
    name_key TEXT NOT NULL,
    description TEXT,
    -- A JSON array of permission names. What a predefined role allows is in the program, never here.
    permissions TEXT NOT NULL,
    predefined BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    created_by TEXT,
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, resource_type, project_id, name_key)
);

INSERT INTO roles (organization_id, id, resource_type, project_id, name, name_key, permissions, predefined,
                   created_at, updated_at)
SELECT o.id, p.id, p.resource_type, '', p.name, p.name, '[]', TRUE, o.created_at, o.created_at
FROM organizations o CROSS JOIN (
    SELECT 'role_organization_owner' AS id, 'api.organization' AS resource_type, 'owner' AS name
    UNION ALL SELECT 'role_organization_reader', 'api.organization', 'reader'
    UNION ALL SELECT 'role_project_owner', 'api.project', 'owner'
    UNION ALL SELECT 'role_project_member', 'api.project', 'member'
    UNION ALL SELECT 'role_project_viewer', 'api.project', 'viewer'
) p;

-- Roles that somebody was given beside the one that their membership carries.
CREATE TABLE role_assignments (
    organization_id TEXT NOT NULL,
    -- '' in the organization.
    project_id TEXT NOT NULL,
    -- 'user' or 'group'.
    principal_type TEXT NOT NULL,
    principal_id TEXT NOT NULL,
    role_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (organization_id, principal_type, principal_id, project_id, role_id),
    FOREIGN KEY (organization_id, role_id) REFERENCES roles (organization_id, id)
);
CREATE INDEX role_assignments_by_role ON role_assignments (organization_id, role_id);
CREATE INDEX role_assignments_by_project ON role_assignments (organization_id, project_id);
CREATE INDEX api_keys_by_service_account ON api_keys (organization_id, service_account_id);

-- Every role that anybody has: the one that a membership carries, what was assigned beside it and, where group_id says
-- which one, what a user has through a group.
CREATE VIEW effective_grants AS
SELECT organization_id, '' AS project_id, 'user' AS principal_type, id AS principal_id,
       'role_organization_' || role AS role_id, CAST(NULL AS TEXT) AS group_id
FROM users
UNION ALL
SELECT organization_id, project_id, 'user', user_id, 'role_project_' || role, NULL FROM project_users
UNION ALL
SELECT organization_id, project_id, 'service_account', id, 'role_project_' || role, NULL FROM service_accounts
UNION ALL
SELECT organization_id, project_id, 'group', group_id, role_id, NULL FROM project_groups
UNION ALL
SELECT organization_id, project_id, principal_type, principal_id, role_id, NULL FROM role_assignments
UNION ALL
SELECT m.organization_id, g.project_id, 'user', m.user_id, g.role_id, m.group_id
FROM group_users m
JOIN project_groups g ON g.organization_id = m.organization_id AND g.group_id = m.group_id
UNION ALL
SELECT m.organization_id, a.project_id, 'user', m.user_id, a.role_id, m.group_id
FROM group_users m
JOIN role_assignments a
    ON a.organization_id = m.organization_id AND a.principal_type = 'group' AND a.principal_id = m.group_id;
