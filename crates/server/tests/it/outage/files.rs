//! Files that are deleted under a server.

use super::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn low_sqlite_file_deleted_under_a_server_is_not_ready() {
    for name in ["orgplane.db", "orgplane-usage.db", "orgplane.db-wal"] {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("orgplane.db");
        let world = World::start(&format!("sqlite://{}", database.display()));
        world.is_well().await;
        std::fs::remove_file(folder.path().join(name)).expect("a file of the database");
        world.not_ready("deleted or replaced").await;
        world.server.process.wait_for_log(name);
        assert_eq!(world.lines(name), 1, "{}", world.server.process.stderr());
    }
}
