//! Settings of two organizations in the directory.

use std::sync::Arc;

use access::{Directory, HostedTool, LimitField, ModelLimits, Retention, ScopeSettings, Settings};
use base::NanoDollars;
use base::ids::{Id, OrganizationId, ProjectId};
use store::testing::TestDatabase;
use store::{Store, sql};

/// A certificate of an authority. Its content does not matter here.
const PEM: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";

const ROWS: &[&str] = &[
    "INSERT INTO projects (organization_id, id, name, created_at) VALUES
     ('org-1', 'proj_1', 'P', 1), ('org-1', 'proj_2', 'Q', 1), ('org-2', 'proj_1', 'P', 1)",
    "INSERT INTO rate_limits (organization_id, project_id, model, max_requests_per_1_minute) VALUES
     ('org-1', 'proj_1', 'm', 0), ('org-1', 'proj_1', 'dall-e-3', 7), ('org-2', 'proj_1', 'm', 9)",
    "INSERT INTO model_permissions (organization_id, project_id, mode, model_ids) VALUES
     ('org-1', 'proj_1', 'allow_list', '[\"m\"]'), ('org-1', 'proj_2', 'deny_list', '[\"m\"]')",
    "INSERT INTO hosted_tool_permissions (organization_id, project_id, file_search, web_search, image_generation, mcp,
                                          code_interpreter) VALUES ('org-1', 'proj_2', TRUE, FALSE, TRUE, TRUE, TRUE)",
    "INSERT INTO data_retention (organization_id, project_id, retention_type) VALUES
     ('org-1', '', 'zero_data_retention'), ('org-1', 'proj_1', 'none'), ('org-1', 'proj_2', 'organization_default')",
    "INSERT INTO spend_limits (organization_id, project_id, threshold_amount) VALUES
     ('org-1', '', 500), ('org-1', 'proj_2', 1)",
];

async fn world() -> (TestDatabase, Store) {
    let database = TestDatabase::new();
    let store = Store::open(database.url()).await.expect("a store");
    let mut transaction = store.begin().await.expect("a transaction");
    for id in ["org-1", "org-2"] {
        let insert = "INSERT INTO organizations (id, name, created_at, revision, audit_hash) VALUES ($1, 'O', 1, 0, $2)";
        let insert = sql!(insert, id, Vec::<u8>::new());
        transaction.execute(insert).await.expect(id);
    }
    for text in ROWS {
        transaction.execute(sql!(*text)).await.expect(text);
    }
    let insert = "INSERT INTO certificates (organization_id, id, fingerprint, content, valid_at, expires_at, created_at) \
                  VALUES ('org-1', 'cert_1', $1, $2, 1, 2, 1)";
    let insert = sql!(insert, Vec::<u8>::new(), PEM);
    transaction.execute(insert).await.expect("a certificate");
    let activate =
        "INSERT INTO certificate_activations (organization_id, project_id, certificate_id) VALUES
                    ('org-1', '', 'cert_1'), ('org-1', 'proj_2', 'cert_1')";
    transaction.execute(sql!(activate)).await.expect("active");
    transaction.commit().await.expect("a commit");
    (database, store)
}

async fn settings(store: &Store) -> [Arc<Settings>; 3] {
    let (directory, _following) = Directory::start(store.clone()).await.expect("a directory");
    ["org-1", "org-2", "org-3"].map(|id| directory.settings(&OrganizationId::from_text(id.into())))
}

fn project<'a>(settings: &'a Settings, id: &str) -> &'a ScopeSettings {
    settings.project(&ProjectId::from_text(id.into()))
}

fn requests(level: &ScopeSettings, model: &str) -> Option<i64> {
    level.limits(model, None).get(LimitField::RequestsPerMinute)
}

#[tokio::test]
async fn each_project_has_its_own_settings() {
    let (_database, store) = world().await;
    let [settings, other, nobody] = settings(&store).await;
    let (one, two) = (project(&settings, "proj_1"), project(&settings, "proj_2"));
    let default = ModelLimits::default_of("m", None).get(LimitField::RequestsPerMinute);
    let limits = [
        (one, "m"),
        (one, "dall-e-3"),
        (two, "m"),
        (project(&other, "proj_1"), "m"),
    ];
    let limits = limits.map(|(level, model)| requests(level, model));
    assert_eq!(limits, [Some(0), Some(7), default, Some(9)]);
    let allows = |level: &ScopeSettings| {
        let policy = level.models.as_ref();
        policy.map(|policy| (policy.allows("m"), policy.allows("n")))
    };
    assert_eq!(allows(one), Some((true, false)));
    assert_eq!(allows(two), Some((false, true)));
    assert_eq!(allows(project(&other, "proj_1")), None);
    assert!(one.tools.contains(HostedTool::WebSearch));
    assert!(!two.tools.contains(HostedTool::WebSearch) && two.tools.contains(HostedTool::Mcp));
    let of = |id: &str| settings.retention(project(&settings, id));
    assert_eq!(of("proj_1"), Retention::NoControl);
    assert_eq!(of("proj_2"), Retention::ZeroDataRetention);
    assert_eq!(of("proj_3"), Retention::ZeroDataRetention);
    assert_eq!(
        settings.organization.spend_limit,
        Some(NanoDollars::from_cents(500))
    );
    assert_eq!(
        (one.spend_limit, two.spend_limit),
        (None, Some(NanoDollars::from_cents(1)))
    );
    let authorities = [&settings.organization, one, two].map(|level| level.authorities.len());
    assert_eq!(authorities, [1, 0, 1]);
    assert_eq!(*nobody, Settings::default());
}
