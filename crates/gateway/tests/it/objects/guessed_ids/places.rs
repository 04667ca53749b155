//! The places of a request that name objects, and the spellings of ids and names there.

use gateway::ObjectKind;

/// Paths that name an object, or one object within another, with the kind of the last.
pub(super) const PATHS: &[(&str, &str, &str)] = &[
    ("GET", "/v1/files/{}", "file"),
    ("GET", "/v1/files/{}/content", "file"),
    ("DELETE", "/v1/files/{}", "file"),
    ("GET", "/v1/files/{}/content", "part"),
    ("GET", "/v1/files/{}/content", "inside"),
    ("GET", "/v1/batches/{}", "batch"),
    ("POST", "/v1/batches/{}/cancel", "batch"),
    ("GET", "/v1/vector_stores/{}", "store"),
    ("DELETE", "/v1/vector_stores/{}", "store"),
    ("POST", "/v1/vector_stores/{}/search", "store"),
    ("GET", "/v1/vector_stores/{}/files", "store"),
    ("POST", "/v1/uploads/{}/complete", "upload"),
    ("POST", "/v1/uploads/{}/cancel", "upload"),
    ("POST", "/v1/uploads/{}/parts", "upload"),
    ("GET", "/v1/containers/{}", "container"),
    ("DELETE", "/v1/containers/{}", "container"),
    ("GET", "/v1/containers/{}/files", "container"),
    ("POST", "/v1/containers/{}/files", "container"),
    ("GET", "/v1/containers/{container}/files/{}", "inside"),
    (
        "GET",
        "/v1/containers/{container}/files/{}/content",
        "inside",
    ),
    ("DELETE", "/v1/containers/{container}/files/{}", "inside"),
    ("GET", "/v1/containers/{container}/files/{}", "file"),
    ("GET", "/v1/files/{file}/../{}", "file"),
    ("GET", "/v1/files/{file}/../../containers/{}", "container"),
    (
        "GET",
        "/v1/containers/{container}/files/../../{}",
        "container",
    ),
    ("GET", "/v1/uploads/{upload}/../../files/{}/content", "file"),
    ("GET", "/v1//files/{}", "file"),
    ("GET", "/v1/vector_stores/{store}/files/{}", "file"),
    ("DELETE", "/v1/vector_stores/{store}/files/{}", "file"),
    ("GET", "/v1/vector_stores/{store}/files/{}/content", "file"),
    ("GET", "/v1/vector_stores/{}/files/{file}", "store"),
    ("GET", "/v1/vector_stores/{store}/../{}", "store"),
    ("GET", "/v1/responses/{}", "response"),
    ("DELETE", "/v1/responses/{}", "response"),
    ("POST", "/v1/responses/{}/cancel", "response"),
    ("GET", "/v1/responses/{}/input_items", "response"),
    ("GET", "/v1/responses/{}", "item"),
    ("GET", "/v1/responses/{response}/../{}", "response"),
    ("GET", "/v1/conversations/{}", "conversation"),
    ("POST", "/v1/conversations/{}", "conversation"),
    ("DELETE", "/v1/conversations/{}", "conversation"),
    ("GET", "/v1/conversations/{}/items", "conversation"),
    ("POST", "/v1/conversations/{}/items", "conversation"),
    ("GET", "/v1/conversations/{conversation}/items/{}", "item"),
    (
        "DELETE",
        "/v1/conversations/{conversation}/items/{}",
        "item",
    ),
    (
        "GET",
        "/v1/conversations/{conversation}/items/../../{}",
        "conversation",
    ),
    ("GET", "/v1/chat/completions/{}", "completion"),
    ("POST", "/v1/chat/completions/{}", "completion"),
    ("DELETE", "/v1/chat/completions/{}", "completion"),
    ("GET", "/v1/chat/completions/{}/messages", "completion"),
    ("GET", "/v1/files/{}", "response"),
    ("GET", "/v1/responses/{}", "conversation"),
    ("GET", "/v1/uploads/{}/parts/{part}", "upload"),
    ("GET", "/v1/files//{}", "file"),
];

