//! One VM from its name to its running state and back, through all five crates, on the real kernel.
//!
//! It names the VM, claims name, id, address and port for one owner, makes a bridge, a TAP, masquerading and a port
//! forward, starts a guest on the TAP, follows its status from evidence, and takes everything down again, with proof
//! that the host is as before. The guest is a TCP/IP stack in this process: no hypervisor and no root are needed.
//!
//! ```sh
//! cargo run --release --example vm_lifecycle
//! cargo run --release --example vm_lifecycle -- --name "Zweites Gerät" --json
//! cargo run --release --example vm_lifecycle -- --help
//! ```
//!
//! With `--netns NAME` it works in a namespace that outlives it (`ip netns add NAME` makes one). Killed in there at any
//! moment (`--crash-at`), the next run finds what is left by its tags, cleans it up and succeeds.

use clap::Parser;
use examples::crash::Moment;
use examples::guest::{self, Guest};
use examples::identity::{Identity, Pools, now};
use examples::place;
use examples::report::Report;
use examples::signals::Stop;
use examples::watch::Watch;
use hostnet::{
    Attachment, AttachmentId, Desired, DeviceName, Forward, Host, Network, NetworkName, Observed,
    Owner, Step, Subject, TapOptions, garbage, plan, teardown,
};
use ipnet::{IpNet, Ipv4Net};
use ippool::{Addresses, Ports};
use netid::{ClaimKey, ClaimStore as _, MemoryStore, NameScheme, Role};
use serde_json::json;
use std::collections::BTreeSet;
use std::error::Error;
use std::net::Ipv4Addr;
use std::num::{NonZeroU16, NonZeroUsize};
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use vmname::sanitize;
use vmstatus::Status;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// One VM from its name to its running state and back, on the real kernel, without root.
#[derive(Parser)]
struct Arguments {
    /// What the user typed as the VM's name
    #[arg(long, default_value = "My Awesome VM!")]
    name: String,
    /// The gateway's address with the prefix that guests get theirs from
    #[arg(long, default_value = "172.16.0.1/16", value_parser = gateway)]
    gateway: Ipv4Net,
    /// The host's ports that may lead to guests, first and last
    #[arg(long, default_value = "22001-32000", value_parser = ports)]
    ports: RangeInclusive<u16>,
    /// The TAP's name, instead of the one derived from the id
    #[arg(long)]
    tap: Option<DeviceName>,
    /// Work in this network namespace, which outlives the process, instead of one of its own
    #[arg(long, value_name = "NAME")]
    netns: Option<String>,
    /// Leave the running VM up until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
    /// End as if by `kill -9` after a stage (claimed, planned, applied, started, initializing, booting, running,
    /// removed) or before a step (apply:N, remove:N)
    #[arg(long, value_name = "MOMENT")]
    crash_at: Option<Moment>,
}

/// How long a status may take to be reached before the example gives up.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match start(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Leaves the machine's network before any thread starts, then runs.
fn start(arguments: &Arguments) -> Outcome {
    let report = if arguments.json { Report::Json } else { Report::Text };
    let lifecycle = Lifecycle::prepare(arguments, report)?;
    hostnet::check_tun()?;
    let place = place::enter(arguments.netns.as_deref())?;
    report.heading("A network of its own");
    report.fact("place", "namespace", place);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(lifecycle.run())?;
    Ok(report.finish()?)
}

struct Lifecycle<'a> {
    arguments: &'a Arguments,
    report: Report,
    base: vmname::BaseName,
    pools: Pools,
    network: Network,
    store: MemoryStore,
}

