//! Rules about the crates' manifests: who may depend on whom, and that each dependency is used.

use super::{File, Finding};

/// Crates of this repository that a crate may name in `[dependencies]`. Tests may name more, but see [`STRANGERS`].
const ARROWS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("egress", &[]),
    ("pages", &["base"]),
    ("slices", &[]),
    ("tasks", &[]),
    ("websocket", &["base"]),
    ("openid", &["base", "egress"]),
    ("proxy", &["base", "egress", "tasks", "websocket"]),
    ("store", &["base"]),
    ("telemetry", &["base"]),
    ("cluster", &["base", "store", "tasks"]),
    ("settings", &["base", "store"]),
    ("access", &["base", "cluster", "settings", "store", "tasks"]),
    ("rollup", &["base"]),
    ("usage", &["base", "rollup", "store", "tasks"]),
    ("files", &["base", "usage"]),
    ("bodies", &["access", "base", "cluster", "store", "tasks"]),
    (
        "admin",
        &[
            "access", "base", "files", "settings", "store", "tasks", "usage",
        ],
    ),
    (
        "gateway",
        &[
            "access",
            "base",
            "bodies",
            "cluster",
            "proxy",
            "slices",
            "store",
            "tasks",
            "telemetry",
            "usage",
            "websocket",
        ],
    ),
    ("cli", &["base", "egress"]),
    (
        "console",
        &["access", "admin", "base", "files", "pages", "store"],
    ),
    (
        "identity",
        &["admin", "base", "egress", "openid", "pages", "tasks"],
    ),
    (
        "server",
        &[
            "access",
            "admin",
            "base",
            "bodies",
            "cli",
            "cluster",
            "console",
            "egress",
            "files",
            "gateway",
            "identity",
            "openid",
            "pages",
            "store",
            "tasks",
            "telemetry",
            "usage",
        ],
    ),
    (
        "testkit",
        &[
            "access", "admin", "base", "gateway", "identity", "orgplane", "store", "usage",
        ],
    ),
];
/// Crates that do not know one another, not even in tests.
const STRANGERS: [&str; 2] = ["admin", "gateway"];
const OURS: [&str; 25] = [
    "access",
    "admin",
    "base",
    "bodies",
    "cli",
    "cluster",
    "console",
    "egress",
    "files",
    "gateway",
    "identity",
    "openid",
    "orgplane",
    "pages",
    "poll",
    "proxy",
    "rollup",
    "settings",
    "slices",
    "store",
    "tasks",
    "telemetry",
    "testkit",
    "usage",
    "websocket",
];

/// A line of a manifest that names a dependency.
struct Dependency<'text> {
    name: &'text str,
    section: &'text str,
    line: usize,
    /// True if a comment on the line says why the dependency is there without being named in the sources.
    is_explained: bool,
}

/// The arrows between crates: `base ← store ← { access ← bodies, usage ← files } ← { admin, gateway } ←
/// server`, and
/// `base ← telemetry ← { gateway, server }`, and `egress ← { cli, openid, proxy ← gateway, server }`, and `base ← openid`;
/// `rollup ← usage`; all but `base`, `rollup`, `openid`, `store`, `files`, `telemetry`, `cli` and `egress` know `tasks`.
pub fn arrows(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, name) in manifests(files) {
        let allowed = ARROWS
            .iter()
            .find(|(from, _)| *from == name)
            .map_or(&[][..], |(_, to)| to);
        for dependency in
            dependencies(&file.text).filter(|dependency| OURS.contains(&dependency.name))
        {
            let forbidden =
                dependency.section == "dependencies" && !allowed.contains(&dependency.name);
            let strange = STRANGERS.contains(&name) && STRANGERS.contains(&dependency.name);
            if forbidden || strange {
                findings.push(file.at(
                    dependency.line,
                    dependency.name,
                    &format!("`{name}` may not depend on `{}`", dependency.name),
                ));
            }
        }
    }
    findings
}

