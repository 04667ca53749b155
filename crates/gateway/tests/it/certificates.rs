//! Client certificates are asked for after the key and before what it may do, from the next request on.

use gateway::PeerCertificates;
use http::HeaderValue;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use store::sql;

use crate::upstream::{COMPLETION, Reply};
use crate::world::{SERVICE, World, chat};

const MODEL: &str = r#"{"model":"real"}"#;

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Issuer {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    CertifiedIssuer::self_signed(params, key).expect("an authority")
}

fn client_of(issuer: &Issuer) -> PeerCertificates {
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::default().signed_by(&key, issuer);
    PeerCertificates::of_handshake(&[certificate.expect("signed").der().clone()])
}

impl World {
    /// Activates an authority in a project; in the organization where `project` is empty.
    async fn activate(&self, authority: &Issuer, project: &str) {
        let id = format!("cert_{project}");
        let mut transaction = self.store.begin().await.expect("a transaction");
        let upload = sql!(
            "INSERT INTO certificates (organization_id, id, fingerprint, content, valid_at, expires_at, created_at)
             VALUES ('org-1', $1, $2, $3, 1, 2, 1)",
            id.as_str(),
            id.as_bytes().to_vec(),
            authority.pem()
        );
        transaction.execute(upload).await.expect("uploaded");
        let activate = sql!(
            "INSERT INTO certificate_activations (organization_id, project_id, certificate_id) VALUES ('org-1', $1, $2)",
            project,
            id.as_str()
        );
        transaction.execute(activate).await.expect("activated");
        let advance = sql!("UPDATE organizations SET revision = revision + 1");
        transaction.execute(advance).await.expect("advanced");
        transaction.commit().await.expect("a commit");
        self.store.revision().wait_applied().await;
    }

    /// Status, code and message of an answer to a request with this key over this connection.
    async fn ask(&self, key: &str, peer: Option<&PeerCertificates>) -> (u16, String, String) {
        let mut request = chat(key, MODEL);
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer.clone());
        }
        let answer = self.send(request).await;
        let status = answer.status.as_u16();
        if status == 200 {
            return (status, String::new(), String::new());
        }
        let [message, _, _, code] = answer
            .error()
            .map(|it| it.as_str().unwrap_or_default().into());
        if status == 401 && code == "client_certificate_required" {
            assert_eq!(answer.header("openai-organization"), "org-1");
        }
        (status, code, message)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_asked_for_after_the_key_and_before_its_scopes() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    let root = authority();
    world.activate(&root, "proj_1").await;
    let refused = async |key| {
        let (status, code, _) = world.ask(key, None).await;
        (status, code)
    };
    for (key, status, code) in [
        ("sk-unknown", 401, "invalid_api_key"),
        ("sk-proj-archived", 401, "invalid_api_key"),
        ("sk-admin-1", 403, "project_key_required"),
        (SERVICE, 401, "client_certificate_required"),
        ("sk-proj-narrow", 401, "client_certificate_required"),
    ] {
        assert_eq!(refused(key).await, (status, code.to_owned()), "{key}");
    }
    let client = client_of(&root);
    assert_eq!(world.ask(SERVICE, Some(&client)).await.0, 200);
    let (status, code, _) = world.ask("sk-proj-narrow", Some(&client)).await;
    assert_eq!((status, code.as_str()), (403, "insufficient_permissions"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_in_force_at_the_next_request_of_the_same_connection() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    let (one, two) = (authority(), authority());
    let client = client_of(&one);
    let ask = async || world.ask(SERVICE, Some(&client)).await;
    assert_eq!(ask().await.0, 200, "nothing is asked for");
    world.activate(&two, "proj_1").await;
    let (status, _, message) = ask().await;
    assert_eq!(status, 401);
    assert!(
        message.starts_with("The project of this API key requires"),
        "{message}"
    );
    world.activate(&one, "").await;
    assert_eq!(
        ask().await.0,
        200,
        "the organization has the authority of this client"
    );
    world
        .change(&["DELETE FROM certificate_activations WHERE project_id = ''"])
        .await;
    assert_eq!(ask().await.0, 401, "remembered is not active");
    world.change(&["DELETE FROM certificate_activations"]).await;
    assert_eq!(
        world.ask(SERVICE, None).await.0,
        200,
        "nothing is asked for any more"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_proxy_says_of_a_certificate_stays_here() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    let mut request = chat(SERVICE, MODEL);
    for name in ["client-cert", "client-cert-chain"] {
        let value = HeaderValue::from_static(":AAAA:");
        request.headers_mut().insert(name, value);
    }
    request
        .extensions_mut()
        .insert(PeerCertificates::of_proxy());
    assert_eq!(world.send(request).await.status, 200);
    let asked = world.upstream.asked();
    assert_eq!(asked.len(), 1);
    let names = asked[0].headers.keys();
    assert_eq!(
        names
            .filter(|name| name.as_str().starts_with("client-cert"))
            .count(),
        0
    );
}
