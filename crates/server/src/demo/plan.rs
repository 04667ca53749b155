//! The organization of the demo: its projects, what they call, and its people.

use usage::UsageKind;

/// Days from the founding to the start of the demo.
pub(super) const DAY_COUNT: i64 = 365;
/// Days on which the runaway project repeats its requests, and how often it does.
pub(super) const RUNAWAY: (&str, std::ops::Range<i64>, f64) = ("Data pipeline", 205..214, 9.0);

/// The project whose spend limit is reached at the start.
pub(super) const SANDBOX: &str = "Sandbox";

/// Distribution of requests over a day and a week.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rhythm {
    /// Working hours; little on weekends.
    Office,
    /// Evenings, more on weekends.
    Evening,
    /// Day and night, a little more by day.
    Always,
    /// The hours before the office opens.
    Night,
}

/// A model, and the one that takes its place from one day to another.
pub(super) struct Model {
    pub(super) old: &'static str,
    pub(super) new: &'static str,
    pub(super) days: std::ops::Range<i64>,
}

const fn only(name: &'static str) -> Model {
    Model {
        old: name,
        new: name,
        days: 0..1,
    }
}

const SMALL: Model = Model {
    old: "gpt-5-mini",
    new: "gpt-5.4-mini",
    days: 150..192,
};
const LARGE: Model = Model {
    old: "gpt-5.1",
    new: "gpt-5.6-terra",
    days: 262..300,
};
const EMBEDDING: Model = only("text-embedding-3-small");

/// A kind of request of a project.
pub(super) struct Call {
    pub(super) kind: UsageKind,
    pub(super) model: Model,
    /// Number of such calls for each request of the project.
    pub(super) share: f64,
    /// Average input tokens; of transcriptions, seconds.
    pub(super) input: f64,
    pub(super) output: f64,
    /// Part of the input that comes from a cache.
    pub(super) cached: f64,
}

const fn chat(model: Model, share: f64, input: f64, output: f64, cached: f64) -> Call {
    Call {
        kind: UsageKind::Completions,
        model,
        share,
        input,
        output,
        cached,
    }
}

const fn other(kind: UsageKind, model: Model, share: f64, input: f64) -> Call {
    Call {
        kind,
        model,
        share,
        input,
        output: 0.0,
        cached: 0.0,
    }
}

