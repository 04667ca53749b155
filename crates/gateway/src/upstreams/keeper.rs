//! The upstream that keeps what clients make: files, batches, vector stores.

use std::sync::Arc;

use super::upstream::Upstream;
use super::{Route, UpstreamConfig, Upstreams};
use crate::StartError;

/// The one that is marked, if one is. `all` are made of `configs`.
pub(super) fn marked(
    configs: &[UpstreamConfig],
    all: &[Arc<Upstream>],
) -> Result<Option<Arc<Upstream>>, StartError> {
    let mut marked = configs.iter().zip(all).filter(|(config, _)| config.stores);
    let Some((_, upstream)) = marked.next() else {
        return Ok(None);
    };
    if let Some((second, _)) = marked.next() {
        return Err(second.wrong("another upstream has stores = true, and only one can"));
    }
    Ok(Some(Arc::clone(upstream)))
}

impl Upstreams {
    /// The upstream that keeps what clients make now, if there is one.
    pub(crate) fn keeper(&self) -> Option<Route> {
        self.keeper.clone().map(Route::without_model)
    }

    /// Whether one keeps what clients make.
    pub(crate) fn keep(&self) -> bool {
        self.keeper.is_some()
    }

    /// The upstream with this name.
    pub(crate) fn named(&self, name: &str) -> Option<Route> {
        let mut all = self.all.iter();
        let named = all.find(|upstream| upstream.name == name)?;
        Some(Route::without_model(Arc::clone(named)))
    }

    /// Whether an upstream serves a model by this name, which is its own for it too.
    pub(crate) fn serves_at(&self, route: &Route, model: &str) -> bool {
        let members = self
            .group(model)
            .into_iter()
            .flat_map(|group| &group.members);
        let mut its = members.filter(|member| Arc::ptr_eq(&member.upstream, &route.upstream));
        its.any(|member| member.model.as_deref().is_none_or(|own| own == model))
    }
}

impl Route {
    /// For what is no request to a model.
    fn without_model(upstream: Arc<Upstream>) -> Self {
        let model = "".into();
        Self { upstream, model }
    }

    /// The name of the upstream.
    pub(crate) fn upstream(&self) -> &str {
        &self.upstream.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(name: &str, stores: bool) -> UpstreamConfig {
        UpstreamConfig {
            stores,
            models: vec!["m".into()],
            aliases: std::iter::once(("nick".to_owned(), "m".to_owned())).collect(),
            ..UpstreamConfig::new(name, "http://127.0.0.1:1/v1")
        }
    }

    #[test]
    fn one_keeps_what_clients_make() {
        let keeper = |configs: &[UpstreamConfig]| {
            let upstreams = Upstreams::new(configs).map_err(|error| error.to_string())?;
            Ok::<_, String>(upstreams.keeper().map(|route| route.upstream().to_owned()))
        };
        assert_eq!(keeper(&[config("a", false)]), Ok(None));
        let two = [config("a", false), config("b", true)];
        assert_eq!(keeper(&two), Ok(Some("b".to_owned())));
        for (second, reason) in [
            (config("c", true), "upstream 'c': another upstream"),
            (
                config("b", false),
                "upstream 'b': another upstream has this name",
            ),
        ] {
            let error = keeper(&[config("b", true), second]).expect_err(reason);
            assert!(error.starts_with(reason), "{error}");
        }
    }

    #[test]
    fn a_model_is_known_by_the_upstreams_own_name() {
        let any = UpstreamConfig {
            models: vec!["*".into()],
            ..config("any", false)
        };
        let upstreams = Upstreams::new(&[config("a", true), config("b", false), any]);
        let upstreams = upstreams.expect("upstreams");
        let serves = |name, model| {
            let route = upstreams.named(name).expect(name);
            upstreams.serves_at(&route, model)
        };
        assert!(serves("a", "m") && serves("b", "m") && serves("any", "other"));
        assert!(!serves("a", "nick") && !serves("a", "other") && !serves("any", "m"));
        assert!(upstreams.named("c").is_none());
    }
}
