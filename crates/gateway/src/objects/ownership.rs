//! Ownership of the objects that a request names, in its path or its body: each must belong to the caller's project.

use std::collections::{BTreeSet, HashMap};
use std::mem::take;
use std::sync::Arc;

use access::{Key, Project};
use base::{Error, Result};
use proxy::Target;
use serde::Deserialize;

use super::repository::{ObjectOwner, ObjectRepository, UpstreamObject};
use crate::caller::Caller;
use crate::dialect::{Call, Fields, MAX_OBJECT_REFS, ObjectRefs};
use crate::object_kind::{ObjectKind, is_plausible};
use crate::request_body::MAX_REQUEST_BYTES;

/// The maximum number of files that one field of a request may name.
const MAX_FILES: usize = 2_000;

/// The fields of a request about a vector store or a container that name files.
const FILE_FIELDS: [&str; 3] = ["file_id", "file_ids", "files"];

/// The files that a request names.
pub(super) struct NamedFiles {
    /// Name of the upstream that keeps them; `None` if there is no file.
    pub(super) upstream: Option<String>,
    /// Maximum size of all files together.
    pub(super) max_bytes: i64,
}

/// The check that named objects belong to the caller's project.
pub(crate) struct Ownership {
    repository: Arc<ObjectRepository>,
    /// True if an upstream keeps objects. Otherwise no object has a known owner.
    is_enforced: bool,
}

impl Ownership {
    /// Returns the check of objects in a repository. `is_enforced`: an upstream keeps objects.
    pub(crate) fn new(repository: Arc<ObjectRepository>, is_enforced: bool) -> Self {
        Self {
            repository,
            is_enforced,
        }
    }

    /// Returns the objects of the owner's project that have these ids, which must be distinct, in the same order. If several
    /// upstreams have an object with an id, the id names the newest.
    ///
    /// # Errors
    /// 404: an id belongs to none. 503: the database does not respond.
    pub(super) async fn check(
        &self,
        owner: &ObjectOwner,
        kind: ObjectKind,
        ids: &[&str],
    ) -> Result<Vec<UpstreamObject>> {
        let not_found = |id: &str| Error::not_found(kind.noun(), id);
        if let Some(id) = ids.iter().find(|id| !is_plausible(id)) {
            return Err(not_found(id));
        }
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = self.repository.find(owner, kind, ids).await?;
        found.sort_by(|a, b| (a.created_at, &a.upstream).cmp(&(b.created_at, &b.upstream)));
        // The last one with an id, which is the newest, takes the place of those before.
        let by_id = found.into_iter().map(|object| (object.id.clone(), object));
        let mut by_id: HashMap<String, UpstreamObject> = by_id.collect();
        let owned = ids
            .iter()
            .map(|id| by_id.remove(*id).ok_or_else(|| not_found(id)));
        owned.collect()
    }

    /// Returns the object of the owner's project that has this id.
    ///
    /// # Errors
    /// 404: there is none.
    pub(super) async fn check_one(
        &self,
        owner: &ObjectOwner,
        kind: ObjectKind,
        id: &str,
    ) -> Result<UpstreamObject> {
        let owned = self.check(owner, kind, &[id]).await?;
        let object = owned.into_iter().next();
        object.ok_or_else(|| Error::not_found(kind.noun(), id))
    }

    /// Checks the objects that a request to a model names, and returns the targets of its plan that have them. Most requests
    /// name none, and then the database is not queried. The ledger has the sessions of the containers that are named: the
    /// answer does not count them again.
    ///
    /// # Errors
    /// 404 naming the field: an object is not of the caller's project. 400: too many objects are named, or one whose owner
    /// cannot be known, or objects that no single target has.
    pub(crate) async fn check_call(
        &self,
        caller: &Caller,
        call: &mut Call,
        plan: Vec<Target>,
    ) -> Result<Vec<Target>> {
        let refs = &call.object_refs;
        if !self.is_enforced && !call.must_own_all {
            return match refs.first_state() {
                None => Ok(plan),
                Some((kind, param, id)) => Err(nothing_stored(kind, id).about(param)),
            };
        }
        if let Some(name) = call.unowned_ref {
            return Err(unknown_owner(name));
        }
        if refs.is_empty() {
            return Ok(plan);
        }
        let plan = Box::pin(self.check_plan(caller, call, plan)).await?;
        call.estimate.known_containers = take(&mut call.object_refs.containers);
        Ok(plan)
    }

