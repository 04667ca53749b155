//! Values from files: `@file`, `@file://path`, `@data://path`, `@-`. `\@` begins a value with a plain `@`.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::string::FromUtf8Error;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The bytes of stdin, which can be read only once.
static STDIN: OnceLock<Vec<u8>> = OnceLock::new();

/// Returns true if a value names stdin, which then cannot be the request's body.
pub fn names_stdin(text: &str) -> bool {
    ["@-", "@/dev/stdin", "://-", ":///dev/stdin"]
        .iter()
        .any(|name| text.contains(name))
}

/// Returns the text itself, or the content of the file that it names: UTF-8 as text, anything else in base64.
pub fn embedded(text: &str) -> Result<String, String> {
    if text.starts_with("\\@") {
        return Ok(text[1..].to_owned());
    }
    let Some(name) = text.strip_prefix('@') else {
        return Ok(text.to_owned());
    };
    if let Some(path) = name.strip_prefix("data://") {
        return Ok(STANDARD.encode(read(path)?));
    }
    if let Some(path) = name.strip_prefix("file://") {
        return decoded(read(path)?).map_err(|_| format!("names '{path}', which is not text"));
    }
    let is_a_path = name == "-" || name.contains(['.', '/']);
    if name.is_empty() || !(is_a_path || Path::new(name).exists()) {
        return Ok(text.to_owned());
    }
    let bytes = read(name)?;
    Ok(decoded(bytes).unwrap_or_else(|binary| STANDARD.encode(binary)))
}

/// Decodes UTF-8 without a byte order mark at its beginning; returns the bytes if they are no text.
fn decoded(bytes: Vec<u8>) -> Result<String, Vec<u8>> {
    let text = String::from_utf8(bytes).map_err(FromUtf8Error::into_bytes)?;
    Ok(base::text_without_mark(&text).to_owned())
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    let read = if path == "-" || path == "/dev/stdin" {
        read_stdin()
    } else {
        fs::read(path)
    };
    read.map_err(|error| format!("names '{path}', which cannot be read: {error}"))
}

fn read_stdin() -> std::io::Result<Vec<u8>> {
    if let Some(bytes) = STDIN.get() {
        return Ok(bytes.clone());
    }
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    Ok(STDIN.get_or_init(|| bytes).clone())
}

#[cfg(test)]
mod tests {
    use super::embedded;

    #[test]
    fn file_name_stands_for_content_of_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name).display().to_string();
        std::fs::write(path("text"), "two\nlines\n").expect("written");
        std::fs::write(path("binary"), [0xff, 0x00]).expect("written");
        std::fs::write(path("marked"), "\u{feff}one\r\n").expect("written");
        for marked in ["@", "@file://"] {
            let marked = embedded(&format!("{marked}{}", path("marked")));
            assert_eq!(marked.as_deref(), Ok("one\r\n"));
        }
        let (text, binary) = (path("text"), path("binary"));
        assert_eq!(embedded(&format!("@{text}")), Ok("two\nlines\n".into()));
        assert_eq!(
            embedded(&format!("@file://{text}")),
            Ok("two\nlines\n".into())
        );
        assert_eq!(
            embedded(&format!("@data://{text}")),
            Ok("dHdvCmxpbmVzCg==".into())
        );
        assert_eq!(embedded(&format!("@{binary}")), Ok("/wA=".into()));
        assert!(embedded(&format!("@file://{binary}")).is_err());
        let absent = embedded(&format!("@{}", path("absent")));
        assert!(absent.is_err_and(|reason| reason.contains("absent")));
    }

    #[test]
    fn text_that_names_no_file_stands_for_itself() {
        for text in ["plain", "a@b.example", "@nobody-has-this", "@", ""] {
            assert_eq!(embedded(text).as_deref(), Ok(text));
        }
        assert_eq!(embedded("\\@a.pem").as_deref(), Ok("@a.pem"));
    }
}
