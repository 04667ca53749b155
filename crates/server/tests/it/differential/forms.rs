//! Bodies of several parts: as browsers, curl, Python and .NET write them, and as attackers do.

use crate::dice::Dice;

/// A body and its content type.
pub(super) struct Form {
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
}

/// The way in which a client writes forms.
struct Style {
    boundary: &'static str,
    /// The boundary in the content type is in quotes.
    quotes_boundary: bool,
    /// The start of a field's head up to its name, and what follows the name.
    field: (&'static str, &'static str),
    /// The start of a file's head up to its name, and what follows the name.
    file: (&'static str, &'static str),
    end: &'static str,
}

/// Browsers and undici, curl, Python's requests and httpx, and .NET.
const STYLES: [Style; 4] = [
    Style {
        boundary: "----WebKitFormBoundary7MA4YWxkTrZu0gW",
        quotes_boundary: false,
        field: ("Content-Disposition: form-data; name=\"", "\"\r\n"),
        file: (
            "Content-Disposition: form-data; name=\"",
            "\"; filename=\"a b.mp3\"\r\nContent-Type: audio/mpeg\r\n",
        ),
        end: "--\r\n",
    },
    Style {
        boundary: "------------------------d74496d66958873e",
        quotes_boundary: false,
        field: ("Content-Disposition: form-data; name=\"", "\"\r\n"),
        file: (
            "Content-Disposition: form-data; name=\"",
            "\"; filename=\"a.mp3\"\r\nContent-Type: application/octet-stream\r\n",
        ),
        end: "--\r\n",
    },
    Style {
        boundary: "d74496d66958873e0a1b2c3d4e5f6071",
        quotes_boundary: false,
        field: ("Content-Disposition: form-data; name=\"", "\"\r\n"),
        file: (
            "Content-Disposition: form-data; name=\"",
            "\"; filename=\"a.mp3\"\r\nContent-Type: audio/mpeg\r\n",
        ),
        end: "--\r\n",
    },
    Style {
        boundary: "7d1e3a2c-4b5f-4a6e-8c9d-0e1f2a3b4c5d",
        quotes_boundary: true,
        field: (
            "Content-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name=",
            "\r\n",
        ),
        file: (
            "Content-Type: audio/mpeg\r\nContent-Disposition: form-data; name=",
            "; filename=a.mp3; filename*=utf-8''a.mp3\r\n",
        ),
        end: "--\r\n",
    },
];

/// A part of its own: head and content.
type Part = (Vec<u8>, Vec<u8>);

/// Heads that an attacker writes in the place of a field's head.
const HEADS: [&str; 22] = [
    "Content-Disposition: form-data; name=\"model\"\r\n",
    "Content-Disposition: form-data; name=model\r\n",
    "content-disposition: FORM-DATA; NAME=\"model\"\r\n",
    "Content-Disposition: form-data; name=\"Model\"\r\n",
    "Content-Disposition: form-data; name=\"x\"; name=\"model\"\r\n",
    "Content-Disposition: form-data; name=\"x\"; name*=utf-8''model\r\n",
    "Content-Disposition: form-data; name*=utf-8''model\r\n",
    "Content-Disposition: form-data; name*0=\"mo\"; name*1=\"del\"\r\n",
    "Content-Disposition: form-data; name=\"mo\\del\"\r\n",
    "Content-Disposition: form-data; name=\"x\\\"; name=\"model\"\r\n",
    "Content-Disposition: form-data; name=\"%6dodel\"\r\n",
    "Content-Disposition: form-data; name=\"+AG0AbwBkAGUAbA-\"\r\n",
    "Content-Disposition: form-data; filename=\"; name=model; x=\"; name=\"x\"\r\n",
    "Content-Disposition: form-data; name=\"model\"; filename=\"\"\r\n",
    "Content-Disposition: form-data; name=\"x\"\r\nContent-Disposition: form-data; name=\"model\"\r\n",
    "Content-Disposition: form-data; name=\"model\"\r\nContent-Disposition: form-data; name=\"x\"\r\n",
    "Content-Disposition: form-data;\r\n name=\"model\"\r\n",
    "Content-Disposition : form-data; name=\"model\"\r\n",
    "Content-Disposition: form-data; name=\"model\"\r\nContent-Transfer-Encoding: quoted-printable\r\n",
    "Content-Disposition: attachment; name=\"model\"\r\n",
    "X: y\nContent-Disposition: form-data; name=\"model\"\r\n",
    "Content-Disposition: form-data; name = \"model\" \r\n",
];

/// A plain form for the endpoint, which must be forwarded.
pub(super) fn plain(path: &str, dice: &Dice) -> Form {
    let style = dice.pick(&STYLES);
    let parts = parts(style, path);
    Form {
        content_type: content_type(style),
        body: written(style, &parts),
    }
}

/// The fields of an endpoint: a file, the model and one more.
fn parts(style: &Style, path: &str) -> Vec<Part> {
    let (file, other, value): (_, _, &[u8]) = match path {
        "/images/edits" => ("image", "n", b"1"),
        _ => ("file", "response_format", b"json"),
    };
    let part = |(before, after): (&str, &str), name: &str, content: &[u8]| {
        (
            format!("{before}{name}{after}").into_bytes(),
            content.to_vec(),
        )
    };
    vec![
        part(style.file, file, b"ID3\x03\x00\xff\xfb sound"),
        part(style.field, "model", b"cheap"),
        part(style.field, other, value),
    ]
}

