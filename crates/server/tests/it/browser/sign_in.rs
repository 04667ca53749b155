//! Sign-in in a browser.

use serde_json::json;

use super::site::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_sign_in_by_link_password_and_invitation() {
    let site = Site::start().await;
    site.person("nina@acme.example", "reader").await;
    let links = json!({
        "link": site.link("ada@acme.example").await,
        "second_link": site.link("nina@acme.example").await,
        "invitation": site.invitation("grace@acme.example").await,
    });
    site.run("sign_in", "", links).await;
}
