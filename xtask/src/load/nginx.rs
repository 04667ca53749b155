//! nginx, twice: as the model server behind every measurement, and as a plain proxy to compare with.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use anyhow::Result;

use super::bench::{Bench, confined};
use super::process::{Process, wait_for};

/// The tokens that every answer reports.
pub const INPUT_TOKEN_COUNT: u64 = 57;
/// As above.
pub const OUTPUT_TOKEN_COUNT: u64 = 92;

/// Answer of the model server in one piece.
const COMPLETION: &str = include_str!("completion.json");
/// Answer of the model server as a stream.
const STREAM: &str = include_str!("completion.sse");

/// A running nginx.
pub struct Nginx {
    /// Address that nginx listens on: `host:port`.
    pub address: String,
    /// Its one process.
    pub process: Process,
}

impl Nginx {
    /// Starts the model server: `/v1` answers in one piece, `/stream/v1` in a stream, `/slow/v1` in one that takes about half a
    /// minute.
    pub fn upstream(bench: &Bench) -> Result<Self> {
        let room = bench.room("upstream")?;
        let file = room.join("completion.sse");
        fs::write(&file, STREAM)?;
        let file = file.display();
        let completion = COMPLETION.trim();
        // A file cannot answer a POST, but an error page can be a file. The SSI filter changes nothing here but takes
        // the length away: model servers do not know it either.
        let locations = format!(
            "location = /v1/chat/completions {{ default_type application/json; return 200 '{completion}'; }}
             location = /stream/v1/chat/completions {{ error_page 405 =200 /completion.sse; return 405; }}
             location = /slow/v1/chat/completions {{ error_page 405 =200 /slow.sse; return 405; }}
             location = /slow.sse {{ internal; types {{}} default_type text/event-stream; alias {file}; limit_rate 256; ssi on; ssi_types text/event-stream; }}
             location = /completion.sse {{ internal; types {{}} default_type text/event-stream; ssi on; ssi_types text/event-stream; }}"
        );
        Self::start(bench, &room, bench.cores.others, "", &locations)
    }

    /// Starts the plain proxy in front of the model server, with kept connections on both sides.
    pub fn proxy(bench: &Bench, upstream: &str) -> Result<Self> {
        let room = bench.room("proxy")?;
        let servers = format!(
            "upstream model {{ server {upstream}; keepalive 128; keepalive_requests 1000000000; keepalive_timeout 1h; }}"
        );
        let pass =
            "proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection '';";
        let locations =
            format!("location / {{ {pass} }} location /stream/ {{ {pass} proxy_buffering off; }}");
        Self::start(bench, &room, bench.cores.measured, &servers, &locations)
    }

    fn start(
        bench: &Bench,
        room: &Path,
        core: Option<u32>,
        servers: &str,
        locations: &str,
    ) -> Result<Self> {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let file = room.join("nginx.conf");
        fs::write(&file, configuration(room, &address, servers, locations))?;
        let mut command = confined(&bench.nginx, core);
        command.args(["-e", "stderr", "-p"]).arg(room);
        command.arg("-c").arg(file);
        let process = Process::start(&mut command, &room.join("log"))?;
        wait_for(&address)?;
        Ok(Self { address, process })
    }
}

/// Returns the configuration of one process that stays in the foreground and keeps to its own folder.
fn configuration(room: &Path, address: &str, servers: &str, locations: &str) -> String {
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let folders = kinds.map(|kind| format!("{kind}_temp_path {kind};\n"));
    format!(
        "daemon off;
master_process off;
worker_processes 1;
pid nginx.pid;
events {{ worker_connections 4096; }}
http {{
access_log off;
tcp_nodelay on;
keepalive_timeout 1h;
keepalive_requests 1000000000;
client_body_buffer_size 64k;
open_file_cache max=16;
{folders}{servers}
server {{ listen {address}; root {root}; {locations} }}
}}
",
        folders = folders.concat(),
        root = room.display(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_report_the_tokens_that_are_expected() {
        let json: serde_json::Value = serde_json::from_str(COMPLETION).unwrap();
        let last = STREAM
            .lines()
            .rev()
            .filter_map(|line| line.strip_prefix("data: "))
            .find(|data| *data != "[DONE]");
        let streamed: serde_json::Value = serde_json::from_str(last.unwrap()).unwrap();
        for usage in [&json["usage"], &streamed["usage"]] {
            assert_eq!(usage["prompt_tokens"], INPUT_TOKEN_COUNT);
            assert_eq!(usage["completion_tokens"], OUTPUT_TOKEN_COUNT);
        }
    }

    #[test]
    fn the_completion_can_stand_in_a_configuration() {
        assert!(COMPLETION.len() < 4_096 && !COMPLETION.contains(['\'', '\\', '$']));
    }
}
