//! Tests of the rules, and the table of them in `docs/permissions.md`.

use std::fmt::Write;

use super::*;
use crate::dialect::DIALECTS;
use crate::endpoint::Endpoint;
use crate::generated_docs;
use crate::object_kind::ObjectKind;

#[test]
fn each_endpoint_requires_the_permission_of_its_path() {
    for (method, path, scope) in [
        (
            "POST",
            "/chat/completions",
            "api.model.chat_completions.request",
        ),
        (
            "GET",
            "/chat/completions/c/messages",
            "api.model.chat_completions.request",
        ),
        ("POST", "/completions", "api.model.request"),
        ("POST", "/messages/count_tokens", "api.model.request"),
        ("POST", "/decisions", "api.model.request"),
        ("POST", "/audio/translations", "api.model.audio.request"),
        ("POST", "/images/edits", "api.model.images.request"),
        ("POST", "/responses", "api.responses.write"),
        ("GET", "/responses", "api.responses.write"),
        ("POST", "/responses/compact", "api.responses.write"),
        ("POST", "/responses/resp_1/cancel", "api.responses.write"),
        ("DELETE", "/responses/resp_1", "api.responses.write"),
        ("GET", "/responses/resp_1/input_items", "api.responses.read"),
        ("GET", "/models/m", "api.model.read"),
        ("GET", "/files", "api.files.read"),
        ("GET", "/files/f/content", "api.files.read"),
        ("DELETE", "/files/f", "api.files.write"),
        ("POST", "/uploads/u/parts", "api.uploads.write"),
        ("GET", "/batches", "api.batches.read"),
        ("POST", "/batches/b/cancel", "api.batches.write"),
        ("POST", "/vector_stores/v/search", "api.vector_stores.read"),
        ("GET", "/vector_stores/v/files", "api.vector_stores.read"),
        ("POST", "/vector_stores/v/files", "api.vector_stores.write"),
        ("GET", "/conversations/c/items", "api.conversations.read"),
        ("POST", "/conversations", "api.conversations.write"),
        (
            "GET",
            "/containers/c/files/f/content",
            "api.containers.read",
        ),
        ("POST", "/containers", "api.containers.write"),
    ] {
        let method = Method::from_bytes(method.as_bytes()).expect(method);
        let permission = permission_at(&method, path).expect(path);
        assert_eq!(permission.as_str(), scope, "{method} {path}");
    }
    for path in ["", "/", "/unknown", "/filesystem", "/organization/users"] {
        assert_eq!(permission_at(&Method::GET, path), None, "{path}");
    }
}

#[test]
fn every_endpoint_has_a_rule_and_every_permission_of_the_gateway_is_required() {
    let objects = ObjectKind::ALL.iter().map(|kind| kind.path());
    let models = ["/models", "/models/m"];
    let paths = DIALECTS.iter().map(|dialect| dialect.path);
    for path in paths.chain(objects).chain(models) {
        let (methods, _) = Endpoint::at(&Method::POST, &format!("/v1{path}")).expect(path);
        for method in methods {
            assert!(permission_at(method, path).is_some(), "{method} {path}");
        }
    }
    for permission in Permission::ALL {
        let is_required = RULES
            .iter()
            .any(|rule| rule.read == *permission || rule.write == *permission);
        assert_eq!(is_required, permission.is_for_gateway(), "{permission:?}");
    }
}

#[test]
fn the_published_scopes_of_endpoints_match() {
    let mut table = String::from("| path | `GET` | other methods |\n|---|---|---|\n");
    for rule in RULES {
        let (path, read, write) = (rule.path, rule.read.as_str(), rule.write.as_str());
        let line = writeln!(table, "| `/v1{path}` | `{read}` | `{write}` |");
        line.expect("a string");
    }
    generated_docs::check("docs/permissions.md", "endpoints", &table);
}
