//! Settings of two organizations in the directory.

use std::sync::Arc;

use access::{
    DefaultTier, Directory, HostedTool, LimitField, ModelLimits, OptionalTier, Retention,
    ScopeSettings, ServiceTiers, Settings,
};
use base::NanoDollars;
use base::ids::{Id, OrganizationId, ProjectId};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::json;
use store::Store;
use store::testing::TestDatabase;
use testkit::Organization;

/// Organizations with their projects, as administered through the API.
struct World {
    /// Organization with two projects.
    one: Organization,
    /// Organization whose default project has the same model with another limit.
    two: Organization,
    projects: [String; 2],
    store: Store,
    _database: TestDatabase,
}

/// Returns a new certificate of an authority.
fn authority() -> String {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    params.self_signed(&key).expect("an authority").pem()
}

/// Creates two organizations and the projects of the first.
async fn world() -> World {
    let database = TestDatabase::new();
    let store = Store::open(database.url()).await.expect("a store");
    let one = Organization::on(&store, &["m", "dall-e-3"]).await;
    let two = one.create_another().await;
    let projects = [one.create_project("P").await, one.create_project("Q").await];
    let world = World {
        one,
        two,
        projects,
        store,
        _database: database,
    };
    world.fill().await;
    world
}

impl World {
    /// Makes the settings of all projects.
    async fn fill(&self) {
        let [p, q] = &self.projects;
        let (one, two) = (&self.one, &self.two);
        let set = async |organization: &Organization, project: &str, setting: &str, body| {
            let path = format!("/projects/{project}/{setting}");
            organization.post(&path, body).await;
        };
        let requests = |limit: i64| json!({"max_requests_per_1_minute": limit});
        set(one, p, "rate_limits/rl-m", requests(0)).await;
        set(one, p, "rate_limits/rl-dall-e-3", requests(7)).await;
        let project = two.default_project_id.as_str();
        set(two, project, "rate_limits/rl-m", requests(9)).await;
        let models = |mode: &str| json!({"mode": mode, "model_ids": ["m"]});
        set(one, p, "model_permissions", models("allow_list")).await;
        set(one, q, "model_permissions", models("deny_list")).await;
        let tools = json!({"web_search": {"enabled": false}});
        set(one, q, "hosted_tool_permissions", tools).await;
        let tiers = json!({"default": "scale", "enabled_tiers": ["flex"]});
        set(one, q, "service_tier_settings", tiers).await;
        let retention = |retention: &str| json!({"retention_type": retention});
        one.post("/data_retention", retention("zero_data_retention"))
            .await;
        set(one, p, "data_retention", retention("none")).await;
        set(one, q, "data_retention", retention("none")).await;
        set(one, q, "data_retention", retention("organization_default")).await;
        let spend =
            |cents: i64| json!({"threshold_amount": cents, "currency": "USD", "interval": "month"});
        one.post("/spend_limit", spend(500)).await;
        set(one, q, "spend_limit", spend(1)).await;
        let certificate = json!({"certificate": authority()});
        let path = "/organization/certificates";
        let certificate = one.create_at(path, certificate).await;
        let certificates = json!({"certificate_ids": [certificate]});
        one.post("/certificates/activate", certificates.clone())
            .await;
        set(one, q, "certificates/activate", certificates).await;
    }

    /// Returns the settings of both organizations, and of one that does not exist, as a directory loads them.
    async fn settings(&self) -> [Arc<Settings>; 3] {
        let directory = Directory::start(self.store.clone()).await;
        let (directory, _following) = directory.expect("a directory");
        let nobody = OrganizationId::from_text("org-3".into());
        [&self.one.id, &self.two.id, &nobody].map(|id| directory.settings(id))
    }
}

fn project<'a>(settings: &'a Settings, id: &str) -> &'a ScopeSettings {
    settings.project(&ProjectId::from_text(id.into()))
}

fn requests(level: &ScopeSettings, model: &str) -> Option<i64> {
    level.limits(model, None).get(LimitField::RequestsPerMinute)
}

#[tokio::test]
async fn each_project_has_its_own_settings() {
    let world = world().await;
    let [settings, other, nobody] = world.settings().await;
    let [p, q] = &world.projects;
    let (one, two) = (project(&settings, p), project(&settings, q));
    let of_other = project(&other, world.two.default_project_id.as_str());
    let default = ModelLimits::default_of("m", None).get(LimitField::RequestsPerMinute);
    let limits = [(one, "m"), (one, "dall-e-3"), (two, "m"), (of_other, "m")];
    let limits = limits.map(|(level, model)| requests(level, model));
    assert_eq!(limits, [Some(0), Some(7), default, Some(9)]);
    let allows = |level: &ScopeSettings| {
        let policy = level.models.as_ref();
        policy.map(|policy| (policy.allows("m"), policy.allows("n")))
    };
    assert_eq!(allows(one), Some((true, false)));
    assert_eq!(allows(two), Some((false, true)));
    assert_eq!(allows(of_other), None);
    assert!(one.tools.contains(HostedTool::WebSearch));
    assert!(!two.tools.contains(HostedTool::WebSearch) && two.tools.contains(HostedTool::Mcp));
    assert_eq!(one.service_tiers, ServiceTiers::default());
    let of_two = (two.service_tiers.default, &two.service_tiers.enabled);
    let flex = Some(vec![OptionalTier::Flex]);
    assert_eq!(of_two, (DefaultTier::Scale, &flex));
    let of = |id: &str| settings.retention(project(&settings, id));
    assert_eq!(of(p), Retention::NoControl);
    assert_eq!(of(q), Retention::ZeroDataRetention);
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
