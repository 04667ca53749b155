//! Chains of every kind, from authorities that the tests make.

use http::HeaderValue;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};

use super::*;

/// 2025-10-09.
const NOW: UnixTime = UnixTime(1_760_000_000);

type Issuer = CertifiedIssuer<'static, KeyPair>;
type Certificate = CertificateDer<'static>;

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    params
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn root_with(params: CertificateParams) -> Issuer {
    CertifiedIssuer::self_signed(params, key()).expect("an authority")
}

fn root(name: &str) -> Issuer {
    root_with(authority_params(name))
}

fn below(issuer: &Issuer, params: CertificateParams) -> Issuer {
    CertifiedIssuer::signed_by(params, key(), issuer).expect("an authority")
}

fn leaf_with(issuer: &Issuer, params: &CertificateParams) -> Certificate {
    let certificate = params.signed_by(&key(), issuer).expect("a certificate");
    certificate.der().clone()
}

fn leaf(issuer: &Issuer) -> Certificate {
    leaf_with(issuer, &params("client"))
}

fn level(authorities: &[&Issuer]) -> ScopeSettings {
    let mut level = ScopeSettings::default();
    for (index, authority) in authorities.iter().enumerate() {
        let authority = Authority::new(authority.der());
        level.authorities.insert(format!("cert_{index}"), authority);
    }
    level
}

fn check_at(
    [organization, project]: [&ScopeSettings; 2],
    peer: Option<&PeerCertificates>,
    headers: &HeaderMap,
    now: UnixTime,
) -> Result<(), String> {
    let required = Required {
        organization,
        project,
    };
    let checked = required.check(peer, headers, &Clock::fake(now));
    checked.map_err(|error| {
        let told = (error.status.as_u16(), error.code);
        assert_eq!(told, (401, Some("client_certificate_required")));
        error.message.into_owned()
    })
}

/// Whether the organization's authority lets a chain of a handshake pass.
fn check(authority: &Issuer, chain: &[Certificate]) -> Result<(), String> {
    let peer = PeerCertificates::of_handshake(chain);
    let levels = [&level(&[authority]), &ScopeSettings::default()];
    check_at(levels, Some(&peer), &HeaderMap::new(), NOW)
}

#[track_caller]
fn refused(checked: Result<(), String>, words: &str) {
    let message = checked.expect_err("refused");
    assert!(message.contains(words), "{message}");
}

#[test]
fn where_none_is_active_none_is_asked_for() {
    let levels = [&ScopeSettings::default(), &ScopeSettings::default()];
    assert_eq!(check_at(levels, None, &HeaderMap::new(), NOW), Ok(()));
}

#[test]
fn a_certificate_that_an_active_authority_issued_passes() {
    let root = root("root");
    assert_eq!(check(&root, &[leaf(&root)]), Ok(()));
    let mut for_clients = params("client");
    for_clients.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    assert_eq!(check(&root, &[leaf_with(&root, &for_clients)]), Ok(()));
}

