//! Users and TLS.

use std::process::Command;

use netid::{
    ClaimStore as _, ClaimWatch as _, EtcdError, EtcdStore, KeyState, WatchClaims as _, WatchEvent,
};

use crate::edge::{NOW, owner, port};
use crate::server::Server;

/// A server with a root user, and a user who may do everything under one root.
pub(crate) fn with_users() -> Server {
    with_users_and(&[])
}

fn with_users_and(extra: &[&str]) -> Server {
    let server = Server::alone(extra);
    for arguments in [
        &["user", "add", "root:top secret"][..],
        &["user", "grant-role", "root", "root"],
        &["user", "add", "vms:secret"],
        &["role", "add", "vms"],
        &["role", "grant-permission", "vms", "--prefix=true", "readwrite", "/vms/"],
        &["user", "grant-role", "vms", "vms"],
        &["auth", "enable"],
    ] {
        server.etcdctl(arguments);
    }
    server
}

pub(crate) async fn authenticates() {
    let server = with_users();
    let options = server.options().with_root("/vms").with_user("vms", "secret");
    let store = EtcdStore::connect(&options).await.unwrap();
    let claims = store.claim(&owner("a"), &[port(1)], NOW).await.unwrap();
    // A restart makes all tokens void; nobody notices.
    server.kill();
    server.start(&[&server]);
    assert_eq!(store.claims_of(&owner("a")).await.unwrap(), claims);
}

/// Signed tokens are void once anything about users, roles or permissions has changed.
pub(crate) async fn goes_on_when_users_change() {
    let folder = crate::server::fresh_folder();
    let [private, public] =
        ["private", "public"].map(|name| folder.join(name).display().to_string());
    for arguments in
        [format!("genrsa -out {private} 2048"), format!("rsa -in {private} -pubout -out {public}")]
    {
        let output = Command::new("openssl").args(arguments.split(' ')).output();
        let output = output.expect("the program `openssl` (Debian: apt-get install openssl)");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let token = format!("jwt,pub-key={public},priv-key={private},sign-method=RS256,ttl=10m");
    let server = with_users_and(&["--auth-token", &token]);
    let options = server.options().with_root("/vms").with_user("vms", "secret");
    let store = EtcdStore::connect(&options).await.unwrap();
    let mut watch = store.watch("").await.unwrap();
    assert_eq!(watch.next().await.unwrap(), WatchEvent::Snapshot(vec![]));
    for number in 1..=3 {
        let role = format!("role-{number}");
        server.etcdctl(&["--user", "root:top secret", "role", "add", &role]);
        let claims = store.claim(&owner("a"), &[port(number)], NOW).await.unwrap();
        let told = claims.into_iter().map(KeyState::Held).collect();
        assert_eq!(watch.next().await.unwrap(), WatchEvent::Changes(told));
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

pub(crate) async fn refuses_a_wrong_password() {
    let server = with_users();
    let options = server.options().with_root("/vms").with_user("vms", "not it");
    match EtcdStore::connect(&options).await.unwrap_err() {
        EtcdError::Refused { message, .. } => {
            assert!(message.contains("authentication failed"), "{message}");
            assert!(!message.contains("not it"));
        }
        other => panic!("{other:?}"),
    }
    let nobody = EtcdStore::connect(&server.options().with_root("/vms")).await.unwrap_err();
    assert!(matches!(nobody, EtcdError::Refused { .. }), "{nobody:?}");
}

pub(crate) async fn respects_permissions() {
    let server = with_users();
    let options = server.options().with_root("/others").with_user("vms", "secret");
    match EtcdStore::connect(&options).await.unwrap_err() {
        EtcdError::Refused { message, .. } => assert!(message.contains("permission denied")),
        other => panic!("{other:?}"),
    }
}

#[cfg(feature = "etcd-tls")]
pub(crate) use tls::{refuses_a_strange_certificate, speaks_tls};

#[cfg(feature = "etcd-tls")]
mod tls {
    use std::path::Path;
    use std::process::Command;
    use std::sync::Arc;

    use netid::{ClaimStore as _, EtcdError, EtcdOptions, EtcdStore};
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ClientConfig, RootCertStore};

    use crate::edge::{NOW, owner, port};
    use crate::server::Server;

    fn openssl(folder: &Path, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(folder)
            .output()
            .expect("the program `openssl` (Debian: apt-get install openssl)");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// An authority, and the certificates of a server and of a client.
    fn certificates(folder: &Path) {
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
        openssl(folder, &format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=authority"));
        std::fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost").unwrap();
        for (name, extra) in [("server", "-extfile names"), ("client", "-extfile names")] {
            openssl(
                folder,
                &format!(
                    "req {} -keyout {name}.key -out {name}.csr -subj /CN={name}",
                    key.replace(" -days 2", "")
                ),
            );
            openssl(
                folder,
                &format!(
                    "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out {name}.pem {extra}"
                ),
            );
        }
    }

    fn start() -> (Server, std::path::PathBuf) {
        let folder = crate::server::fresh_folder();
        certificates(&folder);
        let path = |name: &str| folder.join(name).display().to_string();
        let server = Server::alone(&[
            "--cert-file",
            &path("server.pem"),
            "--key-file",
            &path("server.key"),
            "--trusted-ca-file",
            &path("ca.pem"),
            "--client-cert-auth",
        ]);
        (server, folder)
    }

    /// With cryptography that needs no C.
    fn config(folder: &Path, authority: &str) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(folder.join(authority)).unwrap()).unwrap();
        let certificate = CertificateDer::from_pem_file(folder.join("client.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(folder.join("client.key")).unwrap();
        let provider = Arc::new(rustls_graviola::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], key)
            .unwrap();
        Arc::new(config)
    }

    pub(crate) async fn speaks_tls() {
        let (server, folder) = start();
        let options = server.options().with_tls(config(&folder, "ca.pem"));
        let store = EtcdStore::connect(&options).await.unwrap();
        let claims = store.claim(&owner("a"), &[port(1)], NOW).await.unwrap();
        assert_eq!(store.claims_of(&owner("a")).await.unwrap(), claims);

        // Plain endpoints and a TLS configuration are a mistake, not a choice.
        let plain = EtcdOptions::new(["http://127.0.0.1:1"]).with_tls(config(&folder, "ca.pem"));
        let error = EtcdStore::connect(&plain).await.unwrap_err();
        assert_eq!(error, EtcdError::Tls { endpoint: "http://127.0.0.1:1".into() });
        std::fs::remove_dir_all(&folder).unwrap();
    }

    pub(crate) async fn refuses_a_strange_certificate() {
        let (server, folder) = start();
        let stranger = config(&folder, "client.pem");
        let options = server.options().with_tls(stranger);
        let options = options.with_deadline(std::time::Duration::from_secs(5));
        match EtcdStore::connect(&options).await.unwrap_err() {
            EtcdError::Unanswered { last, .. } => {
                assert!(last.contains("certificate"), "{last}");
            }
            other => panic!("{other:?}"),
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
