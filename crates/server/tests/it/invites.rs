//! An invitation takes the whole path: through the API, a real mail server and the link's token to a new user.

use serde_json::json;

use crate::installation::Installation;
use crate::mail_server::{MailServer, accept, free_port, settings, token};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_is_mailed_and_accepted_once() {
    let port = free_port();
    let mail_server = MailServer::start(port);
    let installation = Installation::new(&settings(port));
    let (server, admin) = installation.first_serve();
    let project = json!({"name": "Search"});
    let project = admin.post("/organization/projects", &project).await["id"].clone();
    let invite = json!({"email": "grace@example.com", "role": "reader",
                        "projects": [{"id": project, "role": "owner"}]});
    let invite = admin.post("/organization/invites", &invite).await;

    let mails = mail_server.all(&admin, 1).await;
    assert_eq!(mails[0]["to"], json!(["grace@example.com"]));
    assert_eq!(mails[0]["from"], "plane@example.com");
    let body = json!({"token": token(&mails[0]), "name": "Grace"});
    let (status, user) = accept(&admin, &body).await;
    assert_eq!(status, 200, "{user}");
    let (status, refusal) = accept(&admin, &body).await;
    assert_eq!(
        (status, &refusal["error"]["code"]),
        (400, &json!("invalid_token"))
    );

    let id = user["id"].as_str().expect("an id");
    let found = admin.get(&format!("/organization/users/{id}")).await;
    assert_eq!(
        (&found["email"], &found["role"]),
        (&json!("grace@example.com"), &json!("reader"))
    );
    let project = project.as_str().expect("an id");
    let path = format!("/organization/projects/{project}/users/{id}");
    assert_eq!(admin.get(&path).await["role"], "owner");
    let path = format!(
        "/organization/invites/{}",
        invite["id"].as_str().expect("an id")
    );
    assert_eq!(admin.get(&path).await["status"], "accepted");
    let ended = server.stop();
    assert!(
        !ended.stderr.contains(&token(&mails[0])),
        "a token was logged"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_survives_kill_9_and_is_sent_once() {
    let port = free_port();
    let installation = Installation::new(&settings(port));
    let (server, admin) = installation.first_serve();
    for email in ["grace@example.com", "alan@example.com"] {
        let invite = json!({"email": email, "role": "reader", "projects": []});
        admin.post("/organization/invites", &invite).await;
    }
    // Nobody takes mails yet: it was tried, and put off.
    server
        .process
        .wait_for_log("mail delivery failed; trying again");
    server.process.kill();

    let server = installation.serve();
    let mail_server = MailServer::start(port);
    let mails = mail_server.all(&server.api(&admin.key), 2).await;
    server.process.kill();
    let server = installation.serve();
    let admin = server.api(&admin.key);
    mail_server.all(&admin, 2).await;
    for mail in &mails {
        let body = json!({"token": token(mail), "name": "New"});
        assert_eq!(accept(&admin, &body).await.0, 200);
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_mail_server_mails_are_kept_and_sent_once_there_is_one() {
    let installation = Installation::new("public_url = \"https://plane.example\"\n");
    let (server, admin) = installation.first_serve();
    let invite = json!({"email": "grace@example.com", "role": "reader"});
    admin.post("/organization/invites", &invite).await;
    let words = "mail not sent: no SMTP server configured";
    server.process.wait_for_log(words);
    let logged = server.stop().stderr;

    let port = free_port();
    let mail_server = MailServer::start(port);
    installation.configure(&settings(port));
    let server = installation.serve();
    let admin = server.api(&admin.key);
    let mails = mail_server.all(&admin, 1).await;
    assert!(!logged.contains(&token(&mails[0])), "a token was logged");
    let body = json!({"token": token(&mails[0]), "name": "Grace"});
    assert_eq!(accept(&admin, &body).await.0, 200);
    server.stop();
}
