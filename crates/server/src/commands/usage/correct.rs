//! `orgplane usage correct`: reverses an event that was reported by mistake.

use anyhow::bail;
use base::{Clock, UnixTime};
use usage::Corrected;

use super::import::whose;
use crate::commands::deployment::open;
use crate::commands::output::{escape_control, print};
use crate::commands::timestamp::timestamp;
use crate::config::{Config, Overrides};

#[derive(clap::Args)]
pub(crate) struct Correct {
    /// Id of the reported event.
    #[arg(long, value_name = "ID")]
    event: String,
    /// Day of the event (UTC), if several days have an event with this id.
    #[arg(long, value_name = "DAY", value_parser = timestamp)]
    day: Option<UnixTime>,
    /// Organization of the event [default: the only one].
    #[arg(long, value_name = "ID")]
    organization: Option<String>,
    #[command(flatten)]
    overrides: Overrides,
}

pub(super) async fn run(command: Correct) -> anyhow::Result<()> {
    let config = Config::load(&command.overrides)?;
    let store = open(&config).await?;
    let organization = whose(&store, command.organization.as_deref()).await?;
    let (id, day) = (&command.event, command.day);
    let corrected = usage::correct(store.usage(), Clock::system(), &organization, id, day);
    let shown = escape_control(id);
    match corrected.await? {
        Corrected::Reversed(entry) => {
            let (project, amount) = (&entry.event.project_id, entry.amount);
            let project = escape_control(&project.to_string());
            print(&format!(
                "The event '{shown}' of {project} counts no more: {amount} less was spent.\n"
            ))
        }
        Corrected::Already => print(&format!("The event '{shown}' was corrected before.\n")),
        Corrected::Unknown => bail!(
            "no event with id '{shown}' was reported; rows that the gateway wrote cannot be corrected"
        ),
        Corrected::Ambiguous(days) => {
            let days: Vec<String> = days.into_iter().map(UnixTime::date_digits).collect();
            bail!(
                "several days have an event with id '{shown}': {}; say --day YYYY-MM-DD",
                days.join(", ")
            )
        }
    }
}
