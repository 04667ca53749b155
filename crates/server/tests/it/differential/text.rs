//! JSON as it is written: names may come twice and in any spelling, and values need not be what they seem.

use crate::dice::Dice;

/// A value as its text.
#[derive(Clone)]
pub(super) enum Text {
    Raw(Vec<u8>),
    List(Vec<Text>),
    Object(Vec<(Vec<u8>, Text)>),
}

impl Text {
    /// The text of a value that `serde_json` has written, taken apart.
    pub(super) fn of(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::Array(items) => Self::List(items.iter().map(Self::of).collect()),
            serde_json::Value::Object(members) => {
                let member = |(name, value): (&String, _)| (quoted(name), Self::of(value));
                Self::Object(members.iter().map(member).collect())
            }
            other => Self::Raw(other.to_string().into_bytes()),
        }
    }

    pub(super) fn raw(text: &str) -> Self {
        Self::Raw(text.as_bytes().to_vec())
    }

    pub(super) fn write(&self, into: &mut Vec<u8>, dice: &Dice) {
        let between = |into: &mut Vec<u8>, index: usize| {
            if index > 0 {
                into.push(b',');
            }
            if dice.one_in(40) {
                into.extend(*dice.pick(&[&b" "[..], b"\n", b"\t\r\n"]));
            }
        };
        match self {
            Self::Raw(text) => into.extend(text),
            Self::List(items) => {
                into.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    between(into, index);
                    item.write(into, dice);
                }
                into.push(b']');
            }
            Self::Object(members) => {
                into.push(b'{');
                for (index, (name, value)) in members.iter().enumerate() {
                    between(into, index);
                    into.extend(name);
                    into.push(b':');
                    value.write(into, dice);
                }
                into.push(b'}');
            }
        }
    }

    /// The members of the object that it is.
    pub(super) fn outermost(&mut self) -> &mut Vec<(Vec<u8>, Text)> {
        match self {
            Self::Object(members) => members,
            Self::List(_) | Self::Raw(_) => panic!("no object"),
        }
    }

    /// The members of an object within, at random; mostly the outermost.
    pub(super) fn members(&mut self, dice: &Dice) -> &mut Vec<(Vec<u8>, Text)> {
        let goes_deeper = !dice.one_in(3);
        match self {
            Self::Object(members) => {
                let inner = members.iter().position(|(_, value)| value.has_object());
                match inner.filter(|_| goes_deeper && dice.one_in(2)) {
                    Some(inner) => members[inner].1.members(dice),
                    None => members,
                }
            }
            Self::List(items) => {
                let inner = items.iter().position(Self::has_object);
                items[inner.expect("an object within")].members(dice)
            }
            Self::Raw(_) => panic!("no object within"),
        }
    }

    fn has_object(&self) -> bool {
        match self {
            Self::Object(_) => true,
            Self::List(items) => items.iter().any(Self::has_object),
            Self::Raw(_) => false,
        }
    }
}

/// A string as JSON has it.
pub(super) fn quoted(text: &str) -> Vec<u8> {
    serde_json::Value::from(text).to_string().into_bytes()
}

/// A name in one of the spellings that some server takes for it, or none does.
pub(super) fn spelled(name: &str, dice: &Dice) -> Vec<u8> {
    let at = dice.below(name.len() as u64) as usize;
    let (before, letter, after) = (&name[..at], &name[at..=at], &name[at + 1..]);
    let odd = match dice.below(14) {
        0..=3 => name.to_owned(),
        4 => format!("{before}{}{after}", letter.to_uppercase()),
        5 => name.to_uppercase(),
        6 => name.replacen('s', "\u{17f}", 1),
        7 => name.replacen('k', "\u{212a}", 1),
        8 => format!("{name} "),
        9 => format!("{name}\0"),
        10 => name.replace('_', "-"),
        11 => name.replace('_', ""),
        _ => {
            let code = letter.as_bytes()[0];
            let code = if dice.one_in(2) {
                code
            } else {
                code.to_ascii_uppercase()
            };
            return format!("\"{before}\\u{code:04x}{after}\"").into_bytes();
        }
    };
    quoted(&odd)
}

/// A number in one of its spellings; some are no number to a strict reader.
pub(super) fn number(value: u64, dice: &Dice) -> Text {
    let (digits, thousandth) = (value.to_string(), value / 1_000);
    let text = match dice.below(16) {
        0..=3 => digits,
        4 => format!("{digits}.0"),
        5 => format!("{thousandth}e3"),
        6 => format!("{thousandth}E+03"),
        7 => format!("\"{digits}\""),
        8 => format!("\" {digits} \""),
        9 => format!("\"{digits}.0\""),
        10 => format!("\"{thousandth}e3\""),
        11 => format!("\"{value:#x}\""),
        12 => format!("\"{}_000\"", value / 1_000),
        13 => format!("-{digits}"),
        14 => format!("[{digits}]"),
        _ => format!("{digits}.5"),
    };
    Text::raw(&text)
}

/// Returns a text that readers disagree on, or that makes one of them give up.
pub(super) fn oddity(dice: &Dice) -> (Vec<u8>, Text) {
    let nested = |levels: usize| [b"[".repeat(levels), b"]".repeat(levels)].concat();
    let value = match dice.below(16) {
        0 => Text::raw("1e999"),
        1 => Text::raw("-1e999"),
        2 => Text::raw(r#""\ud800""#),
        3 => Text::raw(r#""\udc00\ud800""#),
        4 => Text::Raw(nested(60 + dice.below(200) as usize)),
        5 => Text::raw("NaN"),
        6 => Text::raw("Infinity"),
        7 => Text::Raw(b"\"\xff\"".to_vec()),
        8 => Text::raw("\"\t\""),
        9 => Text::raw("01"),
        10 => Text::raw("1.e1"),
        11 => Text::raw("/**/1"),
        12 => Text::raw("'a'"),
        13 => Text::Raw("9".repeat(400).into_bytes()),
        14 => Text::raw(r#""\u0000""#),
        _ => Text::raw(r#""\x61""#),
    };
    let names: [&str; 7] = [
        "temperature",
        "user",
        "seed",
        "metadata",
        "\u{feff}x",
        "__proto__",
        "a\\b",
    ];
    (quoted(dice.word(&names)), value)
}