fn content_type(style: &Style) -> String {
    let quote = if style.quotes_boundary { "\"" } else { "" };
    format!(
        "multipart/form-data; boundary={quote}{}{quote}",
        style.boundary
    )
}

fn written(style: &Style, parts: &[Part]) -> Vec<u8> {
    let mut body = Vec::new();
    for (head, content) in parts {
        body.extend(format!("--{}\r\n", style.boundary).bytes());
        body.extend([head.as_slice(), b"\r\n", content, b"\r\n"].concat());
    }
    body.extend(format!("--{}{}", style.boundary, style.end).bytes());
    body
}

/// A form in which some reader may find another model, or more images than may be made.
pub(super) fn attack(path: &str, dice: &Dice) -> Form {
    let style = dice.pick(&STYLES);
    let mut parts = parts(style, path);
    let mut content_type = content_type(style);
    let dear: Part = (dice.pick(&HEADS).as_bytes().to_vec(), b"dear".to_vec());
    match dice.below(if path == "/images/edits" { 18 } else { 12 }) {
        0 => parts[0].1 = part_within(style.boundary, &dear, dice),
        1 => parts[2].1 = after_the_end(style.boundary),
        2 => {
            let charsets = ["utf-7", "utf-16", "cp037", "idna"];
            let charset = format!("; charset={}; boundary", dice.word(&charsets));
            content_type = content_type.replace("; boundary", &charset);
            parts.push(dear);
        }
        3 => {
            content_type.push_str(dice.word(&OTHER_BOUNDARIES));
            let inner = format!("a\r\n--X\r\n{}\r\ndear\r\n--X--\r\n", HEADS[0]);
            parts[0].1 = inner.into_bytes();
        }
        4 => {
            let head = b"Content-Disposition: form-data; name=\"_charset_\"\r\n";
            parts.push((head.to_vec(), b"utf-7".to_vec()));
            parts.push((HEADS[11].as_bytes().to_vec(), b"dear".to_vec()));
        }
        5 => {
            let models: [&[u8]; 5] = [
                b"che=61p",
                b"cheap\r\n",
                b" cheap",
                b"cheap\0dear",
                b"=64ear",
            ];
            parts[1] = (HEADS[18].as_bytes().to_vec(), dice.pick(&models).to_vec());
        }
        6 => content_type = format!("application/x-www-form-urlencoded; was={content_type}"),
        at @ 7..12 => {
            let at = (at as usize) % (parts.len() + 1);
            parts.insert(at, dear);
        }
        _ => odd_number(&mut parts[2], dice),
    }
    let body = written(style, &parts);
    Form { content_type, body }
}

/// Ends of a content type that name another boundary.
const OTHER_BOUNDARIES: [&str; 5] = [
    "; boundary=X",
    ";boundary=\"X\"",
    "; Boundary=X",
    "; boundary*=utf-8''X",
    ", boundary=X",
];

/// A part within a part, by ends of lines or padding that not all readers take for such.
fn part_within(boundary: &str, dear: &Part, dice: &Dice) -> Vec<u8> {
    let ends = ["\n", "\r", "\r\n ", "\r\n\t", "\n\n"];
    let pads = ["", " ", "\t", "--x"];
    let (end, pad) = (dice.pick(&ends), dice.pick(&pads));
    let head = String::from_utf8_lossy(&dear.0);
    format!("a{end}--{boundary}{pad}\r\n{head}\r\ndear").into_bytes()
}

/// A part after the last boundary.
fn after_the_end(boundary: &str) -> Vec<u8> {
    let head = HEADS[0];
    format!("json\r\n--{boundary}--\r\n--{boundary}\r\n{head}\r\ndear").into_bytes()
}

/// A number that not every reader takes for one.
fn odd_number(part: &mut Part, dice: &Dice) {
    let numbers = [
        "900000000",
        " 900000000",
        "900000000.0",
        "9e8",
        "900_000_000",
        "+900000000",
        "900000000\r\n",
        "0900000000",
    ];
    part.1 = dice.word(&numbers).as_bytes().to_vec();
    if dice.one_in(3) {
        let names = ["n", "N", "n ", "n[]"];
        let name = dice.word(&names);
        part.0 = format!("Content-Disposition: form-data; name=\"{name}\"\r\n").into_bytes();
    }
}

/// The upload of a file.
pub(super) fn upload(purpose: &str, content: &[u8], dice: &Dice) -> Form {
    let style = &STYLES[dice.below(3) as usize];
    let head = format!("{}purpose{}", style.field.0, style.field.1);
    let file = "Content-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\nContent-Type: application/jsonl\r\n";
    let parts = [
        (head.into_bytes(), purpose.as_bytes().to_vec()),
        (file.as_bytes().to_vec(), content.to_vec()),
    ];
    Form {
        content_type: content_type(style),
        body: written(style, &parts),
    }
}
