//! Parsing price books.

use usage::PriceBook;

#[test]
fn the_built_in_price_book_is_valid_and_dated() {
    let text = include_str!("../../src/prices.toml");
    assert!(text.contains("as of 2026-11"));
    let _ = PriceBook::built_in();
}

#[test]
fn an_error_names_the_model_and_the_key() {
    let cases = [
        (
            "input = 1.25",
            "input must be US dollars as a decimal string",
        ),
        (
            "input = \"1,25\"",
            "input must be US dollars as a decimal string",
        ),
        ("input = \"-1\"", "input must be US dollars"),
        ("inptu = \"1\"", "inptu is not a key of a price"),
        ("input = \"1\"\nbatch = \"half\"", "batch must be a factor"),
        (
            "input = \"1\"\nservice_tier = { flex = \"?\" }",
            "service_tier.flex must be a factor",
        ),
        (
            "image = { \"1x1\" = \"x\" }",
            "image.1x1 must be US dollars",
        ),
        ("input = { a = \"1\" }", "input must be US dollars"),
        ("batch = \"0.5\"", "has no price"),
    ];
    for (keys, problem) in cases {
        let text = format!("[[price]]\nmodel = \"gpt-x\"\neffective = \"2026-01-01\"\n{keys}");
        let error = PriceBook::parse(&text).expect_err(keys).to_string();
        assert!(
            error.contains("\"gpt-x\"") && error.contains(problem),
            "{keys}: {error}"
        );
    }
    let cases = [
        ("model = \"m\"\ninput = \"1\"", "effective must be a date"),
        (
            "model = \"m\"\neffective = \"2026-02-30\"\ninput = \"1\"",
            "effective must be a date",
        ),
        (
            "effective = \"2026-01-01\"\ninput = \"1\"",
            "model must be there",
        ),
        (
            "model = \"*\"\neffective = \"2026-01-01\"\ninput = \"1\"",
            "input needs a model",
        ),
    ];
    for (keys, problem) in cases {
        let error = PriceBook::parse(&format!("[[price]]\n{keys}")).expect_err(keys);
        assert!(error.to_string().contains(problem), "{keys}: {error}");
    }
    assert!(PriceBook::parse("prices = 1").is_err() && PriceBook::parse("[[").is_err());
    assert!(PriceBook::parse("").is_ok());
}