/// Queries that name an object.
pub(super) const QUERIES: &[(&str, &str)] = &[
    ("/v1/files?after={}", "file"),
    ("/v1/files?file_id={}", "file"),
    ("/v1/containers?after={}", "container"),
    ("/v1/containers?name=x&container_id={}", "container"),
    ("/v1/vector_stores?before={}", "store"),
    ("/v1/batches?after={}", "batch"),
    ("/v1/vector_stores?after={}", "store"),
    ("/v1/vector_stores/{store}/files?after={}", "file"),
    ("/v1/vector_stores/{store}/files?before={}", "file"),
    ("/v1/vector_stores/{store}/files?file_ids={}", "file"),
    ("/v1/containers/{container}/files?after={}", "inside"),
    ("/v1/responses/{response}/input_items?after={}", "item"),
    (
        "/v1/responses/{response}/input_items?limit=1&%62efore={}",
        "item",
    ),
    (
        "/v1/responses/{response}?starting_after=1&response_id={}",
        "response",
    ),
    ("/v1/conversations/{conversation}/items?after={}", "item"),
    (
        "/v1/conversations/{conversation}/items?after=&before={}",
        "item",
    ),
    (
        "/v1/conversations/{conversation}/items?conversation={}",
        "conversation",
    ),
    ("/v1/chat/completions?after={}", "completion"),
    ("/v1/chat/completions?metadata[id]={}", "completion"),
    (
        "/v1/chat/completions/{completion}/messages?completion_id={}",
        "completion",
    ),
];

/// JSON bodies that name an object, with their paths.
pub(super) const BODIES: &[(&str, &str, &str)] = &[
    (
        "/v1/responses",
        r#"{"model":"real","input":[{"content":[{"type":"input_file",@file_id:{}}]}]}"#,
        "file",
    ),
    (
        "/v1/responses",
        r#"{"model":"real",@tools:[{"type":"file_search",@vector_store_ids:[{}]}]}"#,
        "store",
    ),
    (
        "/v1/responses",
        r#"{"model":"real","tools":[{"type":"code_interpreter",@container:{}}]}"#,
        "container",
    ),
    (
        "/v1/responses",
        r#"{"model":"real","tools":[{"type":"code_interpreter",@container:{"type":"auto",@file_ids:[{}]}}]}"#,
        "file",
    ),
    (
        "/v1/responses",
        r#"{"model":"real","tools":[{"type":"shell","environment":{"type":"container_reference",@container_id:{}}}]}"#,
        "container",
    ),
    (
        "/v1/responses",
        r#"{"model":"real","input":[{"type":"code_interpreter_call",@container_id:{}}]}"#,
        "container",
    ),
    (
        "/v1/chat/completions",
        r#"{"model":"real","messages":[{"content":[{"type":"file","file":{@file_id:{}}}]}]}"#,
        "file",
    ),
    (
        "/v1/responses",
        r#"{"model":"real",@previous_response_id:{}}"#,
        "response",
    ),
    (
        "/v1/responses",
        r#"{@prompt_cache_options:{@comparison_response_id:{}},"model":"real"}"#,
        "response",
    ),
    (
        "/v1/responses",
        r#"{"model":"real",@conversation:{}}"#,
        "conversation",
    ),
    (
        "/v1/responses",
        r#"{"model":"real",@conversation:{@id:{}}}"#,
        "conversation",
    ),
    (
        "/v1/responses",
        r#"{"model":"real",@input:[{"role":"user","content":"x"},{"type":"item_reference",@id:{}}]}"#,
        "item",
    ),
    (
        "/v1/responses",
        r#"{"model":"real","input":[{@id:{}}]}"#,
        "item",
    ),
    (
        "/v1/responses",
        r#"{"model":"real","input":[{"type":"reasoning","summary":[],@id:{}}]}"#,
        "item",
    ),
    (
        "/v1/responses",
        r#"{"model":"real","prompt":{"id":"pmpt_1","variables":{"v":{"type":"input_file",@file_id:{}}}}}"#,
        "file",
    ),
    (
        "/v1/responses",
        r#"{"model":"real","attachments":[{@file_id:{},"tools":[]}]}"#,
        "file",
    ),
    (
        "/v1/responses",
        r#"{"model":"real","tool_resources":{"file_search":{@vector_store_ids:[{}]}}}"#,
        "store",
    ),
    (
        "/v1/responses",
        r#"{"model":"real","tool_resources":{"code_interpreter":{@file_ids:[{own file},{}]}}}"#,
        "file",
    ),
    (
        "/v1/responses/compact",
        r#"{"model":"real",@previous_response_id:{}}"#,
        "response",
    ),
    (
        "/v1/responses/input_tokens",
        r#"{"model":"real",@conversation:{}}"#,
        "conversation",
    ),
    (
        "/v1/conversations",
        r#"{@items:[{"type":"item_reference",@id:{}}]}"#,
        "item",
    ),
    (
        "/v1/conversations/{conversation}/items",
        r#"{@items:[{"role":"user","content":[{"type":"input_file",@file_id:{}}]}]}"#,
        "file",
    ),
    (
        "/v1/conversations/{conversation}",
        r#"{"metadata":{"a":"b"},@conversation:{}}"#,
        "conversation",
    ),
    (
        "/v1/batches",
        r#"{@input_file_id:{},"endpoint":"/v1/chat/completions","completion_window":"24h"}"#,
        "input",
    ),
    ("/v1/vector_stores", r#"{@file_ids:[{}]}"#, "file"),
    (
        "/v1/vector_stores",
        r#"{"x":{"y":[{@file_id:{}}]}}"#,
        "file",
    ),
    (
        "/v1/vector_stores/{store}/files",
        r#"{@file_id:{}}"#,
        "file",
    ),
    (
        "/v1/vector_stores/{store}/files",
        r#"{"x":[{@vector_store_id:{}}]}"#,
        "store",
    ),
    (
        "/v1/vector_stores/{store}/file_batches",
        r#"{@files:[{@file_id:{}}]}"#,
        "file",
    ),
    (
        "/v1/vector_stores/{store}/file_batches",
        r#"{@file_ids:[{}]}"#,
        "file",
    ),
    (
        "/v1/uploads/{upload}/complete",
        r#"{@part_ids:[{}]}"#,
        "part",
    ),
    (
        "/v1/uploads/{upload}/complete",
        r#"{@part_ids:[{own part},{}]}"#,
        "part",
    ),
    (
        "/v1/uploads/{upload}/complete",
        r#"{@part_ids:[{}]}"#,
        "file",
    ),
    (
        "/v1/containers",
        r#"{"name":"x",@file_ids:[{own file},{}]}"#,
        "file",
    ),
    (
        "/v1/containers",
        r#"{"name":"x","x":[{@file_ids:[{}]}]}"#,
        "file",
    ),
    (
        "/v1/containers",
        r#"{"name":"x","x":{@container:{}}}"#,
        "container",
    ),
    (
        "/v1/containers/{container}/files",
        r#"{@file_id:{}}"#,
        "file",
    ),
    (
        "/v1/containers/{container}/files",
        r#"{"x":{@file_id:{}}}"#,
        "file",
    ),
];

/// Kinds of objects, each with the names of its ids in the places above. A new kind does not compile without a line here.
pub(super) fn names_of(kind: ObjectKind) -> &'static [&'static str] {
    match kind {
        ObjectKind::File => &["file", "input"],
        ObjectKind::Batch => &["batch"],
        ObjectKind::VectorStore => &["store"],
        ObjectKind::Response => &["response"],
        ObjectKind::ResponseItem => &["item"],
        ObjectKind::Conversation => &["conversation"],
        ObjectKind::ChatCompletion => &["completion"],
        ObjectKind::Upload => &["upload"],
        ObjectKind::UploadPart => &["part"],
        ObjectKind::Container => &["container", "inside"],
    }
}