    async fn check_plan(
        &self,
        caller: &Caller,
        call: &Call,
        mut plan: Vec<Target>,
    ) -> Result<Vec<Target>> {
        let owner = ObjectOwner::of(caller);
        // Without a target that stores items, their content is read as it is sent.
        let has_storage = plan.iter().any(Target::stores);
        let refs = self.check_refs(&owner, &call.object_refs, None, has_storage);
        if let Some(upstream) = refs.await? {
            plan.retain(|target| target.upstream_name() == upstream);
        }
        if !plan.is_empty() {
            return Ok(plan);
        }
        let shown = base::shown(&call.model);
        let message = format!(
            "The model server that keeps what the request names does not serve the model '{shown}'. Use a model that it serves."
        );
        Err(Error::invalid("model", message))
    }

    /// Checks the objects that one or more requests to models name, and returns the upstream that keeps them. They must be kept
    /// by `upstream` if it is given, and by the same upstream otherwise. Bare items are checked if `with_bare_items`.
    ///
    /// # Errors
    /// Those of [`Self::check_call`].
    pub(super) async fn check_refs(
        &self,
        owner: &ObjectOwner,
        refs: &ObjectRefs,
        upstream: Option<&str>,
        with_bare_items: bool,
    ) -> Result<Option<String>> {
        let mut common = upstream.map(str::to_owned);
        for named in refs.all() {
            let (kind, param) = (named.kind, named.param);
            if named.ids.len() > MAX_OBJECT_REFS {
                let message = format!(
                    "More than {MAX_OBJECT_REFS} {}s are mentioned.",
                    kind.noun()
                );
                return Err(Error::invalid(param, message));
            }
            if !with_bare_items && std::ptr::eq(named.ids, &refs.bare_items) {
                continue;
            }
            let ids: Vec<&str> = named.ids.iter().map(String::as_str).collect();
            let owned = self.check(owner, kind, &ids).await;
            for object in owned.map_err(|error| error.about(param))? {
                check_upstream(&mut common, param, &object)?;
            }
        }
        Ok(common)
    }

    /// Checks the objects that the JSON body of a request about a vector store or a container names, and returns the files. They
    /// must be kept by `upstream` if it is given, and by the same upstream otherwise.
    ///
    /// # Errors
    /// 404 naming the field: an object is not of the caller's project. 400: a file is kept by another upstream, or the owner of
    /// an object cannot be known.
    pub(super) async fn check_files(
        &self,
        owner: &ObjectOwner,
        body: &[u8],
        upstream: Option<&str>,
    ) -> Result<NamedFiles> {
        let mut files = NamedFiles {
            upstream: upstream.map(str::to_owned),
            max_bytes: 0,
        };
        if body.is_empty() {
            return Ok(files);
        }
        let fields = Fields::of_json(body, &FILE_FIELDS)?;
        for (param, ids) in named_files(&fields)? {
            self.add_files(&mut files, owner, param, &ids).await?;
        }
        if let Some(name) = fields.view.unowned_ref {
            return Err(unknown_owner(name));
        }
        // No field of these endpoints has ids at another depth; that a server looks there cannot be ruled out.
        let keeper = files.upstream.as_deref();
        let refs = self.check_refs(owner, &fields.view.object_refs, keeper, true);
        files.upstream = refs.await?;
        Ok(files)
    }

    /// Checks the files that the field `param` of a request names, and adds them to `files`.
    ///
    /// # Errors
    /// Those of [`Self::check_files`].
    pub(super) async fn add_files(
        &self,
        files: &mut NamedFiles,
        owner: &ObjectOwner,
        param: &'static str,
        ids: &BTreeSet<String>,
    ) -> Result<()> {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let owned = self.check(owner, ObjectKind::File, &ids).await;
        for file in owned.map_err(|error| error.about(param))? {
            check_upstream(&mut files.upstream, param, &file)?;
            let bytes = file.bytes.unwrap_or(MAX_REQUEST_BYTES as i64);
            files.max_bytes = files.max_bytes.saturating_add(bytes);
        }
        Ok(())
    }
}

/// Checks that an object which the field `param` names is kept by the upstream of the objects before it. The first one sets
/// that upstream.
///
/// # Errors
/// 400: another upstream keeps the object.
fn check_upstream(
    common: &mut Option<String>,
    param: &'static str,
    object: &UpstreamObject,
) -> Result<()> {
    if *common.get_or_insert_with(|| object.upstream.clone()) == object.upstream {
        return Ok(());
    }
    let again = match object.kind {
        ObjectKind::File => ": upload it again",
        _ => "",
    };
    let (noun, id) = (object.kind.noun(), &object.id);
    let message = format!("The {noun} '{id}' is kept by another model server{again}.");
    Err(Error::invalid(param, message))
}

