//! Shell completion and manual pages.

use std::process::Command;

use super::recording_server::RecordingServer;
use crate::process::Process;

#[tokio::test(flavor = "multi_thread")]
async fn words_are_completed_from_the_registry() {
    let server = RecordingServer::start().await;
    let complete = |style: &str, words: &[&str]| {
        let mut command = server.bare(&[&["__complete", "--"], words].concat());
        command.env("COMPLETION_STYLE", style);
        Process::start(command).ended()
    };
    let cases: [(&str, &[&str], &str); 9] = [
        ("fish", &["ser"], "serve\t"),
        ("bash", &["adm"], "admin\n"),
        (
            "bash",
            &["admin:organization:us"],
            "users\nusers:groups\nusers:projects\nusers:roles\n",
        ),
        ("bash", &["admin:organization:users", "re"], "retrieve\n"),
        (
            "zsh",
            &["admin:organization:spend-l"],
            "admin\\:organization\\:spend-limit:",
        ),
        (
            "bash",
            &["admin:organization:users", "list", "--ord", "x", "--lim"],
            "--limit\n",
        ),
        (
            "bash",
            &["admin:organization:users", "list", "--format", "js"],
            "json\njsonl\n",
        ),
        (
            "bash",
            &["admin:organization:invites", "create", "--role", ""],
            "owner\nreader\n",
        ),
        ("bash", &["completion", "f"], "fish\n"),
    ];
    for (style, words, found) in cases {
        let ended = complete(style, words);
        assert_eq!(ended.code, Some(0), "{words:?}: {ended:?}");
        assert!(ended.stdout.contains(found), "{words:?}: {ended:?}");
    }
    let create = ["admin:organization:certificates", "create", "--certificate"];
    let code = |last: &str| complete("bash", &[&create[..], &[last]].concat()).code;
    assert_eq!((code("@ca"), code("text")), (Some(10), Some(11)));
}

#[tokio::test(flavor = "multi_thread")]
async fn bash_completes_words_with_colons() {
    let server = RecordingServer::start().await;
    let binary = env!("CARGO_BIN_EXE_orgplane");
    let script = "eval \"$(\"$0\" completion bash)\"
        COMP_LINE=\"$0 $1\" COMP_POINT=$((${#0} + 1 + ${#1}))
        _orgplane_complete && printf '%s\\n' \"${COMPREPLY[@]}\"";
    for (line, found) in [
        ("adm", "admin:\n"),
        ("admin:organization:spend", "spend-alerts\nspend-limit\n"),
        (
            "admin:organization:spend-limit ",
            "delete\nretrieve\nupdate\n",
        ),
        ("admin:organization:groups create --name @ca", "@ca.pem\n"),
    ] {
        std::fs::write(server.directory().join("ca.pem"), "").expect("a file in our directory");
        let mut bash = Command::new("bash");
        bash.args(["-c", script, binary, line])
            .current_dir(server.directory());
        let ended = Process::start(bash).ended();
        let mut words: Vec<&str> = ended.stdout.split_inclusive('\n').collect();
        words.sort_unstable();
        assert_eq!(words.concat(), found, "{line}: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_shell_has_its_script_and_the_manual_has_every_command() {
    let server = RecordingServer::start().await;
    for (shell, begins) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef orgplane"),
        ("fish", "complete -c orgplane"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let ended = Process::start(server.bare(&["completion", shell])).ended();
        assert!(
            ended.code == Some(0) && ended.stdout.contains(begins),
            "{ended:?}"
        );
    }
    let ended = Process::start(server.bare(&["completion", "csh"])).ended();
    assert_eq!(ended.code, Some(2), "{ended:?}");

    let ended = Process::start(server.bare(&["manpages", "--out", "manual"])).ended();
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(0), "manual/man1/orgplane.1\n")
    );
    let page = std::fs::read_to_string(server.directory().join("manual/man1/orgplane.1"));
    let page = page.expect("the page is there");
    for operation in admin::operations() {
        let heading = format!(".SH \"admin:organization:{}\"\n", operation.command);
        assert!(page.contains(&heading), "{heading}");
    }
    assert!(page.contains(".SH \"orgplane serve\"\n") && page.starts_with(".TH ORGPLANE 1 "));
}
