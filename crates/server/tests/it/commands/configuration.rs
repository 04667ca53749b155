//! `orgplane config show`: what is in effect, and where it came from.

use std::process::Command;

use crate::installation::Installation;
use crate::process::{Ended, Process};

/// The value of a key at the top of what is shown.
fn shown(command: Command, key: &str) -> String {
    let ended = Process::start(command).ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let table: toml::Table = ended.stdout.parse().expect("TOML");
    let value = table.get(key).and_then(toml::Value::as_str);
    value
        .unwrap_or_else(|| panic!("no {key}: {ended:?}"))
        .to_owned()
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let installation = Installation::new("public_url = \"https://file.example\"\n");
    let show = ["config", "show"];
    assert_eq!(shown(installation.command(&show), "listen"), "127.0.0.1:0");

    let cases = [
        ("ORGPLANE_LISTEN", "listen", "127.0.0.1:2"),
        (
            "ORGPLANE_DATABASE_URL",
            "database",
            "sqlite://of-environment.db",
        ),
        (
            "ORGPLANE_PUBLIC_URL",
            "public_url",
            "https://environment.example",
        ),
        (
            "ORGPLANE_SECRET_FILE",
            "secret_file",
            "of-environment.secret",
        ),
    ];
    for (variable, key, value) in cases {
        let mut command = installation.command(&show);
        command.env(variable, value);
        assert_eq!(shown(command, key), value, "{variable} wins over the file");
    }

    let flags = [
        ("ORGPLANE_LISTEN", "--listen", "listen", "127.0.0.1:3"),
        (
            "ORGPLANE_DATABASE_URL",
            "--database",
            "database",
            "sqlite://of-flag.db",
        ),
    ];
    for (variable, flag, key, value) in flags {
        let mut command = installation.command(&["config", "show", flag, value]);
        command.env(variable, "127.0.0.1:2");
        assert_eq!(shown(command, key), value, "{flag} wins over {variable}");
    }
}

#[test]
fn without_a_file_everything_has_a_default() {
    let installation = Installation::new("");
    let show = || {
        let mut command = installation.command(&["config", "show"]);
        command.current_dir("/");
        command
    };
    assert_eq!(shown(show(), "listen"), "127.0.0.1:8080");
    assert_eq!(shown(show(), "database"), "sqlite://orgplane.db");
    assert_eq!(shown(show(), "public_url"), "http://localhost:8080");
    assert_eq!(shown(show(), "secret_file"), "orgplane.secret");
}

#[test]
fn an_unknown_key_is_named() {
    let cases = [
        ("lisen = 1\n", "lisen"),
        ("[metering]\ndurabilty = \"strict\"\n", "durabilty"),
        ("[metering]\ndurability = \"stric\"\n", "stric"),
        ("[[upstream]]\nname = \"a\"\nbase_ur = \"x\"\n", "base_ur"),
        (
            "[[price]]\nmodel = \"a\"\neffective = \"2026-01-01\"\ninputt = \"1\"\n",
            "inputt",
        ),
    ];
    for (settings, key) in cases {
        let installation = Installation::new(settings);
        for words in [&["config", "show"][..], &["serve"], &["migrate"]] {
            let ended = installation.run(words);
            assert_eq!(ended.code, Some(1), "{words:?}: {ended:?}");
            assert!(ended.stderr.contains(key), "{words:?}: {ended:?}");
        }
    }
}

#[test]
fn what_is_not_said_of_an_upstream_is_shown_and_what_makes_no_sense_is_named() {
    let settings =
        "[[upstream]]\nname = \"local\"\nbase_url = \"http://127.0.0.1:1/v1\"\nmodels = [\"a\"]\n";
    let ended = Installation::new(settings).run(&["config", "show"]);
    for line in [
        "weight = 1",
        "connect_timeout_seconds = 5",
        "timeout_seconds = 600",
        "health_path = \"/models\"",
        "health_interval_seconds = 30",
        "http2 = false",
    ] {
        assert!(
            ended.stdout.lines().any(|it| it == line),
            "{line}: {ended:?}"
        );
    }
    for wrong in [
        "timeout_seconds = 0",
        "weight = -1",
        "ca_file = \"no.pem\"",
        "health_path = \"x\"",
    ] {
        let ended = Installation::new(&format!("{settings}{wrong}\n")).run(&["serve"]);
        assert_eq!(ended.code, Some(1), "{wrong}: {ended:?}");
        let value = wrong
            .split(' ')
            .next_back()
            .expect("a value")
            .trim_matches('"');
        let key = wrong.split(' ').next().expect("a key");
        let is_named = ended.stderr.contains(key) || ended.stderr.contains(value);
        assert!(is_named, "{wrong}: {ended:?}");
    }
}

