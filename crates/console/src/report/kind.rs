//! The reports: their metrics, the dimensions that they can be grouped by, and their filters.

use base::names;

names! {
    /// A dimension of a report.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub(crate) enum Group {
        Project = "project_id",
        User = "user_id",
        Key = "api_key_id",
        Model = "model",
        LineItem = "line_item",
        Batch = "batch",
        ServiceTier = "service_tier",
        Size = "size",
        Source = "source",
        VectorStore = "vector_store_id",
        ContextLevel = "context_level",
        ApiSource = "api_source",
    }
}

impl Group {
    /// Returns the name for people.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Project => "Project",
            Self::User => "User",
            Self::Key => "API key",
            Self::Model => "Model",
            Self::LineItem => "Line item",
            Self::Batch => "Batch",
            Self::ServiceTier => "Service tier",
            Self::Size => "Size",
            Self::Source => "Source",
            Self::VectorStore => "Vector store",
            Self::ContextLevel => "Context size",
            Self::ApiSource => "API",
        }
    }

    /// Returns the parameter that restricts a report to values of the dimension; `None` if reports have none.
    pub(crate) fn filter(self) -> Option<&'static str> {
        match self {
            Self::Project => Some("project_ids"),
            Self::User => Some("user_ids"),
            Self::Key => Some("api_key_ids"),
            Self::Model => Some("models"),
            Self::LineItem => Some("line_items"),
            _ => None,
        }
    }
}

/// A number of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MetricColumn {
    /// Name in the report.
    pub(crate) name: &'static str,
    /// Name for people.
    pub(crate) label: &'static str,
}

const fn metric(name: &'static str, label: &'static str) -> MetricColumn {
    MetricColumn { name, label }
}

/// Amount of a cost, in nano-dollars.
pub(crate) const AMOUNT: MetricColumn = metric("amount", "Cost");
const REQUESTS: MetricColumn = metric("num_model_requests", "Requests");
const INPUT: MetricColumn = metric("input_tokens", "Input tokens");
const OUTPUT: MetricColumn = metric("output_tokens", "Output tokens");
const CACHED: MetricColumn = metric("input_cached_tokens", "Cached input tokens");

/// A report of usage, or the costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReportKind {
    /// Last part of the path, which is the kind of usage.
    pub(crate) name: &'static str,
    /// Path of the operation.
    pub(crate) path: &'static str,
    /// Title of the page.
    pub(crate) title: &'static str,
    /// Numbers, the one that a chart shows first.
    pub(crate) metrics: &'static [MetricColumn],
    /// Dimensions, in the order in which they are offered.
    pub(crate) groups: &'static [Group],
}

impl ReportKind {
    /// True for the costs, which are reported by day.
    pub(crate) fn is_cost(&self) -> bool {
        self.name == COSTS.name
    }

    /// Returns the report of a kind of usage.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        USAGE.iter().find(|kind| kind.name == name)
    }

    /// Returns the dimension that a report is grouped by unless the query names one.
    pub(crate) fn default_group(&self) -> Group {
        let preferred = if self.is_cost() {
            Group::Project
        } else {
            Group::Model
        };
        let has = self.groups.contains(&preferred);
        if has { preferred } else { self.groups[0] }
    }
}

use Group as G;

const BY_MODEL: &[Group] = &[G::Model, G::Project, G::User, G::Key];
const BY_ANSWER: &[Group] = &[
    G::Model,
    G::Project,
    G::User,
    G::Key,
    G::Batch,
    G::ServiceTier,
    G::ApiSource,
];

/// The costs.
pub(crate) const COSTS: ReportKind = ReportKind {
    name: "costs",
    path: "/organization/costs",
    title: "Costs",
    metrics: &[AMOUNT],
    groups: &[G::Project, G::LineItem, G::Key, G::User, G::ApiSource],
};

