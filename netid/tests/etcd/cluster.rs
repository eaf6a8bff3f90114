//! Many claimers, three servers, and what happens to servers.

use core::time::Duration;

use tokio::time::sleep;

use crate::claimers::{Claimers, beside_claimers};
use crate::server::Server;

pub(crate) async fn no_key_is_held_twice() {
    beside_claimers(in_a_cluster);
}

async fn in_a_cluster() {
    let members = ["a", "b", "c"].map(Server::new);
    let all = members.each_ref();
    for member in &members {
        member.start(&all);
    }
    for member in &members {
        member.wait();
    }
    let claimers = Claimers::start(&members);

    claimers.progress("at first").await;
    let leader = || members.iter().find(|member| member.leads()).expect("a leader");
    let follower = || members.iter().find(|member| !member.leads()).expect("a follower");

    let killed = leader();
    killed.kill();
    claimers.progress("without the leader").await;
    killed.start(&all);
    killed.wait();
    claimers.progress("with the old leader back").await;

    let paused = follower();
    paused.signal("-STOP");
    claimers.progress("while a follower is paused").await;
    paused.signal("-CONT");
    claimers.progress("with the follower back").await;

    let paused = leader();
    paused.signal("-STOP");
    claimers.progress("while the leader is paused").await;
    paused.signal("-CONT");
    claimers.progress("with the paused leader back").await;

    // Without a majority nothing is acknowledged, and afterwards it goes on.
    let (first, second) = (&members[0], &members[1]);
    first.kill();
    second.kill();
    sleep(Duration::from_secs(2)).await;
    first.start(&all);
    second.start(&all);
    claimers.progress("after the majority was away").await;

    claimers.finish(&members[2]).await;
}
