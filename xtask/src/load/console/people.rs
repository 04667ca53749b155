//! People of the organization, who are written into the database directly: inviting thousands would take longer than all
//! measurements. One of them signs in.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::super::bench::Bench;
use super::super::events::Population;
use super::super::http::Client;
use super::super::server::{Server, text};
use super::{between, public_host};
use crate::step::output;

/// Inserts a user for each line of standard input into the only organization.
const INSERT: &str = r"
import sqlite3, sys, time
database = sqlite3.connect(sys.argv[1])
(organization,) = database.execute('SELECT id FROM organizations').fetchone()
people = (line.strip() for line in sys.stdin)
rows = ((organization, id, f'Person {number}', f'person{number}@load.example', f'person{number}@load.example', 'reader',
         int(time.time())) for number, id in enumerate(people))
database.executemany('INSERT INTO users (organization_id, id, name, email, email_key, role, added_at) '
                     'VALUES (?, ?, ?, ?, ?, ?, ?)', rows)
database.commit()
database.close()
";

/// Returns the ids of so many people, those who call models among them.
pub fn names(population: &Population, count: usize) -> Vec<String> {
    let callers = population.users().into_iter().map(str::to_owned);
    let others = (0..).map(|number| format!("user-without-key-{number:08}"));
    callers.chain(others).take(count).collect()
}

/// Inserts people into the database of a server that has stopped.
pub fn insert(file: &Path, ids: &[String]) -> Result<()> {
    let mut python = Command::new("python3");
    python.args(["-c", INSERT]).arg(file).stdin(Stdio::piped());
    let mut child = python.spawn().context("cannot start python3")?;
    let mut input = child.stdin.take().context("its input is piped")?;
    input.write_all(ids.join("\n").as_bytes())?;
    drop(input);
    let status = child.wait()?;
    if !status.success() {
        bail!("the people could not be inserted: {status}");
    }
    Ok(())
}

/// Returns the address of the owner, who is the only user yet.
pub fn owner(admin: &mut Client) -> Result<String> {
    let users = admin.get("/v1/organization/users?limit=1")?;
    text(&serde_json::from_slice(&users)?, "/data/0/email")
}

/// Signs a user in with a link; returns the cookie.
pub fn sign_in(bench: &Bench, server: &Server, email: &str) -> Result<String> {
    let mut command = Command::new(&bench.binary);
    command.args(["sign-in", "link", "--email", email]);
    command
        .args(["--database", server.database()])
        .current_dir(server.folder());
    let printed = output(&mut command)?;
    let token = between(&printed, "/sign-in/link#", "\n")?.trim();
    let host = public_host(server);
    let headers = [("Host", host.as_str()), ("Sec-Fetch-Site", "same-origin")];
    let mut visitor = Client::connect_with(&server.address, &headers)?;
    let form = format!("token={token}");
    let kind = "application/x-www-form-urlencoded";
    let answer = visitor.submit("/sign-in/link", kind, form.as_bytes())?;
    let cookies = answer.values("set-cookie");
    let cookies = cookies.filter_map(|line| line.split(';').next());
    let session: Vec<_> = cookies.filter(|cookie| !cookie.ends_with('=')).collect();
    if session.is_empty() {
        let text = String::from_utf8_lossy(&answer.body);
        bail!(
            "the link answered {} without a cookie: {text}",
            answer.status
        );
    }
    Ok(session.join("; "))
}