#[test]
fn no_secret_is_shown() {
    let settings = r#"
        [[upstream]]
        name = "by-variable"
        base_url = "http://user:hidden-1@127.0.0.1:1/v1"
        api_key_env = "MODEL_KEY"
        models = ["a"]
        [[upstream]]
        name = "by-file"
        base_url = "http://127.0.0.1:1/v1"
        api_key_file = "model.key"
        models = ["b"]
    "#;
    let installation = Installation::new(settings);
    std::fs::write(installation.directory().join("model.key"), "hidden-2").expect("written");
    for database in [
        "postgres://user:hidden-3@127.0.0.1/d",
        "postgres://user:hid@den-4@127.0.0.1/d",
        "postgres://user@127.0.0.1/d?sslmode=disable&password=hidden-5",
        "postgres://127.0.0.1/d?password=hidden-6&sslmode=disable",
        "postgres://user:hid?den-9@127.0.0.1/d",
    ] {
        let mut command = installation.command(&["config", "show", "--database", database]);
        command.env("MODEL_KEY", "hidden-7");
        command.env(
            "ORGPLANE_BOOTSTRAP_ADMIN_KEY",
            "sk-admin-hidden-8-hidden-8-hidden-8",
        );
        let Ended { code, stdout, .. } = Process::start(command).ended();
        assert_eq!(code, Some(0));
        assert!(
            !stdout.contains("hid") && !stdout.contains("den-"),
            "{stdout}"
        );
        assert!(
            stdout.contains("MODEL_KEY") && stdout.contains("model.key"),
            "{stdout}"
        );
        assert!(stdout.contains("127.0.0.1"), "{stdout}");
    }
}

#[test]
fn duplicate_upstream_names_and_empty_keys_end_the_start_and_are_named() {
    let upstream = |name: &str, rest: &str| {
        format!("[[upstream]]\nname = \"{name}\"\nbase_url = \"http://127.0.0.1:1/v1\"\n{rest}\n")
    };
    let models = "models = [\"a\"]";
    let keyed = |key: &str| upstream("local", &format!("{models}\n{key}"));
    for (settings, words) in [
        (
            upstream("same", models) + &upstream("same", models),
            ["'same'", "another upstream has this name"],
        ),
        (
            upstream("none", "models = []"),
            ["'none'", "models is empty"],
        ),
        (upstream("", models), ["upstream ''", "name must be"]),
        (
            keyed("api_key_file = \"empty\""),
            ["'local'", "empty is empty"],
        ),
        (
            keyed("api_key_env = \"EMPTY\""),
            ["'local'", "EMPTY is empty"],
        ),
        (
            keyed("api_key_command = [\"true\"]"),
            ["'local'", "printed no key"],
        ),
        (keyed("stream_usage = \"later\""), ["stream_usage", "later"]),
        (
            keyed("proxy = \"ftp://me:hidden@h\""),
            ["'local'", "proxy is not"],
        ),
    ] {
        let installation = Installation::new(&settings);
        std::fs::write(installation.directory().join("empty"), "\n").expect("written");
        let mut command = installation.command(&["serve"]);
        command.env("EMPTY", "");
        let ended = Process::start(command).ended();
        assert_eq!(ended.code, Some(1), "{settings}: {ended:?}");
        for word in words {
            assert!(ended.stderr.contains(word), "{settings}: {ended:?}");
        }
        assert!(!ended.stderr.contains("hidden"), "{ended:?}");
        assert_eq!(ended.stdout, "", "no key is printed");
    }
    let far = upstream("far", models).replace("http://127.0.0.1:1", "https://far.example");
    let installation = Installation::new(&far);
    let mut command = installation.command(&["serve"]);
    command.env("HTTPS_PROXY", "ftp://me:hidden@h");
    let ended = Process::start(command).ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("upstream 'far': HTTPS_PROXY is not"),
        "{ended:?}"
    );
    assert!(!ended.stderr.contains("hidden"), "{ended:?}");
}
