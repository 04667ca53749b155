//! Lists of objects: the repository has the ids of a project's objects, the upstreams their descriptions.

use std::borrow::Cow;
use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use access::{Order, PageRequest};
use base::ids::ProjectId;
use base::{Error, Result};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::Response;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::OwnedMutexGuard;

use super::Objects;
use super::repository::{ObjectOwner, UpstreamObject};
use super::request::ObjectRequest;
use crate::caller::Caller;
use crate::headers::json_response;
use crate::object_kind::ObjectKind;
use crate::percent;

/// The maximum number of objects on a page.
const MAX_PAGE_LIMIT: i64 = 100;
/// The default number of objects on a page; of files it is the maximum.
const DEFAULT_PAGE_LIMIT: i64 = 20;
/// The maximum number of objects that are fetched at the same time for a list.
const MAX_CONCURRENT_FETCHES: usize = 8;
/// The maximum length of a list.
const MAX_LIST_BYTES: usize = 16 * 1024 * 1024;
/// The maximum number of pages that one request reads if none of their objects exists any more.
const MAX_PAGES: usize = 10;

/// The parameters of a list.
struct ListQuery {
    page: PageRequest,
    /// Purpose of the files, or name of the containers.
    purpose: Option<String>,
    filter: CompletionFilter,
}

/// A filter of chat completions by their descriptions.
#[derive(Debug, Default, PartialEq, Eq)]
struct CompletionFilter {
    model: Option<String>,
    metadata: Vec<(String, String)>,
}

/// The fields of a chat completion that a filter reads.
#[derive(Deserialize)]
struct FilteredCompletion {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    metadata: Option<HashMap<String, String>>,
}

#[derive(Serialize)]
struct ObjectPage<'a> {
    object: &'static str,
    data: Vec<&'a RawValue>,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
    has_more: bool,
}

/// An object as its upstream describes it.
struct DescribedObject {
    id: String,
    description: Box<RawValue>,
}

/// The objects of a page.
#[derive(Default)]
struct Described {
    found: Vec<DescribedObject>,
    /// Objects that their upstreams do not find any more.
    gone: Vec<UpstreamObject>,
}

impl Objects {
    /// Returns a page of the project's objects. Those that their upstreams do not find any more are left out, and removed
    /// from the repository.
    ///
    /// # Errors
    /// 400: a parameter is invalid. 429: too many requests of the project. 502: an upstream does not describe an object, or
    /// the list is too long.
    pub(super) async fn list(&self, request: &ObjectRequest<'_>) -> Result<Response<Bytes>> {
        let (caller, kind) = (request.caller, request.route.kind);
        let owner = &ObjectOwner::of(caller);
        let query = request.head.uri.query();
        let query = ListQuery::read(kind, query)?;
        let (mut page, purpose) = (query.page, query.purpose);
        let mut gone = Vec::new();
        let mut pages = 0;
        let (found, has_more) = loop {
            let rows = self.repository.page(owner, kind, purpose.as_deref(), &page);
            let rows = rows.await?;
            let ends =
                [rows.rows.first(), rows.rows.last()].map(|row| row.map(|row| row.id.clone()));
            let mut described = self.describe_all(caller, rows.rows).await?;
            let all = &mut described.found;
            all.retain(|object| query.filter.matches(&object.description));
            gone.extend(described.gone);
            pages += 1;
            let is_enough = !described.found.is_empty() || !rows.has_more;
            if is_enough || page.limit == 0 || pages == MAX_PAGES {
                break (described.found, rows.has_more);
            }
            let [first, last] = ends;
            if page.before.is_some() && page.after.is_none() {
                page.before = first;
            } else {
                page.after = last;
            }
        };
        for object in &gone {
            self.forget(object).await?;
        }
        let page = ObjectPage {
            object: "list",
            data: found.iter().map(|object| &*object.description).collect(),
            first_id: found.first().map(|object| object.id.as_str()),
            last_id: found.last().map(|object| object.id.as_str()),
            has_more,
        };
        let page = serde_json::to_vec(&page).map_err(|_| Error::internal())?;
        Ok(json_response(page.into()))
    }

