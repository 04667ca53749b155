//! The document on stdin: fields of the request by their names in the API.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use serde_json::Value as Json;

use crate::value::parse_yaml;

/// The time in which a pipe must send its first bytes, or it counts as idle.
const IDLE_TIMEOUT: Duration = Duration::from_millis(10);
/// The time in which the first bytes must come if the command cannot run without the document.
const REQUIRED_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads the document, if there is one. `is_required`: the arguments alone do not make a request.
pub fn read(is_required: bool) -> Result<Option<Json>, String> {
    let Some(file) = open() else {
        return Ok(None);
    };
    let chunks = chunks(file);
    let timeout = if is_required {
        REQUIRED_TIMEOUT
    } else {
        IDLE_TIMEOUT
    };
    let first = match chunks.recv_timeout(timeout) {
        Ok(chunk) => chunk,
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(None),
    };
    let wrong = |error: &dyn std::fmt::Display| {
        format!("Failed to parse piped data as YAML/JSON:\n{error}")
    };
    let bytes: Vec<u8> = first
        .into_iter()
        .chain(chunks.into_iter().flatten())
        .collect();
    let text = base::utf_8(bytes).map_err(|reason| wrong(&reason))?;
    if text.trim().is_empty() {
        return Ok(None);
    }
    parse(&text).map(Some).map_err(|error| wrong(&error))
}

/// Parses one YAML or JSON value, or several JSON values after one another, such as lines, as a list.
fn parse(text: &str) -> Result<Json, String> {
    let values: Result<Vec<Json>, _> = serde_json::Deserializer::from_str(text)
        .into_iter()
        .collect();
    match values {
        Ok(mut values) if values.len() == 1 => Ok(values.remove(0)),
        Ok(values) => Ok(Json::Array(values)),
        Err(_) => parse_yaml(text),
    }
}

/// Returns stdin if it is a pipe, a socket or a file with content; a terminal would never end.
fn open() -> Option<File> {
    let stdin = std::io::stdin().as_fd().try_clone_to_owned().ok()?;
    let file = File::from(stdin);
    let metadata = file.metadata().ok()?;
    let kind = metadata.file_type();
    let is_pipe = kind.is_fifo() || kind.is_socket();
    (is_pipe || (kind.is_file() && metadata.len() > 0)).then_some(file)
}

/// Returns the chunks of a file, read by a thread of their own: an idle pipe blocks it until the process ends.
fn chunks(mut file: File) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = file.read(&mut buffer) {
            if sender.send(buffer[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::parse;

    #[test]
    fn yaml_json_and_lines_of_json_are_parsed() {
        assert_eq!(
            parse("name: Production\nrole: member\n"),
            Ok(json!({"name": "Production", "role": "member"}))
        );
        assert_eq!(parse("{\"name\": \"yes\"}"), Ok(json!({"name": "yes"})));
        assert_eq!(
            parse("{\"id\": 1}\n{\"id\": 2}\n"),
            Ok(json!([{"id": 1}, {"id": 2}]))
        );
        assert!(parse("{name: [}").is_err());
    }
}
