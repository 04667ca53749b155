//! Sign-ins at providers of others: the certified `oidc-provider`, and Django OAuth Toolkit.

use super::provider_process::ProviderProcess;
use super::stranger_browser::Browser as StrangerBrowser;
use super::*;

/// Values that a user enters at a provider.
type Credentials<'a> = &'a [(&'a str, &'a str)];

const ADA: Credentials<'static> = &[("login", "ada@acme.example"), ("password", "x")];
const GRACE: Credentials<'static> = &[("username", "grace"), ("password", "a password of Django")];
const REDIRECT_URI: &str = "https://orgplane.example/sign-in/callback/real";
const SIGNED_OUT: &str = "https://orgplane.example/sign-in/signed-out";

/// Returns the options of a client without a secret at the certified provider.
fn certified(process: &ProviderProcess) -> IdentityProviderOptions {
    let mut options = options("real", &process.issuer);
    options.settings.client_id = "es256".to_owned();
    options.settings.client_secret = None;
    options
}

/// Starts a server for users of the organization under test, with the time of the machine.
async fn server_of(options: IdentityProviderOptions) -> Server {
    server(Clock::system(), vec![options]).await
}

/// Follows a page to the provider, and comes back.
async fn travel(
    here: &mut Browser,
    there: &mut StrangerBrowser,
    page: &Page,
    credentials: Credentials<'_>,
) -> Page {
    let query = there
        .reach(page.location(), REDIRECT_URI, credentials)
        .await;
    here.get(&format!("/sign-in/callback/real?{query}")).await
}

#[tokio::test]
async fn certified_provider_signs_in_confirms_and_ends_the_session() {
    // The provider sends its notice to the address at which the server listens, which differs from its base URL.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let notices = listener.local_addr().expect("an address");
    drop(listener);
    let notice = format!("http://{notices}/sign-in/logout/real");
    let arguments = [
        "--redirect",
        REDIRECT_URI,
        "--signed-out",
        SIGNED_OUT,
        "--logout-notice",
        &notice,
    ];
    let process = ProviderProcess::start("ORGPLANE_TEST_OIDC", &arguments).await;
    let server = server_of(certified(&process)).await;
    let app = server.http_service();
    let listener = tokio::net::TcpListener::bind(notices)
        .await
        .expect("the port");
    let serving = axum::serve(listener, tower::make::Shared::new(app));
    tokio::spawn(async move { serving.await });

    let (mut here, mut there) = (Browser::new(&server), StrangerBrowser::open());
    let page = here.get("/sign-in/provider/real?target=%2Finside").await;
    let page = travel(&mut here, &mut there, &page, ADA).await;
    assert_eq!(page.location(), "/inside");
    let login = newest(&server, "login.succeeded").await;
    assert_eq!(login["actor"]["session"]["user"]["email"], OWNER);
    let first = here.cookie(COOKIE).cloned();

    let again = "/sign-in/provider/real?again=&target=%2Finside";
    let page = here.get(again).await;
    let page = travel(&mut here, &mut there, &page, ADA).await;
    assert_eq!(page.location(), "/inside");
    assert_ne!(here.cookie(COOKIE).cloned(), first);

    // The provider ends its session, and by its notice those here.
    let mut elsewhere = here.clone();
    let page = here.post("/sign-out", &[]).await;
    page.says(200, "You are still signed in at");
    let (_, address) = page.text.split_once("href=\"http").expect("the address");
    let address = address
        .split('"')
        .next()
        .expect("the end")
        .replace("&#38;", "&");
    let mut second = Browser::at(&server, "192.0.2.2");
    let page = second.get("/sign-in/provider/real?target=%2Finside").await;
    let page = travel(&mut second, &mut there, &page, &[]).await;
    assert_eq!(page.location(), "/inside", "the browser is signed in there");
    assert!(second.is_signed_in().await && !elsewhere.is_signed_in().await);
    let values = [("logout", "yes")];
    there
        .reach(&format!("http{address}"), SIGNED_OUT, &values)
        .await;
    let is_over = async || !second.clone().is_signed_in().await;
    poll::until("the end of the session", is_over).await;
}

#[tokio::test]
async fn certified_provider_vouches_for_no_address_that_was_not_verified() {
    let process = ProviderProcess::start("ORGPLANE_TEST_OIDC", &["--redirect", REDIRECT_URI]).await;
    let mut options = certified(&process);
    options.create_as = Some(OrganizationRole::Reader);
    let server = server_of(options).await;
    for (login, code) in [
        ("unverified@acme.example", "email_not_verified"),
        ("mallory@elsewhere.example", "email_domain"),
    ] {
        let (mut here, mut there) = (Browser::new(&server), StrangerBrowser::open());
        let page = here.get("/sign-in/provider/real").await;
        let credentials = [("login", login), ("password", "x")];
        let page = travel(&mut here, &mut there, &page, &credentials).await;
        page.says(403, &format!("(Code: {code})"));
        assert!(!here.is_signed_in().await);
    }
}

#[tokio::test]
async fn second_provider_signs_in_a_new_user_and_confirms() {
    let process =
        ProviderProcess::start("ORGPLANE_TEST_OIDC_DJANGO", &["--redirect", REDIRECT_URI]).await;
    let mut options = options("real", &process.issuer);
    options.settings.client_id = "orgplane".to_owned();
    options.settings.client_secret = Some("a secret of Django".to_owned().into());
    options.settings.scopes = vec!["email".to_owned(), "profile".to_owned()];
    options.email_policy.domains = vec!["example.com".to_owned()];
    options.email_policy.trust_email = true;
    options.create_as = Some(OrganizationRole::Reader);
    let server = server_of(options).await;
    let (mut here, mut there) = (Browser::new(&server), StrangerBrowser::open());
    let page = here.get("/sign-in/provider/real?target=%2Finside").await;
    let page = travel(&mut here, &mut there, &page, GRACE).await;
    assert_eq!(page.location(), "/inside");
    let added = newest(&server, "user.added").await;
    assert_eq!(
        added["actor"]["session"]["user"]["email"],
        "grace@example.com"
    );
    let page = here
        .get("/sign-in/provider/real?again=&target=%2Finside")
        .await;
    let page = travel(&mut here, &mut there, &page, GRACE).await;
    assert_eq!(page.location(), "/inside");
}
