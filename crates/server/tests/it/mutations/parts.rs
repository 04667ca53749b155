//! Bodies of several parts, as clients write them and as nobody should.

use crate::dice::Dice;

/// A part of a multipart body.
#[derive(Clone)]
pub(super) struct Part {
    /// The headers of the part, with the line's end.
    pub(super) head: Vec<u8>,
    pub(super) content: Vec<u8>,
}

const BOUNDARY: &str = "----boundary7MA4YWxk";

impl Part {
    /// A field, or a file unless its name is empty.
    pub(super) fn new(name: &str, file: &str) -> Self {
        let content = match name {
            "model" => "cheap",
            "n" => "1",
            _ => "abc",
        };
        let head = match file {
            "" => format!("Content-Disposition: form-data; name=\"{name}\"\r\n"),
            file => format!(
                "Content-Disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\nContent-Type: audio/mpeg\r\n"
            ),
        };
        Self {
            head: head.into_bytes(),
            content: content.as_bytes().to_vec(),
        }
    }
}

/// Heads of parts in the place of proper ones.
const HEADS: [&str; 12] = [
    "",
    "\r\n",
    "Content-Disposition: form-data\r\n",
    "Content-Disposition: form-data; name=model\r\n",
    "Content-Disposition: form-data; name=\"mo\\\"del\"\r\n",
    "Content-Disposition: form-data; name=\"model\"; name=\"n\"\r\n",
    "Content-Disposition: form-data; name*=utf-8''model\r\n",
    "content-disposition: attachment; name=\"model\"; filename=\"\0\"\r\n",
    "Content-Disposition: form-data; name=\"model\"\r\nContent-Disposition: form-data; name=\"n\"\r\n",
    "Content-Disposition: form-data; name=\"_charset_\"\r\n",
    "Content-Disposition: form-data; name=\"file\"; filename=\"a\"\r\nContent-Transfer-Encoding: base64\r\n",
    "Content-Disposition: form-data;\r\n name=\"model\"\r\n",
];

const CONTENTS: [&[u8]; 8] = [
    b"",
    b"\0",
    b"\xff\xfe",
    b"dear",
    b"1e999",
    b"-1",
    b"\r\n------boundary7MA4YWxk\r\n",
    b"{\"custom_id\":\"\\u0000\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{\"model\":\"cheap\"}}",
];

/// Alters one of the parts, or which there are.
pub(super) fn alter(parts: &mut Vec<Part>, dice: &Dice) {
    if parts.is_empty() {
        parts.push(Part::new("model", ""));
    }
    let at = dice.below(parts.len() as u64) as usize;
    match dice.below(6) {
        0 => parts[at].head = dice.pick(&HEADS).as_bytes().to_vec(),
        1 => parts[at].content = dice.pick(&CONTENTS).to_vec(),
        2 => drop(parts.remove(at)),
        3 => parts.push(parts[at].clone()),
        4 => parts[at].content = parts[at].content.repeat(1 + dice.below(4_000) as usize),
        _ => parts[at]
            .head
            .extend(format!("X-Odd: {}\r\n", "y".repeat(dice.below(20_000) as usize)).bytes()),
    }
}

/// The content type and the body.
pub(super) fn written(parts: &[Part], dice: &Dice) -> (String, Vec<u8>) {
    let mut body = Vec::new();
    for part in parts {
        body.extend(format!("--{BOUNDARY}\r\n").bytes());
        body.extend(&part.head);
        body.extend(b"\r\n");
        body.extend(&part.content);
        body.extend(b"\r\n");
    }
    if !dice.one_in(12) {
        body.extend(format!("--{BOUNDARY}--\r\n").bytes());
    }
    let types = ["multipart/form-data; boundary=", "multipart/form-data"];
    let kind = match dice.below(30) {
        0 => types[1].to_owned(),
        1 => format!("{}\"{BOUNDARY}\"; charset=utf-7", types[0]),
        2 => format!("{}{}", types[0], "b".repeat(300)),
        _ => format!("{}{BOUNDARY}", types[0]),
    };
    (kind, body)
}
