//! Requests about objects: their routes, and their responses.

use std::sync::Arc;

use base::Result;
use bytes::Bytes;
use http::{HeaderMap, Method, Response, request};

use super::quota::QuotaShare;
use super::upstream::PassthroughBody;
use crate::caller::Caller;
use crate::dialect::is_form;
use crate::limits::RateLimitStatus;
use crate::object_kind::{ObjectKind, is_plausible};
use crate::percent;
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
/// The parameters of a response.
const RESPONSE_PARAMETERS: &[&str] = &[
    "beta",
    "include",
    "include[]",
    "include_obfuscation",
    "starting_after",
    "stream",
];
/// The parameters of lists of items.
const ITEM_LIST_PARAMETERS: &[&str] =
    &["after", "before", "include", "include[]", "limit", "order"];
/// The parameters of lists of the items of a response.
const RESPONSE_ITEM_PARAMETERS: &[&str] = &[
    "after",
    "before",
    "beta",
    "include",
    "include[]",
    "limit",
    "order",
];
/// The parameters of other requests about a response: clients that use betas say so.
const BETA_PARAMETERS: &[&str] = &["beta"];
/// The parameters of items that are created or retrieved.
const ITEM_PARAMETERS: &[&str] = &["include", "include[]"];
/// The parameters of the messages of a chat completion.
const MESSAGE_PARAMETERS: &[&str] = &["after", "limit", "order"];
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
        let (kind, rest) = collection(path)?;
        let segments: Vec<&str> = match rest.strip_prefix('/') {
            Some(segments) => segments.split('/').collect(),
            None if rest.is_empty() => Vec::new(),
            None => return None,
        };
        if !segments.iter().all(|segment| is_plausible(segment)) {
            return None;
        }
        let methods: &[Method] = match (kind, segments.as_slice()) {
            (ObjectKind::Upload, [] | [_, "parts" | "complete" | "cancel"]) => &[POST],
            (ObjectKind::Upload, _) => return None,
            (
                ObjectKind::File
                | ObjectKind::Batch
                | ObjectKind::VectorStore
                | ObjectKind::Container,
                [],
            )
            | (ObjectKind::VectorStore | ObjectKind::Container, [_, "files"])
            | (ObjectKind::Conversation, [_, "items"]) => &[GET, POST],
            (ObjectKind::File | ObjectKind::Response, [_])
            | (ObjectKind::Container, [_] | [_, "files", _])
            | (ObjectKind::Conversation, [_, "items", _]) => &[GET, DELETE],
            (ObjectKind::Batch, [_])
            | (ObjectKind::File, [_, "content"])
            | (ObjectKind::Response, [_, "input_items"])
            | (ObjectKind::ChatCompletion, [_, "messages"])
            | (ObjectKind::Container, [_, "files", _, "content"])
            | (
                ObjectKind::VectorStore,
                [_, "files", _, "content"]
                | [_, "file_batches", _]
                | [_, "file_batches", _, "files"],
            ) => &[GET],
            (ObjectKind::VectorStore, [_] | [_, "files", _])
            | (ObjectKind::Conversation | ObjectKind::ChatCompletion, [_]) => &[GET, POST, DELETE],
            (ObjectKind::Conversation, [])
            | (ObjectKind::Batch | ObjectKind::Response, [_, "cancel"])
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

    /// Returns the route of the list of what an endpoint for models, at this path below `/v1`, has stored.
    pub(crate) fn list_beside(path: &str) -> Option<Self> {
        (path == ObjectKind::ChatCompletion.path()).then(|| Self {
            kind: ObjectKind::ChatCompletion,
            id: None,
            rest: String::new(),
        })
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
        let parameters = self.parameters(method);
        if parameters.is_empty() {
            return no_query(query);
        }
        for pair in query.unwrap_or_default().split('&') {
            let name = pair.split_once('=').map_or(pair, |(name, _)| name);
            let is_known = percent::decode(name).is_some_and(|name| parameters.contains(&&*name));
            // Some servers take a semicolon for the end of a parameter.
            if !pair.is_empty() && (!is_known || pair.contains(';')) {
                return no_query(Some(pair));
            }
        }
        Ok(())
    }

    /// Returns the query parameters that the upstream may get.
    fn parameters(&self, method: &Method) -> &'static [&'static str] {
        let (is_get, is_post) = (*method == Method::GET, *method == Method::POST);
        let rest = self.rest.as_str();
        match self.kind {
            ObjectKind::VectorStore if is_get && rest.ends_with("/files") => {
                VECTOR_STORE_FILE_PARAMETERS
            }
            ObjectKind::Container if is_get && rest.ends_with("/files") => {
                CONTAINER_FILE_PARAMETERS
            }
            ObjectKind::Response if is_get && rest.is_empty() => RESPONSE_PARAMETERS,
            ObjectKind::Response if is_get => RESPONSE_ITEM_PARAMETERS,
            ObjectKind::Response => BETA_PARAMETERS,
            ObjectKind::Conversation if is_get && rest == "/items" => ITEM_LIST_PARAMETERS,
            ObjectKind::Conversation if rest == "/items" && is_post => ITEM_PARAMETERS,
            ObjectKind::Conversation if is_get && !rest.is_empty() => ITEM_PARAMETERS,
            ObjectKind::ChatCompletion if is_get && !rest.is_empty() => MESSAGE_PARAMETERS,
            _ => &[],
        }
    }

    /// Returns the id of the item of a conversation that the route is about.
    pub(super) fn item(&self) -> Option<&str> {
        let item = self.rest.strip_prefix("/items/");
        item.filter(|_| self.kind == ObjectKind::Conversation)
    }

    /// True if the answer to a request with this method is a list of items, which other requests can name.
    pub(super) fn lists_items(&self, method: &Method) -> bool {
        match self.kind {
            ObjectKind::Response => self.rest == "/input_items",
            ObjectKind::Conversation => self.rest == "/items" && *method != Method::DELETE,
            _ => false,
        }
    }
}