/// Returns the refusal of a reference to what a request to a model has left, where no upstream stores anything.
fn nothing_stored(kind: ObjectKind, id: &str) -> Error {
    let error = Error::not_found(kind.noun(), id);
    let message = format!(
        "{} This deployment keeps none: its operator can set stores = true for an upstream that stores them.",
        error.message
    );
    Error {
        message: message.into(),
        ..error
    }
}

impl ObjectOwner {
    /// Returns the owner of what a caller creates.
    pub(super) fn of(caller: &Caller) -> Self {
        Self::of_key(&caller.key, &caller.project)
    }

    /// Returns the owner of what a key creates in its project.
    pub(super) fn of_key(key: &Key, project: &Project) -> Self {
        Self {
            organization: key.organization.id.clone(),
            project: project.id.clone(),
            key: Some(key.id.clone()),
            user: key.user().cloned(),
        }
    }
}

/// Returns the refusal of a field that names an object which a model server keeps without a record of its owner.
pub(super) fn unknown_owner(name: &'static str) -> Error {
    let message = format!(
        "{name} names something that the model server keeps: projects share its account, and whose it is cannot be told. \
         Send what it holds instead."
    );
    Error::refused("shared_account", message).about(name)
}

/// An item of the field `files`.
#[derive(Deserialize)]
struct NamedFile {
    file_id: String,
}

/// Returns the files that a body names, by the field that names them.
fn named_files(fields: &Fields<'_>) -> Result<Vec<(&'static str, BTreeSet<String>)>> {
    let mut named = Vec::new();
    if let Some(id) = fields.text("file_id")? {
        named.push(("file_id", BTreeSet::from([id])));
    }
    let given = |name| fields.get(name).filter(|value| *value != b"null");
    if let Some(ids) = given("file_ids") {
        let ids: Option<Vec<String>> = serde_json::from_slice(ids).ok();
        let wrong = || Error::invalid("file_ids", "file_ids must be a list of strings.");
        named.push(("file_ids", ids.ok_or_else(wrong)?.into_iter().collect()));
    }
    if let Some(files) = given("files") {
        let files: Option<Vec<NamedFile>> = serde_json::from_slice(files).ok();
        let message = "files must be a list of objects, each with one file_id.";
        let wrong = || Error::invalid("files", message);
        let ids = files
            .ok_or_else(wrong)?
            .into_iter()
            .map(|file| file.file_id);
        named.push(("files", ids.collect()));
    }
    match named.iter().find(|(_, ids)| ids.len() > MAX_FILES) {
        Some((param, _)) => {
            let message = format!("{param} has more than {MAX_FILES} files.");
            Err(Error::invalid(*param, message))
        }
        None => Ok(named),
    }
}

#[cfg(test)]
mod tests {
    use base::ids::{Id, OrganizationId, ProjectId};
    use base::{Clock, UnixTime};
    use store::testing::TestDatabase;
    use store::{Order, PageRequest, Store, sql};

    use super::*;

    const ORGANIZATION: &str = "INSERT INTO organizations (id, name, created_at, revision, audit_hash) VALUES ('org-1', 'O', 1, 0, $1)";
    const PROJECTS: &str = "INSERT INTO projects (organization_id, id, name, created_at) \
                            VALUES ('org-1', 'proj_1', 'P', 1), ('org-1', 'proj_2', 'Q', 1)";

    fn object(project: &str, id: &str, upstream: &str) -> UpstreamObject {
        UpstreamObject {
            owner: ObjectOwner {
                organization: OrganizationId::from_text("org-1".to_owned()),
                project: ProjectId::from_text(project.to_owned()),
                key: None,
                user: None,
            },
            kind: ObjectKind::File,
            id: id.to_owned(),
            upstream: upstream.to_owned(),
            purpose: String::new(),
            created_at: 1,
            work: None,
            due_at: None,
            expires_at: None,
            bytes: None,
        }
    }

