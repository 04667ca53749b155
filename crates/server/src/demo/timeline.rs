//! Changes of the demo's organization over its year, in the order in which they are made.

use base::time::{SECONDS_PER_DAY, SECONDS_PER_HOUR, SECONDS_PER_MINUTE};
use serde_json::{Value, json};

use super::dice::Dice;
use super::plan::{
    DAY_COUNT, FOUNDER, GROUPS, KeyOwner, OWNERS, PEOPLE, PROJECTS, Project, RUNAWAY,
};

/// A change, made with the admin key of an owner.
pub(super) struct Step {
    /// Seconds after the midnight of the first day.
    pub(super) at: i64,
    /// First name of the owner.
    pub(super) by: &'static str,
    pub(super) action: Action,
}

/// The change of a step. Texts name what earlier steps kept in angle brackets: `<project Search>`.
pub(super) enum Action {
    /// A request, and the values of its answer that are kept: where they are, and their names.
    Post {
        path: String,
        body: Value,
        keeps: Vec<(&'static str, String)>,
    },
    Delete {
        path: String,
    },
    /// Acceptance of an invitation; the id of the person is kept.
    Accept {
        first_name: &'static str,
        name: String,
    },
    /// An admin key of an owner, made on the machine.
    OwnerKey {
        first_name: &'static str,
    },
}

const ORGANIZATION: &str = "/organization";
/// Role of the groups of a project.
const MEMBER: &str = "role-api-project-member";
/// Days for which the last keys of the demo work after its start.
const LEFT_DAYS: [(&str, &str, &str, i64); 3] = [
    ("Translations", "Karen", "partner trial", 5),
    ("Research", "Alan", "conference notebook", 12),
    ("Mobile app", "Radia", "beta testers", 27),
];

/// Returns all steps, in the order of their times.
pub(super) fn steps() -> Vec<Step> {
    let mut timeline = Timeline {
        steps: Vec::new(),
        dice: Dice::new(7),
    };
    timeline.groups_and_roles();
    timeline.people();
    for project in &PROJECTS {
        timeline.project(project);
    }
    timeline.settings();
    timeline.role_of_a_project();
    timeline.money();
    timeline.spare_keys();
    timeline.experiments();
    timeline.invitations();
    let mut steps = timeline.steps;
    // Steps of one moment stay in order.
    steps.sort_by_key(|step| step.at);
    steps
}

/// Returns the address of a person.
pub(super) fn email(first_name: &str) -> String {
    format!("{}@acme.example", first_name.to_lowercase())
}

struct Timeline {
    steps: Vec<Step>,
    dice: Dice,
}

impl Timeline {
    /// Adds a step at some minute of an hour.
    fn add(&mut self, day: i64, hour: i64, action: Action) {
        let minute = self.dice.below(12) * 5;
        let second = self.dice.below(SECONDS_PER_MINUTE);
        let at =
            day * SECONDS_PER_DAY + hour * SECONDS_PER_HOUR + minute * SECONDS_PER_MINUTE + second;
        // The other owners have keys after their first day.
        let owners = [FOUNDER, FOUNDER, OWNERS[0], OWNERS[1]];
        let by = if day > 2 {
            owners[self.dice.below(4) as usize]
        } else {
            FOUNDER
        };
        self.steps.push(Step { at, by, action });
    }

    fn post(&mut self, (day, hour): (i64, i64), path: &str, body: Value) {
        self.post_and_keep((day, hour), path, body, Vec::new());
    }