/// Each dependency is named in the crate's sources, or its line ends with a comment that says why it is there.
pub fn unused(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files
        .iter()
        .filter(|file| file.path.ends_with("/Cargo.toml"))
    {
        let folder = file.path.trim_end_matches("Cargo.toml");
        let sources: Vec<_> = files
            .iter()
            .filter(|source| source.is_rust() && source.path.starts_with(folder))
            .collect();
        for dependency in dependencies(&file.text).filter(|dependency| !dependency.is_explained) {
            let word = dependency.name.replace('-', "_");
            if !sources.iter().any(|source| names(&source.text, &word)) {
                findings.push(file.at(
                    dependency.line,
                    dependency.name,
                    &format!("`{}` is not used", dependency.name),
                ));
            }
        }
    }
    findings
}

/// The manifests of our crates, each with the name of its folder.
fn manifests(files: &[File]) -> impl Iterator<Item = (&File, &str)> {
    files.iter().filter_map(|file| {
        let name = file
            .path
            .strip_prefix("crates/")?
            .strip_suffix("/Cargo.toml")?;
        (!name.contains('/')).then_some((file, name))
    })
}

fn dependencies(manifest: &str) -> impl Iterator<Item = Dependency<'_>> {
    let mut section = "";
    manifest
        .lines()
        .enumerate()
        .filter_map(move |(line, text)| {
            if let Some(header) = text.strip_prefix('[') {
                section = header.split(']').next().unwrap_or("");
                return None;
            }
            let name = text.split(['.', '=', ' ']).next().unwrap_or("");
            let named =
                !name.is_empty() && !name.starts_with('#') && section.ends_with("dependencies");
            named.then(|| Dependency {
                name,
                section,
                line,
                is_explained: text.contains('#'),
            })
        })
}

/// True if the text holds the name as a whole word.
fn names(text: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + word.len()..].chars().next();
        !before.is_some_and(part_of_word) && !after.is_some_and(part_of_word)
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::findings;
    use super::*;

    #[test]
    fn arrows_point_one_way() {
        let manifest = "[package]\nname = \"usage\"\n\n[dependencies]\nstore.workspace = true\nbase = { path = \"x\" }\n";
        assert!(findings(arrows, &[("crates/usage/Cargo.toml", manifest)]).is_empty());
        let found = findings(
            arrows,
            &[(
                "crates/store/Cargo.toml",
                "[dependencies]\nusage.workspace = true\n",
            )],
        );
        assert_eq!(
            found,
            ["crates/store/Cargo.toml:2: `store` may not depend on `usage`"]
        );
    }

    #[test]
    fn command_line_links_no_handlers() {
        for handlers in ["admin", "gateway", "store"] {
            let manifest = format!("[dependencies]\n{handlers}.workspace = true\n");
            assert_eq!(
                findings(arrows, &[("crates/cli/Cargo.toml", &manifest)]).len(),
                1
            );
        }
    }

    #[test]
    fn admin_and_gateway_are_strangers_in_tests_too() {
        let manifest = "[dev-dependencies]\ntestkit.workspace = true\n";
        assert!(findings(arrows, &[("crates/admin/Cargo.toml", manifest)]).is_empty());
        let manifest = "[dev-dependencies]\ngateway.workspace = true\n";
        assert_eq!(
            findings(arrows, &[("crates/admin/Cargo.toml", manifest)]).len(),
            1
        );
        let manifest = "[dependencies]\nadmin.workspace = true\n";
        assert_eq!(
            findings(arrows, &[("crates/gateway/Cargo.toml", manifest)]).len(),
            1
        );
    }

    #[test]
    fn unused_dependencies_are_found() {
        let manifest = (
            "crates/a/Cargo.toml",
            "[dependencies]\nserde_json.workspace = true\ntokio-util = \"1\"\n",
        );
        let used = (
            "crates/a/src/lib.rs",
            "use serde_json::Value;\nuse tokio_util::sync;\n",
        );
        assert!(findings(unused, &[manifest, used]).is_empty());
        let elsewhere = ("crates/b/src/lib.rs", "use serde_json::Value;\n");
        let similar = (
            "crates/a/src/lib.rs",
            "use my_serde_json::Value;\nuse tokio_util::sync;\n",
        );
        let found = findings(unused, &[manifest, elsewhere, similar]);
        assert_eq!(found, ["crates/a/Cargo.toml:2: `serde_json` is not used"]);
    }

    #[test]
    fn an_explained_dependency_may_stay_unnamed() {
        let manifest = (
            "crates/a/Cargo.toml",
            "[dependencies]\nrustls = \"1\" # picks the provider\n",
        );
        assert!(findings(unused, &[manifest]).is_empty());
    }
}
