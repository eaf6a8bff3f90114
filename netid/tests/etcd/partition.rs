//! Many claimers, three servers, and what happens to the network between them.
//!
//! The program runs itself once more in user, network and mount namespaces of its own, where it may make networks as
//! root does. Each member has a network namespace there, and two links: one to the clients, one to the other members.

use core::time::Duration;
use std::env;
use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{self, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::Instant;

use tokio::time::sleep;

use crate::claimers::{Claimers, beside_claimers};
use crate::server::{self, Server};

/// Set where the program runs in namespaces of its own.
const INSIDE: &str = "NETID_PARTITION";
const UNSHARE: [&str; 4] = ["--user", "--map-root-user", "--net", "--mount"];

/// What this machine lacks, if anything.
pub(crate) fn lacking() -> Option<&'static str> {
    static LACKING: OnceLock<Option<String>> = OnceLock::new();
    LACKING.get_or_init(find_lacking).as_deref()
}

fn find_lacking() -> Option<String> {
    if server::missing() {
        return Some(server::HOW_TO_GET_IT.into());
    }
    if Command::new("ip").arg("-V").output().is_err() {
        return Some(
            "the program `ip` is missing: install it (Debian: apt-get install iproute2)".into(),
        );
    }
    let try_it =
        Command::new("unshare").args(UNSHARE).args(["ip", "link", "set", "lo", "up"]).output();
    match try_it {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!(
            "user and network namespaces are not to be had: {}; allow them (sysctl user.max_user_namespaces)",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(_) => Some(
            "the program `unshare` is missing: install it (Debian: apt-get install util-linux)"
                .into(),
        ),
    }
}

/// Whether this is the program that was started in namespaces of its own.
pub(crate) fn is_inside() -> bool {
    env::var_os(INSIDE).is_some()
}

pub(crate) fn no_key_is_held_twice() {
    let mut inside = Command::new("unshare")
        .args(UNSHARE)
        .arg(env::current_exe().unwrap())
        .env(INSIDE, "yes")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    // Its input stays open for as long as this program lives.
    let input = inside.stdin.take();
    let status = inside.wait().unwrap();
    drop(input);
    assert!(status.success(), "in namespaces of its own: {status}");
}

/// What the program does there.
pub(crate) fn inside() {
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        process::exit(1);
    });
    beside_claimers(in_a_network);
}

async fn in_a_network() {
    make_network();
    let members = MEMBERS.map(|name| {
        let [client, peer] = NETWORKS.map(|network| address(network, name));
        let client = format!("http://{client}:2379");
        let peer = format!("http://{peer}:2380");
        Server::at(name, &["ip", "netns", "exec", name], client, peer)
    });
    let all = members.each_ref();
    for member in &members {
        member.start(&all);
    }
    for member in &members {
        member.wait();
    }
    let claimers = Claimers::start(&members);
    claimers.progress("at first").await;
    let one = |leads: bool| {
        let found = (0..members.len()).find(|&number| members[number].leads() == leads);
        found.expect("a leader and followers")
    };
    let others_lead = async |cut: usize| {
        let start = Instant::now();
        let others = || members.iter().enumerate().filter(move |(number, _)| *number != cut);
        while !others().any(|(_, member)| member.leads()) {
            assert!(start.elapsed() < Duration::from_secs(30), "the others have no leader");
            sleep(Duration::from_millis(50)).await;
        }
    };

    let cut = one(true);
    link(cut, "clients", "down");
    link(cut, "peers", "down");
    assert!(!is_reachable(&members[cut]));
    others_lead(cut).await;
    claimers.progress("without the leader").await;
    link(cut, "clients", "up");
    link(cut, "peers", "up");
    members[cut].wait();
    claimers.progress("with the old leader back").await;

    let cut = one(false);
    link(cut, "clients", "down");
    link(cut, "peers", "down");
    assert!(!is_reachable(&members[cut]));
    claimers.progress("without a follower").await;
    link(cut, "clients", "up");
    link(cut, "peers", "up");
    members[cut].wait();
    claimers.progress("with the follower back").await;

    // Those who ask the old leader reach it, and it does not know at first that the others go on without it.
    let cut = one(true);
    link(cut, "peers", "down");
    assert!(is_reachable(&members[cut]));
    claimers.progress("when the leader loses the members").await;
    others_lead(cut).await;
    claimers.progress("without the leader that clients reach").await;
    assert!(!members[cut].leads(), "a leader without a majority");
    link(cut, "peers", "up");
    members[cut].wait();
    claimers.progress("with that leader back").await;

    // Nobody has a majority, and everybody can be asked.
    for cut in 0..members.len() {
        link(cut, "peers", "down");
    }
    sleep(Duration::from_secs(2)).await;
    for cut in 0..members.len() {
        link(cut, "peers", "up");
    }
    claimers.progress("after all were apart").await;

    claimers.finish(&members[2]).await;
}

const MEMBERS: [&str; 3] = ["a", "b", "c"];
/// The bridges.
const NETWORKS: [&str; 2] = ["clients", "peers"];

fn make_network() {
    ip("link set lo up");
    // Where `ip` keeps its namespaces; nobody else sees this one.
    run("mount", "-t tmpfs none /run");
    for network in NETWORKS {
        ip(&format!("link add {network} type bridge"));
        ip(&format!("link set {network} up"));
    }
    ip(&format!("addr add {}/24 dev clients", address("clients", "")));
    for (number, member) in MEMBERS.iter().enumerate() {
        ip(&format!("netns add {member}"));
        ip(&format!("-n {member} link set lo up"));
        for network in NETWORKS {
            let port = port(number, network);
            ip(&format!("link add {port} type veth peer name {network} netns {member}"));
            ip(&format!("link set {port} master {network} up"));
            ip(&format!("-n {member} addr add {}/24 dev {network}", address(network, member)));
            ip(&format!("-n {member} link set {network} up"));
        }
    }
}

/// The address of a member in a network, or of the bridge.
fn address(network: &str, member: &str) -> String {
    let network = NETWORKS.iter().position(|name| *name == network).unwrap();
    let host = MEMBERS.iter().position(|name| *name == member).map_or(1, |number| number + 2);
    format!("10.0.{network}.{host}")
}

/// The port of a bridge at which a member is.
fn port(member: usize, network: &str) -> String {
    format!("{network}-{}", MEMBERS[member])
}

/// Cuts or heals what joins a member to a network.
fn link(member: usize, network: &str, state: &str) {
    ip(&format!("link set {} {state}", port(member, network)));
}

fn ip(arguments: &str) {
    run("ip", arguments);
}

fn run(program: &str, arguments: &str) {
    let output = Command::new(program).args(arguments.split(' ')).output().unwrap();
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments}: {problem}");
}

/// Whether a client gets through to a member.
fn is_reachable(member: &Server) -> bool {
    let address: SocketAddr = member.client.trim_start_matches("http://").parse().unwrap();
    TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok()
}