/// Names of fields of a form for a container, with the content of the field.
pub(super) const FIELDS: [&str; 6] = [
    "file_id",
    "file_id[]",
    "File_Id",
    "file\\_id",
    "file_id\"; x=\"",
    " file_id",
];

/// Returns an id as a path or a query may spell it.
pub(super) fn in_path(id: &str, spelling: u8) -> String {
    let first = id.as_bytes()[0];
    match spelling % 8 {
        0 | 1 => id.to_owned(),
        2 => format!("%{first:02x}{}", &id[1..]),
        3 => id.bytes().map(|byte| format!("%{byte:02X}")).collect(),
        4 => format!("./{id}"),
        5 => format!("{id}/."),
        6 => format!("x%2F..%2F{id}"),
        _ => format!("{id}%00"),
    }
}

/// Returns an id as JSON may spell it.
pub(super) fn in_json(id: &str, spelling: u8) -> String {
    let first = id.as_bytes()[0];
    match spelling % 6 {
        0 | 1 => format!("\"{id}\""),
        2 => format!("\"\\u{first:04x}{}\"", &id[1..]),
        3 => {
            let escapes = id.bytes().map(|byte| format!("\\u{byte:04X}"));
            format!("\"{}\"", escapes.collect::<String>())
        }
        4 => format!("\"{id}\\u0000\""),
        _ => format!("{{\"id\":\"{id}\"}}"),
    }
}

/// Returns a body whose members with an `@` are spelt, or given twice, in a way that some servers accept.
pub(super) fn spell(body: &str, spelling: u8) -> String {
    let mut spelt = String::new();
    for (index, part) in body.split('@').enumerate() {
        if index == 0 {
            spelt.push_str(part);
            continue;
        }
        let (name, rest) = part.split_once(':').expect("a member");
        let first = name.as_bytes()[0];
        spelt.push_str(&match spelling % 6 {
            0 | 1 => format!("\"{name}\":{rest}"),
            2 => format!("\"\\u{first:04x}{}\":{rest}", &name[1..]),
            3 => format!(
                "\"{}{}\":{rest}",
                first.to_ascii_uppercase() as char,
                &name[1..]
            ),
            4 => format!("\"{name}\":null,\"{name}\":{rest}"),
            _ => format!("\"{name}\\u0000\":{rest}"),
        });
    }
    spelt
}
