//! An example of each command, made of what it needs.

use crate::command::{Command, Place};
use crate::schema::{Field, Kind};

/// A line to type: what is required, and where nothing is, the first thing that can be set.
pub fn example(program: &str, command: &Command) -> String {
    let mut words = vec![program.to_owned(), command.words()];
    words.extend(command.positionals().map(|flag| sample(&flag.field)));
    let is_needed =
        |flag: &&crate::command::Flag| flag.place != Place::Path && flag.field.is_required;
    let mut shown: Vec<_> = command.flags.iter().filter(is_needed).collect();
    if shown.is_empty() && command.has_body {
        shown.extend(command.flags.iter().find(|flag| flag.place == Place::Body));
    }
    for flag in shown {
        words.push(format!("--{}", flag.name));
        words.push(quoted(&sample(&flag.field)));
    }
    words.join(" ")
}

/// A value that the field could have.
fn sample(field: &Field) -> String {
    if let Some(value) = field.values.first() {
        return value.clone();
    }
    match (field.kind, field.key.as_str()) {
        (Kind::Boolean, _) => "true".to_owned(),
        (Kind::Integer, "start_time" | "timestamp") => "1735689600".to_owned(),
        (Kind::Integer, _) => "100".to_owned(),
        (Kind::Yaml, _) => {
            let fields = field
                .fields
                .iter()
                .filter(|inner| inner.is_required || field.fields.len() == 1);
            let fields: Vec<_> = fields
                .map(|inner| match (inner.repeats, sample(inner)) {
                    (true, value) => format!("{}: [{value}]", inner.key),
                    (false, value) => format!("{}: {value}", inner.key),
                })
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        (Kind::Text, key) => text(key),
    }
}

fn text(key: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::example;
    use crate::arguments::Words;
    use crate::globals::Globals;
    use crate::registry::Registry;
    use crate::request;

    #[test]
    fn every_example_makes_a_request() {
        for command in Registry::new().commands() {
            let line = example("orgplane", &command).replace("@ca.pem", "PEM");
            let rest = line.strip_prefix(&format!("orgplane {}", command.words()));
            let rest = rest.expect("an example begins with the command's words");
            let parts = rest.split('\'').enumerate();
            let words = parts.flat_map(|(number, part)| match number % 2 {
                0 => part.split_whitespace().map(str::to_owned).collect(),
                _ => vec![part.to_owned()],
            });
            let arguments = Words::new(words).arguments(&command, &mut Globals::default());
            let arguments = arguments.unwrap_or_else(|failure| panic!("{line}: {failure:?}"));
            let request = request::build("orgplane", &command, &arguments);
            let request = request.unwrap_or_else(|failure| panic!("{line}: {failure:?}"));
            assert_eq!(request.body.is_some(), command.has_body, "{line}");
            assert!(!request.path.contains('{'), "{line}: {}", request.path);
        }
    }
}
