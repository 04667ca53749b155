//! S18: TLS to a PostgreSQL server, for each `sslmode`.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use store::testing::Cluster;
use store::{Database, Store, sql};
use tempfile::TempDir;

type Authority = CertifiedIssuer<'static, KeyPair>;

/// Access rules: TLS for every user except `plain`; `certified` authenticates by a client certificate.
const HBA: &str = "
hostnossl all plain localhost trust
hostssl all certified localhost cert
hostssl all orgplane localhost scram-sha-256
";
const TLS_ON: &str = "
ssl = on
ssl_cert_file = 'server.pem'
ssl_key_file = 'server.key'
ssl_ca_file = 'clients.pem'
";

/// A server whose certificate names `localhost`, and the files of a client.
struct World {
    cluster: Cluster,
    folder: TempDir,
}

impl World {
    fn start() -> Option<Self> {
        let (servers, clients) = (authority("Servers"), authority("Clients"));
        let server = issue(&servers, "localhost");
        let files = [
            ("server.pem", server.0.as_str()),
            ("server.key", server.1.as_str()),
            ("clients.pem", &clients.pem()),
        ];
        let cluster = Cluster::start(TLS_ON, HBA, &files)?;
        let world = Self {
            cluster,
            folder: tempfile::tempdir().expect("a folder"),
        };
        let client = issue(&clients, "certified");
        world.write("servers.pem", &servers.pem());
        world.write("strangers.pem", &authority("Servers").pem());
        world.write("client.pem", &client.0);
        world.write("client.key", &client.1);
        Some(world)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.file(name), text).expect("our folder");
        self.allow(name, 0o600);
    }

    fn allow(&self, name: &str, mode: u32) {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(self.file(name), mode).expect("our folder");
    }

    /// Opens the store with `parameters` in the URL, where `DIR` is the folder of the client's files.
    async fn open(&self, user: &str, host: &str, parameters: &str) -> Result<Store, String> {
        let parameters = parameters.replace("DIR", &self.folder.path().display().to_string());
        let url = format!("{}?{parameters}", self.cluster.url(user, host));
        Store::open(&url).await.map_err(|error| error.to_string())
    }

    async fn refusal(&self, user: &str, host: &str, parameters: &str) -> String {
        match self.open(user, host, parameters).await {
            Ok(_) => panic!("{user}@{host}?{parameters} was let in"),
            Err(told) => told,
        }
    }

    /// True if all connections are encrypted, false if none is: administration, usage, and a thread's own pool.
    async fn is_encrypted(&self, user: &str, host: &str, parameters: &str) -> bool {
        let store = self.open(user, host, parameters).await;
        let store = store.unwrap_or_else(|told| panic!("{user}@{host}?{parameters}: {told}"));
        let other_thread = store.with_own_pool().expect("a pool");
        let mut reader = store.read().await.expect("a connection");
        let ask = || sql!("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
        let first: bool = reader
            .fetch_one(ask(), |row| row.get("ssl"))
            .await
            .expect("a row");
        for database in [store.usage(), other_thread.usage()] {
            assert_eq!(is_encrypted(database).await, first, "{parameters}");
        }
        first
    }
}

async fn is_encrypted(database: &Database) -> bool {
    let mut session = database.begin().await.expect("a session");
    let ask = sql!("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
    let found = session.fetch_one(ask, |row| row.get("ssl")).await;
    found.expect("a row")
}

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    CertifiedIssuer::self_signed(params, key).expect("a certificate")
}

/// Issues a certificate for a host or a client; returns it and its key in PEM.
fn issue(authority: &Authority, name: &str) -> (String, String) {
    let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    (certificate.pem(), key.serialize_pem())
}

