//! Parsing price books.

use usage::PriceBook;

#[test]
fn the_built_in_price_book_is_valid_and_dated() {
    let text = include_str!("../../src/prices.toml");
    assert!(text.contains("# Source: ") && text.contains("entered on 2026-11-30."));
    let _ = PriceBook::built_in();
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
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
        ("reported_cost = \"1\"", "is not a key of a price"),
        (
            "cache_write = { a = \"1\" }",
            "cache_write must be US dollars",
        ),
        (
            "input = \"1\"\nservice_tier = { fast = \"2\", priority = \"2\" }",
            "service_tier.priority is there twice",
        ),
        ("input = \"1\"\nrow = 1", "row must be [[price.row]] tables"),
        (
            "input = \"1\"\nrow = [{ input = \"2\" }]",
            "row 1 conditions are missing",
        ),
        (
            "input = \"1\"\nrow = [{ batch = true }]",
            "row 1 has no price",
        ),
        (
            "input = \"1\"\nrow = [{ batch = \"0.5\", input = \"2\" }]",
            "row 1 batch must be true",
        ),
        (
            "input = \"1\"\nrow = [{ batch = true, input = \"x\" }]",
            "row 1 input must be US dollars",
        ),
        (
            "input = \"1\"\nrow = [{ service_tier = { a = \"1\" }, input = \"2\" }]",
            "row 1 service_tier must be the name of one service tier",
        ),
        (
            "input = \"1\"\nrow = [{ above_input_tokens = 0, input = \"2\" }]",
            "row 1 above_input_tokens must be a number of tokens",
        ),
        (
            "input = \"1\"\nrow = [{ endpoint = \"nowhere\", input = \"2\" }]",
            "row 1 endpoint must be the name of a usage report",
        ),
        (
            "input = \"1\"\nrow = [{ service_tier = \"fast\", input = \"2\" }, { service_tier = \"priority\", input = \"2\" }]",
            "row 2 conditions are those of an earlier row",
        ),
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