/// Owner of a key that calls models.
pub(super) enum KeyOwner {
    ServiceAccount,
    /// A person, by first name.
    Person(&'static str),
}

/// A key that calls models, with its part of the requests.
pub(super) struct Application {
    pub(super) name: &'static str,
    pub(super) owner: KeyOwner,
    pub(super) share: f64,
}

const fn service(name: &'static str, share: f64) -> Application {
    Application {
        name,
        owner: KeyOwner::ServiceAccount,
        share,
    }
}

const fn person(first_name: &'static str, share: f64) -> Application {
    Application {
        name: first_name,
        owner: KeyOwner::Person(first_name),
        share,
    }
}

/// A project with its traffic.
pub(super) struct Project {
    pub(super) name: &'static str,
    /// Person who leads the project, by first name.
    pub(super) lead: &'static str,
    pub(super) group: &'static str,
    /// Days after the founding on which the project is created and, if it is, archived.
    pub(super) days: std::ops::Range<i64>,
    pub(super) rhythm: Rhythm,
    /// Requests of a day at the beginning.
    pub(super) requests: f64,
    /// Factor by which requests grow in a year.
    pub(super) growth: f64,
    pub(super) calls: &'static [Call],
    pub(super) applications: &'static [Application],
}

/// End of the days of a project that is not archived.
const MAX_DAY: i64 = i64::MAX;

pub(super) const PROJECTS: [Project; 12] = [
    Project {
        name: "Search",
        lead: "Grace",
        group: "Platform",
        days: 2..MAX_DAY,
        rhythm: Rhythm::Always,
        requests: 5_200.0,
        growth: 2.1,
        calls: &[
            chat(SMALL, 1.0, 900.0, 140.0, 0.45),
            other(UsageKind::Embeddings, EMBEDDING, 2.5, 220.0),
        ],
        applications: &[service("ranker", 0.7), service("summarizer", 0.3)],
    },
    Project {
        name: "Support desk",
        lead: "Hedy",
        group: "Support",
        days: 5..MAX_DAY,
        rhythm: Rhythm::Office,
        requests: 1_300.0,
        growth: 1.8,
        calls: &[chat(LARGE, 1.0, 3_200.0, 420.0, 0.6)],
        applications: &[service("assistant", 0.85), service("ticket triage", 0.15)],
    },
    Project {
        name: "Mobile app",
        lead: "Radia",
        group: "Platform",
        days: 21..MAX_DAY,
        rhythm: Rhythm::Evening,
        requests: 2_400.0,
        growth: 3.6,
        calls: &[chat(SMALL, 1.0, 650.0, 260.0, 0.2)],
        applications: &[service("ios", 0.55), service("android", 0.45)],
    },
    Project {
        name: "Data pipeline",
        lead: "Linus",
        group: "Data science",
        days: 40..MAX_DAY,
        rhythm: Rhythm::Night,
        requests: 4_100.0,
        growth: 1.4,
        calls: &[
            chat(SMALL, 1.0, 1_900.0, 300.0, 0.1),
            other(UsageKind::Embeddings, EMBEDDING, 1.2, 480.0),
        ],
        applications: &[service("nightly loader", 1.0)],
    },
    Project {
        name: "Research",
        lead: "Emmy",
        group: "Data science",
        days: 62..MAX_DAY,
        rhythm: Rhythm::Office,
        requests: 340.0,
        growth: 2.4,
        calls: &[
            chat(LARGE, 1.0, 14_000.0, 1_900.0, 0.3),
            other(UsageKind::WebSearchCalls, LARGE, 0.4, 0.0),
        ],
        applications: &[
            person("Emmy", 0.4),
            person("Alan", 0.35),
            person("Sofia", 0.25),
        ],
    },
    Project {
        name: "Marketing site",
        lead: "Mary",
        group: "Marketing",
        days: 84..MAX_DAY,
        rhythm: Rhythm::Office,
        requests: 260.0,
        growth: 1.5,
        calls: &[
            chat(SMALL, 1.0, 1_100.0, 700.0, 0.05),
            other(UsageKind::Images, only("dall-e-3"), 0.25, 0.0),
        ],
        applications: &[service("copy editor", 0.8), person("Mary", 0.2)],
    },
    Project {
        name: "Translations",
        lead: "Karen",
        group: "Marketing",
        days: 110..MAX_DAY,
        rhythm: Rhythm::Office,
        requests: 900.0,
        growth: 3.0,
        calls: &[chat(LARGE, 1.0, 1_500.0, 1_600.0, 0.15)],
        applications: &[service("documents", 0.65), service("partner portal", 0.35)],
    },
    Project {
        name: "Code review",
        lead: "Margaret",
        group: "Platform",
        days: 150..MAX_DAY,
        rhythm: Rhythm::Office,
        requests: 420.0,
        growth: 6.0,
        calls: &[chat(LARGE, 1.0, 9_500.0, 850.0, 0.7)],
        applications: &[
            service("review bot", 0.7),
            person("Ken", 0.12),
            person("Barbara", 0.1),
            person("Dennis", 0.08),
        ],
    },
    Project {
        name: "Voice notes",
        lead: "Radia",
        group: "Platform",
        days: 200..MAX_DAY,
        rhythm: Rhythm::Evening,
        requests: 700.0,
        growth: 4.0,
        calls: &[
            other(UsageKind::AudioTranscriptions, only("whisper-1"), 1.0, 95.0),
            chat(SMALL, 0.6, 1_300.0, 180.0, 0.1),
        ],
        applications: &[service("transcriber", 1.0)],
    },
    Project {
        name: "Fraud checks",
        lead: "Annie",
        group: "Security",
        days: 244..MAX_DAY,
        rhythm: Rhythm::Always,
        requests: 6_500.0,
        growth: 1.6,
        calls: &[chat(SMALL, 1.0, 520.0, 35.0, 0.5)],
        applications: &[service("payments", 0.8), service("sign-ups", 0.2)],
    },
    Project {
        name: SANDBOX,
        lead: "Donald",
        group: "Platform",
        days: 120..MAX_DAY,
        rhythm: Rhythm::Evening,
        requests: 70.0,
        growth: 1.3,
        calls: &[chat(LARGE, 1.0, 800.0, 500.0, 0.0)],
        applications: &[service("playground", 0.6), person("Donald", 0.4)],
    },
    Project {
        name: "Onboarding pilot",
        lead: "Tim",
        group: "Support",
        days: 30..140,
        rhythm: Rhythm::Office,
        requests: 180.0,
        growth: 0.6,
        calls: &[chat(SMALL, 1.0, 2_100.0, 500.0, 0.2)],
        applications: &[service("tutor", 1.0)],
    },
];

/// A person, with the group and the days of joining and leaving.
#[derive(Clone, Copy)]
pub(super) struct Person {
    pub(super) first_name: &'static str,
    pub(super) last_name: &'static str,
    pub(super) group: &'static str,
    pub(super) joined: i64,
    pub(super) left: Option<i64>,
}

/// First name of the person who founds the organization.
pub(super) const FOUNDER: &str = "Ada";
/// People who become owners of the organization beside its founder.
pub(super) const OWNERS: [&str; 2] = ["Grace", "Linus"];

pub(super) const GROUPS: [&str; 6] = [
    "Platform",
    "Data science",
    "Support",
    "Marketing",
    "Finance",
    "Security",
];

const fn joins(
    first_name: &'static str,
    last_name: &'static str,
    group: &'static str,
    joined: i64,
) -> Person {
    Person {
        first_name,
        last_name,
        group,
        joined,
        left: None,
    }
}

const fn leaves(person: Person, day: i64) -> Person {
    Person {
        left: Some(day),
        ..person
    }
}

pub(super) const PEOPLE: [Person; 39] = [
    joins("Grace", "Hopper", "Platform", 0),
    joins("Linus", "Pauling", "Data science", 1),
    joins("Hedy", "Lamarr", "Support", 2),
    joins("Radia", "Perlman", "Platform", 3),
    joins("Margaret", "Hamilton", "Platform", 4),
    joins("Ken", "Thompson", "Platform", 6),
    joins("Barbara", "Liskov", "Platform", 7),
    joins("Emmy", "Noether", "Data science", 9),
    joins("Alan", "Turing", "Data science", 10),
    joins("Luca", "Pacioli", "Finance", 12),
    joins("Tim", "Paterson", "Support", 14),
    leaves(joins("Niklaus", "Wirth", "Platform", 15), 161),
    joins("Frances", "Allen", "Platform", 20),
    joins("Dennis", "Ritchie", "Platform", 23),
    joins("Florence", "Nightingale", "Support", 27),
    joins("Annie", "Easley", "Security", 31),
    joins("Mary", "Jackson", "Marketing", 36),
    joins("Karen", "Jones", "Marketing", 41),
    joins("Sofia", "Kovalevskaya", "Data science", 48),
    joins("Johann", "Gauss", "Data science", 55),
    joins("Dorothy", "Vaughan", "Data science", 61),
    leaves(joins("Charles", "Babbage", "Data science", 66), 229),
    joins("Edsger", "Dijkstra", "Platform", 75),
    joins("Rosalind", "Franklin", "Support", 83),
    joins("Claude", "Shannon", "Security", 92),
    joins("Evelyn", "Berezin", "Support", 101),
    joins("Donald", "Knuth", "Platform", 116),
    joins("Jean", "Bartik", "Support", 128),
    joins("Whitfield", "Diffie", "Security", 141),
    joins("Adele", "Goldberg", "Marketing", 155),
    joins("John", "McCarthy", "Data science", 170),
    joins("Katherine", "Johnson", "Finance", 184),
    leaves(joins("Seymour", "Cray", "Platform", 197), 318),
    joins("Shafi", "Goldwasser", "Security", 215),
    joins("Leslie", "Lamport", "Platform", 236),
    joins("Lynn", "Conway", "Platform", 258),
    joins("Anita", "Borg", "Support", 281),
    joins("Ida", "Rhodes", "Data science", 309),
    joins("Erna", "Hoover", "Support", 337),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_known_when_they_are_used() {
        let people: BTreeSet<_> = PEOPLE.iter().map(|person| person.first_name).collect();
        assert_eq!(people.len(), PEOPLE.len());
        assert!(!people.contains(FOUNDER));
        let projects: BTreeSet<_> = PROJECTS.iter().map(|project| project.name).collect();
        assert!(projects.len() == PROJECTS.len() && projects.contains(RUNAWAY.0));
        let works = |name: &str, day: i64| {
            let person = PEOPLE.iter().find(|person| person.first_name == name);
            person.is_some_and(|person| person.joined < day && person.left.is_none())
        };
        for project in &PROJECTS {
            let day = project.days.start;
            assert!(works(project.lead, day), "{}", project.name);
            assert!(GROUPS.contains(&project.group), "{}", project.name);
            for application in project.applications {
                if let KeyOwner::Person(name) = application.owner {
                    assert!(works(name, day), "{name} of {}", project.name);
                }
            }
            let shares = project
                .applications
                .iter()
                .map(|application| application.share);
            let sum: f64 = shares.sum();
            assert!((sum - 1.0).abs() < 1e-9, "{}", project.name);
        }
        for person in &PEOPLE {
            assert!(GROUPS.contains(&person.group), "{}", person.first_name);
        }
    }
}
