//! The ways in which model servers spell what was consumed.

use super::dice::Dice;
use super::made::Report;

/// A number as JSON, or Python, may have it.
fn number(dice: &mut Dice, number: i64) -> String {
    match dice.up_to(9) {
        0 | 1 => format!("{number}.0"),
        2 => format!("\"{number}\""),
        3 => format!("{number}.000e0"),
        4 if number % 100 == 0 => format!("{}e2", number / 100),
        _ => number.to_string(),
    }
}

/// A value that is no amount.
fn nonsense(dice: &mut Dice) -> &'static str {
    dice.one::<&str>(&[
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

/// Some truth, and an object that says it, or a part of it.
pub(super) fn usage(dice: &mut Dice) -> (String, Report) {
    let (input, output) = (dice.amount(), dice.amount());
    let cached = dice.once_in(2).then(|| dice.amount().min(input));
    let mut members = Vec::new();
    let report = Report {
        input: Some(input),
        output: Some(output),
        cached,
        images: None,
    };
    let report = match dice.up_to(9) {
        0 => half(dice, report, &mut members),
        1 => anthropic(dice, report, &mut members),
        2 => reasoning_beside(dice, report, &mut members),
        _ => plain(dice, report, &mut members),
    };
    if dice.once_in(3) {
        let noise = [
            r#""cost":NaN"#,
            r#""cost":0.00012"#,
            r#""cost_details":{"prompt_tokens":5,"upstream_inference_cost":null}"#,
            r#""prompt_tokens_details":null"#,
            r#""speculative":[1,2,{"completion_tokens":3}]"#,
            r#""completion_tokens_details":{"accepted_prediction_tokens":0,"x":Infinity}"#,
        ];
        members.push((*dice.one(&noise)).to_owned());
    }
    dice.shuffle(&mut members);
    let comma = *dice.one(&[",", ", ", ",\t"]);
    (format!("{{{}}}", members.join(comma)), report)
}

fn member(dice: &mut Dice, name: &str, amount: i64) -> String {
    let colon = *dice.one(&[":", ": ", " : "]);
    format!("\"{name}\"{colon}{}", number(dice, amount))
}

/// The names of the two sides.
fn sides(dice: &mut Dice) -> (&'static str, &'static str) {
    *dice.one(&[
        ("prompt_tokens", "completion_tokens"),
        ("input_tokens", "output_tokens"),
    ])
}

fn plain(dice: &mut Dice, report: Report, members: &mut Vec<String>) -> Report {
    let (read, written) = sides(dice);
    let (input, output) = (report.input.unwrap_or(0), report.output.unwrap_or(0));
    members.push(member(dice, read, input));
    members.push(member(dice, written, output));
    let has_total = dice.once_in(2);
    if has_total {
        members.push(member(dice, "total_tokens", input + output));
    }
    if dice.once_in(3) {
        // A part of the output, as the sum shows, or where there is none.
        let reasoning = dice.amount().min(output);
        let inside = member(dice, "reasoning_tokens", reasoning);
        members.push(match dice.up_to(2) {
            0 => inside,
            1 => format!("\"completion_tokens_details\":{{{inside}}}"),
            _ => format!("\"output_tokens_details\":{{{inside},\"audio_tokens\":0}}"),
        });
    }
    if let Some(cached) = report.cached {
        let details = *dice.one(&[
            "prompt_tokens_details",
            "input_tokens_details",
            "input_token_details",
        ]);
        let inside = member(dice, "cached_tokens", cached);
        let of_openai = format!("\"{details}\":{{\"text_tokens\":null,{inside}}}");
        let others = [
            "cached_tokens",
            "prompt_cache_hit_tokens",
            "cache_read_input_tokens",
        ];
        let name = *dice.one(&others);
        // Anthropic's word in the others' object is a part of the input where that is theirs.
        let is_unclear = name == "cache_read_input_tokens" && read == "input_tokens" && !has_total;
        members.push(match dice.once_in(2) || is_unclear {
            true => of_openai,
            false => member(dice, name, cached),
        });
    }
    report
}

/// Only one of the two, or what follows from the sum.
fn half(dice: &mut Dice, report: Report, members: &mut Vec<String>) -> Report {
    let (read, written) = sides(dice);
    let (input, output) = (report.input.unwrap_or(0), report.output.unwrap_or(0));
    let report = Report {
        cached: None,
        ..report
    };
    let (known, amount, other) = match dice.once_in(2) {
        true => (read, input, written),
        false => (written, output, read),
    };
    members.push(member(dice, known, amount));
    if dice.once_in(2) {
        members.push(format!("\"{other}\":{}", nonsense(dice)));
    }
    if dice.once_in(3) {
        members.push(member(dice, "total_tokens", input + output));
        return report;
    }
    match known == read {
        true => Report {
            output: None,
            ..report
        },
        false => Report {
            input: None,
            ..report
        },
    }
}

/// The input without what was read from the cache or written to it.
fn anthropic(dice: &mut Dice, report: Report, members: &mut Vec<String>) -> Report {
    let (input, output) = (report.input.unwrap_or(0), report.output.unwrap_or(0));
    let cached = report.cached.unwrap_or(0);
    let written = dice.amount().min(input - cached);
    members.push(member(dice, "input_tokens", input - cached - written));
    members.push(member(dice, "output_tokens", output));
    members.push(member(dice, "cache_read_input_tokens", cached));
    members.push(member(dice, "cache_creation_input_tokens", written));
    if dice.once_in(2) {
        members.push(member(dice, "total_tokens", input + output));
    }
    Report {
        cached: Some(cached),
        ..report
    }
}

/// The output without what the model has thought.
fn reasoning_beside(dice: &mut Dice, report: Report, members: &mut Vec<String>) -> Report {
    let (read, written) = sides(dice);
    let (input, output) = (report.input.unwrap_or(0), report.output.unwrap_or(0));
    let reasoning = dice.amount().min(output);
    members.push(member(dice, read, input));
    members.push(member(dice, written, output - reasoning));
    members.push(member(dice, "total_tokens", input + output));
    let inside = member(dice, "reasoning_tokens", reasoning);
    members.push(format!("\"completion_tokens_details\":{{{inside}}}"));
    Report {
        cached: None,
        ..report
    }
}

/// The usage of an answer that is not written.
pub(super) fn input_usage(dice: &mut Dice) -> (String, Report) {
    let input = dice.amount();
    let usage = match dice.up_to(3) {
        0 => format!(r#"{{"prompt_tokens":{input},"total_tokens":{input}}}"#),
        1 => format!(r#"{{"input_tokens":{input}.0,"completion_tokens":0}}"#),
        2 => format!(r#"{{"total_tokens":{input}}}"#),
        _ => format!(r#"{{"prompt_tokens":"{input}","cost":NaN}}"#),
    };
    let report = Report {
        input: Some(input),
        ..Report::default()
    };
    (usage, report)
}
