//! Requests about objects: their routes, and their responses.

use std::sync::Arc;

use base::Result;
use bytes::Bytes;
use http::{HeaderMap, Method, Response, request};

use super::quota::QuotaShare;
use super::upstream::{PassthroughBody, is_plausible};
use crate::caller::Caller;
use crate::dialect::is_form;
use crate::limits::RateLimitStatus;
use crate::object_kind::ObjectKind;
use crate::query::no_query;

/// A request about an object, or about all objects of a kind, by an authenticated caller.
pub(crate) struct ObjectRequest<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) route: &'a ObjectRoute,
    pub(crate) head: &'a request::Parts,
    pub(crate) body: Bytes,
    pub(crate) share: &'a Arc<QuotaShare>,
    /// Set to the status of the rate limits that the request counts under, if it counts under any.
    pub(crate) rate_limit_status: &'a mut RateLimitStatus,
}

/// The response to a request about objects.
pub(crate) enum ObjectResponse {
    Buffered(Response<Bytes>),
    Passthrough(Response<PassthroughBody>),
}

/// The parameters of lists of what is in a vector store.
const VECTOR_STORE_FILE_PARAMETERS: &[&str] = &["limit", "order", "after", "before", "filter"];
/// The parameters of lists of what is in a container.
const CONTAINER_FILE_PARAMETERS: &[&str] = &["limit", "order", "after"];

/// The path of a request about objects.
pub(crate) struct ObjectRoute {
    pub(crate) kind: ObjectKind,
    /// Id of the object; `None` for requests about all objects, or for a new one.
    pub(super) id: Option<String>,
    /// Rest of the path after the id, with a leading slash; empty for the object itself.
    pub(super) rest: String,
}

impl ObjectRoute {
    /// Returns the route at a path below `/v1`, and its methods.
    pub(crate) fn at(path: &str) -> Option<(&'static [Method], Self)> {
        const GET: Method = Method::GET;
        const POST: Method = Method::POST;
        const DELETE: Method = Method::DELETE;
        let mut segments = path.strip_prefix('/')?.split('/');
        let kind = match segments.next()? {
            "files" => ObjectKind::File,
            "batches" => ObjectKind::Batch,
            "vector_stores" => ObjectKind::VectorStore,
            "uploads" => ObjectKind::Upload,
            "containers" => ObjectKind::Container,
            _ => return None,
        };
        let segments: Vec<&str> = segments.collect();
        if !segments.iter().all(|segment| is_plausible(segment)) {
            return None;
        }
        let methods: &[Method] = match (kind, segments.as_slice()) {
            (ObjectKind::Upload, [] | [_, "parts" | "complete" | "cancel"]) => &[POST],
            (ObjectKind::Upload, _) => return None,
            (_, []) | (ObjectKind::VectorStore | ObjectKind::Container, [_, "files"]) => {
                &[GET, POST]
            }
            (ObjectKind::File, [_]) | (ObjectKind::Container, [_] | [_, "files", _]) => {
                &[GET, DELETE]
            }
            (ObjectKind::Batch, [_])
            | (ObjectKind::File, [_, "content"])
            | (ObjectKind::Container, [_, "files", _, "content"])
            | (
                ObjectKind::VectorStore,
                [_, "files", _, "content"]
                | [_, "file_batches", _]
                | [_, "file_batches", _, "files"],
            ) => &[GET],
            (ObjectKind::VectorStore, [_] | [_, "files", _]) => &[GET, POST, DELETE],
            (ObjectKind::Batch, [_, "cancel"])
            | (
                ObjectKind::VectorStore,
                [_, "search" | "file_batches"] | [_, "file_batches", _, "cancel"],
            ) => &[POST],
            _ => return None,
        };
        let (id, rest) = match segments.split_first() {
            None => (None, String::new()),
            Some((id, rest)) => (
                Some((*id).to_owned()),
                rest.iter().flat_map(|it| ["/", it]).collect(),
            ),
        };
        Some((methods, Self { kind, id, rest }))
    }

    /// True if a request adds a part to an upload.
    pub(crate) fn is_part(&self) -> bool {
        self.kind == ObjectKind::Upload && self.rest == "/parts"
    }

    /// True if the body of a request with these headers is a form.
    pub(crate) fn takes_form(&self, headers: &HeaderMap) -> bool {
        match self.kind {
            ObjectKind::File => true,
            ObjectKind::Container => self.rest == "/files" && is_form(headers),
            _ => false,
        }
    }

    /// True if a request with this method only releases resources of the upstream.
    pub(crate) fn is_release(&self, method: &Method) -> bool {
        *method == Method::DELETE || self.rest.ends_with("/cancel")
    }

    /// True if the answer is passed on as it comes: it is about a part of the object, and the gateway learns nothing from it.
    pub(crate) fn is_passthrough(&self) -> bool {
        self.id.is_some() && !self.rest.is_empty() && self.rest != "/cancel"
    }

    /// Refuses query parameters that the upstream would get, and could read in another way than the gateway does. Lists of
    /// the gateway itself check theirs when they read them.
    ///
    /// # Errors
    /// 400 naming the parameter.
    pub(crate) fn check_query(&self, method: &Method, query: Option<&str>) -> Result<()> {
        if method == Method::GET && self.id.is_none() {
            return Ok(());
        }
        let known = match self.kind {
            ObjectKind::VectorStore => VECTOR_STORE_FILE_PARAMETERS,
            ObjectKind::Container => CONTAINER_FILE_PARAMETERS,
            _ => &[],
        };
        if method != Method::GET || !self.rest.ends_with("/files") {
            return no_query(query);
        }
        for pair in query.unwrap_or_default().split('&') {
            let name = pair.split_once('=').map_or(pair, |(name, _)| name);
            if !name.is_empty() && !known.contains(&name) {
                return no_query(Some(pair));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_has_the_methods_of_the_contract() {
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
            ("/uploads", "POST"),
            ("/uploads/upload_1/parts", "POST"),
            ("/uploads/upload_1/complete", "POST"),
            ("/uploads/upload_1/cancel", "POST"),
            ("/containers", "GET POST"),
            ("/containers/cntr_1", "GET DELETE"),
            ("/containers/cntr_1/files", "GET POST"),
            ("/containers/cntr_1/files/cfile_1", "GET DELETE"),
            ("/containers/cntr_1/files/cfile_1/content", "GET"),
        ] {
            let (known, route) = ObjectRoute::at(path).expect(path);
            let known: Vec<&str> = known.iter().map(Method::as_str).collect();
            assert_eq!(known.join(" "), methods, "{path}");
            let id = route.id.map(|id| format!("/{id}")).unwrap_or_default();
            assert_eq!(format!("{}{id}{}", route.kind.path(), route.rest), path);
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
            "/uploads/upload_1",
            "/uploads/upload_1/parts/part_1",
            "/uploads/../files/parts",
            "/containers/cntr_1/../cntr_2",
            "/containers/cntr_1/files/cfile_1/content/more",
            "/containers/cntr_1/content",
        ] {
            assert!(ObjectRoute::at(path).is_none(), "{path}");
        }
    }
}
