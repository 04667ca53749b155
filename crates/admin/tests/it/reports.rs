//! The eleven usage reports with exactly their filters and groupings.

use serde_json::{Map, Value, json};
use testkit::{NOW, Server};
use usage::{Dimension, UsageKind};

pub const FILTERS: [(Dimension, &str); 7] = [
    (Dimension::UserId, "user_ids"),
    (Dimension::ApiKeyId, "api_key_ids"),
    (Dimension::Model, "models"),
    (Dimension::Size, "sizes"),
    (Dimension::Source, "sources"),
    (Dimension::VectorStoreId, "vector_store_ids"),
    (Dimension::ContextLevel, "context_levels"),
];

pub fn value(dimension: Dimension, second: bool) -> &'static str {
    let [first, other] = match dimension {
        Dimension::Size => ["1024x1024", "512x512"],
        Dimension::Source => ["image.generation", "image.edit"],
        Dimension::ContextLevel => ["low", "high"],
        Dimension::UserId => ["user-a", "user-b"],
        Dimension::ApiKeyId => ["key_a", "key_b"],
        _ => ["a", "b"],
    };
    if second { other } else { first }
}

/// Reports an event of `kind` for each of two values of all its dimensions, the second with twice the amount.
pub async fn report(server: &Server, kind: UsageKind) {
    for second in [false, true] {
        let mut event = Map::from_iter([
            ("id".to_owned(), json!(format!("{}{second}", kind.as_str()))),
            ("timestamp".to_owned(), json!(NOW.0)),
            ("type".to_owned(), json!(kind.as_str())),
            ("project_id".to_owned(), json!(server.default_project_id())),
        ]);
        for (dimension, _) in FILTERS {
            if kind.dimensions().contains(&dimension) {
                event.insert(
                    dimension.as_str().to_owned(),
                    json!(value(dimension, second)),
                );
            }
        }
        for metric in kind.required_metrics() {
            event.insert(
                metric.as_str().to_owned(),
                json!(if second { 20 } else { 10 }),
            );
        }
        let answer = server
            .admin()
            .post("/organization/usage/events", Value::Object(event))
            .await
            .ok();
        assert_eq!(answer["accepted"], 1, "{answer}");
    }
}

async fn results(server: &Server, kind: UsageKind, query: &str) -> Vec<Value> {
    let path = format!(
        "/organization/usage/{}?start_time={}&{query}",
        kind.as_str(),
        NOW.0
    );
    let page = server.admin().get(&path).await.ok();
    page["data"][0]["results"]
        .as_array()
        .expect("results")
        .clone()
}

#[tokio::test]
async fn each_report_has_its_own_numbers_and_dimensions() {
    let server = Server::start().await;
    for kind in UsageKind::ALL {
        report(&server, *kind).await;
    }
    for kind in UsageKind::ALL {
        let found = results(&server, *kind, "").await;
        let mut expected = Map::from_iter([("object".to_owned(), json!(kind.result_object()))]);
        for metric in kind.required_metrics() {
            expected.insert(metric.as_str().to_owned(), json!(30));
        }
        for dimension in kind.dimensions() {
            expected.insert(dimension.as_str().to_owned(), Value::Null);
        }
        assert_eq!(found, [Value::Object(expected)], "{}", kind.as_str());
    }
}

#[tokio::test]
async fn each_report_groups_and_filters_by_its_own_dimensions_and_refuses_others() {
    let server = Server::start().await;
    for kind in UsageKind::ALL {
        report(&server, *kind).await;
        let metric = kind.required_metrics()[0].as_str();
        let numbers = |found: &[Value]| -> Vec<i64> {
            found
                .iter()
                .filter_map(|result| result[metric].as_i64())
                .collect()
        };
        for (dimension, filter) in FILTERS {
            let name = dimension.as_str();
            let one = format!("{filter}[]={}", value(dimension, true));
            if kind.dimensions().contains(&dimension) {
                let grouped = results(&server, *kind, &format!("group_by={name}")).await;
                assert_eq!(numbers(&grouped).iter().sum::<i64>(), 30);
                let values: Vec<_> = grouped.iter().map(|result| result[name].as_str()).collect();
                assert!(
                    values.contains(&Some(value(dimension, false))) && values.len() == 2,
                    "{values:?}"
                );
                assert_eq!(
                    numbers(&results(&server, *kind, &one).await),
                    [20],
                    "{} {filter}",
                    kind.as_str()
                );
                continue;
            }
            for (query, param) in [
                (one, filter.to_owned()),
                (format!("group_by[]={name}"), "group_by[0]".to_owned()),
            ] {
                let path = format!(
                    "/organization/usage/{}?start_time={}&{query}",
                    kind.as_str(),
                    NOW.0
                );
                let answer = server.admin().get(&path).await;
                assert_eq!(answer.refused(400).1, Some(param.as_str()), "{path}");
            }
        }
        let project = format!(
            "project_ids={}&group_by=project_id",
            server.default_project_id()
        );
        assert_eq!(
            results(&server, *kind, &project).await[0]["project_id"],
            json!(server.default_project_id())
        );
        assert_eq!(
            results(&server, *kind, "project_ids=proj_none").await,
            Vec::<Value>::new()
        );
    }
}

#[tokio::test]
async fn values_that_a_filter_does_not_have_are_refused_by_name() {
    let server = Server::start().await;
    for (report, query, param) in [
        ("images", "sizes[]=1x1", "sizes[0]"),
        ("images", "sources=image.x", "sources[0]"),
        (
            "web_search_calls",
            "context_levels=low&context_levels=huge",
            "context_levels[1]",
        ),
        ("embeddings", "batch=true", "batch"),
        ("vector_stores", "models=a", "models"),
        ("moderations", "group_by=batch", "group_by[0]"),
    ] {
        let path = format!("/organization/usage/{report}?start_time={}&{query}", NOW.0);
        assert_eq!(
            server.admin().get(&path).await.refused(400).1,
            Some(param),
            "{path}"
        );
    }
}
