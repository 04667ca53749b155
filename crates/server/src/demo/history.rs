//! The year before the start of the demo: every change goes through the Administration API on a clock that is driven from
//! day to day, so that ids, timestamps and the audit log are those of a real year.

use std::collections::BTreeMap;
use std::sync::Arc;

use admin::Services;
use admin::mail::queued;
use admin::organization::owner_key::{NewOwnerKey, issue};
use anyhow::{Context, bail};
use base::ids::{Id, KeyId, OrganizationId, ProjectId, UserId};
use base::name::Name;
use base::time::{SECONDS_PER_DAY, SECONDS_PER_HOUR};
use base::{Clock, NanoDollars, UnixTime};
use http::Method;
use serde_json::{Value, json};
use usage::Month;

use super::call::call;
use super::dice::Dice;
use super::plan::{Application, DAY_COUNT, FOUNDER, KeyOwner, PROJECTS, Project, SANDBOX};
use super::timeline::{Action, Step, channel, email, steps, usd};
use super::traffic::{Caller, Callers, Traffic};
use crate::{App, HttpService};

/// Days of usage that are written at a time.
const BATCH_DAY_COUNT: i64 = 7;
/// Time before the start at which the last changes are made.
const LAST_CHANGES_AGE: i64 = 2 * SECONDS_PER_HOUR;

/// The organization at the end of its year.
pub(super) struct History {
    service: HttpService,
    services: Arc<Services>,
    organization_id: OrganizationId,
    founded: UnixTime,
    now: UnixTime,
    /// Ids and secrets by name.
    kept: BTreeMap<String, String>,
}

/// Returns the midnight of the first day of a year that ends at `now`.
pub(super) fn founding(now: UnixTime) -> UnixTime {
    now.floor(SECONDS_PER_DAY)
        .plus(-DAY_COUNT * SECONDS_PER_DAY)
}

impl History {
    /// Makes the changes and the usage of the year between the founding of the organization and `now`. `app` has a clock
    /// that stands at the founding.
    ///
    /// # Errors
    /// The database cannot be written.
    pub(super) async fn make(
        app: &App,
        organization_id: OrganizationId,
        admin_key: &str,
        now: UnixTime,
    ) -> anyhow::Result<Self> {
        let services = Arc::clone(app.services());
        let founder = (format!("admin key of {FOUNDER}"), admin_key.to_owned());
        let mut history = Self {
            service: app.http_service(),
            organization_id,
            founded: founding(now),
            now,
            kept: BTreeMap::from([founder]),
            services,
        };
        for step in steps() {
            history.make_step(&step).await?;
        }
        history.record_usage().await?;
        history.limit_spend().await?;
        history.use_keys();
        Ok(history)
    }

    /// Returns an id or a secret that a step has kept.
    pub(super) fn kept(&self, name: &str) -> anyhow::Result<&str> {
        let kept = self.kept.get(name);
        Ok(kept.with_context(|| format!("the demo has no {name}"))?)
    }

    /// Moves the clock forward; it never moves back.
    fn advance_to(&self, time: UnixTime) {
        let clock: &Clock = &self.services.clock;
        clock.advance((time.0 - clock.now().0).max(0));
    }

    async fn make_step(&mut self, step: &Step) -> anyhow::Result<()> {
        self.advance_to(self.founded.plus(step.at));
        match &step.action {
            Action::Post { path, body, keeps } => {
                let answer = self.call(step.by, Method::POST, path, Some(body)).await?;
                for (pointer, name) in keeps {
                    let value = answer.pointer(pointer).and_then(Value::as_str);
                    let value = value.with_context(|| format!("{path} has no {pointer}"))?;
                    self.kept.insert(name.clone(), value.to_owned());
                }
            }
            Action::Delete { path } => {
                self.call(step.by, Method::DELETE, path, None).await?;
            }
            Action::Accept { first_name, name } => self.accept(first_name, name).await?,
            Action::OwnerKey { first_name } => self.make_owner_key(first_name).await?,
        }
        Ok(())
    }

