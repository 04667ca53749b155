//! Lists: which things there are is ours to say, what each is like its upstream's.

use std::pin::pin;

use access::stored::{Kind, Object};
use access::{Order, PageRequest};
use base::{Error, Result};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use serde::Serialize;
use serde_json::value::RawValue;

use super::owner;
use crate::identify::Caller;
use crate::models::decode;
use crate::{Body, Shared};

/// The longest page.
const MOST: i64 = 100;
/// How many things are asked for at once.
const AT_ONCE: usize = 8;
/// The longest list, in bytes.
const MAX_LIST_BYTES: usize = 16 * 1024 * 1024;
/// How many pages of what is gone are skipped for one request.
const MOST_SKIPPED: usize = 10;

/// What part of a list is asked for.
struct Wanted {
    page: PageRequest,
    purpose: Option<String>,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<&'a RawValue>,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
    has_more: bool,
}

/// Something as its upstream tells of it.
struct Told {
    id: String,
    object: Box<RawValue>,
}

impl Shared {
    /// A page of the project's things. One that its upstream does not have any more is left out, and forgotten.
    pub(super) async fn list(
        &self,
        caller: &Caller,
        kind: Kind,
        query: Option<&str>,
    ) -> Result<Response<Body>> {
        let owner = &owner(caller);
        let Wanted { mut page, purpose } = Wanted::read(kind, query)?;
        let mut gone = Vec::new();
        let mut skipped = 0;
        let (told, has_more) = loop {
            let rows = self
                .stored
                .page(owner, kind, purpose.as_deref(), &page)
                .await?;
            let ends =
                [rows.rows.first(), rows.rows.last()].map(|row| row.map(|row| row.id.clone()));
            let (told, missing) = self.tell(caller, rows.rows).await?;
            gone.extend(missing);
            skipped += 1;
            if !told.is_empty() || !rows.has_more || page.limit == 0 || skipped == MOST_SKIPPED {
                break (told, rows.has_more);
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
        let list = List {
            object: "list",
            data: told.iter().map(|told| &*told.object).collect(),
            first_id: told.first().map(|told| told.id.as_str()),
            last_id: told.last().map(|told| told.id.as_str()),
            has_more,
        };
        let list = serde_json::to_vec(&list).map_err(|_| Error::internal())?;
        let mut response = Response::new(Body::from(Bytes::from(list)));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        Ok(response)
    }

    /// Returns the objects as the upstreams tell of them, or told a moment ago; and those that they do not have any more.
    ///
    /// # Errors
    /// 429: the project has asked for too much within a minute. 502: an upstream does not tell, or too much.
    async fn tell(
        &self,
        caller: &Caller,
        objects: Vec<Object>,
    ) -> Result<(Vec<Told>, Vec<Object>)> {
        let bounds = &self.objects;
        let _turn = bounds.turn(&caller.project.id).await;
        let now = self.clock.now_milliseconds();
        let objects = objects.into_iter().map(|object| {
            let known = bounds.cache.find(&object, now);
            (object, known)
        });
        let objects: Vec<_> = objects.collect();
        let asked = objects.iter().filter(|(_, known)| known.is_none()).count();
        bounds.count(&self.limiter, &caller.project, asked)?;
        let telling = stream::iter(objects).map(|(object, known)| async move {
            let told = match known {
                Some(known) => Some(known),
                None => self.tell_one(&object).await?,
            };
            Ok::<_, Error>((object, told))
        });
        let mut telling = pin!(telling.buffered(AT_ONCE));
        let (mut told, mut gone) = (Vec::new(), Vec::new());
        let mut length = 0;
        while let Some((object, answer)) = telling.try_next().await? {
            let Some(answer) = answer else {
                gone.push(object);
                continue;
            };
            length += answer.get().len();
            if length > MAX_LIST_BYTES {
                let message = "The list is too long: ask for fewer at once, with limit.";
                return Err(Error::upstream(message));
            }
            told.push(Told {
                id: object.id,
                object: answer,
            });
        }
        Ok((told, gone))
    }

    /// `None`: its upstream does not have it any more.
    async fn tell_one(&self, object: &Object) -> Result<Option<Box<RawValue>>> {
        let asking = self.objects.cache.ask(object);
        let answer = self.ask_about(object).await?;
        if answer.says_gone() {
            return Ok(None);
        }
        let told = serde_json::from_slice::<Box<RawValue>>(&answer.body);
        match told {
            Ok(told) if answer.is_success() => {
                self.notice(object, &answer.body).await;
                asking.answered(&told, self.clock.now_milliseconds());
                Ok(Some(told))
            }
            _ => {
                let (noun, id) = (object.kind.noun(), &object.id);
                let message = format!("The model server did not tell of the {noun} '{id}'.");
                Err(Error::upstream(message))
            }
        }
    }
}

impl Wanted {
    /// # Errors
    /// 400 naming the parameter: it is unknown, or its value makes no sense.
    fn read(kind: Kind, query: Option<&str>) -> Result<Self> {
        let mut page = PageRequest {
            limit: if kind == Kind::File { MOST } else { 20 },
            after: None,
            before: None,
            order: Order::Descending,
        };
        let mut purpose = None;
        let pairs = query.unwrap_or_default().split('&');
        for pair in pairs.filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let shown: String = name.chars().take(80).collect();
            let value = decode(value).ok_or_else(|| {
                Error::invalid(
                    &*shown,
                    format!("{shown} is not percent-encoded as it must be."),
                )
            })?;
            let text = (!value.is_empty()).then(|| value.to_string());
            match (name, kind) {
                ("after", _) => page.after = text,
                ("before", Kind::VectorStore) => page.before = text,
                ("limit", _) => page.limit = text.map_or(Ok(page.limit), |text| limit(&text))?,
                ("order", Kind::File | Kind::VectorStore) => page.order = order(text.as_deref())?,
                ("purpose", Kind::File) => purpose = text,
                _ => {
                    let message = format!("{shown} is not a parameter of this list.");
                    return Err(Error::invalid(shown, message));
                }
            }
        }
        Ok(Self { page, purpose })
    }
}

fn limit(text: &str) -> Result<i64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    // A number that is beyond the range is beyond the maximum.
    let number = is_number.then(|| text.parse().unwrap_or(i64::MAX));
    let number = number.filter(|number| *number >= 1);
    let wrong = || Error::invalid("limit", "limit must be a whole number of at least 1.");
    number.map(|number: i64| number.min(MOST)).ok_or_else(wrong)
}