/// The reports of usage, in the order in which pages offer them.
pub(crate) const USAGE: [ReportKind; 11] = [
    ReportKind {
        name: "completions",
        path: "/organization/usage/completions",
        title: "Completions and responses",
        metrics: &[REQUESTS, INPUT, CACHED, OUTPUT],
        groups: BY_ANSWER,
    },
    ReportKind {
        name: "embeddings",
        path: "/organization/usage/embeddings",
        title: "Embeddings",
        metrics: &[REQUESTS, INPUT],
        groups: BY_MODEL,
    },
    ReportKind {
        name: "moderations",
        path: "/organization/usage/moderations",
        title: "Moderations",
        metrics: &[REQUESTS, INPUT],
        groups: BY_MODEL,
    },
    ReportKind {
        name: "images",
        path: "/organization/usage/images",
        title: "Images",
        metrics: &[metric("images", "Images"), REQUESTS],
        groups: &[G::Model, G::Project, G::User, G::Key, G::Size, G::Source],
    },
    ReportKind {
        name: "audio_speeches",
        path: "/organization/usage/audio_speeches",
        title: "Speech",
        metrics: &[metric("characters", "Characters"), REQUESTS],
        groups: BY_MODEL,
    },
    ReportKind {
        name: "audio_transcriptions",
        path: "/organization/usage/audio_transcriptions",
        title: "Transcriptions",
        metrics: &[metric("seconds", "Seconds"), REQUESTS],
        groups: BY_MODEL,
    },
    ReportKind {
        name: "vector_stores",
        path: "/organization/usage/vector_stores",
        title: "Vector stores",
        metrics: &[metric("usage_bytes", "Bytes")],
        groups: &[G::Project],
    },
    ReportKind {
        name: "code_interpreter_sessions",
        path: "/organization/usage/code_interpreter_sessions",
        title: "Code interpreter",
        metrics: &[metric("num_sessions", "Sessions")],
        groups: &[G::Project],
    },
    ReportKind {
        name: "file_search_calls",
        path: "/organization/usage/file_search_calls",
        title: "File search",
        metrics: &[metric("num_requests", "Calls")],
        groups: &[G::Project, G::User, G::Key, G::VectorStore],
    },
    ReportKind {
        name: "web_search_calls",
        path: "/organization/usage/web_search_calls",
        title: "Web search",
        metrics: &[metric("num_requests", "Calls"), REQUESTS],
        groups: &[
            G::Model,
            G::Project,
            G::User,
            G::Key,
            G::ContextLevel,
            G::ApiSource,
        ],
    },
    ReportKind {
        name: "decisions",
        path: "/organization/usage/decisions",
        title: "Decisions",
        metrics: &[REQUESTS, INPUT, CACHED, OUTPUT],
        groups: BY_ANSWER,
    },
];

#[cfg(test)]
mod tests {
    use admin::operation::document;
    use serde_json::Value;

    use super::*;

    /// Returns the query parameters of the operation of a report, with their schemas.
    fn parameters(document: &Value, path: &str) -> Vec<(String, Value)> {
        let parameters = document["paths"][path]["get"]["parameters"].as_array();
        let parameters = parameters.unwrap_or_else(|| panic!("no operation {path}"));
        let name = |parameter: &Value| parameter["name"].as_str().expect("a name").to_owned();
        parameters
            .iter()
            .map(|parameter| (name(parameter), parameter["schema"].clone()))
            .collect()
    }

    #[test]
    fn every_report_has_a_page_with_exactly_its_dimensions() {
        let document = document(&admin::operations());
        let reports: Vec<_> = admin::operations()
            .iter()
            .filter(|operation| {
                let parameters = document["paths"][operation.path]["get"]["parameters"].as_array();
                let mut parameters = parameters.into_iter().flatten();
                parameters.any(|parameter| parameter["name"] == "group_by")
                    && !operation.path.contains("/me/")
            })
            .map(|operation| operation.path)
            .collect();
        let mut ours: Vec<_> = USAGE.iter().map(|kind| kind.path).collect();
        ours.push(COSTS.path);
        for path in &reports {
            assert!(ours.contains(path), "{path} has no page");
        }
        assert_eq!(reports.len(), ours.len(), "{reports:?}");
        for kind in USAGE.iter().chain([&COSTS]) {
            let parameters = parameters(&document, kind.path);
            let groups = parameters.iter().find(|(name, _)| name == "group_by");
            let (_, groups) = groups.expect("a report can be grouped");
            let mut known: Vec<_> = groups["items"]["enum"]
                .as_array()
                .expect("words")
                .iter()
                .map(|word| word.as_str().expect("a word").to_owned())
                .collect();
            let mut offered: Vec<_> = kind
                .groups
                .iter()
                .map(|group| group.as_str().to_owned())
                .collect();
            known.sort();
            offered.sort();
            assert_eq!(offered, known, "{}", kind.path);
        }
    }

    #[test]
    fn every_metric_is_one_of_the_report() {
        for kind in &USAGE {
            let usage = usage::UsageKind::parse(kind.name).expect("a kind of usage");
            for metric in kind.metrics {
                let metric = usage::Metric::parse(metric.name).expect("a metric");
                let all = usage
                    .required_metrics()
                    .iter()
                    .chain(usage.optional_metrics());
                assert!(
                    all.copied().any(|known| known == metric),
                    "{} {metric:?}",
                    kind.name
                );
            }
            for required in usage.required_metrics() {
                let shown = kind
                    .metrics
                    .iter()
                    .any(|metric| metric.name == required.as_str());
                assert!(shown, "{} lacks {required:?}", kind.name);
            }
        }
    }
}
