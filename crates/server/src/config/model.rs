//! `[[model]]`: facts about models.

use std::collections::BTreeSet;

use ::usage::ModelFact;
use anyhow::ensure;

/// Validates the `[[model]]` tables: unique names, positive numbers.
pub(super) fn checked(models: Vec<ModelFact>) -> anyhow::Result<Vec<ModelFact>> {
    let mut names = BTreeSet::new();
    for model in &models {
        let name = &model.name;
        ensure!(
            names.insert(name),
            "[[model]] {name:?} is there more than once"
        );
        for (key, number) in [
            ("context_window", model.context_window),
            ("max_output_tokens", model.max_output_tokens),
            ("max_image_tokens", model.max_image_tokens),
        ] {
            ensure!(
                number != Some(0),
                "[[model]] {name:?}: {key} must be at least 1"
            );
        }
        ensure!(
            !model.reasoning_efforts.iter().any(String::is_empty),
            "[[model]] {name:?}: reasoning_efforts must be names such as \"low\""
        );
    }
    Ok(models)
}

#[cfg(test)]
mod tests {
    use super::super::tests::load;

    #[test]
    fn s11_what_is_known_of_models_is_shown_and_checked() {
        let text = "[[model]]\nname = \"m\"\nkind = \"image\"\ncontext_window = 8000\nmax_output_tokens = 1000\n\
                    input_modalities = [\"text\", \"image\"]\nreasoning_efforts = [\"low\"]\n";
        let shown = load(text).expect("loaded").show().expect("TOML");
        assert!(shown.contains(text), "{shown}");
        for (text, words) in [
            ("[[model]]\nname = 'm'\nmax_output = 1", "max_output"),
            ("[[model]]\nmax_output_tokens = 1", "name"),
            (
                "[[model]]\nname = 'm'\nkind = 'picture'",
                "`chat`, `embedding`",
            ),
            (
                "[[model]]\nname = 'm'\ncontext_window = 0",
                "context_window must be at least 1",
            ),
            (
                "[[model]]\nname = 'm'\ninput_modalities = ['smell']",
                "`text`, `image`",
            ),
            (
                "[[model]]\nname = 'm'\nreasoning_efforts = ['']",
                "reasoning_efforts must be names",
            ),
            (
                "[[model]]\nname = 'm'\n[[model]]\nname = 'm'",
                "more than once",
            ),
        ] {
            let error = load(text).err().expect(text);
            assert!(format!("{error:#}").contains(words), "{error:#}");
        }
    }
}
