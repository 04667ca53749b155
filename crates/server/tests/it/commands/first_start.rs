//! The first start: a key that is shown once, or chosen, and a secret outside the database.

use std::os::unix::fs::PermissionsExt;

use reqwest::Method;

use crate::api::Api;
use crate::installation::{Installation, Server};

/// The status that a key gets for a look at the projects.
async fn status(api: &Api) -> u16 {
    let answer = api
        .request(Method::GET, "/organization/projects")
        .send()
        .await;
    answer.expect("an answer").status().as_u16()
}

#[tokio::test]
async fn the_first_key_is_printed_once_and_lasts() {
    let installation = Installation::new("");
    let (server, admin) = installation.first_serve();
    assert_eq!(status(&admin).await, 200);
    let ready = reqwest::get(format!("{}/readyz", server.address)).await;
    assert_eq!(ready.expect("an answer").status(), 200);
    let ended = server.stop();
    assert_eq!(ended.stdout.matches(&admin.key).count(), 1, "{ended:?}");

    let server = installation.serve();
    assert_eq!(status(&server.api(&admin.key)).await, 200);
    let ended = server.stop();
    assert!(!ended.stdout.contains("sk-admin-"), "{ended:?}");
}

#[tokio::test]
async fn an_operator_may_choose_the_first_key() {
    let installation = Installation::new("");
    let serve_with = |key: &str| {
        let mut command = installation.command(&["serve"]);
        command.env("ORGPLANE_BOOTSTRAP_ADMIN_KEY", key);
        command
    };
    for bad in [
        "sk-admin-short",
        "sk-proj-0123456789-0123456789",
        "sk-admin-0123456789 0123456789",
    ] {
        let ended = crate::process::Process::start(serve_with(bad)).ended();
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(
            ended.stderr.contains("ORGPLANE_BOOTSTRAP_ADMIN_KEY"),
            "{ended:?}"
        );
        assert!(!ended.stderr.contains(bad), "{ended:?}");
    }

    let chosen = "sk-admin-chosen-by-the-operator";
    let server = Server::from(serve_with(chosen));
    assert_eq!(status(&server.api(chosen)).await, 200);
    let ended = server.stop();
    assert!(
        ended.stdout.contains("First start") && !ended.stdout.contains(chosen),
        "{ended:?}"
    );

    let later = "sk-admin-set-when-it-was-too-late";
    let server = Server::from(serve_with(later));
    assert_eq!(status(&server.api(chosen)).await, 200);
    assert_eq!(status(&server.api(later)).await, 401);
    server.stop();
}

#[tokio::test]
async fn the_secret_is_its_owners_alone_and_must_not_go_missing() {
    let installation = Installation::new("");
    let (server, admin) = installation.first_serve();
    server.stop();
    let file = installation.secret_file();
    let mode = std::fs::metadata(&file)
        .expect("the secret file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let secret = std::fs::read_to_string(&file).expect("readable");

    std::fs::remove_file(&file).expect("removed");
    for words in [
        &["serve"][..],
        &[
            "org",
            "create",
            "--name",
            "A",
            "--owner-email",
            "a@b.example",
        ],
    ] {
        let ended = installation.run(words);
        assert_eq!(ended.code, Some(1), "{words:?}: {ended:?}");
        assert!(
            ended.stderr.contains("orgplane.secret is missing"),
            "{words:?}: {ended:?}"
        );
        assert!(!file.exists(), "{words:?}: no other secret takes its place");
    }
    std::fs::write(&file, "not a secret").expect("written");
    let ended = installation.run(&["serve"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("64 hexadecimal digits"), "{ended:?}");

    std::fs::write(&file, secret).expect("restored");
    let server = installation.serve();
    assert_eq!(status(&server.api(&admin.key)).await, 200);
    server.stop();
}

#[tokio::test]
async fn first_key_is_printed_only_once_everything_in_the_configuration_is_good() {
    let upstream = |settings: &str| {
        format!(
            "[[upstream]]\nname = \"u\"\nbase_url = \"http://127.0.0.1:1/v1\"\nmodels = [\"m\"]\n{settings}\n"
        )
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let held = listener.local_addr().expect("bound").to_string();
    let bad_price = "[[price]]\nmodel = \"m\"\neffective = \"2026-01-01\"\ninput = \"much\"\n";
    let installation = Installation::new("");
    std::fs::write(installation.directory().join("bad.toml"), bad_price).expect("written");
    std::fs::write(installation.directory().join("bad.pem"), "no certificate").expect("written");
    for (settings, words) in [
        (
            "[tls]\ncertificate = \"bad.pem\"\nkey = \"bad.pem\"\n".to_owned(),
            "bad.pem holds no certificate",
        ),
        (
            "[tls]\ncertificate = \"no.pem\"\nkey = \"no.pem\"\n".to_owned(),
            "no.pem cannot be read",
        ),
        (bad_price.to_owned(), "input"),
        ("prices = \"bad.toml\"\n".to_owned(), "bad.toml"),
        ("prices = \"no.toml\"\n".to_owned(), "no.toml"),
        (upstream("api_key_env = \"NOT_SET\""), "NOT_SET"),
        (upstream("api_key_file = \"no.key\""), "no.key"),
        (upstream("ca_file = \"no.pem\""), "no.pem"),
        (upstream("ca_file = \"bad.pem\""), "ca_file"),
        (upstream("").replace("http:", "ftp:"), "base_url"),
        (upstream("timeout_seconds = 0"), "timeout_seconds"),
        (
            format!("[metrics]\nlisten = \"{held}\"\n"),
            "cannot listen on",
        ),
        ("[smtp]\nurl = \"smtp://127.0.0.1\"\n".to_owned(), "from"),
        (
            "[cors]\norigins = [\"https://a.example/\"]\n".to_owned(),
            "cors.origins",
        ),
        ("[[model]]\nname = \"m\"\nkind = \"x\"\n".to_owned(), "kind"),
        (
            "[telemetry]\notlp_endpoint = \"nowhere\"\n".to_owned(),
            "invalid endpoint",
        ),
    ] {
        installation.configure(&settings);
        let ended = installation.run(&["serve"]);
        assert_eq!(ended.code, Some(1), "{settings}: {ended:?}");
        assert!(ended.stderr.contains(words), "{settings}: {ended:?}");
        assert_eq!(ended.stdout, "", "{settings}: no key is shown");
    }
    installation.configure("");
    let ended = installation.run(&["serve", "--listen", &held]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("cannot listen on"), "{ended:?}");
    assert_eq!(ended.stdout, "", "no key is shown");
    let (server, admin) = installation.first_serve();
    assert_eq!(status(&admin).await, 200);
    server.stop();
}

#[test]
fn starts_log_no_notice_of_the_database() {
    let installation = Installation::without_tables("");
    for _ in 0..2 {
        let ended = installation.serve().stop();
        assert!(!ended.stderr.contains("NOTICE"), "{ended:?}");
    }
}
