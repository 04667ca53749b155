//! `/organization/projects/{project_id}/rate_limits`: rate limits of a project, by model.

use std::collections::BTreeMap;
use std::fmt;

use base::ids::{Id, RateLimitId};
use base::{Error, Permission, Result};
use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use settings::{LimitField, ModelLimits, RateLimits, Setting};
use store::{Order, PageRequest, Value};

use super::{ActiveProject, ConfiguredProject};
use crate::list::{Item, List, page_of};
use crate::operation::{
    Done, Event, EventType, Limit, Operation, Read, ScopedId, Write, read, write,
};
use crate::search::Search;
use crate::{args, tenant_sql};

pub(crate) fn operations() -> Vec<Operation> {
    use Permission::{ProjectSettingsRead, ProjectSettingsWrite};
    const ALL: &str = "/organization/projects/{project_id}/rate_limits";
    const ONE: &str = "/organization/projects/{project_id}/rate_limits/{rate_limit_id}";
    vec![
        read(
            "projects:rate-limits list-rate-limits",
            ALL,
            ProjectSettingsRead,
            "Lists the project's rate limits: one for each known model.",
            list,
        ),
        write(
            "projects:rate-limits update-rate-limit",
            Method::POST,
            ONE,
            ProjectSettingsWrite,
            "Modifies a rate limit of the project.",
            update,
        ),
    ]
}

/// Rate limits of a project for a model. Fields that do not apply to the model and were not set are absent.
#[derive(Debug)]
pub struct RateLimit {
    id: RateLimitId,
    model: String,
    limits: ModelLimits,
}

const OBJECT: &str = "project.rate_limit";
/// Fields of every rate limit; other fields depend on the model.
const REQUIRED_FIELDS: [LimitField; 2] =
    [LimitField::RequestsPerMinute, LimitField::TokensPerMinute];

impl RateLimit {
    fn new(model: &str, limits: ModelLimits) -> Self {
        Self {
            id: RateLimitId::from_text(format!("{}{model}", RateLimitId::PREFIX)),
            model: model.to_owned(),
            limits,
        }
    }
}

impl Item for RateLimit {
    fn cursor(&self) -> String {
        self.id.to_string()
    }
}

impl Serialize for RateLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("object", OBJECT)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("model", &self.model)?;
        for field in LimitField::ALL {
            if let Some(limit) = self.limits.get(*field) {
                map.serialize_entry(field.as_str(), &limit)?;
            }
        }
        map.end()
    }
}

impl JsonSchema for RateLimit {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RateLimit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut properties = fields();
        properties.insert("object".to_owned(), json!({ "const": OBJECT }));
        properties.insert("id".to_owned(), json!({ "type": "string" }));
        properties.insert("model".to_owned(), json!({ "type": "string" }));
        let always = REQUIRED_FIELDS.map(LimitField::as_str);
        let required: Vec<&str> = ["object", "id", "model"]
            .into_iter()
            .chain(always)
            .collect();
        json_schema!({ "type": "object", "properties": properties, "required": required })
    }
}

/// Largest limit: JSON numbers are exact up to 2^53 - 1 in every client.
const MAX_LIMIT: i64 = 9_007_199_254_740_991;

