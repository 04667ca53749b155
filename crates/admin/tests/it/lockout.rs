//! Protection against lockout: changes that would leave no owner with an admin key of sufficient lifetime are refused, by
//! all operations that could cause it.

use base::ids::UserId;
use base::time::SECONDS_PER_DAY;
use serde_json::{Value, json};
use testkit::{Answer, Client, Server};

const KEYS: &str = "/organization/admin_api_keys";
const USERS: &str = "/organization/users";

/// An operation that can lock out the first owner.
#[derive(Clone, Copy, Debug)]
enum Way {
    RoleByName,
    RoleById,
    RoleAssigned,
    RoleTaken,
    UserDeleted,
    KeyDeleted,
}

impl Way {
    const ALL: [Self; 6] = [
        Self::RoleByName,
        Self::RoleById,
        Self::RoleAssigned,
        Self::RoleTaken,
        Self::UserDeleted,
        Self::KeyDeleted,
    ];

    /// Sends the request of `client` about the server's first owner.
    async fn go(self, server: &Server, client: &Client) -> Answer {
        let user = format!("{USERS}/{}", server.owner_id());
        let reader = json!({"role_id": "role_organization_reader"});
        match self {
            Self::RoleByName => client.post(&user, json!({"role": "reader"})).await,
            Self::RoleById => client.post(&user, reader).await,
            Self::RoleAssigned => client.post(&format!("{user}/roles"), reader).await,
            Self::RoleTaken => {
                let path = format!("{user}/roles/role_organization_owner");
                client.delete(&path).await
            }
            Self::UserDeleted => client.delete(&user).await,
            Self::KeyDeleted => {
                let first = first_key(server).await;
                client.delete(&format!("{KEYS}/{first}")).await
            }
        }
    }
}

async fn first_key(server: &Server) -> String {
    let keys = server.admin().get(KEYS).await.ok();
    let first = &keys["data"][0];
    assert_eq!(first["name"], "First admin key");
    first["id"].as_str().expect("an id").to_owned()
}

async fn events(client: &Client) -> Value {
    client.get("/organization/audit_logs?limit=100").await.ok()
}

/// Issues a key of the server's owner that expires after `seconds`.
async fn short_key(server: &Server, seconds: i64) -> Client {
    let body = json!({"name": "Short", "expires_in_seconds": seconds});
    let key = server.admin().post(KEYS, body).await.ok();
    server.with_key(key["value"].as_str().expect("a secret"))
}

#[tokio::test]
async fn the_only_owner_with_an_admin_key_cannot_be_removed_by_any_operation() {
    for way in Way::ALL {
        let server = Server::start().await;
        // An owner without a key: an admin key can be issued only by its own owner.
        server.join("grace@acme.example", "owner").await;
        let before = events(&server.admin()).await;
        let answer = way.go(&server, &server.admin()).await;
        assert_eq!(answer.refused(400).0, Some("last_admin_key"), "{way:?}");
        let message = answer.json["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("orgplane org key"), "{message}");
        assert_eq!(events(&server.admin()).await, before, "{way:?}");
        // Recovery on the machine of the database.
        let grace = server.owner_key("grace@acme.example").await;
        assert_eq!(way.go(&server, &grace).await.status, 200, "{way:?}");
        assert_eq!(grace.post(KEYS, json!({"name": "Next"})).await.status, 200);
    }
}

#[tokio::test]
async fn a_key_that_expires_soon_does_not_prevent_lockout() {
    for seconds in [1, 3600, 30 * SECONDS_PER_DAY - 1] {
        let server = Server::start().await;
        let short = short_key(&server, seconds).await;
        let answer = Way::KeyDeleted.go(&server, &short).await;
        let code = Some("last_admin_key");
        assert_eq!(answer.refused(400).0, code, "{seconds} seconds");
    }
    let server = Server::start().await;
    let long = short_key(&server, 30 * SECONDS_PER_DAY).await;
    assert_eq!(Way::KeyDeleted.go(&server, &long).await.status, 200);
}

#[tokio::test]
async fn readers_with_keys_and_owners_by_group_do_not_prevent_lockout() {
    let server = Server::start().await;
    let admin = server.admin();
    server.join("heidi@acme.example", "owner").await;
    let grace = server.join("grace@acme.example", "owner").await;
    let client = server.owner_key("grace@acme.example").await;
    let group = admin
        .post("/organization/groups", json!({"name": "Owners"}))
        .await
        .ok();
    let group = format!(
        "/organization/groups/{}",
        group["id"].as_str().expect("an id")
    );
    let owner = json!({"role_id": "role_organization_owner"});
    admin.post(&format!("{group}/roles"), owner).await.ok();
    admin
        .post(&format!("{group}/users"), json!({"user_id": grace}))
        .await
        .ok();
    let reader = json!({"role": "reader"});
    admin.post(&format!("{USERS}/{grace}"), reader).await.ok();
    // Grace has all permissions, but only by the group.
    for way in Way::ALL {
        let answer = way.go(&server, &client).await;
        assert_eq!(answer.refused(400).0, Some("last_admin_key"), "{way:?}");
    }
    // The organization stays administrable without the group.
    client.delete(&group).await.ok();
    assert_eq!(
        client.get(KEYS).await.refused(403).0,
        Some("insufficient_permissions")
    );
    admin.get(KEYS).await.ok();
}

#[tokio::test]
async fn a_change_that_does_not_shorten_administrability_is_allowed() {
    let server = Server::start().await;
    server.join("grace@acme.example", "owner").await;
    let heidi = server.join("heidi@acme.example", "owner").await;
    let ivan = server.join("ivan@acme.example", "reader").await;
    let short = short_key(&server, 31 * SECONDS_PER_DAY).await;
    assert_eq!(Way::KeyDeleted.go(&server, &short).await.status, 200);
    server.clock.advance(25 * SECONDS_PER_DAY);
    // The only key expires in six days. Owners without keys do not matter.
    let of = |user: &UserId| format!("{USERS}/{user}");
    short
        .post(&of(&heidi), json!({"role": "reader"}))
        .await
        .ok();
    short.delete(&of(&ivan)).await.ok();
    short.delete(&of(server.reader_id())).await.ok();
    let answer = Way::RoleByName.go(&server, &short).await;
    assert_eq!(answer.refused(400).0, Some("last_admin_key"));
    // Once a key with a longer lifetime exists, the first one may be deleted.
    let long = short.post(KEYS, json!({"name": "Long"})).await.ok();
    let long = server.with_key(long["value"].as_str().expect("a secret"));
    let keys = long.get(KEYS).await.ok();
    let old = keys["data"][0]["id"].as_str().expect("an id");
    long.delete(&format!("{KEYS}/{old}")).await.ok();
}

/// The recovery command grants no permissions.
#[tokio::test]
async fn no_recovery_key_is_issued_for_a_reader_or_an_unknown_address() {
    let server = Server::start().await;
    for (email, reason) in [
        ("rita@acme.example", "is not an owner"),
        ("eve@other.example", "No user has the address"),
    ] {
        let before = events(&server.admin()).await;
        let error = server.try_owner_key(email).await.err().expect("no key");
        assert!(error.message.contains(reason), "{error}");
        assert_eq!(events(&server.admin()).await, before);
    }
}