    /// Describes objects from the cache, or else by their upstreams.
    async fn describe_all(
        &self,
        caller: &Caller,
        objects: Vec<UpstreamObject>,
    ) -> Result<Described> {
        let _turn = self.state.turns.acquire(&caller.project.id).await;
        let now = self.clock.now_milliseconds();
        let objects = objects.into_iter().map(|object| {
            let cached = self.state.cache.find(&object, now);
            (object, cached)
        });
        let objects: Vec<_> = objects.collect();
        let fetches = objects.iter().filter(|(_, cached)| cached.is_none());
        self.count_requests(&caller.project, fetches.count())
            .await?;
        let descriptions = stream::iter(objects).map(|(object, cached)| async move {
            let description = match cached {
                Some(cached) => Some(cached),
                None => self.describe(&object).await?,
            };
            Ok::<_, Error>((object, description))
        });
        let mut descriptions = pin!(descriptions.buffered(MAX_CONCURRENT_FETCHES));
        let mut described = Described::default();
        let mut length = 0;
        while let Some((object, description)) = descriptions.try_next().await? {
            let Some(description) = description else {
                described.gone.push(object);
                continue;
            };
            length += description.get().len();
            if length > MAX_LIST_BYTES {
                let message = "The list is too long: ask for fewer at once, with limit.";
                return Err(Error::upstream(message));
            }
            described.found.push(DescribedObject {
                id: object.id,
                description,
            });
        }
        Ok(described)
    }

    /// Fetches the description of an object; returns `None` if its upstream does not find the object any more.
    async fn describe(&self, object: &UpstreamObject) -> Result<Option<Box<RawValue>>> {
        let fetch = self.state.cache.begin_fetch(object);
        let answer = self.client.fetch(object).await?;
        if answer.is_gone() {
            return Ok(None);
        }
        let description = serde_json::from_slice::<Box<RawValue>>(&answer.body);
        match description {
            Ok(description) if answer.is_success() => {
                self.reconcile(object, &answer.body).await;
                fetch.insert(&description, self.clock.now_milliseconds());
                Ok(Some(description))
            }
            _ => {
                let (noun, id) = (object.kind.noun(), &object.id);
                let message = format!("The model server did not tell of the {noun} '{id}'.");
                Err(Error::upstream(message))
            }
        }
    }
}

/// Mutual exclusion of the lists of a project, so that a list finds in the cache the objects that the list before has
/// fetched.
#[derive(Default)]
pub(super) struct ListTurns(Mutex<ProjectLocks>);

type ProjectLocks = HashMap<ProjectId, Arc<tokio::sync::Mutex<()>>>;

/// RAII guard of a project's turn. Drop lets the next list of the project proceed.
struct ListTurn<'a> {
    turns: &'a ListTurns,
    project: ProjectId,
    guard: Option<OwnedMutexGuard<()>>,
}

impl ListTurns {
    /// Waits until no other list of the project is served.
    async fn acquire(&self, project: &ProjectId) -> ListTurn<'_> {
        let lock = Arc::clone(self.lock().entry(project.clone()).or_default());
        let mut turn = ListTurn {
            turns: self,
            project: project.clone(),
            guard: None,
        };
        turn.guard = Some(lock.lock_owned().await);
        turn
    }

    fn lock(&self) -> MutexGuard<'_, ProjectLocks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ListTurn<'_> {
    fn drop(&mut self) {
        drop(self.guard.take());
        let mut projects = self.turns.lock();
        let is_idle = projects
            .get(&self.project)
            .is_some_and(|lock| Arc::strong_count(lock) == 1);
        if is_idle {
            projects.remove(&self.project);
        }
    }
}

impl ListQuery {
    /// Reads the parameters of a list.
    ///
    /// # Errors
    /// 400 naming the parameter that is unknown or has an invalid value.
    fn read(kind: ObjectKind, query: Option<&str>) -> Result<Self> {
        let limit = match kind {
            ObjectKind::File => MAX_PAGE_LIMIT,
            _ => DEFAULT_PAGE_LIMIT,
        };
        let order = match kind {
            ObjectKind::ChatCompletion => Order::Ascending,
            _ => Order::Descending,
        };
        let mut page = PageRequest {
            limit,
            after: None,
            before: None,
            order,
        };
        let mut purpose = None;
        let mut filter = CompletionFilter::default();
        let pairs = query.unwrap_or_default().split('&');
        for pair in pairs.filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let shown = base::shown(name);
            let value = percent::decode(value).ok_or_else(|| {
                let message = format!("{shown} is not percent-encoded as it must be.");
                Error::invalid(&*shown, message)
            })?;
            let text = (!value.is_empty()).then(|| value.to_string());
            let name = &*percent::decode(name).unwrap_or(Cow::Borrowed(name));
            match (name, kind) {
                ("after", _) => page.after = text,
                ("before", ObjectKind::VectorStore) => page.before = text,
                ("limit", _) => {
                    page.limit = text.map_or(Ok(page.limit), |text| read_limit(&text))?;
                }
                (
                    "order",
                    ObjectKind::File
                    | ObjectKind::VectorStore
                    | ObjectKind::Container
                    | ObjectKind::ChatCompletion,
                ) => {
                    page.order = read_order(text.as_deref(), order)?;
                }
                ("purpose", ObjectKind::File) | ("name", ObjectKind::Container) => purpose = text,
                ("model", ObjectKind::ChatCompletion) => filter.model = text,
                (name, ObjectKind::ChatCompletion) if metadata_key(name).is_some() => {
                    let key = metadata_key(name).unwrap_or_default().to_owned();
                    filter.metadata.push((key, text.unwrap_or_default()));
                }
                _ => {
                    let message = format!("{shown} is not a parameter of this list.");
                    return Err(Error::invalid(shown, message));
                }
            }
        }
        Ok(Self {
            page,
            purpose,
            filter,
        })
    }
}

