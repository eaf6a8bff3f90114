//! The kernel and the in-memory one as one thing to be tried out, and what was said and found on each.

use crate::world::{Outcome, Stranger, block_on};
use core::fmt::Display;
use core::pin::Pin;
use hostnet::fake::Fake;
use hostnet::{
    Desired, DeviceName, Host, Link, LinkSetting, Observed, Owner, Plan, Role, Subject, Table,
};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

type Case = for<'a> fn(&'a mut Ground) -> Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// Runs a case on each; it must hold on both, and both must have said and found the same at every step.
pub(crate) fn on_both(case: Case) -> Outcome {
    // A new namespace has what its machine has, of which the in-memory one knows nothing.
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "0")?;
    let mut logs = Vec::new();
    for (which, fake) in [("the kernel", None), ("the in-memory one", Some(Fake::new()))] {
        let mut ground = Ground::new("demo", fake)?;
        block_on(case(&mut ground)).map_err(|error| format!("on {which}: {error}"))?;
        logs.push(ground.log);
    }
    let [kernel, fake] = logs.try_into().map_err(|_more_or_less| "not two")?;
    if let Some((at, (kernel, fake))) =
        kernel.iter().zip(&fake).enumerate().find(|(_, (kernel, fake))| kernel != fake)
    {
        return Err(format!("{at}\nthe kernel: {kernel}\nthe in-memory one: {fake}").into());
    }
    assert_eq!(kernel.len(), fake.len());
    assert!(!kernel.is_empty(), "nothing was compared");
    Ok(())
}

/// A host to try things out on, and the little that strangers do there.
pub(crate) struct Ground {
    host: Host,
    fake: Option<Fake>,
    log: Vec<String>,
}

impl Ground {
    fn new(owner: &str, fake: Option<Fake>) -> Result<Self, Box<dyn Error>> {
        let owner = Owner::new(owner)?;
        let host = match &fake {
            Some(fake) => Host::fake(owner, fake)?,
            None => Host::open(owner)?,
        };
        Ok(Self { host, fake, log: Vec::new() })
    }

    /// The same place as another owner sees it.
    pub(crate) fn beside(&self, owner: &str) -> Result<Self, Box<dyn Error>> {
        Self::new(owner, self.fake.clone())
    }

    pub(crate) const fn host(&self) -> &Host {
        &self.host
    }

    /// Notes what came of something. Of a device's index only that there is one, since the two count differently.
    pub(crate) fn note(&mut self, what: &str, came: Result<impl Display, impl Display>) {
        let text = match came {
            Ok(done) => format!("{what}: {done}"),
            Err(error) => format!("{what}: error: {error}"),
        };
        let mut parts = text.split("(index ");
        let mut noted = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            noted.push_str("(index N");
            noted.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
        }
        self.log.push(noted);
    }

    /// Notes it and goes on with what was done.
    fn done<T: Display, E: Error + 'static>(
        &mut self,
        what: &str,
        came: Result<T, E>,
    ) -> Result<T, Box<dyn Error>> {
        self.note(what, came.as_ref());
        Ok(came?)
    }

    /// Notes it and goes on with why it was not done.
    fn refused<T: Display, E: Error>(
        &mut self,
        what: &str,
        came: Result<T, E>,
    ) -> Result<String, Box<dyn Error>> {
        self.note(what, came.as_ref());
        match came {
            Ok(_) => Err(format!("{what} was not refused").into()),
            Err(error) => Ok(error.to_string()),
        }
    }

    pub(crate) async fn ensure(&mut self, wish: &Desired) -> Result<usize, Box<dyn Error>> {
        let came = self.host.ensure(wish).await.map(|applied| applied.steps);
        self.done("ensure", came)
    }

    pub(crate) async fn refuses_to_ensure(
        &mut self,
        wish: &Desired,
    ) -> Result<String, Box<dyn Error>> {
        let came = self.host.ensure(wish).await.map(|applied| applied.steps);
        self.refused("ensure", came)
    }

    pub(crate) async fn remove(
        &mut self,
        subjects: &BTreeSet<Subject>,
    ) -> Result<usize, Box<dyn Error>> {
        let came = self.host.remove(subjects).await.map(|applied| applied.steps);
        self.done("remove", came)
    }

    pub(crate) async fn refuses_to_remove(
        &mut self,
        subjects: &BTreeSet<Subject>,
    ) -> Result<String, Box<dyn Error>> {
        let came = self.host.remove(subjects).await.map(|applied| applied.steps);
        self.refused("remove", came)
    }

    pub(crate) async fn apply(&mut self, plan: &Plan) -> Result<usize, Box<dyn Error>> {
        let came = self.host.apply(plan).await.map(|applied| applied.steps);
        self.done("apply", came)
    }

    pub(crate) async fn refuses_to_apply(&mut self, plan: &Plan) -> Result<String, Box<dyn Error>> {
        let came = self.host.apply(plan).await.map(|applied| applied.steps);
        self.refused("apply", came)
    }

    pub(crate) async fn verify(&mut self, wish: &Desired) -> Result<Plan, Box<dyn Error>> {
        let came = self.host.verify(wish).await;
        self.done("verify", came)
    }

    pub(crate) async fn observe(&self) -> Result<Observed, Box<dyn Error>> {
        Ok(self.host.observe().await?)
    }

    /// Notes everything that is there.
    pub(crate) async fn look(&mut self) -> Outcome {
        let seen = described(&self.observe().await?, None);
        self.note("look", Ok::<_, Box<dyn Error>>(seen.join("\n")));
        Ok(())
    }

    /// Notes what is there of this owner's, and gives it back.
    pub(crate) async fn look_at_ours(&mut self) -> Result<Vec<String>, Box<dyn Error>> {
        let seen = described(&self.observe().await?, Some(self.host.owner()));
        self.note("look", Ok::<_, Box<dyn Error>>(seen.join("\n")));
        Ok(seen)
    }

    pub(crate) async fn add_foreign(&self, name: &str) -> Outcome {
        match &self.fake {
            Some(fake) => Ok(fake.add_foreign(&DeviceName::new(name)?, "bridge")?),
            None => Stranger::new().add_bridge(name).await,
        }
    }

    pub(crate) async fn rename(&self, from: &str, to: &str) -> Outcome {
        match &self.fake {
            Some(fake) => Ok(fake.rename(&DeviceName::new(from)?, &DeviceName::new(to)?)?),
            None => Stranger::new().rename(from, to).await,
        }
    }

    pub(crate) async fn delete(&self, name: &str) -> Outcome {
        match &self.fake {
            Some(fake) => Ok(fake.delete(&DeviceName::new(name)?)?),
            None => Stranger::new().delete(name).await,
        }
    }
}