#[tokio::test]
async fn s18_each_sslmode_with_tls_reaches_a_server_that_requires_it() {
    let Some(world) = World::start() else { return };
    for parameters in [
        "application_name=x",
        "sslmode=prefer",
        "sslmode=prefer&sslrootcert=DIR/servers.pem",
        "sslmode=require",
        "sslmode=require&channel_binding=require",
        "sslmode=require&sslrootcert=DIR/servers.pem",
        "sslmode=verify-ca&sslrootcert=DIR/servers.pem",
        "sslmode=verify-full&sslrootcert=DIR/servers.pem",
        "sslrootcert=DIR/servers.pem",
    ] {
        let is_encrypted = world
            .is_encrypted("orgplane", "localhost", parameters)
            .await;
        assert!(is_encrypted, "{parameters}");
    }
    let told = world
        .refusal("orgplane", "localhost", "sslmode=disable")
        .await;
    assert!(told.contains("no encryption"), "{told}");
}

#[tokio::test]
async fn s18_server_with_a_wrong_certificate_is_refused() {
    let Some(world) = World::start() else { return };
    for (parameters, word) in [
        (
            "sslmode=prefer&sslrootcert=DIR/strangers.pem",
            "invalid peer certificate",
        ),
        (
            "sslmode=require&sslrootcert=DIR/strangers.pem",
            "invalid peer certificate",
        ),
        (
            "sslmode=verify-ca&sslrootcert=DIR/strangers.pem",
            "invalid peer certificate",
        ),
        (
            "sslmode=verify-full&sslrootcert=DIR/strangers.pem",
            "invalid peer certificate",
        ),
        ("sslmode=verify-full&sslrootcert=system", "TLS"),
        (
            "sslmode=verify-full&sslrootcert=DIR/absent.pem",
            "absent.pem",
        ),
        (
            "sslmode=verify-full&sslrootcert=DIR/client.key",
            "client.key",
        ),
    ] {
        let told = world.refusal("orgplane", "localhost", parameters).await;
        assert!(told.contains(word), "{parameters}: {told}");
    }
    // The certificate names the host, not its address.
    let full = "sslmode=verify-full&sslrootcert=DIR/servers.pem";
    let told = world.refusal("orgplane", "127.0.0.1", full).await;
    assert!(told.contains("not valid for name"), "{told}");
    let named = format!("{full}&hostaddr=127.0.0.1");
    assert!(world.is_encrypted("orgplane", "localhost", &named).await);
    let chain = "sslmode=verify-ca&sslrootcert=DIR/servers.pem";
    assert!(world.is_encrypted("orgplane", "127.0.0.1", chain).await);
}

#[tokio::test]
async fn s18_client_certificate_authenticates() {
    let Some(world) = World::start() else { return };
    let make = "CREATE ROLE certified LOGIN SUPERUSER; CREATE ROLE plain LOGIN SUPERUSER";
    world.cluster.execute("postgres", &[make]);
    let told = world
        .refusal("certified", "localhost", "sslmode=require")
        .await;
    assert!(told.contains("certificate"), "{told}");
    let shown = "sslmode=require&sslcert=DIR/client.pem&sslkey=DIR/client.key";
    assert!(world.is_encrypted("certified", "localhost", shown).await);
    let told = world.refusal("plain", "localhost", "sslmode=require").await;
    assert!(told.contains("no pg_hba.conf entry"), "{told}");
    assert!(
        !world
            .is_encrypted("plain", "localhost", "sslmode=disable")
            .await
    );

    world.allow("client.key", 0o644);
    let told = world.refusal("certified", "localhost", shown).await;
    assert!(told.contains("0600"), "{told}");
}

#[tokio::test]
async fn s18_server_without_tls_is_used_only_if_allowed() {
    let Some(cluster) = Cluster::start("", "", &[]) else {
        return;
    };
    let world = World {
        cluster,
        folder: tempfile::tempdir().expect("a folder"),
    };
    for parameters in ["sslmode=disable", "sslmode=prefer", "application_name=x"] {
        let is_encrypted = world
            .is_encrypted("orgplane", "localhost", parameters)
            .await;
        assert!(!is_encrypted, "{parameters}");
    }
    for parameters in ["sslmode=require", "sslmode=verify-full"] {
        let told = world.refusal("orgplane", "localhost", parameters).await;
        assert!(told.contains("does not support TLS"), "{told}");
    }
    let bound = "channel_binding=require";
    let told = world.refusal("orgplane", "localhost", bound).await;
    assert!(told.contains("authentication"), "{told}");
}
