//! The models that made-up usage calls, and what a server is told that they cost.

use std::fmt::Write;

/// A model and its prices, in billionths of a dollar for each token.
pub struct Model {
    /// As usage events name it.
    pub name: &'static str,
    /// For what goes in.
    pub input: u64,
    /// For what goes in and was cached, where the model caches.
    pub cached: Option<u64>,
    /// For what comes out.
    pub output: u64,
}

/// Those called most first: some of the built-in price book, and some that an operator runs.
pub const MODELS: [Model; 20] = [
    caching("gpt-5-mini", 250, 25, 2_000),
    caching("gpt-5", 1_250, 125, 10_000),
    caching("gpt-4o-mini", 150, 75, 600),
    caching("gpt-5-nano", 50, 5, 400),
    caching("gpt-4.1-mini", 400, 100, 1_600),
    plain("llama-3.3-70b", 120, 300),
    caching("gpt-4.1", 2_000, 500, 8_000),
    caching("gpt-4o", 2_500, 1_250, 10_000),
    caching("gpt-5.1", 1_250, 125, 10_000),
    plain("qwen3-32b", 90, 280),
    caching("gpt-4.1-nano", 100, 25, 400),
    caching("o4-mini", 1_100, 275, 4_400),
    plain("mistral-small-3.2", 75, 200),
    caching("o3", 2_000, 500, 8_000),
    caching("deepseek-v3.1", 270, 70, 1_100),
    plain("gpt-3.5-turbo", 500, 1_500),
    caching("o3-mini", 1_100, 550, 4_400),
    plain("gemma-3-27b", 70, 210),
    plain("gpt-4-turbo", 10_000, 30_000),
    plain("gpt-4", 30_000, 60_000),
];

const fn caching(name: &'static str, input: u64, cached: u64, output: u64) -> Model {
    Model {
        name,
        input,
        cached: Some(cached),
        output,
    }
}

const fn plain(name: &'static str, input: u64, output: u64) -> Model {
    Model {
        name,
        input,
        cached: None,
        output,
    }
}

/// Returns the prices as a server's configuration has them, from this date on.
pub fn price_book(effective: &str) -> String {
    let mut text = String::new();
    for model in &MODELS {
        let (name, input, output) = (
            model.name,
            per_million(model.input),
            per_million(model.output),
        );
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "[[price]]\nmodel = \"{name}\"\neffective = \"{effective}\"\ninput = \"{input}\"\noutput = \"{output}\""
        );
        if let Some(cached) = model.cached {
            let _ = writeln!(text, "cached_input = \"{}\"", per_million(cached));
        }
    }
    text
}

/// Billionths of a dollar for a token as dollars for a million of them.
fn per_million(nanos: u64) -> String {
    format!("{}.{:03}", nanos / 1_000, nanos % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_written_in_dollars_for_a_million() {
        let text = price_book("2025-11-22");
        assert_eq!(text.matches("[[price]]").count(), MODELS.len());
        let mini = "model = \"gpt-5-mini\"\neffective = \"2025-11-22\"\ninput = \"0.250\"\noutput = \"2.000\"\ncached_input = \"0.025\"\n";
        assert!(text.contains(mini), "{text}");
    }
}