/// What is there in words that are the same wherever it is, one line each: without the kernel's numbers, its order, the
/// time, and what a machine gives every device without being asked. Of one owner's alone, if one is given.
fn described(observed: &Observed, owner: Option<&Owner>) -> Vec<String> {
    let is_wanted = |link: &&Link| {
        owner.is_none_or(|owner| link.tag.as_ref().is_some_and(|t| t.owner() == owner))
    };
    let names: BTreeMap<u32, &String> =
        observed.links.iter().map(|link| (link.index, &link.name)).collect();
    let links = observed.links.iter().filter(|link| link.name != "lo").filter(is_wanted);
    let mut all: Vec<_> = links.map(|link| describe(link, &names)).collect();
    if let Table::Ours { elements, marks } = &observed.table {
        let element = |(element, tag): &(_, _)| format!("{element} {tag:?}");
        all.extend(elements.iter().map(element));
        all.push(format!("{marks:?}"));
    }
    for namespace in &observed.namespaces {
        let (name, tag) = (&namespace.name, &namespace.tag);
        all.push(format!("namespace {name} {tag:?}"));
        if let Some(inside) = &namespace.inside {
            let inside = described(inside, owner).into_iter();
            all.extend(inside.map(|line| format!("in {name}: {line}")));
        }
    }
    if owner.is_none() {
        all.push(format!("forwards {:?}", observed.forwarding));
        all.push(format!("table {:?}", matches!(observed.table, Table::Foreign)));
    }
    all.sort();
    all
}

fn describe(link: &Link, names: &BTreeMap<u32, &String>) -> String {
    let mut link = link.clone();
    let master = link.master.take().and_then(|index| names.get(&index));
    link.index = 0;
    link.made = link.made.map(|_| core::time::Duration::ZERO);
    let role = link.tag.as_ref().map(hostnet::Tag::role);
    // The kernel draws one where none is asked for.
    if matches!(role, None | Some(Role::Vxlan | Role::Uplink(_) | Role::Downlink(_))) {
        link.mac = None;
    }
    if link.kind != "bridge" || role.is_none() {
        link.settings.remove(&LinkSetting::PromoteSecondaries);
    }
    if role.is_none() {
        // A bridge that somebody makes by hand comes up, and gets an address of its own after a while.
        link.up = false;
        link.addresses.clear();
    }
    link.addresses.sort_by_key(|address| address.address);
    link.routes.sort();
    link.neighbours.sort();
    link.peers.sort();
    format!("on {master:?}: {link:?}")
}
