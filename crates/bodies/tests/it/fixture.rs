//! A body writer on a database of its own, with an organization of two projects.

use std::sync::Arc;

use access::{Directory, Retention};
use base::ids::{Id, OrganizationId, ProjectId, RequestId};
use base::secret::Pepper;
use base::{Clock, Entropy, UnixTime};
use bodies::{
    Bodies, BodiesTask, BodyContents, BodyEntry, BodyWriterOptions, Content, RequestInfo,
};
use bytes::Bytes;
use store::testing::TestDatabase;
use store::{Store, sql};

pub const START_SECONDS: i64 = 1_760_000_000;
pub const DAY_SECONDS: i64 = 24 * 60 * 60;

pub const TEXT: BodyContents = BodyContents {
    request: Content::Text,
    answer: Content::Text,
};
pub const SPEECH: BodyContents = BodyContents {
    request: Content::Text,
    answer: Content::Media,
};

pub struct Fixture {
    pub store: Store,
    pub clock: Clock,
    pub pepper: Pepper,
    pub database: TestDatabase,
    /// A second handle of the database, as of another process.
    elsewhere: Store,
    running: Option<Running>,
}

struct Running {
    bodies: Option<Bodies>,
    task: BodiesTask,
    _following: Box<dyn Send>,
}

pub fn request(id: &str) -> RequestId {
    RequestId::from_text(id.to_owned())
}

fn project(id: &str) -> ProjectId {
    ProjectId::from_text(id.to_owned())
}

impl Fixture {
    /// Starts a fixture that keeps bodies for 30 days.
    pub async fn start() -> Self {
        let database = TestDatabase::new();
        let store = Store::open(database.url()).await.expect("a store");
        let elsewhere = Store::open(database.url()).await.expect("a store");
        let mut fixture = Self {
            store,
            elsewhere,
            clock: Clock::fake(UnixTime(START_SECONDS)),
            pepper: Pepper::generate(&Entropy::seeded(1)),
            database,
            running: None,
        };
        fixture
            .change(&[
                "INSERT INTO organizations (id, name, created_at, revision, audit_hash) VALUES ('org-1', 'One', 1, 0, '')",
                "INSERT INTO projects (organization_id, id, name, created_at)
                 VALUES ('org-1', 'proj_1', 'P', 1), ('org-1', 'proj_2', 'Q', 1)",
            ])
            .await;
        fixture.keep(30).await;
        fixture
    }

    /// Starts a body writer.
    pub async fn keep(&mut self, days: u32) {
        let (directory, following) = Directory::start(self.store.clone()).await.expect("keys");
        let (bodies, task) = bodies::start(BodyWriterOptions {
            store: self.store.clone(),
            changes: directory.settings_changes(),
            pepper: self.pepper.clone(),
            entropy: Entropy::operating_system(),
            clock: self.clock.clone(),
            days,
        })
        .expect("a keeper");
        let following = Box::new((following, Arc::clone(&directory)));
        self.running = Some(Running {
            bodies,
            task,
            _following: following,
        });
    }

    /// Stops the body writer, which writes waiting bodies first.
    pub async fn stop(&mut self) {
        let running = self.running.take().expect("it runs");
        running.task.stop().await;
    }

    pub fn bodies(&self) -> Option<&Bodies> {
        self.running.as_ref()?.bodies.as_ref()
    }

    /// Captures a request of a project and its answer, as a gateway without settings would.
    pub fn pass(&self, project: &str, id: &str, holds: BodyContents, words: [&'static str; 2]) {
        self.pass_to("m", project, id, holds, words);
    }

    /// Captures a request and its answer as [`Self::pass`], for this model.
    pub fn pass_to(
        &self,
        model: &str,
        project: &str,
        id: &str,
        holds: BodyContents,
        [asked, got]: [&'static str; 2],
    ) {
        let about = || RequestInfo {
            organization: OrganizationId::from_text("org-1".into()),
            project: self::project(project),
            id: request(id),
            at: self.clock.now(),
            endpoint: "/chat/completions",
            model: model.to_owned(),
        };
        let bodies = self.bodies().expect("they are kept");
        let capture = bodies.capture(holds, Retention::NoControl, &Bytes::from(asked), about);
        let capture = capture.expect("nothing forbids it").admitted();
        let mut capture = capture.answered(200);
        capture.pass(&Bytes::from(got));
    }

    /// Changes the administrative data, as another process would.
    pub async fn change(&self, statements: &[&'static str]) {
        let mut transaction = self.elsewhere.begin().await.expect("a transaction");
        for statement in statements {
            let done = transaction.execute(sql!(*statement)).await;
            done.expect(statement);
        }
        let advance = sql!("UPDATE organizations SET revision = revision + 1");
        transaction.execute(advance).await.expect("advanced");
        transaction.commit().await.expect("a commit");
    }

    pub async fn entries(&self, id: &str) -> Vec<BodyEntry> {
        let project = project(id);
        let list = bodies::list(self.store.usage(), &project, UnixTime(0), 100);
        list.await.expect("a list")
    }

    /// Returns the request and side of each stored body of a project.
    pub async fn kept(&self, project: &str) -> Vec<String> {
        let entries = self.entries(project).await;
        let mut kept: Vec<_> = entries
            .iter()
            .map(|entry| format!("{} {}", entry.request, entry.side.as_str()))
            .collect();
        kept.sort();
        kept
    }

    /// Waits until a project has these stored bodies.
    pub async fn wait_for(&self, project: &str, expected: &[&str]) {
        poll::until(&format!("{expected:?} are stored"), async || {
            self.kept(project).await == expected
        })
        .await;
    }

    /// Returns the bytes of the stored bodies of a request.
    pub async fn read(&self, id: &str, pepper: &Pepper) -> Vec<Option<Vec<u8>>> {
        let id = request(id);
        let found = bodies::find(self.store.usage(), pepper, &id);
        let found = found.await.expect("bodies");
        found
            .into_iter()
            .map(|body| Some(body.bytes?.to_vec()))
            .collect()
    }
}
