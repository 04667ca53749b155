-- The predefined roles get the ids that the hosted service's clients name them by. The audit log keeps what it says.

DROP VIEW effective_grants;

-- A name is unique, so the old roles let go of theirs before the new ones take them.
UPDATE roles SET name_key = id WHERE predefined;

INSERT INTO roles (organization_id, id, resource_type, project_id, name, name_key, description, permissions, predefined,
                   created_at, updated_at, created_by)
SELECT organization_id,
       CASE resource_type
           WHEN 'api.organization' THEN 'role-api-organization-' || name || '__api-organization__' || organization_id
           ELSE 'role-api-project-' || name
       END,
       resource_type, project_id, name, name, description, permissions, predefined, created_at, updated_at, created_by
FROM roles WHERE predefined;

UPDATE role_assignments
SET role_id = 'role-api-organization-' || substr(role_id, 19) || '__api-organization__' || organization_id
WHERE role_id IN ('role_organization_owner', 'role_organization_reader');

UPDATE role_assignments SET role_id = 'role-api-project-' || substr(role_id, 14)
WHERE role_id IN ('role_project_owner', 'role_project_member', 'role_project_viewer');

UPDATE project_groups SET role_id = 'role-api-project-' || substr(role_id, 14)
WHERE role_id IN ('role_project_owner', 'role_project_member', 'role_project_viewer');

DELETE FROM roles
WHERE id IN ('role_organization_owner', 'role_organization_reader', 'role_project_owner', 'role_project_member',
             'role_project_viewer');

-- As before, with the new ids.
CREATE VIEW effective_grants AS
SELECT organization_id, '' AS project_id, 'user' AS principal_type, id AS principal_id,
       'role-api-organization-' || role || '__api-organization__' || organization_id AS role_id,
       CAST(NULL AS TEXT) AS group_id
FROM users
UNION ALL
SELECT organization_id, project_id, 'user', user_id, 'role-api-project-' || role, NULL FROM project_users
UNION ALL
SELECT organization_id, project_id, 'service_account', id, 'role-api-project-' || role, NULL FROM service_accounts
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