#[test]
fn what_is_wrong_is_told() {
    let (root, other) = (root("root"), root("other"));
    let with = |edit: &dyn Fn(&mut CertificateParams)| {
        let mut params = params("client");
        edit(&mut params);
        check(&root, &[leaf_with(&root, &params)])
    };
    refused(
        with(&|params| params.not_after = date_time_ymd(2025, 10, 1)),
        "has expired",
    );
    refused(
        with(&|params| params.not_before = date_time_ymd(2025, 11, 1)),
        "is not valid yet",
    );
    refused(
        with(&|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
        "not for the authentication of clients",
    );
    refused(
        with(&|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        "not for the authentication of clients",
    );
    refused(check(&root, &[leaf(&other)]), "leads to none of them");
    let namesake = self::root("root");
    refused(check(&root, &[leaf(&namesake)]), "leads to none of them");
    let alone = params("client").self_signed(&key()).expect("signed");
    refused(check(&root, &[alone.der().clone()]), "leads to none");
    refused(check(&root, &[vec![0x30, 0].into()]), "cannot be read");
    refused(check(&root, &[]), "none came with this request");
    let many: Vec<_> = std::iter::repeat_n(leaf(&root), 11).collect();
    refused(check(&root, &many), "too many others");
}

#[test]
fn plain_http_is_refused_and_who_asks_is_told() {
    let (one, two, none) = (root("one"), root("two"), ScopeSettings::default());
    for (levels, who) in [
        (
            [&level(&[&one]), &none],
            "The organization of this API key requires a",
        ),
        (
            [&none, &level(&[&one])],
            "The project of this API key requires a",
        ),
        (
            [&level(&[&one]), &level(&[&two])],
            "The organization and the project of this API key require a",
        ),
    ] {
        let checked = check_at(levels, None, &HeaderMap::new(), NOW);
        refused(checked.clone(), who);
        refused(checked, "came over plain HTTP");
    }
}

#[test]
fn certificates_between_are_to_be_sent_along() {
    let root = root("root");
    let between = below(&root, authority_params("between"));
    let lower = below(&between, authority_params("lower"));
    let own = leaf(&lower);
    let [between_der, lower_der] = [&between, &lower].map(|issuer| issuer.der().clone());
    refused(
        check(&root, std::slice::from_ref(&own)),
        "leads to none of them",
    );
    refused(
        check(&root, &[own.clone(), lower_der.clone()]),
        "leads to none of them",
    );
    for between in [
        [lower_der.clone(), between_der.clone()],
        [between_der.clone(), lower_der.clone()],
    ] {
        let [first, second] = between;
        assert_eq!(check(&root, &[own.clone(), first, second]), Ok(()));
    }
    // The authority that is active may be one between.
    assert_eq!(check(&lower, std::slice::from_ref(&own)), Ok(()));
    // The client's own comes first.
    refused(
        check(&root, &[lower_der, own, between_der]),
        "not for the authentication",
    );
}

#[test]
fn only_authorities_issue() {
    let mut shallow = authority_params("root");
    shallow.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let root = root_with(shallow);
    assert_eq!(check(&root, &[leaf(&root)]), Ok(()));

    let root = self::root("root");
    let client = below(&root, params("client"));
    let chain = [leaf(&client), client.der().clone()];
    refused(check(&root, &chain), "leads to none of them");

    let mut shallow = authority_params("between");
    shallow.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let between = below(&root, shallow);
    let lower = below(&between, authority_params("lower"));
    let chain = [leaf(&lower), lower.der().clone(), between.der().clone()];
    refused(check(&root, &chain), "leads to none of them");

    let mut old = authority_params("old");
    old.not_after = date_time_ymd(2025, 10, 1);
    let between = below(&root, old);
    let chain = [leaf(&between), between.der().clone()];
    refused(check(&root, &chain), "has expired");
}

#[test]
fn an_authority_that_has_expired_vouches_for_nobody() {
    let mut old = authority_params("old");
    old.not_after = date_time_ymd(2025, 10, 1);
    let (old, new) = (root_with(old), root("new"));
    refused(
        check(&old, &[leaf(&old)]),
        "every active authority has expired",
    );
    let (peer, none) = (
        PeerCertificates::of_handshake(&[leaf(&old)]),
        ScopeSettings::default(),
    );
    let both = level(&[&old, &new]);
    let checked = check_at([&both, &none], Some(&peer), &HeaderMap::new(), NOW);
    refused(checked, "leads to none of them");
}

#[test]
fn an_authority_that_cannot_be_used_still_asks() {
    let mut level = ScopeSettings::default();
    let unusable = Authority::new(&vec![0x30, 0].into());
    level.authorities.insert("cert_1".into(), unusable);
    let peer = PeerCertificates::of_handshake(&[leaf(&root("root"))]);
    let levels = [&ScopeSettings::default(), &level];
    let checked = check_at(levels, Some(&peer), &HeaderMap::new(), NOW);
    refused(checked, "every active authority");
}

#[test]
fn the_authorities_of_both_places_count() {
    let (of_organization, of_project) = (root("one"), root("two"));
    let [organization, project] = [&of_organization, &of_project].map(|it| level(&[it]));
    let none = ScopeSettings::default();
    for (levels, issuer, passes) in [
        ([&organization, &project], &of_organization, true),
        ([&organization, &project], &of_project, true),
        ([&organization, &none], &of_project, false),
        ([&none, &project], &of_organization, false),
    ] {
        let peer = PeerCertificates::of_handshake(&[leaf(issuer)]);
        let checked = check_at(levels, Some(&peer), &HeaderMap::new(), NOW);
        assert_eq!(checked.is_ok(), passes, "{checked:?}");
    }
}

#[test]
fn what_is_remembered_ends_with_the_activation_and_with_the_certificate() {
    let (first, second) = (root("first"), root("second"));
    let peer = PeerCertificates::of_handshake(&[leaf(&first)]);
    let (none, headers) = (ScopeSettings::default(), HeaderMap::new());
    let check = |organization: &ScopeSettings, now| {
        check_at([organization, &none], Some(&peer), &headers, now)
    };
    let remembered = || peer.0.remembered.lock().expect("no panic").len();
    for _ in 0..3 {
        assert_eq!(check(&level(&[&first]), NOW), Ok(()));
        assert_eq!(check(&level(&[&second, &first]), NOW), Ok(()));
        assert_eq!(remembered(), 1);
    }
    refused(check(&level(&[&second]), NOW), "leads to none of them");
    assert_eq!(check(&none, NOW), Ok(()));
    assert_eq!(check(&level(&[&first]), NOW), Ok(()));
    let last = UnixTime(1_798_761_600);
    assert_eq!(check(&level(&[&first]), last), Ok(()));
    refused(check(&level(&[&first]), last.plus(1)), "expired");
    assert_eq!(remembered(), 1);
}

fn header(chain: &[Certificate]) -> HeaderMap {
    use base64::Engine;
    let mut headers = HeaderMap::new();
    for (index, certificate) in chain.iter().enumerate() {
        let name = if index == 0 {
            "client-cert"
        } else {
            "client-cert-chain"
        };
        let text = base64::engine::general_purpose::STANDARD.encode(certificate);
        let value = HeaderValue::from_str(&format!(":{text}:")).expect("a value");
        headers.append(name, value);
    }
    headers
}

#[test]
fn a_proxy_says_what_its_clients_have_shown() {
    let (root, other) = (root("root"), root("other"));
    let between = below(&root, authority_params("between"));
    let proxy = PeerCertificates::of_proxy();
    let levels = [&level(&[&root]), &ScopeSettings::default()];
    let check = |headers: &HeaderMap| check_at(levels, Some(&proxy), headers, NOW);
    let long = [leaf(&between), between.der().clone()];
    for _ in 0..2 {
        assert_eq!(check(&header(&[leaf(&root)])), Ok(()));
        assert_eq!(check(&header(&long)), Ok(()));
        refused(check(&header(&[leaf(&other)])), "leads to none of them");
        refused(check(&HeaderMap::new()), "none came with this request");
    }
    let mut twice = header(&[leaf(&root)]);
    twice.append("client-cert", HeaderValue::from_static(":YQ==:"));
    refused(check(&twice), "Client-Cert of the proxy");
    for _ in 0..20 {
        assert_eq!(check(&header(&[leaf(&root)])), Ok(()));
    }
    let remembered = proxy.0.remembered.lock().expect("no panic").len();
    assert_eq!(remembered, MOST_REMEMBERED);
}

#[test]
fn whoever_is_no_proxy_says_nothing_in_headers() {
    let (root, other) = (root("root"), root("other"));
    let headers = header(&[leaf(&root)]);
    let levels = [&level(&[&root]), &ScopeSettings::default()];
    refused(check_at(levels, None, &headers, NOW), "plain HTTP");
    for (shown, words) in [(vec![], "none came"), (vec![leaf(&other)], "leads to none")] {
        let peer = PeerCertificates::of_handshake(&shown);
        refused(check_at(levels, Some(&peer), &headers, NOW), words);
    }
}