/// Returns the cursors in the query of a list of items, by parameter. An empty one counts as absent; one that cannot be decoded
/// is returned as it is.
pub(super) fn item_cursors(query: Option<&str>) -> impl Iterator<Item = (&'static str, String)> {
    let pairs = query.unwrap_or_default().split('&');
    pairs.filter_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = percent::decode(name)?;
        let mut cursors = ["after", "before"].into_iter();
        let param = cursors.find(|cursor| *cursor == &*name)?;
        let id = percent::decode(value).map_or_else(|| value.to_owned(), |id| id.to_string());
        (!id.is_empty()).then_some((param, id))
    })
}

/// Returns the kind of the objects at a path below `/v1`, and the path below their collection.
fn collection(path: &str) -> Option<(ObjectKind, &str)> {
    let kinds = [
        ObjectKind::File,
        ObjectKind::Batch,
        ObjectKind::VectorStore,
        ObjectKind::Upload,
        ObjectKind::Container,
        ObjectKind::Response,
        ObjectKind::Conversation,
        ObjectKind::ChatCompletion,
    ];
    let mut kinds = kinds.into_iter();
    kinds.find_map(|kind| Some((kind, path.strip_prefix(kind.path())?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_parameters_are_passed_on() {
        for (path, query) in [
            (
                "/responses/r",
                "include[]=a&include%5B%5D=b&stream=true&starting_after=3",
            ),
            ("/responses/r/input_items", "limit=1&order=asc&after=x&&"),
            ("/conversations/c/items", "limit=1&include=x"),
            ("/conversations/c/items/i", "include=x"),
            ("/chat/completions/c/messages", "limit=1"),
            ("/vector_stores/v/files", "filter=x"),
        ] {
            let (_, route) = ObjectRoute::at(path).expect(path);
            assert!(
                route.check_query(&Method::GET, Some(query)).is_ok(),
                "{path}"
            );
            for other in ["model=x", "limit=1&model", "%", "Limit=1"] {
                let refused = route.check_query(&Method::GET, Some(other)).is_err();
                assert!(refused, "{path} {other}");
            }
        }
        for (method, path) in [
            (Method::DELETE, "/responses/r"),
            (Method::POST, "/responses/r/cancel"),
            (Method::GET, "/conversations/c"),
            (Method::POST, "/conversations"),
            (Method::GET, "/chat/completions/c"),
        ] {
            let (_, route) = ObjectRoute::at(path).expect(path);
            assert!(
                route.check_query(&method, Some("limit=1")).is_err(),
                "{path}"
            );
            assert!(route.check_query(&method, None).is_ok(), "{path}");
        }
    }

    #[test]
    fn cursors_are_found_in_every_spelling() {
        let query = "limit=1&after=a%5F1&%61fter=b&before=&after&before=c&before=%zz&After=d";
        let found: Vec<_> = item_cursors(Some(query)).collect();
        let found: Vec<_> = found.iter().map(|(name, id)| (*name, &**id)).collect();
        let expected = [
            ("after", "a_1"),
            ("after", "b"),
            ("before", "c"),
            ("before", "%zz"),
        ];
        assert_eq!(found, expected);
        assert_eq!(item_cursors(None).count(), 0);
    }

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
            ("/responses/resp_1", "GET DELETE"),
            ("/responses/resp_1/cancel", "POST"),
            ("/responses/resp_1/input_items", "GET"),
            ("/conversations", "POST"),
            ("/conversations/conv_1", "GET POST DELETE"),
            ("/conversations/conv_1/items", "GET POST"),
            ("/conversations/conv_1/items/msg_1", "GET DELETE"),
            ("/chat/completions/c_1", "GET POST DELETE"),
            ("/chat/completions/c_1/messages", "GET"),
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
        let beside = ObjectRoute::list_beside("/chat/completions").expect("a list");
        assert!(beside.id.is_none() && ObjectRoute::list_beside("/responses").is_none());
    }

    #[test]
    fn any_other_path_has_no_route() {
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
            "/filesystem",
            "/responses",
            "/responses/",
            "/responses/r/x",
            "/responses/r/input_items/x",
            "/conversations/c/items/i/x",
            "/chat/completions",
            "/chat/completions/c/x",
        ] {
            assert!(ObjectRoute::at(path).is_none(), "{path}");
        }
    }
}