    /// Returns the check of objects in a database with two projects.
    async fn ownership(database: &TestDatabase) -> Ownership {
        let store = Store::open(database.url()).await.expect("a store");
        let mut transaction = store.begin().await.expect("a transaction");
        for statement in [sql!(ORGANIZATION, Vec::<u8>::new()), sql!(PROJECTS)] {
            transaction.execute(statement).await.expect("a row");
        }
        transaction.commit().await.expect("a commit");
        let clock = Clock::fake(UnixTime(1));
        Ownership {
            repository: Arc::new(ObjectRepository::new(store.for_requests(), clock)),
            is_enforced: true,
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn objects_must_be_of_the_callers_project_and_files_of_one_upstream() {
        let database = TestDatabase::new();
        let ownership = ownership(&database).await;
        let own = object("proj_1", "a", "u");
        for object in [
            &own,
            &object("proj_1", "b", "v"),
            &object("proj_2", "c", "u"),
        ] {
            assert!(ownership.repository.add(object).await.expect("added"));
        }
        let check = |ids: &'static [&str]| ownership.check(&own.owner, ObjectKind::File, ids);
        let found = check(&["b", "a"]).await.expect("own files");
        let ids: Vec<&str> = found.iter().map(|object| object.id.as_str()).collect();
        assert_eq!(ids, ["b", "a"], "in the order of the ids");
        for ids in [&["a", "c"][..], &["a/../b"], &["a", "unknown"]] {
            let error = check(ids).await.err().expect("not an own file");
            assert_eq!(error.status, 404, "{ids:?}");
        }
        let two = br#"{"file_ids":["a","b"]}"#;
        let error = ownership.check_files(&own.owner, two, None).await;
        let error = error.err().expect("two upstreams");
        assert_eq!(
            (error.status.as_u16(), error.param.as_deref()),
            (400, Some("file_ids"))
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_id_that_two_upstreams_have_given_names_the_newest_object() {
        let database = TestDatabase::new();
        let ownership = ownership(&database).await;
        let repository = &ownership.repository;
        let older = object("proj_1", "same", "v");
        let mut newer = object("proj_1", "same", "u");
        newer.created_at = 2;
        let foreign = object("proj_2", "same", "w");
        for object in [&newer, &older, &foreign] {
            assert!(repository.add(object).await.expect("added"));
        }
        let named = async || {
            let named = ownership.check_one(&older.owner, ObjectKind::File, "same");
            named.await.map(|object| object.upstream)
        };
        assert_eq!(named().await.expect("the newest"), "u");
        let taken = object("proj_2", "same", "u");
        assert!(
            !repository.add(&taken).await.expect("refused"),
            "another project has it"
        );
        for (after, count) in [(None, 2), (Some("same"), 0)] {
            let page = PageRequest {
                limit: 10,
                after: after.map(str::to_owned),
                before: None,
                order: Order::Descending,
            };
            let list = repository.page(&older.owner, ObjectKind::File, None, &page);
            assert_eq!(list.await.expect("a page").rows.len(), count, "{after:?}");
        }
        repository.set_work(&newer, "x").await.expect("set");
        repository.remove(&newer).await.expect("removed");
        assert_eq!(named().await.expect("the older"), "v");
        let left = ownership.check_one(&older.owner, ObjectKind::File, "same");
        assert_eq!(left.await.expect("the older").work, None);
        repository.remove(&older).await.expect("removed");
        assert!(named().await.is_err());
        let of_other = ownership.check_one(&foreign.owner, ObjectKind::File, "same");
        assert_eq!(of_other.await.expect("its own").upstream, "w");
    }

    #[test]
    fn files_are_found_wherever_they_are_named() {
        let ids = |body: &str| -> Result<Vec<String>> {
            let named = named_files(&Fields::of_json(body.as_bytes(), &FILE_FIELDS)?)?;
            let flat = named
                .into_iter()
                .flat_map(|(param, ids)| ids.into_iter().map(move |id| format!("{param}={id}")));
            Ok(flat.collect())
        };
        for (body, found) in [
            ("{}", ""),
            (r#"{"file_ids":null,"files":null,"file_id":null}"#, ""),
            (r#"{"file_id":"a","x":{"file_id":"b"}}"#, "file_id=a"),
            (r#"{"file_ids":["a","b","a"]}"#, "file_ids=a file_ids=b"),
            (r#"{"file\u005fids":["\u0061"]}"#, "file_ids=a"),
            (r#"{"files":[{"file_id":"a","attributes":{}}]}"#, "files=a"),
        ] {
            assert_eq!(ids(body).expect(body).join(" "), found, "{body}");
        }
        let many: Vec<String> = (0..=MAX_FILES).map(|it| it.to_string()).collect();
        for (body, param) in [
            (r#"{"file_ids":"a"}"#.to_owned(), "file_ids"),
            (
                r#"{"file_ids":["a"],"file_ids":["b"]}"#.to_owned(),
                "file_ids",
            ),
            (
                r#"{"files":[{"file_id":"a","file_id":"b"}]}"#.to_owned(),
                "file_id",
            ),
            (r#"{"file_id":7}"#.to_owned(), "file_id"),
            (
                serde_json::json!({"file_ids": many}).to_string(),
                "file_ids",
            ),
        ] {
            let error = ids(&body).expect_err(&body);
            assert_eq!(
                (error.status.as_u16(), error.param.as_deref()),
                (400, Some(param))
            );
        }
    }
}
