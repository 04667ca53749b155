//! Signals that end a process by default, and must not end a server: a reload, and what rotation scripts send by habit.

use std::process::Command;

use reqwest::Method;

use crate::authority::Authority;
use crate::client_script::python;
use crate::installation::{Installation, Server};
use crate::model_server::ModelServer;
use crate::process::Process;
use crate::stop::{begin_slowly, serve};

/// Runs a program on a terminal of its own, with its output where it was, and closes the terminal at SIGUSR1.
const ON_A_TERMINAL: &str = r#"
import os, pty, signal, sys

close = {signal.SIGUSR1}
signal.pthread_sigmask(signal.SIG_BLOCK, close)
out, err = os.dup(1), os.dup(2)
child, terminal = pty.fork()
if child == 0:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, close)
    if sys.argv[1] == "nohup":
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.execv(sys.argv[2], sys.argv[2:])
print("Child", child, flush=True)
signal.sigwait(close)
os.close(terminal)
_, status = os.waitpid(child, 0)
print("Ended", os.waitstatus_to_exitcode(status), flush=True)
"#;

/// The binary with these words on a terminal.
fn on_a_terminal(installation: &Installation, how: &str, words: &[&str]) -> Command {
    let binary = env!("CARGO_BIN_EXE_orgplane");
    let mut command = python(&["-c", ON_A_TERMINAL, how, binary]);
    command
        .args(words)
        .env("TMPDIR", installation.directory())
        .current_dir(installation.directory());
    command
}

/// The status of an answer of the server.
async fn health(address: &str) -> u16 {
    let request = crate::api::http().request(Method::GET, format!("{address}/healthz"));
    let answer = request.send().await.expect("an answer");
    answer.status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sighup_cuts_no_answer_and_ends_nothing() {
    let model_server = ModelServer::start();
    let (_installation, server, _admin, application) = serve(&model_server).await;
    let (mut response, mut text) = begin_slowly(&application).await;
    for signal in ["HUP", "USR1", "USR2", "HUP"] {
        server.process.signal(signal);
    }
    while let Some(piece) = response.chunk().await.expect("the stream goes on") {
        text.push_str(&String::from_utf8_lossy(&piece));
    }
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    server.process.wait_for_log("configuration reload started");
    server.process.wait_for_log("configuration unchanged");
    for signal in ["SIGUSR1", "SIGUSR2"] {
        server.process.wait_for_log(signal);
    }
    assert_eq!(health(&server.address).await, 200);
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sighup_reads_the_configuration_again_and_names_what_has_changed() {
    let upstream = |key: &str| {
        format!(
            "[[upstream]]\nname = \"u\"\nbase_url = \"http://127.0.0.1:1/v1\"\nmodels = [\"m\"]\n{key}\n"
        )
    };
    let installation = Installation::new(&upstream(""));
    let server = installation.serve();
    let log = |process: &Process, words: &str| {
        process.signal("HUP");
        process.wait_for_log(words);
    };
    installation.configure(&format!(
        "[smtp]\nurl = \"smtp://u:hidden-1@127.0.0.1:25\"\nfrom = \"a@b.example\"\n{}",
        upstream("weight = 2")
    ));
    log(&server.process, "smtp, upstream");
    for (settings, words) in [
        ("lisen = 1\n".to_owned(), "unknown field `lisen`"),
        (
            upstream("api_key_file = \"no.key\""),
            "no.key cannot be read",
        ),
        (
            "prices = \"no.toml\"\n".to_owned(),
            "no.toml cannot be read",
        ),
        (
            "[tls]\ncertificate = \"no.pem\"\nkey = \"no.pem\"\n".to_owned(),
            "no.pem cannot be read",
        ),
    ] {
        installation.configure(&settings);
        log(&server.process, words);
        server.process.wait_for_log("the next start would fail");
        assert_eq!(health(&server.address).await, 200, "{settings}");
    }
    std::fs::remove_file(installation.directory().join("orgplane.toml")).expect("removed");
    log(&server.process, "database, listen");
    let ended = server.stop();
    assert!(!ended.stderr.contains("hidden-1"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sighup_reads_the_certificate_again() {
    let settings = "[tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n";
    let installation = Installation::new(settings);
    let identity = Authority::new("Servers").issue("127.0.0.1");
    identity.write(installation.directory(), "server");
    let server = installation.serve();
    server.process.signal("HUP");
    server.process.wait_for_log("server certificate reloaded");
    std::fs::write(installation.directory().join("server.key"), "no key").expect("written");
    server.process.signal("HUP");
    server
        .process
        .wait_for_log("server.key holds no private key");
    server.process.wait_for_log("the next start would fail");
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sighup_asks_for_the_keys_of_upstreams_again() {
    let settings = "[[upstream]]\nname = \"u\"\nbase_url = \"http://127.0.0.1:1/v1\"\nmodels = [\"m\"]\n\
                    api_key_command = [\"cat\", \"upstream.key\"]\n";
    let installation = Installation::new(settings);
    let key = installation.directory().join("upstream.key");
    std::fs::write(&key, "first-key").expect("written");
    let server = installation.serve();
    std::fs::write(&key, "second-key").expect("written");
    // A key without an end is asked for again only now.
    server.process.signal("HUP");
    server.process.wait_for_log("key changed");
    std::fs::remove_file(&key).expect("removed");
    server.process.signal("HUP");
    server
        .process
        .wait_for_log("failed to read upstream API key");
    let ended = server.stop();
    assert!(!ended.stderr.contains("-key\""), "{ended:?}");
}

#[test]
fn sighup_of_a_terminal_that_closes_stops_in_order() {
    let installation = Installation::new("");
    for words in [&["serve"][..], &["demo", "--listen", "127.0.0.1:0"]] {
        let mut process = Process::start(on_a_terminal(&installation, "-", words));
        let ready = match words {
            ["serve"] => "Listening on ",
            _ => "Stop the demo with ",
        };
        process.wait_for_line(ready);
        process.signal("USR1");
        assert_eq!(process.wait_for_line("Ended "), "0", "{words:?}");
        let ended = process.ended();
        assert!(
            ended.stderr.contains("terminal closed; server stopping"),
            "{ended:?}"
        );
        assert!(ended.stderr.contains("server stopped"), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sighup_of_a_terminal_that_closes_does_not_stop_what_nohup_started() {
    let installation = Installation::new("");
    let server = Server::from(on_a_terminal(&installation, "nohup", &["serve"]));
    let child = server.process.line("Child ").expect("its id");
    server.process.signal("USR1");
    server.process.wait_for_log("configuration reload started");
    assert_eq!(health(&server.address).await, 200);
    let Server { mut process, .. } = server;
    let stop = Command::new("sh")
        .args(["-c", "kill \"$0\"", &child])
        .status();
    assert!(stop.is_ok_and(|status| status.success()));
    assert_eq!(process.wait_for_line("Ended "), "0");
}

#[test]
fn sighup_quit_stops_in_order() {
    let installation = Installation::new("");
    let server = installation.serve();
    server.process.signal("QUIT");
    let ended = server.process.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("SIGQUIT"), "{ended:?}");
}