    fn post_and_keep(
        &mut self,
        (day, hour): (i64, i64),
        path: &str,
        body: Value,
        keeps: Vec<(&'static str, String)>,
    ) {
        let path = path.to_owned();
        self.add(day, hour, Action::Post { path, body, keeps });
    }

    fn groups_and_roles(&mut self) {
        for name in GROUPS {
            let path = format!("{ORGANIZATION}/groups");
            let keeps = vec![("/id", format!("group {name}"))];
            self.post_and_keep((0, 9), &path, json!({"name": name}), keeps);
        }
        let analyst = json!({
            "role_name": "Billing analyst",
            "description": "Sees what is spent, where and by whom.",
            "permissions": ["api.organization.usage.read", "api.organization.spend.read",
                            "api.organization.projects.read"],
        });
        let custodian = json!({
            "role_name": "Key custodian",
            "description": "Revokes keys of every project, and reads the audit log.",
            "permissions": ["api.organization.projects.api_keys.read", "api.organization.projects.api_keys.write",
                            "api.organization.projects.service_accounts.read", "api.organization.audit_logs.read"],
        });
        for (day, group, role) in [(13, "Finance", analyst), (33, "Security", custodian)] {
            let path = format!("{ORGANIZATION}/roles");
            let keeps = vec![("/id", format!("role of {group}"))];
            self.post_and_keep((day, 10), &path, role, keeps);
            let path = format!("{ORGANIZATION}/groups/<group {group}>/roles");
            let body = json!({"role_id": format!("<role of {group}>")});
            self.post((day, 11), &path, body);
        }
    }

    fn people(&mut self) {
        for person in &PEOPLE {
            let (first_name, day) = (person.first_name, person.joined);
            let role = if OWNERS.contains(&first_name) {
                "owner"
            } else {
                "reader"
            };
            let body = json!({"email": email(first_name), "role": role, "projects": []});
            self.post((day, 10), &format!("{ORGANIZATION}/invites"), body);
            let name = format!("{first_name} {}", person.last_name);
            self.add(day, 13, Action::Accept { first_name, name });
            let path = format!("{ORGANIZATION}/groups/<group {}>/users", person.group);
            let body = json!({"user_id": format!("<user {first_name}>")});
            self.post((day, 14), &path, body);
            if OWNERS.contains(&first_name) {
                self.add(day, 15, Action::OwnerKey { first_name });
            }
            if let Some(day) = person.left {
                let path = format!("{ORGANIZATION}/users/<user {first_name}>");
                self.add(day, 17, Action::Delete { path });
            }
        }
    }

    fn project(&mut self, project: &Project) {
        let (name, day) = (project.name, project.days.start);
        let path = format!("{ORGANIZATION}/projects");
        let keeps = vec![("/id", format!("project {name}"))];
        self.post_and_keep((day, 8), &path, json!({"name": name}), keeps);
        let path = format!("{ORGANIZATION}/projects/<project {name}>");
        let group = json!({"group_id": format!("<group {}>", project.group), "role": MEMBER});
        self.post((day, 9), &format!("{path}/groups"), group);
        let lead = json!({"user_id": format!("<user {}>", project.lead), "role": "owner"});
        self.post((day, 9), &format!("{path}/users"), lead);
        for application in project.applications {
            let called = format!("{name}/{}", application.name);
            let key = |pointers: [&'static str; 2]| {
                let [id, value] = pointers;
                vec![
                    (id, format!("key {called}")),
                    (value, format!("secret {called}")),
                ]
            };
            let (path, body, keeps) = match application.owner {
                KeyOwner::ServiceAccount => {
                    let mut keeps = key(["/api_key/id", "/api_key/value"]);
                    keeps.push(("/id", format!("account {called}")));
                    let path = format!("{path}/service_accounts");
                    (path, json!({"name": application.name}), keeps)
                }
                KeyOwner::Person(owner) => {
                    let user = format!("<user {owner}>");
                    let body = json!({"name": format!("{owner}'s notebook"), "user_id": user});
                    (format!("{path}/api_keys"), body, key(["/id", "/value"]))
                }
            };
            self.post_and_keep((day, 10), &path, body, keeps);
        }
        if project.days.end < DAY_COUNT {
            self.post((project.days.end, 8), &format!("{path}/archive"), json!({}));
        }
    }

    fn settings(&mut self) {
        let project = |name: &str| format!("{ORGANIZATION}/projects/<project {name}>");
        let retention = |kind: &str| json!({"retention_type": kind});
        let path = format!("{ORGANIZATION}/data_retention");
        self.post((19, 11), &path, retention("modified_abuse_monitoring"));
        let path = format!("{}/data_retention", project("Fraud checks"));
        self.post((245, 9), &path, retention("zero_data_retention"));
        let models = json!({"mode": "allow_list",
                            "model_ids": ["gpt-5-mini", "gpt-5.4-mini", "dall-e-3"]});
        let path = format!("{}/model_permissions", project("Marketing site"));
        self.post((86, 15), &path, models);
        let path = format!("{}/hosted_tool_permissions", project("Fraud checks"));
        let tools =
            json!({"web_search": {"enabled": false}, "code_interpreter": {"enabled": false}});
        self.post((246, 10), &path, tools);
        for (day, name, model, limits) in [
            (
                90,
                "Mobile app",
                "gpt-5-mini",
                json!({"max_requests_per_1_minute": 300}),
            ),
            (
                192,
                "Mobile app",
                "gpt-5.4-mini",
                json!({"max_requests_per_1_minute": 600}),
            ),
            (
                214,
                "Data pipeline",
                "gpt-5.4-mini",
                json!({"max_tokens_per_1_minute": 400_000}),
            ),
            (
                301,
                "Research",
                "gpt-5.6-terra",
                json!({"max_tokens_per_1_minute": 2_000_000}),
            ),
        ] {
            let path = format!("{}/rate_limits/rl-{model}", project(name));
            self.post((day, 16), &path, limits);
        }
        // Not what this project is for: the second embedding of a minute is refused.
        let path = format!(
            "{}/rate_limits/rl-text-embedding-3-small",
            project("Translations")
        );
        let limits = json!({"max_requests_per_1_minute": 1});
        self.post((233, 16), &path, limits);
    }

    /// Adds a role of a project, and somebody who has it.
    fn role_of_a_project(&mut self) {
        let writer = json!({
            "role_name": "Prompt engineer",
            "description": "Calls models and sees what that costs.",
            "permissions": ["api.model.request", "api.organization.usage.read"],
        });
        let keeps = vec![("/id", "prompt engineer".to_owned())];
        let path = "/projects/<project Search>/roles";
        self.post_and_keep((131, 9), path, writer, keeps);
        let path = "/projects/<project Search>/users/<user Frances>/roles";
        self.post((131, 10), path, json!({"role_id": "<prompt engineer>"}));
    }

    /// Adds limits and alerts with fixed amounts; those that are reached at the start follow from what was spent.
    fn money(&mut self) {
        let path = format!("{ORGANIZATION}/spend_limit");
        self.post((70, 10), &path, usd(400_000));
        // The day after the end of the runaway.
        let day = RUNAWAY.1.end;
        let path = format!("{ORGANIZATION}/projects/<project {}>", RUNAWAY.0);
        self.post((day, 8), &format!("{path}/spend_limit"), usd(150_000));
        let mut alert = usd(100_000);
        alert["notification_channel"] = channel(&["linus", "luca"]);
        self.post((day, 9), &format!("{path}/spend_alerts"), alert);
    }

    /// Adds keys that nobody uses, that were replaced, and that end soon after the start.
    fn spare_keys(&mut self) {
        let accounts = format!("{ORGANIZATION}/projects/<project Data pipeline>/service_accounts");
        let keeps = vec![("/id", "old cluster".to_owned())];
        self.post_and_keep((45, 12), &accounts, json!({"name": "old cluster"}), keeps);
        let path = format!("{accounts}/<old cluster>");
        self.add(RUNAWAY.1.end, 10, Action::Delete { path });
        for (day, project, owner, name) in [
            (98, "Research", "Johann", "laptop"),
            (163, "Code review", "Edsger", "trial"),
            (252, "Search", "Frances", "load test"),
        ] {
            let path = format!("{ORGANIZATION}/projects/<project {project}>/api_keys");
            let body = json!({"name": name, "user_id": format!("<user {owner}>")});
            self.post((day, 11), &path, body);
        }
        for (project, owner, name, left) in LEFT_DAYS {
            let day = DAY_COUNT - 60;
            let path = format!("{ORGANIZATION}/projects/<project {project}>/api_keys");
            let seconds = (60 + left) * SECONDS_PER_DAY;
            let body = json!({"name": name, "user_id": format!("<user {owner}>"),
                              "expires_in_seconds": seconds});
            self.post((day, 9), &path, body);
        }
        let path = format!("{ORGANIZATION}/admin_api_keys");
        let seconds = (90 + 9) * SECONDS_PER_DAY;
        let body = json!({"name": "Deployments", "expires_in_seconds": seconds});
        self.post((DAY_COUNT - 90, 14), &path, body);
    }

    /// Adds keys for experiments that leads make, and delete some weeks later.
    fn experiments(&mut self) {
        for day in (66..DAY_COUNT - 25).step_by(9) {
            let is_open =
                |project: &&Project| project.days.start < day && project.days.end > day + 30;
            let open: Vec<_> = PROJECTS.iter().filter(is_open).collect();
            let project = open[self.dice.below(open.len() as i64) as usize];
            let path = format!(
                "{ORGANIZATION}/projects/<project {}>/api_keys",
                project.name
            );
            let body = json!({"name": format!("experiment {day}"),
                              "user_id": format!("<user {}>", project.lead)});
            let keeps = vec![("/id", format!("experiment {day}"))];
            self.post_and_keep((day, 13), &path, body, keeps);
            let until = day + 5 + self.dice.below(20);
            let path = format!("{path}/<experiment {day}>");
            self.add(until, 15, Action::Delete { path });
        }
    }

    /// Adds invitations that nobody has accepted.
    fn invitations(&mut self) {
        for (day, name) in [
            (DAY_COUNT - 40, "joan"),
            (DAY_COUNT - 4, "betty"),
            (DAY_COUNT - 1, "carl"),
        ] {
            let projects = json!([{"id": "<project Support desk>", "role": "member"}]);
            let body = json!({"email": email(name), "role": "reader", "projects": projects});
            self.post((day, 9), &format!("{ORGANIZATION}/invites"), body);
        }
    }
}

/// Returns an amount of money in a month.
pub(super) fn usd(cents: i64) -> Value {
    json!({"currency": "USD", "interval": "month", "threshold_amount": cents})
}

/// Returns the channel of an alert.
pub(super) fn channel(first_names: &[&str]) -> Value {
    let recipients: Vec<_> = first_names.iter().map(|name| email(name)).collect();
    json!({"type": "email", "recipients": recipients})
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn steps_name_only_what_earlier_steps_have_kept() {
        let mut kept = BTreeSet::new();
        for step in steps() {
            let (text, keeps) = match &step.action {
                Action::Post { path, body, keeps } => {
                    let names = keeps.iter().map(|(_, name)| name.clone());
                    (format!("{path} {body}"), names.collect())
                }
                Action::Delete { path } => (path.clone(), Vec::new()),
                Action::Accept { first_name, .. } => {
                    (String::new(), vec![format!("user {first_name}")])
                }
                Action::OwnerKey { first_name } => (
                    format!("<user {first_name}>"),
                    vec![format!("admin key of {first_name}")],
                ),
            };
            for part in text.split('<').skip(1) {
                let name = part.split('>').next().unwrap_or_default();
                assert!(kept.contains(name), "{name} at {}: {text}", step.at);
            }
            let key = format!("admin key of {}", step.by);
            assert!(
                step.by == FOUNDER || kept.contains(&key),
                "{key} at {}",
                step.at
            );
            kept.extend(keeps);
        }
    }
}
