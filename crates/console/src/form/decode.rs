//! The pairs of a form as the body of a request.

use base::NanoDollars;
use pages::FormData;
use serde_json::{Map, Value as Json, json};

use super::encode::row_name;
use super::{Form, FormControl, FormField, MAX_ROWS_COUNT};

/// Returns the body that a form sends. `before` are the pairs of the form as it was shown: an update sends what differs.
pub(crate) fn body_of(form: &Form, sent: &FormData, before: &FormData) -> Json {
    let mut body = Map::new();
    for field in &form.fields {
        let value = decode(field, &field.name, sent);
        let value = if form.is_update {
            changed(field, value, decode(field, &field.name, before).as_ref())
        } else {
            value.filter(|value| field.is_required || !is_empty(value))
        };
        if let Some(value) = value {
            body.insert(field.key.clone(), value);
        }
    }
    Json::Object(body)
}

/// Returns the value that an update sends: none if it is unchanged, null if it was cleared.
fn changed(field: &FormField, value: Option<Json>, before: Option<&Json>) -> Option<Json> {
    if field.is_required {
        return value;
    }
    if value.as_ref() == before {
        return None;
    }
    match value {
        None if field.is_nullable => Some(Json::Null),
        value => value,
    }
}

/// True if a value says nothing that its absence would not.
fn is_empty(value: &Json) -> bool {
    match value {
        Json::Array(items) => items.is_empty(),
        Json::Object(fields) => fields.values().all(is_empty),
        other => *other == false || other.is_null(),
    }
}

/// Returns the value of a field; none if the field is empty.
fn decode(field: &FormField, name: &str, form: &FormData) -> Option<Json> {
    let text = || form.all(name).map(str::trim).find(|text| !text.is_empty());
    match &field.control {
        FormControl::Hidden(value) => Some(json!(value)),
        FormControl::Line(_)
        | FormControl::Email
        | FormControl::Choice(_)
        | FormControl::Pick(_) => text().map(|text| json!(text)),
        FormControl::Text => text().map(|text| json!(text.replace("\r\n", "\n"))),
        FormControl::Integer(_, _) | FormControl::Span(_) => text().map(integer),
        FormControl::Dollars => text().map(cents),
        FormControl::Checkbox => Some(json!(text().is_some())),
        FormControl::Lines => {
            let lines = form.all(name).flat_map(str::lines).map(str::trim);
            Some(lines.filter(|line| !line.is_empty()).collect())
        }
        FormControl::Permissions | FormControl::PickMany(_) | FormControl::Some(_) => {
            Some(form.all(name).filter(|item| !item.is_empty()).collect())
        }
        FormControl::AllOr(_) => {
            let chosen: Vec<&str> = form.all(name).filter(|item| !item.is_empty()).collect();
            if chosen.contains(&"all") {
                Some(json!("all"))
            } else {
                Some(json!(chosen))
            }
        }
        FormControl::Group => group(field, form),
        FormControl::Rows => Some(Json::Array(rows(field, name, form))),
        FormControl::Json => text().map(|text| match serde_json::from_str(text) {
            Ok(value) => value,
            // The operation refuses the text, and names the field.
            Err(_) => json!(text),
        }),
    }
}

/// Returns a whole number; a text that is none stays a text, which the operation refuses, naming the field.
fn integer(text: &str) -> Json {
    let plain = text.replace([',', ' '], "");
    plain
        .parse::<i64>()
        .map_or_else(|_| json!(text), Json::from)
}

/// Returns an amount of dollars in cents; a text that is none, or has fractions of a cent, stays a text.
fn cents(text: &str) -> Json {
    let plain = text.trim_start_matches('$').replace([',', ' '], "");
    match NanoDollars::parse(&plain) {
        Some(amount) if NanoDollars::from_cents(amount.whole_cents()) == amount => {
            json!(amount.whole_cents())
        }
        _ => json!(text),
    }
}

fn group(field: &FormField, form: &FormData) -> Option<Json> {
    let mut object = Map::new();
    for child in &field.children {
        let value = decode(child, &child.name, form);
        if let Some(value) = value {
            object.insert(child.key.clone(), value);
        }
    }
    (!object.is_empty()).then_some(Json::Object(object))
}

/// Returns the objects of a list. A row whose first field is empty is left out.
fn rows(field: &FormField, name: &str, form: &FormData) -> Vec<Json> {
    let Some(first) = field.children.first() else {
        return Vec::new();
    };
    let row = |index: usize| {
        let is_filled = form.text(&row_name(name, index, &first.key)).is_some();
        is_filled.then(|| {
            let pairs = field.children.iter().filter_map(|child| {
                let value = decode(child, &row_name(name, index, &child.key), form)?;
                Some((child.key.clone(), value))
            });
            Json::Object(pairs.collect())
        })
    };
    (0..MAX_ROWS_COUNT).filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::form::pairs_of;
    use crate::registry::Registry;

    fn form(path: &'static str, is_update: bool) -> Form {
        let registry = Registry::new();
        let known = registry.find(&Method::POST, path).expect("an operation");
        Form::of(known, is_update)
    }

    fn sent(text: &str) -> FormData {
        FormData::parse(text.as_bytes()).expect("a form")
    }

    #[test]
    fn a_new_item_has_what_was_filled_in() {
        let form = form("/organization/invites", false);
        let pairs = sent(
            "email=+a@b.example+&role=reader&projects[0].id=&projects[0].role=member\
             &projects[1].id=proj_1&projects[1].role=owner",
        );
        let body = body_of(&form, &pairs, &FormData::default());
        let expected = json!({"email": "a@b.example", "role": "reader",
                              "projects": [{"id": "proj_1", "role": "owner"}]});
        assert_eq!(body, expected);
        let body = body_of(&form, &sent("email=a"), &FormData::default());
        assert_eq!(body, json!({"email": "a"}));
    }

    #[test]
    fn an_update_sends_what_differs_and_null_for_what_was_cleared() {
        let form = form("/organization/roles/{role_id}", true);
        let item = json!({"name": "A", "description": "d", "permissions": ["api.model.read"]});
        let before = pairs_of(&form, Some(&item));
        assert_eq!(body_of(&form, &before, &before), json!({}));
        let after = before
            .with("description", Some(""))
            .with("role_name", Some("B"));
        let expected = json!({"role_name": "B", "description": null});
        assert_eq!(body_of(&form, &after, &before), expected);
        let after = before.with("permissions", None);
        assert_eq!(body_of(&form, &after, &before), json!({"permissions": []}));
    }

    #[test]
    fn dollars_become_cents_and_other_texts_are_left_to_the_operation() {
        for (text, expected) in [
            ("12.50", json!(1250)),
            ("$1,000", json!(100_000)),
            ("0.005", json!("0.005")),
            ("a lot", json!("a lot")),
        ] {
            assert_eq!(cents(text), expected);
        }
        assert_eq!(integer("1,000"), json!(1000));
        assert_eq!(integer("x"), json!("x"));
    }

    #[test]
    fn nested_fields_become_objects() {
        let form = form("/organization/spend_alerts", false);
        let pairs = pairs_of(&form, None)
            .with("threshold_amount", Some("10"))
            .with(
                "notification_channel.recipients",
                Some("a@b.example\r\nc@d.example\n"),
            );
        let expected = json!({"threshold_amount": 1000, "currency": "USD", "interval": "month",
            "notification_channel": {"type": "email", "recipients": ["a@b.example", "c@d.example"]}});
        assert_eq!(body_of(&form, &pairs, &FormData::default()), expected);
    }
}
