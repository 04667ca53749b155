//! Client certificates are checked after the API key and before its permissions, from the next request on.

use gateway::PeerCertificates;
use http::HeaderValue;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;

use crate::upstream::{COMPLETION, Reply};
use crate::world::{World, chat};

const MODEL: &str = r#"{"model":"real"}"#;

pub type Issuer = CertifiedIssuer<'static, KeyPair>;

pub fn authority() -> Issuer {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    CertifiedIssuer::self_signed(params, key).expect("an authority")
}

pub fn client_of(issuer: &Issuer) -> PeerCertificates {
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::default().signed_by(&key, issuer);
    PeerCertificates::of_handshake(&[certificate.expect("signed").der().clone()])
}

impl World {
    /// Uploads an authority and returns its id.
    pub async fn upload_authority(&self, authority: &Issuer) -> String {
        let body = json!({"certificate": authority.pem()});
        let path = "/organization/certificates";
        self.organization.create_at(path, body).await
    }

    /// Activates an authority in the project.
    pub async fn activate(&self, id: &str) {
        self.set("certificates/activate", json!({"certificate_ids": [id]}))
            .await;
    }

    /// Sends a request with this key over this connection, and returns the status, code and message of the answer.
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
            assert_eq!(answer.header("openai-organization"), self.organization_id());
        }
        (status, code, message)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_is_checked_after_the_key_and_before_its_scopes() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    let root = authority();
    world.activate(&world.upload_authority(&root).await).await;
    let (narrow, (_, archived)) = (world.narrow_key().await, world.archived_key().await);
    let refused = async |key| {
        let (status, code, _) = world.ask(key, None).await;
        (status, code)
    };
    for (key, status, code) in [
        ("sk-unknown", 401, "invalid_api_key"),
        (&*archived.secret, 401, "invalid_api_key"),
        (world.admin(), 403, "project_key_required"),
        (world.service(), 401, "client_certificate_required"),
        (&narrow.secret, 401, "client_certificate_required"),
    ] {
        assert_eq!(refused(key).await, (status, code.to_owned()), "{key}");
    }
    let client = client_of(&root);
    assert_eq!(world.ask(world.service(), Some(&client)).await.0, 200);
    let (status, code, _) = world.ask(&narrow.secret, Some(&client)).await;
    assert_eq!((status, code.as_str()), (403, "insufficient_permissions"));
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_authorities_apply_to_the_next_request_of_a_connection() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    let (one, two) = (authority(), authority());
    let client = client_of(&one);
    let ask = async || world.ask(world.service(), Some(&client)).await;
    assert_eq!(ask().await.0, 200, "nothing is asked for");
    let second = world.upload_authority(&two).await;
    world.activate(&second).await;
    let (status, _, message) = ask().await;
    assert_eq!(status, 401);
    assert!(
        message.starts_with("The project of this API key requires"),
        "{message}"
    );
    let first = world.upload_authority(&one).await;
    let first = json!({"certificate_ids": [first]});
    let organization = &world.organization;
    organization
        .post("/certificates/activate", first.clone())
        .await;
    assert_eq!(
        ask().await.0,
        200,
        "the organization has the authority of this client"
    );
    organization.post("/certificates/deactivate", first).await;
    assert_eq!(ask().await.0, 401, "remembered is not active");
    let second = json!({"certificate_ids": [second]});
    world.set("certificates/deactivate", second).await;
    assert_eq!(
        world.ask(world.service(), None).await.0,
        200,
        "nothing is asked for any more"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_headers_of_a_proxy_are_not_forwarded() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    let mut request = chat(world.service(), MODEL);
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
