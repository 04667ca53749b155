//! New users, invitations, and the page of linked accounts.

use super::super::browser::link_in;
use super::fake_provider::Behaviour;
use super::*;

#[tokio::test]
async fn a_new_user_is_made_only_if_configured() {
    let trial = Trial::start().await;
    trial.claims("new", "new@acme.example", json!({"name": "New <One>"}));
    let page = trial.sign_in(&mut Browser::new(&trial.server)).await;
    page.says(403, "(Code: unknown_user)");
    page.says(403, "Ask an owner for an invitation");

    let trial = Trial::with(|options| options.create_as = Some(OrganizationRole::Reader)).await;
    trial.claims("new", "new@acme.example", json!({"name": "New <One>"}));
    let mut browser = Browser::new(&trial.server);
    assert_eq!(trial.sign_in(&mut browser).await.location(), "/inside");
    let added = newest(&trial.server, "user.added").await;
    assert_eq!(added["user.added"]["data"]["role"], "reader", "{added}");
    assert_eq!(
        added["actor"]["session"]["user"]["email"],
        "new@acme.example"
    );
    let users = trial.server.admin().get("/organization/users").await.ok();
    let users = users["data"].as_array().cloned().expect("a list");
    let new = users
        .iter()
        .find(|user| user["email"] == "new@acme.example");
    let new = new.expect("the user");
    assert_eq!(
        (&new["name"], &new["role"]),
        (&json!("New <One>"), &json!("reader"))
    );
    // An existing user keeps the role.
    trial.is("subject-1", OWNER, true);
    trial
        .sign_in(&mut Browser::at(&trial.server, "192.0.2.2"))
        .await
        .location();
    let owner = trial.server.admin().get("/organization/users").await.ok();
    let owner = owner["data"].as_array().cloned().expect("a list");
    let owner = owner
        .iter()
        .find(|user| user["email"] == OWNER)
        .expect("the owner");
    assert_eq!(owner["role"], "owner");
    // Nobody with an address elsewhere is made.
    trial.is("other", "other@elsewhere.example", true);
    let page = trial
        .sign_in(&mut Browser::at(&trial.server, "192.0.2.3"))
        .await;
    page.says(403, "(Code: email_domain)");
}

#[tokio::test]
async fn an_invitation_is_accepted_with_an_account_of_any_address() {
    let trial = Trial::start().await;
    trial.claims(
        "guest",
        "guest@elsewhere.example",
        json!({"email_verified": false, "name": "Guest"}),
    );
    let invite = json!({"email": "invited@acme.example", "role": "reader"});
    trial
        .server
        .admin()
        .post("/organization/invites", invite)
        .await
        .ok();
    let token = trial.server.token("invited@acme.example").await;
    let mut browser = Browser::new(&trial.server);
    browser.get("/invites/accept").await.says(200, "Join with");
    let form = [
        ("token", token.as_str()),
        ("name", ""),
        ("provider", "fake"),
    ];
    let there = browser.post("/invites/accept", &form).await;
    assert!(!there.location().contains(&token), "the token stays here");
    let page = trial.travel(&mut browser, &there).await;
    assert_eq!(page.location(), "/");
    assert!(browser.is_signed_in().await);
    assert_eq!(trial.newest_user().await, "invited@acme.example");
    // From then on the account signs in.
    let mut other = Browser::at(&trial.server, "192.0.2.2");
    assert_eq!(trial.sign_in(&mut other).await.location(), "/inside");
    assert_eq!(trial.newest_user().await, "invited@acme.example");
    // The invitation works once.
    trial.claims("second", "second@elsewhere.example", json!({}));
    let mut third = Browser::at(&trial.server, "192.0.2.3");
    let there = third.post("/invites/accept", &form).await;
    let page = trial.travel(&mut third, &there).await;
    page.says(400, "Ask for a new invite");
    assert!(!third.is_signed_in().await);
}

