//! Claims in etcd: one store for many hosts.
//!
//! etcd's v3 API is spoken directly, in messages written by hand, so that building needs no `protoc`.

mod attempts;
mod claiming;
mod connection;
mod error;
mod fence;
mod layout;
mod options;
mod presence;
mod proto;
mod reading;
mod releasing;
mod store;
#[cfg(feature = "etcd-tls")]
mod tls;
mod txn;
mod updating;
mod watch;

pub use error::EtcdError;
pub use options::EtcdOptions;
pub use presence::Presence;
pub use store::EtcdStore;
pub use watch::EtcdWatch;
