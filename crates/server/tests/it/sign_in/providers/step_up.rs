//! Another proof of identity at the provider.

use super::*;

const AGAIN: &str = "/sign-in/provider/fake?again=&target=%2Finside";

#[tokio::test]
async fn a_user_confirms_the_identity_at_the_provider() {
    let trial = Trial::start().await;
    let mut browser = Browser::new(&trial.server);
    trial.sign_in(&mut browser).await.location();
    let first = browser.cookie(COOKIE).cloned().expect("a session");
    trial.server.clock.advance(601);
    let page = browser.get("/sign-in/again?target=/inside").await;
    page.says(200, "/sign-in/provider/fake?target=%2Finside&#38;again=");
    let there = browser.get(AGAIN).await;
    for parameter in ["prompt=login", "max_age=0"] {
        assert!(there.location().contains(parameter), "{}", there.location());
    }
    let page = trial.travel(&mut browser, &there).await;
    assert_eq!(page.location(), "/inside");
    assert_ne!(browser.cookie(COOKIE), Some(&first), "the token is new");
    let page = browser.get("/account/providers").await;
    page.says(200, "Unlink");
    let mut old = Browser::at(&trial.server, "192.0.2.2");
    old.set_cookie(COOKIE, &first);
    assert!(!old.is_signed_in().await);
}

#[tokio::test]
async fn another_user_or_an_old_proof_confirms_nothing() {
    let trial = Trial::start().await;
    let mut browser = Browser::new(&trial.server);
    trial.sign_in(&mut browser).await.location();
    trial.server.clock.advance(601);
    let there = browser.get(AGAIN).await;
    trial.is("subject-2", OWNER, true);
    let page = trial.travel(&mut browser, &there).await;
    page.says(403, "(Code: other_user)");
    let there = browser.get(AGAIN).await;
    trial.claims("subject-1", OWNER, json!({"auth_time": NOW.0}));
    let page = trial.travel(&mut browser, &there).await;
    page.says(403, "(Code: reauthentication)");
    let page = browser.get("/account/providers").await;
    assert_eq!(
        page.location(),
        "/sign-in/again?target=%2Faccount%2Fproviders"
    );
    assert!(browser.is_signed_in().await, "the session goes on");
}

#[tokio::test]
async fn a_user_without_an_account_there_cannot_confirm_there() {
    let trial = Trial::start().await;
    let mut browser = Browser::new(&trial.server);
    browser.sign_in(&trial.server, OWNER).await;
    let page = browser.get("/sign-in/again?target=/inside").await;
    assert!(
        !page.text.contains("/sign-in/provider/fake"),
        "{}",
        page.text
    );
    browser.get(AGAIN).await.says(403, "(Code: other_user)");
    let mut nobody = Browser::at(&trial.server, "192.0.2.2");
    let page = nobody.get(AGAIN).await;
    assert_eq!(page.location(), "/sign-in?target=%2Finside");
}
