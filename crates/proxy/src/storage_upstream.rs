//! Storage upstreams: those whose objects the gateway assigns to projects. The first of them stores what clients create.

use std::sync::Arc;

use crate::upstream::Upstream;
use crate::upstreams::{Target, Upstreams};

impl Upstreams {
    /// Returns the upstream that stores new objects, if there is one.
    #[must_use]
    pub fn storage(&self) -> Option<Target> {
        self.storage.clone().map(Target::without_model)
    }

    /// True if an upstream stores objects.
    #[must_use]
    pub fn has_storage(&self) -> bool {
        self.storage.is_some()
    }

    /// Returns the upstream with this name, which may have stored an object before.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<Target> {
        let mut all = self.all.iter();
        let named = all.find(|upstream| upstream.name == name)?;
        Some(Target::without_model(Arc::clone(named)))
    }

    /// True if clients may request `model`, and the target's upstream serves it under the same name.
    #[must_use]
    pub fn serves_at(&self, target: &Target, model: &str) -> bool {
        let group = self.group(target.upstream.format, model);
        let mut members = group.into_iter().flat_map(|group| &group.members);
        members.any(|member| {
            Arc::ptr_eq(&member.upstream, &target.upstream)
                && member.model.as_deref().is_none_or(|own| own == model)
        })
    }
}

impl Target {
    /// True if the upstream stores objects that belong to projects.
    #[must_use]
    pub fn stores(&self) -> bool {
        self.upstream.stores
    }

    /// Returns the target of a request that names no model.
    fn without_model(upstream: Arc<Upstream>) -> Self {
        let model = "".into();
        Self { upstream, model }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::UpstreamConfig;

    fn config(name: &str, stores: bool) -> UpstreamConfig {
        UpstreamConfig {
            stores,
            models: vec!["m".into()],
            aliases: std::iter::once(("nick".to_owned(), "m".to_owned())).collect(),
            ..UpstreamConfig::new(name, "http://127.0.0.1:1/v1")
        }
    }

    #[test]
    fn first_upstream_that_stores_keeps_new_objects() {
        let storage = |configs: &[UpstreamConfig]| {
            let upstreams = Upstreams::new(configs, &[]).map_err(|error| error.to_string())?;
            Ok::<_, String>(
                upstreams
                    .storage()
                    .map(|target| target.upstream_name().to_owned()),
            )
        };
        assert_eq!(storage(&[config("a", false)]), Ok(None));
        let three = [config("a", false), config("b", true), config("c", true)];
        assert_eq!(storage(&three), Ok(Some("b".to_owned())));
        let upstreams = Upstreams::new(&three, &[]).expect("upstreams");
        let stores = |name| upstreams.by_name(name).expect(name).stores();
        assert!(!stores("a") && stores("b") && stores("c"));
        let error = storage(&[config("b", true), config("b", false)]);
        let error = error.expect_err("the same name");
        let reason = "upstream 'b': another upstream has this name";
        assert!(error.starts_with(reason), "{error}");
    }

    #[test]
    fn model_is_served_at_a_target_under_the_upstreams_own_name() {
        let any = UpstreamConfig {
            models: vec!["*".into()],
            ..config("any", false)
        };
        let upstreams = Upstreams::new(&[config("a", true), config("b", false), any], &[]);
        let upstreams = upstreams.expect("upstreams");
        let serves = |name, model| {
            let target = upstreams.by_name(name).expect(name);
            upstreams.serves_at(&target, model)
        };
        assert!(serves("a", "m") && serves("b", "m") && serves("any", "other"));
        assert!(!serves("a", "nick") && !serves("a", "other") && !serves("any", "m"));
        assert!(upstreams.by_name("c").is_none());
    }
}
