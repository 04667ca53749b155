//! The names under which the prices of and the facts about a model are looked up.

use jiff::civil::Date;

/// The beginning of the name of a fine-tuned model: `ft:BASE:ORGANIZATION:SUFFIX:ID`.
const FINE_TUNED: &str = "ft:";

/// Returns the names of a model, the closest first: its own name, `ft:BASE` for a fine-tuned model of that base, and last
/// the closest one of them that ends in a date, without that date. No other name is derived: an unknown model is unknown.
pub(crate) fn lookup_names(model: &str) -> impl Iterator<Item = &str> + Clone {
    let base = base_of_fine_tuned(model);
    let undated = undated(base.unwrap_or(model));
    [Some(model), base, undated].into_iter().flatten()
}

/// Returns the beginning `ft:BASE` of the name of a fine-tuned model; `None` if nothing follows it.
fn base_of_fine_tuned(model: &str) -> Option<&str> {
    let (base, _) = model.strip_prefix(FINE_TUNED)?.split_once(':')?;
    (!base.is_empty()).then(|| &model[..FINE_TUNED.len() + base.len()])
}

/// Returns the name of a model without the date at its end; `None` if there is no date.
fn undated(model: &str) -> Option<&str> {
    let (name, date) = model.split_at_checked(model.len().checked_sub(10)?)?;
    let name = name.strip_suffix('-')?;
    date.parse::<Date>().ok()?;
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_without_what_follows_the_base_and_without_its_date() {
        for (model, expected) in [
            ("gpt-5", &["gpt-5"][..]),
            ("gpt-5-2025-08-07", &["gpt-5-2025-08-07", "gpt-5"]),
            (
                "ft:gpt-4.1-2025-04-14:acme::AbC",
                &[
                    "ft:gpt-4.1-2025-04-14:acme::AbC",
                    "ft:gpt-4.1-2025-04-14",
                    "ft:gpt-4.1",
                ],
            ),
            (
                "ft:gpt-4o:acme:x:id:ckpt-step-2025-01-01",
                &["ft:gpt-4o:acme:x:id:ckpt-step-2025-01-01", "ft:gpt-4o"],
            ),
            ("ft:gpt-4o", &["ft:gpt-4o"]),
            ("ft::acme", &["ft::acme"]),
            ("-2024-08-06", &["-2024-08-06", ""]),
            ("gpt-5-chat-0123", &["gpt-5-chat-0123"]),
            ("ä2024-08-06", &["ä2024-08-06"]),
            ("", &[""]),
        ] {
            assert_eq!(lookup_names(model).collect::<Vec<_>>(), expected, "{model}");
        }
    }
}