#[tokio::test]
async fn a_user_links_an_account_signs_in_with_it_and_unlinks_it() {
    let trial = Trial::start().await;
    trial.is("private", "ada@private.example", false);
    let mut browser = Browser::new(&trial.server);
    browser.sign_in(&trial.server, OWNER).await;
    browser
        .get("/account/providers")
        .await
        .says(200, "No account is linked yet.");
    let there = browser
        .post("/account/providers", &[("link", "fake")])
        .await;
    let page = trial.travel(&mut browser, &there).await;
    assert_eq!(page.location(), "/account/providers?done=linked");
    browser
        .get(page.location())
        .await
        .says(200, "ada@private.example");
    let mut other = Browser::at(&trial.server, "192.0.2.2");
    assert_eq!(trial.sign_in(&mut other).await.location(), "/inside");
    assert_eq!(trial.newest_user().await, OWNER);
    // The account is the only way in: there is no password, and no mail.
    let account = [
        ("issuer", trial.fake.issuer.as_str()),
        ("subject", "private"),
    ];
    let page = browser.post("/account/providers", &account).await;
    page.says(409, "your only way to sign in");
    assert_eq!(trial.links().await, 1);
    let password = [("password", "correct horse battery")];
    browser
        .post("/account/password", &password)
        .await
        .location();
    let page = browser.post("/account/providers", &account).await;
    assert_eq!(page.location(), "/account/providers?done=unlinked");
    assert_eq!(count(&trial.server, "x.user.identity.unlinked").await, 1);
    let page = trial
        .sign_in(&mut Browser::at(&trial.server, "192.0.2.3"))
        .await;
    page.says(403, "(Code: email_not_verified)");
}

#[tokio::test]
async fn linked_accounts_are_shown_after_a_recent_proof_only() {
    let trial = Trial::start().await;
    let mut browser = Browser::new(&trial.server);
    let page = browser.get("/account/providers").await;
    assert_eq!(page.location(), "/sign-in?target=%2Faccount%2Fproviders");
    browser.sign_in(&trial.server, OWNER).await;
    trial.server.clock.advance(601);
    let again = "/sign-in/again?target=%2Faccount%2Fproviders";
    assert_eq!(browser.get("/account/providers").await.location(), again);
    let page = browser
        .post("/account/providers", &[("link", "fake")])
        .await;
    assert_eq!(page.location(), again);
}

#[tokio::test]
async fn the_console_tests_a_provider_and_says_what_is_wrong() {
    let trial = Trial::start().await;
    let mut browser = Browser::new(&trial.server);
    browser.sign_in(&trial.server, OWNER).await;
    let path = "/console/identity_providers";
    let page = browser.get(path).await;
    page.says(200, "Test Provider &#60;fake&#62;");
    assert!(!page.text.contains("Discovery document"), "{}", page.text);
    let test = [("provider", "fake")];
    let page = browser.post(path, &test).await;
    page.says(200, "Discovery document: found");
    page.says(200, "can be used.");
    let failing = || Behaviour::Answer(500, String::new());
    trial.fake.state().behaviours.insert("keys", failing());
    let page = browser.post(path, &test).await;
    page.says(200, "Discovery document: found");
    page.says(200, "(Code: provider_unavailable)");
    let elsewhere = json!({ "issuer": "https://evil.example" });
    trial.fake.state().metadata = elsewhere;
    let page = browser.post(path, &test).await;
    page.says(200, "must copy the issuer exactly");
    // A provider of another organization, or none, is not tested.
    let before = trial.fake.count("discovery");
    let owner = link_in(&trial.server, "eve@other.example", None).await;
    let mut stranger = Browser::at(&trial.server, "192.0.2.2");
    stranger
        .post("/sign-in/link", &[("token", &owner)])
        .await
        .location();
    let page = stranger.post(path, &test).await;
    page.says(200, "No identity provider");
    browser
        .post(path, &[("provider", "other")])
        .await
        .says(200, "Test");
    assert_eq!(trial.fake.count("discovery"), before);
}

#[tokio::test]
async fn the_console_shows_a_provider_to_its_organization_and_no_secret() {
    let trial = Trial::start().await;
    let mut browser = Browser::new(&trial.server);
    browser.sign_in(&trial.server, OWNER).await;
    let page = browser.get("/console/identity_providers").await;
    page.says(200, "Provider &#60;fake&#62;");
    page.says(200, "/sign-in/callback/fake");
    page.says(200, "acme.example");
    assert!(!page.text.contains(CLIENT_SECRET), "{}", page.text);
    let owner = link_in(&trial.server, "eve@other.example", None).await;
    let mut stranger = Browser::at(&trial.server, "192.0.2.2");
    stranger
        .post("/sign-in/link", &[("token", &owner)])
        .await
        .location();
    let page = stranger.get("/console/identity_providers").await;
    page.says(200, "No identity provider");
    assert!(!page.text.contains("acme.example"), "{}", page.text);
}