impl<'a> Lifecycle<'a> {
    /// Everything that can be refused is refused here, before anything is done.
    fn prepare(arguments: &'a Arguments, report: Report) -> Outcome<Self> {
        let base = sanitize(&arguments.name).validate()?;
        let gateway = arguments.gateway;
        let addresses = Addresses::new(gateway.trunc())?.with_gateway(gateway.addr())?;
        let pools = Pools::new(addresses, Ports::new(arguments.ports.clone())?);
        let (name, bridge) = (NetworkName::new("default")?, DeviceName::new("br0")?);
        let network = Network::bridged(name, bridge, IpNet::V4(gateway))?.with_masquerade();
        Ok(Self { arguments, report, base, pools, network, store: MemoryStore::new() })
    }

    async fn run(mut self) -> Outcome {
        let mut stop = Stop::listen()?;
        let host = place::host(Owner::new("lifecycle")?).await?;
        self.recover(&host).await?;
        let before = Before::look(&host).await?;
        self.show_name()?;
        let (owner, identity) = self.claim().await?;
        let desired = self.derive(&identity)?;
        self.apply(&host, &desired).await?;
        let lived = self.live(&host, &desired, &identity, &mut stop).await;
        // Whatever became of the guest, nothing of it is left behind.
        let removed = self.remove(&host, &desired, &before).await;
        let released = self.release(&owner, &identity).await;
        lived.and(removed).and(released)
    }

    fn show_name(&self) -> Outcome {
        let (report, raw) = (self.report, &self.arguments.name);
        report.heading("1. name");
        report.fact("name", "raw", format_args!("{raw:?}"));
        let sanitized = sanitize(raw);
        report.fact("name", "sanitized", sanitized);
        if sanitized.is_fallback() {
            report.fact(
                "name",
                "note",
                "no letter or digit of it survives; any VM may be called so",
            );
        }
        report.fact("name", "validated", format_args!("{} keeps every rule for names", self.base));
        report.fact("name", "preview", vmname::preview(raw)?);
        Ok(())
    }

    /// Finds by its tags what an earlier run left, and removes it.
    async fn recover(&self, host: &Host) -> Outcome {
        let observed = host.observe().await?;
        // This program's claims do not outlive it, so nothing of its own can be alive when it starts.
        let found = garbage(&observed, &BTreeSet::new(), now(), Duration::ZERO)?;
        if found.orphans.is_empty() && found.young.is_empty() && found.half_made.is_empty() {
            return Ok(());
        }
        self.report.heading("Left by an earlier run");
        for orphan in &found.orphans {
            let devices = orphan.devices.join(", ");
            let text = format!("{}: {devices} and {} rules", orphan.subject, orphan.elements);
            self.report.fact("recover", "found", text);
        }
        for device in &found.half_made {
            self.report.fact(
                "recover",
                "found",
                format_args!("{device}, whose making was cut short"),
            );
        }
        let cleanup = found.teardown(&observed)?;
        host.apply(&cleanup).await?;
        check(host.observe().await?.subjects().is_empty(), "what was left is gone")?;
        self.report.fact("recover", "removed", format_args!("in {} steps", cleanup.len()));
        Ok(())
    }

    async fn claim(&mut self) -> Outcome<(netid::Owner, Identity)> {
        let report = self.report;
        report.heading("2. claims: all four or none, for one owner");
        let uid = format!("{:032x}", rand::random::<u128>());
        let owner = netid::Owner::new("vm", self.base.as_str(), &uid)?;
        let identity = Identity::claim(&self.store, &owner, self.base, &mut self.pools).await?;
        for claim in &identity.claims {
            let text = format!("{} (generation {})", claim.key.value(), claim.generation);
            report.fact("claims", claim.key.kind(), text);
        }
        self.crash_after("claimed");
        Ok((owner, identity))
    }

