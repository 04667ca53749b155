//! Certificates of authorities and their activation.

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use serde_json::{Value, json};
use testkit::{NOW, Server};

const CERTIFICATES: &str = "/organization/certificates";

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    params
}

fn signed(params: &CertificateParams) -> (String, KeyPair) {
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    (certificate.pem().replace("\r\n", "\n"), key)
}

/// Creates an authority and returns its certificate in PEM.
pub fn authority(name: &str) -> String {
    signed(&params(name)).0
}

async fn upload(server: &Server, name: &str) -> String {
    let body = json!({"name": name, "certificate": authority(name)});
    let created = server.admin().post(CERTIFICATES, body).await.ok();
    created["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_certificate_is_uploaded_shown_renamed_and_deleted() {
    let server = Server::start().await;
    let pem = authority("Acme");
    let created = server
        .admin()
        .post(CERTIFICATES, json!({"certificate": pem}))
        .await
        .ok();
    let mut expected = json!({
        "object": "certificate", "id": created["id"], "name": null, "created_at": NOW.0,
        "certificate_details": {"valid_at": 1_735_689_600, "expires_at": 1_798_761_600},
    });
    assert_eq!(created, expected);
    let event = crate::roles::newest_event(&server).await;
    assert_eq!(event["certificate.created"], json!({"id": created["id"]}));
    let one = format!("{CERTIFICATES}/{}", created["id"].as_str().expect("an id"));
    assert_eq!(server.admin().get(&one).await.ok(), expected);
    let content = server
        .admin()
        .get(&format!("{one}?include[]=content"))
        .await
        .ok();
    assert_eq!(
        content["certificate_details"]["content"]
            .as_str()
            .map(str::trim_end),
        Some(pem.trim_end())
    );
    assert_eq!(server.admin().post(&one, json!({})).await.ok(), expected);
    expected["name"] = json!("Acme's");
    assert_eq!(
        server
            .admin()
            .post(&one, json!({"name": "Acme's"}))
            .await
            .ok(),
        expected
    );
    let list = server.admin().get(CERTIFICATES).await.ok();
    expected["object"] = json!("organization.certificate");
    expected["active"] = json!(false);
    assert_eq!(list["data"], json!([expected]));
    let deleted = json!({"object": "certificate.deleted", "id": created["id"], "deleted": true});
    assert_eq!(server.admin().delete(&one).await.ok(), deleted);
    assert_eq!(
        server.admin().get(&one).await.refused(404).0,
        Some("not_found")
    );
    let log = format!(
        "/organization/audit_logs?resource_ids[]={}",
        created["id"].as_str().expect("an id")
    );
    let log = server.admin().get(&log).await.ok();
    assert_eq!(log["data"].as_array().map(Vec::len), Some(3));
    let gone = &log["data"][0]["certificate.deleted"];
    assert_eq!(
        (&gone["name"], gone["certificate"].is_string()),
        (&json!("Acme's"), true)
    );
}

#[tokio::test]
async fn invalid_certificates_are_refused_with_distinct_reasons() {
    let server = Server::start().await;
    let mut leaf = params("leaf");
    leaf.is_ca = IsCa::NoCa;
    let mut explicit_leaf = params("leaf");
    explicit_leaf.is_ca = IsCa::ExplicitNoCa;
    let mut other_usage = params("usage");
    other_usage.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let mut expired = params("expired");
    expired.not_after = date_time_ymd(2026, 1, 1);
    let mut twice = params("twice");
    let names = CustomExtension::from_oid_content(&[2, 5, 29, 30], vec![0x30, 0]);
    twice.custom_extensions = vec![names.clone(), names];
    let (known, key) = signed(&params("known"));
    let body = json!({"certificate": known});
    server.admin().post(CERTIFICATES, body).await.ok();
    let label = |pem: &str, label| pem.replace("CERTIFICATE", label);
    let middle: String = known.chars().filter(|c| *c != 'M').collect();
    let cases = [
        (signed(&leaf).0, "not_an_authority"),
        (signed(&explicit_leaf).0, "not_an_authority"),
        (signed(&other_usage).0, "not_an_authority"),
        (signed(&expired).0, "expired_certificate"),
        (signed(&twice).0, "invalid_certificate"),
        (known.clone(), "duplicate_certificate"),
        (
            format!("Acme's root\n{}", known.replace('\n', "\r\n")),
            "duplicate_certificate",
        ),
        (key.serialize_pem(), "private_key"),
        (known.clone() + &key.serialize_pem(), "private_key"),
        (known.clone() + &authority("second"), "certificate_chain"),
        (label(&known, "X509 CRL"), "invalid_certificate"),
        (middle, "invalid_certificate"),
        ("hello".to_owned(), "invalid_certificate"),
        (String::new(), "invalid_certificate"),
        ("\0".to_owned(), "invalid_value"),
        ("x".repeat(40_000), "invalid_certificate"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
            "invalid_certificate",
        ),
    ];
    for (certificate, code) in cases {
        let answer = server
            .admin()
            .post(CERTIFICATES, json!({"certificate": certificate}))
            .await;
        assert_eq!(
            answer.refused(400),
            (Some(code), Some("certificate")),
            "{certificate}: {}",
            answer.json
        );
    }
    let theirs = server
        .stranger()
        .post(CERTIFICATES, json!({"certificate": known}))
        .await;
    assert_eq!(theirs.status, 200, "another organization may have the same");
}

#[tokio::test]
async fn an_organization_has_at_most_fifty_certificates() {
    let server = Server::start().await;
    for number in 0..50 {
        upload(&server, &number.to_string()).await;
    }
    let answer = server
        .admin()
        .post(CERTIFICATES, json!({"certificate": authority("one more")}))
        .await;
    assert_eq!(answer.refused(400).0, Some("too_many_certificates"));
    let page = server
        .admin()
        .get(&format!("{CERTIFICATES}?limit=2&order=asc"))
        .await
        .ok();
    assert_eq!(
        (&page["data"][0]["name"], &page["data"][1]["name"]),
        (&json!("0"), &json!("1"))
    );
    let next = format!(
        "{CERTIFICATES}?limit=2&order=asc&after={}",
        page["last_id"].as_str().expect("an id")
    );
    assert_eq!(server.admin().get(&next).await.ok()["data"][0]["name"], "2");
    assert_eq!(
        server.admin().get(CERTIFICATES).await.ok()["data"][0]["name"],
        "49",
        "newest first"
    );
}

fn states(answer: &Value) -> Vec<(&str, bool)> {
    let items = answer["data"].as_array().expect("data").iter();
    items
        .map(|item| {
            (
                item["name"].as_str().expect("a name"),
                item["active"] == true,
            )
        })
        .collect()
}

/// Returns the paths of both scopes, and the objects of their lists.
fn levels(server: &Server) -> [(String, &'static str); 2] {
    let project = server.default_project_id();
    [
        (CERTIFICATES.to_owned(), "organization.certificate"),
        (
            format!("/organization/projects/{project}/certificates"),
            "organization.project.certificate",
        ),
    ]
}

async fn toggle(server: &Server, path: &str, verb: &str, ids: Value) -> Value {
    let body = json!({"certificate_ids": ids});
    let answer = server.admin().post(&format!("{path}/{verb}"), body).await;
    answer.ok()
}

#[tokio::test]
async fn activation_is_idempotent_and_independent_in_each_scope() {
    let server = Server::start().await;
    let (a, b) = (upload(&server, "a").await, upload(&server, "b").await);
    for (path, object) in levels(&server) {
        let list = server.admin().get(&path).await.ok();
        assert_eq!(states(&list), [("b", false), ("a", false)], "{path}");
        assert_eq!(list["data"][0]["object"], object);
        for (ids, count) in [(json!([b]), 1), (json!([b, a, b]), 2), (json!([b, a]), 2)] {
            let answer = toggle(&server, &path, "activate", ids).await;
            assert_eq!(answer["object"], format!("{object}.activation"));
            assert_eq!(states(&answer), [("b", true), ("a", true)][..count]);
        }
        let answer = toggle(&server, &path, "deactivate", json!([a])).await;
        assert_eq!(answer["object"], format!("{object}.deactivation"));
        assert_eq!(states(&answer), [("a", false)]);
        let list = server.admin().get(&path).await.ok();
        assert_eq!(states(&list), [("b", true), ("a", false)]);
    }
}

#[tokio::test]
async fn all_are_activated_or_none() {
    let server = Server::start().await;
    let id = upload(&server, "a").await;
    for (path, _) in levels(&server) {
        let body = json!({"certificate_ids": [id, "cert_none"]});
        let answer = server.admin().post(&format!("{path}/activate"), body).await;
        assert_eq!(answer.refused(400).1, Some("certificate_ids[1]"));
        let list = server.admin().get(&path).await.ok();
        assert_eq!(states(&list), [("a", false)]);
    }
}

#[tokio::test]
async fn the_audit_log_finds_each_certificate_of_an_activation() {
    let server = Server::start().await;
    let (a, b) = (upload(&server, "a").await, upload(&server, "b").await);
    toggle(&server, CERTIFICATES, "activate", json!([b])).await;
    toggle(&server, CERTIFICATES, "activate", json!([a, b])).await;
    toggle(&server, CERTIFICATES, "activate", json!([a, b])).await;
    toggle(&server, CERTIFICATES, "deactivate", json!([a, b])).await;
    let both = json!([{"id": a, "name": "a"}, {"id": b, "name": "b"}]);
    let log = async |id: &str| {
        let kinds = "event_types[]=certificates.activated&event_types[]=certificates.deactivated";
        let path = format!("/organization/audit_logs?{kinds}&resource_ids[]={id}");
        let list = server.admin().get(&path).await.ok();
        let entries = list["data"].as_array().expect("a list").iter();
        let payload = |entry: &Value| entry[entry["type"].as_str().expect("a type")].clone();
        entries.map(payload).collect::<Vec<_>>()
    };
    let only = |id: &str, name: &str| json!({"certificates": [{"id": id, "name": name}]});
    let both = json!({"certificates": both});
    assert_eq!(log(&a).await, [both.clone(), only(&a, "a")]);
    assert_eq!(log(&b).await, [both, only(&b, "b")]);
}

#[tokio::test]
async fn an_active_certificate_is_not_deleted() {
    let server = Server::start().await;
    let id = upload(&server, "a").await;
    let project = server
        .admin()
        .post("/organization/projects", json!({"name": "b"}))
        .await
        .ok();
    let project = format!(
        "/organization/projects/{}",
        project["id"].as_str().expect("an id")
    );
    let body = json!({"certificate_ids": [id]});
    let one = format!("{CERTIFICATES}/{id}");
    for path in [CERTIFICATES.to_owned(), format!("{project}/certificates")] {
        server
            .admin()
            .post(&format!("{path}/activate"), body.clone())
            .await
            .ok();
        assert_eq!(
            server.admin().delete(&one).await.refused(400).0,
            Some("certificate_active")
        );
        if path == CERTIFICATES {
            server
                .admin()
                .post(&format!("{path}/deactivate"), body.clone())
                .await
                .ok();
        }
    }
    server
        .admin()
        .post(&format!("{project}/archive"), json!({}))
        .await
        .ok();
    server.admin().delete(&one).await.ok();
}

#[tokio::test]
async fn a_bad_activation_is_refused_by_name() {
    let server = Server::start().await;
    let id = upload(&server, "a").await;
    let eleven = vec!["cert_x"; 11];
    for (ids, param) in [
        (json!([]), "certificate_ids"),
        (json!(eleven), "certificate_ids"),
        (json!("cert_x"), "certificate_ids"),
        (json!(["\0"]), "certificate_ids[0]"),
    ] {
        let answer = server
            .admin()
            .post(
                &format!("{CERTIFICATES}/activate"),
                json!({"certificate_ids": ids}),
            )
            .await;
        assert_eq!(answer.refused(400).1, Some(param));
    }
    let body = json!({"certificate_ids": [id]});
    let theirs = server
        .stranger()
        .post(&format!("{CERTIFICATES}/activate"), body.clone())
        .await;
    assert_eq!(theirs.refused(400).1, Some("certificate_ids[0]"));
    server.clock.advance(2 * 365 * 86_400);
    let late = server
        .admin()
        .post(&format!("{CERTIFICATES}/activate"), body)
        .await;
    assert_eq!(late.refused(400).0, Some("expired_certificate"));
}
