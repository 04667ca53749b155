//! Which endpoint a path is, and what every answer has in common.

use base::ids::RequestId;
use base::time::Stopwatch;
use base::{Error, Permission, Result};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response};

use crate::identify::Caller;
use crate::{Body, Gateway, headers, models};

/// An endpoint of the gateway.
enum Endpoint {
    ChatCompletions,
    Models,
    Model(String),
}

/// A request on its way, and what is known about it so far.
pub(crate) struct Context {
    pub(crate) id: RequestId,
    pub(crate) head: Parts,
    /// Whose key it has, once that is known.
    pub(crate) organization: Option<HeaderValue>,
}

impl Endpoint {
    /// The endpoint at `path`, under its only method.
    fn at(path: &str) -> Option<(Method, Self)> {
        match path.strip_prefix("/v1/")? {
            "chat/completions" => Some((Method::POST, Self::ChatCompletions)),
            "models" => Some((Method::GET, Self::Models)),
            rest => match rest.strip_prefix("models/")? {
                "" => None,
                name => Some((Method::GET, Self::Model(name.to_owned()))),
            },
        }
    }
}

impl Gateway {
    /// Answers a request; a refusal becomes an answer here.
    pub(crate) async fn route<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes>,
    {
        let watch = Stopwatch::start();
        let (head, body) = request.into_parts();
        let mut context = Context {
            id: self.0.ids.next(),
            head,
            organization: None,
        };
        let answer = self.answer(&mut context, body).await;
        let mut response = answer.unwrap_or_else(|refusal| refusal.response());
        headers::sign(&mut response, &context.id, context.organization, watch);
        response
    }

    async fn answer<B>(&self, context: &mut Context, body: B) -> Result<Response<Body>>
    where
        B: http_body::Body<Data = Bytes>,
    {
        let path = context.head.uri.path();
        let (method, endpoint) = Endpoint::at(path).ok_or_else(|| Error::unknown_path(path))?;
        if context.head.method != method {
            let refusal = Error::method_not_allowed(context.head.method.as_str(), path);
            let mut response: Response<Body> = refusal.response();
            let allowed = HeaderValue::from_str(method.as_str()).map_err(|_| Error::internal())?;
            response.headers_mut().insert(http::header::ALLOW, allowed);
            return Ok(response);
        }
        match endpoint {
            Endpoint::ChatCompletions => self.relay(context, body).await,
            Endpoint::Models => {
                self.reader(context)?;
                Ok(self.0.models.list())
            }
            Endpoint::Model(name) => {
                self.reader(context)?;
                models::retrieve(&self.0.upstreams, &name)
            }
        }
    }

    /// Checks that the caller may look at models.
    fn reader(&self, context: &mut Context) -> Result<()> {
        crate::body::check_headers(&context.head.headers)?;
        let caller = self.0.identify(&context.head.headers)?;
        context.organization = Some(caller.key.organization.header.clone());
        caller.require(Permission::ModelRead)?;
        self.touch(&caller);
        no_query(context.head.uri.query())
    }

    /// Notes that a key was used.
    pub(crate) fn touch(&self, caller: &Caller) {
        let key = &caller.key;
        let last_used = &self.0.last_used;
        last_used.touch(&key.organization.id, &key.id, key.user());
    }
}

/// Models are listed whole: a parameter that changed nothing would be taken for one that works.
fn no_query(query: Option<&str>) -> Result<()> {
    let Some(query) = query.filter(|query| !query.is_empty()) else {
        return Ok(());
    };
    let name: String = query
        .chars()
        .take_while(|it| !"=&".contains(*it))
        .take(80)
        .collect();
    let message = format!("{name} is not a parameter of this endpoint; it has none.");
    Err(Error::invalid(name, message))
}