impl CompletionFilter {
    /// True if a chat completion with this description passes.
    fn matches(&self, description: &RawValue) -> bool {
        if *self == Self::default() {
            return true;
        }
        let Ok(completion) = serde_json::from_str::<FilteredCompletion>(description.get()) else {
            return false;
        };
        let metadata = completion.metadata.unwrap_or_default();
        let mut wanted = self.metadata.iter();
        (self.model.is_none() || self.model == completion.model)
            && wanted.all(|(key, value)| metadata.get(key) == Some(value))
    }
}

/// Returns the key in a parameter `metadata[key]`.
fn metadata_key(name: &str) -> Option<&str> {
    name.strip_prefix("metadata[")?.strip_suffix(']')
}

fn read_limit(text: &str) -> Result<i64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    // A number beyond the range of the type is beyond the maximum, too.
    let number = is_number.then(|| text.parse().unwrap_or(i64::MAX));
    let number = number.filter(|number| *number >= 1);
    let wrong = || Error::invalid("limit", "limit must be a whole number of at least 1.");
    number
        .map(|number: i64| number.min(MAX_PAGE_LIMIT))
        .ok_or_else(wrong)
}

fn read_order(text: Option<&str>, default: Order) -> Result<Order> {
    match text {
        Some("asc") => Ok(Order::Ascending),
        Some("desc") => Ok(Order::Descending),
        None => Ok(default),
        Some(_) => Err(Error::invalid("order", "order must be asc or desc.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chat_completions_are_filtered_by_model_and_metadata() {
        let query = "model=m&metadata%5Ba%5D=1&metadata[b]=x%20y&order=";
        let query = ListQuery::read(ObjectKind::ChatCompletion, Some(query)).expect("a query");
        assert_eq!(query.page.order, Order::Ascending);
        for (description, passes) in [
            (
                r#"{"model":"m","metadata":{"a":"1","b":"x y","c":"z"}}"#,
                true,
            ),
            (r#"{"model":"n","metadata":{"a":"1","b":"x y"}}"#, false),
            (r#"{"model":"m","metadata":{"a":"1"}}"#, false),
            (r#"{"model":"m","metadata":null}"#, false),
            (r#"{"model":5}"#, false),
            ("[]", false),
        ] {
            let raw = RawValue::from_string(description.to_owned()).expect("JSON");
            assert_eq!(query.filter.matches(&raw), passes, "{description}");
            assert!(CompletionFilter::default().matches(&raw));
        }
    }

    #[test]
    fn a_list_has_the_parameters_of_the_contract() {
        let query = ListQuery::read(
            ObjectKind::VectorStore,
            Some("after=a%2Db&before=&limit=1000&order=asc"),
        );
        let page = query.expect("a page").page;
        assert_eq!((page.after.as_deref(), page.before), (Some("a-b"), None));
        assert_eq!((page.limit, page.order), (100, Order::Ascending));
        for (kind, query, param) in [
            (ObjectKind::File, "before=x", "before"),
            (ObjectKind::Batch, "order=asc", "order"),
            (ObjectKind::Batch, "purpose=batch", "purpose"),
            (ObjectKind::Container, "before=x", "before"),
            (ObjectKind::File, "name=x", "name"),
            (ObjectKind::File, "limit=0", "limit"),
            (ObjectKind::File, "limit=-1", "limit"),
            (ObjectKind::File, "limit=x", "limit"),
            (ObjectKind::File, "order=up", "order"),
            (ObjectKind::File, "after=%", "after"),
            (ObjectKind::File, "other", "other"),
            (ObjectKind::File, "model=x", "model"),
            (ObjectKind::ChatCompletion, "metadata=x", "metadata"),
            (ObjectKind::ChatCompletion, "metadata[a=x", "metadata[a"),
            (ObjectKind::ChatCompletion, "before=x", "before"),
        ] {
            let error = ListQuery::read(kind, Some(query)).err().expect(query);
            assert_eq!(
                (error.status.as_u16(), error.param.as_deref()),
                (400, Some(param))
            );
        }
        let beyond = ListQuery::read(ObjectKind::File, Some("limit=99999999999999999999"));
        assert_eq!(beyond.expect("a page").page.limit, 100);
    }
}
