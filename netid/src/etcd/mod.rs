//! Claims in etcd: one store for many hosts.
//!
//! etcd's v3 API is spoken directly, in messages written by hand, so that building needs no `protoc`.

mod claims;
mod connection;
mod error;
mod fence;
mod layout;
mod options;
mod presence;
mod proto;
#[cfg(feature = "etcd-tls")]
mod tls;
mod txn;
mod watch;

pub use claims::EtcdStore;
pub use error::EtcdError;
pub use options::EtcdOptions;
pub use presence::Presence;
pub use watch::EtcdWatch;
