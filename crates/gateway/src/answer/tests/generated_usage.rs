//! Random usage objects in the spellings of model servers.

use super::generated_answer::ExpectedUsage;
use super::rng::Rng;

/// Returns a number in one of the spellings of JSON and Python.
fn number(rng: &mut Rng, number: i64) -> String {
    match rng.up_to(9) {
        0 | 1 => format!("{number}.0"),
        2 => format!("\"{number}\""),
        3 => format!("{number}.000e0"),
        4 if number % 100 == 0 => format!("{}e2", number / 100),
        _ => number.to_string(),
    }
}

/// Returns a value that is no amount.
fn nonsense(rng: &mut Rng) -> &'static str {
    rng.one::<&str>(&[
        "null",
        "NaN",
        "-Infinity",
        "-1",
        "0.5",
        "1e15",
        "\"many\"",
        "[]",
        "{}",
        "true",
    ])
}

/// Returns a usage object, and the usage that it reports.
pub(super) fn usage(rng: &mut Rng) -> (String, ExpectedUsage) {
    let (input, output) = (rng.amount(), rng.amount());
    let cached = rng.once_in(2).then(|| rng.amount().min(input));
    let mut members = Vec::new();
    let report = ExpectedUsage {
        input: Some(input),
        output: Some(output),
        cached,
        images: None,
    };
    let report = match rng.up_to(9) {
        0 => half(rng, report, &mut members),
        1 => anthropic(rng, report, &mut members),
        2 => reasoning_beside(rng, report, &mut members),
        _ => plain(rng, report, &mut members),
    };
    if rng.once_in(3) {
        let noise = [
            r#""cost":NaN"#,
            r#""cost":0.00012"#,
            r#""cost_details":{"prompt_tokens":5,"upstream_inference_cost":null}"#,
            r#""prompt_tokens_details":null"#,
            r#""speculative":[1,2,{"completion_tokens":3}]"#,
            r#""completion_tokens_details":{"accepted_prediction_tokens":0,"x":Infinity}"#,
        ];
        members.push((*rng.one(&noise)).to_owned());
    }
    rng.shuffle(&mut members);
    let comma = *rng.one(&[",", ", ", ",\t"]);
    (format!("{{{}}}", members.join(comma)), report)
}

fn member(rng: &mut Rng, name: &str, amount: i64) -> String {
    let colon = *rng.one(&[":", ": ", " : "]);
    format!("\"{name}\"{colon}{}", number(rng, amount))
}

/// Returns the names of input and output tokens.
fn sides(rng: &mut Rng) -> (&'static str, &'static str) {
    *rng.one(&[
        ("prompt_tokens", "completion_tokens"),
        ("input_tokens", "output_tokens"),
    ])
}

fn plain(rng: &mut Rng, report: ExpectedUsage, members: &mut Vec<String>) -> ExpectedUsage {
    let (read, written) = sides(rng);
    let (input, output) = (report.input.unwrap_or(0), report.output.unwrap_or(0));
    members.push(member(rng, read, input));
    members.push(member(rng, written, output));
    let has_total = rng.once_in(2);
    if has_total {
        members.push(member(rng, "total_tokens", input + output));
    }
    if rng.once_in(3) {
        // Reasoning tokens are a part of the output if the total shows that, or if there is no total.
        let reasoning = rng.amount().min(output);
        let inside = member(rng, "reasoning_tokens", reasoning);
        members.push(match rng.up_to(2) {
            0 => inside,
            1 => format!("\"completion_tokens_details\":{{{inside}}}"),
            _ => format!("\"output_tokens_details\":{{{inside},\"audio_tokens\":0}}"),
        });
    }
    if let Some(cached) = report.cached {
        let details = *rng.one(&[
            "prompt_tokens_details",
            "input_tokens_details",
            "input_token_details",
        ]);
        let inside = member(rng, "cached_tokens", cached);
        let of_openai = format!("\"{details}\":{{\"text_tokens\":null,{inside}}}");
        let others = [
            "cached_tokens",
            "prompt_cache_hit_tokens",
            "cache_read_input_tokens",
        ];
        let name = *rng.one(&others);
        // Anthropic's name for cached tokens beside `input_tokens` could mean tokens that the input does not include.
        let is_unclear = name == "cache_read_input_tokens" && read == "input_tokens" && !has_total;
        members.push(match rng.once_in(2) || is_unclear {
            true => of_openai,
            false => member(rng, name, cached),
        });
    }
    report
}

/// Only one of input and output, with or without the total that shows the other.
fn half(rng: &mut Rng, report: ExpectedUsage, members: &mut Vec<String>) -> ExpectedUsage {
    let (read, written) = sides(rng);
    let (input, output) = (report.input.unwrap_or(0), report.output.unwrap_or(0));
    let report = ExpectedUsage {
        cached: None,
        ..report
    };
    let (known, amount, other) = match rng.once_in(2) {
        true => (read, input, written),
        false => (written, output, read),
    };
    members.push(member(rng, known, amount));
    if rng.once_in(2) {
        members.push(format!("\"{other}\":{}", nonsense(rng)));
    }
    if rng.once_in(3) {
        members.push(member(rng, "total_tokens", input + output));
        return report;
    }
    match known == read {
        true => ExpectedUsage {
            output: None,
            ..report
        },
        false => ExpectedUsage {
            input: None,
            ..report
        },
    }
}

/// Input tokens without those read from the cache or written to it.
fn anthropic(rng: &mut Rng, report: ExpectedUsage, members: &mut Vec<String>) -> ExpectedUsage {
    let (input, output) = (report.input.unwrap_or(0), report.output.unwrap_or(0));
    let cached = report.cached.unwrap_or(0);
    let written = rng.amount().min(input - cached);
    members.push(member(rng, "input_tokens", input - cached - written));
    members.push(member(rng, "output_tokens", output));
    members.push(member(rng, "cache_read_input_tokens", cached));
    members.push(member(rng, "cache_creation_input_tokens", written));
    if rng.once_in(2) {
        members.push(member(rng, "total_tokens", input + output));
    }
    ExpectedUsage {
        cached: Some(cached),
        ..report
    }
}

/// Output tokens without reasoning tokens.
fn reasoning_beside(
    rng: &mut Rng,
    report: ExpectedUsage,
    members: &mut Vec<String>,
) -> ExpectedUsage {
    let (read, written) = sides(rng);
    let (input, output) = (report.input.unwrap_or(0), report.output.unwrap_or(0));
    let reasoning = rng.amount().min(output);
    members.push(member(rng, read, input));
    members.push(member(rng, written, output - reasoning));
    members.push(member(rng, "total_tokens", input + output));
    let inside = member(rng, "reasoning_tokens", reasoning);
    members.push(format!("\"completion_tokens_details\":{{{inside}}}"));
    ExpectedUsage {
        cached: None,
        ..report
    }
}

/// Returns the usage of an endpoint without counted output.
pub(super) fn input_usage(rng: &mut Rng) -> (String, ExpectedUsage) {
    let input = rng.amount();
    let usage = match rng.up_to(3) {
        0 => format!(r#"{{"prompt_tokens":{input},"total_tokens":{input}}}"#),
        1 => format!(r#"{{"input_tokens":{input}.0,"completion_tokens":0}}"#),
        2 => format!(r#"{{"total_tokens":{input}}}"#),
        _ => format!(r#"{{"prompt_tokens":"{input}","cost":NaN}}"#),
    };
    let report = ExpectedUsage {
        input: Some(input),
        ..ExpectedUsage::default()
    };
    (usage, report)
}