fn order(text: Option<&str>) -> Result<Order> {
    match text {
        Some("asc") => Ok(Order::Ascending),
        Some("desc") | None => Ok(Order::Descending),
        Some(_) => Err(Error::invalid("order", "order must be asc or desc.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_those_of_the_list() {
        let wanted = Wanted::read(
            Kind::VectorStore,
            Some("after=a%2Db&before=&limit=1000&order=asc"),
        );
        let page = wanted.expect("a page").page;
        assert_eq!((page.after.as_deref(), page.before), (Some("a-b"), None));
        assert_eq!((page.limit, page.order), (100, Order::Ascending));
        for (kind, query, param) in [
            (Kind::File, "before=x", "before"),
            (Kind::Batch, "order=asc", "order"),
            (Kind::Batch, "purpose=batch", "purpose"),
            (Kind::File, "limit=0", "limit"),
            (Kind::File, "limit=-1", "limit"),
            (Kind::File, "limit=x", "limit"),
            (Kind::File, "order=up", "order"),
            (Kind::File, "after=%", "after"),
            (Kind::File, "other", "other"),
        ] {
            let error = Wanted::read(kind, Some(query)).err().expect(query);
            assert_eq!(
                (error.status.as_u16(), error.param.as_deref()),
                (400, Some(param))
            );
        }
        let beyond = Wanted::read(Kind::File, Some("limit=99999999999999999999"));
        assert_eq!(beyond.expect("a page").page.limit, 100);
    }
}