    fn derive(&self, identity: &Identity) -> Outcome<Desired> {
        let report = self.report;
        let scheme = NameScheme::UNDERSCORED;
        let derived = scheme.name(Role::Tap, identity.id);
        let tap =
            self.arguments.tap.clone().map_or_else(|| DeviceName::new(derived.as_str()), Ok)?;
        report.heading("3. derived from the id, so that one claim covers them all");
        report.fact("devices", "tap", &tap);
        for (name, role) in [("veth host", Role::VethHost), ("veth ns", Role::VethNamespace)] {
            report.fact("devices", name, scheme.name(role, identity.id));
        }
        report.fact("devices", "namespace", scheme.name(Role::Namespace, identity.id));
        report.fact("devices", "mac", identity.id.mac());

        let mut desired = Desired::new(Owner::new("lifecycle")?);
        desired.add_network(self.network.clone())?;
        let attachment = Attachment::tap(
            AttachmentId::new(&identity.id.to_string())?,
            self.network.name().clone(),
            tap,
            identity.id.mac(),
            identity.address.into(),
        )?;
        desired.add_attachment(
            attachment
                .with_generation(identity.generation())
                .with_forward(Forward::tcp(port(identity.port)?, port(22)?)),
        )?;
        Ok(desired)
    }

    async fn apply(&self, host: &Host, desired: &Desired) -> Outcome {
        let report = self.report;
        let plan = plan(desired, &host.observe().await?)?;
        let steps = plan.len();
        report.heading(format_args!("4. the plan: {steps} steps, as commands that do the same"));
        report.block("plan", "commands", &plan);
        self.crash_after("planned");

        report.heading("5. applied over netlink");
        let crash = self.arguments.crash_at.clone();
        let progress = move |step: Step<'_>| {
            if let Step::Starting(n, _) = step {
                Moment::reached(crash.as_ref(), &Moment::Applying(n + 1));
            }
        };
        let applied = host.apply_with(&plan, progress).await?;
        report.fact("apply", "done", format_args!("{} steps", applied.steps));
        let again = host.ensure(desired).await?;
        check(again.steps == 0, "applying again changes nothing")?;
        report.fact("apply", "again", "nothing left to do");
        self.crash_after("applied");
        Ok(())
    }

    /// Starts the guest and follows its status until it runs for the second time.
    async fn live(
        &self,
        host: &Host,
        desired: &Desired,
        identity: &Identity,
        stop: &mut Stop,
    ) -> Outcome {
        let report = self.report;
        let attachment = desired.attachments().next().ok_or("no attachment")?;
        let folder = tempfile::tempdir()?;
        let home = folder.path().join(identity.name.as_str());
        report.heading("6. a guest on the TAP (a TCP/IP stack in this process), and its status");
        let ssh = (Ipv4Addr::LOCALHOST, identity.port).into();
        let subnet = self.arguments.gateway.trunc();
        let mut watch = Watch::new(identity.name.as_str(), home.clone(), subnet, ssh)
            .with_neighbours_of(host, self.network.name());
        self.tell(&watch, "missing", "no folder");
        self.follow(&mut watch, stop, |status| *status == Status::Missing).await?;
        std::fs::create_dir(&home)?;
        self.follow(&mut watch, stop, |status| *status == Status::Stopped).await?;

        // The guest is a thread of this process, so the process is its process.
        let pid_file = home.join(format!("{}.pid", identity.name));
        std::fs::write(&pid_file, std::process::id().to_string())?;
        let mut guest = start_guest(attachment, self.arguments.gateway, identity, &home)?;
        self.crash_after("started");
        let running = |status: &Status| matches!(status, Status::Running(_));
        self.follow(&mut watch, stop, running).await?;
        let first_boot = watch.boots();
        self.tell(
            &watch,
            "running",
            "the guest reboots now; in its second boot the console tells the address",
        );
        self.follow(&mut watch, stop, |status| !running(status)).await?;
        self.follow(&mut watch, stop, running).await?;
        check(watch.boots() > first_boot, "the second boot was told from the first")?;
        self.crash_after("running");
        if self.arguments.keep {
            // The port is the namespace's, and so a client has to be in there.
            let port = identity.port;
            let inside = self.arguments.netns.as_ref().map_or_else(
                || format!("nsenter -t {} -U -n --preserve-credentials", std::process::id()),
                |name| format!("ip netns exec {name}"),
            );
            report.fact("status", "kept up", "until Ctrl-C; from another terminal try");
            report.fact("status", "", format_args!("{inside} ip -br address"));
            let banner = format!("bash -c 'head -n 1 < /dev/tcp/127.0.0.1/{port}'");
            report.fact("status", "", format_args!("{inside} {banner}"));
            stop.wait().await;
        }
        guest.stop();
        std::fs::remove_file(&pid_file)?;
        self.follow(&mut watch, stop, |status| !status.is_alive()).await
    }

    /// Looks again and again, and tells of every change, until the status is as wanted.
    async fn follow(
        &self,
        watch: &mut Watch,
        stop: &mut Stop,
        wanted: impl Fn(&Status) -> bool,
    ) -> Outcome {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !wanted(watch.status()) {
            let change = watch.look().await?;
            if let Some(mac) = watch.newly_learned_mac() {
                let text = format!(
                    "the console's IPv6 row tells the MAC, {mac}: neighbours are searched for it"
                );
                self.tell(watch, watch.status().as_str(), text);
            }
            if let Some(change) = change {
                if let Status::Running(running) = change.to() {
                    check(!running.ipv4().is_unspecified(), "running has an address")?;
                    check(running.answer().banner().as_str().starts_with("SSH-"), "and a banner")?;
                }
                self.tell(watch, change.to().as_str(), change.reason());
                self.crash_after(change.to().as_str());
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
                () = stop.wait() => return Err("interrupted; everything is taken down".into()),
            }
            let late = tokio::time::Instant::now() > deadline;
            check(!late, "the guest comes as far as it should in 30 s")?;
        }
        Ok(())
    }

    fn tell(&self, watch: &Watch, status: &str, evidence: impl std::fmt::Display) {
        let time = watch.elapsed().as_secs_f64();
        let evidence = evidence.to_string();
        let text = format!("{time:>6.2} s  {status:<12}  {evidence}");
        let fields = [("time", json!(time)), ("to", json!(status)), ("evidence", json!(evidence))];
        self.report.say("status", fields, text);
    }

    async fn remove(&self, host: &Host, desired: &Desired, before: &Before) -> Outcome {
        let report = self.report;
        report.heading("7. taken down");
        let subjects: BTreeSet<Subject> = host.observe().await?.subjects();
        let plan = teardown(&subjects, &host.observe().await?)?;
        report.block("remove", "commands", &plan);
        let crash = self.arguments.crash_at.clone();
        let progress = move |step: Step<'_>| {
            if let Step::Starting(n, _) = step {
                Moment::reached(crash.as_ref(), &Moment::Removing(n + 1));
            }
        };
        host.apply_with(&plan, progress).await?;
        self.crash_after("removed");

        report.heading("8. the host is as before");
        let after = Before::look(host).await?;
        for (what, same) in before.compare(&after) {
            check(same, what)?;
            report.fact("proof", what, "as before");
        }
        report.fact("proof", "ip_forward", "left on by design: others may have come to rely on it");
        check(host.observe_for(desired).await?.subjects().is_empty(), "nothing of ours is left")?;
        Ok(())
    }

    async fn release(&mut self, owner: &netid::Owner, identity: &Identity) -> Outcome {
        // Stale neighbour entries elsewhere may still lead here: the address rests for a minute.
        let rest = |key: &ClaimKey| match key.kind() {
            ClaimKey::ADDRESS => Duration::from_secs(60),
            _ => Duration::ZERO,
        };
        let released = self.store.release(&identity.claims, rest, now()).await?;
        check(
            released.iter().all(|(_, outcome)| outcome.is_released()),
            "all claims are released",
        )?;
        self.pools.addresses.release(identity.address, 1, now())?;
        self.pools.ports.release(identity.port, 1, now())?;
        let left = self.store.list("", None, NonZeroUsize::MIN).await?;
        let none = left.is_empty() && self.store.claims_of(owner).await?.is_empty();
        check(none, "the claims are free again")?;
        let text = format!("{} released, none left", released.len());
        self.report.fact("proof", "claims", text);
        // In the smallest networks there is no other: then none is handed out at all.
        let next = self.pools.addresses.allocate(2, now()).ok().map(|grant| grant.item);
        check(next != Some(identity.address), "a released address is not handed out at once")?;
        self.report.fact(
            "proof",
            "address",
            format_args!("{} rests for a minute", identity.address),
        );
        Ok(())
    }

    fn crash_after(&self, stage: &str) {
        Moment::stage(self.arguments.crash_at.as_ref(), stage);
    }
}

