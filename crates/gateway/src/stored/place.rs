//! Which paths there are, and what each is about.

use access::stored::Kind;
use base::ids::MAX_ID_LENGTH;
use http::Method;

use super::path_of;

/// Where a request goes.
pub(crate) struct Place {
    pub(super) kind: Kind,
    /// Which one it is about; `None`: all, or a new one.
    pub(super) id: Option<String>,
    /// What of it, with a slash in front; empty: itself.
    pub(super) part: String,
}

impl Place {
    /// What lies at this path below `/v1`, and the methods that it has.
    pub(crate) fn at(path: &str) -> Option<(&'static [Method], Self)> {
        const GET: Method = Method::GET;
        const POST: Method = Method::POST;
        const DELETE: Method = Method::DELETE;
        let mut segments = path.strip_prefix('/')?.split('/');
        let kind = match segments.next()? {
            "files" => Kind::File,
            "batches" => Kind::Batch,
            "vector_stores" => Kind::VectorStore,
            _ => return None,
        };
        let segments: Vec<&str> = segments.collect();
        if !segments.iter().all(|segment| is_plausible(segment)) {
            return None;
        }
        let methods: &[Method] = match (kind, segments.as_slice()) {
            (_, []) | (Kind::VectorStore, [_, "files"]) => &[GET, POST],
            (Kind::File, [_]) => &[GET, DELETE],
            (Kind::Batch, [_])
            | (Kind::File, [_, "content"])
            | (
                Kind::VectorStore,
                [_, "files", _, "content"]
                | [_, "file_batches", _]
                | [_, "file_batches", _, "files"],
            ) => &[GET],
            (Kind::VectorStore, [_] | [_, "files", _]) => &[GET, POST, DELETE],
            (Kind::Batch, [_, "cancel"])
            | (
                Kind::VectorStore,
                [_, "search" | "file_batches"] | [_, "file_batches", _, "cancel"],
            ) => &[POST],
            _ => return None,
        };
        let (id, part) = match segments.split_first() {
            None => (None, String::new()),
            Some((id, rest)) => (
                Some((*id).to_owned()),
                rest.iter().flat_map(|it| ["/", it]).collect(),
            ),
        };
        Some((methods, Self { kind, id, part }))
    }

    /// What metrics and traces call it: one name for each kind.
    pub(crate) fn name(&self) -> &'static str {
        path_of(self.kind)
    }
}

/// Whether this can be an id, or a word between ids: nothing that a server could take for another path.
pub(super) fn is_plausible(segment: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=MAX_ID_LENGTH).contains(&segment.len()) && segment.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_that_there_is() {
        for (path, methods) in [
            ("/files", "GET POST"),
            ("/files/file-1", "GET DELETE"),
            ("/files/file-1/content", "GET"),
            ("/batches", "GET POST"),
            ("/batches/b_1", "GET"),
            ("/batches/b_1/cancel", "POST"),
            ("/vector_stores", "GET POST"),
            ("/vector_stores/vs_1", "GET POST DELETE"),
            ("/vector_stores/vs_1/search", "POST"),
            ("/vector_stores/vs_1/files", "GET POST"),
            ("/vector_stores/vs_1/files/f", "GET POST DELETE"),
            ("/vector_stores/vs_1/files/f/content", "GET"),
            ("/vector_stores/vs_1/file_batches", "POST"),
            ("/vector_stores/vs_1/file_batches/b", "GET"),
            ("/vector_stores/vs_1/file_batches/b/cancel", "POST"),
            ("/vector_stores/vs_1/file_batches/b/files", "GET"),
        ] {
            let (known, place) = Place::at(path).expect(path);
            let known: Vec<&str> = known.iter().map(Method::as_str).collect();
            assert_eq!(known.join(" "), methods, "{path}");
            let id = place.id.map(|id| format!("/{id}")).unwrap_or_default();
            assert_eq!(format!("{}{id}{}", path_of(place.kind), place.part), path);
        }
        for path in [
            "/files/",
            "/files//content",
            "/files/../batches",
            "/files/a%2Fb",
            "/files/a.b",
            "/files/a/other",
            "/vector_stores/vs_1/../files",
            "/vector_stores/vs_1/files/f/content/more",
            "/uploads",
        ] {
            assert!(Place::at(path).is_none(), "{path}");
        }
    }
}