fn fields() -> Map<String, Json> {
    let schema = json!({ "type": "integer", "minimum": 0, "maximum": MAX_LIMIT });
    let names = LimitField::NAMES.iter();
    names
        .map(|name| ((*name).to_owned(), schema.clone()))
        .collect()
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListRateLimits {
    /// Maximum number of items on the page.
    #[serde(default)]
    limit: Limit<100, 1, 1000>,
    /// Id of the last rate limit of the previous page.
    after: Option<String>,
    /// Id of the first rate limit of the next page.
    before: Option<String>,
    /// Only rate limits of models whose name contains this text, in any case.
    search: Option<Search>,
}

async fn list(
    mut cx: Read,
    project: ConfiguredProject,
    query: ListRateLimits,
) -> Result<List<RateLimit>> {
    let all = tenant_sql!(cx, RateLimits::SQL.select_one, args![&project.id]);
    let changed = cx.fetch_all(all, RateLimits::read).await?.into_iter();
    let changed: BTreeMap<_, _> = changed.map(|row| (row.model, row.limits)).collect();
    let (known, facts) = (cx.models().iter(), cx.model_facts());
    let search = &query.search;
    let found = known.filter(|model| search.as_ref().is_none_or(|search| search.is_in(model)));
    let items = found.map(|model| {
        let limits = ModelLimits::of(model, facts.configured_kind_of(model), changed.get(model));
        RateLimit::new(model, limits)
    });
    let request = PageRequest {
        limit: query.limit.0,
        after: query.after,
        before: query.before,
        order: Order::Ascending,
    };
    Ok(page_of(items.collect(), &request)?.into())
}

/// Fields of an update, in the order of the request.
struct Changes(Vec<(LimitField, i64)>);

impl<'de> Deserialize<'de> for Changes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Changes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of limits")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Changes, A::Error> {
                use serde::de::Error;
                let mut changes: Vec<(LimitField, i64)> = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    let Some(field) = LimitField::parse(&name) else {
                        return Err(A::Error::unknown_field(&name, LimitField::NAMES));
                    };
                    if changes.iter().any(|(given, _)| *given == field) {
                        return Err(A::Error::duplicate_field(field.as_str()));
                    }
                    changes.push((field, map.next_value::<LimitValue>()?.0));
                }
                Ok(Changes(changes))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

/// A limit. At 0, every request is refused.
struct LimitValue(i64);

impl<'de> Deserialize<'de> for LimitValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let amount = i64::deserialize(deserializer)?;
        if (0..=MAX_LIMIT).contains(&amount) {
            return Ok(Self(amount));
        }
        Err(serde::de::Error::custom(format_args!(
            "must be 0 to {MAX_LIMIT}"
        )))
    }
}

impl JsonSchema for Changes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "UpdateRateLimit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "properties": fields(), "additionalProperties": false })
    }
}

async fn update(
    mut cx: Write,
    ScopedId(project, id): ScopedId<ActiveProject, RateLimitId>,
    Changes(changes): Changes,
) -> Result<Done<RateLimit>> {
    let model = id.as_str().strip_prefix(RateLimitId::PREFIX);
    let known = model.filter(|model| cx.models().iter().any(|known| known == model));
    let model = known.ok_or_else(|| Error::not_found(RateLimitId::NOUN, id.as_str()))?;
    let mut one = tenant_sql!(cx, RateLimits::SQL.select_one, args![&project.id]);
    one.push(" AND model = ").bind(model);
    let row = cx.fetch_optional(one, RateLimits::read).await?;
    // Limits that were never set stay null, so that they follow the defaults of later versions.
    let mut set = row.map(|row| row.limits).unwrap_or_default();
    let kind = cx.model_facts().configured_kind_of(model);
    let old = ModelLimits::of(model, kind, Some(&set));
    for (field, limit) in &changes {
        if let Some(kind) = kind.filter(|kind| !field.is_for(Some(*kind))) {
            let (name, kind) = (field.as_str(), kind.as_str());
            let message = format!(
                "{name} makes no sense for the model '{model}', whose kind is {kind} in the server's configuration."
            );
            return Err(Error::invalid(name, message));
        }
        set.set(*field, *limit);
    }
    let new = ModelLimits::of(model, kind, Some(&set));
    if new == old {
        return Ok(cx.unchanged(RateLimit::new(model, new)));
    }
    let mut values = args![&project.id, model];
    values.extend(set.iter().map(Value::from));
    let upsert = tenant_sql!(cx, RateLimits::SQL.upsert, values);
    cx.execute(upsert).await?;
    let requested: Map<String, Json> = changes
        .iter()
        .map(|(field, limit)| (field.as_str().to_owned(), json!(limit)))
        .collect();
    let details = json!({"changes_requested": requested});
    Ok(cx.done(
        Event::new(EventType::RateLimitUpdated, &id, details),
        RateLimit::new(model, new),
    ))
}