    /// Calls the API with the admin key of an owner.
    async fn call(
        &self,
        by: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let key = self.kept(&format!("admin key of {by}"))?;
        let path = self.resolve(path)?;
        let body = body
            .map(|body| self.resolve(&body.to_string()))
            .transpose()?;
        call(&self.service, Some(key), method, &path, body).await
    }

    /// Replaces the names in angle brackets by what was kept.
    fn resolve(&self, text: &str) -> anyhow::Result<String> {
        let mut resolved = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, named)) = rest.split_once('<') {
            let (name, after) = named.split_once('>').context("a name without end")?;
            resolved.push_str(before);
            resolved.push_str(self.kept(name)?);
            rest = after;
        }
        resolved.push_str(rest);
        Ok(resolved)
    }

    /// Accepts an invitation with the token in its mail.
    async fn accept(&mut self, first_name: &str, name: &str) -> anyhow::Result<()> {
        let mails = queued(&self.services.store, &self.services.pepper).await?;
        let address = email(first_name);
        let mail = mails.iter().rfind(|mail| mail.recipient == address);
        let mail = mail.with_context(|| format!("no mail to {address}"))?;
        let (_, token) = mail
            .body
            .split_once("/invites/accept#")
            .context("a mail without a link")?;
        let end = token.find(|c: char| !c.is_ascii_alphanumeric());
        let token = &token[..end.unwrap_or(token.len())];
        let body = json!({"token": token, "name": name}).to_string();
        let path = "/organization/invites/accept";
        let user = call(&self.service, None, Method::POST, path, Some(body)).await?;
        let id = user["id"].as_str().context("a user without id")?;
        self.kept
            .insert(format!("user {first_name}"), id.to_owned());
        Ok(())
    }

    async fn make_owner_key(&mut self, first_name: &str) -> anyhow::Result<()> {
        let name = match Name::new(&format!("{first_name}'s laptop")) {
            Ok(name) => name,
            Err(reason) => bail!("{first_name}: {reason}"),
        };
        let (services, email) = (&self.services, email(first_name));
        let made = issue(NewOwnerKey {
            store: &services.store,
            pepper: &services.pepper,
            ids: &services.ids,
            clock: &services.clock,
            entropy: &services.entropy,
            organization: Some(&self.organization_id),
            email: &email,
            name: &name,
        });
        let secret = made.await?.key.reveal().to_owned();
        services.store.revision().wait_applied().await;
        self.kept
            .insert(format!("admin key of {first_name}"), secret);
        Ok(())
    }

    /// Records the usage of the year, in bulk.
    async fn record_usage(&self) -> anyhow::Result<()> {
        self.advance_to(self.now.plus(-LAST_CHANGES_AGE));
        let callers = self.callers()?;
        let mut traffic = Traffic {
            organization_id: &self.organization_id,
            callers: &callers,
            founded: self.founded,
            now: self.now,
            dice: Dice::new(42),
        };
        let days: Vec<i64> = (0..=DAY_COUNT).collect();
        for days in days.chunks(BATCH_DAY_COUNT as usize) {
            let events = days.iter().flat_map(|day| traffic.of_day(*day)).collect();
            self.services.recorder.report(events, None).await?;
        }
        Ok(())
    }

    /// Returns the ids of the keys that call models.
    fn callers(&self) -> anyhow::Result<Callers> {
        let mut callers = Callers::new();
        for project in &PROJECTS {
            for application in project.applications {
                let caller = self.caller(project, application)?;
                callers.insert((project.name, application.name), caller);
            }
        }
        Ok(callers)
    }

    fn caller(&self, project: &Project, application: &Application) -> anyhow::Result<Caller> {
        let id = |name: String| Ok::<_, anyhow::Error>(self.kept(&name)?.to_owned());
        let user = match application.owner {
            KeyOwner::ServiceAccount => None,
            KeyOwner::Person(name) => Some(id(format!("user {name}"))?),
        };
        let key = id(format!("key {}/{}", project.name, application.name))?;
        Ok(Caller {
            project_id: ProjectId::from_text(id(format!("project {}", project.name))?),
            api_key_id: KeyId::from_text(key),
            user_id: user.map(UserId::from_text),
        })
    }

    /// Sets limits and alerts that the spend of this month or the last one has reached, or nearly.
    async fn limit_spend(&self) -> anyhow::Result<()> {
        let organization = "/organization";
        let project = |name: &str| format!("{organization}/projects/<project {name}>");
        let month = Month::of(self.services.clock.now());
        let spent = |name: Option<&str>, month: Month| -> anyhow::Result<NanoDollars> {
            let id = name
                .map(|name| self.kept(&format!("project {name}")))
                .transpose()?;
            let id = id.map(|id| ProjectId::from_text(id.to_owned()));
            let spend = &self.services.spend;
            Ok(spend.in_month(month, &self.organization_id, id.as_ref()))
        };
        let highest =
            |name| Ok::<_, anyhow::Error>(spent(name, month)?.max(spent(name, month.before())?));
        let support = "Support desk";
        for (place, spent, fraction) in [
            // This limit is reached: requests are refused.
            (project(SANDBOX), spent(Some(SANDBOX), month)?, 1.02),
            (project(support), highest(Some(support))?, 0.83),
            (organization.to_owned(), highest(None)?, 0.71),
        ] {
            let limit = rounded_cents(spent, fraction);
            self.limit(&place, limit).await?;
        }
        Ok(())
    }

    /// Sets a spend limit, with alerts on the way to it.
    async fn limit(&self, place: &str, cents: i64) -> anyhow::Result<()> {
        let path = format!("{place}/spend_limit");
        let post = Method::POST;
        self.call(FOUNDER, post.clone(), &path, Some(&usd(cents)))
            .await?;
        for percent in [50, 80, 100] {
            let mut alert = usd((cents * percent / 100).max(1));
            alert["notification_channel"] = channel(&["ada", "luca"]);
            let path = format!("{place}/spend_alerts");
            self.call("Grace", post.clone(), &path, Some(&alert))
                .await?;
        }
        Ok(())
    }

    /// Records that the keys with traffic were used, and that the others never were.
    fn use_keys(&self) {
        for project in PROJECTS
            .iter()
            .filter(|project| project.days.end > DAY_COUNT)
        {
            for application in project.applications {
                if let Ok(caller) = self.caller(project, application) {
                    let user = caller.user_id.as_ref();
                    let last_used = &self.services.last_used;
                    last_used.touch(&self.organization_id, &caller.api_key_id, user);
                }
            }
        }
    }
}

/// Returns the limit of which `spent` is a fraction, in cents with two significant digits, rounded down.
fn rounded_cents(spent: NanoDollars, fraction: f64) -> i64 {
    let cents = (spent.whole_cents() as f64 / fraction) as i64;
    let mut unit = 1;
    while cents / unit >= 100 {
        unit *= 10;
    }
    (cents / unit * unit).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_round_and_never_above_the_fraction() {
        let cents = |cents: i64, fraction| rounded_cents(NanoDollars::from_cents(cents), fraction);
        assert_eq!(cents(123_456, 1.0), 120_000);
        assert_eq!(cents(83_000, 0.83), 100_000);
        assert_eq!(cents(99, 1.02), 97);
        assert_eq!(cents(0, 0.5), 1, "a limit is at least a cent");
    }

    #[test]
    fn a_year_begins_at_midnight() {
        let founded = founding(UnixTime(1_772_409_600 + 5_000));
        assert_eq!(founded.0, 1_772_409_600 - 365 * SECONDS_PER_DAY);
    }
}
