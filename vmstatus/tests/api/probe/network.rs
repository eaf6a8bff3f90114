//! Banners and names, and those who never answer.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use tokio::net::TcpListener;
use vmstatus::probe::{ProbeError, read_banner, resolve_name};

use super::world::{SECOND, Scratch, has, rerun, server, stage};

#[tokio::test]
async fn banners_are_read_within_their_deadline() {
    let good = server(&[b"welcome\r\nSSH-2.", b"0-OpenSSH_9.6\r", b"\nkex"], SECOND).await;
    assert_eq!(read_banner(good, 9 * SECOND).await.unwrap().as_str(), "SSH-2.0-OpenSSH_9.6");

    let mute = server(&[b"SSH-2.0-half"], 60 * SECOND).await;
    let error = read_banner(mute, SECOND / 20).await.unwrap_err();
    assert!(matches!(error, ProbeError::TimedOut { .. }), "{error}");

    let short = server(&[b"SSH-2.0-half"], Duration::ZERO).await;
    let error = read_banner(short, 9 * SECOND).await.unwrap_err();
    assert!(matches!(error, ProbeError::Closed { .. }), "{error}");

    let endless = server(&[&[b'x'; 300]], 60 * SECOND).await;
    let error = read_banner(endless, 9 * SECOND).await.unwrap_err();
    assert!(matches!(error, ProbeError::NotSsh { .. }), "{error}");

    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = read_banner(gone, 9 * SECOND).await.unwrap_err();
    assert!(matches!(error, ProbeError::Io { .. }) && !error.is_ours(), "{error}");
}

#[tokio::test]
async fn a_server_that_sends_without_end_does_not_fill_the_memory() {
    // Short lines for ever: the thirty-third ends it.
    let chatter = server(&[&[b'\n'; 1 << 13] as &[u8]; 64], 60 * SECOND).await;
    let error = read_banner(chatter, 9 * SECOND).await.unwrap_err();
    assert!(matches!(error, ProbeError::NotSsh { .. }), "{error}");
}

#[tokio::test]
async fn names_are_asked_of_the_system() {
    let found = resolve_name("localhost", 9 * SECOND).await.unwrap();
    assert!(found.iter().all(std::net::Ipv4Addr::is_loopback));
    assert!(resolve_name("not a name\u{0}", 9 * SECOND).await.is_err());
}

/// In namespaces of its own, where the only name server takes every question and answers none.
#[test]
fn a_resolver_that_hangs_holds_up_nobody() {
    const UNSHARE: [&str; 5] = ["unshare", "-Urnm", "sh", "-c", "ip link set lo up"];
    if let Some(resolv_conf) = stage() {
        let etc = Path::new("/etc/resolv.conf");
        let none: Option<&str> = None;
        mount(Some(resolv_conf.as_str()), etc, none, MsFlags::MS_BIND, none).unwrap();
        return ask_in_vain();
    }
    if !has(&UNSHARE, "the resolver is made to hang in namespaces of its own") {
        return;
    }
    let scratch = Scratch::new();
    let resolv_conf = scratch.file("resolv.conf");
    std::fs::write(&resolv_conf, "nameserver 127.0.0.1\noptions timeout:30 attempts:1\n").unwrap();
    let begun = Instant::now();
    let before = ["unshare", "-Urnm", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""];
    let test = "probe::network::a_resolver_that_hangs_holds_up_nobody";
    rerun(test, &before, resolv_conf.to_str().unwrap());
    // It did not stay until the resolver gave up.
    assert!(begun.elapsed() < 20 * SECOND, "{:?}", begun.elapsed());
}

fn ask_in_vain() {
    let mute = std::net::UdpSocket::bind("127.0.0.1:53").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let begun = Instant::now();
        let mut asked = tokio::task::JoinSet::new();
        for vm in 0..100 {
            asked.spawn(async move { resolve_name(&format!("vm{vm}.example"), SECOND / 5).await });
        }
        for found in asked.join_all().await {
            assert_eq!(found.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
        }
        assert!(begun.elapsed() < 9 * SECOND, "{:?}", begun.elapsed());
        // A hundred threads hang, and whoever asks for something else is served.
        assert!(!resolve_name("localhost", 9 * SECOND).await.unwrap().is_empty());
    });
    // The questions have come, and were not refused.
    let mut question = [0; 512];
    assert!(mute.recv(&mut question).unwrap() > 12);
}