/// What must be the same before and after.
#[derive(Debug, PartialEq, Eq)]
struct Before {
    observed: Observed,
    routes: BTreeSet<String>,
}

impl Before {
    async fn look(host: &Host) -> Outcome<Self> {
        let mut routes = BTreeSet::new();
        for file in ["/proc/thread-self/net/route", "/proc/thread-self/net/ipv6_route"] {
            // A kernel without IPv6 has no such file.
            let table = std::fs::read_to_string(file).unwrap_or_default();
            routes.extend(table.lines().map(without_counters));
        }
        Ok(Self { observed: host.observe().await?, routes })
    }

    fn compare(&self, after: &Self) -> [(&'static str, bool); 4] {
        let links = |o: &Observed| -> Vec<_> {
            o.links
                .iter()
                .map(|l| (l.index, l.name.clone(), l.mac, l.mtu, l.up, l.master))
                .collect()
        };
        let addresses = |o: &Observed| -> Vec<_> {
            o.links.iter().map(|l| (l.index, l.addresses.clone())).collect()
        };
        [
            ("links", links(&self.observed) == links(&after.observed)),
            ("addresses", addresses(&self.observed) == addresses(&after.observed)),
            ("routes", self.routes == after.routes),
            ("rules", self.observed.table == after.observed.table),
        ]
    }
}

/// A route's line without the columns that count its uses.
fn without_counters(line: &str) -> String {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let counted = if line.contains('\t') { 4..6 } else { 6..8 };
    let kept = fields.iter().enumerate().filter(|(column, _)| !counted.contains(column));
    kept.map(|(_, field)| *field).collect::<Vec<_>>().join(" ")
}

fn start_guest(
    attachment: &Attachment,
    gateway: Ipv4Net,
    identity: &Identity,
    home: &Path,
) -> Outcome<Guest> {
    let tap = hostnet::open_tap(attachment.tap_name(), TapOptions::default())?;
    let itself = guest::Identity {
        name: identity.name.to_string(),
        mac: identity.id.mac(),
        address: Ipv4Net::new(identity.address, gateway.prefix_len())?,
        gateway: gateway.addr(),
    };
    Ok(Guest::start(itself, tap, &home.join("console.log"))?)
}

/// A fact that must hold for the example to succeed.
fn check(holds: bool, what: &str) -> Outcome {
    if holds { Ok(()) } else { Err(format!("not true: {what}").into()) }
}

fn port(number: u16) -> Outcome<NonZeroU16> {
    Ok(NonZeroU16::new(number).ok_or("port 0 cannot be forwarded; use 1 to 65535")?)
}

fn gateway(text: &str) -> Result<Ipv4Net, String> {
    let parsed = text.parse::<Ipv4Net>().ok().filter(|net| (8..=30).contains(&net.prefix_len()));
    parsed.ok_or_else(|| {
        "give an IPv4 address with a prefix length of 8 to 30, such as 172.16.0.1/16".to_owned()
    })
}

fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let range = text
        .split_once('-')
        .and_then(|(first, last)| Some(first.parse().ok()?..=last.parse().ok()?));
    range.ok_or_else(|| "give the first and the last port, such as 22001-32000".to_owned())
}

/// An error with everything that caused it, on one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
