//! An example of each command, made from its required flags.

use super::command::{ApiCommand, CommandFlag, FlagLocation};
use super::schema::{Field, ValueKind};

/// Returns a line to type, with all required flags; without any, with the first field of the body.
pub fn example(program: &str, command: &ApiCommand) -> String {
    let mut words = vec![program.to_owned(), command.name()];
    words.extend(command.path_flags().map(|flag| sample(&flag.field)));
    let is_required =
        |flag: &&CommandFlag| flag.location != FlagLocation::Path && flag.field.is_required;
    let mut shown: Vec<_> = command.flags.iter().filter(is_required).collect();
    if shown.is_empty() && command.operation.body.is_some() {
        let mut flags = command.flags.iter();
        shown.extend(flags.find(|flag| flag.location == FlagLocation::Body));
    }
    for flag in shown {
        words.push(format!("--{}", flag.name));
        words.push(quoted(&sample(&flag.field)));
    }
    words.join(" ")
}

/// Returns a value that the field could have.
fn sample(field: &Field) -> String {
    if let Some(value) = field.values.first() {
        return value.clone();
    }
    match (field.value_type.kind, field.key.as_str()) {
        (ValueKind::Boolean, _) => "true".to_owned(),
        (ValueKind::Integer, "start_time" | "timestamp") => "1735689600".to_owned(),
        (ValueKind::Integer, _) => "100".to_owned(),
        (ValueKind::Yaml, _) => {
            let fields = field
                .fields
                .iter()
                .filter(|inner| inner.is_required || field.fields.len() == 1);
            let fields: Vec<_> = fields
                .map(|inner| match (inner.value_type.is_list, sample(inner)) {
                    (true, value) => format!("{}: [{value}]", inner.key),
                    (false, value) => format!("{}: {value}", inner.key),
                })
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        (ValueKind::Text, key) => sample_text(key),
    }
}

fn sample_text(key: &str) -> String {
    let key = key.strip_suffix('s').unwrap_or(key);
    match key {
        "certificate" => "@ca.pem".to_owned(),
        "currency" => "USD".to_owned(),
        "email" | "recipient" => "ada@example.com".to_owned(),
        "interval" => "month".to_owned(),
        "model_id" => "gpt-5.5".to_owned(),
        "permission" => "api.groups.read".to_owned(),
        "role" => "role-api-project-member".to_owned(),
        "token" => "'the token in the mail'".to_owned(),
        "type" => "completions".to_owned(),
        "project_id" => "proj_abc".to_owned(),
        "certificate_id" => "cert_abc".to_owned(),
        "rate_limit_id" => "rl-gpt-5.5".to_owned(),
        "id" => "evt_1".to_owned(),
        _ => match key.strip_suffix("_id") {
            Some(noun) => format!("{}_abc", noun.rsplit('_').next().unwrap_or(noun)),
            None => "Example".to_owned(),
        },
    }
}

fn quoted(value: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._@/:'".contains(&byte);
    if value.bytes().all(is_plain) || value.starts_with('\'') {
        value.to_owned()
    } else {
        format!("'{value}'")
    }
}
