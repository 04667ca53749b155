//! Tests of the output through its two public functions. The formats are compared with the files in `snapshots`, which
//! `ORGPLANE_WRITE_SNAPSHOTS=1` rewrites.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use anyhow::anyhow;
use proptest::prelude::*;

use super::*;

const USERS: [&str; 3] = [
    r#"{"object":"organization.user","id":"user_01K0ADA","name":"Ada Lovelace","email":"ada@example.com","role":"owner","added_at":1768478400,"disabled":false,"projects":{"object":"list","data":[]}}"#,
    r#"{"object":"organization.user","id":"user_01K0ZOE","name":"Zoë 漢字","email":"zoe@example.com","role":"reader","added_at":1768478460,"disabled":true,"projects":{"object":"list","data":[{"id":"proj_1"}]}}"#,
    r#"{"object":"organization.user","id":"user_01K0BAD","name":"\u001b[2Jevil\u009b31m","email":null,"role":"reader","added_at":1768478520,"disabled":false,"projects":{"object":"list","data":[]}}"#,
];

const ACCOUNT: &str = r#"{"object":"organization.project.service_account","id":"svc_acct_1","name":"Production App","role":"member","created_at":1768478400,"scopes":["api.model.read","api.model.request"],"weight":1.50,"note":"","api_key":{"object":"organization.project.service_account.api_key","value":"sk-abcdefghijklmnop123","name":null,"id":"key_abc"}}"#;

const COSTS: &str = r#"{"object":"page","data":[
{"object":"bucket","start_time":1768435200,"end_time":1768521600,"results":[{"object":"organization.costs.result","amount":{"value":0.06,"currency":"usd"},"line_item":null,"project_id":"proj_a"},{"object":"organization.costs.result","amount":{"value":2.50,"currency":"usd"},"line_item":null,"project_id":"proj_b"}]},
{"object":"bucket","start_time":1768521600,"end_time":1768608000,"results":[]},
{"object":"bucket","start_time":1768608000,"end_time":1768694400,"results":[{"object":"organization.costs.result","amount":{"value":1.25,"currency":"usd"},"line_item":null,"project_id":"proj_b"}]}
],"has_more":true,"next_page":"page_next"}"#;

fn style(format: Format, is_terminal: bool) -> Style {
    Style {
        format,
        is_explicit: true,
        transform: None,
        raw_output: false,
        chart: false,
        terminal: Terminal {
            is_terminal,
            width: 80,
            // Nothing is longer than this screen, so that no test starts a pager.
            height: u16::MAX,
            colour: false,
        },
    }
}

fn one(text: &str, style: &Style) -> String {
    let mut out = Vec::new();
    show_one(&mut out, text, style).unwrap();
    String::from_utf8(out).unwrap()
}

fn items(texts: &[&str], style: &Style) -> String {
    let mut out = Vec::new();
    let mut texts = texts.iter().map(|text| Ok((*text).to_owned()));
    show_items(&mut out, &mut texts, style).unwrap();
    String::from_utf8(out).unwrap()
}

pub fn assert_snapshot(name: &str, shown: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/output/snapshots");
    let file = folder.join(name);
    if std::env::var_os("ORGPLANE_WRITE_SNAPSHOTS").is_some() {
        fs::create_dir_all(&folder).unwrap();
        fs::write(&file, shown).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        shown == expected,
        "{} differs from what is shown:\n{shown}",
        file.display()
    );
}

#[test]
fn each_format_looks_like_its_snapshot() {
    for (name, format) in Format::ALL {
        let style = style(format, false);
        let shown = format!("{}---\n{}", one(ACCOUNT, &style), items(&USERS, &style));
        // Where there is no terminal, these two are JSON.
        let name = match format {
            Format::Auto | Format::Explore => "json",
            _ => name,
        };
        assert_snapshot(&format!("{name}.txt"), &shown);
    }
}

#[test]
fn a_terminal_has_tables_fields_and_charts() {
    let auto = style(Format::Auto, true);
    let mut chart = auto.clone();
    chart.chart = true;
    let mut narrow = auto.clone();
    narrow.terminal.width = 50;
    let shown = [
        items(&USERS, &auto),
        items(&USERS, &narrow),
        one(ACCOUNT, &auto),
        one(COSTS, &auto),
        one(COSTS, &chart),
    ];
    assert_snapshot("terminal.txt", &shown.join("---\n"));
}

#[test]
fn colours_change_nothing_else() {
    for (_, format) in Format::ALL {
        for is_terminal in [true, false] {
            if format == Format::Explore && is_terminal {
                continue;
            }
            let plain = style(format, is_terminal);
            let mut coloured = plain.clone();
            coloured.terminal.colour = true;
            for text in [ACCOUNT, COSTS, USERS[2]] {
                let shown = one(text, &coloured);
                assert_eq!(shown.contains("\u{1b}["), format != Format::Raw);
                assert_eq!(without_colours(&shown), one(text, &plain));
            }
        }
    }
}

fn without_colours(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap().to_owned();
    first
        + &parts
            .map(|part| part.split_once('m').unwrap().1)
            .collect::<String>()
}

#[test]
fn control_characters_of_server_never_reach_terminal() {
    let hostile = "{\"object\":\"\u{9b}2J\",\"a\u{9b}b\":[\"\u{7f}\u{202e}\\u001b[2J\\u0007\",{\"\\u001b\":1}],\"id\":\"\\u001b]0;x\"}";
    let page = hostile.replace("\u{9b}2J", "page");
    let html = "<html>\u{1b}[2J\r\n\u{9b}</html>";
    for (_, format) in Format::ALL {
        if format == Format::Explore {
            continue;
        }
        let style = style(format, true);
        for text in [hostile, &page, html, "\"\\u001b[2J\""] {
            for raw_output in [true, false] {
                let style = Style {
                    raw_output,
                    ..style.clone()
                };
                let shown = one(text, &style) + &items(&[text], &style);
                let driving = shown.chars().find(|c| c.is_control() && !matches!(c, '\n'));
                assert_eq!(driving, None, "{format:?} {shown:?}");
                assert!(!shown.contains('\u{202e}'));
            }
        }
    }
}

#[test]
fn transforms_address_items_or_the_whole() {
    let mut style = style(Format::Auto, false);
    style.transform = Some("id".to_owned());
    assert_eq!(
        items(&USERS[..2], &style),
        "\"user_01K0ADA\"\n\"user_01K0ZOE\"\n"
    );
    style.raw_output = true;
    assert_eq!(items(&USERS[..2], &style), "user_01K0ADA\nuser_01K0ZOE\n");
    style.transform = Some("data.#.results.#.amount.value".to_owned());
    assert_eq!(
        one(COSTS, &style),
        "[[0.06,2.50],[],[1.25]]\n".replace(",", ", ")
    );
    style.format = Format::Raw;
    style.transform = Some("next_page".to_owned());
    assert_eq!(one(COSTS, &style), "page_next\n");
    style.transform = Some("no_such_thing".to_owned());
    assert_eq!(one(COSTS, &style), format!("{COSTS}\n"));
}

#[test]
fn raw_output_keeps_lines_and_control_characters_for_other_programs() {
    let mut style = style(Format::Json, false);
    style.raw_output = true;
    assert_eq!(one(r#""a\n\u001bb""#, &style), "a\n\u{1b}b\n");
    assert_eq!(one("{\"a\": 1}", &style), "{\n  \"a\": 1\n}\n");
}

#[test]
fn a_chart_is_only_for_reports() {
    let mut style = style(Format::Auto, false);
    style.chart = true;
    let mut out = Vec::new();
    let refused = show_one(&mut out, ACCOUNT, &style).unwrap_err();
    assert!(
        refused
            .to_string()
            .starts_with("--chart draws reports of usage and costs")
    );
    let refused = show_items(&mut out, &mut std::iter::empty(), &style).unwrap_err();
    assert!(
        refused
            .to_string()
            .starts_with("--chart draws reports of usage and costs")
    );
    assert!(out.is_empty());
}

#[test]
fn formats_are_named_in_any_case() {
    for (name, format) in Format::ALL {
        assert_eq!(name.to_uppercase().parse::<Format>().unwrap(), format);
    }
    assert_eq!(
        "xml".parse::<Format>().unwrap_err().to_string(),
        "format must be one of: auto, explore, json, jsonl, pretty, raw, yaml"
    );
}

#[test]
fn the_viewer_needs_a_terminal() {
    let mut explore = style(Format::Explore, false);
    assert_eq!(
        explore.supported(),
        (Format::Json, Some(NO_TERMINAL_WARNING))
    );
    explore.is_explicit = false;
    assert_eq!(explore.supported(), (Format::Json, None));
    assert_eq!(
        style(Format::Explore, true).supported(),
        (Format::Explore, None)
    );
}

#[test]
fn items_before_an_error_are_shown() {
    for (is_terminal, expected) in [(false, "{\n  \"id\": \"a\"\n}\n"), (true, "id\na\n")] {
        let mut out = Vec::new();
        let items = [
            Ok(r#"{"id":"a"}"#.to_owned()),
            Err(anyhow!("gone")),
            Ok("{}".to_owned()),
        ];
        let failed = show_items(
            &mut out,
            &mut items.into_iter(),
            &style(Format::Auto, is_terminal),
        );
        assert_eq!(failed.unwrap_err().to_string(), "gone");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn items_are_fetched_only_while_someone_reads() {
    struct Closing(usize);
    impl Write for Closing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or(ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut fetched = 0;
    let mut endless = std::iter::repeat_with(|| {
        fetched += 1;
        Ok(r#"{"id":"a"}"#.to_owned())
    });
    show_items(&mut Closing(3), &mut endless, &style(Format::Jsonl, false)).unwrap();
    assert_eq!(fetched, 4);
}

#[test]
fn an_answer_without_text_shows_nothing() {
    for (_, format) in Format::ALL {
        assert_eq!(one("", &style(format, false)), "");
    }
}

/// Any JSON value.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
        "[a-z0-9: #'-]{0,6}|\\PC{0,90}".prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        let key = "[a-z]{1,4}|object|data|results|start_time|\\PC{0,5}";
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            proptest::collection::btree_map(key, inner, 0..6)
                .prop_map(|fields| fields.into_iter().collect::<serde_json::Value>()),
        ]
    })
}

proptest! {
    #[test]
    fn other_programs_read_what_was_sent(value in json()) {
        let text = value.to_string();
        for format in [Format::Json, Format::Jsonl, Format::Raw] {
            let shown = one(&text, &style(format, false));
            prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&shown).unwrap(), &value);
        }
        let shown = one(&text, &style(Format::Yaml, false));
        let read: serde_json::Value = serde_saphyr::from_str(&shown).unwrap();
        prop_assert_eq!(read, value);
    }

    #[test]
    fn every_answer_can_be_shown_at_every_width(value in json(), width in 0..130_u16, chart in any::<bool>()) {
        for format in [Format::Auto, Format::Pretty] {
            let mut style = style(format, true);
            style.terminal.width = width;
            let text = value.to_string();
            one(&text, &style);
            items(&[&text, &text], &style);
            style.chart = chart;
            // A chart is refused, or drawn; both without a panic.
            let _ = show_one(&mut Vec::new(), &text, &style);
        }
    }
}
